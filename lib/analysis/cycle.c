#include "analysis/cycle.h"

#include "analysis/robust.h"

#include <math.h>
#include <stdbool.h>

enum { PHASES = 16 };

/* The mean value in each part of a period. */
struct phases {
    double sum[PHASES];
    size_t count[PHASES];
};

static size_t phase_of(size_t place, double period)
{
    double turns = (double)place / period;
    size_t phase = (size_t)((turns - floor(turns)) * PHASES);

    return phase < PHASES ? phase : PHASES - 1;
}

static double phase_mean(const struct phases *phases, size_t phase)
{
    return phases->count[phase] > 0 ? phases->sum[phase] / (double)phases->count[phase] : 0;
}

/* Between the middles of neighbouring phases on a line. */
static double phase_value(const struct phases *phases, size_t place, double period)
{
    double turns = (double)place / period;
    double at = (turns - floor(turns)) * PHASES - .5;
    size_t before = (size_t)(at + PHASES) % PHASES, after = (before + 1) % PHASES;
    double share = at - floor(at);

    return (1 - share) * phase_mean(phases, before) + share * phase_mean(phases, after);
}

/* Running sums of the values, and of how many are known. */
struct running {
    double sum[MW_CYCLE_VALUES + 1], known[MW_CYCLE_VALUES + 1];
    double origin;
};

static void sum_up(const double *values, size_t count, struct running *running)
{
    running->origin = mw_median(values, count);
    running->sum[0] = running->known[0] = 0;
    for (size_t i = 0; i < count; i++) {
        bool known = !isnan(values[i]);

        running->sum[i + 1] = running->sum[i] + (known ? values[i] - running->origin : 0);
        running->known[i + 1] = running->known[i] + known;
    }
}

/*
 * The mean over one period around a place, the two values at its ends with the weight that makes
 * the length right. NAN near the ends of the series.
 */
static double around(const struct running *running, size_t count, size_t place, double period)
{
    double half = period / 2, from = (double)place + .5 - half, to = (double)place + .5 + half;
    size_t first = (size_t)fmax(ceil(from), 0), last = (size_t)fmin(floor(to), (double)count);
    double known = running->known[last] - running->known[first];
    double sum = running->sum[last] - running->sum[first];

    if (from < 0 || to > (double)count || last <= first)
        return NAN;
    if (first > 0) {
        sum += ((double)first - from) * (running->sum[first] - running->sum[first - 1]);
        known += ((double)first - from) * (running->known[first] - running->known[first - 1]);
    }
    if (last < count) {
        sum += (to - (double)last) * (running->sum[last + 1] - running->sum[last]);
        known += (to - (double)last) * (running->known[last + 1] - running->known[last]);
    }
    return known > .7 * period ? sum / known + running->origin : NAN;
}

/* Folds what is left of the values beside their mean over a period; returns the share explained. */
static double fold(const struct running *running, const double *values, size_t count, double period,
                   struct phases *ret_phases)
{
    double squares = 0, explained = 0;
    size_t used = 0;

    *ret_phases = (struct phases){0};
    for (size_t i = 0; i < count; i++) {
        double rest = values[i] - around(running, count, i, period);
        size_t phase = phase_of(i, period);

        if (isnan(rest))
            continue;
        squares += rest * rest;
        ret_phases->sum[phase] += rest;
        ret_phases->count[phase]++;
        used++;
    }
    for (size_t phase = 0; phase < PHASES; phase++) {
        if (ret_phases->count[phase] == 0)
            return 0;
        explained += ret_phases->sum[phase] * phase_mean(ret_phases, phase);
    }
    return squares > 0 && used > (size_t)(1.5 * period) ? explained / squares : 0;
}

/*
 * The share that the phases must explain, and the fewest and most cycles of a series. What wanders
 * looks like a cycle that came twice, and so must be far more alike.
 */
static const double FEWEST_CYCLES = 2.8;
enum { MOST_CYCLES = 20, TRIED_A_CYCLE = 8 };

static double share_needed(double cycles)
{
    return cycles < 3.4 ? .93 : cycles < 6 ? .85 : .6;
}

/* How many cycles there are, from a little below to a little above: what explains most. */
static double refine(const struct running *running, const double *values, size_t count,
                     double cycles)
{
    enum { STEPS = 12 };
    static const double STEP = .01;
    double best = cycles, most = 0;
    struct phases phases;

    for (int i = -STEPS; i <= STEPS; i++) {
        double tried = cycles + i * STEP;
        double explained = fold(running, values, count, (double)count / tried, &phases);

        if (explained > most) {
            most = explained;
            best = tried;
        }
    }
    return best;
}

/* The number of cycles that explains most, where that is enough; 0: none does. */
static double search(const double *values, size_t count)
{
    double found = 0, most = 0;
    struct running running;
    struct phases phases;

    sum_up(values, count, &running);
    for (int i = 0; FEWEST_CYCLES + (double)i / TRIED_A_CYCLE <= MOST_CYCLES; i++) {
        double cycles = FEWEST_CYCLES + (double)i / TRIED_A_CYCLE;
        double period = (double)count / cycles;
        double explained = period > 2.5 ? fold(&running, values, count, period, &phases) : 0;

        if (explained >= share_needed(cycles) && explained > most) {
            most = explained;
            found = cycles;
        }
    }
    return found;
}

/* Means of so many neighbours: enough for a search. Returns how many there are. */
static size_t thin(const double *values, size_t count, size_t neighbours, double *ret_means)
{
    size_t means = count / neighbours;

    for (size_t m = 0; m < means; m++) {
        double sum = 0, known = 0;

        for (size_t i = m * neighbours; i < (m + 1) * neighbours; i++) {
            sum += isnan(values[i]) ? 0 : values[i];
            known += !isnan(values[i]);
        }
        ret_means[m] = known > 0 ? sum / known : NAN;
    }
    return means;
}

