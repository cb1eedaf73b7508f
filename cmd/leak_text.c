#include "cmd/leak_text.h"

#include "cmd/command.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *size(char buffer[static MW_FORMAT_SIZE], double bytes)
{
    return mw_format_bytes(buffer, isfinite(bytes) ? llround(fmin(bytes, 9e18)) : 0);
}

static char *duration(char buffer[static MW_FORMAT_SIZE], double s)
{
    return mw_format_duration(buffer, llround(fmin(s, 9e9) * 1e9));
}

/* A slope in the unit that suits the length of what it was seen in. */
static char *rate(char buffer[static MW_FORMAT_SIZE], const struct verdict *verdict, double slope)
{
    return mw_format_rate(buffer, slope, verdict->judgement.observed_s);
}

static char *subject(const struct verdict *verdict)
{
    const struct mw_process *process = verdict->request.process;

    return process ? process_label(process) : cmd_words("all processes");
}

/* --- limits ----------------------------------------------------------------------------------- */

/* What lies further away than so many times what was observed is not told as a date. */
static const double FAR = 10;

/* "the cgroup limit of 512 MiB (/user.slice)"; NULL when memory ran out. */
static char *limit_name(const struct limit *limit)
{
    static const char group[] = "cgroup ";
    mw_auto_free char *name = mw_text_printable(limit->name); /* a cgroup is called anything */
    char bytes[MW_FORMAT_SIZE];

    if (!name)
        return NULL;
    size(bytes, limit->bytes);
    if (strcmp(name, "machine") == 0)
        return cmd_words("the machine's memory of %s", bytes);
    if (strcmp(name, "limit") == 0)
        return cmd_words("the limit of %s", bytes);
    if (strncmp(name, group, sizeof group - 1) == 0)
        return cmd_words("the cgroup limit of %s (%s)", bytes, name + sizeof group - 1);
    return cmd_words("the %s of %s", name, bytes);
}

char *limit_words(const struct verdict *verdict, const struct limit *limit)
{
    struct mw_arrival arrival = mw_leak_arrival(&verdict->judgement, limit->at);
    double far_s = FAR * verdict->judgement.observed_s;
    char at[MW_FORMAT_SIZE], low[MW_FORMAT_SIZE], high[MW_FORMAT_SIZE];
    mw_auto_free char *name = limit_name(limit);
    const char *when = verdict->judgement.halted_s > 0 ? "if it grows on like that, " : "";

    if (!name)
        return NULL;
    if (arrival.at_s == 0)
        return cmd_words("%s is reached already", name);
    if (!(arrival.at_s <= far_s))
        return cmd_words("%s%s is reached in more than %s", when, name, duration(at, far_s));
    duration(at, arrival.at_s);
    duration(low, arrival.low_s);
    if (!(arrival.high_s <= far_s))
        return cmd_words("%s%s is reached in %s (%s at least)", when, name, at, low);
    return cmd_words("%s%s is reached in %s (%s to %s)", when, name, at, low,
                     duration(high, arrival.high_s));
}

const struct limit *binding_limit(const struct verdict *verdict, const struct limits *limits)
{
    const struct limit *first = NULL;
    double first_s = INFINITY;

    for (size_t i = 0; i < limits->count; i++) {
        double at_s = mw_leak_arrival(&verdict->judgement, limits->items[i].at).at_s;

        if (at_s < first_s) {
            first_s = at_s;
            first = &limits->items[i];
        }
    }
    return first;
}

/* "3.80 to 4.51 MiB/h": the unit once where it is the same. */
enum { RANGE_SIZE = 2 * MW_FORMAT_SIZE + 8 };
static char *rate_range(char buffer[static RANGE_SIZE], const struct verdict *verdict)
{
    char low[MW_FORMAT_SIZE], high[MW_FORMAT_SIZE];
    const char *low_unit, *high_unit;

    rate(low, verdict, verdict->judgement.low);
    rate(high, verdict, verdict->judgement.high);
    low_unit = strchr(low, ' ');
    high_unit = strchr(high, ' ');
    if (low_unit && high_unit && strcmp(low_unit, high_unit) == 0)
        low[low_unit - low] = '\0';
    snprintf(buffer, RANGE_SIZE, "%s to %s", low, high);
    return buffer;
}

