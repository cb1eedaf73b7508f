#include "capture/launch.h"
#include "cmd/command.h"
#include "cmd/marking.h"
#include "cmd/recording.h"
#include "cmd/summary.h"
#include "cmd/target.h"
#include "config.h"
#include "record/session.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    OPTION_PYTHON = 256,
    OPTION_CHILDREN,
    OPTION_METRIC,
    OPTION_PEAK_WINDOW,
    OPTION_TRACKING,
    OPTION_TRACE,
    OPTION_NO_FUNCTIONS,
    OPTION_NOTE,
    OPTION_KEEP,
    OPTION_MAX_FILE,
    OPTION_NO_ARGUMENTS
};

static const struct option_spec options[] = {
    {'i', "interval", "DUR",
     "time between two samples, 20us to 1h (default 10ms); a bare\nnumber is seconds: 0.001"},
    {'o', "output", "FILE",
     "file to record into (default memwatch_DATE_PID.db); an\nexisting memwatch file gets a "
     "further run"},
    {'m', "module", "MODULE", "run a Python module, as `python3 -m MODULE` does"},
    {OPTION_PYTHON, "python", "EXE", "run PROGRAM under this Python"},
    {OPTION_CHILDREN, "children", "HOW",
     "each: a series for every process and their sum (default);\nsum: their sum alone; none: the "
     "first process alone"},
    {OPTION_METRIC, "metric", "LIST",
     "what to read beside rss, shared and peak, as often as that\ncosts less than 1 % of a core: "
     "file, shmem, swap, vms,\npage-tables, pss, uss, huge, with commas between them"},
    {OPTION_PEAK_WINDOW, "peak-window", "DUR|auto|off",
     "how often to ask the kernel for the highest memory in\nbetween, and to reset its mark; auto: "
     "every 10ms, up to 100ms\nwhere the marks say no more than the samples"},
    {OPTION_TRACKING, "tracking", "HOW",
     "perf, connector: be told of every child; poll, scan: look for\nchildren; best (default): the "
     "first of these that works"},
    {OPTION_TRACE, "trace", "PATTERN",
     "mark the Python functions whose MODULE.QUALNAME matches, as\nif they had @profile: "
     "'mypkg.*', "
     "or by MODULE:QUALNAME,\n'*:Loader.load'; may be given again"},
    {OPTION_NO_FUNCTIONS, "no-functions", NULL,
     "leave Python programs without `profile`, and mark nothing"},
    {'d', "duration", "DUR", "stop recording after this time, then wait for the program"},
    {OPTION_NOTE, "note", "TEXT", "a remark to store with the recording"},
    {OPTION_KEEP, "keep", "LEVELS",
     "how long to keep what: raw=1h,1s=24h,1m=30d,10m=forever keeps\nevery sample for an hour, and "
     "of "
     "each second, minute and 10\nminutes the lowest, highest and last value (default: all)"},
    {OPTION_MAX_FILE, "max-file", "SIZE",
     "how large the file may get, with its log (at least 1M): what\nis oldest is given up"},
    {OPTION_NO_ARGUMENTS, "no-arguments", NULL,
     "store the names of programs without their arguments"},
    {'q', "quiet", NULL, "no summary at the end"},
    {0},
};

struct run_options {
    struct mw_session_options session;
    const char *output, *module, *python;
    int64_t duration_ns; /* INT64_MAX: until the end */
    bool quiet, no_functions;
    struct marking_patterns patterns;
    char **words;
};

/* A recording in progress. */
struct run {
    struct run_options options;
    struct target target;
    struct mw_launch *launch;
    struct mw_session *session; /* NULL: runs unrecorded, or recorded already */
    char *path;
    sigset_t old_mask;
    int signal_fd, process_fd, timer_fd;
    bool failure_told; /* that the file could not be written any more */
    bool ended;
    struct mw_session_end end; /* of the target, once it has ended */
};

/* --- options ---------------------------------------------------------------------------------- */

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

static int parse_tracking(const char *text, enum mw_tracking *ret_tracking, struct mw_error *error)
{
    static const struct {
        const char *name;
        enum mw_tracking tracking;
    } names[] = {{"best", MW_TRACKING_BEST},
                 {"perf", MW_TRACKING_PERF},
                 {"connector", MW_TRACKING_CONNECTOR},
                 {"poll", MW_TRACKING_POLL},
                 {"scan", MW_TRACKING_SCAN}};

    for (size_t i = 0; i < MW_COUNT(names); i++) {
        if (strcmp(text, names[i].name) == 0) {
            *ret_tracking = names[i].tracking;
            return 0;
        }
    }
    return mw_error_set(error, -EINVAL, "'%s' is not one of best, perf, connector, poll, scan",
                        text);
}

