#include "cmd/chart.h"
#include "cmd/command.h"
#include "cmd/picture.h"
#include "cmd/recording.h"
#include "cmd/verdict.h"
#include "plot/gnuplot.h"
#include "util/cleanup.h"
#include "util/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    OPTION_METRIC = 256,
    OPTION_TOTAL,
    OPTION_PROCESSES,
    OPTION_SLOPE,
    OPTION_LEAK,
    OPTION_LIMIT,
    OPTION_MIN_DURATION,
    OPTION_FLAME,
    OPTION_SCRIPT
};

static const struct option_spec options[] = {
    {'o', "output", "FILE",
     "draw into FILE: .png, .svg, .pdf, .txt, or .gp for the gnuplot\nscript"},
    {'w', "window", "FROM,TO",
     "show this part alone: 2,5.5 is in seconds; '1m,' goes to the\nend, and ',90s' begins at the "
     "start"},
    {'t', "title", "TEXT", "title of the picture (default: the command)"},
    {OPTION_METRIC, "metric", "NAME",
     "rss (default), shared, peak, pss, or what `run --metric` read"},
    {OPTION_TOTAL, "total", NULL, "the sum over all processes alone"},
    {OPTION_PROCESSES, "processes", NULL, "the single processes alone"},
    {OPTION_SLOPE, "slope", NULL, "a least-squares line, with its value"},
    {OPTION_LEAK, "leak", NULL,
     "the verdict of `leak`: what is judged, its trend, and when it\nmeets a limit"},
    {OPTION_LIMIT, "limit", "SIZE", "with --leak: a limit to draw, 512M or 2GiB"},
    {OPTION_MIN_DURATION, "min-duration", "DUR",
     "with --leak: judge nothing shorter than this (default: 5m)"},
    {'n', "no-functions", NULL, "leave out the functions that were recorded"},
    {OPTION_FLAME, "flame", NULL, "every call of a function as a box, below the memory"},
    {OPTION_SCRIPT, "script", NULL, "print the gnuplot script instead of drawing"},
    {0},
};

struct plot_options {
    struct chart_options chart;
    const char *output;
    bool script;
};

/* --- options ---------------------------------------------------------------------------------- */

static int check_options(const struct chart_options *chart, struct mw_error *error)
{
    if (chart->flame && chart->no_functions)
        return mw_error_set(error, -EINVAL, "--flame and --no-functions exclude each other");
    if (chart->limit_bytes >= 0 && !chart->leak)
        return mw_error_set(error, -EINVAL, "--limit is for --leak");
    if (chart->least_ns >= 0 && !chart->leak)
        return mw_error_set(error, -EINVAL, "--min-duration is for --leak");
    if (chart->leak && chart->metric != MW_METRIC_RSS && chart->metric != MW_METRIC_PSS)
        return mw_error_set(error, -EINVAL, "--leak judges the metrics rss and pss alone");
    return 0;
}

/* Several are laid over each other: of each there is its total alone. */
static int check_several(const struct chart_options *chart, struct mw_error *error)
{
    const char *option = chart->leak                        ? "--leak"
                         : chart->flame                     ? "--flame"
                         : chart->curves == CHART_PROCESSES ? "--processes"
                                                            : NULL;

    return option ? mw_error_set(error, -EINVAL, "%s draws one recording alone", option) : 0;
}

static int choose_curves(struct chart_options *chart, enum chart_curves curves,
                         struct mw_error *error)
{
    if (chart->curves != CHART_ALL && chart->curves != curves)
        return mw_error_set(error, -EINVAL, "--total and --processes exclude each other");
    chart->curves = curves;
    return 0;
}

static int apply_option(struct plot_options *plot, int id, const char *value,
                        struct mw_error *error)
{
    switch (id) {
    case 'o':
        plot->output = value;
        break;
    case 'w':
        return cmd_parse_window(value, &plot->chart.from_us, &plot->chart.to_us, error);
    case 't':
        plot->chart.title = value;
        break;
    case OPTION_METRIC:
        return mw_metric_parse(value, &plot->chart.metric, error);
    case OPTION_TOTAL:
        return choose_curves(&plot->chart, CHART_TOTAL, error);
    case OPTION_PROCESSES:
        return choose_curves(&plot->chart, CHART_PROCESSES, error);
    case OPTION_SLOPE:
        plot->chart.slope = true;
        break;
    case OPTION_LEAK:
        plot->chart.leak = true;
        break;
    case OPTION_LIMIT:
        return mw_parse_memory(value, &plot->chart.limit_bytes, error);
    case OPTION_MIN_DURATION:
        return mw_parse_duration(value, &plot->chart.least_ns, error);
    case 'n':
        plot->chart.no_functions = true;
        break;
    case OPTION_FLAME:
        plot->chart.flame = true;
        break;
    case OPTION_SCRIPT:
        plot->script = true;
        break;
    }
    return 0;
}

/* --- where to --------------------------------------------------------------------------------- */

/* The whole terminal, less the line for the prompt. */
static struct mw_plot_canvas terminal_canvas(void)
{
    const char *no_color = getenv("NO_COLOR");
    struct winsize size;
    struct mw_plot_canvas canvas = {.format =
                                        no_color && *no_color ? MW_PLOT_TEXT : MW_PLOT_TERMINAL,
                                    .width = 80,
                                    .height = 23};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 1) {
        canvas.width = size.ws_col;
        canvas.height = size.ws_row - 1;
    }
    return canvas;
}

