#include "analysis/leak.h"

#include "analysis/drift.h"
#include "analysis/robust.h"

#include <math.h>

const char *mw_verdict_name(enum mw_verdict verdict)
{
    static const char *const names[] = {
#define MW_VERDICT_NAME(identifier, name) name,
        MW_VERDICTS(MW_VERDICT_NAME)
#undef MW_VERDICT_NAME
    };

    return names[verdict];
}

double mw_leak_anonymous(double resident, double shared, double swapped)
{
    return fmax(resident - shared, 0) + swapped;
}

bool mw_leak_ends_tree(double highest, double all)
{
    return highest >= .5 * all;
}

void mw_leak_feed(struct mw_leak *leak, double t_s, double bytes)
{
    mw_bins_add(&leak->bins, t_s, bytes);
}

void mw_leak_stop(struct mw_leak *leak, double t_s)
{
    mw_bins_stop(&leak->bins, t_s);
}

void mw_leak_end(struct mw_leak *leak, double t_s)
{
    mw_bins_mark(&leak->bins, t_s);
}

/* The noise from one place to the next, which steps and trends are not part of. */
static double jitter(const struct mw_look *look)
{
    double moves[MW_BIN_COUNT] = {0};

    for (size_t i = 1; i < look->count; i++)
        moves[i - 1] = look->values[i] - look->values[i - 1];
    return mw_deviation(moves, look->count - 1);
}

/* The largest rise from the end of one segment to the start of the next, and its place. */
static double largest_step(const struct mw_look *look, double *ret_place)
{
    double most = 0;

    *ret_place = 0;
    for (size_t s = 1; s < look->segment_count; s++) {
        const struct mw_segment *before = &look->segments[s - 1], *after = &look->segments[s];
        double end = before->at_from + before->slope * (double)(before->to - before->from);

        if (after->at_from - end > most) {
            most = after->at_from - end;
            *ret_place = (double)after->from * look->scale;
        }
    }
    return most;
}

/* What a series does that does not grow in a sustained way. */
static enum mw_verdict name_course(const struct mw_look *look, double step)
{
    const struct mw_segment *first = &look->segments[0];
    const struct mw_segment *last = &look->segments[look->segment_count - 1];
    double end = last->at_from + last->slope * (double)(last->to - last->from);

    if (look->fault == MW_FAULT_SLOWING && mw_growth_matters(&look->whole, look->whole.net))
        return MW_VERDICT_FILLING;
    if (mw_growth_matters(&look->whole, step) && step > 3 * jitter(look) &&
        step > look->cycle.amplitude / 4 && end - first->at_from > step / 2)
        return MW_VERDICT_STEP;
    if (mw_growth_matters(&look->whole, look->whole.net) && mw_look_flattens(&look->whole))
        return MW_VERDICT_FILLING;
    return MW_VERDICT_STABLE;
}

/* Whether the growth is there among the first four fifths as well. */
static bool seen_before(const struct mw_bins *bins, const struct mw_look *look)
{
    static const double BEFORE = .8;
    struct mw_look before;

    return mw_look_take(&before, bins, look->start + (size_t)(BEFORE * (double)look->count),
                        &mw_demands_early) &&
           before.grows;
}

/* It slows down by more than chance explains, if not by much. */
static bool slows_clearly(const struct mw_growth *growth)
{
    return growth->slowing_t > 2;
}

/* The shortest traces of tests/corpus, by which it is known how often a leak is none. */
static const double LONG_S = 1800;

static enum mw_doubt find_doubt(const struct mw_judgement *judgement,
                                const struct mw_growth *growth)
{
    if (judgement->halted_s > 0)
        return MW_DOUBT_HALTED;
    if (slows_clearly(growth))
        return MW_DOUBT_BENT;
    if (judgement->observed_s < LONG_S)
        return MW_DOUBT_BRIEF;
    return growth->slope > 5 * growth->error ? MW_DOUBT_NONE : MW_DOUBT_WEAK;
}

