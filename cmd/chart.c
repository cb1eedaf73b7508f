#include "cmd/chart.h"

#include "analysis/envelope.h"
#include "analysis/trend.h"
#include "cmd/brackets.h"
#include "cmd/happenings.h"
#include "cmd/leak_curves.h"
#include "cmd/marks.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chart {
    struct mw_plot plot;
    struct mw_plot_curve *curves;
    int64_t *owners; /* of each curve: a process, MW_PROCESS_TREE or CURVE_OF_NONE */
    struct mw_plot_peak *peaks;
    struct mw_plot_gap *gaps;
    struct brackets *brackets;
    struct limit_lines limits;
    char *title, *subtitle;
    size_t curve_room, owner_room, peak_room;
    size_t drawn_processes; /* that have a curve, of a single recording */
};

/* One series on its way into a curve. */
struct trace {
    struct mw_envelope *envelope;
    int64_t from_us, to_us, end_us; /* the window, and where the series ends */
    bool any;
    struct mw_sample held; /* the last sample */
    struct mw_peak peak;   /* the highest in the window */
    struct mw_peak mark;   /* the highest that the kernel saw in it; 0 bytes: nothing */
    bool join;             /* readings stand for their moment alone, and are not held */
    bool wants_trend;
    struct mw_trend trend;
};

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The held value counts for the trend until t_us, as far as that lies in the window. */
static void hold_until(struct trace *trace, int64_t t_us)
{
    int64_t from_us = clamp(trace->held.t_us, trace->from_us, trace->to_us);
    int64_t until_us = clamp(t_us, trace->from_us, trace->to_us);

    mw_trend_hold(&trace->trend, (double)from_us / 1e6, (double)until_us / 1e6,
                  (double)trace->held.bytes);
}

static int add_sample(void *context, const struct mw_sample *sample)
{
    struct trace *trace = context;
    int64_t t_us = clamp(sample->t_us, trace->from_us, trace->to_us);

    /* Where nothing is known between two readings, the last one before the window says nothing in
     * it. */
    if (trace->join && sample->t_us < trace->from_us)
        return 0;

    if (trace->any && trace->wants_trend)
        hold_until(trace, sample->t_us);
    /* What held before the window begins counts in it only from there, and only the last of it. */
    if (!trace->any || sample->t_us <= trace->from_us || sample->high_bytes > trace->peak.bytes)
        trace->peak = (struct mw_peak){.bytes = sample->high_bytes,
                                       .from_us = clamp(sample->from_us, trace->from_us, t_us),
                                       .to_us = t_us};
    trace->held = *sample;
    trace->any = true;
    return mw_envelope_add_range(trace->envelope, sample->from_us, sample->t_us, sample->low_bytes,
                                 sample->high_bytes, sample->bytes);
}

static int out_of_memory(struct mw_error *error)
{
    return mw_error_errno(error, ENOMEM, "cannot draw");
}

/*
 * Appends a curve that owns its label and points; both are taken over, also on failure. owner says
 * whose memory it is.
 */
static int add_curve(struct chart *chart, const struct mw_plot_curve *curve, int64_t owner,
                     struct mw_error *error)
{
    size_t count = chart->plot.curve_count;

    if (!curve->label || !curve->points ||
        !mw_array_reserve(&chart->curves, count, &chart->curve_room, sizeof *chart->curves) ||
        !mw_array_reserve(&chart->owners, count, &chart->owner_room, sizeof *chart->owners)) {
        free((void *)(uintptr_t)curve->label);
        free((void *)(uintptr_t)curve->points);
        return out_of_memory(error);
    }
    chart->curves[count] = *curve;
    chart->owners[count] = owner;
    chart->plot.curve_count++;
    return 0;
}

static int add_peak(struct chart *chart, const struct trace *trace, struct mw_error *error)
{
    char bytes[MW_FORMAT_SIZE], time[PEAK_TIME_SIZE];
    char *label;

    if (!mw_array_reserve(&chart->peaks, chart->plot.peak_count, &chart->peak_room,
                          sizeof *chart->peaks) ||
        asprintf(&label, "%s %s", mw_format_bytes(bytes, trace->peak.bytes),
                 peak_time(time, &trace->peak)) < 0)
        return out_of_memory(error);
    chart->peaks[chart->plot.peak_count++] = (struct mw_plot_peak){
        .t_s = (double)clamp((trace->peak.from_us + trace->peak.to_us) / 2, trace->from_us,
                             trace->to_us) /
               1e6,
        .bytes = (double)trace->peak.bytes,
        .label = label,
    };
    return 0;
}

