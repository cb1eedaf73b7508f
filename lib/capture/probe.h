/*
 * What capture can do on this machine for this user, found out by trying: each function does for a
 * moment what a recording does, with a child that it forks and waits for, and gives plain figures.
 *
 * They return 0 also where something does not work, which is what they tell; a negative errno when
 * it could not be tried. To be called while this process has one thread.
 */
#ifndef MW_CAPTURE_PROBE_H
#define MW_CAPTURE_PROBE_H

#include "capture/tracker.h"
#include "util/error.h"

#include <stdint.h>

/* How far the RSS of a sample may be off, in KiB; 0: it is exact. */
int64_t mw_probe_rss_bound_kib(void);

struct mw_probe_marks {
    /*
     * 0 when a spike is in the high-water mark, and gone from it after the reset; the negative
     * errno of what is refused; -ENODATA when the mark does not do that.
     */
    int code;
    int64_t bound_kib; /* how far a mark may be off */
};

int mw_probe_marks(struct mw_probe_marks *ret_marks, struct mw_error *error);

struct mw_probe_tracking {
    const char *method;      /* which one was taken: see mw_tracker_name. NULL: none works */
    struct mw_error failure; /* why; its code is 0 where it works */
};

/* Whether a child's start is found, and its end where the method tells of ends. */
int mw_probe_tracking(enum mw_tracking tracking, struct mw_probe_tracking *ret_tracking,
                      struct mw_error *error);

/* kernel.perf_event_paranoid. A negative errno where it cannot be read. */
int mw_probe_paranoid(int *ret_level);

struct mw_probe_timer {
    const char *scheduling; /* see mw_sampler_raise_priority */
    uint64_t ticks_due, ticks_taken;
    int64_t lateness_p50_ns, lateness_p99_ns, lateness_max_ns; /* -1: no tick was taken */
};

/*
 * Samples a child that does nothing for as long as duration_ns, in a thread with the sampler's
 * scheduling.
 */
int mw_probe_timer(int64_t interval_ns, int64_t duration_ns, struct mw_probe_timer *ret_timer,
                   struct mw_error *error);

#endif