static bool is_certain(const struct mw_judgement *judgement, const struct mw_look *look)
{
    const struct mw_growth *growth = &look->growth;
    double length_s = judgement->to_s - judgement->from_s;

    switch (judgement->verdict) {
    case MW_VERDICT_LEAK:
        return judgement->doubt == MW_DOUBT_NONE;
    case MW_VERDICT_FILLING:
        return growth->bend > 8;
    case MW_VERDICT_STEP:
        return judgement->step_bytes > 10 * jitter(look);
    case MW_VERDICT_STABLE:
        return judgement->high * length_s < .05 * growth->level;
    default:
        return false;
    }
}

/* How far a sawtooth reaches above its floor. */
static double tooth_height(const struct mw_look *look, const struct mw_bins *bins)
{
    double heights[MW_BIN_COUNT] = {0};

    for (size_t i = 0; i < look->count; i++) {
        const struct mw_bin *bin = &bins->bins[look->start + i];

        heights[i] = bin->held_s > 0 ? bin->high - look->values[i] : NAN;
    }
    return mw_quantile(heights, look->count, .95);
}

/* Between the medians at the two ends of the stretch. */
static double rise_of(const struct mw_look *look)
{
    size_t length = look->count - look->growth.from, part = length / 64 + 3;

    return mw_median(look->values + look->count - part, part) -
           mw_median(look->values + look->growth.from, part);
}

static void tell(struct mw_judgement *judgement, const struct mw_look *look,
                 const struct mw_bins *bins, size_t end)
{
    double width = bins->width_s, begin_s = bins->origin_s + (double)look->start * width;
    double place, margin = mw_student_975(look->growth.freedom) * look->growth.error / width;

    judgement->bin_s = width;
    judgement->since_s = begin_s;
    judgement->from_s = begin_s + (double)look->growth.from * width;
    judgement->to_s = end < bins->count ? bins->origin_s + (double)end * width : bins->end_s;
    judgement->halted_s = bins->end_s - judgement->to_s;
    judgement->slope = look->growth.slope / width;
    judgement->low = judgement->slope - margin;
    judgement->high = judgement->slope + margin;
    judgement->end = look->growth.end;
    judgement->cycle = look->cycle;
    judgement->cycle.period *= width;
    if (look->cycle.kind == MW_CYCLE_SAWTOOTH) { /* its floor is that of a period ago */
        judgement->end += look->growth.slope * look->cycle.period;
        judgement->cycle.amplitude = tooth_height(look, bins);
    }
    judgement->step_bytes = largest_step(look, &place);
    judgement->step_s = begin_s + place * width;
    judgement->fault = look->fault;
    judgement->growth = look->growth;
    judgement->rise = rise_of(look);
    judgement->doubt = find_doubt(judgement, &look->growth);
}

/* The bins up to a moment, without the end of the program. */
static void close_bins(struct mw_bins *bins, double now_s)
{
    size_t count;

    mw_bins_hold(bins, now_s);
    count = mw_look_end(bins);
    if (count == bins->count)
        return;
    bins->count = count;
    bins->end_s = bins->origin_s + (double)count * bins->width_s;
}

/* The time since the last restart of which the memory is known, and whether that is most of it. */
static double observe(const struct mw_bins *bins, bool *ret_mostly)
{
    size_t start = mw_look_restart(bins, bins->count);
    double known_s = 0, length_s = bins->end_s - bins->origin_s - (double)start * bins->width_s;

    for (size_t i = start; i < bins->count; i++)
        known_s += bins->bins[i].held_s;
    *ret_mostly = known_s >= .7 * length_s;
    return known_s;
}

/* A verdict, and the look that it rests on. */
struct finding {
    enum mw_verdict verdict;
    bool seen_before;
    struct mw_look look;
};

