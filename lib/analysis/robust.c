#include "analysis/robust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

/* Copies what is known, in order of size; returns how many there are. */
static size_t sort_known(const double *values, size_t count, double *ret_sorted)
{
    size_t known = 0;

    for (size_t i = 0; i < count; i++) {
        if (!isnan(values[i]))
            ret_sorted[known++] = values[i];
    }
    qsort(ret_sorted, known, sizeof *ret_sorted, compare);
    return known;
}

static double quantile_of_sorted(const double *sorted, size_t count, double share)
{
    double place = share * (double)(count - 1);
    size_t below = (size_t)place;

    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

double mw_quantile(const double *values, size_t count, double share)
{
    double sorted[MW_ROBUST_MOST];
    size_t known = sort_known(values, count < MW_ROBUST_MOST ? count : MW_ROBUST_MOST, sorted);

    return known > 0 ? quantile_of_sorted(sorted, known, share) : NAN;
}

double mw_median(const double *values, size_t count)
{
    return mw_quantile(values, count, .5);
}

double mw_deviation(const double *values, size_t count)
{
    double distances[MW_ROBUST_MOST], middle = mw_median(values, count);

    count = count < MW_ROBUST_MOST ? count : MW_ROBUST_MOST;
    for (size_t i = 0; i < count; i++)
        distances[i] = fabs(values[i] - middle);
    return 1.4826 * mw_median(distances, count);
}

double mw_sen_slope(const double *values, size_t count)
{
    double slopes[MW_SEN_MOST * (MW_SEN_MOST - 1) / 2];
    size_t pairs = 0;

    count = count < MW_SEN_MOST ? count : MW_SEN_MOST;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count && !isnan(values[i]); j++) {
            if (!isnan(values[j]))
                slopes[pairs++] = (values[j] - values[i]) / (double)(j - i);
        }
    }
    if (pairs == 0)
        return NAN;
    qsort(slopes, pairs, sizeof *slopes, compare);
    return quantile_of_sorted(slopes, pairs, .5);
}

void mw_remove_spikes(double *values, size_t count)
{
    double middles[MW_ROBUST_MOST], above[MW_ROBUST_MOST] = {0}, limit;

    count = count < MW_ROBUST_MOST ? count : MW_ROBUST_MOST;
    for (size_t i = 0; i < count; i++) {
        size_t from = i < 2 ? 0 : i - 2, to = i + 3 > count ? count : i + 3;

        middles[i] = mw_median(values + from, to - from);
        above[i] = values[i] - middles[i];
    }
    limit = 6 * mw_deviation(above, count);
    for (size_t i = 0; i < count; i++) {
        if (above[i] > limit)
            values[i] = middles[i];
    }
}
