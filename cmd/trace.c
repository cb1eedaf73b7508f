#include "cmd/trace.h"

#include "cmd/marks.h"
#include "util/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* A series on its way into a curve. */
struct tracing {
    const struct trace_request *request;
    struct mw_envelope *envelope;
    bool any;
    struct mw_sample held; /* the last sample */
    struct mw_peak peak;   /* the highest sample of the window */
    struct marks_highest mark;
    bool readings; /* they stand for their moment alone, and are not held */
    struct mw_trend trend;
};

static int out_of_memory(struct mw_error *error)
{
    return mw_error_errno(error, ENOMEM, "cannot draw");
}

/* The nearest moment in the window. */
static int64_t in_window(const struct trace_request *request, int64_t t_us)
{
    return t_us < request->from_us ? request->from_us
           : t_us > request->to_us ? request->to_us
                                   : t_us;
}

/* The held value counts for the trend until t_us, as far as that lies in the window. */
static void hold_until(struct tracing *tracing, int64_t t_us)
{
    mw_trend_hold(&tracing->trend, (double)in_window(tracing->request, tracing->held.t_us) / 1e6,
                  (double)in_window(tracing->request, t_us) / 1e6, (double)tracing->held.bytes);
}

static int add_sample(void *context, const struct mw_sample *sample)
{
    struct tracing *tracing = context;
    const struct trace_request *request = tracing->request;

    /* Where nothing is known between two readings, the last one before the window says nothing in
     * it. */
    if (tracing->readings && sample->t_us < request->from_us)
        return 0;
    if (tracing->any && request->trend)
        hold_until(tracing, sample->t_us);
    /* What held before the window begins counts in it only from there, and only the last of it. */
    if (!tracing->any || sample->t_us <= request->from_us ||
        sample->high_bytes > tracing->peak.bytes)
        tracing->peak = (struct mw_peak){.bytes = sample->high_bytes,
                                         .from_us = in_window(request, sample->from_us),
                                         .to_us = in_window(request, sample->t_us)};
    tracing->held = *sample;
    tracing->any = true;
    return mw_envelope_add_range(tracing->envelope, sample->from_us, sample->t_us,
                                 sample->low_bytes, sample->high_bytes, sample->bytes);
}

static int read_marks(struct tracing *tracing, struct mw_envelope_high **ret_highs,
                      struct mw_error *error)
{
    const struct trace_request *request = tracing->request;
    struct marks_request marks = {request->recording, request->process,  request->from_us,
                                  request->to_us,     tracing->envelope, request->columns};
    int code = marks_read(&marks, ret_highs, &tracing->mark, error);

    if (code == 0 && request->bands)
        mw_envelope_raise(tracing->envelope, *ret_highs);
    return code;
}

static int read_samples(struct tracing *tracing, struct mw_error *error)
{
    const struct trace_request *request = tracing->request;
    struct mw_series_window window = {
        .run = request->recording->run->id,
        .process = request->process,
        .metric = request->metric,
        .from_us = request->from_us,
        .to_us = request->to_us,
        .grain_us = (request->to_us - request->from_us) / request->columns,
    };

    return mw_reader_series(request->recording->reader, &window, add_sample, tracing, error);
}

/* The points as the plot takes them. */
static int take_points(struct tracing *tracing, struct trace *trace)
{
    const struct mw_envelope_point *points;
    size_t count;

    if (mw_envelope_finish(tracing->envelope, tracing->request->end_us, &points, &count) < 0)
        return -ENOMEM;
    trace->points = calloc(count + 1, sizeof *trace->points);
    if (!trace->points)
        return -ENOMEM;
    if (tracing->readings && count > 1)
        count--; /* where the last reading ceases to hold is no reading */
    for (size_t i = 0; i < count; i++) {
        if (tracing->readings && i + 1 < count && points[i + 1].t_us == points[i].t_us)
            continue;
        trace->points[trace->point_count++] = (struct mw_plot_point){
            (double)points[i].t_us / 1e6, points[i].low, points[i].value, points[i].high};
    }
    return 0;
}

