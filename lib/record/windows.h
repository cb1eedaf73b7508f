/*
 * The slow tier: the kernel's high-water marks of the processes of a tree, window by window.
 *
 * Resetting a mark takes the memory lock of its process, for which one may have to wait while that
 * process unmaps much: so this is work for a thread that may be late, and never for the sampler. A
 * mark is not lost by being late: it says what was the highest since the last time.
 *
 * A process that marks functions resets its mark as well, and tells what it was: that is part of
 * the window in which it did so.
 *
 * A row of MW_METRIC_PEAK says: this was the highest in the time since the row before (since the
 * process's start for the first). Windows with the same mark become one row, which is given when
 * the mark changes.
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

/* A mark that has just been taken by this module: not what the process has told. */
struct mw_window {
    uint32_t slot;
    int64_t from_ns, taken_ns; /* it is the highest from the one to the other */
    int64_t kib;
    int64_t unseen_kib; /* so much more may have been reached unseen */
    int64_t reset_ns;   /* until then */
};

/* Anything but 0 ends the taking, and is returned by whoever takes. */
struct mw_windows_sink {
    void *context;
    /* Told before its row is given: what the process told up to then can still be handed on. */
    int (*taken)(void *context, const struct mw_window *window);
    mw_row_fn *give;
};

/* NULL when memory ran out. */
struct mw_windows *mw_windows_new(int64_t window_ns);

/* NULL is fine. */
void mw_windows_free(struct mw_windows *windows);

/* A process that was started or first seen at start_ns. Without memory it has no windows. */
void mw_windows_add(struct mw_windows *windows, uint32_t slot, pid_t pid, int64_t start_ns);

/* A sample of its RSS, which holds until the next. */
void mw_windows_sample(struct mw_windows *windows, uint32_t slot, int64_t kib);

/* A mark of kib that a process has reset itself at t_ns, which is part of the present window. */
void mw_windows_told(struct mw_windows *windows, uint32_t slot, int64_t t_ns, int64_t kib);

/* A process has ended: gives the rows that are still due. */
int mw_windows_end(struct mw_windows *windows, uint32_t slot, const struct mw_windows_sink *sink);

/* When the present windows end (CLOCK_MONOTONIC); INT64_MAX where there are none. */
int64_t mw_windows_due_ns(const struct mw_windows *windows);

/* Takes the marks of all processes. */
int mw_windows_take(struct mw_windows *windows, const struct mw_windows_sink *sink);

/* At the end of the recording: takes all marks once more, and gives all rows that are due. */
int mw_windows_finish(struct mw_windows *windows, const struct mw_windows_sink *sink);

/* The time between reading and resetting marks, all together, in which nothing was seen. */
int64_t mw_windows_blind_ns(const struct mw_windows *windows);

#endif
