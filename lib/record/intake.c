#include "record/intake.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "record/exit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* Until a file is there to be read, and while a reader holds it up. */
static const int64_t short_pause_ns = 200000000;
static const int64_t clock_tolerance_ns = 10000000;

static int64_t to_us(const struct mw_intake *intake, int64_t t_ns)
{
    return (t_ns - intake->start_ns) / 1000;
}

/* --- storing ---------------------------------------------------------------------------------- */

static int store_record(struct mw_intake *intake, const struct mw_record *record,
                        struct mw_error *error)
{
    struct mw_writer *writer = intake->writer;
    int64_t t_us = to_us(intake, record->t_ns);
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
        gap = (struct mw_gap){to_us(intake, record->gap.from_ns), t_us, record->gap.ticks};
        return mw_writer_add_gap(writer, &gap, error);
    }
    return 0;
}

/* A row of the slow tier. */
static int store_row(void *context, const struct mw_row *row)
{
    struct mw_intake *intake = context;

    mw_verdicts_reading(intake->verdicts, row->slot, row->metric, row->t_ns, row->kib);
    return mw_writer_add_sample(intake->writer,
                                row->slot == MW_RECORD_TREE ? MW_SLOT_TREE : row->slot, row->metric,
                                to_us(intake, row->t_ns), row->kib, intake->error);
}

static int follow_window(void *context, const struct mw_window *window)
{
    struct mw_intake *intake = context;
    int code = mw_events_peak(intake->events, window->from_ns, window->reset_ns, window->kib,
                              intake->error);

    mw_writer_allow_peak(intake->writer, window->slot, window->kib + window->unseen_kib);
    /* It belongs to the calls that are open when it ends. */
    if (code == 0)
        code = mw_functions_advance(intake->functions, window->taken_ns, intake->error);
    if (code == 0)
        mw_functions_window(intake->functions, window->slot, window->taken_ns, window->kib,
                            window->unseen_kib, window->reset_ns);
    return code;
}

static struct mw_windows_sink windows_sink(struct mw_intake *intake)
{
    return (struct mw_windows_sink){intake, follow_window, store_row};
}

static void show_to_slow_tier(struct mw_intake *intake, uint32_t slot, pid_t pid, int64_t t_ns)
{
    mw_readings_add(intake->readings, slot, pid, t_ns);
    mw_windows_add(intake->windows, slot, pid, t_ns);
}

/* What the slow tier has to know. A process that ends leaves last rows. */
static int inform_slow_tier(struct mw_intake *intake, const struct mw_record *record)
{
    const struct mw_windows_sink sink = windows_sink(intake);
    int code;

    switch (record->kind) {
    case MW_RECORD_START:
        if (!record->start.borrows)
            show_to_slow_tier(intake, record->slot, record->start.pid, record->t_ns);
        return 0;
    case MW_RECORD_OWN:
        show_to_slow_tier(intake, record->slot, record->own_pid, record->t_ns);
        return 0;
    case MW_RECORD_SAMPLE:
        if (record->sample.metric == MW_METRIC_RSS)
            mw_windows_sample(intake->windows, record->slot, record->sample.kib);
        return 0;
    case MW_RECORD_END:
        if ((code = mw_readings_end(intake->readings, record->slot, store_row, intake)) < 0)
            return code;
        return mw_windows_end(intake->windows, record->slot, &sink);
    default:
        return 0;
    }
}

/* What has to be known of processes where their functions are marked. */
static int inform_functions(struct mw_intake *intake, const struct mw_record *record,
                            struct mw_error *error)
{
    struct mw_functions *functions = intake->functions;
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

/* Stores what the sampler has found, until it is time to commit. 1: a reader may hold the file up.
 */
static int drain_queue(struct mw_intake *intake, struct mw_error *error)
{
    struct mw_record record;
    int code = 0;

    while (code == 0 && !mw_writer_is_full(intake->writer) &&
           mw_queue_pop(intake->queue, &record)) {
        if ((code = inform_functions(intake, &record, error)) == 0)
            code = inform_slow_tier(intake, &record);
        if (code == 0)
            code = store_record(intake, &record, error);
        if (code == 0)
            code = mw_events_record(intake->events, &record, error);
        if (code == 0)
            mw_verdicts_record(intake->verdicts, &record);
        if (record.kind == MW_RECORD_IMAGE)
            mw_image_free(record.image);
        if (code == 0 && mw_functions_were_held_up(intake->functions))
            code = 1;
    }
    return code;
}

static struct mw_recorder_cost recorder_cost(const struct mw_intake *intake,
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
        .blind_us = mw_windows_blind_ns(intake->windows) / 1000,
        .lost_events = figures->lost_events,
        .dropped_records = figures->dropped_records + intake->left_out,
        .lost_marks = mw_functions_lost(intake->functions),
    };
}

