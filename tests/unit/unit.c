#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct unit {
    int descriptors; /* open before the test */
    char folder[64];
};

static int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    if (!folder)
        return -1;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

int unit_setup(void **state)
{
    struct unit *unit = calloc(1, sizeof *unit);

    if (!unit)
        return -1;
    snprintf(unit->folder, sizeof unit->folder, "/tmp/memwatch-unit-XXXXXX");
    if (!mkdtemp(unit->folder)) {
        free(unit);
        return -1;
    }
    unit->descriptors = count_descriptors();
    *state = unit;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *level)
{
    (void)status;
    (void)type;
    (void)level;
    return remove(path);
}

int unit_teardown(void **state)
{
    struct unit *unit = *state;
    int left = count_descriptors() - unit->descriptors;

    nftw(unit->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(unit);
    if (left != 0)
        print_error("%d descriptors were left open\n", left);
    return left;
}

char *unit_path(void **state, const char *name)
{
    const struct unit *unit = *state;
    char *path;

    if (asprintf(&path, "%s/%s", unit->folder, name) < 0)
        fail_msg("out of memory");
    return path;
}

void unit_need_root(void)
{
    if (geteuid() != 0) {
        print_message("# SKIP: only root can become another user\n");
        skip();
    }
}

void unit_need_perf(void)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                         .size = sizeof attributes,
                                         .config = PERF_COUNT_SW_DUMMY,
                                         .exclude_kernel = 1,
                                         .exclude_hv = 1};
    int fd = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

    if (fd < 0) {
        print_message("# SKIP: perf_event_open: %s\n", strerror(errno));
        skip();
    }
    close(fd);
}

#ifdef __has_feature
#define HAS_THREAD_SANITIZER __has_feature(thread_sanitizer)
#define HAS_ADDRESS_SANITIZER __has_feature(address_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define HAS_THREAD_SANITIZER 1
#else
#define HAS_THREAD_SANITIZER 0
#endif
#if !defined(HAS_ADDRESS_SANITIZER) && defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif !defined(HAS_ADDRESS_SANITIZER)
#define HAS_ADDRESS_SANITIZER 0
#endif

void unit_need_no_thread_sanitizer(void)
{
    if (HAS_THREAD_SANITIZER) {
        print_message("# SKIP: the thread sanitizer has threads and memory of its own\n");
        skip();
    }
}

void unit_need_memory_of_its_own(void)
{
    if (HAS_ADDRESS_SANITIZER) {
        print_message("# SKIP: the address sanitizer touches memory of its own\n");
        skip();
    }
}

bool unit_become_nobody(void)
{
    enum { NOBODY = 65534 };

    return setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* xorshift64*: https://en.wikipedia.org/wiki/Xorshift */
uint64_t unit_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545F4914F6CDD1D);
}

void unit_end_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it ended before it could be asked */
        _exit(1);
}

struct unit_child unit_fork(unit_body *body, const void *context)
{
    int to[2], from[2];
    struct unit_child child;
    pid_t self = getpid();

    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        unit_end_with(self);
        close(to[1]);
        close(from[0]);
        body(to[0], from[1], context);
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    child.to = to[1];
    child.from = from[0];
    return child;
}

bool unit_tell(int fd)
{
    return write(fd, "x", 1) == 1;
}

bool unit_await(int fd)
{
    char byte;
    ssize_t got;

    do {
        got = read(fd, &byte, 1);
    } while (got < 0 && errno == EINTR);
    return got == 1;
}

int unit_join(struct unit_child *child)
{
    int status = -1;

    close(child->to);
    close(child->from);
    waitpid(child->pid, &status, 0);
    return status;
}

int unit_kill(struct unit_child *child)
{
    kill(child->pid, SIGKILL);
    return unit_join(child);
}

void unit_spikes(int in, int out, const void *context)
{
    const size_t size = (size_t)UNIT_SPIKE_KIB * 1024;

    (void)context;
    while (unit_await(in)) {
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        madvise(memory, size, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < size; i += 4096)
            *(volatile char *)(memory + i) = 1;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        munmap(memory, size);
        unit_tell(out);
    }
}

void unit_spike(const struct unit_child *child)
{
    unit_tell(child->to);
    assert_true(unit_await(child->from));
}
