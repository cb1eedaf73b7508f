/*
 * A series of any length in a fixed number of bins of equal width.
 *
 * A value holds until the next one, or until a gap begins. When the bins are full, each two become
 * one, so that the width doubles: adding is O(1) amortised and needs no memory. Every value that
 * was held counts in its bin with the time that it held, so that repeating a value changes nothing.
 */
#ifndef MW_ANALYSIS_BINS_H
#define MW_ANALYSIS_BINS_H

#include <stdbool.h>
#include <stddef.h>

enum { MW_BIN_COUNT = 512 };

/* Nothing but held_s = 0 and may_fall means anything in a bin in which no value is known. */
struct mw_bin {
    double low, high;
    double integral; /* of the value over the time that one is known */
    double held_s;   /* that time */
    bool may_fall;   /* a process ended in it */
};

/* Starts as all zero. */
struct mw_bins {
    double origin_s; /* the time of the first value: where the first bin begins */
    double width_s;
    double end_s, last; /* up to where the series is in the bins, and the value that holds there */
    bool begun, known;  /* there is a first value; one holds at end_s */
    bool may_fall;      /* processes may have ended anywhere: nobody says when; set from outside */
    size_t count;       /* of bins that have been reached */
    struct mw_bin bins[MW_BIN_COUNT];
};

/*
 * value holds from t_s on. A time before end_s counts as end_s. Neither may be NAN or infinite;
 * times are below 1e9 s.
 */
void mw_bins_add(struct mw_bins *bins, double t_s, double value);

/* Nothing is known from t_s on, up to the next value. */
void mw_bins_stop(struct mw_bins *bins, double t_s);

/* The last value still holds at t_s. */
void mw_bins_hold(struct mw_bins *bins, double t_s);

/* A process that was part of the value ended at t_s, which is not before end_s. */
void mw_bins_mark(struct mw_bins *bins, double t_s);

/* The mean value in a bin; NAN where less than a tenth of it is known. */
double mw_bins_mean(const struct mw_bins *bins, size_t index);

/* The least value in it; NAN likewise. */
double mw_bins_low(const struct mw_bins *bins, size_t index);

#endif
