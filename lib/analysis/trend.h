/*
 * The least-squares line through a series, each value weighted with the time that it held. It
 * describes; it is no verdict on whether a program leaks. O(1) in time and memory a sample.
 */
#ifndef MW_ANALYSIS_TREND_H
#define MW_ANALYSIS_TREND_H

#include <stdbool.h>

/* Integrals over the time that was added. Starts as all zero. */
struct mw_trend {
    double origin_s; /* times are counted from the first, which keeps the sums well conditioned */
    double weight, t, tt, value, t_value;
};

/* The value held from from_s to to_s. */
void mw_trend_hold(struct mw_trend *trend, double from_s, double to_s, double value);

/*
 * The line value = at_origin + slope * (time - origin_s), slope in units of the value a second.
 * False when no time was added.
 */
bool mw_trend_line(const struct mw_trend *trend, double *ret_at_origin, double *ret_slope);

#endif