static int draw_in_terminal(const struct mw_plot *plot)
{
    struct picture terminal = {.canvas = terminal_canvas()};
    int status = picture_draw(&terminal, plot, NULL);

    if (status == CMD_OK)
        cmd_message("drawn in the terminal; -o mem.png or mem.svg draws into a file");
    return status;
}

/* Without -o: a window where there is a display, else the terminal, else a PNG beside the file. */
static int show_somewhere(const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                          const char *recording_path)
{
    mw_auto_free char *path = picture_beside(recording_path, ".png");
    struct picture png = {.canvas = {.format = MW_PLOT_PNG}};
    struct mw_error error;
    int status;

    if (!path) {
        cmd_message("out of memory");
        return CMD_FAILED;
    }
    if (canvas->format == MW_PLOT_WINDOW) {
        int code = mw_gnuplot_show(plot, canvas, &error);

        if (code == -ENOENT) /* no gnuplot at all */
            return cmd_fail(&error);
        cmd_message(code == 0 ? "drawn in a window%s" : "no window: %s",
                    code == 0 ? "" : error.text);
        if (code == 0)
            return CMD_OK;
    }
    if (isatty(STDOUT_FILENO))
        return draw_in_terminal(plot);
    status = picture_draw(&png, plot, path);
    if (status == CMD_OK)
        cmd_message("drawn into %s", path);
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

static struct mw_plot_canvas default_canvas(const struct plot_options *plot)
{
    if (!plot->script && mw_gnuplot_has_display())
        return (struct mw_plot_canvas){.format = MW_PLOT_WINDOW};
    if (!plot->script && isatty(STDOUT_FILENO))
        return terminal_canvas();
    return (struct mw_plot_canvas){.format = MW_PLOT_PNG};
}

static int draw(struct plot_options *plot, struct recording *recordings, size_t count)
{
    struct picture picture = {.canvas = default_canvas(plot)};
    mw_auto_free char *beside_recording = picture_beside(recordings->path, ".png");
    struct chart *chart;
    struct mw_error error;
    int status;

    if (plot->output && (status = picture_choose(plot->output, &picture)) != CMD_OK)
        return status;
    picture_set_options(&picture.canvas, &plot->chart);
    if (plot->chart.flame && plot->chart.letters)
        cmd_message("letters are too coarse for the lanes of --flame: the functions are brackets");
    if (chart_new(&chart, recordings, count, &plot->chart, &error) < 0)
        return cmd_fail(&error);
    if (chart_no_verdict(chart))
        cmd_message("%s", chart_no_verdict(chart));
    if (plot->script)
        status =
            picture_write_script(stdout, chart_plot(chart), &picture.canvas,
                                 plot->output && !picture.script ? plot->output : beside_recording);
    else if (plot->output)
        status = picture_draw(&picture, chart_plot(chart), plot->output);
    else
        status = show_somewhere(chart_plot(chart), &picture.canvas, recordings->path);
    chart_free(chart);
    return status;
}

static int plot_recordings(struct plot_options *plot, char **operands, int operand_count)
{
    size_t count = operand_count ? (size_t)operand_count : 1, opened = 0;
    mw_auto_free struct recording *recordings = calloc(count, sizeof *recordings);
    struct mw_error error;
    int status = CMD_OK;

    if (!recordings) {
        cmd_message("out of memory");
        return CMD_FAILED;
    }
    for (; status == CMD_OK && opened < count; opened++) {
        if (recording_open(&recordings[opened], operand_count ? operands[opened] : NULL, &error) <
            0) {
            status = cmd_fail(&error);
            break;
        }
    }
    if (status == CMD_OK)
        status = draw(plot, recordings, count);
    for (size_t i = 0; i < opened; i++)
        recording_close(&recordings[i]);
    return status;
}

static int plot(const struct command *command, int argc, char **argv)
{
    struct plot_options plot = {
        .chart = {.to_us = INT64_MAX, .metric = MW_METRIC_RSS, .limit_bytes = -1, .least_ns = -1}};
    struct cmd_line line = cmd_line(command, argc, argv);
    struct mw_error error;
    int id;

    while ((id = cmd_next(&line)) > 0) {
        if (apply_option(&plot, id, line.value, &error) < 0)
            return cmd_usage(command, "%s", error.text);
    }
    if (id < 0)
        return command->usage_status;
    if (check_options(&plot.chart, &error) < 0 ||
        (line.operand_count > 1 && check_several(&plot.chart, &error) < 0))
        return cmd_usage(command, "%s", error.text);
    if (plot.chart.least_ns < 0)
        plot.chart.least_ns = LEAK_LEAST_NS;
    return plot_recordings(&plot, line.operands, line.operand_count);
}

const struct command plot_command = {
    .name = "plot",
    .operands = "[FILE[:RUN]|INDEX…]",
    .summary = "draw memory over time",
    .details =
        "Without an operand the newest recording of this folder; several are laid over each other\n"
        "from the start of each. Without -o the picture opens in a window where there is a "
        "display,\n"
        "else it is drawn in the terminal, else into a PNG file beside the recording.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = plot,
};
