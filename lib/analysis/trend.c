#include "analysis/trend.h"

#include <stdlib.h>

void mw_trend_hold(struct mw_trend *trend, double from_s, double to_s, double value)
{
    double length = to_s - from_s, middle, square;

    if (!(length > 0))
        return;
    if (trend->weight == 0)
        trend->origin_s = from_s;
    middle = (from_s + to_s) / 2 - trend->origin_s;
    /* The integral of t² over a stretch is length * (middle² + length²/12). */
    square = middle * middle + length * length / 12;
    trend->weight += length;
    trend->t += length * middle;
    trend->tt += length * square;
    trend->value += length * value;
    trend->t_value += length * middle * value;
}

bool mw_trend_line(const struct mw_trend *trend, double *ret_at_origin, double *ret_slope)
{
    double mean_t = trend->t / trend->weight, mean_value = trend->value / trend->weight;
    double variance = trend->tt / trend->weight - mean_t * mean_t;

    if (!(trend->weight > 0) || !(variance > 0))
        return false;
    *ret_slope = (trend->t_value / trend->weight - mean_t * mean_value) / variance;
    *ret_at_origin = mean_value - *ret_slope * mean_t;
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

double mw_trend_sen_slope(const struct mw_trend_point *points, size_t count)
{
    double slopes[MW_SEN_POINTS * (MW_SEN_POINTS - 1) / 2];
    size_t pairs = 0;

    if (count < 2 || count > MW_SEN_POINTS)
        return 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++)
            slopes[pairs++] = (points[j].y - points[i].y) / (points[j].x - points[i].x);
    }
    qsort(slopes, pairs, sizeof *slopes, compare_numbers);
    return (slopes[(pairs - 1) / 2] + slopes[pairs / 2]) / 2;
}
