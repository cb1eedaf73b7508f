#include "analysis/growth.h"

#include "analysis/drift.h"
#include "analysis/robust.h"
#include "util/array.h"

#include <math.h>

void mw_pool(const double *values, size_t count, double *ret_points, size_t points)
{
    double width = (double)count / (double)points;

    for (size_t p = 0; p < points; p++) {
        double from = (double)p * width, to = from + width, sum = 0, known = 0;

        for (size_t i = (size_t)from; i < count && (double)i < to; i++) {
            double share = fmin(to, (double)i + 1) - fmax(from, (double)i);

            if (share > 0 && !isnan(values[i])) {
                sum += share * values[i];
                known += share;
            }
        }
        ret_points[p] = known >= width / 3 ? sum / known : NAN;
    }
}

/* A stretch as points, with the regressors of its length. */
struct stretch {
    double values[MW_GROWTH_POINTS], time[MW_GROWTH_POINTS]; /* time from 0 to 1 */
    size_t count, known;
};

static bool pool_stretch(const double *values, size_t from, size_t to, double place,
                         struct stretch *stretch)
{
    double points = floor((double)(to - from) / place);

    /* A few more than there are teeth do little harm; fewer than that cannot be judged. */
    points = fmax(points, fmin((double)(to - from), MW_GROWTH_LEAST_POINTS));
    stretch->count = (size_t)fmin(points, MW_GROWTH_POINTS);
    stretch->known = 0;
    mw_pool(values + from, to - from, stretch->values, stretch->count);
    for (size_t i = 0; i < stretch->count; i++) {
        stretch->time[i] = ((double)i + .5) / (double)stretch->count;
        stretch->known += !isnan(stretch->values[i]);
    }
    return stretch->known >= MW_GROWTH_LEAST_POINTS / 2;
}

/* --- other courses than a line ---------------------------------------------------------------- */

/* A curve beside a line, over time from 0 to 1. */
struct course {
    enum { SATURATES, ENDS, BEGINS } kind; /* exponentially; a line up to `at`; a line from there */
    double at;
};

static double height(const struct course *course, double time)
{
    switch (course->kind) {
    case SATURATES:
        return -expm1(-time / course->at) * course->at;
    case ENDS:
        return fmin(time, course->at);
    default:
        return fmax(time - course->at, 0);
    }
}

static double slope_at_end(const struct course *course)
{
    return course->kind == SATURATES ? exp(-1 / course->at) : course->kind == BEGINS;
}

/* Where it is over, but for 2 %. */
static double end_of(const struct course *course)
{
    return course->kind == SATURATES ? fmin(4 * course->at, 1) : course->at;
}

static bool fit_course(const struct stretch *stretch, const struct course *course,
                       struct mw_drift *ret_fit)
{
    double curve[MW_GROWTH_POINTS];
    const double *regressors[] = {stretch->time, curve};

    for (size_t i = 0; i < stretch->count; i++)
        curve[i] = height(course, stretch->time[i]);
    return mw_drift_fit(stretch->values, stretch->count, regressors, 2, ret_fit);
}

/* How likely a course is, and nothing beside it; -INFINITY where it does not rise. */
static double likelihood_alone(const struct stretch *stretch, const struct course *course)
{
    double curve[MW_GROWTH_POINTS];
    const double *regressors[] = {curve};
    struct mw_drift fit;

    for (size_t i = 0; i < stretch->count; i++)
        curve[i] = height(course, stretch->time[i]);
    if (!mw_drift_fit(stretch->values, stretch->count, regressors, 1, &fit) || fit.factor[0] <= 0)
        return -INFINITY;
    return fit.likelihood;
}

/* How likely a cache is that fills: the best of several time constants. */
static double likelihood_of_cache(const struct stretch *stretch)
{
    static const double constants[] = {.1, .15, .22, .35, .5, .8, 1.2};
    double best = -INFINITY;

    for (size_t c = 0; c < MW_COUNT(constants); c++)
        best = fmax(best, likelihood_alone(stretch, &(struct course){SATURATES, constants[c]}));
    return best;
}

