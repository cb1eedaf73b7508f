#include "analysis/look.h"

#include "analysis/robust.h"

#include <math.h>
#include <string.h>

const struct mw_demands mw_demands_final = {
    .cycles = true,
    .shortest = .3,
    .t = 2.2,
    .deviations = 3,
    .bend = 4,
    .late = .75,
    .slowing = .78,
    .slowing_t = .7,
    .half = .4,
    .third = .1,
    .settled = .5,
    .lasting = 3,
    .beyond = 6,
    .step = .45,
    .drawdown = .3,
    .fresh = .5,
    .halt = 6,
};

const struct mw_demands mw_demands_suspect = {
    .cycles = true,
    .shortest = .2,
    .t = 1.7,
    .deviations = 3,
    .bend = 4,
    .late = .75,
    .slowing = .78,
    .slowing_t = .7,
    .half = .4,
    .third = .1,
    .settled = .6,
    .lasting = 2,
    .beyond = 3,
    .step = .5,
    .drawdown = .35,
    .fresh = .4,
    .halt = INFINITY,
};

const struct mw_demands mw_demands_early = {
    .cycles = true,
    .shortest = .15,
    .t = 1.2,
    .deviations = 2,
    .bend = INFINITY,
    .slowing = -INFINITY,
    .half = .1,
    .third = -1,
    .step = .6,
    .drawdown = .4,
    .fresh = .3,
    .halt = INFINITY,
};

const char *mw_fault_name(enum mw_fault fault)
{
    static const char *const names[] = {"none",    "small", "chance", "slowing",
                                        "stepped", "falls", "old"};

    return names[fault];
}

/* --- what counts ------------------------------------------------------------------------------ */

/*
 * A fall by more than so much, within a bin or two, is a restart where a process ended, unless it
 * happens often: an allocator that gives memory back, or a collector, does that in a process that
 * goes on.
 */
static const double RESTART_FALL = .5;
enum { MOST_RESTARTS = 2, RESTART_REACH = 5 };

/* The first 24th behind a start is start-up, whatever it looks like. */
enum { START_UP = 24 };

/* Whether a process ended, or may have, about that bin. */
static bool may_fall(const struct mw_bins *bins, size_t place)
{
    size_t from = place < RESTART_REACH ? 0 : place - RESTART_REACH;

    if (bins->may_fall)
        return true;
    for (size_t i = from; i < bins->count && i <= place + RESTART_REACH; i++) {
        if (bins->bins[i].may_fall)
            return true;
    }
    return false;
}

size_t mw_look_restart(const struct mw_bins *bins, size_t count)
{
    size_t last = 0, restarts = 0;

    for (size_t i = RESTART_REACH; i < count; i++) {
        double before[RESTART_REACH];

        for (size_t j = 0; j < RESTART_REACH; j++)
            before[j] = mw_bins_mean(bins, i - RESTART_REACH + j);
        if (!(mw_bins_low(bins, i) < (1 - RESTART_FALL) * mw_median(before, RESTART_REACH)) ||
            !may_fall(bins, i))
            continue;
        restarts += last == 0 || i - last > RESTART_REACH;
        last = i;
    }
    return restarts <= MOST_RESTARTS ? last : 0;
}

size_t mw_look_end(const struct mw_bins *bins)
{
    size_t fall = mw_look_restart(bins, bins->count);

    return fall > 0 && fall + RESTART_REACH >= bins->count ? fall : bins->count;
}

static void load(struct mw_look *look, const struct mw_bins *bins, size_t count)
{
    size_t restart = mw_look_restart(bins, count);

    look->start = restart + (count - restart) / START_UP;
    look->count = count - look->start;
    for (size_t i = 0; i < look->count; i++) {
        look->values[i] = mw_bins_mean(bins, look->start + i);
        look->lows[i] = mw_bins_low(bins, look->start + i);
    }
}

static size_t known_places(const struct mw_look *look)
{
    size_t known = 0;

    for (size_t i = 0; i < look->count; i++)
        known += !isnan(look->values[i]);
    return known;
}

/*
 * A sawtooth is looked for before spikes are taken out, which its peaks would pass for; a cycle
 * behind that, since spikes would hide it.
 */
static void take_cycle_out(struct mw_look *look)
{
    look->cycle = mw_cycle_find(look->values, look->count);
    if (look->cycle.kind != MW_CYCLE_SAWTOOTH) {
        mw_remove_spikes(look->values, look->count);
        look->cycle = mw_cycle_find(look->values, look->count);
    }
    if (look->cycle.kind == MW_CYCLE_SAWTOOTH)
        mw_cycle_floor(&look->cycle, look->lows, look->values, look->count);
    else
        mw_cycle_remove(&look->cycle, look->values, look->count);
}

static void find_segments(struct mw_look *look)
{
    double points[MW_SEGMENT_VALUES];
    size_t count = look->count < MW_SEGMENT_VALUES ? look->count : MW_SEGMENT_VALUES;

    mw_pool(look->values, look->count, points, count);
    look->scale = (double)look->count / (double)count;
    look->segment_count = mw_segments(points, count, look->segments);
}

/* --- does it grow? ---------------------------------------------------------------------------- */