/* --- one sentence a verdict ------------------------------------------------------------------- */

/* Why the series as a whole is no sustained growth. */
static char *fault_words(const struct mw_judgement *judgement)
{
    const struct mw_growth *growth = &judgement->growth;
    char noise[MW_FORMAT_SIZE];

    switch (judgement->fault) {
    case MW_FAULT_SMALL:
        if (mw_growth_matters(growth, growth->net))
            return cmd_words("it goes up and down too much for that, by %s around its trend",
                             size(noise, growth->noise));
        return cmd_words("the rise is below 1 MiB or 2 %% of the level");
    case MW_FAULT_CHANCE:
        return cmd_words("memory wanders, and may rise as much by chance");
    case MW_FAULT_SLOWING:
        return cmd_words("it slows down");
    case MW_FAULT_STEPPED:
        return cmd_words("one step is much of it");
    case MW_FAULT_FALLS:
        return cmd_words("it falls again in between");
    case MW_FAULT_OLD:
        return cmd_words("memory was as high before");
    default:
        return cmd_words("it grows up to the end");
    }
}

static char *growth_words(const struct verdict *verdict)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    bool leak = judgement->verdict == MW_VERDICT_LEAK;
    char slope[MW_FORMAT_SIZE], range[RANGE_SIZE], length[MW_FORMAT_SIZE], halt[MW_FORMAT_SIZE];
    char again[MW_FORMAT_SIZE];

    rate(slope, verdict, judgement->slope);
    rate_range(range, verdict);
    duration(length, judgement->to_s - judgement->from_s);
    duration(halt, judgement->to_s);
    if (leak && judgement->halted_s > 0)
        return cmd_words("sustained growth of %s (%s) for %s, consistent with a leak; level from "
                         "%s on, perhaps because the load ended",
                         slope, range, length, halt);
    if (judgement->halted_s > 0)
        return cmd_words("sustained growth of %s (%s) for %s, and level from %s on: a leak if the "
                         "load ended there, a full cache if it went on; record it again with load "
                         "to the end to tell",
                         slope, range, length, halt);
    if (leak)
        return cmd_words("sustained growth of %s (%s) for %s, consistent with a leak", slope, range,
                         length);
    duration(again, judgement->observed_s / 2);
    if (judgement->fault == MW_FAULT_NONE)
        return cmd_words("growth of %s (%s) for %s, which is too new to call it a leak: record "
                         "for %s more",
                         slope, range, length, again);
    return cmd_words("growth of %s (%s) for %s, not clear enough to call it a leak: record for "
                     "%s more",
                     slope, range, length, again);
}

/* Why a leak may be none, and what would tell; NULL where that is clear. */
static char *doubt_words(const struct verdict *verdict)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    char length[MW_FORMAT_SIZE], longer[MW_FORMAT_SIZE];

    if (judgement->verdict != MW_VERDICT_LEAK)
        return NULL;
    duration(length, judgement->observed_s);
    duration(longer, fmax(2 * judgement->observed_s, 1800));
    switch (judgement->doubt) {
    case MW_DOUBT_HALTED:
        return cmd_words(
            "not certain: a cache that was full by then looks the same; record it again with "
            "load to the end to tell");
    case MW_DOUBT_BENT:
        return cmd_words("not certain: it slows down a little, as a cache does that is not full "
                         "yet; record %s to tell",
                         longer);
    case MW_DOUBT_BRIEF:
        return cmd_words("not certain: within %s, a cache that is not full yet looks the same; "
                         "record %s to tell",
                         length, longer);
    case MW_DOUBT_WEAK:
        return cmd_words("not certain: noise hides much of it; record %s to tell", longer);
    default:
        return NULL;
    }
}

static char *filling_words(const struct verdict *verdict)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    double late = judgement->growth.late_slope / judgement->bin_s;
    char rise[MW_FORMAT_SIZE], mean[MW_FORMAT_SIZE], end[MW_FORMAT_SIZE];

    rate(mean, verdict, judgement->slope);
    if (late < .1 * judgement->slope && judgement->rise > 0)
        return cmd_words("rose by %s and has levelled off, as a cache or a pool does that is full. "
                         "No leak is shown; record it twice as long to see that it stays level",
                         size(rise, judgement->rise));
    return cmd_words(
        "grows ever more slowly, as a cache or a pool does that fills: %s at the end, "
        "%s on the average. No leak is shown; record it twice as long to see whether it stops",
        rate(end, verdict, fmax(late, 0)), mean);
}

