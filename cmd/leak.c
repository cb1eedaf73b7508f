#include "cmd/command.h"
#include "cmd/json.h"
#include "cmd/leak_growth.h"
#include "cmd/leak_limits.h"
#include "cmd/leak_text.h"
#include "cmd/recording.h"
#include "cmd/verdict.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/parse.h"
#include "util/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OPTION_PROCESS = 256,
    OPTION_TOTAL,
    OPTION_METRIC,
    OPTION_LIMIT,
    OPTION_MIN_DURATION,
    OPTION_FAIL,
    OPTION_JSON,
};

static const struct option_spec options[] = {
    {'w', "window", "FROM,TO",
     "judge this part alone: 10m,2h; '10m,' goes to the end, ',2h' begins\nat the start"},
    {OPTION_PROCESS, "process", "PID", "judge this process alone"},
    {OPTION_TOTAL, "total", NULL, "judge the sum over all processes alone"},
    {OPTION_METRIC, "metric", "NAME",
     "anon (default where it is known: memory that belongs to no file),\nrss or pss"},
    {OPTION_LIMIT, "limit", "SIZE", "tell when so much resident memory is reached: 512M, 2GiB"},
    {OPTION_MIN_DURATION, "min-duration", "DUR", "judge nothing shorter than this (default: 5m)"},
    {OPTION_FAIL, "fail", NULL, "exit with 3 if there is a leak"},
    {OPTION_JSON, "json", NULL, "print JSON"},
    {'v', "verbose", NULL, "tell what the verdict rests on, and all limits"},
    {0},
};

struct leak_options {
    int64_t from_us, to_us;
    const char *window, *least; /* as the user gave them; NULL: not at all */
    int64_t pid;                /* -1: every process */
    bool total, fail, json, verbose;
    int metric;          /* an enum leak_metric; -1: what the recording has */
    int64_t limit_bytes; /* -1: none */
    int64_t least_ns;
};

/* What is told of all recordings together. */
struct report {
    const struct leak_options *options;
    struct grown grown;               /* of the recording that is judged */
    json_t *series;                   /* NULL: words are printed */
    size_t leaks, growing, too_short; /* growing: leaks and suspects */
    bool functions_told;              /* of that recording */
};

/* --- options ---------------------------------------------------------------------------------- */

static int parse_metric(const char *name, int *ret_metric, struct mw_error *error)
{
    *ret_metric = leak_metric_parse(name);
    return *ret_metric < 0 ? mw_error_set(error, -EINVAL, "'%s' is none of anon, rss, pss", name)
                           : 0;
}

static int apply_option(struct leak_options *leak, int id, const char *value,
                        struct mw_error *error)
{
    switch (id) {
    case 'w':
        leak->window = value;
        return cmd_parse_window(value, &leak->from_us, &leak->to_us, error);
    case OPTION_PROCESS:
        return mw_parse_count(value, 1, INT32_MAX, &leak->pid, error);
    case OPTION_METRIC:
        return parse_metric(value, &leak->metric, error);
    case OPTION_LIMIT:
        return mw_parse_memory(value, &leak->limit_bytes, error);
    case OPTION_MIN_DURATION:
        leak->least = value;
        return mw_parse_duration(value, &leak->least_ns, error);
    case OPTION_TOTAL:
        leak->total = true;
        break;
    case OPTION_FAIL:
        leak->fail = true;
        break;
    case OPTION_JSON:
        leak->json = true;
        break;
    default:
        leak->verbose = true;
    }
    return 0;
}

static int check_options(const struct leak_options *leak, struct mw_error *error)
{
    if (leak->total && leak->pid >= 0)
        return mw_error_set(error, -EINVAL, "--process and --total exclude each other");
    return 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* A number; null where it is not known, or never. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *limits_to_json(const struct verdict *verdict, const struct limits *limits)
{
    json_t *array = json_array();
    bool grows = verdict->judgement.verdict == MW_VERDICT_LEAK ||
                 verdict->judgement.verdict == MW_VERDICT_SUSPECT;

    for (size_t i = 0; i < limits->count; i++) {
        struct mw_arrival arrival = {INFINITY, INFINITY, INFINITY};

        if (grows)
            arrival = mw_leak_arrival(&verdict->judgement, limits->items[i].at);
        json_array_append_new(
            array, json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", json_text(limits->items[i].name),
                             "bytes", json_integer((json_int_t)limits->items[i].bytes), "eta_s",
                             number(arrival.at_s), "eta_low_s", number(arrival.low_s), "eta_high_s",
                             number(arrival.high_s)));
    }
    return array;
}

