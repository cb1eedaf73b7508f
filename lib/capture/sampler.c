#include "capture/sampler.h"

#include "capture/adoptions.h"
#include "capture/clock.h"
#include "capture/process.h"
#include "capture/procfs.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct mw_sampler {
    struct mw_sampler_options options;
    struct mw_queue *queue;
    struct mw_tracker *tracker;
    struct mw_schedule schedule;
    struct mw_live_process *processes;
    size_t process_count, process_room;
    uint32_t *free_slots; /* a stack */
    size_t free_slot_count, free_slot_room;
    uint32_t slot_count;                             /* ever used */
    bool tree_series;                                /* the sum has a series of its own */
    uint64_t tree_resident_pages, tree_shared_pages; /* last pushed; MW_UNKNOWN before that */
    int64_t page_kib;
    int64_t last_sweep_ns;
    int64_t lost_from_ns; /* since when the record has a hole; 0: it has none */
    uint64_t lost_ticks;
    uint64_t refused; /* processes for which there was no memory */
    _Atomic uint64_t dropped, lost_events;
    _Atomic int64_t end_ns;        /* 0: go on */
    struct mw_adoptions adoptions; /* that wait */
    struct mw_adoption adopting;   /* its events are being followed; pid 0: none is */
    atomic_bool kills;             /* whatever is sampled is to be killed */
    bool above_limit;
    int64_t followed_ns; /* when the tracker was last asked */
    int64_t heard_ns;    /* when it was last asked because it had something to say */
    int wake_fd;         /* there are adoptions, or the end has come */
    int epoll_fd;        /* of wake_fd and the tracker's */
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Counters that only the sampler's thread writes, and any thread reads. */
#define LOAD(counter) atomic_load_explicit(&(counter), memory_order_relaxed)
#define STORE(counter, value) atomic_store_explicit(&(counter), (value), memory_order_relaxed)

/* --- pushing ---------------------------------------------------------------------------------- */

/* Pushes a record; one that finds no room leaves a hole, which is recorded as soon as there is. */
static bool push(struct mw_sampler *sampler, const struct mw_record *record)
{
    if (mw_queue_push(sampler->queue, record))
        return true;
    STORE(sampler->dropped, LOAD(sampler->dropped) + 1);
    if (sampler->lost_from_ns == 0)
        sampler->lost_from_ns = sampler->last_sweep_ns;
    return false;
}

static bool push_sample(struct mw_sampler *sampler, uint32_t slot, enum mw_metric metric,
                        int64_t t_ns, uint64_t kib)
{
    return push(sampler, &(struct mw_record){
                             .kind = MW_RECORD_SAMPLE,
                             .t_ns = t_ns,
                             .slot = slot,
                             .sample = {metric, (int64_t)kib},
                         });
}

/* Pushes a value that is not the one the writer knows. */
static void push_change(struct mw_sampler *sampler, uint32_t slot, enum mw_metric metric,
                        int64_t t_ns, uint64_t pages, uint64_t *known_pages)
{
    if (pages != *known_pages &&
        push_sample(sampler, slot, metric, t_ns, pages * (uint64_t)sampler->page_kib))
        *known_pages = pages;
}

/* Tells the writer of a process, if it does not know; false while there is no room to. */
static bool announce(struct mw_sampler *sampler, struct mw_live_process *process)
{
    if (!process->announced)
        process->announced = push(
            sampler, &(struct mw_record){
                         .kind = MW_RECORD_START,
                         .t_ns = process->start_ns,
                         .slot = process->slot,
                         .start = {process->pid, process->ppid, process->borrows, process->origin},
                     });
    return process->announced;
}

/* Whether its memory is its own; what a child of vfork has is its parent's. */
static bool has_own_memory(struct mw_sampler *sampler, struct mw_live_process *process,
                           int64_t now_ns)
{
    if (!process->borrows)
        return true;
    if (!announce(sampler, process) || mw_process_borrows(process))
        return false;
    process->borrows = !push(sampler, &(struct mw_record){.kind = MW_RECORD_OWN,
                                                          .t_ns = now_ns,
                                                          .slot = process->slot,
                                                          .own_pid = process->pid});
    return !process->borrows;
}

