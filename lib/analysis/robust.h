/*
 * Statistics that a few outliers do not move. NAN among the values means "not known", and is passed
 * over.
 */
#ifndef MW_ANALYSIS_ROBUST_H
#define MW_ANALYSIS_ROBUST_H

#include <stddef.h>

/* How many values the functions below take at most: they work on copies on the stack. */
enum { MW_ROBUST_MOST = 512, MW_SEN_MOST = 64 };

/* The median of the values; NAN where there is none. */
double mw_median(const double *values, size_t count);

/* The value below which a share of the values lies, from 0 to 1, between neighbours on a line. */
double mw_quantile(const double *values, size_t count, double share);

/* The median absolute deviation from the median, times 1.4826: the deviation of a normal series. */
double mw_deviation(const double *values, size_t count);

/*
 * The Theil-Sen slope: the median of the slopes of all pairs, in units of the value a place. At
 * most MW_SEN_MOST values; NAN where fewer than two are known.
 */
double mw_sen_slope(const double *values, size_t count);

/* Replaces what is above the running median of five by six robust deviations with that median. */
void mw_remove_spikes(double *values, size_t count);

#endif
