/*
 * The slow tier: what /proc/PID/status and /proc/PID/smaps_rollup tell of every process of a tree.
 *
 * Both take too long for every tick, and for smaps_rollup the kernel walks every page and holds the
 * process's memory lock. So each file has a cadence of its own that keeps it below one hundredth of
 * a core, in a thread that may be late.
 *
 * A row says: this was the value at that moment. Readings between two rows that had the value of
 * both are left out.
 */
#ifndef MW_RECORD_READINGS_H
#define MW_RECORD_READINGS_H

#include "record/row.h"
#include "util/metric.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_readings;

struct mw_readings_options {
    mw_metric_set metrics; /* those of MW_CADENCE_READING are read, for each process and the sum */
    bool each;             /* give rows for every process */
    /* Give rows for the sum, from the second process on (or from the start, where each is false).
     */
    bool sum;
    bool pss_of_sum; /* among them always those of PSS, in which shared pages count once */
};

/* NULL when memory ran out. */
struct mw_readings *mw_readings_new(const struct mw_readings_options *options);

/* NULL is fine. */
void mw_readings_free(struct mw_readings *readings);

/* A process that was started or first seen at start_ns. Without memory it is not read. */
void mw_readings_add(struct mw_readings *readings, uint32_t slot, pid_t pid, int64_t start_ns);

/* A process has ended: gives the rows that are still due. Returns what give returned. */
int mw_readings_end(struct mw_readings *readings, uint32_t slot, mw_row_fn *give, void *context);

/* When something is to be read (CLOCK_MONOTONIC); INT64_MAX where nothing is. */
int64_t mw_readings_due_ns(const struct mw_readings *readings);

/* Reads what is due. Returns what give returned. */
int mw_readings_take(struct mw_readings *readings, mw_row_fn *give, void *context);

/* At the end of the recording: gives all rows that are due. */
int mw_readings_finish(struct mw_readings *readings, mw_row_fn *give, void *context);

#endif