static void push_process(struct mw_sampler *sampler, struct mw_live_process *process,
                         const struct mw_statm *statm, int64_t now_ns)
{
    if (!announce(sampler, process) || (sampler->options.sum && !sampler->options.each))
        return;
    push_change(sampler, process->slot, MW_METRIC_RSS, now_ns, statm->resident_pages,
                &process->resident_pages);
    push_change(sampler, process->slot, MW_METRIC_SHARED, now_ns, statm->shared_pages,
                &process->shared_pages);
}

/* The sum gets a series of its own from the second process on: before, the first is the tree. */
static void push_tree(struct mw_sampler *sampler, const struct mw_statm *sum, int64_t now_ns)
{
    if (!sampler->options.sum)
        return;
    if (!sampler->tree_series && sampler->options.each && sampler->process_count < 2 &&
        !(sampler->options.goes_on && sampler->process_count == 0))
        return;
    sampler->tree_series = true;
    push_change(sampler, MW_RECORD_TREE, MW_METRIC_RSS, now_ns, sum->resident_pages,
                &sampler->tree_resident_pages);
    push_change(sampler, MW_RECORD_TREE, MW_METRIC_SHARED, now_ns, sum->shared_pages,
                &sampler->tree_shared_pages);
}

/* --- what processes run ----------------------------------------------------------------------- */

/* Pushes an image that the writer does not know, or that was executed again; takes it over. */
static void push_image(struct mw_sampler *sampler, struct mw_live_process *process,
                       struct mw_image *image, bool executed, int64_t t_ns)
{
    uint64_t hash = mw_image_hash(image);
    struct mw_record record = {.kind = MW_RECORD_IMAGE,
                               .t_ns = t_ns,
                               .slot = process->slot,
                               .image = image,
                               .executed = executed};

    snprintf(process->name, sizeof process->name, "%.15s", image->name);
    if ((executed || hash != process->image_hash) && announce(sampler, process) &&
        push(sampler, &record))
        process->image_hash = hash;
    else
        mw_image_free(image);
}

/* An image of which no more is known than the name. */
static struct mw_image *name_only(const char *name)
{
    struct mw_image *image = *name ? calloc(1, sizeof *image) : NULL;

    if (image)
        snprintf(image->name, sizeof image->name, "%s", name);
    return image;
}

/*
 * Finds out what a process runs. told is the name that an event gave, or empty: it stands where the
 * process has ended before it could be asked. One that is just ending has no arguments any more,
 * and keeps those it had.
 */
static void update_image(struct mw_sampler *sampler, struct mw_live_process *process,
                         const char *told, bool executed, int64_t t_ns)
{
    struct mw_image *image = NULL;
    bool known = process->image_hash != 0;

    if (mw_procfs_read_image(process->pid, sampler->options.all_arguments, &image) < 0 ||
        (image->argument_count == 0 && (*told || known))) {
        mw_image_free(image);
        image = name_only(told);
    }
    if (image)
        push_image(sampler, process, image, executed, t_ns);
}

/* --- processes that come and go --------------------------------------------------------------- */

static struct mw_live_process *find_process(struct mw_sampler *sampler, pid_t pid)
{
    for (size_t i = 0; i < sampler->process_count; i++) {
        if (sampler->processes[i].pid == pid)
            return &sampler->processes[i];
    }
    return NULL;
}

/* Samples a process between ticks: it may not live until the next. */
static void sample_process(struct mw_sampler *sampler, struct mw_live_process *process,
                           int64_t now_ns)
{
    struct mw_statm statm;

    if (has_own_memory(sampler, process, now_ns) && mw_process_read(process, &statm) == 0)
        push_process(sampler, process, &statm, now_ns);
}

