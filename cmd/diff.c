#include "cmd/command.h"
#include "cmd/figures.h"
#include "cmd/functions.h"
#include "cmd/json.h"
#include "cmd/pairs.h"
#include "cmd/picture.h"
#include "cmd/recording.h"
#include "cmd/summary.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_JSON = 256 };

static const struct option_spec options[] = {
    {'o', "output", "FILE",
     "draw both over each other into FILE: .png, .svg, .pdf, .txt, or\n.gp for the gnuplot script"},
    {OPTION_JSON, "json", NULL, "print JSON"},
    {0},
};

/* The two that are compared. */
enum { A, B, BOTH };

static const char *const names[BOTH] = {"A", "B"};

struct comparison {
    struct recording recordings[BOTH];
    struct figures figures[BOTH];
    struct function_pair *pairs;
    size_t pair_count;
};

/* A figure of both; NAN where it is not known. */
struct measure {
    double of[BOTH];
};

/* --- figures ---------------------------------------------------------------------------------- */

static double peak_bytes(const struct mw_peak *peak)
{
    return peak->known ? (double)peak->bytes : NAN;
}

static double peak_upper_bytes(const struct mw_peak *peak)
{
    return peak->known && peak->upper_bytes >= 0 ? (double)peak->upper_bytes : NAN;
}

static double mean_bytes(const struct figures *figures)
{
    return figures->sampled ? figures->series.mean_bytes : NAN;
}

static double final_bytes(const struct figures *figures)
{
    return figures->has_final ? (double)figures->series.final_bytes : NAN;
}

static double growth_bytes_per_s(const struct figures *figures)
{
    return figures->sampled && figures->series.has_growth ? figures->series.growth_bytes_per_s
                                                          : NAN;
}

static double change(const struct measure *measure)
{
    return measure->of[B] - measure->of[A];
}

/* The change as a part of what it was before; NAN where that was nothing. */
static double relative_change(const struct measure *measure)
{
    return measure->of[A] != 0 ? change(measure) / fabs(measure->of[A]) : NAN;
}

/* Of a function that one of the two does not have nothing is known there. */
static struct measure function_peaks(const struct function_pair *pair)
{
    return (struct measure){
        {pair->a ? peak_bytes(&pair->a->peak) : NAN, pair->b ? peak_bytes(&pair->b->peak) : NAN}};
}

static struct measure function_growths(const struct function_pair *pair)
{
    return (struct measure){{pair->a ? (double)pair->a->growth_bytes : NAN,
                             pair->b ? (double)pair->b->growth_bytes : NAN}};
}

static double longest_s(const struct comparison *comparison)
{
    return fmax((double)comparison->recordings[A].run->duration_us,
                (double)comparison->recordings[B].run->duration_us) /
           1e6;
}

/* --- as text ---------------------------------------------------------------------------------- */

/* A number of bytes that a file may have made up, brought into range. */
static int64_t to_bytes(double bytes)
{
    return llround(fmin(fmax(bytes, -0x1p62), 0x1p62));
}

static void print_bytes(double bytes)
{
    char text[MW_FORMAT_SIZE];

    printf("  %11s", isnan(bytes) ? "-" : mw_format_bytes(text, to_bytes(bytes)));
}

/* "+8.1 %", or nothing for what has no relative change. */
static char *format_percent(char buffer[static MW_FORMAT_SIZE], double relative)
{
    double percent = fmin(100 * relative, 1e15);

    if (isnan(relative))
        *buffer = '\0';
    else
        snprintf(buffer, MW_FORMAT_SIZE, "%+.*f %%", fabs(percent) < 999.95 ? 1 : 0, percent);
    return buffer;
}

static void print_change(const struct measure *measure)
{
    double bytes = change(measure);
    char text[MW_FORMAT_SIZE], percent[MW_FORMAT_SIZE];

    printf("  %11s  %8s", isnan(bytes) ? "-" : mw_format_change(text, to_bytes(bytes)),
           format_percent(percent, relative_change(measure)));
}

static void print_row(const char *label, struct measure measure)
{
    printf("%-11s", label);
    print_bytes(measure.of[A]);
    print_bytes(measure.of[B]);
    print_change(&measure);
    putchar('\n');
}

/* What is no figure of its own, but bounds the one above. */
static void print_bounds(struct measure measure)
{
    if (isnan(measure.of[A]) && isnan(measure.of[B]))
        return;
    printf("%-11s", "  at most");
    print_bytes(measure.of[A]);
    print_bytes(measure.of[B]);
    putchar('\n');
}

static void print_rate(double rate, double length_s, bool is_change)
{
    char text[MW_FORMAT_SIZE], signed_text[MW_FORMAT_SIZE + 1];

    mw_format_rate(text, isnan(rate) ? 0 : rate, length_s);
    snprintf(signed_text, sizeof signed_text, "%s%s", is_change && rate > 0 ? "+" : "", text);
    printf("  %11s", isnan(rate) ? "-" : signed_text);
}

