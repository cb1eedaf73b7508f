#include "capture/probe.h"

#include "capture/clock.h"
#include "capture/highwater.h"
#include "capture/sampler.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long an event may take to arrive, and a child to answer. */
enum { PATIENCE_MS = 2000 };

/* --- children --------------------------------------------------------------------------------- */

/* A child that does something at each order, and ends when there are no more. */
struct child {
    pid_t pid;
    int line; /* a byte there is an order, a byte back says that it is done */
};

static bool tell(int line)
{
    return send(line, "x", 1, MSG_NOSIGNAL) == 1;
}

static bool await(int line)
{
    char byte;
    ssize_t length;

    while ((length = recv(line, &byte, 1, 0)) < 0 && errno == EINTR)
        ;
    return length == 1;
}

/* The body may only make calls that are safe after a fork. */
static int child_start(struct child *child, void (*body)(int line), struct mw_error *error)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return mw_error_errno(error, errno, "cannot start a process");
    child->pid = fork();
    if (child->pid == 0) {
        close(ends[0]); /* what it would hold open itself, it would wait for for ever */
        body(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    child->line = ends[0];
    if (child->pid > 0)
        return 0;
    close(child->line);
    return mw_error_errno(error, errno, "cannot start a process");
}

static bool child_do(const struct child *child)
{
    struct pollfd answer = {.fd = child->line, .events = POLLIN};

    return tell(child->line) && poll(&answer, 1, PATIENCE_MS) == 1 && await(child->line);
}

static void child_end(const struct child *child)
{
    close(child->line);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* --- figures of memory ------------------------------------------------------------------------ */

int64_t mw_probe_rss_bound_kib(void)
{
    return mw_resident_bound_kib();
}

/* 8 MiB, or more on a machine whose many CPUs may hold back as much. */
static size_t spike_pages(void)
{
    size_t pages = 8 * (size_t)sysconf(_SC_NPROCESSORS_ONLN);

    return pages > 2048 ? pages : 2048;
}

static void make_spikes(int line)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE), size = spike_pages() * page_size;

    while (await(line)) {
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
            return;
        for (size_t i = 0; i < size; i += page_size)
            *(volatile char *)(memory + i) = 1;
        munmap(memory, size);
        tell(line);
    }
}

/* Takes the mark before a spike, after it, and once more: 0, or what is wrong. */
static int try_marks(const struct mw_high_water *mark, const struct child *child)
{
    uint64_t half_kib = spike_pages() * (uint64_t)sysconf(_SC_PAGESIZE) / 1024 / 2;
    struct mw_high_water_reading before, spike, after;
    int code;

    if ((code = mw_high_water_take(mark, &before)) < 0)
        return code;
    if (!child_do(child))
        return -ENOMEM;
    if ((code = mw_high_water_take(mark, &spike)) < 0 ||
        (code = mw_high_water_take(mark, &after)) < 0)
        return code;
    return spike.kib >= before.kib + half_kib && after.kib < before.kib + half_kib ? 0 : -ENODATA;
}

int mw_probe_marks(struct mw_probe_marks *ret_marks, struct mw_error *error)
{
    struct child child = {.line = -1};
    struct mw_high_water mark;
    int code = child_start(&child, make_spikes, error);

    if (code < 0)
        return code;
    mark = mw_high_water_open(child.pid);
    code = try_marks(&mark, &child);
    mw_high_water_close(&mark);
    child_end(&child);
    if (code == -ENOMEM)
        return mw_error_errno(error, ENOMEM, "cannot try the kernel's high-water mark");
    *ret_marks = (struct mw_probe_marks){.code = code, .bound_kib = mw_high_water_bound_kib()};
    return 0;
}

/* --- tracking --------------------------------------------------------------------------------- */

/* One order forks a process, the next one ends it. */
static void have_children(int line)
{
    while (await(line)) {
        pid_t self = getpid(), pid = fork();

        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (getppid() == self)
                pause();
            _exit(0);
        }
        if (pid < 0)
            return;
        tell(line);
        await(line);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        tell(line);
    }
}

/* Whether an event of the kind comes. Those of a method that polls come when it is asked. */
static bool comes(struct mw_tracker *tracker, enum mw_tracker_event_kind kind)
{
    int64_t deadline_ns = mw_now_ns() + PATIENCE_MS * INT64_C(1000000);
    struct pollfd events = {.fd = mw_tracker_fd(tracker), .events = POLLIN};
    struct mw_tracker_event event;
    bool seen = false;

    while (!seen && mw_now_ns() < deadline_ns) {
        mw_tracker_look(tracker, mw_now_ns());
        while (mw_tracker_next(tracker, &event))
            seen = seen || event.kind == kind;
        if (!seen)
            poll(&events, 1, 1);
    }
    return seen;
}

static int try_tracker(struct mw_tracker *tracker, const struct child *child,
                       struct mw_error *ret_failure)
{
    /* The ends that no event tells of, the sampler sees. */
    bool tells_ends = mw_tracker_fd(tracker) >= 0;

