#include "cmd/leak_curves.h"

#include "cmd/command.h"
#include "cmd/leak_limits.h"
#include "cmd/leak_text.h"
#include "util/cleanup.h"
#include "util/format.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* A verdict on its way into a picture. */
struct drawing {
    const struct verdict *verdict;
    double raise; /* what lies below that is drawn, and was not judged */
    struct leak_curves *curves;
};

void leak_curve_clear(struct mw_plot_curve *curve)
{
    free((void *)(uintptr_t)curve->label);
    free((void *)(uintptr_t)curve->points);
    *curve = (struct mw_plot_curve){0};
}

static void clear(struct leak_curves *curves)
{
    for (size_t i = 0; i < curves->count; i++)
        leak_curve_clear(&curves->curves[i]);
    free((void *)(uintptr_t)curves->crossing.label);
    *curves = (struct leak_curves){0};
}

/* Takes the label over. -ENOMEM. */
static int add(struct drawing *drawing, enum mw_curve_kind kind, char *label,
               const struct mw_plot_point *points, size_t count)
{
    struct mw_plot_point *copy = calloc(count + 1, sizeof *copy);

    if (!copy || !label) {
        free(copy);
        free(label);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = points[i];
        copy[i].low += drawing->raise;
        copy[i].value += drawing->raise;
        copy[i].high += drawing->raise;
    }
    drawing->curves->curves[drawing->curves->count++] =
        (struct mw_plot_curve){.label = label, .kind = kind, .points = copy, .point_count = count};
    return 0;
}

static struct mw_plot_point point_at(double t_s, double bytes)
{
    return (struct mw_plot_point){t_s, bytes, bytes, bytes};
}

/* What is judged where that is not the curve itself. */
static int add_basis(struct drawing *drawing, const struct mw_basis *basis)
{
    enum mw_cycle_kind kind = drawing->verdict->judgement.cycle.kind;
    mw_auto_free struct mw_plot_point *points = calloc(basis->count + 1, sizeof *points);

    if (kind == MW_CYCLE_NONE)
        return 0;
    if (!points)
        return -ENOMEM;
    for (size_t i = 0; i < basis->count; i++)
        points[i] = point_at(basis->t_s[i], basis->bytes[i]);
    return add(drawing, MW_CURVE_FLOOR,
               cmd_words(kind == MW_CYCLE_SAWTOOTH ? "floor" : "without the cycle"), points,
               basis->count);
}

/* Where the trend is at a moment, as low and as high as its interval allows. */
static struct mw_plot_point trend_at(const struct mw_judgement *judgement, double t_s)
{
    double middle_s = (judgement->from_s + judgement->to_s) / 2, away_s = t_s - middle_s;
    double middle = judgement->end - judgement->slope * (judgement->to_s - middle_s);
    double one = middle + judgement->low * away_s, other = middle + judgement->high * away_s;

    return (struct mw_plot_point){t_s, fmin(one, other), middle + judgement->slope * away_s,
                                  fmax(one, other)};
}

static int add_trend(struct drawing *drawing, double to_s)
{
    const struct mw_judgement *judgement = &drawing->verdict->judgement;
    struct mw_plot_point points[] = {trend_at(judgement, judgement->from_s),
                                     trend_at(judgement, judgement->to_s),
                                     trend_at(judgement, to_s)};
    char rate[MW_FORMAT_SIZE];

    mw_format_rate(rate, judgement->slope, judgement->observed_s);
    return add(drawing, MW_CURVE_GROWTH,
               cmd_words("%s: %s%s", mw_verdict_name(judgement->verdict), rate,
                         judgement->halted_s > 0 ? ", level since" : ""),
               points, to_s > judgement->to_s ? 3 : 2);
}

/* What is cut off in front, where that is more than nothing. */
static int add_cut(struct drawing *drawing)
{
    const struct mw_judgement *judgement = &drawing->verdict->judgement;
    struct mw_plot_point points[] = {point_at(judgement->from_s, -drawing->raise),
                                     point_at(judgement->from_s, judgement->end)};

    return add(drawing, MW_CURVE_CUT,
               mw_verdict_grows(judgement->verdict)
                   ? cmd_words("judged from here")
                   : cmd_words("%s, judged from here", mw_verdict_name(judgement->verdict)),
               points, 2);
}

/* The trend of the peaks of a sawtooth, which meet a limit long before its floor does. */
static int add_peaks(struct drawing *drawing, double tooth, double to_s)
{
    const struct mw_judgement *judgement = &drawing->verdict->judgement;
    struct mw_plot_point points[] = {
        point_at(judgement->from_s, trend_at(judgement, judgement->from_s).value + tooth),
        point_at(to_s, trend_at(judgement, to_s).value + tooth)};

    return tooth > 0 ? add(drawing, MW_CURVE_TREND, cmd_words("its peaks"), points, 2) : 0;
}

