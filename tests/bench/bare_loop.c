/*
 * The floor that a recorder is compared with: sleep until the next tick of an absolute schedule,
 * read /proc/PID/statm through a descriptor that stays open, and nothing else. A late tick is taken
 * once, as memwatch does.
 *
 *     bare_loop INTERVAL_NS default|nice:-20|fifo:1 PID…
 *
 * Ends when the first process has ended, and prints how many ticks were due and how many it took.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 200 };

static int schedule_as(const char *name)
{
    struct sched_param first = {.sched_priority = 1};

    prctl(PR_SET_TIMERSLACK, 1UL);
    if (strcmp(name, "fifo:1") == 0)
        return sched_setscheduler(0, SCHED_FIFO, &first);
    if (strcmp(name, "nice:-20") == 0)
        return setpriority(PRIO_PROCESS, 0, -20);
    return 0;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* A zombie reads as "0 0 0 …", a reaped process not at all. */
static int has_memory(int fd)
{
    char text[128];
    ssize_t length = pread(fd, text, sizeof text, 0);

    return length > 0 && text[0] != '0';
}

static int open_statm(const char *pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/statm", atoi(pid));
    return open(path, O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    int64_t start_ns, interval_ns, due = 0, taken = 0;
    int fds[MOST], count = argc - 3;

    if (count < 1 || count > MOST || (interval_ns = atoll(argv[1])) <= 0) {
        fprintf(stderr, "usage: bare_loop INTERVAL_NS default|nice:-20|fifo:1 PID...\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        fds[i] = open_statm(argv[i + 3]);
        if (fds[i] < 0) {
            fprintf(stderr, "bare_loop: process %s: %s\n", argv[i + 3], strerror(errno));
            return 1;
        }
    }
    if (schedule_as(argv[2]) < 0) {
        fprintf(stderr, "bare_loop: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    start_ns = now_ns();
    for (;;) {
        int64_t due_ns = start_ns + due * interval_ns;
        struct timespec until = {due_ns / 1000000000, due_ns % 1000000000};

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        if (!has_memory(fds[0]))
            break;
        for (int i = 1; i < count; i++)
            has_memory(fds[i]);
        taken++;
        due = (now_ns() - start_ns) / interval_ns + 1;
    }
    printf("%" PRId64 " %" PRId64 "\n", due, taken);
    return 0;
}
