#include "cmd/chart.h"

#include "cmd/brackets.h"
#include "cmd/curves.h"
#include "cmd/happenings.h"
#include "cmd/meet.h"
#include "util/cleanup.h"
#include "util/format.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chart {
    struct mw_plot plot;
    struct curves curves;
    struct mw_plot_gap *gaps;
    struct brackets *brackets;
    struct limit_lines limits;
    struct event_flags events;
    char *title, *subtitle;
};

static int out_of_memory(struct mw_error *error)
{
    return mw_error_errno(error, ENOMEM, "cannot draw");
}

/* --- one recording ---------------------------------------------------------------------------- */

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
    if (run->duration_us <= 0)
        return mw_error_set(error, -ENODATA, "%s knows of one moment alone: nothing to draw",
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

/* The functions of one recording: over several, nobody could tell whose they are. What marks read
 * is part of the curves where it is drawn. */
static int load_brackets(struct chart *chart, const struct source *source, struct mw_error *error)
{
    const struct chart_options *options = source->options;
    int code;
    struct brackets_request request = {
        .recording = source->recording,
        .from_us = options->from_us,
        .to_us = source->to_us,
        .columns = options->columns,
        .letters = options->letters,
        .flame = options->flame,
        .resident = options->metric == MW_METRIC_RSS,
        .curves = chart->curves.curves,
        .owners = chart->curves.owners,
        .curve_count = chart->curves.count,
    };

    if (options->no_functions || source->place > 0 || chart->curves.count == 0)
        return 0;
    if ((code = brackets_new(&chart->brackets, &request, error)) < 0 || !chart->brackets)
        return code;
    brackets_show(chart->brackets, &chart->plot);
    return curves_meet(&chart->curves, chart->plot.spans, chart->plot.span_count,
                       (double)source->recording->run->interval_us / 1e6, error);
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
    size_t before = chart->curves.count;
    int code = check_recorded(recording, options, error);

    if (code < 0)
        return code;
    source.to_us =
        options->to_us < recording->run->duration_us ? options->to_us : recording->run->duration_us;
    chart->plot.to_s = fmax(chart->plot.to_s, (double)source.to_us / 1e6);
    if ((code = load_gaps(chart, &source, error)) == 0)
        code = curves_add(&chart->curves, &source, error);
    chart->plot.to_s = fmax(chart->plot.to_s, chart->curves.to_s);
    if (code == 0)
        code = load_brackets(chart, &source, error);
    free(source.holes);
    if (code == 0 && chart->curves.count == before)
        code = not_recorded(recording, options->metric, error);
    return code;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int word_title(struct chart *chart, const struct recording *recordings, size_t count,
                      const struct chart_options *options, struct mw_error *error)
{
    const struct mw_run *run = recordings->run;
    const char *far = chart->limits.far, *no_verdict = chart->curves.no_verdict;
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
    if (chart->curves.drawn_processes > 0 &&
        chart->curves.drawn_processes < recordings->process_count)
        snprintf(left_out, sizeof left_out, "; the %zu largest of %zu processes",
                 chart->curves.drawn_processes, recordings->process_count);
    if (count == 1 && asprintf(&chart->subtitle, "%s, sampled every %s%s%s%s%s%s%s",
                               mw_format_date(date, run->started_ns),
                               mw_format_duration(interval, run->interval_us * 1000), rest,
                               no_verdict ? "; " : "", no_verdict ? no_verdict : "", left_out,
                               far ? "; far above: " : "", far ? far : "") < 0)
        chart->subtitle = NULL;
    return chart->title && (count > 1 || chart->subtitle) ? 0 : out_of_memory(error);
}

/* The highest value of all curves. */
static double highest(const struct curves *curves)
{
    double bytes = 0;

    for (size_t c = 0; c < curves->count; c++) {
        for (size_t i = 0; i < curves->curves[c].point_count; i++)
            bytes = fmax(bytes, curves->curves[c].points[i].high); /* passes over NAN */
    }
    return bytes;
}

/* Limits and events. Several recordings over each other had some of their own. */
static int add_happenings(struct chart *chart, const struct recording *recordings, size_t count,
                          const struct chart_options *options, struct mw_error *error)
{
    int64_t to_us = (int64_t)(chart->plot.to_s * 1e6);

    if (count > 1)
        return 0;
    if (limit_lines_make(&chart->limits, recordings, options->metric, options->from_us, to_us,
                         highest(&chart->curves)) < 0 ||
        event_flags_make(&chart->events, recordings, options->from_us, to_us) < 0)
        return out_of_memory(error);
    return 0;
}

/* The parts as the plot takes them. */
static void show_parts(struct chart *chart, const struct chart_options *options)
{
    struct mw_plot *plot = &chart->plot;

    plot->title = chart->title;
    plot->subtitle = chart->subtitle;
    plot->from_s = (double)options->from_us / 1e6;
    plot->y_label = mw_metric_label(options->metric);
    plot->readings = mw_metric_cadence(options->metric) == MW_CADENCE_READING;
    plot->curves = chart->curves.curves;
    plot->curve_count = chart->curves.count;
    plot->peaks = chart->curves.peaks;
    plot->peak_count = chart->curves.peak_count;
    plot->limits = chart->limits.lines;
    plot->limit_count = chart->limits.count;
    plot->events = chart->events.events;
    plot->event_count = chart->events.count;
    plot->gaps = chart->gaps;
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
        code = add_happenings(chart, recordings, count, options, error);
    if (code == 0)
        code = word_title(chart, recordings, count, options, error);
    if (code < 0) {
        chart_free(chart);
        return code;
    }
    show_parts(chart, options);
    *ret_chart = chart;
    return 0;
}

const struct mw_plot *chart_plot(const struct chart *chart)
{
    return &chart->plot;
}

const char *chart_no_verdict(const struct chart *chart)
{
    return chart->curves.no_verdict;
}

void chart_free(struct chart *chart)
{
    if (!chart)
        return;
    curves_clear(&chart->curves);
    brackets_free(chart->brackets);
    limit_lines_clear(&chart->limits);
    event_flags_clear(&chart->events);
    free(chart->gaps);
    free(chart->title);
    free(chart->subtitle);
    free(chart);
}