/* A process of the tree. */
static void add_process(struct mw_sampler *sampler, pid_t pid, pid_t ppid, enum mw_origin origin,
                        int64_t start_ns, int64_t now_ns)
{
    const struct mw_live_process *parent;
    struct mw_live_process *process;

    if (!mw_array_reserve(&sampler->processes, sampler->process_count, &sampler->process_room,
                          sizeof *sampler->processes) ||
        !mw_array_reserve(&sampler->free_slots, sampler->process_count, &sampler->free_slot_room,
                          sizeof *sampler->free_slots)) {
        sampler->refused++;
        mw_tracker_forget(sampler->tracker, pid);
        return;
    }
    parent = find_process(sampler, ppid);
    process = &sampler->processes[sampler->process_count++];
    *process = mw_process_open(pid, ppid, start_ns);
    process->slot = sampler->free_slot_count ? sampler->free_slots[--sampler->free_slot_count]
                                             : sampler->slot_count++;
    process->origin = origin;
    process->borrows = mw_process_borrows(process);
    update_image(sampler, process, parent ? parent->name : "", false, start_ns);
    sample_process(sampler, process, now_ns);
}

/*
 * Takes a process that has ended out of the tree; wait_status is -1 where it is not known. False
 * when the queue had no room to say so.
 */
static bool end_process(struct mw_sampler *sampler, struct mw_live_process *process, int64_t t_ns,
                        int wait_status)
{
    struct mw_record record = {.kind = MW_RECORD_END,
                               .t_ns = t_ns,
                               .slot = process->slot,
                               .status = {process->pid, wait_status}};

    process->wait_status = wait_status;
    if (!announce(sampler, process) || !push(sampler, &record))
        return false;
    mw_tracker_ended(sampler->tracker, process->pid);
    mw_process_close(process);
    sampler->free_slots[sampler->free_slot_count++] = process->slot;
    *process = sampler->processes[--sampler->process_count];
    return true;
}

/* Takes a process out of the tree that was found to have ended. */
static bool notice_end(struct mw_sampler *sampler, struct mw_live_process *process, int64_t t_ns)
{
    return end_process(sampler, process, t_ns,
                       process->wait_status >= 0 ? process->wait_status
                                                 : mw_procfs_read_wait_status(process->pid));
}

static enum mw_origin origin_of(const struct mw_sampler *sampler, pid_t pid)
{
    return pid == sampler->adopting.pid ? sampler->adopting.origin : MW_ORIGIN_TREE;
}

static void follow_event(struct mw_sampler *sampler, const struct mw_tracker_event *event,
                         int64_t now_ns)
{
    struct mw_live_process *process = find_process(sampler, event->pid);
    /* None of them is older than the recording. */
    int64_t t_ns =
        event->t_ns > sampler->schedule.start_ns ? event->t_ns : sampler->schedule.start_ns;

    switch (event->kind) {
    case MW_TRACKER_START:
        /* The pid of one whose end was not seen: not before there is room to tell. */
        if (!process || end_process(sampler, process, t_ns, -1))
            add_process(sampler, event->pid, event->ppid, origin_of(sampler, event->pid), t_ns,
                        now_ns);
        break;
    case MW_TRACKER_IMAGE:
        if (process)
            update_image(sampler, process, event->name, event->executed, t_ns);
        if (process && process->borrows)
            sample_process(sampler, process, now_ns);
        break;
    case MW_TRACKER_END:
        if (process)
            end_process(sampler, process, t_ns, event->wait_status);
        break;
    case MW_TRACKER_STATUS:
        push(sampler, &(struct mw_record){.kind = MW_RECORD_STATUS,
                                          .t_ns = t_ns,
                                          .status = {event->pid, event->wait_status}});
        break;
    }
}

static void follow_events(struct mw_sampler *sampler, int64_t now_ns)
{
    struct mw_tracker_event event;

    while (mw_tracker_next(sampler->tracker, &event))
        follow_event(sampler, &event, now_ns);
}

/* Does what the tracker's events tell. */
static void follow_tree(struct mw_sampler *sampler, int64_t now_ns)
{
    mw_tracker_look(sampler->tracker, now_ns);
    sampler->followed_ns = now_ns;
    STORE(sampler->lost_events, mw_tracker_lost(sampler->tracker) + sampler->refused);
    follow_events(sampler, now_ns);
}

