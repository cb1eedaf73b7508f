#include "capture/perf.h"

#include "capture/clock.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Data pages of a ring, a power of two: room for about a thousand events. */
enum { RING_PAGES = 16 };
/* No record that is asked for takes more bytes: where fewer are left, the next was lost. */
enum { LARGEST_RECORD = 64 };

struct ring {
    int fd, cpu;
    struct perf_event_mmap_page *control; /* followed by the data pages */
};

struct mw_perf {
    struct ring *rings; /* one a CPU */
    size_t ring_count;
    int *others; /* events of further threads, which go into the same rings */
    size_t other_count, other_room;
    int epoll_fd; /* of all rings */
    size_t page_size;
    struct mw_task_event *events;
    size_t event_count, event_room;
    size_t given; /* of these, by the last call of mw_perf_take */
    uint64_t lost;
    bool losing; /* a ring was full: how many were lost is told with the next event in it */
};

/* What sample_id_all appends to every record, for the sample_type below. */
struct sample_id {
    uint32_t pid, tid;
    uint64_t time_ns;
};

/* Records as include/uapi/linux/perf_event.h describes them. */
struct task_record {
    struct perf_event_header header;
    uint32_t pid, ppid, tid, ptid;
    uint64_t time_ns;
};

struct comm_record {
    struct perf_event_header header;
    uint32_t pid, tid;
    char comm[]; /* padded to 8 bytes */
};

struct lost_record {
    struct perf_event_header header;
    uint64_t id, lost;
};

static int open_event(pid_t root, int cpu)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attributes,
        .config = PERF_COUNT_SW_DUMMY,
        .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
        .inherit = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .comm = 1,
        .comm_exec = 1,
        .task = 1,
        .sample_id_all = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
        .watermark = 1, /* wake up at the first byte, not when the ring is half full */
        .wakeup_watermark = 1,
    };

    return (int)syscall(SYS_perf_event_open, &attributes, root, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static size_t ring_size(const struct mw_perf *perf)
{
    return (1 + RING_PAGES) * perf->page_size;
}

/* 0, or a negative errno. A CPU that is offline has no ring. */
static int open_ring(struct mw_perf *perf, pid_t root, int cpu)
{
    struct ring *ring = &perf->rings[perf->ring_count];
    void *pages;

    ring->fd = open_event(root, cpu);
    if (ring->fd < 0)
        return errno == ENODEV ? 0 : -errno;
    pages = mmap(NULL, ring_size(perf), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    if (pages == MAP_FAILED) {
        int code = -errno;

        close(ring->fd);
        return code;
    }
    ring->control = pages;
    ring->cpu = cpu;
    perf->ring_count++;
    /* Edge-triggered: once root has ended its descriptor would be ready for ever. */
    return epoll_ctl(perf->epoll_fd, EPOLL_CTL_ADD, ring->fd,
                     &(struct epoll_event){.events = EPOLLIN | EPOLLET}) < 0
               ? -errno
               : 0;
}

int mw_perf_open(struct mw_perf **ret_perf, pid_t root, struct mw_error *error)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    struct mw_perf *perf = calloc(1, sizeof *perf);
    int code;

    if (!perf || cpus < 1 || !(perf->rings = calloc((size_t)cpus, sizeof *perf->rings))) {
        free(perf);
        return mw_error_errno(error, ENOMEM, "cannot track processes");
    }
    perf->page_size = (size_t)sysconf(_SC_PAGESIZE);
    perf->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    code = perf->epoll_fd < 0 ? -errno : 0;
    for (int cpu = 0; code == 0 && cpu < cpus; cpu++)
        code = open_ring(perf, root, cpu);
    if (code == 0 && perf->ring_count == 0)
        code = -ENODEV;
    if (code < 0) {
        mw_perf_close(perf);
        return mw_error_errno(error, -code, "perf_event_open");
    }
    *ret_perf = perf;
    return 0;
}

/* Whether a descriptor is among the last: these are for files that have to be opened. */
static bool is_spare(int fd)
{
    enum { SPARE = 64 };
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + SPARE >= limit.rlim_cur;
}

/* Gives back the events of threads that have ended, and all that they forked as well. */
static void close_ended(struct mw_perf *perf)
{
    size_t kept = 0;

    for (size_t i = 0; i < perf->other_count; i++) {
        struct pollfd event = {.fd = perf->others[i]};

        if (poll(&event, 1, 0) == 1 && event.revents & POLLHUP)
            close(event.fd);
        else
            perf->others[kept++] = event.fd;
    }
    perf->other_count = kept;
}

/* Opens the events of one more thread; one that has ended needs none. */
static int add_thread(struct mw_perf *perf, pid_t thread)
{
    for (size_t i = 0; i < perf->ring_count; i++) {
        int fd;

        if (!mw_array_reserve(&perf->others, perf->other_count, &perf->other_room,
                              sizeof *perf->others))
            return -ENOMEM;
        fd = open_event(thread, perf->rings[i].cpu);
        if (fd < 0)
            return errno == ESRCH ? 0 : -errno;
        perf->others[perf->other_count++] = fd;
        if (is_spare(fd))
            return -EMFILE;
        if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, perf->rings[i].fd) < 0)
            return -errno;
    }
    return 0;
}