/*
 * Fits a line and a curve that flattens, of several the one that fits best. What goes on growing is
 * the line; it must be there under every curve that fits about as well.
 */
static void measure_bend(const struct stretch *stretch, const struct mw_drift *line,
                         struct mw_growth *growth)
{
    static const struct course courses[] = {
        {SATURATES, .03}, {SATURATES, .06}, {SATURATES, .1},  {SATURATES, .15}, {SATURATES, .22},
        {SATURATES, .35}, {SATURATES, .6},  {SATURATES, 1.2}, {ENDS, .2},       {ENDS, .3},
        {ENDS, .4},       {ENDS, .5},       {ENDS, .6},       {ENDS, .7},       {ENDS, .8}};
    static const double AS_WELL = 2; /* in logarithms of the likelihood */
    struct mw_drift fits[MW_COUNT(courses)];
    bool fitted[MW_COUNT(courses)];
    size_t best = MW_COUNT(courses);

    growth->bend = growth->beyond = growth->lasting = growth->settled = 0;
    growth->late_slope = growth->slope;
    for (size_t i = 0; i < MW_COUNT(courses); i++) {
        fitted[i] = fit_course(stretch, &courses[i], &fits[i]);
        if (fitted[i] && (best == MW_COUNT(courses) || fits[i].likelihood > fits[best].likelihood))
            best = i;
    }
    if (best == MW_COUNT(courses))
        return;
    if (fits[best].factor[1] > 0)
        growth->bend = fits[best].likelihood - line->likelihood;
    growth->late_slope = fits[best].factor[0] + slope_at_end(&courses[best]) * fits[best].factor[1];
    growth->beyond = fits[best].likelihood - likelihood_of_cache(stretch);
    growth->lasting = INFINITY;
    for (size_t i = 0; i < MW_COUNT(courses); i++) {
        if (!fitted[i] || fits[i].likelihood < fits[best].likelihood - AS_WELL)
            continue;
        growth->lasting = fmin(growth->lasting, fits[i].factor[0] / fits[i].error[0]);
        growth->settled = fmax(growth->settled, end_of(&courses[i]));
    }
}

/*
 * A cache that fills with a time constant near the length of what was seen is the hardest to tell
 * from a leak: one curve, so that chance has one try alone.
 */
static void measure_slowing(const struct stretch *stretch, struct mw_growth *growth)
{
    static const struct course cache = {SATURATES, .8};
    struct mw_drift fit;

    growth->slowing = 1;
    growth->slowing_t = 0;
    if (!fit_course(stretch, &cache, &fit))
        return;
    growth->slowing = (fit.factor[0] + slope_at_end(&cache) * fit.factor[1]) /
                      (fit.factor[0] + height(&cache, 1) * fit.factor[1]);
    growth->slowing_t = fit.factor[1] / fit.error[1];
}

/* Finds where a stretch that was flat, or grew more slowly, began to grow as it does. */
static void measure_onset(const struct stretch *stretch, struct mw_growth *growth)
{
    static const double CLEARLY = 3;
    double best = -INFINITY;

    growth->onset = 0;
    for (int twentieths = 2; twentieths < 15; twentieths++) {
        double at = twentieths / 20.;
        struct mw_drift fit;

        if (!fit_course(stretch, &(struct course){BEGINS, at}, &fit) || fit.likelihood <= best)
            continue;
        best = fit.likelihood;
        growth->onset = fit.factor[1] > CLEARLY * fit.error[1] ? at : 0;
    }
}