/* Several trees have a sum of their own, and so has one that takes the place of another. */
static void adopt(struct mw_sampler *sampler, const struct mw_adoption *adoption, int64_t now_ns)
{
    if (!mw_adoption_holds(adoption))
        return;
    atomic_store(&sampler->kills, false);
    sampler->adopting = *adoption;
    sampler->tree_series = true;
    mw_tracker_adopt(sampler->tracker, adoption->pid, now_ns);
    follow_events(sampler, now_ns);
    sampler->adopting.pid = 0;
}

static void adopt_waiting(struct mw_sampler *sampler, int64_t now_ns)
{
    struct mw_adoption adoption;
    eventfd_t ignored;

    eventfd_read(sampler->wake_fd, &ignored);
    while (mw_adoptions_take(&sampler->adoptions, &adoption))
        adopt(sampler, &adoption, now_ns);
}

/* --- ticks ------------------------------------------------------------------------------------ */

/* Whoever keeps the limits need not wait until the queue is half full. */
static void wake_above_limit(struct mw_sampler *sampler, const struct mw_statm *sum)
{
    const struct mw_sampler_options *options = &sampler->options;
    bool above = (options->wake_above_kib > 0 &&
                  (int64_t)sum->resident_pages * sampler->page_kib > options->wake_above_kib) ||
                 (options->wake_above_processes > 0 &&
                  (int64_t)sampler->process_count > options->wake_above_processes);

    if (above && !sampler->above_limit)
        mw_queue_wake(sampler->queue);
    sampler->above_limit = above;
}

/*
 * The pid belongs to nobody else as long as the statm that was opened with it can be read; a pidfd
 * keeps it so.
 */
static void kill_process(struct mw_live_process *process)
{
    mw_auto_fd int fd = pidfd_open(process->pid, 0);
    struct mw_statm statm;

    if (fd >= 0 && mw_process_read(process, &statm) == 0)
        pidfd_send_signal(fd, SIGKILL, NULL, 0);
}

static void kill_all(struct mw_sampler *sampler)
{
    for (size_t i = 0; i < sampler->process_count; i++)
        kill_process(&sampler->processes[i]);
}

/* Reads every process once. All samples of a sweep carry the same time, so that they can be summed.
 */
static void sweep(struct mw_sampler *sampler, int64_t now_ns)
{
    struct mw_statm sum = {0};

    for (size_t i = 0; i < sampler->process_count;) {
        struct mw_live_process *process = &sampler->processes[i];
        struct mw_statm statm;
        int code = mw_process_read(process, &statm);

        if (code == -ESRCH && notice_end(sampler, process, now_ns))
            continue; /* another one stands in its place now */
        if (code == 0 && has_own_memory(sampler, process, now_ns)) {
            sum.resident_pages += statm.resident_pages;
            sum.shared_pages += statm.shared_pages;
            push_process(sampler, process, &statm, now_ns);
        }
        i++;
    }
    push_tree(sampler, &sum, now_ns);
    wake_above_limit(sampler, &sum);
}

/* Says that nothing is known from the last good sweep until now_ns. */
static void push_gap(struct mw_sampler *sampler, int64_t from_ns, int64_t now_ns, uint64_t ticks)
{
    struct mw_record record = {.kind = MW_RECORD_GAP, .t_ns = now_ns, .gap = {from_ns, ticks}};

    if (mw_queue_push(sampler->queue, &record)) {
        sampler->lost_from_ns = 0;
        sampler->lost_ticks = 0;
    } else {
        sampler->lost_from_ns = from_ns;
        sampler->lost_ticks = ticks;
    }
}

/* What is not known up to the end is a gap too. */
static void close_gap(struct mw_sampler *sampler, int64_t end_ns, uint64_t missed)
{
    if (sampler->lost_from_ns != 0)
        push_gap(sampler, sampler->lost_from_ns, end_ns, sampler->lost_ticks + missed + 1);
    else if (missed > 0)
        push_gap(sampler, sampler->last_sweep_ns, end_ns, missed);
}

