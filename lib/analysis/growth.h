/*
 * Whether a stretch of a series grows, and goes on growing: measured in several ways, because no
 * single test tells a leak from a cache that fills, from steps, or from noise that wanders.
 */
#ifndef MW_ANALYSIS_GROWTH_H
#define MW_ANALYSIS_GROWTH_H

#include <stdbool.h>
#include <stddef.h>

enum { MW_GROWTH_POINTS = 64, MW_GROWTH_LEAST_POINTS = 24 };

/*
 * What is measured of a stretch of values at equal distances. The unit of a slope is that of the
 * value a place.
 */
struct mw_growth {
    size_t from, to;     /* the stretch: places in the series */
    double slope, error; /* of a straight trend in noise that may wander (drift.h) */
    double walk;         /* how much of the noise wanders: 0 to 1 */
    size_t freedom;      /* degrees of freedom of the error */
    double net;          /* what the trend rises over the stretch */
    double level, end;   /* the median, and where the trend ends */
    double noise;        /* robust deviation of the stretch from its trend */
    double bend;         /* by how much likelier a trend that flattens is: a logarithm */
    double late_slope;   /* the slope at the end, under the trend that flattens */
    double slowing;      /* slope at the end against the mean one, if it fills as a cache does */
    double slowing_t;    /* the t of that it slows down */
    double lasting;      /* t of what goes on growing beside what flattens, under each that fits */
    double beyond;       /* by how much likelier that is than what flattens alone: a logarithm */
    double settled;      /* where what flattens is over, as a share of the stretch */
    double onset;        /* where it began to grow, as a share of the stretch; 0: from the start */
    double half_ratio, third_ratio; /* Sen's slope of the last half and third against the whole */
    double largest_step;            /* between neighbouring of 8 groups, as a share of net */
    double drawdown;                /* the largest fall among 16 groups, as a share of net */
};

/*
 * Measures the places from `from` up to `to`; NAN is not known. They are pooled into as many points
 * as the series says things of its own in them: `place` is how many places one lasts, the period of
 * a sawtooth whose floor is measured, else 1. False where too few are known.
 */
bool mw_growth_measure(const double *values, size_t from, size_t to, double place,
                       struct mw_growth *ret_growth);

/* Whether a rise is one that a person would care about: above 1 MiB and 2 % of the level. */
bool mw_growth_matters(const struct mw_growth *growth, double rise);

/* Where growth along a line came to an end, and was level from there on. */
struct mw_halt {
    size_t place;
    double likelier; /* than a line that goes on, and than a cache that fills: a logarithm */
};

/* Looks for it in the last quarter of the places from `from` up to `to`. False as above. */
bool mw_growth_halt(const double *values, size_t from, size_t to, struct mw_halt *ret_halt);

/*
 * The means of `count` values in `points` stretches of equal length; NAN where less than a third of
 * one is known.
 */
void mw_pool(const double *values, size_t count, double *ret_points, size_t points);

#endif