bool mw_growth_halt(const double *values, size_t from, size_t to, struct mw_halt *ret_halt)
{
    enum { LEAST_REST = 5 }; /* half points */
    struct stretch stretch;
    double best = -INFINITY, other;

    if (!pool_stretch(values, from, to, 1, &stretch))
        return false;
    for (size_t halves = 2 * ((3 * stretch.count + 3) / 4);
         halves + LEAST_REST <= 2 * stretch.count; halves++) {
        double at = (double)halves / 2 / (double)stretch.count;
        double likelihood = likelihood_alone(&stretch, &(struct course){ENDS, at});

        if (likelihood > best) {
            best = likelihood;
            ret_halt->place = from + (size_t)lround(at * (double)(to - from));
        }
    }
    other =
        fmax(likelihood_of_cache(&stretch), likelihood_alone(&stretch, &(struct course){ENDS, 1}));
    ret_halt->likelier = best - other;
    return best > -INFINITY;
}

/* --- shape ------------------------------------------------------------------------------------ */

enum { GROUPS = 8, FINE_GROUPS = 16 };

static void group_medians(const struct stretch *stretch, size_t groups, double *ret_medians)
{
    for (size_t g = 0; g < groups; g++) {
        size_t from = g * stretch->count / groups, to = (g + 1) * stretch->count / groups;

        ret_medians[g] = mw_median(stretch->values + from, to - from);
    }
}

static void measure_shape(const struct stretch *stretch, struct mw_growth *growth)
{
    size_t half = stretch->count / 2, third = stretch->count / 3;
    double sen = mw_sen_slope(stretch->values, stretch->count);
    double groups[GROUPS], fine[FINE_GROUPS], highest = -INFINITY, before = NAN;

    growth->half_ratio = mw_sen_slope(stretch->values + half, stretch->count - half) / sen;
    growth->third_ratio = mw_sen_slope(stretch->values + stretch->count - third, third) / sen;
    group_medians(stretch, GROUPS, groups);
    group_medians(stretch, FINE_GROUPS, fine);
    growth->largest_step = growth->drawdown = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        if (isnan(groups[g]))
            continue;
        growth->largest_step = fmax(growth->largest_step, (groups[g] - before) / growth->net);
        before = groups[g];
    }
    for (size_t g = 0; g < FINE_GROUPS; g++) {
        highest = fmax(highest, fine[g]);
        growth->drawdown = fmax(growth->drawdown, (highest - fine[g]) / growth->net);
    }
}

static void measure_noise(const struct stretch *stretch, struct mw_growth *growth)
{
    double rests[MW_GROWTH_POINTS], middle;

    for (size_t i = 0; i < stretch->count; i++)
        rests[i] = stretch->values[i] - growth->slope * stretch->time[i];
    middle = mw_median(rests, stretch->count);
    growth->noise = mw_deviation(rests, stretch->count);
    growth->end = middle + growth->slope;
}

bool mw_growth_matters(const struct mw_growth *growth, double rise)
{
    static const double MIB = 1 << 20, LEAST_SHARE = .02;

    return rise >= MIB && rise >= LEAST_SHARE * growth->level;
}

bool mw_growth_measure(const double *values, size_t from, size_t to, double place,
                       struct mw_growth *ret_growth)
{
    struct mw_growth growth = {.from = from, .to = to};
    struct stretch stretch;
    struct mw_drift line;
    const double *regressors[] = {stretch.time};
    double places = (double)(to - from);

    if (!pool_stretch(values, from, to, place, &stretch) ||
        !mw_drift_fit(stretch.values, stretch.count, regressors, 1, &line))
        return false;
    growth.slope = growth.net = line.factor[0]; /* over the stretch, up to the end */
    growth.error = line.error[0];
    growth.walk = line.walk;
    growth.freedom = line.freedom;
    growth.level = mw_median(stretch.values, stretch.count);
    measure_noise(&stretch, &growth);
    measure_shape(&stretch, &growth);
    measure_bend(&stretch, &line, &growth);
    measure_slowing(&stretch, &growth);
    measure_onset(&stretch, &growth);
    growth.slope /= places;
    growth.error /= places;
    growth.late_slope /= places;
    *ret_growth = growth;
    return true;
}
