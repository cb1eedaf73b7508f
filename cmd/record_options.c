#include "cmd/record_options.h"

#include "config.h"
#include "util/array.h"
#include "util/metric.h"
#include "util/parse.h"

#include <errno.h>
#include <string.h>

/* A command's own options have numbers below these. */
enum {
    OPTION_CHILDREN = 512,
    OPTION_METRIC,
    OPTION_PEAK_WINDOW,
    OPTION_TRACKING,
    OPTION_NOTE,
    OPTION_KEEP,
    OPTION_MIN_DURATION,
    OPTION_MAX_FILE,
    OPTION_NO_ARGUMENTS,
    OPTION_MAX_RSS,
    OPTION_MAX_GROWTH,
    OPTION_MAX_PROCESSES,
    OPTION_ON_LIMIT,
    OPTION_ON_LIMIT_COMMAND
};

const struct option_spec record_option_specs[] = {
    {'i', "interval", "DUR",
     "time between two samples, 20us to 1h (default 10ms;\nattach: 100ms); a bare number is "
     "seconds: 0.001"},
    {'o', "output", "FILE",
     "file to record into (default memwatch_DATE_PID.db); an\nexisting memwatch file gets a "
     "further run"},
    {OPTION_CHILDREN, "children", "HOW",
     "each: a series for every process and their sum (default);\nsum: their sum alone; none: the "
     "first process alone"},
    {OPTION_METRIC, "metric", "LIST",
     "what to read beside rss, shared and peak, as often as that\ncosts less than 1 % of a core: "
     "file, shmem, swap, vms,\npage-tables, pss, uss, huge, with commas between them"},
    {OPTION_PEAK_WINDOW, "peak-window", "DUR|auto|off",
     "how often to ask the kernel for the highest memory in\nbetween, and to reset its mark; auto: "
     "every 10ms, up to 100ms\nwhere the marks say no more than the samples (default: auto;\n"
     "attach: off, for the mark is the program's)"},
    {OPTION_TRACKING, "tracking", "HOW",
     "perf, connector: be told of every child; poll, scan: look for\nchildren; best (default): the "
     "first of these that works\n(attach: connector before perf)"},
    {'d', "duration", "DUR", "stop recording after this time; the program goes on"},
    {OPTION_NOTE, "note", "TEXT", "a remark to store with the recording"},
    {OPTION_KEEP, "keep", "LEVELS",
     "how long to keep what: raw=1h,1s=24h,1m=30d,10m=forever\n(default of attach) keeps every "
     "sample for an hour, and of each\nsecond, minute and 10 minutes the lowest, highest and last\n"
     "value; all: everything (default of run)"},
    {OPTION_MAX_FILE, "max-file", "SIZE",
     "how large the file may get, with its log (at least 1M): what\nis oldest is given up"},
    {OPTION_MIN_DURATION, "min-duration", "DUR",
     "judge whether memory leaks once it was seen for so long, and\nstore when that changes "
     "(default 5m; see leak)"},
    {OPTION_NO_ARGUMENTS, "no-arguments", NULL,
     "store the names of programs without their arguments"},
    {OPTION_MAX_RSS, "max-rss", "SIZE",
     "limit of the memory of all processes together; a limit that\nis crossed is told, stored, and "
     "makes the exit status 3"},
    {OPTION_MAX_GROWTH, "max-growth", "SIZE/DUR",
     "limit of growth: 100M/1h is to be never 100 MiB above the\nlowest of the hour before"},
    {OPTION_MAX_PROCESSES, "max-processes", "N", "limit of the processes at the same time"},
    {OPTION_ON_LIMIT, "on-limit", "WHAT",
     "what to do beside: report (default): nothing; term: SIGTERM to\nthe program; kill: SIGKILL "
     "to "
     "all of its processes; exec: run\nthe --on-limit-command"},
    {OPTION_ON_LIMIT_COMMAND, "on-limit-command", "COMMAND",
     "a program with its arguments, run without a shell; variables\nMEMWATCH_LIMIT, _VALUE, "
     "_LIMIT_VALUE, _TIME_S, _PID, _FILE tell\nwhat happened"},
    {'q', "quiet", NULL, "no summary at the end"},
    {0},
};

