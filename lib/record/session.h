/*
 * A recording: composes capture and store. The only owner of threads.
 *
 *     caller ──start──► sampler thread ──queue──► writer thread ──► file
 *
 * The sampler thread never waits for the disk; the writer thread also reads what is slow to read
 * (windows.h, readings.h), and commits about five times a second (once, where processes that ran
 * already are sampled rarely), so that the death of the recorder loses at most that. Should the
 * disk fail, sampling goes on without effect, the caller is told, and what was committed stays
 * readable.
 *
 * Life cycle: open and arm (before the target starts), start (as soon as it runs), stop, free.
 */
#ifndef MW_RECORD_SESSION_H
#define MW_RECORD_SESSION_H

#include "capture/tracker.h"
#include "record/limits.h"
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
    double judged_after_s; /* a verdict on growth needs so much time: see record/verdicts.h */
    bool all_arguments;    /* store all arguments of programs, or their names alone */
    /*
     * The processes run already. No function of theirs is marked, and what would hold them up is
     * not read unless the options ask for it.
     */
    bool runs;
    bool goes_on; /* also when all of them have ended: others may take their place */
    struct mw_limits_options limits; /* that the user has set */
    const char *on_limit;            /* what is done when one is crossed, in a few words */
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

/*
 * Records another process that runs already, and all below it, from now on or from the start.
 * Without effect where it has ended and its pid is another's: its start_ticks (field 22 of
 * /proc/PID/stat) are not those. restarted: it takes the place of one that has ended. -EAGAIN when
 * too many are waiting.
 */
int mw_session_adopt(struct mw_session *session, pid_t pid, uint64_t start_ticks, bool restarted);

/* Records from now on. */
void mw_session_start(struct mw_session *session);

/*
 * How a process has just ended that the caller has reaped: an orphan of the tree, whose subreaper
 * it is. The status is as wait(2) gives it, max_rss_kib as getrusage(2) does.
 */
void mw_session_tell_end(struct mw_session *session, pid_t pid, int wait_status,
                         int64_t max_rss_kib);

/* A descriptor that is readable while there are crossings of limits to take. */
int mw_session_crossing_fd(const struct mw_session *session);

/* The next crossing of a limit; false when there is none. It is in the file already, or will be. */
bool mw_session_next_crossing(struct mw_session *session, struct mw_crossing *ret_crossing);

/* Ends all processes that are recorded, with SIGKILL. */
void mw_session_kill(struct mw_session *session);

/* A descriptor that becomes readable once, when writing the file has failed. */
int mw_session_failure_fd(const struct mw_session *session);

/* The failure that made mw_session_failure_fd readable. */
void mw_session_failure(struct mw_session *session, struct mw_error *ret_error);

/* How a recording ended. */
struct mw_session_end {
    enum mw_outcome outcome;      /* exited, signaled or detached */
    int exit_status, exit_signal; /* of the root; both -1: as its end was told, if it was */
    int64_t max_rss_kib;          /* its ru_maxrss; -1: not known */
    const char *reason;           /* of detaching, in a few words */
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
