/*
 * Where a series changes its course: the straight pieces that describe it best.
 */
#ifndef MW_ANALYSIS_SEGMENTS_H
#define MW_ANALYSIS_SEGMENTS_H

#include <stddef.h>

enum { MW_SEGMENTS_MOST = 4, MW_SEGMENT_LEAST = 6, MW_SEGMENT_VALUES = 64 };

/* A line over the values from `from` up to, not including, `to`. */
struct mw_segment {
    size_t from, to;
    double at_from, slope; /* the line at `from`, and what it rises a place */
};

/*
 * Cuts at most MW_SEGMENT_VALUES values into one to MW_SEGMENTS_MOST lines that need not meet, each
 * over at least MW_SEGMENT_LEAST values: dynamic programming finds the best cuts for each number of
 * lines, the Bayesian information criterion their number. Neighbouring residuals that are alike
 * count for less. NAN is not known and counts nowhere. Returns the number of segments, 0 where
 * there are not enough values for one.
 */
size_t mw_segments(const double *values, size_t count, struct mw_segment *ret_segments);

#endif
