#include "record/session.h"

#include "capture/clock.h"
#include "capture/highwater.h"
#include "capture/procfs.h"
#include "record/intake.h"
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
/* Between two ticks, so often at most: a busy machine tells of many events that concern others. */
static const int64_t attached_calm_ns = 50000000;

struct mw_session {
    struct mw_intake intake;
    char *version, *note;
    char **command; /* ends with NULL */
    size_t command_length;
    int64_t interval_ns;
    int64_t rss_bound_bytes;
    enum mw_tracking tracking;
    enum mw_children children;
    bool all_arguments;
    bool runs, goes_on;
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

    int failure_fd;
    struct mw_error failure; /* of the writer thread; set before failure_fd becomes readable */
    atomic_bool failed;
};

/* --- the writer thread ------------------------------------------------------------------------ */

static int begin_run(struct mw_session *session, struct mw_error *error)
{
    mw_auto_free char *cwd = getcwd(NULL, 0);
    mw_auto_free char *tracking = strdup(mw_sampler_tracking(session->intake.sampler));
    mw_auto_free char *scheduling = strdup(session->scheduling);
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

    if (!tracking || !scheduling)
        return mw_error_errno(error, ENOMEM, "cannot record");
    return mw_intake_begin(&session->intake, &run, session->start_ns, error);
}

static int write_run(struct mw_session *session, struct mw_error *error)
{
    int64_t stop_ns;
    int code = begin_run(session, error);

    while (code == 0 && (stop_ns = atomic_load(&session->stop_ns)) == 0) {
        if ((code = mw_intake_work(&session->intake, error)) == 0)
            mw_intake_wait(&session->intake);
    }
    /* The sampler has ended before stop_ns was set: the queue holds all that there will be. */
    return code == 0 ? mw_intake_finish(&session->intake, stop_ns, &session->end, error) : code;
}

static void discard_until_stop(struct mw_session *session)
{
    struct pollfd queue = {.fd = mw_queue_fd(session->intake.queue), .events = POLLIN};
    struct mw_record record;
    eventfd_t ignored;

    while (atomic_load(&session->stop_ns) == 0) {
        poll(&queue, 1, -1);
        eventfd_read(queue.fd, &ignored);
        while (mw_queue_pop(session->intake.queue, &record)) {
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
        uint32_t seen = mw_functions_wakes(session->intake.functions);

        if (atomic_load(&session->stops))
            return NULL;
        mw_functions_wait(session->intake.functions, seen);
        mw_queue_wake(session->intake.queue);
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
        mw_sampler_run(session->intake.sampler, session->start_ns);
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

    if (mw_functions_open(&session->intake.functions, resets, &error) < 0)
        snprintf(session->notice, sizeof session->notice, "%s", error.text);
}

static int open_events(struct mw_session *session, const struct mw_session_options *options,
                       struct mw_error *error)
{
    return mw_events_new(&session->intake.events,
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
    session->intake.commit_pause_ns = options->runs && options->interval_ns >= rare_interval_ns
                                          ? rare_commit_pause_ns
                                          : commit_pause_ns;
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
    session->intake.readings = mw_readings_new(&(struct mw_readings_options){
        .metrics = options->metrics,
        .each = series_of_processes,
        .sum = options->children != MW_CHILDREN_NONE,
        .pss_of_sum = !options->runs,
    });
    session->intake.windows =
        mw_windows_new(series_of_processes ? options->window_ns : MW_WINDOW_OFF);
    session->intake.reaped = mw_reaped_new();
    session->intake.verdicts = mw_verdicts_new(options->judged_after_s);
    session->version = strdup(options->version);
    session->note = options->note ? strdup(options->note) : NULL;
    if (session->failure_fd < 0)
        code = mw_error_errno(error, errno, "eventfd");
    else if (!session->intake.readings || !session->intake.windows || !session->intake.reaped ||
             !session->intake.verdicts || !session->version || (options->note && !session->note) ||
             copy_command(session, options) < 0)
        code = mw_error_errno(error, ENOMEM, "cannot record");
    else if ((code = open_events(session, options, error)) == 0 &&
             (code = mw_queue_new(&session->intake.queue, QUEUE_RECORDS, error)) == 0 &&
             (code = mw_writer_open(&session->intake.writer, options->path, error)) == 0)
        code = mw_writer_keep(session->intake.writer, &options->keep, error);
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
    return mw_functions_path(session->intake.functions);
}

const char *mw_session_notice(const struct mw_session *session)
{
    return *session->notice ? session->notice : mw_writer_notice(session->intake.writer);
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
    int code = session->intake.functions
                   ? pthread_create(&session->marks_thread, NULL, run_marks, session)
                   : 0;

    session->waits_for_marks = session->intake.functions && code == 0;
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

    session->intake.root = root;
    raise_descriptor_limit();
    if ((code = mw_sampler_new(&session->intake.sampler, &options, session->intake.queue, error)) <
        0)
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
    return mw_sampler_adopt(session->intake.sampler, pid, start_ticks,
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
        mw_reaped_tell(session->intake.reaped, pid, wait_status, max_rss_kib);
}

int mw_session_crossing_fd(const struct mw_session *session)
{
    return mw_events_fd(session->intake.events);
}

bool mw_session_next_crossing(struct mw_session *session, struct mw_crossing *ret_crossing)
{
    return mw_events_next_crossing(session->intake.events, ret_crossing);
}

void mw_session_kill(struct mw_session *session)
{
    mw_sampler_kill(session->intake.sampler);
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
    mw_sampler_stop(session->intake.sampler, now_ns);
    pthread_join(session->sampler_thread, NULL);
    atomic_store(&session->stop_ns, now_ns);
    if (session->start_ns == 0)
        sem_post(&session->writer_go);
    mw_queue_wake(session->intake.queue);
    pthread_join(session->writer_thread, NULL);
    if (session->waits_for_marks) {
        atomic_store(&session->stops, true);
        mw_functions_wake(session->intake.functions);
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
    mw_writer_close(session->intake.writer);
    session->intake.writer = NULL;
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
    mw_writer_close(session->intake.writer);
    mw_sampler_free(session->intake.sampler);
    mw_queue_free(session->intake.queue);
    mw_readings_free(session->intake.readings);
    mw_windows_free(session->intake.windows);
    mw_functions_close(session->intake.functions);
    mw_reaped_free(session->intake.reaped);
    mw_events_free(session->intake.events);
    mw_verdicts_free(session->intake.verdicts);
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