static json_t *cycle_to_json(const struct mw_cycle *cycle)
{
    static const char *const names[] = {"none", "periodic", "sawtooth"};

    if (cycle->kind == MW_CYCLE_NONE)
        return json_null();
    return json_pack("{s:s, s:o, s:o}", "kind", names[cycle->kind], "period_s",
                     number(cycle->period), "amplitude_bytes", number(cycle->amplitude));
}

static json_t *doubt_to_json(const struct mw_judgement *judgement)
{
    static const char *const names[] = {[MW_DOUBT_HALTED] = "halted",
                                        [MW_DOUBT_BENT] = "bent",
                                        [MW_DOUBT_BRIEF] = "brief",
                                        [MW_DOUBT_WEAK] = "weak"};

    if (judgement->verdict != MW_VERDICT_LEAK || judgement->doubt == MW_DOUBT_NONE)
        return json_null();
    return json_string(names[judgement->doubt]);
}

static json_t *evidence_to_json(const struct verdict *verdict)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    const struct mw_growth *growth = &judgement->growth;
    const struct recording *recording = verdict->request.recording;
    json_t *json =
        json_pack("{s:o, s:I, s:o, s:o, s:o, s:o}", "file", json_text(recording->path), "run",
                  (json_int_t)recording->run->id, "last_bytes", number(verdict->last),
                  "shared_growth_bytes", number(verdict->shared_growth), "from_s",
                  number(judgement->from_s), "to_s", number(judgement->to_s));

    if (judgement->verdict == MW_VERDICT_INSUFFICIENT)
        return json;
    json_object_update_new(
        json,
        json_pack("{s:o, s:o, s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "since_s",
                  number(judgement->since_s), "halted_s", number(judgement->halted_s), "doubt",
                  doubt_to_json(judgement), "cycle", cycle_to_json(&judgement->cycle),
                  "whole_series", mw_fault_name(judgement->fault), "seen_before",
                  judgement->seen_before, "trend_end_bytes", number(judgement->end), "rise_bytes",
                  number(growth->net), "noise_bytes", number(growth->noise), "step_bytes",
                  number(judgement->step_bytes), "step_s", number(judgement->step_s)));
    json_object_update_new(
        json,
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "t",
                  number(growth->slope / growth->error), "wandering", number(growth->walk),
                  "flattening", number(growth->bend), "slowing", number(growth->slowing),
                  "slowing_t", number(growth->slowing_t), "half_ratio", number(growth->half_ratio),
                  "third_ratio", number(growth->third_ratio), "largest_step",
                  number(growth->largest_step), "largest_fall", number(growth->drawdown)));
    return json;
}

/* The evidence, and where memory grew. Functions are not known by process: the tree tells them. */
static json_t *reasons_to_json(const struct report *report, const struct verdict *verdict)
{
    const struct mw_process *process = verdict->request.process;
    json_t *json = evidence_to_json(verdict);

    json_object_set_new(json, "mappings", grown_mappings_to_json(&report->grown, process));
    json_object_set_new(json, "functions",
                        process ? json_array() : grown_functions_to_json(&report->grown));
    return json;
}

static json_t *verdict_to_json(const struct report *report, const struct verdict *verdict,
                               const struct limits *limits)
{
    const struct mw_judgement *judgement = &verdict->judgement;
    const struct mw_process *process = verdict->request.process;
    const struct mw_run *run = verdict->request.recording->run;

    return json_pack(
        "{s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "pid",
        process ? json_integer(process->pid) : json_null(), "command",
        process ? json_words(process->arguments, process->argument_count)
                : json_words(run->command, run->command_length),
        "metric", leak_metric_name(verdict->request.metric), "verdict",
        mw_verdict_name(judgement->verdict), "confidence", judgement->certain ? "high" : "low",
        "slope_bytes_per_s", number(judgement->slope), "ci_low", number(judgement->low), "ci_high",
        number(judgement->high), "observed_s", number(judgement->observed_s), "evidence",
        reasons_to_json(report, verdict), "limits", limits_to_json(verdict, limits));
}