struct record_options record_options_default(bool runs)
{
    return (struct record_options){
        .session = {.version = MEMWATCH_VERSION,
                    .interval_ns = runs ? 100000000 : 10000000,
                    .window_ns = runs ? MW_WINDOW_OFF : MW_WINDOW_AUTO,
                    .keep = runs ? mw_keep_server : mw_keep_all,
                    .judged_after_s = 300,
                    .all_arguments = true,
                    .runs = runs},
        .duration_ns = INT64_MAX,
    };
}

static int parse_interval(const char *text, int64_t *ret_ns, struct mw_error *error)
{
    int64_t ns;
    int code = mw_parse_duration(text, &ns, error);

    if (code < 0)
        return code;
    if (ns < 20000 || ns > INT64_C(3600000000000))
        return mw_error_set(error, -ERANGE, "the interval '%s' is not between 20us and 1h", text);
    *ret_ns = ns / 1000 * 1000; /* the file counts in microseconds */
    return 0;
}

static int parse_positive(const char *text, int64_t *ret_ns, struct mw_error *error)
{
    int code = mw_parse_duration(text, ret_ns, error);

    if (code == 0 && *ret_ns == 0)
        return mw_error_set(error, -ERANGE, "the duration '%s' is nothing", text);
    return code;
}

static int parse_min_duration(const char *text, double *ret_s, struct mw_error *error)
{
    int64_t ns;
    int code = parse_positive(text, &ns, error);

    if (code == 0)
        *ret_s = (double)ns / 1e9;
    return code;
}

static int parse_children(const char *text, enum mw_children *ret_children, struct mw_error *error)
{
    int children = mw_children_parse(text);

    if (children < 0)
        return mw_error_set(error, -EINVAL, "'%s' is not one of each, sum, none", text);
    *ret_children = (enum mw_children)children;
    return 0;
}

static int parse_window(const char *text, int64_t *ret_ns, struct mw_error *error)
{
    int64_t ns;
    int code;

    if (strcmp(text, "auto") == 0 || strcmp(text, "off") == 0) {
        *ret_ns = *text == 'a' ? MW_WINDOW_AUTO : MW_WINDOW_OFF;
        return 0;
    }
    if ((code = mw_parse_duration(text, &ns, error)) < 0)
        return code;
    if (ns < 1000000 || ns > INT64_C(3600000000000))
        return mw_error_set(error, -ERANGE, "the peak window '%s' is not between 1ms and 1h", text);
    *ret_ns = ns;
    return 0;
}

/* A word and what it stands for. */
struct choice {
    const char *name;
    int value;
};

static int parse_choice(const char *text, const struct choice *choices, size_t count,
                        const char *names, int *ret_value, struct mw_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, choices[i].name) == 0) {
            *ret_value = choices[i].value;
            return 0;
        }
    }
    return mw_error_set(error, -EINVAL, "'%s' is not one of %s", text, names);
}

static int parse_tracking(const char *text, enum mw_tracking *ret_tracking, struct mw_error *error)
{
    static const struct choice choices[] = {{"best", MW_TRACKING_BEST},
                                            {"perf", MW_TRACKING_PERF},
                                            {"connector", MW_TRACKING_CONNECTOR},
                                            {"poll", MW_TRACKING_POLL},
                                            {"scan", MW_TRACKING_SCAN}};
    int tracking = 0;
    int code = parse_choice(text, choices, MW_COUNT(choices), "best, perf, connector, poll, scan",
                            &tracking, error);

    if (code == 0)
        *ret_tracking = (enum mw_tracking)tracking;
    return code;
}

static int parse_on_limit(const char *text, enum on_limit *ret_on_limit, struct mw_error *error)
{
    static const struct choice choices[] = {{"report", ON_LIMIT_REPORT},
                                            {"term", ON_LIMIT_TERM},
                                            {"kill", ON_LIMIT_KILL},
                                            {"exec", ON_LIMIT_EXEC}};
    int on_limit = 0;
    int code = parse_choice(text, choices, MW_COUNT(choices), "report, term, kill, exec", &on_limit,
                            error);

    if (code == 0)
        *ret_on_limit = (enum on_limit)on_limit;
    return code;
}

