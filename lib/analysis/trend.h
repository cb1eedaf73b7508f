/*
 * Straight lines through a series. They describe; they are no verdict on whether a program leaks.
 */
#ifndef MW_ANALYSIS_TREND_H
#define MW_ANALYSIS_TREND_H

#include <stdbool.h>
#include <stddef.h>

/*
 * By least squares, each value weighted with the time that it held. O(1) in time and memory a
 * sample.
 */

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

/*
 * By Theil and Sen: the median of the slopes between any two points, in units of y for one of x.
 * Spikes, a start and an end of another kind do not move it as long as they are less than 29 % of
 * the points.
 */
enum { MW_SEN_POINTS = 64 }; /* at most */

struct mw_trend_point {
    double x, y;
};

/* No two points have the same x. At least two points, at most MW_SEN_POINTS; else 0. */
double mw_trend_sen_slope(const struct mw_trend_point *points, size_t count);

#endif