static int add_limit(struct drawing *drawing, const struct limit *limit, double to_s)
{
    char bytes[MW_FORMAT_SIZE];
    struct mw_plot_point points[] = {point_at(drawing->verdict->request.from_us / 1e6, limit->at),
                                     point_at(to_s, limit->at)};

    mw_format_bytes(bytes, llround(fmin(limit->bytes, 9e18)));
    return add(drawing, MW_CURVE_LIMIT, cmd_words("%s %s", limit->name, bytes), points, 2);
}

/* How much further than what was recorded a picture reaches at most, to show where it leads. */
static const double FURTHEST = 2;

static int draw_limit(struct drawing *drawing, const struct limit *limit)
{
    const struct mw_judgement *judgement = &drawing->verdict->judgement;
    double length_s = judgement->to_s - (double)drawing->verdict->request.from_us / 1e6;
    double tooth = judgement->cycle.kind == MW_CYCLE_SAWTOOTH ? judgement->cycle.amplitude : 0;
    struct mw_arrival arrival = mw_leak_arrival(judgement, limit->at);
    double at_s = judgement->to_s + arrival.at_s;
    char in[MW_FORMAT_SIZE];
    int code;

    if (!(arrival.at_s <= FURTHEST * length_s))
        return add_trend(drawing, judgement->to_s);
    drawing->curves->to_s = at_s + .15 * (at_s - judgement->to_s + length_s);
    if ((code = add_trend(drawing, drawing->curves->to_s)) < 0 ||
        (code = add_peaks(drawing, tooth, drawing->curves->to_s)) < 0 ||
        (code = add_limit(drawing, limit, drawing->curves->to_s)) < 0)
        return code;
    mw_format_duration(in, llround(arrival.at_s * 1e9));
    drawing->curves->crosses = arrival.at_s > 0;
    if (drawing->curves->crosses)
        drawing->curves->crossing = (struct mw_plot_peak){
            .t_s = at_s,
            .bytes = limit->at + drawing->raise,
            .label = cmd_words(tooth > 0 ? "met by the peaks in %s" : "met in %s", in)};
    return 0;
}

static int draw(struct drawing *drawing, const struct mw_basis *basis, int64_t limit_bytes,
                struct mw_error *error)
{
    const struct mw_judgement *judgement = &drawing->verdict->judgement;
    const struct limit *limit;
    struct limits limits;
    int code = limits_find(&limits, drawing->verdict, limit_bytes, error);

    if (code < 0)
        return code;
    limit = mw_verdict_grows(judgement->verdict) && judgement->halted_s == 0
                ? binding_limit(drawing->verdict, &limits)
                : NULL;
    if ((code = add_basis(drawing, basis)) == 0 && (code = add_cut(drawing)) == 0 &&
        mw_verdict_grows(judgement->verdict))
        code = limit ? draw_limit(drawing, limit) : add_trend(drawing, judgement->to_s);
    limits_clear(&limits);
    return code < 0 ? mw_error_errno(error, ENOMEM, "cannot draw") : 0;
}

static int tell_why_none(struct leak_curves *curves, const struct verdict *verdict,
                         struct mw_error *error)
{
    mw_auto_free char *words = verdict_words(verdict);

    if (words)
        curves->why_none = cmd_words("%s: %s", mw_verdict_name(verdict->judgement.verdict), words);
    return curves->why_none ? 0 : mw_error_errno(error, ENOMEM, "cannot draw");
}

int leak_curves_make(struct leak_curves *ret_curves, const struct verdict_request *request,
                     enum mw_metric drawn, int64_t limit_bytes, struct mw_error *error)
{
    mw_auto_free struct mw_basis *basis = calloc(1, sizeof *basis);
    struct verdict_request asked = *request;
    struct verdict verdict;
    struct drawing drawing = {.verdict = &verdict, .curves = ret_curves};
    int code;

    *ret_curves = (struct leak_curves){0};
    if (!basis)
        return mw_error_errno(error, ENOMEM, "cannot draw");
    asked.metric = drawn == MW_METRIC_PSS ? LEAK_PSS : leak_metric_default(request->recording);
    if ((code = verdict_reach(&verdict, basis, &asked, error)) < 0)
        return code;
    if (verdict.judgement.verdict == MW_VERDICT_INSUFFICIENT)
        return tell_why_none(ret_curves, &verdict, error);
    drawing.raise = verdict.shared;
    if ((code = draw(&drawing, basis, limit_bytes, error)) < 0)
        clear(ret_curves);
    return code;
}