static char *slope_label(double bytes_per_s, double span_s, size_t place)
{
    char rate[MW_FORMAT_SIZE], of[24] = "";
    char *label;

    if (place > 0)
        snprintf(of, sizeof of, "%zu: ", place);
    mw_format_rate(rate, bytes_per_s, span_s);
    return asprintf(&label, "%sslope %s", of, rate) < 0 ? NULL : label;
}

static int add_trend(struct chart *chart, const struct trace *trace, size_t place,
                     struct mw_error *error)
{
    double from_s = fmax(trace->trend.origin_s, (double)trace->from_us / 1e6);
    double to_s = (double)(trace->end_us < trace->to_us ? trace->end_us : trace->to_us) / 1e6;
    double at_origin, slope;
    struct mw_plot_point *points;

    if (!mw_trend_line(&trace->trend, &at_origin, &slope))
        return 0;
    points = calloc(2, sizeof *points);
    for (size_t i = 0; points && i < 2; i++) {
        double t_s = i == 0 ? from_s : to_s;
        double value = at_origin + slope * (t_s - trace->trend.origin_s);

        points[i] = (struct mw_plot_point){t_s, value, value, value};
    }
    return add_curve(chart,
                     &(struct mw_plot_curve){.label = slope_label(slope, to_s - from_s, place),
                                             .kind = MW_CURVE_TREND,
                                             .points = points,
                                             .point_count = 2},
                     CURVE_OF_NONE, error);
}

/*
 * The points as the plot takes them. Where a metric is read only now and then, nothing is known of
 * it in between: its readings are joined by straight lines, where the steps of others are real.
 */
static struct mw_plot_point *copy_points(const struct mw_envelope_point *points, size_t count,
                                         bool join, size_t *ret_count)
{
    struct mw_plot_point *copy = calloc(count ? count : 1, sizeof *copy);

    *ret_count = 0;
    if (join && count > 1)
        count--; /* where the last reading ceases to hold is no reading */
    for (size_t i = 0; copy && i < count; i++) {
        if (join && i + 1 < count && points[i + 1].t_us == points[i].t_us)
            continue;
        copy[(*ret_count)++] = (struct mw_plot_point){(double)points[i].t_us / 1e6, points[i].low,
                                                      points[i].value, points[i].high};
    }
    return copy;
}

/* What is being drawn of one recording. */
struct source {
    struct recording *recording;
    const struct chart_options *options;
    size_t place;  /* among several, from 1; 0: it is alone */
    int64_t to_us; /* end of the window, inside the recording */
    struct mw_hole *holes;
    size_t hole_count;
};

/*
 * How many of them are worth a curve: the first few, and of the others those that reach a tenth of
 * the first. The total holds them all.
 */
static size_t worth_drawing(const struct mw_process *const *order, size_t count)
{
    enum { ALWAYS = 5 };
    size_t drawn = 0;

    while (drawn < count && drawn < MOST_PROCESSES &&
           (drawn < ALWAYS || order[drawn]->peak.bytes >= order[0]->peak.bytes / 10))
        drawn++;
    return drawn;
}