static char *step_words(const struct verdict *verdict)
{
    char bytes[MW_FORMAT_SIZE], at[MW_FORMAT_SIZE];

    return cmd_words(
        "went up by %s at once, about %s after the start, and stayed: no sustained growth. See "
        "its log of that time",
        size(bytes, verdict->judgement.step_bytes), duration(at, verdict->judgement.step_s));
}

static char *stable_words(const struct verdict *verdict)
{
    static const double PAGE = 4096; /* what is less than that is rounding */
    const struct mw_judgement *judgement = &verdict->judgement;
    const struct mw_growth *growth = &judgement->growth;
    char high[MW_FORMAT_SIZE], rise[MW_FORMAT_SIZE], length[MW_FORMAT_SIZE];
    double length_s = judgement->to_s - judgement->from_s;
    mw_auto_free char *why = fault_words(judgement);

    if (judgement->high * length_s < PAGE)
        return cmd_words("does not grow");
    rate(high, verdict, judgement->high);
    if (mw_growth_matters(growth, growth->net))
        return cmd_words("rose by %s in %s, which is not called growth: %s. It grows by less than "
                         "%s, if at all; record it twice as long to know more",
                         size(rise, judgement->rise), duration(length, length_s), why ? why : "?",
                         high);
    return cmd_words("no growth that matters: less than %s, if any", high);
}

static char *insufficient_words(const struct verdict *verdict)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    char observed[MW_FORMAT_SIZE], least[MW_FORMAT_SIZE];

    duration(observed, judgement->observed_s);
    if (isnan(verdict->last))
        return cmd_words("no %s was recorded", leak_metric_label(verdict->request.metric));
    if (judgement->observed_s < verdict->request.least_s)
        return cmd_words("known for %s alone: record %s or more, or lower --min-duration", observed,
                         duration(least, verdict->request.least_s));
    return cmd_words(
        "too much of it is not known: %s in all, with gaps; judge a part that has none "
        "(-w FROM,TO)",
        observed);
}

char *verdict_words(const struct verdict *verdict)
{
    switch (verdict->judgement.verdict) {
    case MW_VERDICT_LEAK:
    case MW_VERDICT_SUSPECT:
        return growth_words(verdict);
    case MW_VERDICT_FILLING:
        return filling_words(verdict);
    case MW_VERDICT_STEP:
        return step_words(verdict);
    case MW_VERDICT_STABLE:
        return stable_words(verdict);
    default:
        return insufficient_words(verdict);
    }
}

/* --- evidence --------------------------------------------------------------------------------- */

static void print_line(const char *name, char *words)
{
    if (words)
        printf("%*s%-10s %s\n", VERDICT_INDENT, "", name, words);
    free(words);
}

static char *cut_words(const struct mw_judgement *judgement)
{
    char from[MW_FORMAT_SIZE], to[MW_FORMAT_SIZE];

    duration(from, judgement->from_s);
    duration(to, judgement->to_s);
    if (judgement->from_s - judgement->since_s > judgement->bin_s)
        return cmd_words("from %s to %s; what was before took another course", from, to);
    return cmd_words("from %s to %s; what was before is start-up", from, to);
}

static char *basis_words(const struct mw_judgement *judgement)
{
    char period[MW_FORMAT_SIZE], height[MW_FORMAT_SIZE];

    duration(period, judgement->cycle.period);
    size(height, judgement->cycle.amplitude);
    if (judgement->cycle.kind == MW_CYCLE_SAWTOOTH)
        return cmd_words("the floor below a sawtooth of %s that comes about every %s", height,
                         period);
    if (judgement->cycle.kind == MW_CYCLE_PERIODIC)
        return cmd_words("without a cycle of %s that comes every %s", height, period);
    return cmd_words("as it is: neither sawtooth nor cycle");
}