/* Applies one option; 0 or a negative errno with a message. */
static int apply_option(struct run_options *run, int id, const char *value, struct mw_error *error)
{
    switch (id) {
    case 'i':
        return parse_interval(value, &run->session.interval_ns, error);
    case 'd':
        return parse_positive(value, &run->duration_ns, error);
    case OPTION_CHILDREN:
        return parse_children(value, &run->session.children, error);
    case OPTION_METRIC:
        return mw_metric_parse_set(value, &run->session.metrics, error);
    case OPTION_PEAK_WINDOW:
        return parse_window(value, &run->session.window_ns, error);
    case OPTION_TRACKING:
        return parse_tracking(value, &run->session.tracking, error);
    case OPTION_KEEP:
        return mw_keep_parse(value, &run->session.keep, error);
    case OPTION_MAX_FILE:
        return mw_keep_parse_max_file(value, &run->session.keep, error);
    case 'o':
        run->output = value;
        break;
    case 'm':
        run->module = value;
        break;
    case 'q':
        run->quiet = true;
        break;
    case OPTION_PYTHON:
        run->python = value;
        break;
    case OPTION_TRACE:
        return marking_add_pattern(&run->patterns, value, error);
    case OPTION_NO_FUNCTIONS:
        run->no_functions = true;
        break;
    case OPTION_NOTE:
        run->session.note = value;
        break;
    case OPTION_NO_ARGUMENTS:
        run->session.all_arguments = false;
        break;
    }
    return 0;
}

static int parse_options(struct run_options *run, const struct command *command, int argc,
                         char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct mw_error error;
    int id = 0;

    /* As with python itself, what follows -m MODULE belongs to the module. */
    while (!run->module && (id = cmd_next(&line)) > 0) {
        if (apply_option(run, id, line.value, &error) < 0)
            return cmd_usage(command, "%s", error.text);
    }
    if (id < 0)
        return command->usage_status;
    if (run->module)
        cmd_take_rest(&line);
    if (line.operand_count == 0 && !run->module)
        return cmd_usage(command, "which program?");
    if (run->output && !*run->output)
        return cmd_usage(command, "the name of the output file is empty");
    if (run->no_functions && run->patterns.list)
        return cmd_usage(command, "--no-functions and --trace exclude each other");
    if (run->session.metrics & MW_METRIC_BIT(MW_METRIC_PEAK) &&
        run->session.window_ns == MW_WINDOW_OFF)
        return cmd_usage(command, "there is no metric peak with --peak-window off");
    line.operands[line.operand_count] = NULL; /* argv has room for it */
    run->words = line.operands;
    return 0;
}

/* --- starting --------------------------------------------------------------------------------- */

static char *default_path(void)
{
    time_t now = time(NULL);
    struct tm date;
    char stamp[32] = "";
    char *path;

    if (localtime_r(&now, &date))
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", &date);
    return asprintf(&path, "memwatch_%s_%d.db", stamp, (int)getpid()) < 0 ? NULL : path;
}

/* Whether a failure lies with the disk or its rights: no reason to keep the program from running.
 */
static bool can_run_unrecorded(int code)
{
    return code == -EACCES || code == -EPERM || code == -EROFS || code == -ENOSPC ||
           code == -EDQUOT || code == -EIO;
}

/* Opens the file. 0, also where the program shall run unrecorded; else an exit status. */
static int open_session(struct run *run)
{
    struct mw_error error;
    int code;

    run->path = run->options.output ? strdup(run->options.output) : default_path();
    if (!run->path) {
        cmd_message("out of memory");
        return CMD_RUN_FAILED;
    }
    run->options.session.path = run->path;
    run->options.session.command = (const char *const *)run->target.arguments;
    code = mw_session_open(&run->session, &run->options.session, &error);
    if (code == 0) {
        if (mw_session_notice(run->session))
            cmd_message("%s", mw_session_notice(run->session));
        return 0;
    }
    if (!can_run_unrecorded(code)) {
        cmd_fail(&error);
        return CMD_RUN_FAILED;
    }
    cmd_message("%s; %s runs unrecorded", error.text, run->target.arguments[0]);
    return 0;
}

/*
 * Signals become readable on a descriptor. SIGPIPE is only held back: when standard error is gone,
 * the target's status must come through all the same.
 */
static int catch_signals(struct run *run, struct mw_error *error)
{
    sigset_t handled, blocked;

    sigemptyset(&handled);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGHUP);
    sigaddset(&handled, SIGQUIT);
    sigaddset(&handled, SIGCHLD);
    blocked = handled;
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_BLOCK, &blocked, &run->old_mask);
    run->signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    return run->signal_fd < 0 ? mw_error_errno(error, errno, "signalfd") : 0;
}

