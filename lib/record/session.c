#include "record/session.h"

#include "capture/clock.h"
#include "capture/highwater.h"
#include "capture/procfs.h"
#include "capture/queue.h"
#include "capture/sampler.h"
#include "record/events.h"
#include "record/exit.h"
#include "record/functions.h"
#include "record/readings.h"
#include "record/reaped.h"
#include "record/verdicts.h"
#include "store/writer.h"
#include "util/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* 32,768 records, 1 MiB: what 16 series produce in two seconds at 1 kHz, while the disk stalls. */
enum { QUEUE_RECORDS = 32768 };
/* Between two commits; and where samples are rare, and must not cost more than they have to. */
static const int64_t commit_pause_ns = 200000000, rare_commit_pause_ns = 1000000000;
static const int64_t rare_interval_ns = 50000000;
static const int64_t clock_tolerance_ns = 10000000;
/* Between two ticks, so often at most: a busy machine tells of many events that concern others. */
static const int64_t attached_calm_ns = 50000000;

struct mw_session {
    struct mw_writer *writer;
    struct mw_queue *queue;
    struct mw_sampler *sampler;
    struct mw_readings *readings;
    struct mw_windows *windows;
    struct mw_reaped *reaped;
    struct mw_functions *functions; /* NULL: there is no place for marks */
    struct mw_events *events;
    struct mw_verdicts *verdicts;
    char *version, *note;
    char **command; /* ends with NULL */
    size_t command_length;
    int64_t interval_ns;
    int64_t rss_bound_bytes;
    enum mw_tracking tracking;
    enum mw_children children;
    bool all_arguments;
    bool runs, goes_on;
    pid_t root;
    struct mw_limits_options limits;

    char notice[512];

    pthread_t sampler_thread, writer_thread, marks_thread;
    bool waits_for_marks;        /* the thread for marks exists */
    atomic_bool stops;           /* it is to end */
    bool armed;                  /* the threads exist */
    sem_t sampler_ready;         /* the sampler thread has its priority */
    sem_t sampler_go, writer_go; /* start_ns is set: record, or end at once where it is 0 */
    const char *scheduling;
    int64_t start_ns, start_realtime_ns;

    _Atomic int64_t stop_ns;   /* 0: go on */
    struct mw_session_end end; /* set before stop_ns; its reason is gone once the threads are */
    uint64_t left_out;         /* records that found no room in the file before the end */
    int64_t next_commit_ns;
    int64_t held_up_until_ns;   /* a reader holds the file up: nothing is done before */
    int64_t realtime_offset_ns; /* of the last clock row */
    uint64_t ticks_committed;

    int failure_fd;
    struct mw_error failure; /* of the writer thread; set before failure_fd becomes readable */
    atomic_bool failed;
};

static int64_t to_us(const struct mw_session *session, int64_t t_ns)
{
    return (t_ns - session->start_ns) / 1000;
}

/* --- the writer thread ------------------------------------------------------------------------ */

static int store_record(struct mw_session *session, const struct mw_record *record,
                        struct mw_error *error)
{
    struct mw_writer *writer = session->writer;
    int64_t t_us = to_us(session, record->t_ns);
    struct mw_gap gap;
    bool stored;

    switch (record->kind) {
    case MW_RECORD_SAMPLE:
        return mw_writer_add_sample(writer, record->slot, record->sample.metric, t_us,
                                    record->sample.kib, error);
    case MW_RECORD_START:
        return mw_writer_start_process(writer, record->slot, record->start.pid, record->start.ppid,
                                       t_us, error);
    case MW_RECORD_IMAGE:
        return mw_writer_add_image(writer, record->slot, t_us, record->image->name,
                                   (const char *const *)record->image->arguments,
                                   record->image->argument_count, error);
    case MW_RECORD_END:
        return mw_writer_end_process(writer, record->slot, t_us,
                                     mw_exit_status(record->status.wait_status),
                                     mw_exit_signal(record->status.wait_status), error);
    case MW_RECORD_STATUS:
        return mw_writer_set_exit(writer,
                                  &(struct mw_exit){
                                      .pid = record->status.pid,
                                      .t_us = t_us,
                                      .status = mw_exit_status(record->status.wait_status),
                                      .signal = mw_exit_signal(record->status.wait_status),
                                      .max_rss_kib = -1,
                                  },
                                  &stored, error);
    case MW_RECORD_OWN:
        return 0;
    case MW_RECORD_GAP:
        gap = (struct mw_gap){to_us(session, record->gap.from_ns), t_us, record->gap.ticks};
        return mw_writer_add_gap(writer, &gap, error);
    }
    return 0;
}