/* Reads a series into the trace, and into points that the caller frees. */
static int read_series(const struct source *source, int64_t process, enum mw_metric metric,
                       int64_t end_us, struct trace *trace, struct mw_plot_point **ret_points,
                       size_t *ret_count, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    const struct mw_envelope_point *points;
    mw_auto_free double *column_highs = NULL;
    int code = 0;

    if (metric == MW_METRIC_RSS) {
        struct marks_request marks = {source->recording, process,         trace->from_us,
                                      trace->to_us,      trace->envelope, options->columns};

        if ((code = marks_read(&marks, &column_highs, &trace->mark, error)) < 0)
            return code;
        /* Bands of several recordings over each other would hide more than they show. */
        if (source->place == 0)
            mw_envelope_raise(trace->envelope, column_highs);
    }
    code = mw_reader_series(source->recording->reader,
                            &(struct mw_series_window){
                                .run = source->recording->run->id,
                                .process = process,
                                .metric = metric,
                                .from_us = options->from_us,
                                .to_us = source->to_us,
                                .grain_us = (source->to_us - options->from_us) / options->columns,
                            },
                            add_sample, trace, error);
    if (code < 0)
        return code;
    trace->any = trace->any && end_us > options->from_us;
    if (!trace->any)
        return 0;
    if (trace->mark.bytes > trace->peak.bytes)
        trace->peak = trace->mark;
    if (trace->wants_trend)
        hold_until(trace, end_us);
    if (mw_envelope_finish(trace->envelope, end_us, &points, ret_count) < 0)
        return out_of_memory(error);
    *ret_points = copy_points(points, *ret_count, trace->join, ret_count);
    return *ret_points ? 0 : out_of_memory(error);
}

/*
 * Reads one series into a curve, where there is anything in the window. trace->any says so
 * afterwards, and trace has what is needed for a peak and a trend. Takes the label over.
 */
static int trace_series(struct chart *chart, const struct source *source, int64_t process,
                        enum mw_metric metric, int64_t end_us, char *label, enum mw_curve_kind kind,
                        struct trace *ret_trace, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    struct mw_plot_point *points = NULL;
    size_t count = 0;
    int code;

    *ret_trace = (struct trace){
        .from_us = options->from_us,
        .to_us = source->to_us,
        .end_us = end_us,
        .join = mw_metric_cadence(metric) == MW_CADENCE_READING,
        .wants_trend = options->slope,
        .envelope = mw_envelope_new(options->from_us, source->to_us, options->columns,
                                    source->holes, source->hole_count),
    };
    code = ret_trace->envelope
               ? read_series(source, process, metric, end_us, ret_trace, &points, &count, error)
               : out_of_memory(error);
    mw_envelope_free(ret_trace->envelope);
    ret_trace->envelope = NULL;
    if (code == 0 && ret_trace->any)
        return add_curve(chart,
                         &(struct mw_plot_curve){
                             .label = label, .kind = kind, .points = points, .point_count = count},
                         kind == MW_CURVE_PSS ? CURVE_OF_NONE : process, error);
    free(label);
    free(points);
    return code;
}

static int64_t process_end(const struct recording *recording, const struct mw_process *process)
{
    return process->end_us < 0 ? recording->run->duration_us : process->end_us;
}

/* Traces the processes that are worth it, the highest first. */
static int trace_processes(struct chart *chart, const struct source *source,
                           struct trace *ret_first, struct mw_error *error)
{
    struct recording *recording = source->recording;
    size_t count = 0;
    mw_auto_free const struct mw_process **order = processes_by_peak(recording, &count);
    int code = 0;

    if (!order)
        return out_of_memory(error);
    chart->drawn_processes = worth_drawing(order, count);
    for (size_t i = 0; code == 0 && i < chart->drawn_processes; i++) {
        struct trace trace;

        code = trace_series(chart, source, order[i]->id, source->options->metric,
                            process_end(recording, order[i]), process_label(order[i]),
                            MW_CURVE_PROCESS, &trace, error);
        if (code == 0 && trace.any && !ret_first->any)
            *ret_first = trace;
    }
    return code;
}

static bool has_tree(const struct recording *recording)
{
    return recording->run->children == MW_CHILDREN_SUM ||
           (recording->run->children == MW_CHILDREN_EACH && had_children(recording));
}

/* Lays the verdict of `leak` over the curve of the tree, or of the largest process. */
static int add_verdict(struct chart *chart, const struct source *source, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    struct recording *recording = source->recording;
    bool tree = options->curves != CHART_PROCESSES && has_tree(recording);
    struct verdict_request request = {
        .recording = recording,
        .process = tree ? NULL : largest_process(recording),
        .from_us = options->from_us,
        .to_us = source->to_us,
        .least_s = 0,
    };
    struct leak_curves leak;
    int code = leak_curves_make(&leak, &request, options->metric, options->limit_bytes, error);

    for (size_t i = 0; i < leak.count; i++) {
        if (code == 0)
            code = add_curve(chart, &leak.curves[i], CURVE_OF_NONE, error);
        else
            leak_curve_clear(&leak.curves[i]);
    }
    if (code < 0)
        return code;
    chart->plot.to_s = fmax(chart->plot.to_s, leak.to_s);
    if (!leak.crosses)
        return 0;
    if (!leak.crossing.label || !mw_array_reserve(&chart->peaks, chart->plot.peak_count,
                                                  &chart->peak_room, sizeof *chart->peaks)) {
        free((void *)(uintptr_t)leak.crossing.label);
        return out_of_memory(error);
    }
    chart->peaks[chart->plot.peak_count++] = leak.crossing;
    return 0;
}

