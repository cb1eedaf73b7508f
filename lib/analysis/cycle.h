/*
 * What a series does again and again: a daily cycle, or the sawtooth of a garbage collector.
 */
#ifndef MW_ANALYSIS_CYCLE_H
#define MW_ANALYSIS_CYCLE_H

#include <stddef.h>

enum { MW_CYCLE_VALUES = 512 };

enum mw_cycle_kind {
    MW_CYCLE_NONE,
    MW_CYCLE_PERIODIC, /* the same again after each period */
    MW_CYCLE_SAWTOOTH, /* rises slowly and falls at once, at least six times */
};

struct mw_cycle {
    enum mw_cycle_kind kind;
    double period;    /* in places */
    double amplitude; /* from the lowest to the highest of one period */
};

/*
 * Looks for a cycle in at most MW_CYCLE_VALUES values; NAN is not known. A trend below it does not
 * hide it.
 */
struct mw_cycle mw_cycle_find(const double *values, size_t count);

/* Takes a periodic cycle out of the values, and leaves their trend. */
void mw_cycle_remove(const struct mw_cycle *cycle, double *values, size_t count);

/*
 * The floor below a sawtooth: for each value the least of the lows within one period before and
 * after it. NAN within the first period, in which it is not known. The lows may be lower than the
 * values: those of the same stretches of time.
 */
void mw_cycle_floor(const struct mw_cycle *cycle, const double *lows, double *ret_floor,
                    size_t count);

#endif
