#include "cmd/command.h"
#include "cmd/figures.h"
#include "cmd/json.h"
#include "cmd/recording.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/parse.h"
#include "util/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPTION_MAX_PEAK = 256, OPTION_MAX_GROWTH, OPTION_BASELINE, OPTION_TOLERANCE, OPTION_JSON };

static const struct option_spec options[] = {
    {OPTION_MAX_PEAK, "max-peak", "SIZE", "the highest memory that is allowed: 500M, 1.5GiB"},
    {OPTION_MAX_GROWTH, "max-growth", "SIZE/DUR",
     "the fastest growth that is allowed: 10M/h, 1M/30s. The recording\nmust last 10 s at least, "
     "and "
     "as long as it takes to come to 1 MiB"},
    {OPTION_BASELINE, "baseline", "FILE",
     "compare the peak with that of another recording: FILE[:RUN] or\nINDEX"},
    {OPTION_TOLERANCE, "tolerance", "PERCENT",
     "how far the peak may lie above the baseline's (default: 5%)"},
    {OPTION_JSON, "json", NULL, "print JSON"},
    {0},
};

/* What the user allows, also as it was typed (NULL: nothing was). */
struct limits {
    const char *max_peak, *max_growth, *baseline, *tolerance;
    int64_t peak_bytes;
    int64_t growth_bytes, growth_ns;
    double tolerance_percent;
};

enum verdict { WITHIN, EXCEEDED, UNKNOWN };

static const char *const verdict_names[] = {"within", "exceeded", "unknown"};

/* What is to be said of one limit. */
struct ruling {
    const char *limit;
    enum verdict verdict;
    char *text;    /* NULL when memory ran out */
    json_t *facts; /* the numbers */
};

struct subject {
    struct recording recording;
    struct figures figures;
};

static int subject_open(struct subject *subject, const char *operand, struct mw_error *error)
{
    int code = recording_open(&subject->recording, operand, error);

    return code < 0 ? code : figures_read(&subject->recording, &subject->figures, error);
}

/* --- words ------------------------------------------------------------------------------------ */

static struct ruling unknown(const char *limit, char *text)
{
    return (struct ruling){limit, UNKNOWN, text, json_object()};
}

/* " (524,292,096 bytes)" where a size and its limit would read the same, else nothing. */
enum { EXACT_SIZE = MW_FORMAT_SIZE + 16 };
static char *exact(char buffer[static EXACT_SIZE], int64_t bytes, int64_t limit_bytes)
{
    char size[MW_FORMAT_SIZE], limit[MW_FORMAT_SIZE], count[MW_FORMAT_SIZE];

    *buffer = '\0';
    if (bytes != limit_bytes &&
        strcmp(mw_format_bytes(size, bytes), mw_format_bytes(limit, limit_bytes)) == 0)
        snprintf(buffer, EXACT_SIZE, " (%s bytes)", mw_format_count(count, bytes));
    return buffer;
}

/* A percentage with as many decimals as it takes to see on which side of the limit it is. */
static char *percentage(char buffer[static MW_FORMAT_SIZE], double percent, double limit)
{
    int decimals = 1;

    do
        snprintf(buffer, MW_FORMAT_SIZE, "%.*f", decimals, fmin(percent, 1e9));
    while ((strtod(buffer, NULL) > limit) != (percent > limit) && decimals++ < 9);
    return buffer;
}

/* Says what a limit cannot know: how the program itself fared. */
static void tell_state(const struct recording *recording)
{
    const struct mw_run *run = recording->run;
    const char *signal_name;

    if (run->outcome == MW_OUTCOME_RECORDING)
        cmd_message("%s is still being recorded: this is about what is there so far",
                    recording->path);
    else if (run->outcome == MW_OUTCOME_EXITED && run->exit_status > 0)
        cmd_message("%s: the program exited with %d", recording->path, run->exit_status);
    else if (run->outcome == MW_OUTCOME_SIGNALED) {
        signal_name = sigabbrev_np(run->exit_signal);
        cmd_message("%s: the program was ended by SIG%s", recording->path,
                    signal_name ? signal_name : "?");
    }
}