static int64_t ns_to_us(int64_t ns)
{
    return ns < 0 ? -1 : ns / 1000;
}

static int store_progress(struct mw_intake *intake, int64_t now_ns, bool always,
                          struct mw_error *error)
{
    struct mw_sampler_figures figures;
    struct mw_ticks ticks;
    struct mw_recorder_cost cost;

    mw_sampler_figures(intake->sampler, &figures);
    /* A recording that ticks once an hour need not touch the disk in between. */
    if (!always && figures.ticks.taken == intake->ticks_committed)
        return 0;
    intake->ticks_committed = figures.ticks.taken;
    ticks = (struct mw_ticks){
        .due = figures.ticks.taken + figures.ticks.missed,
        .taken = figures.ticks.taken,
        .missed = figures.ticks.missed,
        .longest_gap_us = figures.ticks.longest_gap_ns / 1000,
        .lateness_p50_us = ns_to_us(figures.ticks.lateness_p50_ns),
        .lateness_p99_us = ns_to_us(figures.ticks.lateness_p99_ns),
        .lateness_max_us = ns_to_us(figures.ticks.lateness_max_ns),
    };
    cost = recorder_cost(intake, &figures);
    return mw_writer_set_progress(intake->writer, to_us(intake, now_ns), &ticks, &cost, error);
}

/* Stores a clock row when the clocks have moved apart: somebody set the clock, the machine slept.
 */
static int follow_clock(struct mw_intake *intake, int64_t now_ns, struct mw_error *error)
{
    int64_t before_ns = mw_now_ns();
    int64_t offset_ns = mw_clock_ns(CLOCK_REALTIME) - before_ns;

    /* Held up between the two readings: the next look will do. */
    if (mw_now_ns() - before_ns > clock_tolerance_ns / 10)
        return 0;
    if (llabs(offset_ns - intake->realtime_offset_ns) <= clock_tolerance_ns)
        return 0;
    intake->realtime_offset_ns = offset_ns;
    return mw_writer_add_clock(intake->writer, to_us(intake, now_ns), now_ns + offset_ns, error);
}

/* Functions fill a transaction faster than time passes. */
static int commit_full(void *context, struct mw_error *error)
{
    struct mw_intake *intake = context;
    int code;

    if ((code = mw_functions_flush(intake->functions, error)) < 0 ||
        (code = store_progress(intake, mw_now_ns(), true, error)) < 0)
        return code;
    return mw_writer_commit(intake->writer, error);
}

static int commit(struct mw_intake *intake, int64_t now_ns, struct mw_error *error)
{
    int code;

    intake->next_commit_ns = now_ns + intake->commit_pause_ns;
    if ((code = follow_clock(intake, now_ns, error)) < 0 ||
        (code = mw_reaped_store(intake->reaped, intake->writer, intake->events, intake->start_ns,
                                error)) < 0 ||
        (code = mw_events_look(intake->events, now_ns, false, error)) < 0 ||
        (code = mw_functions_flush(intake->functions, error)) < 0 ||
        (code = store_progress(intake, now_ns, false, error)) < 0)
        return code;
    mw_functions_were_held_up(intake->functions); /* whether it still is, is asked next */
    return mw_writer_commit(intake->writer, error);
}

/*
 * Stores all that the sampler has found; -EAGAIN where a reader keeps the file from taking more of
 * it. Until it has ended the queue takes what comes, and counts what it cannot take.
 */
static int drain(struct mw_intake *intake, struct mw_error *error)
{
    int code = 0;

    while (code == 0) {
        if (mw_writer_is_held_up(intake->writer))
            return -EAGAIN;
        code = drain_queue(intake, error);
        if (code < 0 || (code == 0 && !mw_writer_is_full(intake->writer)))
            break;
        code = commit(intake, mw_now_ns(), error);
    }
    return code;
}