/* A row of the slow tier. */
static int store_row(void *context, const struct mw_row *row)
{
    struct mw_session *session = context;

    mw_verdicts_reading(session->verdicts, row->slot, row->metric, row->t_ns, row->kib);
    return mw_writer_add_sample(session->writer,
                                row->slot == MW_RECORD_TREE ? MW_SLOT_TREE : row->slot, row->metric,
                                to_us(session, row->t_ns), row->kib, &session->failure);
}

static int follow_window(void *context, const struct mw_window *window)
{
    struct mw_session *session = context;
    int code = mw_events_peak(session->events, window->from_ns, window->reset_ns, window->kib,
                              &session->failure);

    mw_writer_allow_peak(session->writer, window->slot, window->kib + window->unseen_kib);
    /* It belongs to the calls that are open when it ends. */
    if (code == 0)
        code = mw_functions_advance(session->functions, window->taken_ns, &session->failure);
    if (code == 0)
        mw_functions_window(session->functions, window->slot, window->taken_ns, window->kib,
                            window->unseen_kib, window->reset_ns);
    return code;
}

static struct mw_windows_sink windows_sink(struct mw_session *session)
{
    return (struct mw_windows_sink){session, follow_window, store_row};
}

static void show_to_slow_tier(struct mw_session *session, uint32_t slot, pid_t pid, int64_t t_ns)
{
    mw_readings_add(session->readings, slot, pid, t_ns);
    mw_windows_add(session->windows, slot, pid, t_ns);
}

/* What the slow tier has to know. A process that ends leaves last rows. */
static int inform_slow_tier(struct mw_session *session, const struct mw_record *record)
{
    const struct mw_windows_sink sink = windows_sink(session);
    int code;

    switch (record->kind) {
    case MW_RECORD_START:
        if (!record->start.borrows)
            show_to_slow_tier(session, record->slot, record->start.pid, record->t_ns);
        return 0;
    case MW_RECORD_OWN:
        show_to_slow_tier(session, record->slot, record->own_pid, record->t_ns);
        return 0;
    case MW_RECORD_SAMPLE:
        if (record->sample.metric == MW_METRIC_RSS)
            mw_windows_sample(session->windows, record->slot, record->sample.kib);
        return 0;
    case MW_RECORD_END:
        if ((code = mw_readings_end(session->readings, record->slot, store_row, session)) < 0)
            return code;
        return mw_windows_end(session->windows, record->slot, &sink);
    default:
        return 0;
    }
}

/* What has to be known of processes where their functions are marked. */
static int inform_functions(struct mw_session *session, const struct mw_record *record,
                            struct mw_error *error)
{
    struct mw_functions *functions = session->functions;
    int code;

    if ((code = mw_functions_advance(functions, record->t_ns, error)) < 0)
        return code;
    switch (record->kind) {
    case MW_RECORD_START:
        return mw_functions_process_started(functions, record->start.pid, record->slot,
                                            record->t_ns, error);
    case MW_RECORD_IMAGE:
        return record->executed
                   ? mw_functions_process_executed(functions, record->slot, record->t_ns, error)
                   : 0;
    case MW_RECORD_END:
        return mw_functions_process_ended(functions, record->slot, record->t_ns, error);
    case MW_RECORD_SAMPLE:
        if (record->sample.metric == MW_METRIC_RSS)
            mw_functions_sample(functions, record->slot, record->t_ns, record->sample.kib);
        return 0;
    default:
        return 0;
    }
}

/* Stores what the sampler has found, until it is time to commit. */
static int drain_queue(struct mw_session *session, struct mw_error *error)
{
    struct mw_record record;
    int code = 0;

    while (code == 0 && !mw_writer_is_full(session->writer) &&
           mw_queue_pop(session->queue, &record)) {
        if ((code = inform_functions(session, &record, error)) == 0)
            code = inform_slow_tier(session, &record);
        if (code == 0)
            code = store_record(session, &record, error);
        if (code == 0)
            code = mw_events_record(session->events, &record, error);
        if (code == 0)
            mw_verdicts_record(session->verdicts, &record);
        if (record.kind == MW_RECORD_IMAGE)
            mw_image_free(record.image);
    }
    return code;
}