/* --- judging ---------------------------------------------------------------------------------- */

static struct ruling judge_peak(const struct subject *subject, const struct limits *limits)
{
    const struct mw_peak *peak = &subject->figures.peak;
    char bytes[MW_FORMAT_SIZE], upper[MW_FORMAT_SIZE], rest[EXACT_SIZE];
    bool exceeded = peak->bytes > limits->peak_bytes;
    bool doubtful = !exceeded && peak->upper_bytes > limits->peak_bytes;

    if (!peak->known)
        return unknown("max-peak",
                       cmd_words("the peak is not known: it had ended before its memory was read"));
    return (struct ruling){
        .limit = "max-peak",
        .verdict = exceeded ? EXCEEDED : WITHIN,
        .text =
            cmd_words("peak %s%s is %s --max-peak %s%s%s%s", mw_format_bytes(bytes, peak->bytes),
                      exact(rest, peak->bytes, limits->peak_bytes), exceeded ? "above" : "within",
                      limits->max_peak, doubtful ? "; it may have been up to " : "",
                      doubtful ? mw_format_bytes(upper, peak->upper_bytes) : "",
                      doubtful ? " for a moment" : ""),
        .facts = json_pack("{s:I, s:I}", "value_bytes", (json_int_t)peak->bytes, "limit_bytes",
                           (json_int_t)limits->peak_bytes),
    };
}

/*
 * From what length on a recording can be judged: a shorter one tells of its start, or would be
 * judged by less than an allocator takes at once.
 */
static double least_length_s(const struct limits *limits)
{
    static const double start_s = 10, grain_bytes = 1 << 20;

    return fmax(start_s,
                grain_bytes / (double)limits->growth_bytes * (double)limits->growth_ns / 1e9);
}

static struct ruling judge_growth(const struct subject *subject, const struct limits *limits)
{
    const struct figures *figures = &subject->figures;
    int64_t duration_us = subject->recording.run->duration_us;
    double least_s = least_length_s(limits), length_s = (double)duration_us / 1e6;
    double unit_s = (double)limits->growth_ns / 1e9;
    char bytes[MW_FORMAT_SIZE], duration[MW_FORMAT_SIZE], least[MW_FORMAT_SIZE], rest[EXACT_SIZE];
    int64_t growth_bytes;

    if (length_s < least_s)
        return unknown(
            "max-growth",
            cmd_words("it lasted %s: growth can be judged by --max-growth %s from %s on",
                      mw_format_duration(duration, duration_us * 1000), limits->max_growth,
                      mw_format_duration(least, (int64_t)fmin(ceil(least_s) * 1e9, 0x1p62))));
    if (!figures->sampled || !figures->series.has_growth)
        return unknown("max-growth", cmd_words("too little of it was sampled to tell how it grew"));
    growth_bytes =
        llround(fmin(fmax(figures->series.growth_bytes_per_s * unit_s, -0x1p62), 0x1p62));
    return (struct ruling){
        .limit = "max-growth",
        .verdict = growth_bytes > limits->growth_bytes ? EXCEEDED : WITHIN,
        .text = cmd_words(
            "growth %s%s%s is %s --max-growth %s", mw_format_bytes(bytes, growth_bytes),
            strchr(limits->max_growth, '/'), exact(rest, growth_bytes, limits->growth_bytes),
            growth_bytes > limits->growth_bytes ? "above" : "within", limits->max_growth),
        .facts = json_pack("{s:f, s:f}", "value_bytes_per_s", figures->series.growth_bytes_per_s,
                           "limit_bytes_per_s", (double)limits->growth_bytes / unit_s),
    };
}