/* --- judging ---------------------------------------------------------------------------------- */

/* Functions are told once: behind the first series that grows. */
static void print_words(struct report *report, const struct verdict *verdict,
                        const struct limits *limits)
{
    bool verbose = report->options->verbose;

    print_verdict(verdict, limits, verbose);
    if (!verbose || !mw_verdict_grows(verdict->judgement.verdict))
        return;
    print_grown_mappings(&report->grown, verdict->request.process, VERDICT_INDENT);
    if (!report->functions_told)
        print_grown_functions(&report->grown, VERDICT_INDENT);
    report->functions_told = true;
}

static int judge(struct report *report, struct recording *recording,
                 const struct mw_process *process, struct mw_error *error)
{
    const struct leak_options *asked = report->options;
    struct verdict_request request = {
        .recording = recording,
        .process = process,
        .metric =
            asked->metric >= 0 ? (enum leak_metric)asked->metric : leak_metric_default(recording),
        .from_us = asked->from_us,
        .to_us = asked->to_us,
        .least_s = (double)asked->least_ns / 1e9,
    };
    struct verdict verdict;
    struct limits limits;
    int code;

    if ((code = verdict_reach(&verdict, NULL, &request, error)) < 0 ||
        (code = limits_find(&limits, &verdict, asked->limit_bytes, error)) < 0)
        return code;
    report->leaks += verdict.judgement.verdict == MW_VERDICT_LEAK;
    report->growing += mw_verdict_grows(verdict.judgement.verdict);
    if (report->series)
        json_array_append_new(report->series, verdict_to_json(report, &verdict, &limits));
    else
        print_words(report, &verdict, &limits);
    limits_clear(&limits);
    return 0;
}

/* Of thousands of processes, most may have lived too briefly to say a word about each. */
static bool is_brief(const struct recording *recording, const struct mw_process *process,
                     const struct leak_options *asked)
{
    int64_t end_us = process->end_us < 0 ? recording->run->duration_us : process->end_us;

    return end_us - process->start_us < asked->least_ns / 1000;
}

static int judge_processes(struct report *report, struct recording *recording,
                           struct mw_error *error)
{
    const struct leak_options *asked = report->options;
    size_t count = 0, matching = 0;
    mw_auto_free const struct mw_process **order = processes_by_peak(recording, &count);
    int code = 0;

    if (!order)
        return mw_error_errno(error, ENOMEM, "cannot judge");
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (asked->pid >= 0 && order[i]->pid != asked->pid)
            continue;
        matching++;
        if (asked->pid < 0 && !report->series && count > 1 && is_brief(recording, order[i], asked))
            report->too_short++;
        else
            code = judge(report, recording, order[i], error);
    }
    if (code == 0 && asked->pid >= 0 && matching == 0)
        return mw_error_set(error, -ENOENT, "%s has no process %lld", recording->path,
                            (long long)asked->pid);
    return code;
}

static int judge_recording(struct report *report, struct recording *recording,
                           struct mw_error *error)
{
    const struct leak_options *asked = report->options;
    bool alone = recording->run->children == MW_CHILDREN_NONE || recording->process_count == 1;
    int code = 0;

    if (asked->from_us >= recording->run->duration_us && asked->from_us > 0)
        return mw_error_set(error, -ENODATA, "the window begins after the end of %s at %.6g s",
                            recording->path, (double)recording->run->duration_us / 1e6);
    /* A person needs one line where the tree is one process. */
    if (asked->pid < 0 && (report->series || asked->total || !alone))
        code = judge(report, recording, NULL, error);
    if (code == 0 && !asked->total && recording->run->children != MW_CHILDREN_SUM)
        code = judge_processes(report, recording, error);
    return code;
}