static void tick(struct mw_sampler *sampler, int64_t now_ns)
{
    uint64_t missed = mw_schedule_take(&sampler->schedule, now_ns);

    if (sampler->lost_from_ns != 0)
        push_gap(sampler, sampler->lost_from_ns, now_ns, sampler->lost_ticks + missed + 1);
    else if (missed > 0)
        push_gap(sampler, sampler->last_sweep_ns, now_ns, missed);
    if (now_ns >= mw_tracker_due_ns(sampler->tracker)) {
        follow_tree(sampler, now_ns);
        now_ns = mw_now_ns(); /* the sweep comes after the ends that were told */
    }
    sweep(sampler, now_ns);
    if (LOAD(sampler->kills))
        kill_all(sampler);
    sampler->last_sweep_ns = now_ns;
}

/* At the end of the recording: who has ended by then. */
static void finish(struct mw_sampler *sampler, int64_t end_ns)
{
    follow_tree(sampler, end_ns);
    for (size_t i = 0; i < sampler->process_count;) {
        struct mw_live_process *process = &sampler->processes[i];
        struct mw_statm statm;

        if (mw_process_read(process, &statm) != -ESRCH || !notice_end(sampler, process, end_ns))
            i++; /* else another one stands in its place now */
    }
    follow_events(sampler, end_ns); /* how they ended may be known */
}

/* --- life cycle ------------------------------------------------------------------------------- */

/* True also where there is no such descriptor. */
static bool listen_to(const struct mw_sampler *sampler, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return fd < 0 || epoll_ctl(sampler->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

int mw_sampler_new(struct mw_sampler **ret_sampler, const struct mw_sampler_options *options,
                   struct mw_queue *queue, struct mw_error *error)
{
    struct mw_sampler *sampler = calloc(1, sizeof *sampler);
    bool children = options->each || options->sum;
    int code;

    if (!sampler)
        return mw_error_errno(error, ENOMEM, "cannot sample");
    sampler->options = *options;
    sampler->queue = queue;
    sampler->tree_resident_pages = sampler->tree_shared_pages = MW_UNKNOWN;
    sampler->page_kib = sysconf(_SC_PAGESIZE) / 1024;
    mw_adoptions_init(&sampler->adoptions);
    sampler->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sampler->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    code = mw_tracker_new(&sampler->tracker, options->root,
                          children ? options->tracking : MW_TRACKING_NONE, error);
    if (code == 0 && (sampler->wake_fd < 0 || !listen_to(sampler, sampler->wake_fd) ||
                      !listen_to(sampler, mw_tracker_fd(sampler->tracker))))
        code = mw_error_errno(error, errno, "cannot sample");
    if (code < 0) {
        mw_sampler_free(sampler);
        return code;
    }
    *ret_sampler = sampler;
    return 0;
}

void mw_sampler_free(struct mw_sampler *sampler)
{
    if (!sampler)
        return;
    for (size_t i = 0; i < sampler->process_count; i++)
        mw_process_close(&sampler->processes[i]);
    if (sampler->wake_fd >= 0)
        close(sampler->wake_fd);
    if (sampler->epoll_fd >= 0)
        close(sampler->epoll_fd);
    mw_tracker_free(sampler->tracker);
    mw_adoptions_clear(&sampler->adoptions);
    free(sampler->processes);
    free(sampler->free_slots);
    free(sampler);
}

const char *mw_sampler_raise_priority(void)
{
    struct sched_param first = {.sched_priority = 1};

    prctl(PR_SET_TIMERSLACK, 1UL); /* nanoseconds; the default adds 50 us to every wait */
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) == 0)
        return "fifo:1";
    if (setpriority(PRIO_PROCESS, 0, -20) == 0) /* of this thread: Linux keeps it per thread */
        return "nice:-20";
    return "default";
}

const char *mw_sampler_tracking(const struct mw_sampler *sampler)
{
    return mw_tracker_name(sampler->tracker);
}

/*
 * Waits in one system call, until it is time or there is something to hear. True when it was not
 * the time.
 */
