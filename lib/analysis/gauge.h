/*
 * What a series comes to in a few numbers that can be compared: its mean, what it ended with, and
 * how fast it grew. None of them hangs on a single sample.
 *
 * A series is a step function, as in envelope.h: a value holds until the next.
 */
#ifndef MW_ANALYSIS_GAUGE_H
#define MW_ANALYSIS_GAUGE_H

#include "analysis/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_figures {
    double mean_bytes; /* over the time in which the value is known */
    /*
     * The median over the last twentieth of the series, the last second at most: what a program
     * held before it ended. What it frees while it ends is not meant.
     */
    int64_t final_bytes;
    /*
     * The slope by Theil and Sen through the means of 64 parts of equal length: of the way that
     * most of the series goes, whatever its first and its last moments are. Not known for a series
     * shorter than a second, or one of which less than a quarter is known.
     */
    bool has_growth;
    double growth_bytes_per_s;
};

struct mw_gauge;

/*
 * A gauge of a series from 0 to end_us. The holes are in the order of time and must stay where they
 * are while the gauge is used; what is in them does not count. NULL when memory ran out.
 */
struct mw_gauge *mw_gauge_new(int64_t end_us, const struct mw_hole *holes, size_t hole_count);

/* NULL is fine. */
void mw_gauge_free(struct mw_gauge *gauge);

/* The next sample, in the order of time. Returns 0 or -ENOMEM. */
int mw_gauge_add(struct mw_gauge *gauge, int64_t t_us, int64_t bytes);

/*
 * Ends the series. Returns 1, 0 where there is nothing known to tell of, or -ENOMEM. To be called
 * once.
 */
int mw_gauge_finish(struct mw_gauge *gauge, struct mw_figures *ret_figures);

#endif
