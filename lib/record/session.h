/*
 * A recording: composes capture and store. The only owner of threads.
 *
 *     caller ──start──► sampler thread ──queue──► writer thread ──► file
 *
 * The sampler thread never waits for the disk; the writer thread also reads what is slow to read
 * (windows.h, readings.h), and commits about five times a second, so that the death of the recorder
 * loses at most that. Should the disk fail, sampling goes on without effect, the caller is told,
 * and what was committed stays readable.
 *
 * Life cycle: open and arm (before the target starts), start (as soon as it runs), stop, free.
 */
#ifndef MW_RECORD_SESSION_H
#define MW_RECORD_SESSION_H

#include "capture/tracker.h"
#include "record/windows.h"
#include "store/keep.h"
#include "store/recording.h"
#include "util/error.h"
#include "util/metric.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_session;

struct mw_session_options {
    const char *path;           /* of the file: created, or given one more run */
    const char *version;        /* of this memwatch */
    const char *const *command; /* to store as what was run; ends with NULL */
    const char *note;           /* NULL: none */
    int64_t interval_ns;        /* at least 1000 */
    int64_t window_ns;          /* see record/windows.h */
    mw_metric_set metrics;      /* to read now and then: see record/readings.h */
    enum mw_tracking tracking;
    enum mw_children children;
    struct mw_keep keep;
    bool all_arguments; /* store all arguments of programs, or their names alone */
};

/*
 * Opens the file, and everything else that can fail. The options are copied. Errors as from
 * mw_writer_open.
 */
int mw_session_open(struct mw_session **ret_session, const struct mw_session_options *options,
                    struct mw_error *error);

/*
 * Where the target finds the channel for marks of its functions: the value that the variable
 * MEMWATCH_MARKS is to have in its environment. NULL where there is none.
 */
const char *mw_session_marks_path(const struct mw_session *session);

/* A remark on how the file is written that its user should know, or NULL. */
const char *mw_session_notice(const struct mw_session *session);

/*
 * Gets ready to record root, which must exist but need not run its program yet: starts the threads,
 * which wait. Nothing is recorded.
 */
int mw_session_arm(struct mw_session *session, pid_t root, struct mw_error *error);

/* Records from now on. */
void mw_session_start(struct mw_session *session);

/*
 * How a process has just ended that the caller has reaped: an orphan of the tree, whose subreaper
 * it is. The status is as wait(2) gives it, max_rss_kib as getrusage(2) does.
 */
void mw_session_tell_end(struct mw_session *session, pid_t pid, int wait_status,
                         int64_t max_rss_kib);

/* A descriptor that becomes readable once, when writing the file has failed. */
int mw_session_failure_fd(const struct mw_session *session);

/* The failure that made mw_session_failure_fd readable. */
void mw_session_failure(struct mw_session *session, struct mw_error *ret_error);

/* How a recording ended. */
struct mw_session_end {
    enum mw_outcome outcome;      /* exited, signaled or detached */
    int exit_status, exit_signal; /* of the root; -1: none */
    int64_t max_rss_kib;          /* its ru_maxrss; -1: not known */
};

/*
 * Ends the recording as of now, and closes the file. Returns 0, or the failure to write: the file
 * then holds what was last committed.
 */
int mw_session_stop(struct mw_session *session, const struct mw_session_end *end,
                    struct mw_error *error);

/* Stops what runs, as if aborted. A file that got no run is removed again. NULL is fine. */
void mw_session_free(struct mw_session *session);

#endif