static void print_growth(struct measure measure, double length_s)
{
    printf("%-11s", "growth");
    print_rate(measure.of[A], length_s, false);
    print_rate(measure.of[B], length_s, false);
    print_rate(change(&measure), length_s, true);
    putchar('\n');
}

static void print_head(const struct comparison *comparison, int which)
{
    const struct recording *recording = &comparison->recordings[which];
    mw_auto_free char *path = mw_text_printable(recording->path);
    mw_auto_free char *command = recording_command(recording);
    mw_auto_free char *short_command = command ? mw_text_shorten(command, 60) : NULL;

    printf("%s  %s", names[which], path ? path : "?");
    if (recording->run != &recording->runs[recording->run_count - 1])
        printf(":%lld", (long long)recording->run->id);
    printf("  %s: ", short_command ? short_command : "?");
    print_outcome(stdout, recording->run);
    putchar('\n');
}

static void print_pair(const struct comparison *comparison, const struct function_pair *pair)
{
    enum { COLUMNS_BEFORE_NAME = 88 };
    struct measure peaks = function_peaks(pair), growths = function_growths(pair);
    mw_auto_free char *label =
        function_label(&comparison->recordings[pair->b ? B : A], pair->b ? pair->b : pair->a);
    mw_auto_free char *name =
        label ? mw_text_shorten_left(label, cmd_columns(COLUMNS_BEFORE_NAME)) : NULL;

    print_bytes(peaks.of[A]);
    print_bytes(peaks.of[B]);
    print_change(&peaks);
    print_bytes(growths.of[A]);
    print_bytes(growths.of[B]);
    printf("  %s\n", name ? name : "?");
}

/* Functions beyond these only make the table long. */
enum { MOST_FUNCTIONS = 30 };

static void print_functions(const struct comparison *comparison)
{
    printf("\n  %11s  %11s  %11s  %8s  %11s  %11s  %s\n", "peak A", "peak B", "change", "",
           "growth A", "growth B", "function");
    for (size_t i = 0; i < comparison->pair_count && i < MOST_FUNCTIONS; i++)
        print_pair(comparison, &comparison->pairs[i]);
    if (comparison->pair_count > MOST_FUNCTIONS)
        printf(" … and %zu that changed less: --json has them all\n",
               comparison->pair_count - MOST_FUNCTIONS);
}