/* Threads whose events are open. */
struct threads {
    pid_t *ids;
    size_t count, room;
};

static bool is_among(const struct threads *threads, pid_t id)
{
    for (size_t i = 0; i < threads->count; i++) {
        if (threads->ids[i] == id)
            return true;
    }
    return false;
}

/* Adds the threads of a process that are not among those. */
static int add_threads(struct mw_perf *perf, pid_t pid, struct threads *threads)
{
    char path[40];
    mw_auto_folder DIR *folder = NULL;
    struct dirent *entry;
    int code = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    folder = opendir(path);
    while (folder && code == 0 && (entry = readdir(folder))) {
        pid_t id = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for "." and ".." */

        if (id == 0 || is_among(threads, id))
            continue;
        if (!mw_array_reserve(&threads->ids, threads->count, &threads->room, sizeof *threads->ids))
            return -ENOMEM;
        threads->ids[threads->count++] = id;
        code = add_thread(perf, id);
    }
    return code;
}

int mw_perf_add(struct mw_perf *perf, pid_t pid, bool first_thread)
{
    struct threads threads = {0};
    size_t before;
    int code;

    close_ended(perf);
    if (!first_thread && mw_array_reserve(&threads.ids, 0, &threads.room, sizeof *threads.ids))
        threads.ids[threads.count++] = pid;
    /* What was started meanwhile, by a thread whose events were not open yet, has none either. */
    do {
        before = threads.count;
        code = add_threads(perf, pid, &threads);
    } while (code == 0 && threads.count > before);
    free(threads.ids);
    return code;
}

void mw_perf_close(struct mw_perf *perf)
{
    if (!perf)
        return;
    for (size_t i = 0; i < perf->other_count; i++)
        close(perf->others[i]);
    free(perf->others);
    for (size_t i = 0; i < perf->ring_count; i++) {
        munmap(perf->rings[i].control, ring_size(perf));
        close(perf->rings[i].fd);
    }
    if (perf->epoll_fd >= 0)
        close(perf->epoll_fd);
    free(perf->rings);
    free(perf->events);
    free(perf);
}

int mw_perf_fd(const struct mw_perf *perf)
{
    return perf->epoll_fd;
}

static void add_event(struct mw_perf *perf, const struct mw_task_event *event)
{
    if (mw_array_reserve(&perf->events, perf->event_count, &perf->event_room, sizeof *perf->events))
        perf->events[perf->event_count++] = *event;
    else
        perf->lost++;
}

static void read_task(struct mw_perf *perf, const struct task_record *record)
{
    add_event(perf,
              &(struct mw_task_event){
                  .kind = record->header.type == PERF_RECORD_FORK ? MW_TASK_FORK : MW_TASK_EXIT,
                  .pid = (pid_t)record->pid,
                  .tid = (pid_t)record->tid,
                  .ppid = (pid_t)record->ppid,
                  .t_ns = (int64_t)record->time_ns,
                  .wait_status = -1,
              });
}