/* Lets the target mark its functions. */
static int prepare_marks(const struct run *run, struct mw_error *error)
{
    bool is_wanted = run->session && !run->options.no_functions;

    return marking_prepare(is_wanted ? mw_session_marks_path(run->session) : NULL,
                           &run->options.patterns, error);
}

static int launch(struct run *run, struct mw_error *error)
{
    int code;

    if ((code = prepare_marks(run, error)) < 0)
        return code;
    /* Who outlives its parent stays in the tree: it becomes a child of ours. */
    prctl(PR_SET_CHILD_SUBREAPER, 1UL);
    code = mw_launch_fork(&run->launch, run->target.path, run->target.arguments, &run->old_mask,
                          error);
    if (code < 0)
        return code;
    run->process_fd = pidfd_open(mw_launch_pid(run->launch), 0);
    if (run->process_fd < 0)
        return mw_error_errno(error, errno, "pidfd_open");
    if (run->session &&
        (code = mw_session_arm(run->session, mw_launch_pid(run->launch), error)) < 0)
        return code;
    return 0;
}

static int exec_failure_status(const struct run *run, int code)
{
    cmd_message("cannot execute %s: %s", run->target.arguments[0], strerrordesc_np(-code));
    return code == -ENOENT ? CMD_NOT_FOUND : CMD_CANNOT_EXECUTE;
}

static void arm_timer(struct run *run)
{
    struct itimerspec once = {.it_value = {.tv_sec = run->options.duration_ns / 1000000000,
                                           .tv_nsec = run->options.duration_ns % 1000000000}};

    run->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (run->timer_fd >= 0)
        timerfd_settime(run->timer_fd, 0, &once, NULL);
}

/* --- while the target runs -------------------------------------------------------------------- */

/*
 * Hands a signal on that a process sent us; one from the terminal has reached the target as well.
 * But a terminal that hangs up tells only the leader of its session.
 */
static void forward_signal(const struct run *run, const struct signalfd_siginfo *signal)
{
    bool hangup = signal->ssi_signo == SIGHUP && getsid(0) == getpid();

    if (signal->ssi_code <= 0 || hangup)
        pidfd_send_signal(run->process_fd, (int)signal->ssi_signo, NULL, 0);
}

static struct mw_session_end read_status(int status, const struct rusage *usage)
{
    if (WIFSIGNALED(status))
        return (struct mw_session_end){MW_OUTCOME_SIGNALED, -1, WTERMSIG(status), usage->ru_maxrss};
    return (struct mw_session_end){MW_OUTCOME_EXITED, WEXITSTATUS(status), -1, usage->ru_maxrss};
}

/* Reaps the target, and orphans of the tree: several ends may come with one signal. */
static void reap(struct run *run)
{
    struct rusage usage;
    int status;
    pid_t pid;

    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        if (pid == mw_launch_pid(run->launch)) {
            run->end = read_status(status, &usage);
            run->ended = true;
        } else if (run->session) {
            mw_session_tell_end(run->session, pid, status, usage.ru_maxrss);
        }
    }
}

static void take_signals(struct run *run)
{
    struct signalfd_siginfo signal;

    while (read(run->signal_fd, &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGCHLD)
            reap(run);
        else
            forward_signal(run, &signal);
    }
}

/* Shows what was recorded last; a failure to do so changes nothing else. */
static void summarize(const struct run *run)
{
    struct recording recording;
    struct mw_error error;
    mw_auto_free char *next = NULL;

    if (run->options.quiet)
        return;
    if (run->options.output) {
        char *const name[] = {run->path};
        mw_auto_free char *word = mw_text_command((const char *const *)name, 1);

        if (!word || asprintf(&next, "memwatch plot %s", word) < 0)
            next = NULL;
    }
    if (recording_open(&recording, run->path, &error) < 0) {
        cmd_fail(&error);
        return;
    }
    if (print_summary(stderr, &recording, next ? next : "memwatch plot", &error) < 0)
        cmd_fail(&error);
    recording_close(&recording);
}

/* Says why there are no functions, to who has asked for some, or would see a summary. */
static void explain_no_functions(const struct run *run)
{
    const char *obstacle = marking_obstacle(run->target.path, run->target.arguments);
    bool has_patterns = run->options.patterns.list;
    struct recording recording;
    struct mw_error error;

    if (run->options.no_functions || run->failure_told ||
        !(has_patterns || (obstacle && !run->options.quiet)) ||
        recording_open(&recording, run->path, &error) < 0)
        return;
    if (recording.function_count == 0 && obstacle)
        cmd_message("no functions were marked: %s hides `profile` from Python", obstacle);
    else if (recording.function_count == 0)
        cmd_message("--trace: no Python function of that name was called (names are "
                    "MODULE.QUALNAME; the script itself is __main__)");
    recording_close(&recording);
}