static int print_as_text(const struct comparison *comparison)
{
    const struct figures *a = &comparison->figures[A], *b = &comparison->figures[B];

    print_head(comparison, A);
    print_head(comparison, B);
    printf("\n%-11s  %11s  %11s  %11s\n", "", "A", "B", "change");
    print_row("peak", (struct measure){{peak_bytes(&a->peak), peak_bytes(&b->peak)}});
    print_bounds((struct measure){{peak_upper_bytes(&a->peak), peak_upper_bytes(&b->peak)}});
    print_row("mean", (struct measure){{mean_bytes(a), mean_bytes(b)}});
    print_row("final", (struct measure){{final_bytes(a), final_bytes(b)}});
    print_growth((struct measure){{growth_bytes_per_s(a), growth_bytes_per_s(b)}},
                 longest_s(comparison));
    if (comparison->pair_count > 0)
        print_functions(comparison);
    return CMD_OK;
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static json_t *optional_bytes(double bytes)
{
    return isnan(bytes) ? json_null() : json_integer(to_bytes(bytes));
}

static json_t *optional_real(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

static json_t *side_to_json(const struct comparison *comparison, int which)
{
    const struct recording *recording = &comparison->recordings[which];
    const struct figures *figures = &comparison->figures[which];
    const struct mw_run *run = recording->run;
    char started[MW_FORMAT_SIZE];

    return json_pack("{s:o, s:I, s:o, s:s, s:f, s:s, s:o, s:o, s:o, s:o}", "file",
                     json_text(recording->path), "run", (json_int_t)run->id, "command",
                     json_words(run->command, run->command_length), "started",
                     mw_format_rfc3339(started, run->started_ns), "duration_s",
                     (double)run->duration_us / 1e6, "end", mw_outcome_name(run->outcome), "peak",
                     json_peak(&figures->peak), "mean_bytes", optional_bytes(mean_bytes(figures)),
                     "final_bytes", optional_bytes(final_bytes(figures)), "growth_bytes_per_s",
                     optional_real(growth_bytes_per_s(figures)));
}

static json_t *change_to_json(struct measure measure)
{
    return json_pack("{s:o, s:o}", "bytes", optional_bytes(change(&measure)), "relative",
                     optional_real(relative_change(&measure)));
}

static json_t *changes_to_json(const struct comparison *comparison)
{
    const struct figures *a = &comparison->figures[A], *b = &comparison->figures[B];
    struct measure growth = {{growth_bytes_per_s(a), growth_bytes_per_s(b)}};

    return json_pack("{s:o, s:o, s:o, s:{s:o, s:o}}", "peak",
                     change_to_json((struct measure){{peak_bytes(&a->peak), peak_bytes(&b->peak)}}),
                     "mean", change_to_json((struct measure){{mean_bytes(a), mean_bytes(b)}}),
                     "final", change_to_json((struct measure){{final_bytes(a), final_bytes(b)}}),
                     "growth", "bytes_per_s", optional_real(change(&growth)), "relative",
                     optional_real(relative_change(&growth)));
}

static json_t *pair_to_json(const struct function_pair *pair)
{
    return json_pack(
        "{s:o, s:o, s:o, s:{s:o, s:o}}", "name", json_text((pair->b ? pair->b : pair->a)->name),
        "a", pair->a ? json_function(pair->a) : json_null(), "b",
        pair->b ? json_function(pair->b) : json_null(), "change", "peak",
        change_to_json(function_peaks(pair)), "growth", change_to_json(function_growths(pair)));
}

static int print_as_json(const struct comparison *comparison)
{
    json_t *functions = json_array();

    for (size_t i = 0; i < comparison->pair_count; i++)
        json_array_append_new(functions, pair_to_json(&comparison->pairs[i]));
    return json_print(json_pack("{s:o, s:o, s:o, s:o}", "a", side_to_json(comparison, A), "b",
                                side_to_json(comparison, B), "change", changes_to_json(comparison),
                                "functions", functions));
}

/* --- the command ------------------------------------------------------------------------------ */

/* "peak 66.0 MiB in A, 71.3 MiB in B (+8.1 %)", to be freed. */
static char *word_title(const struct comparison *comparison)
{
    struct measure peaks = {
        {peak_bytes(&comparison->figures[A].peak), peak_bytes(&comparison->figures[B].peak)}};
    char a[MW_FORMAT_SIZE], b[MW_FORMAT_SIZE], percent[MW_FORMAT_SIZE];

    if (isnan(change(&peaks)))
        return NULL;
    return cmd_words("peak %s in A, %s in B (%s)", mw_format_bytes(a, to_bytes(peaks.of[A])),
                     mw_format_bytes(b, to_bytes(peaks.of[B])),
                     format_percent(percent, relative_change(&peaks)));
}

static int draw(struct comparison *comparison, const struct picture *picture, const char *path)
{
    mw_auto_free char *title = word_title(comparison);
    struct chart_options chart_options = {
        .to_us = INT64_MAX, .metric = MW_METRIC_RSS, .title = title, .names = names};
    struct chart *chart;
    struct mw_error error;
    int status;

    picture_set_options(&picture->canvas, &chart_options);
    if (chart_new(&chart, comparison->recordings, BOTH, &chart_options, &error) < 0)
        return cmd_fail(&error);
    status = picture_draw(picture, chart_plot(chart), path);
    chart_free(chart);
    return status;
}

static int compare(struct comparison *comparison, struct mw_error *error)
{
    int code;

    for (int i = A; i < BOTH; i++) {
        code = figures_read(&comparison->recordings[i], &comparison->figures[i], error);
        if (code < 0)
            return code;
    }
    comparison->pairs = pair_functions(&comparison->recordings[A], &comparison->recordings[B],
                                       &comparison->pair_count);
    return comparison->pairs ? 0 : mw_error_set(error, -ENOMEM, "out of memory");
}

/* Opens both, compares them, and says what was found. */
static int tell(struct comparison *comparison, const char *const operands[BOTH], bool json,
                const struct picture *picture, const char *output)
{
    struct mw_error error;
    int status;

    for (int i = A; i < BOTH; i++) {
        if (recording_open(&comparison->recordings[i], operands[i], &error) < 0)
            return cmd_fail(&error);
    }
    if (compare(comparison, &error) < 0)
        return cmd_fail(&error);
    status = (json ? print_as_json : print_as_text)(comparison);
    if (status == CMD_OK && output)
        status = draw(comparison, picture, output);
    return status;
}

static int diff(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct comparison comparison = {0};
    struct picture picture;
    const char *output = NULL;
    bool json = false;
    int id, status;

    while ((id = cmd_next(&line)) > 0) {
        if (id == OPTION_JSON)
            json = true;
        else
            output = line.value;
    }
    if (id < 0)
        return command->usage_status;
    if (line.operand_count > BOTH)
        return cmd_usage(command, "'%s' is one word too many", line.operands[BOTH]);
    if (output && (status = picture_choose(output, &picture)) != CMD_OK)
        return status;
    status = tell(&comparison,
                  (const char *[BOTH]){line.operand_count > A ? line.operands[A] : "-2",
                                       line.operand_count > B ? line.operands[B] : "-1"},
                  json, &picture, output);
    free(comparison.pairs);
    for (int i = A; i < BOTH; i++)
        recording_close(&comparison.recordings[i]);
    return status;
}

const struct command diff_command = {
    .name = "diff",
    .operands = "[A [B]]",
    .summary = "compare two recordings: peak, mean, end, growth, functions",
    .details =
        "Each is FILE[:RUN] or INDEX. Without B it is the newest recording of this folder, and\n"
        "without A the one before that. The final memory is what was held before the program\n"
        "ended; growth is how fast most of the run grew, whatever its start and its end did.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = diff,
};