/* Finds what the first `count` bins say. False where that is nothing. */
static bool find(const struct mw_bins *bins, size_t count, struct finding *ret_finding)
{
    struct mw_look *look = &ret_finding->look, second;
    double place;

    ret_finding->seen_before = false;
    if (!mw_look_take(look, bins, count, &mw_demands_final))
        return false;
    if (look->grows) {
        ret_finding->seen_before = seen_before(bins, look);
        ret_finding->verdict = ret_finding->seen_before ? MW_VERDICT_LEAK : MW_VERDICT_SUSPECT;
    } else if (mw_look_take(&second, bins, count, &mw_demands_suspect) && second.grows) {
        second.fault = look->fault;
        *look = second;
        ret_finding->verdict = MW_VERDICT_SUSPECT;
    } else {
        ret_finding->verdict = name_course(look, largest_step(look, &place));
    }
    return true;
}

/*
 * Growth that halted a short while ago is judged as it was then: a load that ends makes no cache of
 * a leak. It is no more than suspect when it has been level for longer than the first share of the
 * time, or when the slope at the halt was below the second of the mean one, as in a cache that is
 * nearly full.
 */
static const double SHORT_HALT = .15, STRAIGHT = .9;

static size_t judge_before_halt(const struct mw_bins *bins, struct finding *finding)
{
    size_t halt = finding->look.start + finding->look.halt.place;
    struct finding before;

    if (finding->verdict == MW_VERDICT_LEAK || finding->look.halt.place == 0 ||
        !find(bins, halt, &before) || before.verdict != MW_VERDICT_LEAK ||
        slows_clearly(&before.look.growth))
        return bins->count;
    if ((double)(bins->count - halt) > SHORT_HALT * (double)(bins->count - before.look.start) ||
        before.look.growth.slowing < STRAIGHT)
        before.verdict = MW_VERDICT_SUSPECT;
    *finding = before;
    return halt;
}

void mw_leak_judge(const struct mw_leak *leak, double now_s, double least_s,
                   struct mw_judgement *ret_judgement)
{
    struct mw_bins bins = leak->bins;
    struct mw_judgement judgement = {
        .verdict = MW_VERDICT_INSUFFICIENT, .slope = NAN, .low = NAN, .high = NAN, .end = NAN};
    struct finding finding;
    bool mostly;

    close_bins(&bins, now_s);
    judgement.observed_s = observe(&bins, &mostly);
    judgement.since_s = judgement.from_s = bins.origin_s;
    judgement.to_s = bins.end_s;
    if (mostly && judgement.observed_s >= least_s && find(&bins, bins.count, &finding)) {
        size_t end = judge_before_halt(&bins, &finding);

        judgement.verdict = finding.verdict;
        judgement.seen_before = finding.seen_before;
        tell(&judgement, &finding.look, &bins, end);
        judgement.certain = is_certain(&judgement, &finding.look);
    }
    *ret_judgement = judgement;
}

void mw_leak_basis(const struct mw_leak *leak, double now_s, struct mw_basis *ret_basis)
{
    struct mw_bins bins = leak->bins;
    struct mw_look look;

    close_bins(&bins, now_s);
    ret_basis->count = 0;
    if (!mw_look_take(&look, &bins, bins.count, &mw_demands_final))
        return;
    ret_basis->count = look.count;
    for (size_t i = 0; i < look.count; i++) {
        ret_basis->t_s[i] = bins.origin_s + ((double)(look.start + i) + .5) * bins.width_s;
        ret_basis->bytes[i] = look.values[i];
    }
}

/* How long a slope takes over a distance. */
static double time_for(double distance, double slope)
{
    if (distance <= 0)
        return 0;
    return slope > 0 ? distance / slope : INFINITY;
}

struct mw_arrival mw_leak_arrival(const struct mw_judgement *judgement, double bytes)
{
    double tooth = judgement->cycle.kind == MW_CYCLE_SAWTOOTH ? judgement->cycle.amplitude : 0;
    double distance = bytes - judgement->end - tooth, noise = judgement->growth.noise;

    return (struct mw_arrival){
        .at_s = time_for(distance, judgement->slope),
        .low_s = time_for(distance - noise, judgement->high),
        .high_s = distance > 0 ? time_for(distance + noise, judgement->low) : 0,
    };
}