static bool same_words(const struct mw_run *a, const struct mw_run *b)
{
    if (a->command_length != b->command_length)
        return false;
    for (size_t i = 0; i < a->command_length; i++) {
        if (strcmp(a->command[i], b->command[i]) != 0)
            return false;
    }
    return true;
}

static bool same_run(const struct recording *a, const struct recording *b)
{
    struct stat first, second;

    return a->run->id == b->run->id && stat(a->path, &first) == 0 && stat(b->path, &second) == 0 &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* Says what makes the two hard to compare, and is no fault. */
static void tell_differences(const struct recording *recording, const struct recording *baseline)
{
    mw_auto_free char *command = recording_command(recording);
    mw_auto_free char *other = recording_command(baseline);

    if (!same_words(recording->run, baseline->run))
        cmd_message("%s and its baseline are of different commands: '%.200s' and '%.200s'",
                    recording->path, command ? command : "?", other ? other : "?");
    if (recording->run->children != baseline->run->children)
        cmd_message("%s was recorded with --children %s, its baseline with %s", recording->path,
                    mw_children_name(recording->run->children),
                    mw_children_name(baseline->run->children));
}

static double rise_percent(int64_t old_bytes, int64_t bytes)
{
    return 100 * ((double)bytes - (double)old_bytes) / (double)old_bytes;
}

/*
 * Whether two peaks that differ may be the same one. A sample catches a peak of some milliseconds
 * or it does not, so that bytes goes up and down from run to run; what is known from above does
 * not.
 */
static bool may_be_chance(const struct mw_peak *old, const struct mw_peak *peak, double tolerance)
{
    return old->upper_bytes > 0 && peak->upper_bytes > 0 &&
           fabs(rise_percent(old->upper_bytes, peak->upper_bytes)) <= tolerance;
}

static char *word_chance(const struct mw_peak *old, const struct mw_peak *peak)
{
    char bytes[MW_FORMAT_SIZE], old_bytes[MW_FORMAT_SIZE];

    return cmd_words(", which may be chance: at most it was %s, and the baseline %s",
                     mw_format_bytes(bytes, peak->upper_bytes),
                     mw_format_bytes(old_bytes, old->upper_bytes));
}

static struct ruling compare(const struct subject *subject, const struct subject *baseline,
                             const struct limits *limits)
{
    const struct mw_peak *peak = &subject->figures.peak, *old = &baseline->figures.peak;
    const char *tolerance = limits->tolerance ? limits->tolerance : "5%";
    double percent = rise_percent(old->bytes, peak->bytes), most = limits->tolerance_percent;
    bool above = percent > most, exceeded = above && !may_be_chance(old, peak, most);
    const char *how = exceeded ? ", more than" : ", within";
    char bytes[MW_FORMAT_SIZE], old_bytes[MW_FORMAT_SIZE], number[MW_FORMAT_SIZE];
    mw_auto_free char *rest = percent < 0          ? strdup("") /* the tolerance is for a rise */
                              : above && !exceeded ? word_chance(old, peak)
                                                   : cmd_words("%s --tolerance %s", how, tolerance);
    double allowed_bytes = (double)old->bytes * (1 + most / 100);

    return (struct ruling){
        .limit = "baseline",
        .verdict = exceeded ? EXCEEDED : WITHIN,
        .text = cmd_words(
            "peak %s is %s %% %s --baseline %s (%s)%s", mw_format_bytes(bytes, peak->bytes),
            percentage(number, fabs(percent), most), percent < 0 ? "below" : "above",
            baseline->recording.path, mw_format_bytes(old_bytes, old->bytes), rest ? rest : "?"),
        .facts = json_pack("{s:I, s:I, s:I}", "value_bytes", (json_int_t)peak->bytes, "limit_bytes",
                           (json_int_t)llround(fmin(allowed_bytes, 0x1p62)), "baseline_bytes",
                           (json_int_t)old->bytes),
    };
}

/* How a run that must be whole is not; NULL where it is. */
static const char *what_lacks(const struct subject *subject)
{
    const struct mw_run *run = subject->recording.run;

    if (run->outcome == MW_OUTCOME_RECORDING)
        return "is still being recorded";
    if (run->outcome == MW_OUTCOME_ABORTED)
        return "was cut off";
    if (!subject->figures.peak.known || subject->figures.peak.bytes <= 0)
        return "has no peak: it had ended before its memory was read";
    return NULL;
}

static struct ruling judge_by_baseline(const struct subject *subject, const struct limits *limits)
{
    struct subject baseline = {0};
    struct mw_error error;
    struct ruling ruling;

    if (subject_open(&baseline, limits->baseline, &error) < 0)
        ruling = unknown("baseline", cmd_words("--baseline: %s", error.text));
    else if (same_run(&subject->recording, &baseline.recording))
        ruling = unknown("baseline",
                         cmd_words("--baseline %s is the recording itself", limits->baseline));
    else if (what_lacks(&baseline))
        ruling = unknown("baseline", cmd_words("--baseline %s %s", baseline.recording.path,
                                               what_lacks(&baseline)));
    else if (!subject->figures.peak.known)
        ruling =
            unknown("baseline",
                    cmd_words("the peak is not known: it had ended before its memory was read"));
    else
        ruling = compare(subject, &baseline, limits);
    if (ruling.verdict != UNKNOWN) {
        tell_state(&baseline.recording);
        tell_differences(&subject->recording, &baseline.recording);
    }
    recording_close(&baseline.recording);
    return ruling;
}

/* What was cut off may have gone above any limit later. */
static void doubt_cut_off(const struct recording *recording, struct ruling *ruling)
{
    char *text;

    if (recording->run->outcome != MW_OUTCOME_ABORTED || ruling->verdict != WITHIN)
        return;
    text = cmd_words("%s only as far as it goes: the recording was cut off", ruling->text);
    free(ruling->text);
    ruling->text = text;
    ruling->verdict = UNKNOWN;
}

/* --- telling ---------------------------------------------------------------------------------- */

enum { MOST_RULINGS = 3 };

static size_t judge(const struct subject *subject, const struct limits *limits,
                    struct ruling rulings[MOST_RULINGS])
{
    size_t count = 0;

    if (limits->max_peak)
        rulings[count++] = judge_peak(subject, limits);
    if (limits->max_growth)
        rulings[count++] = judge_growth(subject, limits);
    if (limits->baseline)
        rulings[count++] = judge_by_baseline(subject, limits);
    for (size_t i = 0; i < count; i++)
        doubt_cut_off(&subject->recording, &rulings[i]);
    return count;
}

/* What holds is for standard output, what does not is why the command fails. */
static void print_ruling(const struct recording *recording, const struct ruling *ruling, bool json)
{
    mw_auto_free char *line =
        cmd_words("%s: %s", recording->path, ruling->text ? ruling->text : "out of memory");
    mw_auto_free char *printable = line ? mw_text_printable(line) : NULL;

    if (ruling->verdict != WITHIN)
        cmd_message("%s", line ? line : "out of memory");
    else if (!json)
        printf("%s\n", printable ? printable : "?");
}

/* What is exceeded for certain outweighs what is not known. */
static enum verdict weigh(const struct ruling *rulings, size_t count)
{
    enum verdict whole = WITHIN;

    for (size_t i = 0; i < count; i++) {
        if (rulings[i].verdict == EXCEEDED || whole == WITHIN)
            whole = rulings[i].verdict;
    }
    return whole;
}

static int print_as_json(const struct recording *recording, const struct ruling *rulings,
                         size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *object = json_pack("{s:s, s:s, s:o}", "limit", rulings[i].limit, "verdict",
                                   verdict_names[rulings[i].verdict], "text",
                                   json_text(rulings[i].text ? rulings[i].text : ""));

        if (object)
            json_object_update(object, rulings[i].facts);
        json_array_append_new(array, object);
    }
    return json_print(json_pack("{s:o, s:I, s:s, s:s, s:o}", "file", json_text(recording->path),
                                "run", (json_int_t)recording->run->id, "end",
                                mw_outcome_name(recording->run->outcome), "verdict",
                                verdict_names[weigh(rulings, count)], "limits", array));
}