/* One recording: its total, its processes, and the proportional memory where that was read. */
static int trace_recording(struct chart *chart, const struct source *source, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    struct recording *recording = source->recording;
    struct trace main = {0}, pss;
    int code = 0;

    if (options->curves != CHART_PROCESSES && has_tree(recording)) {
        code = trace_series(chart, source, MW_PROCESS_TREE, options->metric,
                            recording->run->duration_us, strdup("all processes"), MW_CURVE_TREE,
                            &main, error);
        if (code == 0 && options->metric == MW_METRIC_RSS)
            code = trace_series(chart, source, MW_PROCESS_TREE, MW_METRIC_PSS,
                                recording->run->duration_us, strdup("PSS, shared pages once"),
                                MW_CURVE_PSS, &pss, error);
    }
    if (code == 0 && (options->curves != CHART_TOTAL || !has_tree(recording)))
        code = trace_processes(chart, source, &main, error);
    if (code == 0 && main.any && (code = add_peak(chart, &main, error)) == 0 && options->slope)
        code = add_trend(chart, &main, source->place, error);
    if (code == 0 && main.any && options->leak)
        code = add_verdict(chart, source, error);
    return code;
}

/* What one of several is called: its place on the command line where it has no name. */
static char *overlay_name(const struct chart_options *options, size_t place)
{
    char *name;

    if (options->names)
        return strdup(options->names[place - 1]);
    return asprintf(&name, "%zu", place) < 0 ? NULL : name;
}

/* "1: python3 leak.py (20261121T222307_7349)": what it is called, the command, the file. */
static char *overlay_label(const struct source *source)
{
    const struct recording *recording = source->recording;
    mw_auto_free char *place = overlay_name(source->options, source->place);
    static const char prefix[] = "memwatch_", suffix[] = ".db";
    mw_auto_free char *command = recording_command(recording);
    mw_auto_free char *short_command = command ? mw_text_shorten(command, 24) : NULL;
    const char *slash = strrchr(recording->path, '/');
    const char *name = slash ? slash + 1 : recording->path;
    size_t length;
    char *label;

    if (strncmp(name, prefix, sizeof prefix - 1) == 0)
        name += sizeof prefix - 1;
    length = strlen(name);
    if (length > sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0)
        length -= sizeof suffix - 1;
    if (!place || !short_command ||
        asprintf(&label, "%s: %s (%.*s)", place, short_command, (int)length, name) < 0)
        return NULL;
    return label;
}

/* One of several recordings that are laid over each other: its total alone. */
static int trace_overlay(struct chart *chart, const struct source *source, struct mw_error *error)
{
    struct recording *recording = source->recording;
    struct trace trace;
    int code;

    code = trace_series(chart, source, recording_series(recording), source->options->metric,
                        recording->run->duration_us, overlay_label(source), MW_CURVE_PROCESS,
                        &trace, error);
    if (code == 0 && trace.any && (code = add_peak(chart, &trace, error)) == 0 &&
        source->options->slope)
        code = add_trend(chart, &trace, source->place, error);
    return code;
}

/* The functions of one recording: over several, nobody could tell whose they are. */
static int load_brackets(struct chart *chart, const struct source *source, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    struct brackets_request request = {
        .recording = source->recording,
        .from_us = options->from_us,
        .to_us = source->to_us,
        .columns = options->columns,
        .letters = options->letters,
        .flame = options->flame,
        .own_bytes = options->metric == MW_METRIC_RSS,
        .curves = chart->curves,
        .owners = chart->owners,
        .curve_count = chart->plot.curve_count,
    };

    if (options->no_functions || source->place > 0 || chart->plot.curve_count == 0)
        return 0;
    return brackets_new(&chart->brackets, &request, error);
}

