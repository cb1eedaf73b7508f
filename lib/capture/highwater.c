#include "capture/highwater.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

struct mw_high_water mw_high_water_open(pid_t pid)
{
    int status_fd = mw_procfs_open_kept(pid, "status", O_RDONLY);
    int clear_fd = mw_procfs_open_kept(pid, "clear_refs", O_WRONLY);

    return (struct mw_high_water){.pid = pid,
                                  .status_fd = status_fd < 0 ? -1 : status_fd,
                                  .clear_fd = clear_fd < 0 ? -1 : clear_fd};
}

void mw_high_water_close(struct mw_high_water *mark)
{
    if (mark->status_fd >= 0)
        close(mark->status_fd);
    if (mark->clear_fd >= 0)
        close(mark->clear_fd);
    mark->status_fd = mark->clear_fd = -1;
}

/* How much may come and go in a time: each thread that has a CPU is given memory. */
static uint64_t unseen_kib(int64_t blind_ns, uint64_t threads)
{
    enum { KIB_PER_US = 32 };
    uint64_t cpus = (uint64_t)sysconf(_SC_NPROCESSORS_CONF);

    return (uint64_t)blind_ns * KIB_PER_US * (threads < cpus ? threads : cpus) / 1000;
}

static int take(int status_fd, int clear_fd, struct mw_high_water_reading *ret_reading)
{
    char text[MW_PROCFS_STATUS_SIZE];
    struct mw_high_water_reading reading = {.read_ns = mw_now_ns()};
    ssize_t length = pread(status_fd, text, sizeof text, 0);
    uint64_t now_kib, threads;
    int code;

    if (length < 0)
        return -errno;
    if ((code = mw_procfs_parse_kib(text, (size_t)length, "VmHWM", &reading.kib)) < 0 ||
        (code = mw_procfs_parse_kib(text, (size_t)length, "VmRSS", &now_kib)) < 0 ||
        (code = mw_procfs_parse_number(text, (size_t)length, "Threads", &threads)) < 0)
        return code;
    if (now_kib < reading.kib) {
        if (pwrite(clear_fd, "5", 1, 0) < 0)
            return -errno;
        reading.blind_ns = mw_now_ns() - reading.read_ns;
        reading.unseen_kib = unseen_kib(reading.blind_ns, threads);
    }
    *ret_reading = reading;
    return 0;
}

int mw_high_water_take(const struct mw_high_water *mark, struct mw_high_water_reading *ret_reading)
{
    mw_auto_fd int status_fd = -1;
    mw_auto_fd int clear_fd = -1;

    if (mark->status_fd >= 0 && mark->clear_fd >= 0)
        return take(mark->status_fd, mark->clear_fd, ret_reading);
    clear_fd = mw_procfs_open(mark->pid, "clear_refs", O_WRONLY);
    if (clear_fd < 0)
        return clear_fd;
    status_fd = mw_procfs_open(mark->pid, "status", O_RDONLY);
    return status_fd < 0 ? status_fd : take(status_fd, clear_fd, ret_reading);
}

/* The kernel sums anonymous, file and shmem pages; each CPU holds back less than a batch of each.
 */
static int64_t counter_slack_kib(void)
{
    int64_t cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t batch = cpus * 2 > 32 ? cpus * 2 : 32;

    return 3 * cpus * (batch - 1) * (sysconf(_SC_PAGESIZE) / 1024);
}

int64_t mw_high_water_bound_kib(void)
{
    return counter_slack_kib();
}

static bool touch_and_look(volatile char *pages, size_t count, int statm_fd)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    struct mw_statm before, after;

    for (size_t i = 0; i < count; i++) {
        if (mw_procfs_read_statm(statm_fd, &before) < 0)
            return false;
        pages[i * page_size] = 1;
        if (mw_procfs_read_statm(statm_fd, &after) < 0 ||
            after.resident_pages != before.resident_pages + 1)
            return false;
    }
    return true;
}

int64_t mw_resident_bound_kib(void)
{
    enum { PAGES = 48 }; /* more than a batch on a machine with few CPUs */
    size_t size = PAGES * (size_t)sysconf(_SC_PAGESIZE);
    mw_auto_fd int statm_fd = mw_procfs_open(getpid(), "statm", O_RDONLY);
    char *pages;
    bool exact;

    if (statm_fd < 0)
        return counter_slack_kib();
    pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return counter_slack_kib();
    madvise(pages, size, MADV_NOHUGEPAGE); /* one page at a time */
    exact = touch_and_look(pages, PAGES, statm_fd);
    munmap(pages, size);
    return exact ? 0 : counter_slack_kib();
}