static struct mw_recorder_cost recorder_cost(const struct mw_session *session,
                                             const struct mw_sampler_figures *figures)
{
    struct rusage usage;
    uint64_t max_rss_kib = 0;

    getrusage(RUSAGE_SELF, &usage);
    /* Not ru_maxrss: that may have come with us through exec from a larger program. */
    mw_procfs_read_high_water(getpid(), &max_rss_kib);
    return (struct mw_recorder_cost){
        .cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
                  usage.ru_utime.tv_usec + usage.ru_stime.tv_usec,
        .max_rss_bytes = (int64_t)max_rss_kib * 1024,
        .blind_us = mw_windows_blind_ns(session->windows) / 1000,
        .lost_events = figures->lost_events,
        .dropped_records = figures->dropped_records + session->left_out,
        .lost_marks = mw_functions_lost(session->functions),
    };
}

static int64_t ns_to_us(int64_t ns)
{
    return ns < 0 ? -1 : ns / 1000;
}

static int store_progress(struct mw_session *session, int64_t now_ns, bool always,
                          struct mw_error *error)
{
    struct mw_sampler_figures figures;
    struct mw_ticks ticks;
    struct mw_recorder_cost cost;

    mw_sampler_figures(session->sampler, &figures);
    /* A recording that ticks once an hour need not touch the disk in between. */
    if (!always && figures.ticks.taken == session->ticks_committed)
        return 0;
    session->ticks_committed = figures.ticks.taken;
    ticks = (struct mw_ticks){
        .due = figures.ticks.taken + figures.ticks.missed,
        .taken = figures.ticks.taken,
        .missed = figures.ticks.missed,
        .longest_gap_us = figures.ticks.longest_gap_ns / 1000,
        .lateness_p50_us = ns_to_us(figures.ticks.lateness_p50_ns),
        .lateness_p99_us = ns_to_us(figures.ticks.lateness_p99_ns),
        .lateness_max_us = ns_to_us(figures.ticks.lateness_max_ns),
    };
    cost = recorder_cost(session, &figures);
    return mw_writer_set_progress(session->writer, to_us(session, now_ns), &ticks, &cost, error);
}

/* Stores a clock row when the clocks have moved apart: somebody set the clock, the machine slept.
 */
static int follow_clock(struct mw_session *session, int64_t now_ns, struct mw_error *error)
{
    int64_t before_ns = mw_now_ns();
    int64_t offset_ns = mw_clock_ns(CLOCK_REALTIME) - before_ns;

    /* Held up between the two readings: the next look will do. */
    if (mw_now_ns() - before_ns > clock_tolerance_ns / 10)
        return 0;
    if (llabs(offset_ns - session->realtime_offset_ns) <= clock_tolerance_ns)
        return 0;
    session->realtime_offset_ns = offset_ns;
    return mw_writer_add_clock(session->writer, to_us(session, now_ns), now_ns + offset_ns, error);
}

static int64_t pause_of_commits(const struct mw_session *session)
{
    return session->runs && session->interval_ns >= rare_interval_ns ? rare_commit_pause_ns
                                                                     : commit_pause_ns;
}

static int commit(struct mw_session *session, int64_t now_ns, struct mw_error *error)
{
    int code;

    session->next_commit_ns = now_ns + pause_of_commits(session);
    if ((code = follow_clock(session, now_ns, error)) < 0 ||
        (code = mw_reaped_store(session->reaped, session->writer, session->events,
                                session->start_ns, error)) < 0 ||
        (code = mw_events_look(session->events, now_ns, false, error)) < 0 ||
        (code = mw_functions_flush(session->functions, error)) < 0 ||
        (code = store_progress(session, now_ns, false, error)) < 0)
        return code;
    return mw_writer_commit(session->writer, error);
}

/*
 * Stores all that the sampler has found; -EAGAIN where a reader keeps the file from taking more of
 * it. Until it has ended the queue takes what comes, and counts what it cannot take.
 */
static int drain(struct mw_session *session, int64_t now_ns, struct mw_error *error)
{
    int code = 0;

    while (code == 0) {
        if (mw_writer_is_held_up(session->writer))
            return -EAGAIN;
        if ((code = drain_queue(session, error)) < 0 || !mw_writer_is_full(session->writer))
            break;
        code = commit(session, now_ns, error);
    }
    return code;
}