/* What was left out when it was recorded cannot be drawn: better said than shown as nothing. */
static int check_recorded(const struct recording *recording, const struct chart_options *options,
                          struct mw_error *error)
{
    const struct mw_run *run = recording->run;

    if (options->curves == CHART_PROCESSES && run->children == MW_CHILDREN_SUM)
        return mw_error_set(error, -ENODATA,
                            "%s has no series for single processes: it was recorded with "
                            "--children sum",
                            recording->path);
    if (options->curves == CHART_TOTAL && run->children == MW_CHILDREN_NONE)
        return mw_error_set(error, -ENODATA,
                            "%s has no total: it was recorded with --children none",
                            recording->path);
    if (!run->peak.known)
        return mw_error_set(error, -ENODATA, "%s holds no sample: nothing to draw",
                            recording->path);
    if (options->from_us >= run->duration_us)
        return mw_error_set(error, -ENODATA, "the window begins after the end of %s at %.6g s",
                            recording->path, (double)run->duration_us / 1e6);
    if (options->to_us <= known_since_us(recording))
        return mw_error_set(error, -ENODATA,
                            "the window ends before %.6g s: what %s held of that time was given up",
                            (double)known_since_us(recording) / 1e6, recording->path);
    return 0;
}

/* The gaps that are wide enough to be seen interrupt the curves, and are shaded. */
static int load_gaps(struct chart *chart, struct source *source, struct mw_error *error)
{
    mw_auto_free struct mw_gap *gaps = NULL;
    size_t count, shaded = chart->plot.gap_count;
    int64_t column_us;
    struct mw_plot_gap *grown;
    int code =
        mw_reader_gaps(source->recording->reader, source->recording->run->id, &gaps, &count, error);

    if (code < 0)
        return code;
    column_us = (source->to_us - source->options->from_us) / source->options->columns;
    source->holes = calloc(count + 1, sizeof *source->holes);
    grown = reallocarray(chart->gaps, shaded + count + 1, sizeof *grown);
    chart->gaps = grown ? grown : chart->gaps;
    if (!source->holes || !grown)
        return out_of_memory(error);
    for (size_t i = 0; i < count; i++) {
        if (gaps[i].to_us - gaps[i].from_us <= column_us || gaps[i].to_us < gaps[i].from_us ||
            gaps[i].to_us <= source->options->from_us || gaps[i].from_us >= source->to_us)
            continue;
        source->holes[source->hole_count++] = (struct mw_hole){gaps[i].from_us, gaps[i].to_us};
        chart->gaps[shaded++] =
            (struct mw_plot_gap){(double)gaps[i].from_us / 1e6, (double)gaps[i].to_us / 1e6};
    }
    chart->plot.gap_count = shaded;
    return 0;
}

static int not_recorded(const struct recording *recording, enum mw_metric metric,
                        struct mw_error *error)
{
    bool asked = mw_metric_cadence(metric) == MW_CADENCE_READING;

    return mw_error_set(error, -ENODATA, "%s of %s was not recorded%s%s", mw_metric_label(metric),
                        recording->path, asked ? ": run --metric " : "",
                        asked ? mw_metric_name(metric) : "");
}

static int add_recording(struct chart *chart, struct recording *recording, size_t place,
                         const struct chart_options *options, struct mw_error *error)
{
    struct source source = {.recording = recording, .options = options, .place = place};
    size_t before = chart->plot.curve_count;
    int code = check_recorded(recording, options, error);

    if (code < 0)
        return code;
    source.to_us = clamp(options->to_us, 0, recording->run->duration_us);
    chart->plot.to_s = fmax(chart->plot.to_s, (double)source.to_us / 1e6);
    if ((code = load_gaps(chart, &source, error)) == 0)
        code = place > 0 ? trace_overlay(chart, &source, error)
                         : trace_recording(chart, &source, error);
    if (code == 0)
        code = load_brackets(chart, &source, error);
    free(source.holes);
    if (code == 0 && chart->plot.curve_count == before)
        code = not_recorded(recording, options->metric, error);
    return code;
}

