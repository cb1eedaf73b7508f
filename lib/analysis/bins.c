#include "analysis/bins.h"

#include <math.h>

/* The width of the first bins: what is shorter than all of them is not judged. */
static const double FIRST_WIDTH_S = 1e-3;

/* Each two bins become one. */
static void coarsen(struct mw_bins *bins)
{
    size_t count = (bins->count + 1) / 2;

    for (size_t i = 0; i < count; i++) {
        struct mw_bin sum = bins->bins[2 * i];
        const struct mw_bin *other = &bins->bins[2 * i + 1];

        sum.may_fall = sum.may_fall || (2 * i + 1 < bins->count && other->may_fall);
        if (2 * i + 1 < bins->count && other->held_s > 0) {
            sum.low = sum.held_s > 0 ? fmin(sum.low, other->low) : other->low;
            sum.high = sum.held_s > 0 ? fmax(sum.high, other->high) : other->high;
            sum.integral += other->integral;
            sum.held_s += other->held_s;
        }
        bins->bins[i] = sum;
    }
    for (size_t i = count; i < bins->count; i++)
        bins->bins[i] = (struct mw_bin){0};
    bins->count = count;
    bins->width_s *= 2;
}

/* How many bins reach up to t_s; what is rounding needs none. */
static double bins_needed(const struct mw_bins *bins, double t_s)
{
    return ceil((t_s - bins->origin_s) / bins->width_s - 1e-6);
}

/* Makes sure that there is a bin for what lies before t_s. */
static void reach(struct mw_bins *bins, double t_s)
{
    double needed = bins_needed(bins, t_s);

    while (needed > MW_BIN_COUNT) {
        coarsen(bins);
        needed = bins_needed(bins, t_s);
    }
    if (needed > (double)bins->count)
        bins->count = (size_t)needed;
}

static void hold_in_bin(struct mw_bin *bin, double value, double length_s)
{
    bin->low = bin->held_s > 0 ? fmin(bin->low, value) : value;
    bin->high = bin->held_s > 0 ? fmax(bin->high, value) : value;
    bin->integral += value * length_s;
    bin->held_s += length_s;
}

void mw_bins_hold(struct mw_bins *bins, double t_s)
{
    if (!bins->begun || !(t_s > bins->end_s))
        return;
    reach(bins, t_s);
    while (bins->known && bins->end_s < t_s) {
        size_t index = (size_t)((bins->end_s - bins->origin_s) / bins->width_s);
        double until_s = bins->origin_s + (double)(index + 1) * bins->width_s;

        /* Where the end of a bin is no number of its own, the next bin takes what is left. */
        if (!(until_s > bins->end_s))
            until_s = bins->origin_s + (double)(++index + 1) * bins->width_s;
        if (index >= bins->count)
            index = bins->count - 1, until_s = t_s;
        until_s = fmin(until_s, t_s);
        hold_in_bin(&bins->bins[index], bins->last, until_s - bins->end_s);
        bins->end_s = until_s;
    }
    bins->end_s = t_s;
}

void mw_bins_add(struct mw_bins *bins, double t_s, double value)
{
    if (!bins->begun) {
        *bins = (struct mw_bins){.origin_s = t_s,
                                 .end_s = t_s,
                                 .width_s = FIRST_WIDTH_S,
                                 .begun = true,
                                 .may_fall = bins->may_fall};
    }
    mw_bins_hold(bins, t_s);
    bins->last = value;
    bins->known = true;
}

void mw_bins_stop(struct mw_bins *bins, double t_s)
{
    mw_bins_hold(bins, t_s);
    bins->known = false;
}

void mw_bins_mark(struct mw_bins *bins, double t_s)
{
    if (!bins->begun)
        return;
    mw_bins_hold(bins, t_s);
    if (bins->count > 0)
        bins->bins[bins->count - 1].may_fall = true;
}

static bool is_known(const struct mw_bins *bins, size_t index)
{
    return bins->bins[index].held_s >= .1 * bins->width_s;
}

double mw_bins_mean(const struct mw_bins *bins, size_t index)
{
    const struct mw_bin *bin = &bins->bins[index];

    return is_known(bins, index) ? bin->integral / bin->held_s : NAN;
}

double mw_bins_low(const struct mw_bins *bins, size_t index)
{
    return is_known(bins, index) ? bins->bins[index].low : NAN;
}