/* At the end readers are waited for a little while; then what is left is left out. */
static int drain_rest(struct mw_intake *intake, struct mw_error *error)
{
    static const struct timespec pause = {.tv_nsec = 50000000};
    struct mw_record record;
    int code = drain(intake, error);

    for (int tries = 40; code == -EAGAIN && tries > 0; tries--) {
        nanosleep(&pause, NULL);
        code = drain(intake, error);
    }
    while (code == -EAGAIN && mw_queue_pop(intake->queue, &record)) {
        intake->left_out++;
        if (record.kind == MW_RECORD_IMAGE)
            mw_image_free(record.image);
    }
    return code == -EAGAIN ? 0 : code;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void mw_intake_wait(struct mw_intake *intake)
{
    int64_t due_ns = earliest(
        earliest(intake->next_commit_ns, mw_verdicts_due_ns(intake->verdicts)),
        earliest(mw_readings_due_ns(intake->readings), mw_windows_due_ns(intake->windows)));
    int64_t pause_ns =
        (due_ns > intake->held_up_until_ns ? due_ns : intake->held_up_until_ns) - mw_now_ns();
    struct timespec pause = {.tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000};
    struct pollfd queue = {.fd = mw_queue_fd(intake->queue), .events = POLLIN};
    eventfd_t ignored;

    if (pause_ns > 0 && ppoll(&queue, 1, &pause, NULL) > 0)
        eventfd_read(queue.fd, &ignored);
}

int mw_intake_begin(struct mw_intake *intake, const struct mw_run *run, int64_t start_ns,
                    struct mw_error *error)
{
    int code = mw_writer_begin_run(intake->writer, run, error);

    intake->start_ns = start_ns;
    intake->realtime_offset_ns = run->started_ns - start_ns;
    intake->next_commit_ns = start_ns + short_pause_ns;
    if (code == 0 && !mw_verdicts_begin(intake->verdicts, intake->writer, start_ns))
        code = mw_error_errno(error, ENOMEM, "cannot record");
    if (code == 0)
        code = mw_events_begin(intake->events, intake->writer, start_ns, intake->root, error);
    if (code == 0)
        code = mw_functions_begin(intake->functions,
                                  &(struct mw_functions_sinks){.writer = intake->writer,
                                                               .windows = intake->windows,
                                                               .events = intake->events,
                                                               .commit = commit_full,
                                                               .context = intake},
                                  run, start_ns, error);
    return code;
}

int mw_intake_work(struct mw_intake *intake, struct mw_error *error)
{
    const struct mw_windows_sink sink = windows_sink(intake);
    int64_t now_ns = mw_now_ns();
    int code;

    intake->error = error;
    code = drain(intake, error);

    if (code == -EAGAIN) {
        intake->held_up_until_ns = now_ns + short_pause_ns;
        return 0;
    }
    if (code == 0)
        code = mw_functions_advance(intake->functions, now_ns, error);
    if (code == 0 && now_ns >= mw_windows_due_ns(intake->windows))
        code = mw_windows_take(intake->windows, &sink);
    if (code == 0 && now_ns >= mw_readings_due_ns(intake->readings))
        code = mw_readings_take(intake->readings, store_row, intake);
    if (code == 0)
        code = mw_verdicts_look(intake->verdicts, now_ns, error);
    if (code == 0 && now_ns >= intake->next_commit_ns)
        code = commit(intake, now_ns, error);
    return code;
}

/* What the end of the recording, and of its first process, has to do with. */
static int store_last_events(struct mw_intake *intake, int64_t stop_ns,
                             const struct mw_session_end *end, struct mw_error *error)
{
    if (end->exit_signal >= 0)
        mw_events_told(intake->events, intake->root, end->exit_signal);
    else if (end->exit_status >= 0)
        mw_events_told(intake->events, intake->root, W_EXITCODE(end->exit_status, 0));
    if (end->outcome == MW_OUTCOME_DETACHED)
        return mw_events_detached(intake->events, stop_ns, end->reason, error);
    return mw_events_look(intake->events, stop_ns, true, error);
}

int mw_intake_finish(struct mw_intake *intake, int64_t stop_ns, const struct mw_session_end *end,
                     struct mw_error *error)
{
    const struct mw_windows_sink sink = windows_sink(intake);
    int code;

    intake->error = error;
    if ((code = drain_rest(intake, error)) < 0 ||
        (code = mw_windows_finish(intake->windows, &sink)) < 0 ||
        (code = mw_readings_finish(intake->readings, store_row, intake)) < 0 ||
        (code = mw_reaped_store(intake->reaped, intake->writer, intake->events, intake->start_ns,
                                error)) < 0 ||
        (code = mw_verdicts_finish(intake->verdicts, stop_ns, error)) < 0 ||
        (code = store_last_events(intake, stop_ns, end, error)) < 0 ||
        (code = mw_functions_finish(intake->functions, error)) < 0 ||
        (code = store_progress(intake, stop_ns, true, error)) < 0)
        return code;
    return mw_writer_end_run(intake->writer, end->outcome, end->exit_status, end->exit_signal,
                             end->max_rss_kib, error);
}