static bool wait_until(const struct mw_sampler *sampler, int64_t due_ns, int64_t now_ns)
{
    int64_t calm_until_ns = sampler->heard_ns + sampler->options.calm_ns;
    bool calm = now_ns < calm_until_ns;
    int64_t pause_ns = (calm ? earlier(due_ns, calm_until_ns) : due_ns) - now_ns;
    struct timespec pause = {.tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000};
    struct pollfd wake = {.fd = sampler->wake_fd, .events = POLLIN};
    struct epoll_event event;

    if (calm)
        return ppoll(&wake, 1, &pause, NULL) > 0;
    return epoll_pwait2(sampler->epoll_fd, &event, 1, &pause, NULL) > 0;
}

/* When to look for processes although no event was heard of. */
static int64_t look_ns(const struct mw_sampler *sampler)
{
    int64_t wake_ns = mw_tracker_wake_ns(sampler->tracker);

    return wake_ns == INT64_MAX ? wake_ns
                                : later(wake_ns, sampler->followed_ns + sampler->options.calm_ns);
}

/* Takes the tick that is due, or looks for processes, and else waits. */
static void step(struct mw_sampler *sampler)
{
    int64_t now_ns = mw_now_ns(), due_ns = mw_schedule_due_ns(&sampler->schedule);
    int64_t wake_ns = look_ns(sampler);

    if (now_ns >= due_ns)
        tick(sampler, now_ns);
    else if (now_ns >= wake_ns)
        follow_tree(sampler, now_ns);
    else if (wait_until(sampler, earlier(due_ns, wake_ns), now_ns) && LOAD(sampler->end_ns) == 0) {
        now_ns = sampler->heard_ns = mw_now_ns();
        adopt_waiting(sampler, now_ns);
        follow_tree(sampler, now_ns);
        if (LOAD(sampler->kills))
            kill_all(sampler);
    }
}

/* The first process of the record, and what is below it. */
static void begin(struct mw_sampler *sampler, int64_t start_ns)
{
    pid_t root = sampler->options.root;
    int64_t now_ns = mw_now_ns();
    struct mw_stat stat;

    if (!sampler->options.runs || mw_procfs_read_stat(root, &stat) < 0) {
        add_process(sampler, root, getpid(), MW_ORIGIN_TREE, start_ns, now_ns);
        return;
    }
    add_process(sampler, root, stat.ppid, MW_ORIGIN_ATTACHED, start_ns, now_ns);
    mw_tracker_adopt(sampler->tracker, root, start_ns);
    adopt_waiting(sampler, start_ns);
    follow_tree(sampler, start_ns);
}

void mw_sampler_run(struct mw_sampler *sampler, int64_t start_ns)
{
    int64_t end_ns;

    mw_schedule_start(&sampler->schedule, start_ns, sampler->options.interval_ns);
    sampler->last_sweep_ns = start_ns;
    begin(sampler, start_ns);
    while ((end_ns = atomic_load(&sampler->end_ns)) == 0)
        step(sampler);
    close_gap(sampler, end_ns, mw_schedule_end(&sampler->schedule, end_ns));
    finish(sampler, end_ns);
}

int mw_sampler_adopt(struct mw_sampler *sampler, pid_t pid, uint64_t start_ticks,
                     enum mw_origin origin)
{
    bool room =
        mw_adoptions_put(&sampler->adoptions, &(struct mw_adoption){pid, start_ticks, origin});

    eventfd_write(sampler->wake_fd, 1);
    return room ? 0 : -EAGAIN;
}

void mw_sampler_kill(struct mw_sampler *sampler)
{
    atomic_store(&sampler->kills, true);
    eventfd_write(sampler->wake_fd, 1);
}

void mw_sampler_stop(struct mw_sampler *sampler, int64_t end_ns)
{
    atomic_store(&sampler->end_ns, end_ns);
    eventfd_write(sampler->wake_fd, 1);
}

void mw_sampler_figures(struct mw_sampler *sampler, struct mw_sampler_figures *ret_figures)
{
    mw_schedule_figures(&sampler->schedule, &ret_figures->ticks);
    ret_figures->dropped_records = LOAD(sampler->dropped);
    ret_figures->lost_events = LOAD(sampler->lost_events);
}
