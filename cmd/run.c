#include "capture/launch.h"
#include "cmd/command.h"
#include "cmd/marking.h"
#include "cmd/recorder.h"
#include "cmd/recording.h"
#include "cmd/target.h"
#include "record/session.h"
#include "util/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTION_PYTHON = 256, OPTION_TRACE, OPTION_NO_FUNCTIONS };

static const struct option_spec options[] = {
    {'m', "module", "MODULE", "run a Python module, as `python3 -m MODULE` does"},
    {OPTION_PYTHON, "python", "EXE", "run PROGRAM under this Python"},
    {OPTION_TRACE, "trace", "PATTERN",
     "mark the Python functions whose MODULE.QUALNAME matches, as\nif they had @profile: "
     "'mypkg.*', "
     "or by MODULE:QUALNAME,\n'*:Loader.load'; may be given again"},
    {OPTION_NO_FUNCTIONS, "no-functions", NULL,
     "leave Python programs without `profile`, and mark nothing"},
    {0},
};

struct run_options {
    struct record_options record;
    const char *module, *python;
    bool no_functions;
    struct marking_patterns patterns;
    char **words;
};

/* A program that runs, and is recorded. */
struct run {
    struct run_options options;
    struct recorder recorder;
    struct target target;
    struct mw_launch *launch;
    sigset_t old_mask;
    int signal_fd;
    bool ended;
    struct mw_session_end end; /* of the target, once it has ended */
};

/* Applies one option; 0 or a negative errno with a message. */
static int apply_option(struct run_options *run, int id, const char *value, struct mw_error *error)
{
    switch (id) {
    case 'm':
        run->module = value;
        return 0;
    case OPTION_PYTHON:
        run->python = value;
        return 0;
    case OPTION_TRACE:
        return marking_add_pattern(&run->patterns, value, error);
    case OPTION_NO_FUNCTIONS:
        run->no_functions = true;
        return 0;
    default:
        return record_options_apply(&run->record, id, value, error);
    }
}

static bool names_script(const char *name)
{
    size_t length = strlen(name);

    return length > strlen(".py") && strcmp(name + length - strlen(".py"), ".py") == 0;
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
    if (run->python && names_script(run->python))
        return cmd_usage(command, "--python takes the interpreter: write 'memwatch run %s'",
                         run->python);
    if (line.operand_count == 0 && !run->module)
        return cmd_usage(command, "which program?");
    if (run->no_functions && run->patterns.list)
        return cmd_usage(command, "--no-functions and --trace exclude each other");
    if (record_options_check(&run->record, &error) < 0)
        return cmd_usage(command, "%s", error.text);
    line.operands[line.operand_count] = NULL; /* argv has room for it */
    run->words = line.operands;
    return 0;
}

/* --- starting --------------------------------------------------------------------------------- */

/* Whether a failure lies with the disk or its rights: no reason to keep the program from running.
 */
static bool can_run_unrecorded(int code)
{
    return code == -EACCES || code == -EPERM || code == -EROFS || code == -ENOSPC ||
           code == -EDQUOT || code == -EIO;
}

/* Opens the file. 0, also where the program shall run unrecorded; else an exit status. */
static int open_recorder(struct run *run)
{
    struct mw_error error;
    int code = recorder_prepare(&run->recorder, &error);

    if (code == 0) {
        code = recorder_open(&run->recorder, (const char *const *)run->target.arguments, &error);
        if (can_run_unrecorded(code)) {
            cmd_message("%s; %s runs unrecorded", error.text, run->target.arguments[0]);
            return 0;
        }
    }
    if (code < 0) {
        cmd_fail(&error);
        return CMD_RUN_FAILED;
    }
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
    struct mw_session *session = run->recorder.session;
    bool is_wanted = session && !run->options.no_functions;

    return marking_prepare(is_wanted ? mw_session_marks_path(session) : NULL,
                           &run->options.patterns, error);
}

static int launch(struct run *run, struct mw_error *error)
{
    struct mw_session *session = run->recorder.session;
    struct mw_found root;
    int code;

    if ((code = prepare_marks(run, error)) < 0)
        return code;
    /* Who outlives its parent stays in the tree: it becomes a child of ours. */
    prctl(PR_SET_CHILD_SUBREAPER, 1UL);
    code = mw_launch_fork(&run->launch, run->target.path, run->target.arguments, &run->old_mask,
                          error);
    if (code < 0)
        return code;
    root = (struct mw_found){.pid = mw_launch_pid(run->launch)};
    if ((code = recorder_add_root(&run->recorder, &root, error)) < 0)
        return code;
    return session ? mw_session_arm(session, root.pid, error) : 0;
}

static int exec_failure_status(const struct run *run, int code)
{
    cmd_message("cannot execute %s: %s", run->target.arguments[0], strerrordesc_np(-code));
    return code == -ENOENT ? CMD_NOT_FOUND : CMD_CANNOT_EXECUTE;
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
        pidfd_send_signal(run->recorder.pidfds[0], (int)signal->ssi_signo, NULL, 0);
}

