#include "analysis/drift.h"

#include "util/array.h"

#include <math.h>

/* The values, the regressors behind them, and the constant. */
enum { MOST_SERIES = MW_DRIFT_REGRESSORS + 2 };

/* What moves beside the trend. */
struct noise {
    double stay, walk;
};

/* Series that are filtered together; the first says which places are known. */
struct bundle {
    const double *series[MOST_SERIES];
    size_t series_count, count;
};

/* Sums over the innovations of each two series. */
struct products {
    double sum[MOST_SERIES][MOST_SERIES]; /* the lower half */
    double log_variance;                  /* of the innovations, summed */
    size_t count;                         /* of innovations */
};

/*
 * Runs the Kalman filter of the noise over the series: what comes out is independent, and its
 * variance is 1 times a common factor. A level that walks has no place to return to: the first
 * value sets it, and with it the constant.
 */
static struct products filter(const struct bundle *bundle, struct noise noise)
{
    struct products products = {0};
    double level[MOST_SERIES] = {0}, innovation[MOST_SERIES];
    double product = 1; /* of the variances: one logarithm instead of many */
    double variance = noise.stay < 1 ? noise.walk / (1 - noise.stay * noise.stay) : INFINITY;

    for (size_t i = 0; i < bundle->count; i++) {
        double total = variance + 1 - noise.walk;

        if (!isnan(bundle->series[0][i])) {
            double gain = isinf(total) ? 1 : variance / total;
            double precision = 1 / total; /* 0 for the first value of a walk */

            for (size_t s = 0; s < bundle->series_count; s++) {
                innovation[s] = bundle->series[s][i] - level[s];
                level[s] += gain * innovation[s];
            }
            for (size_t s = 0; s < bundle->series_count; s++) {
                for (size_t r = 0; r <= s; r++)
                    products.sum[s][r] += innovation[s] * innovation[r] * precision;
            }
            product *= isinf(total) ? 1 : total;
            products.count += !isinf(total);
            variance = gain * (1 - noise.walk);
        }
        for (size_t s = 0; s < bundle->series_count; s++)
            level[s] *= noise.stay;
        variance = noise.stay * noise.stay * variance + noise.walk;
    }
    products.log_variance = log(product);
    return products;
}

/* Takes the last series out of all others: the products are then those of what is left. */
static double project_out(struct products *p, size_t last)
{
    double own = p->sum[last][last];

    for (size_t s = 0; s < last; s++) {
        for (size_t r = 0; r <= s; r++)
            p->sum[s][r] -= p->sum[last][s] * p->sum[last][r] / own;
    }
    return own;
}

/* Generalised least squares from the products, without a constant. log_own: of the constant. */
static bool solve(const struct products *p, size_t regressors, size_t freedom, double log_own,
                  struct mw_drift *ret_fit, double *ret_restricted)
{
    double a = p->sum[1][1], b = regressors > 1 ? p->sum[2][1] : 0;
    double c = regressors > 1 ? p->sum[2][2] : 1, determinant = a * c - b * b;
    double x = p->sum[1][0], y = regressors > 1 ? p->sum[2][0] : 0, rest, variance;

    if (!(determinant > 1e-9 * a * c))
        return false;
    ret_fit->factor[0] = (c * x - b * y) / determinant;
    ret_fit->factor[1] = (a * y - b * x) / determinant;
    rest = p->sum[0][0] - ret_fit->factor[0] * x - ret_fit->factor[1] * y;
    /* What is rounding is no noise. */
    rest = fmax(rest, 1e-12 * p->sum[0][0] + 1e-300);
    variance = rest / (double)freedom;
    ret_fit->freedom = freedom;
    ret_fit->error[0] = sqrt(variance * c / determinant);
    ret_fit->error[1] = sqrt(variance * a / determinant);
    ret_fit->covariance = -variance * b / determinant;
    ret_fit->likelihood = -.5 * ((double)p->count * log(rest / (double)p->count) + p->log_variance);
    *ret_restricted =
        -.5 * ((double)freedom * log(variance) + p->log_variance + log_own + log(determinant));
    return true;
}

/* Fits under one kind of noise. */
static bool fit_under(const struct bundle *all, size_t regressors, struct noise noise,
                      struct mw_drift *ret_fit, double *ret_restricted)
{
    struct bundle bundle = *all;
    struct products products;
    double own = 1;

    if (noise.stay == 1)
        bundle.series_count--;
    products = filter(&bundle, noise);
    if (products.count < regressors + 6)
        return false;
    if (noise.stay < 1)
        own = project_out(&products, bundle.series_count - 1);
    *ret_fit = (struct mw_drift){.stay = noise.stay, .walk = noise.walk};
    return solve(&products, regressors, products.count - regressors - (noise.stay < 1), log(own),
                 ret_fit, ret_restricted);
}

/*
 * Each point of a series stands for a stretch of time: a walk that is averaged over them moves less
 * from point to point than from end to end, by a third in its variance.
 */
static void widen(struct mw_drift *fit)
{
    double factor = 1 + fit->walk / 2;

    fit->error[0] *= sqrt(factor);
    fit->error[1] *= sqrt(factor);
    fit->covariance *= factor;
}

/* By how much noise that returns must be likelier than one that does not, to be believed. */
static const double RETURNS = 2;

bool mw_drift_fit(const double *values, size_t count, const double *const *regressors,
                  size_t regressor_count, struct mw_drift *ret_fit)
{
    static const struct noise noises[] = {{1, 0},   {1, .001}, {1, .005}, {1, .02}, {1, .1},
                                          {1, .3},  {1, 1},    {.5, 1},   {.7, 1},  {.8, 1},
                                          {.87, 1}, {.7, .4},  {.85, .3}};
    double constant[MW_DRIFT_VALUES], best = -INFINITY, restricted;
    struct bundle bundle = {.series = {values}, .count = count};

    if (count > MW_DRIFT_VALUES)
        return false;
    for (size_t i = 0; i < count; i++)
        constant[i] = 1;
    for (size_t s = 0; s < regressor_count; s++)
        bundle.series[1 + s] = regressors[s];
    bundle.series[1 + regressor_count] = constant;
    bundle.series_count = regressor_count + 2;
    for (size_t i = 0; i < MW_COUNT(noises); i++) {
        struct mw_drift fit;

        if (!fit_under(&bundle, regressor_count, noises[i], &fit, &restricted))
            continue;
        if (noises[i].stay < 1)
            restricted -= RETURNS;
        if (restricted > best) {
            best = restricted;
            *ret_fit = fit;
        }
    }
    if (!(best > -INFINITY))
        return false;
    widen(ret_fit);
    return true;
}

double mw_student_975(size_t freedom)
{
    /* Abramowitz and Stegun 26.7.5: the expansion around the normal quantile. */
    double z = 1.959963985, n = (double)freedom, z3 = z * z * z, z5 = z3 * z * z;

    if (freedom < 1)
        return INFINITY;
    return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
           (3 * z5 * z * z + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n);
}
