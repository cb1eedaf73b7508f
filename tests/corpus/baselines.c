#include "baselines.h"

#include "analysis/robust.h"

#include <math.h>
#include <string.h>

/* --- least squares ---------------------------------------------------------------------------- */

static void measure_line(struct baselines *ret, const struct corpus_trace *trace)
{
    double n = (double)trace->count, t = 0, y = 0, tt = 0, ty = 0, slope, end;

    for (size_t i = 0; i < trace->count; i++) {
        t += trace->times[i] / n;
        y += trace->values[i] / n;
    }
    for (size_t i = 0; i < trace->count; i++) {
        tt += (trace->times[i] - t) * (trace->times[i] - t);
        ty += (trace->times[i] - t) * (trace->values[i] - y);
    }
    slope = ty / tt;
    end = y + slope * (trace->duration_s - t);
    ret->rise = slope * trace->duration_s / y;
    ret->reach = slope > 0 ? fmax(trace->limit - end, 0) / slope / trace->duration_s : INFINITY;
}

/* --- Mann-Kendall ----------------------------------------------------------------------------- */

enum { POINTS = MW_SEN_MOST, MOST_POINTS = 4096 };

/* Means over stretches of time; those without a sample are left out. Returns how many there are. */
static size_t resample(const struct corpus_trace *trace, double stretch_s, double *ret_means)
{
    size_t count = 0, in_stretch = 0;
    double sum = 0, until_s = stretch_s;

    for (size_t i = 0; i < trace->count && count < MOST_POINTS; i++) {
        if (trace->times[i] >= until_s && in_stretch > 0) {
            ret_means[count++] = sum / (double)in_stretch;
            sum = 0;
            in_stretch = 0;
        }
        while (trace->times[i] >= until_s)
            until_s += stretch_s;
        sum += trace->values[i];
        in_stretch++;
    }
    return count;
}

static double sign(double value)
{
    return (value > 0) - (value < 0);
}

/* Kendall's S, and its variance where all orders are equally likely. */
static double kendall(const double *values, size_t count, double *ret_variance)
{
    double n = (double)count, s = 0;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++)
            s += sign(values[j] - values[i]);
    }
    *ret_variance = n * (n - 1) * (2 * n + 5) / 18;
    return s;
}

/* Ranks of what is left beside the Theil-Sen line. */
static void rank_rests(const double *values, size_t count, double slope, double *ret_ranks)
{
    for (size_t i = 0; i < count; i++) {
        ret_ranks[i] = 0;
        for (size_t j = 0; j < count; j++)
            ret_ranks[i] += sign(values[i] - slope * (double)i - values[j] + slope * (double)j) / 2;
    }
}

/* By how much autocorrelation that is significant widens the variance (Hamed and Rao 1998). */
static double inflation(const double *ranks, size_t count)
{
    double n = (double)count, squares = 0, sum = 0;

    for (size_t i = 0; i < count; i++)
        squares += ranks[i] * ranks[i];
    for (size_t lag = 1; lag + 3 < count; lag++) {
        double l = (double)lag, products = 0;

        for (size_t i = 0; i + lag < count; i++)
            products += ranks[i] * ranks[i + lag];
        if (fabs(products / squares) > 1.96 / sqrt(n))
            sum += (n - l) * (n - l - 1) * (n - l - 2) * products / squares;
    }
    return fmax(1 + 2 * sum / (n * (n - 1) * (n - 2)), 1 / n);
}

static void measure_ranks(struct baselines *ret, const struct corpus_trace *trace)
{
    double means[MOST_POINTS] = {0}, ranks[POINTS], variance, s, slope;
    size_t count = resample(trace, trace->duration_s / POINTS, means);

    count = count < POINTS ? count : POINTS;
    s = kendall(means, count, &variance);
    slope = mw_sen_slope(means, count);
    rank_rests(means, count, slope, ranks);
    ret->mann_kendall = (s - sign(s)) / sqrt(variance);
    ret->hamed_rao = (s - sign(s)) / sqrt(variance * inflation(ranks, count));
    ret->sen = slope * (double)count / mw_median(means, count);
}

/* --- Precog ----------------------------------------------------------------------------------- */

/* R² of the least-squares line; 0 where it does not rise. */
static double fit_rising(const double *values, size_t count)
{
    double n = (double)count, middle = (n - 1) / 2, mean = 0, xx = 0, xy = 0, yy = 0;

    for (size_t i = 0; i < count; i++)
        mean += values[i] / n;
    for (size_t i = 0; i < count; i++) {
        xx += ((double)i - middle) * ((double)i - middle);
        xy += ((double)i - middle) * (values[i] - mean);
        yy += (values[i] - mean) * (values[i] - mean);
    }
    return xy > 0 && yy > 0 ? xy * xy / (xx * yy) : 0;
}

/*
 * As Jindal et al. describe it (arXiv 2101.09799), without the offline phase, for which there is no
 * clean history: change points are where a difference is more than `z` standard deviations from the
 * mean of all; from the start and from each, a line is laid to the end, over at least `least`
 * points.
 */
static double precog(const double *values, size_t count, double z, size_t least)
{
    double mean = 0, squares = 0, best = 0;

    for (size_t i = 1; i < count; i++)
        mean += (values[i] - values[i - 1]) / (double)(count - 1);
    for (size_t i = 1; i < count; i++)
        squares += pow(values[i] - values[i - 1] - mean, 2) / (double)(count - 1);
    for (size_t i = 0; i + least <= count; i++) {
        if (i > 0 && fabs(values[i] - values[i - 1] - mean) <= z * sqrt(squares))
            continue;
        best = fmax(best, fit_rising(values + i, count - i));
    }
    return best;
}

static void measure_precog(struct baselines *ret, const struct corpus_trace *trace)
{
    static const double zs[] = {2, 3, 4}, shares[] = {.1, .3, .5};
    enum { SCALED = 128, PUBLISHED_LEAST = 6 };
    double means[MOST_POINTS] = {0};
    size_t count = resample(trace, 300, means);

    ret->precog = precog(means, count, 3, PUBLISHED_LEAST);
    count = resample(trace, trace->duration_s / SCALED, means);
    for (size_t i = 0; i < PRECOG_VARIANTS; i++)
        ret->precog_scaled[i] =
            precog(means, count, zs[i / 3], (size_t)(shares[i % 3] * (double)count));
}

void baselines_measure(struct baselines *ret, const struct corpus_trace *trace)
{
    memset(ret, 0, sizeof *ret);
    measure_line(ret, trace);
    measure_ranks(ret, trace);
    measure_precog(ret, trace);
}