static int word_title(struct chart *chart, const struct recording *recordings, size_t count,
                      const struct chart_options *options, struct mw_error *error)
{
    const struct mw_run *run = recordings->run;
    const char *far = chart->limits.far;
    char date[MW_FORMAT_SIZE], interval[MW_FORMAT_SIZE], missed[MW_FORMAT_SIZE];
    char rest[64] = "", left_out[80] = "";

    if (options->title)
        chart->title = strdup(options->title);
    else if (count > 1)
        chart->title = strdup("memory of several recordings");
    else
        chart->title = recording_command(recordings);
    if (run->ticks.missed > 0)
        snprintf(rest, sizeof rest, ", %s of %" PRIu64 " ticks missed",
                 mw_format_count(missed, (int64_t)run->ticks.missed), run->ticks.due);
    if (chart->drawn_processes > 0 && chart->drawn_processes < recordings->process_count)
        snprintf(left_out, sizeof left_out, "; the %zu largest of %zu processes",
                 chart->drawn_processes, recordings->process_count);
    if (count == 1 && asprintf(&chart->subtitle, "%s, sampled every %s%s%s%s%s",
                               mw_format_date(date, run->started_ns),
                               mw_format_duration(interval, run->interval_us * 1000), rest,
                               left_out, far ? "; far above: " : "", far ? far : "") < 0)
        chart->subtitle = NULL;
    return chart->title && (count > 1 || chart->subtitle) ? 0 : out_of_memory(error);
}

/* The highest value of all curves. */
static double highest(const struct chart *chart)
{
    double bytes = 0;

    for (size_t c = 0; c < chart->plot.curve_count; c++) {
        for (size_t i = 0; i < chart->curves[c].point_count; i++)
            bytes = fmax(bytes, chart->curves[c].points[i].high); /* passes over NAN */
    }
    return bytes;
}

/* Several recordings over each other had limits of their own. */
static int add_limits(struct chart *chart, const struct recording *recordings, size_t count,
                      const struct chart_options *options, struct mw_error *error)
{
    if (count > 1)
        return 0;
    if (limit_lines_make(&chart->limits, recordings, options->metric, options->from_us,
                         (int64_t)(chart->plot.to_s * 1e6), highest(chart)) < 0)
        return out_of_memory(error);
    chart->plot.limits = chart->limits.lines;
    chart->plot.limit_count = chart->limits.count;
    return 0;
}

int chart_new(struct chart **ret_chart, struct recording *recordings, size_t count,
              const struct chart_options *options, struct mw_error *error)
{
    struct chart *chart = calloc(1, sizeof *chart);
    int code = 0;

    if (!chart)
        return out_of_memory(error);
    for (size_t i = 0; code == 0 && i < count; i++)
        code = add_recording(chart, &recordings[i], count > 1 ? i + 1 : 0, options, error);
    if (code == 0)
        code = add_limits(chart, recordings, count, options, error);
    if (code == 0)
        code = word_title(chart, recordings, count, options, error);
    if (code < 0) {
        chart_free(chart);
        return code;
    }
    chart->plot.title = chart->title;
    chart->plot.subtitle = chart->subtitle;
    chart->plot.from_s = (double)options->from_us / 1e6;
    chart->plot.y_label = mw_metric_label(options->metric);
    chart->plot.readings = mw_metric_cadence(options->metric) == MW_CADENCE_READING;
    chart->plot.curves = chart->curves;
    chart->plot.peaks = chart->peaks;
    chart->plot.gaps = chart->gaps;
    if (chart->brackets)
        brackets_show(chart->brackets, &chart->plot);
    *ret_chart = chart;
    return 0;
}

const struct mw_plot *chart_plot(const struct chart *chart)
{
    return &chart->plot;
}

void chart_free(struct chart *chart)
{
    if (!chart)
        return;
    for (size_t i = 0; i < chart->plot.curve_count; i++) {
        free((void *)(uintptr_t)chart->curves[i].label);
        free((void *)(uintptr_t)chart->curves[i].points);
    }
    for (size_t i = 0; i < chart->plot.peak_count; i++)
        free((void *)(uintptr_t)chart->peaks[i].label);
    brackets_free(chart->brackets);
    limit_lines_clear(&chart->limits);
    free(chart->curves);
    free(chart->owners);
    free(chart->peaks);
    free(chart->gaps);
    free(chart->title);
    free(chart->subtitle);
    free(chart);
}
