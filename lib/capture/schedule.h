/*
 * The sampler's absolute schedule, and how faithfully it was kept.
 *
 * Tick k is due at start + k * interval. A late tick is taken once; those that passed meanwhile are
 * counted as missed and never caught up in a burst. One thread takes ticks; any thread may ask for
 * the figures while it does.
 */
#ifndef MW_CAPTURE_SCHEDULE_H
#define MW_CAPTURE_SCHEDULE_H

#include <stdatomic.h>
#include <stdint.h>

/* Lateness is counted in buckets that are at most an eighth wide: 8 to each power of two of ns. */
enum { MW_LATENESS_BUCKETS = 8 * 62 };

struct mw_schedule {
    int64_t start_ns, interval_ns; /* CLOCK_MONOTONIC */
    int64_t last_ns;               /* when the last tick was taken */
    uint64_t next;                 /* the number of the next tick */
    _Atomic uint64_t taken, missed;
    _Atomic int64_t longest_gap_ns, latest_ns;
    _Atomic uint64_t lateness[MW_LATENESS_BUCKETS];
};

/* The figures of a schedule so far: due = taken + missed. Lateness is -1 before the first tick. */
struct mw_schedule_figures {
    uint64_t taken, missed;
    int64_t longest_gap_ns; /* between two ticks that were taken */
    int64_t lateness_p50_ns, lateness_p99_ns, lateness_max_ns;
};

/* Of a schedule that is all zero. */
void mw_schedule_start(struct mw_schedule *schedule, int64_t start_ns, int64_t interval_ns);

/* When the next tick is due. */
int64_t mw_schedule_due_ns(const struct mw_schedule *schedule);

/* Takes the tick that is due at now_ns. Returns how many were missed since the one before. */
uint64_t mw_schedule_take(struct mw_schedule *schedule, int64_t now_ns);

/* Ends the schedule at end_ns: what was due by then and was not taken is missed. Returns how many.
 */
uint64_t mw_schedule_end(struct mw_schedule *schedule, int64_t end_ns);

/* From any thread. */
void mw_schedule_figures(struct mw_schedule *schedule, struct mw_schedule_figures *ret_figures);

#endif
