#include "capture/sampler.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "capture/tracker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* No process has as many pages. */
#define UNKNOWN UINT64_MAX

/* A live process. */
struct process {
    pid_t pid;
    uint32_t slot;
    int statm_fd; /* -1: no descriptor was left, so it is opened for each sample */
    uint64_t resident_pages, shared_pages; /* last pushed; UNKNOWN before that */
    struct mw_image *image;                /* what it was last seen to run; NULL: not read yet */
};

struct mw_sampler {
    struct mw_sampler_options options;
    struct mw_queue *queue;
    struct mw_tracker *tracker;
    struct mw_schedule schedule;
    struct process *processes;
    size_t process_count, process_capacity;
    uint32_t *free_slots; /* a stack; its room is process_capacity */
    size_t free_slot_count;
    uint32_t slot_count;                             /* ever used */
    bool tree_series;                                /* the sum has a series of its own */
    uint64_t tree_resident_pages, tree_shared_pages; /* last pushed; UNKNOWN before that */
    int64_t page_kib;
    int64_t last_sweep_ns;
    int64_t lost_from_ns; /* since when the record has a hole; 0: it has none */
    uint64_t lost_ticks;
    _Atomic uint64_t dropped;
    _Atomic int64_t end_ns; /* 0: go on */
    int stop_fd;
};