/* The highest that memory was before a place, leaving out the first sixth: a start-up may pass. */
static double highest_before(const struct mw_look *look, size_t place)
{
    size_t from = look->count / 6;

    return place > from + 4 ? mw_quantile(look->values + from, place - from, .95) : -INFINITY;
}

static bool bends(const struct mw_growth *growth, const struct mw_demands *demands)
{
    return growth->bend > demands->bend && growth->late_slope < demands->late * growth->slope;
}

bool mw_look_flattens(const struct mw_growth *growth)
{
    return growth->slope > 0 && bends(growth, &mw_demands_final) &&
           growth->drawdown <= mw_demands_final.drawdown;
}

static bool slows_down(const struct mw_growth *growth, const struct mw_demands *demands)
{
    return bends(growth, demands) ||
           (growth->slowing < demands->slowing && growth->slowing_t > demands->slowing_t) ||
           growth->half_ratio < demands->half || growth->third_ratio < demands->third;
}

static enum mw_fault find_fault(const struct mw_look *look, const struct mw_growth *growth,
                                const struct mw_demands *demands)
{
    if (!mw_growth_matters(growth, growth->net) ||
        growth->net < demands->deviations * growth->noise)
        return MW_FAULT_SMALL;
    if (growth->slope < demands->t * growth->error)
        return MW_FAULT_CHANCE;
    if (slows_down(growth, demands))
        return MW_FAULT_SLOWING;
    if (growth->largest_step > demands->step)
        return MW_FAULT_STEPPED;
    if (growth->drawdown > demands->drawdown)
        return MW_FAULT_FALLS;
    if (growth->end - highest_before(look, growth->from) < demands->fresh * growth->net)
        return MW_FAULT_OLD;
    return MW_FAULT_NONE;
}

static bool measure(const struct mw_look *look, size_t from, struct mw_growth *ret_growth)
{
    double place = look->cycle.kind == MW_CYCLE_SAWTOOTH ? look->cycle.period : 1;

    return mw_growth_measure(look->values, from, look->count, place, ret_growth);
}

/* Measures the later part of a stretch, and makes it the finding where it grows. */
static bool grows_from(struct mw_look *look, const struct mw_growth *stretch, double share,
                       const struct mw_demands *demands)
{
    size_t from = stretch->from + (size_t)lround(share * (double)(look->count - stretch->from));
    struct mw_growth part;

    if (!measure(look, from, &part) || find_fault(look, &part, demands) != MW_FAULT_NONE)
        return false;
    look->growth = part;
    return true;
}

/* Growth that slowed down at first, and then went on: a leak behind a warm-up. */
static bool goes_on(struct mw_look *look, const struct mw_growth *stretch,
                    const struct mw_demands *demands)
{
    return stretch->lasting > demands->lasting && stretch->beyond > demands->beyond &&
           stretch->settled <= demands->settled &&
           grows_from(look, stretch, stretch->settled, demands);
}

/*
 * Looks at the stretch from the start of each segment. One that slows down ends the search: its
 * later part may well look straight.
 */
static void look_for_growth(struct mw_look *look, const struct mw_demands *demands)
{
    for (size_t s = 0; s < look->segment_count && !look->grows; s++) {
        size_t from = (size_t)lround((double)look->segments[s].from * look->scale);
        struct mw_growth stretch;
        enum mw_fault fault;

        if ((double)(look->count - from) < demands->shortest * (double)look->count ||
            !measure(look, from, &stretch))
            return;
        fault = find_fault(look, &stretch, demands);
        if (s == 0) {
            look->whole = look->growth = stretch;
            look->fault = fault;
        }
        if (fault == MW_FAULT_SLOWING) {
            look->grows = goes_on(look, &stretch, demands);
            return;
        }
        if (fault != MW_FAULT_NONE)
            continue;
        look->grows = true;
        look->growth = stretch;
        if (stretch.onset > 0)
            grows_from(look, &stretch, stretch.onset, demands);
    }
}

/* Looks for a halt behind the start of each segment that is long enough. */
static void look_for_halt(struct mw_look *look, const struct mw_demands *demands)
{
    for (size_t s = 0; s < look->segment_count; s++) {
        size_t from = (size_t)lround((double)look->segments[s].from * look->scale);
        struct mw_halt halt;

        if ((double)(look->count - from) < demands->shortest * (double)look->count)
            return;
        if (mw_growth_halt(look->values, from, look->count, &halt) &&
            halt.likelier > fmax(demands->halt, look->halt.likelier))
            look->halt = halt;
    }
}

bool mw_look_take(struct mw_look *ret_look, const struct mw_bins *bins, size_t count,
                  const struct mw_demands *demands)
{
    enum { LEAST_PLACES = 24 };

    memset(ret_look, 0, sizeof *ret_look);
    ret_look->fault = MW_FAULT_SMALL;
    load(ret_look, bins, count);
    if (known_places(ret_look) < LEAST_PLACES)
        return false;
    if (demands->cycles)
        take_cycle_out(ret_look);
    else
        mw_remove_spikes(ret_look->values, ret_look->count);
    find_segments(ret_look);
    look_for_growth(ret_look, demands);
    if (!ret_look->grows && isfinite(demands->halt))
        look_for_halt(ret_look, demands);
    return ret_look->whole.to > 0;
}