static void stop_recording(struct run *run, const struct mw_session_end *end)
{
    struct mw_error error;

    if (!run->session)
        return;
    if (mw_session_stop(run->session, end, &error) < 0 && !run->failure_told)
        cmd_message("%s; what was recorded before can be read", error.text);
    mw_session_free(run->session);
    run->session = NULL;
    explain_no_functions(run);
    summarize(run);
}

static void detach(struct run *run)
{
    stop_recording(run, &(struct mw_session_end){MW_OUTCOME_DETACHED, -1, -1, -1});
    close(run->timer_fd);
    run->timer_fd = -1;
}

static void report_failure(struct run *run)
{
    struct mw_error error;

    mw_session_failure(run->session, &error);
    cmd_message("%s; recording stops here, the program goes on", error.text);
    run->failure_told = true;
}

/* Waits for the target, and records until then or until the duration has passed. */
static void watch(struct run *run)
{
    enum { SIGNALS, TIMER, FAILURE, COUNT };

    while (!run->ended) {
        struct pollfd wait[COUNT] = {
            [SIGNALS] = {.fd = run->signal_fd, .events = POLLIN},
            [TIMER] = {.fd = run->timer_fd, .events = POLLIN},
            [FAILURE] = {.fd = run->session && !run->failure_told
                                   ? mw_session_failure_fd(run->session)
                                   : -1,
                         .events = POLLIN},
        };

        poll(wait, COUNT, -1);
        if (wait[FAILURE].revents)
            report_failure(run);
        if (wait[SIGNALS].revents)
            take_signals(run);
        if (wait[TIMER].revents && !run->ended)
            detach(run);
    }
    stop_recording(run, &run->end);
}

/* --- the command ------------------------------------------------------------------------------ */

static int run_target(struct run *run)
{
    struct mw_error error;
    int code, status;

    if ((status = open_session(run)) != 0)
        return status;
    if (catch_signals(run, &error) < 0 || launch(run, &error) < 0) {
        cmd_fail(&error);
        return CMD_RUN_FAILED;
    }
    if ((code = mw_launch_exec(run->launch, &error)) < 0)
        return exec_failure_status(run, code);
    if (run->session)
        mw_session_start(run->session);
    if (run->session && run->options.duration_ns != INT64_MAX)
        arm_timer(run);
    watch(run);
    return run->end.outcome == MW_OUTCOME_EXITED ? run->end.exit_status
                                                 : 128 + run->end.exit_signal;
}

static void clear(struct run *run)
{
    mw_session_free(run->session);
    mw_launch_free(run->launch);
    target_clear(&run->target);
    marking_clear_patterns(&run->options.patterns);
    free(run->path);
    for (int *fd = (int[]){run->signal_fd, run->process_fd, run->timer_fd, -2}; *fd != -2; fd++) {
        if (*fd >= 0)
            close(*fd);
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    struct run run = {
        .options = {.session = {.version = MEMWATCH_VERSION,
                                .interval_ns = 10000000,
                                .window_ns = MW_WINDOW_AUTO,
                                .keep = mw_keep_all,
                                .all_arguments = true},
                    .duration_ns = INT64_MAX},
        .signal_fd = -1,
        .process_fd = -1,
        .timer_fd = -1,
    };
    struct mw_error error;
    int code, status;

    if ((status = parse_options(&run.options, command, argc, argv)) != 0)
        return status;
    code =
        target_find(&run.target, run.options.module, run.options.python, run.options.words, &error);
    if (code < 0) {
        cmd_fail(&error);
        return code == -ENOENT ? CMD_NOT_FOUND : CMD_CANNOT_EXECUTE;
    }
    status = run_target(&run);
    clear(&run);
    return status;
}

const struct command run_command = {
    .name = "run",
    .operands = "[--] PROGRAM [ARGS…]",
    .summary = "run a program and record its memory",
    .details =
        "Options end at PROGRAM. A file NAME.py that is not executable runs under python3.\n"
        "The exit status is the program's own (128+N when signal N ended it); 125 when memwatch\n"
        "failed before it started, 126 when it cannot be executed, 127 when it was not found.",
    .options = options,
    .stops_at_operand = true,
    .usage_status = CMD_RUN_FAILED,
    .run = run,
};