/* Pushes a record; one that finds no room leaves a hole, which is recorded as soon as there is. */
static bool push(struct mw_sampler *sampler, const struct mw_record *record)
{
    if (mw_queue_push(sampler->queue, record))
        return true;
    atomic_store_explicit(&sampler->dropped,
                          atomic_load_explicit(&sampler->dropped, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (sampler->lost_from_ns == 0)
        sampler->lost_from_ns = sampler->last_sweep_ns;
    return false;
}

static bool push_sample(struct mw_sampler *sampler, uint32_t slot, enum mw_metric metric,
                        int64_t t_ns, uint64_t pages)
{
    return push(sampler, &(struct mw_record){
                             .kind = MW_RECORD_SAMPLE,
                             .t_ns = t_ns,
                             .slot = slot,
                             .sample = {metric, (int64_t)pages * sampler->page_kib},
                         });
}

static bool reserve_process(struct mw_sampler *sampler)
{
    size_t capacity = sampler->process_capacity ? sampler->process_capacity * 2 : 16;
    struct process *processes;
    uint32_t *free_slots;

    if (sampler->process_count < sampler->process_capacity)
        return true;
    processes = reallocarray(sampler->processes, capacity, sizeof *processes);
    if (!processes)
        return false;
    sampler->processes = processes;
    free_slots = reallocarray(sampler->free_slots, capacity, sizeof *free_slots);
    if (!free_slots)
        return false;
    sampler->free_slots = free_slots;
    sampler->process_capacity = capacity;
    return true;
}

/*
 * Reads what a process runs, and pushes it if that is new. A failure means that it has ended, or
 * that it may not be read: it then keeps the image it had.
 */
static void update_image(struct mw_sampler *sampler, struct process *process, int64_t now_ns)
{
    struct mw_image *image = NULL, *copy = NULL;
    struct mw_record record = {.kind = MW_RECORD_IMAGE, .t_ns = now_ns, .slot = process->slot};

    if (mw_procfs_read_image(process->pid, sampler->options.all_arguments, &image) < 0)
        return;
    /* A process that is just ending has no arguments any more. */
    if (process->image && (image->argument_count == 0 || mw_image_equal(process->image, image))) {
        mw_image_free(image);
        return;
    }
    /* One for the writer, one to compare with. */
    if (mw_procfs_read_image(process->pid, sampler->options.all_arguments, &copy) == 0) {
        record.image = copy;
        if (push(sampler, &record)) {
            mw_image_free(process->image);
            process->image = image;
            return;
        }
    }
    mw_image_free(copy);
    mw_image_free(image);
}

static void add_process(struct mw_sampler *sampler, pid_t pid, pid_t ppid, int64_t now_ns)
{
    struct mw_record record = {
        .kind = MW_RECORD_START, .t_ns = now_ns, .start = {.pid = pid, .ppid = ppid}};
    struct process *process;
    int fd;

    if (!reserve_process(sampler)) {
        mw_tracker_forget(sampler->tracker, pid);
        return;
    }
    record.slot = sampler->free_slot_count ? sampler->free_slots[sampler->free_slot_count - 1]
                                           : sampler->slot_count;
    if (!push(sampler, &record)) {
        mw_tracker_forget(sampler->tracker, pid); /* to be found again when there is room */
        return;
    }
    if (sampler->free_slot_count)
        sampler->free_slot_count--;
    else
        sampler->slot_count++;
    fd = mw_procfs_open(pid, "statm");
    process = &sampler->processes[sampler->process_count++];
    *process = (struct process){
        .pid = pid,
        .slot = record.slot,
        .statm_fd = fd < 0 ? -1 : fd,
        .resident_pages = UNKNOWN,
        .shared_pages = UNKNOWN,
    };
    update_image(sampler, process, now_ns);
}

/* Takes a process that has ended out of the tree. False when the queue had no room to say so. */
static bool end_process(struct mw_sampler *sampler, struct process *process, int64_t now_ns)
{
    struct mw_record record = {
        .kind = MW_RECORD_END, .t_ns = now_ns, .slot = process->slot, .end = {-1, -1}};

    if (!push(sampler, &record))
        return false;
    mw_tracker_ended(sampler->tracker, process->pid);
    if (process->statm_fd >= 0)
        close(process->statm_fd);
    mw_image_free(process->image);
    sampler->free_slots[sampler->free_slot_count++] = process->slot;
    *process = sampler->processes[--sampler->process_count];
    return true;
}

static int read_statm(const struct process *process, struct mw_statm *ret_statm)
{
    int fd, code;

    if (process->statm_fd >= 0)
        return mw_procfs_read_statm(process->statm_fd, ret_statm);
    fd = mw_procfs_open(process->pid, "statm");
    if (fd < 0)
        return fd;
    code = mw_procfs_read_statm(fd, ret_statm);
    close(fd);
    return code;
}

/* Pushes a value that is not the one the writer knows. */
static void push_change(struct mw_sampler *sampler, uint32_t slot, enum mw_metric metric,
                        int64_t t_ns, uint64_t pages, uint64_t *known_pages)
{
    if (pages != *known_pages && push_sample(sampler, slot, metric, t_ns, pages))
        *known_pages = pages;
}

static void push_process(struct mw_sampler *sampler, struct process *process,
                         const struct mw_statm *statm, int64_t now_ns)
{
    if (sampler->options.sum && !sampler->options.each)
        return;
    push_change(sampler, process->slot, MW_METRIC_RSS, now_ns, statm->resident_pages,
                &process->resident_pages);
    push_change(sampler, process->slot, MW_METRIC_SHARED, now_ns, statm->shared_pages,
                &process->shared_pages);
}

/* The sum gets a series of its own from the second process on: before, the first process is the
 * tree. */
static void push_tree(struct mw_sampler *sampler, const struct mw_statm *sum, int64_t now_ns)
{
    if (!sampler->options.sum)
        return;
    if (!sampler->tree_series && sampler->options.each && sampler->process_count < 2)
        return;
    sampler->tree_series = true;
    push_change(sampler, MW_RECORD_TREE, MW_METRIC_RSS, now_ns, sum->resident_pages,
                &sampler->tree_resident_pages);
    push_change(sampler, MW_RECORD_TREE, MW_METRIC_SHARED, now_ns, sum->shared_pages,
                &sampler->tree_shared_pages);
}

/* A zombie has no memory any more, a reaped process no file. */
static bool has_ended(int read_code, const struct mw_statm *statm)
{
    return read_code == -ESRCH || read_code == -ENOENT ||
           (read_code == 0 && statm->size_pages == 0);
}

/* Reads every process once. All samples of a sweep carry the same time, so that they can be summed.
 */
static void sweep(struct mw_sampler *sampler, int64_t now_ns)
{
    struct mw_statm sum = {0};

    for (size_t i = 0; i < sampler->process_count;) {
        struct process *process = &sampler->processes[i];
        struct mw_statm statm;
        int code = read_statm(process, &statm);

        if (has_ended(code, &statm)) {
            if (end_process(sampler, process, now_ns))
                continue; /* another one stands in its place now */
        } else if (code == 0) {
            sum.resident_pages += statm.resident_pages;
            sum.shared_pages += statm.shared_pages;
            push_process(sampler, process, &statm, now_ns);
        }
        i++;
    }
    push_tree(sampler, &sum, now_ns);
}

/* Says of every process that has ended that it has, and samples nothing. */
static void end_processes(struct mw_sampler *sampler, int64_t now_ns)
{
    for (size_t i = 0; i < sampler->process_count;) {
        struct process *process = &sampler->processes[i];
        struct mw_statm statm;

        if (!has_ended(read_statm(process, &statm), &statm) ||
            !end_process(sampler, process, now_ns))
            i++; /* else another one stands in its place now */
    }
}

static struct process *find_process(struct mw_sampler *sampler, pid_t pid)
{
    for (size_t i = 0; i < sampler->process_count; i++) {
        if (sampler->processes[i].pid == pid)
            return &sampler->processes[i];
    }
    return NULL;
}

static void follow_tree(struct mw_sampler *sampler, int64_t now_ns)
{
    struct mw_tracker_event event;

    mw_tracker_look(sampler->tracker, now_ns);
    while (mw_tracker_next(sampler->tracker, &event)) {
        struct process *process;

        switch (event.kind) {
        case MW_TRACKER_START:
            add_process(sampler, event.pid, event.ppid, now_ns);
            break;
        case MW_TRACKER_IMAGE:
            process = find_process(sampler, event.pid);
            if (process)
                update_image(sampler, process, now_ns);
            break;
        }
    }
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

static void tick(struct mw_sampler *sampler, int64_t now_ns)
{
    uint64_t missed = mw_schedule_take(&sampler->schedule, now_ns);

    if (sampler->lost_from_ns != 0)
        push_gap(sampler, sampler->lost_from_ns, now_ns, sampler->lost_ticks + missed + 1);
    else if (missed > 0)
        push_gap(sampler, sampler->last_sweep_ns, now_ns, missed);
    if (now_ns >= mw_tracker_due_ns(sampler->tracker))
        follow_tree(sampler, now_ns);
    sweep(sampler, now_ns);
    sampler->last_sweep_ns = now_ns;
}

int mw_sampler_new(struct mw_sampler **ret_sampler, const struct mw_sampler_options *options,
                   struct mw_queue *queue, struct mw_error *error)
{
    struct mw_sampler *sampler = calloc(1, sizeof *sampler);
    int code;

    if (!sampler)
        return mw_error_errno(error, ENOMEM, "cannot sample");
    sampler->options = *options;
    sampler->queue = queue;
    sampler->tree_resident_pages = sampler->tree_shared_pages = UNKNOWN;
    sampler->page_kib = sysconf(_SC_PAGESIZE) / 1024;
    sampler->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sampler->stop_fd < 0)
        code = mw_error_errno(error, errno, "eventfd");
    else
        code =
            mw_tracker_new(&sampler->tracker, options->root, options->each || options->sum, error);
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
    for (size_t i = 0; i < sampler->process_count; i++) {
        if (sampler->processes[i].statm_fd >= 0)
            close(sampler->processes[i].statm_fd);
        mw_image_free(sampler->processes[i].image);
    }
    if (sampler->stop_fd >= 0)
        close(sampler->stop_fd);
    mw_tracker_free(sampler->tracker);
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

/* Waits for the next tick or the stop, in one system call. */
static void wait_until(const struct mw_sampler *sampler, int64_t due_ns)
{
    struct pollfd stop = {.fd = sampler->stop_fd, .events = POLLIN};
    int64_t pause_ns = due_ns - mw_now_ns();
    struct timespec pause = {.tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000};

    if (pause_ns > 0)
        ppoll(&stop, 1, &pause, NULL);
}

void mw_sampler_run(struct mw_sampler *sampler, int64_t start_ns)
{
    int64_t end_ns;

    mw_schedule_start(&sampler->schedule, start_ns, sampler->options.interval_ns);
    sampler->last_sweep_ns = start_ns;
    add_process(sampler, sampler->options.root, getpid(), start_ns);
    while ((end_ns = atomic_load(&sampler->end_ns)) == 0) {
        int64_t now_ns = mw_now_ns();

        if (now_ns >= mw_schedule_due_ns(&sampler->schedule))
            tick(sampler, now_ns);
        else
            wait_until(sampler, mw_schedule_due_ns(&sampler->schedule));
    }
    mw_schedule_end(&sampler->schedule, end_ns);
    end_processes(sampler, end_ns);
}

void mw_sampler_stop(struct mw_sampler *sampler, int64_t end_ns)
{
    atomic_store(&sampler->end_ns, end_ns);
    eventfd_write(sampler->stop_fd, 1);
}

void mw_sampler_figures(struct mw_sampler *sampler, struct mw_sampler_figures *ret_figures)
{
    mw_schedule_figures(&sampler->schedule, &ret_figures->ticks);
    ret_figures->dropped_records = atomic_load_explicit(&sampler->dropped, memory_order_relaxed);
}