    if (!child_do(child))
        return -EAGAIN;
    if (!comes(tracker, MW_TRACKER_START))
        mw_error_set(ret_failure, -ENODATA, "it does not tell of a process that has started");
    if (!child_do(child))
        return -EAGAIN;
    if (ret_failure->code == 0 && tells_ends && !comes(tracker, MW_TRACKER_END))
        mw_error_set(ret_failure, -ENODATA, "it does not tell of a process that has ended");
    return 0;
}

int mw_probe_tracking(enum mw_tracking tracking, struct mw_probe_tracking *ret_tracking,
                      struct mw_error *error)
{
    struct mw_probe_tracking result = {0};
    struct mw_tracker *tracker = NULL;
    struct child child = {.line = -1};
    int code = child_start(&child, have_children, error);

    if (code < 0)
        return code;
    if (mw_tracker_new(&tracker, child.pid, tracking, &result.failure) == 0) {
        result.failure = (struct mw_error){0}; /* of a method that was passed over */
        result.method = mw_tracker_name(tracker);
        code = try_tracker(tracker, &child, &result.failure);
        mw_tracker_free(tracker);
    }
    child_end(&child);
    if (code < 0)
        return mw_error_errno(error, -code, "cannot start a process");
    *ret_tracking = result;
    return 0;
}

int mw_probe_paranoid(int *ret_level)
{
    char text[32], *end;
    mw_auto_fd int fd = open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    long level;

    if (length < 0)
        return -errno;
    text[length] = '\0';
    level = strtol(text, &end, 10);
    if (end == text)
        return -EBADMSG;
    *ret_level = (int)level;
    return 0;
}

/* --- timing ----------------------------------------------------------------------------------- */

struct timing {
    struct mw_sampler *sampler;
    const char *scheduling;
    int64_t start_ns;
    sem_t ready, go;
};

static void wait_for_orders(int line)
{
    await(line);
}

static void *run_sampler(void *argument)
{
    struct timing *timing = argument;

    timing->scheduling = mw_sampler_raise_priority();
    sem_post(&timing->ready);
    sem_wait(&timing->go);
    mw_sampler_run(timing->sampler, timing->start_ns);
    return NULL;
}

static void sleep_until(int64_t t_ns)
{
    struct timespec until = {.tv_sec = t_ns / 1000000000, .tv_nsec = t_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static int run_timing(struct timing *timing, int64_t duration_ns, struct mw_error *error)
{
    pthread_t thread;
    int64_t end_ns;
    int code = pthread_create(&thread, NULL, run_sampler, timing);

    if (code != 0)
        return mw_error_errno(error, code, "cannot start a thread");
    sem_wait(&timing->ready);
    timing->start_ns = mw_now_ns();
    end_ns = timing->start_ns + duration_ns;
    sem_post(&timing->go);
    sleep_until(end_ns);
    mw_sampler_stop(timing->sampler, end_ns);
    pthread_join(thread, NULL);
    return 0;
}

/* The sampler itself, at work on one process. */
static int time_sampler(pid_t root, int64_t interval_ns, int64_t duration_ns,
                        struct mw_probe_timer *ret_timer, struct mw_error *error)
{
    enum { RECORDS = 1024 }; /* nobody takes them out: a process that waits gives a few */
    struct mw_sampler_options options = {
        .root = root, .interval_ns = interval_ns, .tracking = MW_TRACKING_NONE};
    struct timing timing = {0};
    struct mw_sampler_figures figures;
    struct mw_queue *queue = NULL;
    int code = mw_queue_new(&queue, RECORDS, error);

    if (code < 0)
        return code;
    sem_init(&timing.ready, 0, 0);
    sem_init(&timing.go, 0, 0);
    if ((code = mw_sampler_new(&timing.sampler, &options, queue, error)) == 0 &&
        (code = run_timing(&timing, duration_ns, error)) == 0) {
        mw_sampler_figures(timing.sampler, &figures);
        *ret_timer = (struct mw_probe_timer){
            .scheduling = timing.scheduling,
            .ticks_due = figures.ticks.taken + figures.ticks.missed,
            .ticks_taken = figures.ticks.taken,
            .lateness_p50_ns = figures.ticks.lateness_p50_ns,
            .lateness_p99_ns = figures.ticks.lateness_p99_ns,
            .lateness_max_ns = figures.ticks.lateness_max_ns,
        };
    }
    mw_sampler_free(timing.sampler);
    mw_queue_free(queue);
    sem_destroy(&timing.ready);
    sem_destroy(&timing.go);
    return code;
}

int mw_probe_timer(int64_t interval_ns, int64_t duration_ns, struct mw_probe_timer *ret_timer,
                   struct mw_error *error)
{
    struct child child = {.line = -1};
    int code = child_start(&child, wait_for_orders, error);

    if (code < 0)
        return code;
    /* The tick at the end belongs to the time after it. */
    code = time_sampler(child.pid, interval_ns, duration_ns - interval_ns / 2, ret_timer, error);
    child_end(&child);
    return code;
}