static void print_command(const char *title, const char *command, const char *const *words,
                          size_t count)
{
    mw_auto_free char *line = mw_text_command(words, count);

    if (line)
        printf("%-*smemwatch %s %s\n", VERDICT_INDENT, title, command, line);
}

/* What a person looks at next: a picture of what was judged, and where memory grew. */
static void print_next(const struct leak_options *leak, const struct recording *recording,
                       const char *operand)
{
    const char *file = operand ? operand : recording->path, *plot[5];
    size_t count = 0;

    if (leak->window) {
        plot[count++] = "-w";
        plot[count++] = leak->window;
    }
    if (leak->least) {
        plot[count++] = "--min-duration";
        plot[count++] = leak->least;
    }
    plot[count++] = file;
    print_command("next", "plot --leak", plot, count);
    if (recording->function_count > 0)
        print_command("", "functions --sort growth", &file, 1);
}

static void print_path(const struct recording *recording)
{
    mw_auto_free char *path = mw_text_printable(recording->path);

    printf("%s\n", path ? path : "?");
}

static int judge_operand(struct report *report, const char *operand, bool several)
{
    char least[MW_FORMAT_SIZE], count[MW_FORMAT_SIZE];
    size_t growing = report->growing;
    struct recording recording;
    struct mw_error error;
    int code;

    if (recording_open(&recording, operand, &error) < 0)
        return cmd_fail(&error);
    report->too_short = 0;
    report->functions_told = false;
    if (several && !report->series)
        print_path(&recording);
    if ((code = grown_read(&report->grown, &recording, &error)) == 0)
        code = judge_recording(report, &recording, &error);
    grown_clear(&report->grown);
    if (code == 0 && report->too_short > 0)
        printf("%s %s less than %s and %s not judged\n",
               mw_format_count(count, (int64_t)report->too_short),
               report->too_short == 1 ? "process lived" : "processes lived",
               mw_format_duration(least, report->options->least_ns),
               report->too_short == 1 ? "is" : "are");
    if (code == 0 && report->growing > growing && !report->series)
        print_next(report->options, &recording, operand);
    recording_close(&recording);
    return code < 0 ? cmd_fail(&error) : CMD_OK;
}

static int leak(const struct command *command, int argc, char **argv)
{
    struct leak_options leak = {
        .to_us = INT64_MAX, .pid = -1, .metric = -1, .limit_bytes = -1, .least_ns = LEAK_LEAST_NS};
    struct report report = {.options = &leak};
    struct cmd_line line = cmd_line(command, argc, argv);
    struct mw_error error;
    int id, status = CMD_OK;

    while ((id = cmd_next(&line)) > 0) {
        if (apply_option(&leak, id, line.value, &error) < 0)
            return cmd_usage(command, "%s", error.text);
    }
    if (id < 0)
        return command->usage_status;
    if (check_options(&leak, &error) < 0)
        return cmd_usage(command, "%s", error.text);
    report.series = leak.json ? json_array() : NULL;
    for (int i = 0; i < line.operand_count || i == 0; i++) {
        if (judge_operand(&report, line.operand_count ? line.operands[i] : NULL,
                          line.operand_count > 1) != CMD_OK)
            status = CMD_FAILED;
    }
    if (leak.json && json_print(json_pack("{s:o}", "series", report.series)) != CMD_OK)
        return CMD_FAILED;
    if (status == CMD_OK && leak.fail && report.leaks > 0)
        return CMD_LIMIT;
    return status;
}

const struct command leak_command = {
    .name = "leak",
    .operands = "[FILE[:RUN]|INDEX…]",
    .summary = "tell whether memory leaks, how fast, and when it meets a limit",
    .details =
        "A line for all processes together and one for each that lived long enough: leak, "
        "suspect,\n"
        "filling (slows down, as a cache does), step, stable or insufficient. Without an operand\n"
        "the newest recording of this folder, also while it is made. Limits are those that you\n"
        "name and, while the process lives, those of its containers, its own and the machine's.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = leak,
};