/* At the end readers are waited for a little while; then what is left is left out. */
static int drain_rest(struct mw_session *session, int64_t now_ns, struct mw_error *error)
{
    static const struct timespec pause = {.tv_nsec = 50000000};
    struct mw_record record;
    int code = drain(session, now_ns, error);

    for (int tries = 40; code == -EAGAIN && tries > 0; tries--) {
        nanosleep(&pause, NULL);
        code = drain(session, now_ns, error);
    }
    while (code == -EAGAIN && mw_queue_pop(session->queue, &record)) {
        session->left_out++;
        if (record.kind == MW_RECORD_IMAGE)
            mw_image_free(record.image);
    }
    return code == -EAGAIN ? 0 : code;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Waits until a commit or a reading is due, the queue is half full, or the recording stops. */
static void wait_for_work(struct mw_session *session)
{
    int64_t due_ns = earliest(
        earliest(session->next_commit_ns, mw_verdicts_due_ns(session->verdicts)),
        earliest(mw_readings_due_ns(session->readings), mw_windows_due_ns(session->windows)));
    int64_t pause_ns =
        (due_ns > session->held_up_until_ns ? due_ns : session->held_up_until_ns) - mw_now_ns();
    struct timespec pause = {.tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000};
    struct pollfd queue = {.fd = mw_queue_fd(session->queue), .events = POLLIN};
    eventfd_t ignored;

    if (pause_ns > 0 && ppoll(&queue, 1, &pause, NULL) > 0)
        eventfd_read(queue.fd, &ignored);
}

static int begin_run(struct mw_session *session, struct mw_error *error)
{
    mw_auto_free char *cwd = getcwd(NULL, 0);
    char *tracking = strdup(mw_sampler_tracking(session->sampler));
    char *scheduling = strdup(session->scheduling);
    struct mw_run run = {
        .version = session->version,
        .command = session->command,
        .command_length = session->command_length,
        .started_ns = session->start_realtime_ns,
        .interval_us = session->interval_ns / 1000,
        .children = session->children,
        .cwd = cwd ? cwd : (char[]){"?"},
        .note = session->note,
        .scheduling = scheduling,
        .tracking = tracking,
        .rss_bound_bytes = session->rss_bound_bytes,
        .peak_bound_bytes = mw_high_water_bound_kib() * 1024,
    };
    int code = tracking && scheduling ? mw_writer_begin_run(session->writer, &run, error)
                                      : mw_error_errno(error, ENOMEM, "cannot record");

    if (code == 0 && !mw_verdicts_begin(session->verdicts, session->writer, session->start_ns))
        code = mw_error_errno(error, ENOMEM, "cannot record");
    if (code == 0)
        code = mw_events_begin(session->events, session->writer, session->start_ns, session->root,
                               error);
    if (code == 0)
        code = mw_functions_begin(
            session->functions,
            &(struct mw_functions_sinks){session->writer, session->windows, session->events}, &run,
            session->start_ns, error);
    free(tracking);
    free(scheduling);
    return code;
}

/* Stores what the sampler has found, and does what is due of the rest. */
static int work(struct mw_session *session, struct mw_error *error)
{
    const struct mw_windows_sink sink = windows_sink(session);
    int64_t now_ns = mw_now_ns();
    int code = drain(session, now_ns, error);

    if (code == -EAGAIN) {
        session->held_up_until_ns = now_ns + commit_pause_ns;
        return 0;
    }
    if (code == 0)
        code = mw_functions_advance(session->functions, now_ns, error);
    if (code == 0 && now_ns >= mw_windows_due_ns(session->windows))
        code = mw_windows_take(session->windows, &sink);
    if (code == 0 && now_ns >= mw_readings_due_ns(session->readings))
        code = mw_readings_take(session->readings, store_row, session);
    if (code == 0)
        code = mw_verdicts_look(session->verdicts, now_ns, error);
    if (code == 0 && now_ns >= session->next_commit_ns)
        code = commit(session, now_ns, error);
    return code;
}

/* What the end of the recording, and of its first process, has to do with. */
static int store_last_events(struct mw_session *session, int64_t stop_ns, struct mw_error *error)
{
    const struct mw_session_end *end = &session->end;

    if (end->exit_signal >= 0)
        mw_events_told(session->events, session->root, end->exit_signal);
    if (end->outcome == MW_OUTCOME_DETACHED)
        return mw_events_detached(session->events, stop_ns, end->reason, error);
    return mw_events_look(session->events, stop_ns, true, error);
}

static int write_run(struct mw_session *session, struct mw_error *error)
{
    const struct mw_windows_sink sink = windows_sink(session);
    int64_t stop_ns;
    int code;

    if ((code = begin_run(session, error)) < 0)
        return code;
    session->realtime_offset_ns = session->start_realtime_ns - session->start_ns;
    session->next_commit_ns =
        session->start_ns + commit_pause_ns; /* soon there is a file to read */
    while ((stop_ns = atomic_load(&session->stop_ns)) == 0) {
        if ((code = work(session, error)) < 0)
            return code;
        wait_for_work(session);
    }
    /* The sampler has ended before stop_ns was set: the queue holds all that there will be. */
    if ((code = drain_rest(session, stop_ns, error)) < 0 ||
        (code = mw_windows_finish(session->windows, &sink)) < 0 ||
        (code = mw_readings_finish(session->readings, store_row, session)) < 0 ||
        (code = mw_reaped_store(session->reaped, session->writer, session->events,
                                session->start_ns, error)) < 0 ||
        (code = mw_verdicts_finish(session->verdicts, stop_ns, error)) < 0 ||
        (code = store_last_events(session, stop_ns, error)) < 0 ||
        (code = mw_functions_finish(session->functions, error)) < 0 ||
        (code = store_progress(session, stop_ns, true, error)) < 0)
        return code;
    return mw_writer_end_run(session->writer, session->end.outcome, session->end.exit_status,
                             session->end.exit_signal, session->end.max_rss_kib, error);
}

static void discard_until_stop(struct mw_session *session)
{
    struct pollfd queue = {.fd = mw_queue_fd(session->queue), .events = POLLIN};
    struct mw_record record;
    eventfd_t ignored;

    while (atomic_load(&session->stop_ns) == 0) {
        poll(&queue, 1, -1);
        eventfd_read(queue.fd, &ignored);
        while (mw_queue_pop(session->queue, &record)) {
            if (record.kind == MW_RECORD_IMAGE)
                mw_image_free(record.image);
        }
    }
}

static void *run_writer(void *argument)
{
    struct mw_session *session = argument;

    sem_wait(&session->writer_go);
    if (session->start_ns == 0)
        return NULL;
    if (write_run(session, &session->failure) < 0) {
        atomic_store(&session->failed, true);
        eventfd_write(session->failure_fd, 1);
        discard_until_stop(session);
    }
    return NULL;
}

/* --- the thread for marks --------------------------------------------------------------------- */

/* Marks can wake nobody but who waits for them: it hands that on. */
static void *run_marks(void *argument)
{
    struct mw_session *session = argument;

    for (;;) {
        uint32_t seen = mw_functions_wakes(session->functions);

        if (atomic_load(&session->stops))
            return NULL;
        mw_functions_wait(session->functions, seen);
        mw_queue_wake(session->queue);
    }
}

/* --- the sampler thread ----------------------------------------------------------------------- */

static void *run_sampler(void *argument)
{
    struct mw_session *session = argument;

    session->scheduling = mw_sampler_raise_priority();
    sem_post(&session->sampler_ready);
    sem_wait(&session->sampler_go);
    if (session->start_ns != 0)
        mw_sampler_run(session->sampler, session->start_ns);
    return NULL;
}

/* --- the caller's thread ---------------------------------------------------------------------- */

static int copy_command(struct mw_session *session, const struct mw_session_options *options)
{
    size_t length = 0;

    while (options->command[length] && (length == 0 || options->all_arguments))
        length++;
    session->command = calloc(length + 1, sizeof *session->command);
    if (!session->command)
        return -ENOMEM;
    for (; session->command_length < length; session->command_length++) {
        session->command[session->command_length] =
            strdup(options->command[session->command_length]);
        if (!session->command[session->command_length])
            return -ENOMEM;
    }
    return 0;
}

/* Without a place for marks everything else is recorded. */
static void open_functions(struct mw_session *session, bool resets)
{
    struct mw_error error;

    if (mw_functions_open(&session->functions, resets, &error) < 0)
        snprintf(session->notice, sizeof session->notice, "%s", error.text);
}

static int open_events(struct mw_session *session, const struct mw_session_options *options,
                       struct mw_error *error)
{
    return mw_events_new(&session->events,
                         &(struct mw_events_options){
                             .limits = options->limits,
                             .on_limit = options->on_limit,
                             .peak_bound_kib = mw_high_water_bound_kib(),
                         },
                         error);
}

int mw_session_open(struct mw_session **ret_session, const struct mw_session_options *options,
                    struct mw_error *error)
{
    struct mw_session *session = calloc(1, sizeof *session);
    bool series_of_processes = options->children != MW_CHILDREN_SUM;
    int code = 0;

    if (!session)
        return mw_error_errno(error, ENOMEM, "cannot record");
    sem_init(&session->sampler_ready, 0, 0);
    sem_init(&session->sampler_go, 0, 0);
    sem_init(&session->writer_go, 0, 0);
    session->interval_ns = options->interval_ns;
    session->rss_bound_bytes = mw_resident_bound_kib() * 1024; /* while there is only this thread */
    session->tracking = options->runs && options->tracking == MW_TRACKING_BEST
                            ? MW_TRACKING_BEST_RUNNING
                            : options->tracking;
    session->runs = options->runs;
    session->goes_on = options->goes_on;
    session->limits = options->limits;
    session->children = options->children;
    session->all_arguments = options->all_arguments;
    session->failure_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    session->readings = mw_readings_new(&(struct mw_readings_options){
        .metrics = options->metrics,
        .each = series_of_processes,
        .sum = options->children != MW_CHILDREN_NONE,
        .pss_of_sum = !options->runs,
    });
    session->windows = mw_windows_new(series_of_processes ? options->window_ns : MW_WINDOW_OFF);
    session->reaped = mw_reaped_new();
    session->verdicts = mw_verdicts_new(options->judged_after_s);
    session->version = strdup(options->version);
    session->note = options->note ? strdup(options->note) : NULL;
    if (session->failure_fd < 0)
        code = mw_error_errno(error, errno, "eventfd");
    else if (!session->readings || !session->windows || !session->reaped || !session->verdicts ||
             !session->version || (options->note && !session->note) ||
             copy_command(session, options) < 0)
        code = mw_error_errno(error, ENOMEM, "cannot record");
    else if ((code = open_events(session, options, error)) == 0 &&
             (code = mw_queue_new(&session->queue, QUEUE_RECORDS, error)) == 0 &&
             (code = mw_writer_open(&session->writer, options->path, error)) == 0)
        code = mw_writer_keep(session->writer, &options->keep, error);
    if (code < 0) {
        mw_session_free(session);
        return code;
    }
    if (!options->runs)
        open_functions(session, options->window_ns != MW_WINDOW_OFF);
    *ret_session = session;
    return 0;
}

const char *mw_session_marks_path(const struct mw_session *session)
{
    return mw_functions_path(session->functions);
}

const char *mw_session_notice(const struct mw_session *session)
{
    return *session->notice ? session->notice : mw_writer_notice(session->writer);
}

/* Every process of the tree takes two or three descriptors; the target keeps its own limit. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start_marks_thread(struct mw_session *session, struct mw_error *error)
{
    int code =
        session->functions ? pthread_create(&session->marks_thread, NULL, run_marks, session) : 0;

    session->waits_for_marks = session->functions && code == 0;
    return code == 0 ? 0 : mw_error_errno(error, code, "cannot start a thread");
}

int mw_session_arm(struct mw_session *session, pid_t root, struct mw_error *error)
{
    struct mw_sampler_options options = {
        .root = root,
        .runs = session->runs,
        .goes_on = session->goes_on,
        .calm_ns = session->runs ? attached_calm_ns : 0,
        .wake_above_kib = session->limits.limits[MW_LIMIT_MAX_RSS] / 1024,
        .wake_above_processes = session->limits.limits[MW_LIMIT_MAX_PROCESSES],
        .interval_ns = session->interval_ns,
        .tracking = session->tracking,
        .each = session->children == MW_CHILDREN_EACH,
        .sum = session->children != MW_CHILDREN_NONE,
        .all_arguments = session->all_arguments,
    };
    int code;

    session->root = root;
    raise_descriptor_limit();
    if ((code = mw_sampler_new(&session->sampler, &options, session->queue, error)) < 0)
        return code;
    code = pthread_create(&session->sampler_thread, NULL, run_sampler, session);
    if (code != 0)
        return mw_error_errno(error, code, "cannot start a thread");
    code = pthread_create(&session->writer_thread, NULL, run_writer, session);
    if (code != 0) {
        sem_post(&session->sampler_go);
        pthread_join(session->sampler_thread, NULL);
        return mw_error_errno(error, code, "cannot start a thread");
    }
    session->armed = true;
    sem_wait(&session->sampler_ready);
    return start_marks_thread(session, error);
}

int mw_session_adopt(struct mw_session *session, pid_t pid, uint64_t start_ticks, bool restarted)
{
    return mw_sampler_adopt(session->sampler, pid, start_ticks,
                            restarted ? MW_ORIGIN_RESTARTED : MW_ORIGIN_ATTACHED);
}

void mw_session_start(struct mw_session *session)
{
    session->start_realtime_ns = mw_clock_ns(CLOCK_REALTIME);
    session->start_ns = mw_now_ns();
    sem_post(&session->sampler_go);
    sem_post(&session->writer_go);
}

void mw_session_tell_end(struct mw_session *session, pid_t pid, int wait_status,
                         int64_t max_rss_kib)
{
    if (!atomic_load(&session->failed) && session->children != MW_CHILDREN_NONE)
        mw_reaped_tell(session->reaped, pid, wait_status, max_rss_kib);
}

int mw_session_crossing_fd(const struct mw_session *session)
{
    return mw_events_fd(session->events);
}

bool mw_session_next_crossing(struct mw_session *session, struct mw_crossing *ret_crossing)
{
    return mw_events_next_crossing(session->events, ret_crossing);
}

void mw_session_kill(struct mw_session *session)
{
    mw_sampler_kill(session->sampler);
}

int mw_session_failure_fd(const struct mw_session *session)
{
    return session->failure_fd;
}

void mw_session_failure(struct mw_session *session, struct mw_error *ret_error)
{
    /* The load orders this after the writer thread's last word on it. */
    *ret_error = atomic_load(&session->failed) ? session->failure : (struct mw_error){0};
}