/* The peak of the whole series, as the recorder stored it; NULL: there is none. */
static const struct mw_peak *stored_peak(const struct trace_request *request)
{
    const struct recording *recording = request->recording;
    const struct mw_peak *peak = NULL;

    if (request->process == MW_PROCESS_TREE)
        peak = &recording->run->peak;
    for (size_t i = 0; i < recording->process_count && !peak; i++) {
        if (recording->processes[i].id == request->process)
            peak = &recording->processes[i].peak;
    }
    return request->metric == MW_METRIC_RSS && peak && peak->known ? peak : NULL;
}

/* Whether a peak was where the curve is drawn: of what was given up, there is no curve. */
static bool is_drawn(const struct trace_request *request, const struct mw_peak *peak)
{
    return peak->from_us >= request->from_us && peak->to_us <= request->to_us &&
           peak->from_us >= known_since_us(request->recording);
}

static int64_t middle_us(const struct mw_peak *peak)
{
    return peak->from_us + (peak->to_us - peak->from_us) / 2;
}

/*
 * The kernel's mark says more where it is above the samples; and the stored peak knows also what
 * functions read at their entry and exit, which is in no series.
 */
static void take_peak(const struct tracing *tracing, struct trace *trace)
{
    const struct trace_request *request = tracing->request;
    const struct mw_peak *stored = stored_peak(request);

    trace->peak = tracing->peak;
    trace->peak_at_us = in_window(request, middle_us(&tracing->peak));
    if (tracing->mark.peak.bytes > trace->peak.bytes) {
        trace->peak = tracing->mark.peak;
        trace->peak_at_us = in_window(request, tracing->mark.at_us);
    }
    if (stored && stored->bytes > trace->peak.bytes && is_drawn(request, stored)) {
        trace->peak = *stored;
        trace->peak_at_us = middle_us(stored);
    }
}

static void take_trend(struct tracing *tracing, struct trace *trace)
{
    const struct trace_request *request = tracing->request;

    hold_until(tracing, request->end_us);
    trace->trend = tracing->trend;
    trace->from_s = fmax(trace->trend.origin_s, (double)request->from_us / 1e6);
    trace->to_s = (double)in_window(request, request->end_us) / 1e6;
}

static int trace_series(struct tracing *tracing, struct trace *trace, struct mw_error *error)
{
    const struct trace_request *request = tracing->request;
    mw_auto_free struct mw_envelope_high *highs = NULL;
    int code = 0;

    if (request->metric == MW_METRIC_RSS)
        code = read_marks(tracing, &highs, error);
    if (code == 0)
        code = read_samples(tracing, error);
    if (code < 0 || !tracing->any || request->end_us <= request->from_us)
        return code;
    take_peak(tracing, trace);
    if (request->trend)
        take_trend(tracing, trace);
    return take_points(tracing, trace) < 0 ? out_of_memory(error) : 0;
}

int trace_read(struct trace *ret_trace, const struct trace_request *request, struct mw_error *error)
{
    struct tracing tracing = {
        .request = request,
        .readings = mw_metric_cadence(request->metric) == MW_CADENCE_READING,
        .envelope = mw_envelope_new(request->from_us, request->to_us, request->columns,
                                    request->holes, request->hole_count),
    };
    int code;

    *ret_trace = (struct trace){0};
    code = tracing.envelope ? trace_series(&tracing, ret_trace, error) : out_of_memory(error);
    mw_envelope_free(tracing.envelope);
    return code;
}

bool trace_line(const struct trace *trace, struct mw_plot_point ret_ends[2], double *ret_slope)
{
    double at_origin;

    if (!mw_trend_line(&trace->trend, &at_origin, ret_slope))
        return false;
    for (size_t i = 0; i < 2; i++) {
        double t_s = i == 0 ? trace->from_s : trace->to_s;
        double value = at_origin + *ret_slope * (t_s - trace->trend.origin_s);

        ret_ends[i] = (struct mw_plot_point){t_s, value, value, value};
    }
    return true;
}
