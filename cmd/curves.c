#include "cmd/curves.h"

#include "cmd/leak_curves.h"
#include "cmd/marks.h"
#include "cmd/trace.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct mw_error *error)
{
    return mw_error_errno(error, ENOMEM, "cannot draw");
}

/* --- adding ----------------------------------------------------------------------------------- */

/*
 * Appends a curve that owns its label and points; both are taken over, also on failure. owner says
 * whose memory it is.
 */
static int add_curve(struct curves *curves, const struct mw_plot_curve *curve, int64_t owner,
                     struct mw_error *error)
{
    if (!curve->label || !curve->points ||
        !mw_array_reserve(&curves->curves, curves->count, &curves->room, sizeof *curves->curves) ||
        !mw_array_reserve(&curves->owners, curves->count, &curves->owner_room,
                          sizeof *curves->owners)) {
        free((void *)(uintptr_t)curve->label);
        free((void *)(uintptr_t)curve->points);
        return out_of_memory(error);
    }
    curves->curves[curves->count] = *curve;
    curves->owners[curves->count++] = owner;
    return 0;
}

/* Takes the label over. */
static int add_peak(struct curves *curves, const struct mw_plot_peak *peak, struct mw_error *error)
{
    if (!peak->label || !mw_array_reserve(&curves->peaks, curves->peak_count, &curves->peak_room,
                                          sizeof *curves->peaks)) {
        free((void *)(uintptr_t)peak->label);
        return out_of_memory(error);
    }
    curves->peaks[curves->peak_count++] = *peak;
    return 0;
}

/* --- one series ------------------------------------------------------------------------------- */

/*
 * Reads one series into a curve, where there is anything in the window: trace->points says so
 * afterwards, and are the curve's. Takes the label over.
 */
static int draw_series(struct curves *curves, const struct source *source, int64_t process,
                       enum mw_metric metric, int64_t end_us, char *label, enum mw_curve_kind kind,
                       struct trace *ret_trace, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    struct trace_request request = {
        .recording = source->recording,
        .process = process,
        .metric = metric,
        .from_us = options->from_us,
        .to_us = source->to_us,
        .end_us = end_us,
        .columns = options->columns,
        .holes = source->holes,
        .hole_count = source->hole_count,
        .bands = source->place == 0, /* several over each other would hide more than they show */
        .trend = options->slope,
    };
    int code = trace_read(ret_trace, &request, error);

    if (code < 0 || !ret_trace->points) {
        free(label);
        return code;
    }
    return add_curve(curves,
                     &(struct mw_plot_curve){.label = label,
                                             .kind = kind,
                                             .points = ret_trace->points,
                                             .point_count = ret_trace->point_count},
                     kind == MW_CURVE_PSS ? CURVE_OF_NONE : process, error);
}