/* Joins the threads: the sampler first, so that the writer then finds all there is. */
static void join(struct mw_session *session)
{
    int64_t now_ns = mw_now_ns();

    if (session->start_ns == 0)
        sem_post(&session->sampler_go);
    mw_sampler_stop(session->sampler, now_ns);
    pthread_join(session->sampler_thread, NULL);
    atomic_store(&session->stop_ns, now_ns);
    if (session->start_ns == 0)
        sem_post(&session->writer_go);
    mw_queue_wake(session->queue);
    pthread_join(session->writer_thread, NULL);
    if (session->waits_for_marks) {
        atomic_store(&session->stops, true);
        mw_functions_wake(session->functions);
        pthread_join(session->marks_thread, NULL);
        session->waits_for_marks = false;
    }
    session->armed = false;
}

int mw_session_stop(struct mw_session *session, const struct mw_session_end *end,
                    struct mw_error *error)
{
    session->end = *end;
    join(session);
    mw_writer_close(session->writer);
    session->writer = NULL;
    if (session->failure.code < 0 && error)
        *error = session->failure;
    return session->failure.code;
}

void mw_session_free(struct mw_session *session)
{
    if (!session)
        return;
    if (session->armed) {
        session->end = (struct mw_session_end){MW_OUTCOME_DETACHED, -1, -1, -1, NULL};
        join(session);
    }
    mw_writer_close(session->writer);
    mw_sampler_free(session->sampler);
    mw_queue_free(session->queue);
    mw_readings_free(session->readings);
    mw_windows_free(session->windows);
    mw_functions_close(session->functions);
    mw_reaped_free(session->reaped);
    mw_events_free(session->events);
    mw_verdicts_free(session->verdicts);
    sem_destroy(&session->sampler_ready);
    sem_destroy(&session->sampler_go);
    sem_destroy(&session->writer_go);
    if (session->failure_fd >= 0)
        close(session->failure_fd);
    for (size_t i = 0; i < session->command_length; i++)
        free(session->command[i]);
    free(session->command);
    free(session->version);
    free(session->note);
    free(session);
}
