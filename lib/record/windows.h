/*
 * The slow tier: the kernel's high-water marks of the processes of a tree, window by window.
 *
 * Resetting a mark takes the memory lock of its process, for which one may have to wait while that
 * process unmaps much: so this is work for a thread that may be late, and never for the sampler. A
 * mark is not lost by being late: it says what was the highest since the last time.
 *
 * A row of MW_METRIC_PEAK says: this was the highest in the time since the row before (since the
 * process's start for the first). Windows with the same mark become one row, which is given when
 * the mark changes; each of them is also given as a row that is not to be stored.
 */
#ifndef MW_RECORD_WINDOWS_H
#define MW_RECORD_WINDOWS_H

#include "record/row.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * Windows of 10 ms. They double up to 100 ms as long as no mark says more than the samples did, and
 * are longer where they would cost more than half a percent of a core.
 */
#define MW_WINDOW_AUTO (-1)
#define MW_WINDOW_OFF 0

struct mw_windows;

/* NULL when memory ran out. */
struct mw_windows *mw_windows_new(int64_t window_ns);

/* NULL is fine. */
void mw_windows_free(struct mw_windows *windows);

/* A process that was started or first seen at start_ns. Without memory it has no windows. */
void mw_windows_add(struct mw_windows *windows, uint32_t slot, pid_t pid, int64_t start_ns);

/* A sample of its RSS, which holds until the next. */
void mw_windows_sample(struct mw_windows *windows, uint32_t slot, int64_t kib);

/* A process has ended: gives the row that is still due. Returns what give returned. */
int mw_windows_end(struct mw_windows *windows, uint32_t slot, mw_row_fn *give, void *context);

/* When the present windows end (CLOCK_MONOTONIC); INT64_MAX where there are none. */
int64_t mw_windows_due_ns(const struct mw_windows *windows);

/* Takes the marks of all processes. Returns what give returned. */
int mw_windows_take(struct mw_windows *windows, mw_row_fn *give, void *context);

/* At the end of the recording: takes all marks once more, and gives all rows that are due. */
int mw_windows_finish(struct mw_windows *windows, mw_row_fn *give, void *context);

/* The time between reading and resetting marks, all together, in which nothing was seen. */
int64_t mw_windows_blind_ns(const struct mw_windows *windows);

#endif
