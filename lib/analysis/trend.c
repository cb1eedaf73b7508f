#include "analysis/trend.h"

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