static int tell(const struct subject *subject, const struct limits *limits, bool json)
{
    static const int statuses[] = {
        [WITHIN] = CMD_OK, [EXCEEDED] = CMD_LIMIT, [UNKNOWN] = CMD_FAILED};
    struct ruling rulings[MOST_RULINGS];
    size_t count;
    int status;

    tell_state(&subject->recording);
    count = judge(subject, limits, rulings);
    for (size_t i = 0; i < count; i++)
        print_ruling(&subject->recording, &rulings[i], json);
    status = statuses[weigh(rulings, count)];
    if (json && print_as_json(&subject->recording, rulings, count) != CMD_OK && status == CMD_OK)
        status = CMD_FAILED;
    for (size_t i = 0; i < count; i++) {
        free(rulings[i].text);
        json_decref(rulings[i].facts);
    }
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

static int apply_option(struct limits *limits, int id, const char *value, struct mw_error *error)
{
    static const double most_percent = 1000;

    switch (id) {
    case OPTION_MAX_PEAK:
        limits->max_peak = value;
        return mw_parse_memory(value, &limits->peak_bytes, error);
    case OPTION_MAX_GROWTH:
        limits->max_growth = value;
        return mw_parse_rate(value, &limits->growth_bytes, &limits->growth_ns, error);
    case OPTION_BASELINE:
        limits->baseline = value;
        return 0;
    default:
        limits->tolerance = value;
        return mw_parse_percent(value, most_percent, &limits->tolerance_percent, error);
    }
}

static int check_options(const struct limits *limits, struct mw_error *error)
{
    if (!limits->max_peak && !limits->max_growth && !limits->baseline)
        return mw_error_set(error, -EINVAL,
                            "no limit is given: there are --max-peak, --max-growth, --baseline");
    if (limits->tolerance && !limits->baseline)
        return mw_error_set(error, -EINVAL, "--tolerance is for --baseline, which is not given");
    return 0;
}

static int check(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct limits limits = {.tolerance_percent = 5};
    struct subject subject = {0};
    struct mw_error error;
    bool json = false;
    int id, status;

    while ((id = cmd_next(&line)) > 0) {
        if (id == OPTION_JSON)
            json = true;
        else if (apply_option(&limits, id, line.value, &error) < 0)
            return cmd_usage(command, "%s", error.text);
    }
    if (id < 0)
        return command->usage_status;
    if (line.operand_count > 1)
        return cmd_usage(command, "'%s' is one word too many", line.operands[1]);
    if (check_options(&limits, &error) < 0)
        return cmd_usage(command, "%s", error.text);
    if (subject_open(&subject, line.operand_count ? line.operands[0] : NULL, &error) < 0)
        status = cmd_fail(&error);
    else
        status = tell(&subject, &limits, json);
    recording_close(&subject.recording);
    return status;
}

const struct command check_command = {
    .name = "check",
    .operands = "[FILE[:RUN]|INDEX]",
    .summary = "fail when a recording used more memory than is allowed",
    .details =
        "Without an operand the newest recording of this folder. At least one limit is needed.\n"
        "A line each says what was found. Exit status: 0 where all limits hold, 3 where one was\n"
        "exceeded, 1 where one could not be judged, 2 for a command line that is not understood.\n"
        "A peak counts with what was in use for certain (`bytes` in JSON); it has risen where "
        "what\n"
        "is known of it from above (`upper_bytes`) has risen too.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = check,
};