static char *trend_words(const struct mw_judgement *judgement)
{
    static const double MOST = 99; /* what is above is rounding of a series without noise */
    const struct mw_growth *growth = &judgement->growth;
    double t = growth->slope / growth->error;
    char net[MW_FORMAT_SIZE], noise[MW_FORMAT_SIZE], significance[MW_FORMAT_SIZE] = "";

    if (fabs(growth->net) < 1)
        return cmd_words("does not move");
    if (fabs(t) <= MOST)
        snprintf(significance, sizeof significance, "; t = %.1f", t);
    else if (isfinite(t))
        snprintf(significance, sizeof significance, "; |t| above %.0f", MOST);
    return cmd_words("%s %s%s in noise of %s that %s", growth->net < 0 ? "falls" : "rises",
                     size(net, fabs(growth->net)), significance, size(noise, growth->noise),
                     growth->walk > .3  ? "wanders"
                     : growth->walk > 0 ? "wanders a little"
                                        : "returns to its line");
}

/* NULL where there is no rise to have a shape. */
static char *shape_words(const struct mw_judgement *judgement)
{
    const struct mw_growth *growth = &judgement->growth;
    char ratios[96] = "", cache[64] = "";

    if (!mw_growth_matters(growth, growth->net))
        return NULL;
    if (isfinite(growth->half_ratio) && isfinite(growth->third_ratio))
        snprintf(ratios, sizeof ratios, "slope of the last half %.2f and third %.2f of the whole; ",
                 growth->half_ratio, growth->third_ratio);
    if (isfinite(growth->slowing) && isfinite(growth->slowing_t))
        snprintf(cache, sizeof cache, "as a cache: %.2f at the end (t = %.1f); ", growth->slowing,
                 growth->slowing_t);
    return cmd_words("%s%slargest step %.0f %%, largest fall %.0f %% of the rise", ratios, cache,
                     100 * growth->largest_step, 100 * growth->drawdown);
}

static char *whole_words(const struct mw_judgement *judgement)
{
    if (judgement->verdict == MW_VERDICT_FILLING)
        return cmd_words("it slows down");
    if (judgement->verdict == MW_VERDICT_STEP)
        return cmd_words("one step is much of it");
    return fault_words(judgement);
}

static void print_evidence(const struct verdict *verdict, const struct limits *limits)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    char shared[MW_FORMAT_SIZE];

    if (judgement->verdict == MW_VERDICT_INSUFFICIENT)
        return;
    print_line("judged", cut_words(judgement));
    print_line("series", basis_words(judgement));
    print_line("trend", trend_words(judgement));
    print_line("shape", shape_words(judgement));
    print_line("whole", whole_words(judgement));
    if (judgement->verdict == MW_VERDICT_LEAK)
        print_line("before", cmd_words("the growth was there at four fifths of the time, too"));
    else if (judgement->verdict == MW_VERDICT_SUSPECT && judgement->fault == MW_FAULT_NONE &&
             judgement->halted_s == 0)
        print_line("before", cmd_words("it was not there yet at four fifths of the time"));
    if (fabs(verdict->shared_growth) > 0)
        print_line("beside", cmd_words("file and shared pages changed by %s, which is no leak",
                                       size(shared, verdict->shared_growth)));
    for (size_t i = 0; i < limits->count; i++)
        print_line("limit", mw_verdict_grows(judgement->verdict)
                                ? limit_words(verdict, &limits->items[i])
                                : limit_name(&limits->items[i]));
}

void print_verdict(const struct verdict *verdict, const struct limits *limits, bool evidence)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    const struct limit *limit =
        mw_verdict_grows(judgement->verdict) ? binding_limit(verdict, limits) : NULL;
    mw_auto_free char *who = subject(verdict), *words = verdict_words(verdict);
    mw_auto_free char *when = limit ? limit_words(verdict, limit) : NULL;
    mw_auto_free char *doubt = doubt_words(verdict);

    printf("%-*s %s: %s\n", VERDICT_INDENT - 1, mw_verdict_name(judgement->verdict),
           who ? who : "?", words ? words : "?");
    if (doubt)
        printf("%*s%s\n", VERDICT_INDENT, "", doubt);
    if (when && !evidence)
        printf("%*s%s\n", VERDICT_INDENT, "", when);
    if (evidence)
        print_evidence(verdict, limits);
}
