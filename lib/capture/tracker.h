/*
 * Which processes belong to the tree: a stream of events, whatever method finds them.
 *
 * - perf: the kernel's task events (perf.h). Every process, with the times of its start, its execs
 * and its end. Needs perf_event_paranoid 2 or lower, or CAP_PERFMON. How a process ended comes from
 * the connector, where that can be had.
 * - connector: the same from the proc connector (connector.h), which tells of the whole machine.
 * - children: reads /proc/PID/task/TID/children of every known process, as often as that stays
 * below one hundredth of a core. A child that lives between two looks is not seen.
 * - scan: reads the whole of /proc through libproc2, where the kernel has no children files.
 * - none: looks for no children.
 *
 * The first two look at the children once more whenever the kernel had to drop events. Where this
 * process is the subreaper of the tree (prctl(2)), orphans stay in it.
 *
 * A new method is a new row in the table in tracker.c.
 */
#ifndef MW_CAPTURE_TRACKER_H
#define MW_CAPTURE_TRACKER_H

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum mw_tracker_event_kind {
    MW_TRACKER_START, /* a process of the tree that was not known */
    MW_TRACKER_IMAGE, /* a known process may run another program now */
    MW_TRACKER_END,
    MW_TRACKER_STATUS, /* how a process ended whose end was told before */
};

struct mw_tracker_event {
    enum mw_tracker_event_kind kind;
    pid_t pid;
    pid_t ppid;      /* of a start */
    int64_t t_ns;    /* when it happened, or when it was seen (CLOCK_MONOTONIC) */
    int wait_status; /* of an end and a status: as wait(2) gives it; -1: not known */
    bool executed;   /* of an image: the process has executed a program, be it the same again */
    char name[16];   /* of an image: comm, where the event tells it; else empty */
};

/* Which methods are allowed: the best of them that works is taken. */
enum mw_tracking {
    MW_TRACKING_BEST,
    /*
     * The best for processes that run already: the connector comes before perf, which needs a
     * descriptor for each of their threads on each CPU, and a little of their time at each switch.
     */
    MW_TRACKING_BEST_RUNNING,
    MW_TRACKING_PERF,
    MW_TRACKING_CONNECTOR,
    MW_TRACKING_POLL, /* children or scan */
    MW_TRACKING_SCAN,
    MW_TRACKING_NONE,
};

struct mw_tracker;

/*
 * Tracks the tree below root, which is known from the start and gets no START event. -EACCES and
 * the like when the one method that is allowed does not work here.
 */
int mw_tracker_new(struct mw_tracker **ret_tracker, pid_t root, enum mw_tracking tracking,
                   struct mw_error *error);

/*
 * Takes in a process that runs already, and what there is below it: START events for all of them
 * that are not known. For root itself: for what there is below it.
 */
void mw_tracker_adopt(struct mw_tracker *tracker, pid_t pid, int64_t now_ns);

/* NULL is fine. */
void mw_tracker_free(struct mw_tracker *tracker);

/* "perf", "connector", "children", "scan" or "none". */
const char *mw_tracker_name(const struct mw_tracker *tracker);

/* From when on it is worth asking the tracker again (CLOCK_MONOTONIC), for whoever is awake. */
int64_t mw_tracker_due_ns(const struct mw_tracker *tracker);

/* When it is worth waking up for that; INT64_MAX where its descriptor says so. */
int64_t mw_tracker_wake_ns(const struct mw_tracker *tracker);

/* A descriptor that is readable when there are events, or -1. */
int mw_tracker_fd(const struct mw_tracker *tracker);

/* Looks for events. Then mw_tracker_next gives them one by one. */
void mw_tracker_look(struct mw_tracker *tracker, int64_t now_ns);

/* True with the next event, false when there is none. */
bool mw_tracker_next(struct mw_tracker *tracker, struct mw_tracker_event *ret_event);

/*
 * The process was seen to have ended: it gives no events any more, but for a status that is known
 * already or is told later. Once its parent has reaped it, its pid may be used again, and then is a
 * new process.
 */
void mw_tracker_ended(struct mw_tracker *tracker, pid_t pid);

/* Forgets a process of a START event that could not be handled. Whoever polls finds it again. */
void mw_tracker_forget(struct mw_tracker *tracker, pid_t pid);

/* How many events the kernel could not deliver, those of statuses alone among them. */
uint64_t mw_tracker_lost(const struct mw_tracker *tracker);

#endif