static int mark_peak(struct curves *curves, const struct trace *trace, struct mw_error *error)
{
    char bytes[MW_FORMAT_SIZE], time[PEAK_TIME_SIZE];
    struct mw_plot_peak peak = {.t_s = (double)trace->peak_at_us / 1e6,
                                .bytes = (double)trace->peak.bytes};
    char *label;

    if (asprintf(&label, "%s %s", mw_format_bytes(bytes, trace->peak.bytes),
                 peak_time(time, &trace->peak)) < 0)
        return out_of_memory(error);
    peak.label = label;
    return add_peak(curves, &peak, error);
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

static int draw_trend(struct curves *curves, const struct trace *trace, size_t place,
                      struct mw_error *error)
{
    double slope;
    struct mw_plot_point ends[2];
    struct mw_plot_point *points;

    if (!trace_line(trace, ends, &slope))
        return 0;
    points = calloc(2, sizeof *points);
    if (points)
        memcpy(points, ends, sizeof ends);
    return add_curve(
        curves,
        &(struct mw_plot_curve){.label = slope_label(slope, trace->to_s - trace->from_s, place),
                                .kind = MW_CURVE_TREND,
                                .points = points,
                                .point_count = 2},
        CURVE_OF_NONE, error);
}

/* The peak of the curve that stands for all, and its trend where that is asked for. */
static int tell_of(struct curves *curves, const struct source *source, const struct trace *trace,
                   struct mw_error *error)
{
    int code = mark_peak(curves, trace, error);

    return code == 0 && source->options->slope ? draw_trend(curves, trace, source->place, error)
                                               : code;
}

/* --- one recording ---------------------------------------------------------------------------- */

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

static int64_t process_end(const struct recording *recording, const struct mw_process *process)
{
    return process->end_us < 0 ? recording->run->duration_us : process->end_us;
}

/* Draws the processes that are worth it, the highest first. */
static int draw_processes(struct curves *curves, const struct source *source,
                          struct trace *ret_first, struct mw_error *error)
{
    struct recording *recording = source->recording;
    size_t count = 0;
    mw_auto_free const struct mw_process **order = processes_by_peak(recording, &count);
    int code = 0;

    if (!order)
        return out_of_memory(error);
    curves->drawn_processes = worth_drawing(order, count);
    for (size_t i = 0; code == 0 && i < curves->drawn_processes; i++) {
        struct trace trace;

        code = draw_series(curves, source, order[i]->id, source->options->metric,
                           process_end(recording, order[i]), process_label(order[i]),
                           MW_CURVE_PROCESS, &trace, error);
        if (code == 0 && trace.points && !ret_first->points)
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
static int draw_verdict(struct curves *curves, const struct source *source, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    struct recording *recording = source->recording;
    bool tree = options->curves != CHART_PROCESSES && has_tree(recording);
    struct verdict_request request = {
        .recording = recording,
        .process = tree ? NULL : largest_process(recording),
        .from_us = options->from_us,
        .to_us = source->to_us,
        .least_s = (double)options->least_ns / 1e9,
    };
    struct leak_curves leak;
    int code = leak_curves_make(&leak, &request, options->metric, options->limit_bytes, error);

    for (size_t i = 0; i < leak.count; i++) {
        if (code == 0)
            code = add_curve(curves, &leak.curves[i], CURVE_OF_NONE, error);
        else
            leak_curve_clear(&leak.curves[i]);
    }
    if (code < 0)
        return code;
    curves->to_s = fmax(curves->to_s, leak.to_s);
    curves->no_verdict = leak.why_none;
    return leak.crosses ? add_peak(curves, &leak.crossing, error) : 0;
}

/* The sum over the tree, and the proportional memory where that was read. */
static int draw_tree(struct curves *curves, const struct source *source, struct trace *ret_trace,
                     struct mw_error *error)
{
    int64_t end_us = source->recording->run->duration_us;
    struct trace pss;
    int code = draw_series(curves, source, MW_PROCESS_TREE, source->options->metric, end_us,
                           strdup("all processes"), MW_CURVE_TREE, ret_trace, error);

    if (code == 0 && source->options->metric == MW_METRIC_RSS)
        code = draw_series(curves, source, MW_PROCESS_TREE, MW_METRIC_PSS, end_us,
                           strdup("PSS, shared pages once"), MW_CURVE_PSS, &pss, error);
    return code;
}

static int draw_recording(struct curves *curves, const struct source *source,
                          struct mw_error *error)
{
    const struct chart_options *options = source->options;
    bool tree = has_tree(source->recording);
    struct trace main = {0};
    int code = 0;

    if (options->curves != CHART_PROCESSES && tree)
        code = draw_tree(curves, source, &main, error);
    if (code == 0 && (options->curves != CHART_TOTAL || !tree))
        code = draw_processes(curves, source, &main, error);
    if (code == 0 && main.points)
        code = tell_of(curves, source, &main, error);
    if (code == 0 && main.points && options->leak)
        code = draw_verdict(curves, source, error);
    return code;
}

/* --- one of several --------------------------------------------------------------------------- */

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

static int draw_overlay(struct curves *curves, const struct source *source, struct mw_error *error)
{
    struct recording *recording = source->recording;
    struct trace trace;
    int code = draw_series(curves, source, recording_series(recording), source->options->metric,
                           recording->run->duration_us, overlay_label(source), MW_CURVE_PROCESS,
                           &trace, error);

    return code == 0 && trace.points ? tell_of(curves, source, &trace, error) : code;
}

int curves_add(struct curves *curves, const struct source *source, struct mw_error *error)
{
    return source->place > 0 ? draw_overlay(curves, source, error)
                             : draw_recording(curves, source, error);
}

void curves_clear(struct curves *curves)
{
    for (size_t i = 0; i < curves->count; i++) {
        free((void *)(uintptr_t)curves->curves[i].label);
        free((void *)(uintptr_t)curves->curves[i].points);
    }
    for (size_t i = 0; i < curves->peak_count; i++)
        free((void *)(uintptr_t)curves->peaks[i].label);
    free(curves->curves);
    free(curves->owners);
    free(curves->peaks);
    free(curves->no_verdict);
    *curves = (struct curves){0};
}