static struct mw_cycle find_periodic(const double *values, size_t count)
{
    enum { ENOUGH = 128 };
    double means[MW_CYCLE_VALUES] = {0}, found, low = INFINITY, high = -INFINITY;
    size_t neighbours = count < ENOUGH ? 1 : count / ENOUGH;
    size_t thinned = thin(values, count, neighbours, means);
    struct running running;
    struct phases phases;

    found = search(means, thinned) * (double)count / (double)(thinned * neighbours);
    if (!(found > 0))
        return (struct mw_cycle){.kind = MW_CYCLE_NONE};
    sum_up(values, count, &running);
    found = refine(&running, values, count, found);
    fold(&running, values, count, (double)count / found, &phases);
    for (size_t phase = 0; phase < PHASES; phase++) {
        low = fmin(low, phase_mean(&phases, phase));
        high = fmax(high, phase_mean(&phases, phase));
    }
    return (struct mw_cycle){
        .kind = MW_CYCLE_PERIODIC, .period = (double)count / found, .amplitude = high - low};
}

void mw_cycle_remove(const struct mw_cycle *cycle, double *values, size_t count)
{
    struct running running;
    struct phases phases;

    if (cycle->kind != MW_CYCLE_PERIODIC)
        return;
    sum_up(values, count, &running);
    fold(&running, values, count, cycle->period, &phases);
    for (size_t i = 0; i < count; i++)
        values[i] -= phase_value(&phases, i, cycle->period);
}

/* --- sawtooth --------------------------------------------------------------------------------- */

/* The places of peaks and of the troughs behind them, in turn. */
struct turns {
    size_t peaks[MW_CYCLE_VALUES], troughs[MW_CYCLE_VALUES];
    size_t count; /* of falls, from a peak to a trough */
};

/* Follows the values, and turns where they have come back by more than the threshold. */
static void find_turns(const double *values, size_t count, double threshold, struct turns *turns)
{
    size_t low = 0, high = 0;
    bool falling = false;

    turns->count = 0;
    while (low < count && isnan(values[low]))
        high = ++low;
    for (size_t i = low; i < count; i++) {
        if (isnan(values[i]))
            continue;
        if (values[i] > values[high])
            high = i;
        if (values[i] < values[low])
            low = i;
        if (!falling && values[i] < values[high] - threshold) {
            falling = true;
            low = i;
        } else if (falling && values[i] > values[low] + threshold) {
            turns->peaks[turns->count] = high;
            turns->troughs[turns->count++] = low;
            falling = false;
            high = i;
        }
    }
}

/* What is left beside the line through the medians of the two halves. */
static void straighten(const double *values, size_t count, double *ret_rest)
{
    double rise = mw_median(values + count / 2, count - count / 2) - mw_median(values, count / 2);

    for (size_t i = 0; i < count; i++)
        ret_rest[i] = values[i] - rise * 2 * (double)i / (double)count;
}

static double median_step(const double *values, size_t count)
{
    double steps[MW_CYCLE_VALUES];

    for (size_t i = 1; i < count; i++)
        steps[i - 1] = fabs(values[i] - values[i - 1]);
    return count > 1 ? mw_median(steps, count - 1) : 0;
}

static struct mw_cycle find_sawtooth(const double *values, size_t count)
{
    enum { FEWEST_FALLS = 6 };
    double rest[MW_CYCLE_VALUES], lengths[MW_CYCLE_VALUES], heights[MW_CYCLE_VALUES];
    double periods[MW_CYCLE_VALUES], fall, height, period;
    struct turns turns;

    straighten(values, count, rest);
    find_turns(rest, count, (mw_quantile(rest, count, .99) - mw_quantile(rest, count, .01)) / 4,
               &turns);
    if (turns.count < FEWEST_FALLS)
        return (struct mw_cycle){.kind = MW_CYCLE_NONE};
    for (size_t i = 0; i < turns.count; i++) {
        lengths[i] = (double)(turns.troughs[i] - turns.peaks[i]);
        heights[i] = values[turns.peaks[i]] - values[turns.troughs[i]];
        if (i > 0)
            periods[i - 1] = (double)(turns.peaks[i] - turns.peaks[i - 1]);
    }
    fall = mw_median(lengths, turns.count);
    height = mw_median(heights, turns.count);
    period = mw_median(periods, turns.count - 1);
    if (fall > fmax(.35 * period, 2) || height < 3 * median_step(rest, count))
        return (struct mw_cycle){.kind = MW_CYCLE_NONE};
    return (struct mw_cycle){.kind = MW_CYCLE_SAWTOOTH,
                             .period = mw_quantile(periods, turns.count - 1, .9),
                             .amplitude = height};
}

void mw_cycle_floor(const struct mw_cycle *cycle, const double *lows, double *ret_floor,
                    size_t count)
{
    size_t reach = (size_t)ceil(cycle->period);

    for (size_t i = 0; i < count; i++) {
        size_t from = i < reach ? 0 : i - reach, to = i + reach < count ? i + reach + 1 : count;

        ret_floor[i] = NAN;
        for (size_t j = from; i >= reach && j < to; j++)
            ret_floor[i] = fmin(ret_floor[i], lows[j]); /* passes over NAN */
    }
}

struct mw_cycle mw_cycle_find(const double *values, size_t count)
{
    struct mw_cycle cycle = find_sawtooth(values, count);

    return cycle.kind == MW_CYCLE_NONE ? find_periodic(values, count) : cycle;
}