static int apply_limit(struct record_options *options, int id, const char *value,
                       struct mw_error *error)
{
    struct mw_limits_options *limits = &options->session.limits;

    switch (id) {
    case OPTION_MAX_RSS:
        return mw_parse_memory(value, &limits->limits[MW_LIMIT_MAX_RSS], error);
    case OPTION_MAX_GROWTH:
        return mw_parse_rate(value, &limits->limits[MW_LIMIT_MAX_GROWTH], &limits->growth_window_ns,
                             error);
    case OPTION_MAX_PROCESSES:
        return mw_parse_count(value, 1, INT32_MAX, &limits->limits[MW_LIMIT_MAX_PROCESSES], error);
    case OPTION_ON_LIMIT:
        return parse_on_limit(value, &options->on_limit, error);
    case OPTION_ON_LIMIT_COMMAND:
        options->on_limit_command = value;
        break;
    }
    return 0;
}

int record_options_apply(struct record_options *options, int id, const char *value,
                         struct mw_error *error)
{
    switch (id) {
    case 'i':
        return parse_interval(value, &options->session.interval_ns, error);
    case 'd':
        return parse_positive(value, &options->duration_ns, error);
    case OPTION_CHILDREN:
        return parse_children(value, &options->session.children, error);
    case OPTION_METRIC:
        return mw_metric_parse_set(value, &options->session.metrics, error);
    case OPTION_PEAK_WINDOW:
        return parse_window(value, &options->session.window_ns, error);
    case OPTION_TRACKING:
        return parse_tracking(value, &options->session.tracking, error);
    case OPTION_MIN_DURATION:
        return parse_min_duration(value, &options->session.judged_after_s, error);
    case OPTION_KEEP:
        return mw_keep_parse(value, &options->session.keep, error);
    case OPTION_MAX_FILE:
        return mw_keep_parse_max_file(value, &options->session.keep, error);
    case 'o':
        options->output = value;
        break;
    case 'q':
        options->quiet = true;
        break;
    case OPTION_NOTE:
        options->session.note = value;
        break;
    case OPTION_NO_ARGUMENTS:
        options->session.all_arguments = false;
        break;
    default:
        return apply_limit(options, id, value, error);
    }
    return 0;
}

static bool has_limit(const struct record_options *options)
{
    for (size_t i = 0; i < MW_LIMIT_COUNT; i++) {
        if (options->session.limits.limits[i] > 0)
            return true;
    }
    return false;
}

int record_options_check(const struct record_options *options, struct mw_error *error)
{
    bool command = options->on_limit_command != NULL;

    if (options->output && !*options->output)
        return mw_error_set(error, -EINVAL, "the name of the output file is empty");
    if (options->session.metrics & MW_METRIC_BIT(MW_METRIC_PEAK) &&
        options->session.window_ns == MW_WINDOW_OFF)
        return mw_error_set(error, -EINVAL, "there is no metric peak %s",
                            options->session.runs ? "without --peak-window"
                                                  : "with --peak-window off");
    if (options->on_limit == ON_LIMIT_EXEC && !command)
        return mw_error_set(error, -EINVAL, "--on-limit exec needs an --on-limit-command");
    if (command && options->on_limit != ON_LIMIT_EXEC)
        return mw_error_set(error, -EINVAL, "--on-limit-command goes with --on-limit exec");
    if (options->on_limit != ON_LIMIT_REPORT && !has_limit(options))
        return mw_error_set(error, -EINVAL,
                            "--on-limit needs --max-rss, --max-growth or --max-processes");
    if (options->session.children == MW_CHILDREN_NONE &&
        options->session.limits.limits[MW_LIMIT_MAX_PROCESSES] > 0)
        return mw_error_set(error, -EINVAL, "--max-processes counts nothing with --children none");
    return 0;
}