static void read_comm(struct mw_perf *perf, const struct comm_record *record)
{
    struct mw_task_event event = {
        .kind = MW_TASK_EXEC,
        .pid = (pid_t)record->pid,
        .tid = (pid_t)record->tid,
        .wait_status = -1,
    };
    struct sample_id id;
    size_t comm_size;

    /* A thread that only renames itself is no news. */
    if (!(record->header.misc & PERF_RECORD_MISC_COMM_EXEC) ||
        record->header.size < sizeof *record + sizeof id)
        return;
    memcpy(&id, (const char *)record + record->header.size - sizeof id, sizeof id);
    event.t_ns = (int64_t)id.time_ns;
    comm_size = record->header.size - sizeof *record - sizeof id;
    if (comm_size > sizeof event.name - 1)
        comm_size = sizeof event.name - 1;
    memcpy(event.name, record->comm, comm_size);
    add_event(perf, &event);
}

static void read_record(struct mw_perf *perf, const struct perf_event_header *header)
{
    switch (header->type) {
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:
        if (header->size >= sizeof(struct task_record))
            read_task(perf, (const void *)header);
        break;
    case PERF_RECORD_COMM:
        read_comm(perf, (const void *)header);
        break;
    case PERF_RECORD_LOST:
        if (header->size >= sizeof(struct lost_record))
            perf->lost += ((const struct lost_record *)(const void *)header)->lost;
        perf->losing = false;
        break;
    }
}

/* Copies bytes out of a ring, across its end where need be. */
static void copy_out(const struct mw_perf *perf, const struct ring *ring, uint64_t position,
                     void *target, size_t size)
{
    const char *data = (const char *)ring->control + perf->page_size;
    size_t capacity = RING_PAGES * perf->page_size;
    size_t offset = position % capacity;
    size_t first = size < capacity - offset ? size : capacity - offset;

    memcpy(target, data + offset, first);
    memcpy((char *)target + first, data, size - first);
}

static void drain_ring(struct mw_perf *perf, const struct ring *ring)
{
    /* Pairs with the kernel's release of data_head, and its acquire of data_tail. */
    uint64_t head = __atomic_load_n(&ring->control->data_head, __ATOMIC_ACQUIRE);
    uint64_t tail = ring->control->data_tail;
    bool full = RING_PAGES * perf->page_size - (head - tail) < LARGEST_RECORD;

    while (tail < head) {
        union {
            struct perf_event_header header;
            struct task_record task; /* for its alignment */
            char bytes[512];         /* more than any record that was asked for */
        } record;

        copy_out(perf, ring, tail, &record.header, sizeof record.header);
        if (record.header.size < sizeof record.header)
            break;
        if (record.header.size <= sizeof record) {
            copy_out(perf, ring, tail, record.bytes, record.header.size);
            read_record(perf, &record.header);
        }
        tail += record.header.size;
    }
    __atomic_store_n(&ring->control->data_tail, head, __ATOMIC_RELEASE);
    perf->losing = perf->losing || full;
}

static int compare_times(const void *a, const void *b)
{
    const struct mw_task_event *first = a, *second = b;

    return (first->t_ns > second->t_ns) - (first->t_ns < second->t_ns);
}

size_t mw_perf_take(struct mw_perf *perf, const struct mw_task_event **ret_events)
{
    struct epoll_event ready[16];
    int64_t begin_ns;

    /* Takes the edges before the events: an event that comes in between makes a new one. */
    while (epoll_wait(perf->epoll_fd, ready, MW_COUNT(ready), 0) == MW_COUNT(ready))
        ;
    perf->event_count -= perf->given;
    if (perf->event_count > 0)
        memmove(perf->events, perf->events + perf->given, perf->event_count * sizeof *perf->events);
    begin_ns = mw_now_ns();
    for (size_t i = 0; i < perf->ring_count; i++)
        drain_ring(perf, &perf->rings[i]);
    /* A process that moves to another CPU leaves its events in several rings. */
    if (perf->event_count > 1)
        qsort(perf->events, perf->event_count, sizeof *perf->events, compare_times);
    /* What came while the rings were read may lack what came before it in another: it waits. */
    for (perf->given = perf->event_count;
         perf->given > 0 && perf->events[perf->given - 1].t_ns > begin_ns; perf->given--)
        ;
    *ret_events = perf->events;
    return perf->given;
}

bool mw_perf_holds_back(const struct mw_perf *perf)
{
    return perf->given < perf->event_count;
}

uint64_t mw_perf_lost(const struct mw_perf *perf)
{
    return perf->lost + perf->losing;
}