static struct mw_session_end read_status(int status, const struct rusage *usage)
{
    if (WIFSIGNALED(status))
        return (struct mw_session_end){MW_OUTCOME_SIGNALED, -1, WTERMSIG(status), usage->ru_maxrss,
                                       NULL};
    return (struct mw_session_end){MW_OUTCOME_EXITED, WEXITSTATUS(status), -1, usage->ru_maxrss,
                                   NULL};
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
        } else if (run->recorder.session) {
            mw_session_tell_end(run->recorder.session, pid, status, usage.ru_maxrss);
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

static bool fits_any(const char *pattern, const struct recording *recording)
{
    for (size_t i = 0; i < recording->function_count; i++) {
        if (marking_pattern_fits(pattern, recording->functions[i].name))
            return true;
    }
    return false;
}

/* Tells of each pattern of --trace that has found nothing. */
static void explain_patterns(const struct run *run, const struct recording *recording)
{
    mw_auto_free char *list =
        run->options.patterns.list ? strdup(run->options.patterns.list) : NULL;
    char *rest = list, *pattern;

    while ((pattern = strsep(&rest, "\n"))) {
        if (fits_any(pattern, recording))
            continue;
        if (names_script(pattern))
            cmd_message(
                "--trace '%s': no Python function of that name was called; a pattern without "
                "quotes is taken by the shell for the names of files: write '%.*s.*'",
                pattern, (int)(strlen(pattern) - strlen(".py")), pattern);
        else
            cmd_message("--trace '%s': no Python function of that name was called (names are "
                        "MODULE.QUALNAME; the script itself is __main__)",
                        pattern);
    }
}

/* Says why there are no functions, to who has asked for some, or would see a summary. */
static void explain_missing_functions(const struct run *run)
{
    const char *obstacle = marking_obstacle(run->target.path, run->target.arguments);
    bool has_patterns = run->options.patterns.list;
    struct recording recording;
    struct mw_error error;

    if (run->options.no_functions || run->recorder.failure_told ||
        !(has_patterns || (obstacle && !run->options.record.quiet)) ||
        recording_open(&recording, run->recorder.path, &error) < 0)
        return;
    if (recording.function_count == 0 && obstacle)
        cmd_message("no functions were marked: %s hides `profile` from Python", obstacle);
    else
        explain_patterns(run, &recording);
    recording_close(&recording);
}

static void stop_recording(struct run *run, const struct mw_session_end *end)
{
    if (!run->recorder.session)
        return;
    recorder_stop(&run->recorder, end);
    explain_missing_functions(run);
    recorder_summarize(&run->recorder);
}

/* Waits for the target, and records until then or until the duration has passed. */
static void watch(struct run *run)
{
    while (!run->ended) {
        struct pollfd wait[RECORDER_EVENTS + 1];
        const struct pollfd *signals = &wait[RECORDER_EVENTS];

        recorder_expect(&run->recorder, wait);
        wait[RECORDER_EVENTS] = (struct pollfd){.fd = run->signal_fd, .events = POLLIN};
        poll(wait, RECORDER_EVENTS + 1, -1);
        if (signals->revents)
            take_signals(run);
        if (recorder_serve(&run->recorder, wait) && !run->ended)
            stop_recording(run, &(struct mw_session_end){MW_OUTCOME_DETACHED, -1, -1, -1,
                                                         "the time was over"});
    }
    stop_recording(run, &run->end);
}

/* --- the command ------------------------------------------------------------------------------ */

static int run_target(struct run *run)
{
    struct mw_error error;
    int code, status;

    /* First of all: one that ends us while the file is made would leave it half made. */
    if (catch_signals(run, &error) < 0) {
        cmd_fail(&error);
        return CMD_RUN_FAILED;
    }
    if ((status = open_recorder(run)) != 0)
        return status;
    if (launch(run, &error) < 0) {
        cmd_fail(&error);
        return CMD_RUN_FAILED;
    }
    if ((code = mw_launch_exec(run->launch, &error)) < 0)
        return exec_failure_status(run, code);
    recorder_start(&run->recorder);
    watch(run);
    if (run->recorder.crossed)
        return CMD_LIMIT;
    return run->end.outcome == MW_OUTCOME_EXITED ? run->end.exit_status
                                                 : 128 + run->end.exit_signal;
}

static int find_and_run(struct run *run)
{
    const struct run_options *wanted = &run->options;
    struct mw_error error;
    int code = target_find(&run->target, wanted->module, wanted->python, wanted->words, &error);

    if (code < 0) {
        cmd_fail(&error);
        return code == -ENOENT ? CMD_NOT_FOUND : CMD_CANNOT_EXECUTE;
    }
    return run_target(run);
}

static void clear(struct run *run)
{
    recorder_clear(&run->recorder);
    mw_launch_free(run->launch);
    target_clear(&run->target);
    marking_clear_patterns(&run->options.patterns);
    if (run->signal_fd >= 0)
        close(run->signal_fd);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct run run = {.options = {.record = record_options_default(false)}, .signal_fd = -1};
    int status;

    run.recorder = recorder_new(&run.options.record);
    if ((status = parse_options(&run.options, command, argc, argv)) == 0)
        status = find_and_run(&run);
    clear(&run);
    return status;
}

const struct command run_command = {
    .name = "run",
    .operands = "[--] PROGRAM [ARGS…]",
    .summary = "run a program and record its memory",
    .details =
        "Options end at PROGRAM. A file NAME.py that is not executable runs under python3.\n"
        "The exit status is the program's own (128+N when signal N ended it); 3 when a limit was\n"
        "crossed; 125 when memwatch failed before it started, 126 when it cannot be executed, 127\n"
        "when it was not found.",
    .options = options,
    .shared_options = record_option_specs,
    .stops_at_operand = true,
    .usage_status = CMD_RUN_FAILED,
    .run = run,
};
