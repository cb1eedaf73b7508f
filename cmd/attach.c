#include "capture/find.h"
#include "cmd/command.h"
#include "cmd/recorder.h"
#include "record/session.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/parse.h"
#include "util/text.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { OPTION_PIDFILE = 256, OPTION_CGROUP, OPTION_ALL, OPTION_FOLLOW };

static const struct option_spec options[] = {
    {OPTION_PIDFILE, "pidfile", "FILE", "the process whose number is in FILE"},
    {OPTION_CGROUP, "cgroup", "PATH",
     "all processes of a cgroup, such as\n/system.slice/redis.service, also those that join it"},
    {OPTION_ALL, "all", NULL, "all processes of that name, where there are several"},
    {OPTION_FOLLOW, "follow", NULL,
     "when the process ends, wait for the next one of that name (or\npidfile, cgroup; for one PID: "
     "with the same command) and go on"},
    {0},
};

/* Looking for processes may cost one hundredth of the time, and comes no sooner than this. */
enum { COST_RATIO = 100 };
static const int64_t shortest_pause_ns = 200000000;
/* How often a cgroup is asked who has joined it. */
static const int64_t cgroup_pause_ns = 1000000000;

struct attach {
    struct record_options record;
    struct recorder recorder;
    struct mw_wanted wanted;
    pid_t *pids;   /* of wanted */
    char *command; /* of wanted */
    bool all, follow;
    int signal_fd;
    size_t missing;          /* processes that have ended, and have no successor yet */
    int64_t search_ns;       /* when to look for more of them; INT64_MAX: never */
    uint64_t searched_ticks; /* when that was done last, as processes count it */
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* --- options ---------------------------------------------------------------------------------- */

static int want(struct attach *attach, enum mw_wanted_kind kind, const char *text,
                struct mw_error *error)
{
    if (attach->wanted.text || attach->wanted.pid_count > 0)
        return mw_error_set(error, -EINVAL,
                            "name the process once: by PIDs, a name, --pidfile or --cgroup");
    if (!*text)
        return mw_error_set(error, -EINVAL, "the name of the process is empty");
    attach->wanted.kind = kind;
    attach->wanted.text = text;
    return 0;
}

static int apply_option(struct attach *attach, int id, const char *value, struct mw_error *error)
{
    switch (id) {
    case OPTION_PIDFILE:
        return want(attach, MW_WANTED_PIDFILE, value, error);
    case OPTION_CGROUP:
        return want(attach, MW_WANTED_CGROUP, value, error);
    case OPTION_ALL:
        attach->all = true;
        return 0;
    case OPTION_FOLLOW:
        attach->follow = true;
        attach->record.session.goes_on = true;
        return 0;
    default:
        return record_options_apply(&attach->record, id, value, error);
    }
}

static bool is_number(const char *word)
{
    return word[strspn(word, "0123456789")] == '\0' && *word;
}

static int want_pids(struct attach *attach, char **words, size_t count, struct mw_error *error)
{
    int code = 0;

    attach->pids = calloc(count, sizeof *attach->pids);
    if (!attach->pids)
        return mw_error_errno(error, ENOMEM, "cannot attach");
    for (size_t i = 0; i < count && code == 0; i++) {
        int64_t pid;

        if (!is_number(words[i]))
            return mw_error_set(error, -EINVAL,
                                "'%s' is no PID: several processes are named by "
                                "their PIDs, or by one name and --all",
                                words[i]);
        code = mw_parse_count(words[i], 1, INT_MAX, &pid, error);
        attach->pids[i] = (pid_t)pid;
    }
    attach->wanted.kind = MW_WANTED_PIDS;
    attach->wanted.pids = attach->pids;
    attach->wanted.pid_count = count;
    return code;
}

static int take_operands(struct attach *attach, const struct cmd_line *line, struct mw_error *error)
{
    if (line->operand_count == 0)
        return attach->wanted.text
                   ? 0
                   : mw_error_set(error, -EINVAL, "which process? Name it by its PID or name");
    if (attach->wanted.text)
        return want(attach, MW_WANTED_NAME, line->operands[0], error);
    if (line->operand_count == 1 && !is_number(line->operands[0]))
        return want(attach, MW_WANTED_NAME, line->operands[0], error);
    return want_pids(attach, line->operands, (size_t)line->operand_count, error);
}

/* Of several commands, nobody could tell which a process goes on with. */
static int check_follow(const struct attach *attach, struct mw_error *error)
{
    if (attach->follow && attach->wanted.pid_count > 1)
        return mw_error_set(error, -EINVAL,
                            "--follow goes on with one PID alone: several processes are followed "
                            "by their name and --all");
    return 0;
}

static int parse_options(struct attach *attach, const struct command *command, int argc,
                         char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct mw_error error;
    int id;

    while ((id = cmd_next(&line)) > 0) {
        if (apply_option(attach, id, line.value, &error) < 0)
            return cmd_usage(command, "%s", error.text);
    }
    if (id < 0)
        return command->usage_status;
    if (take_operands(attach, &line, &error) < 0 || check_follow(attach, &error) < 0 ||
        record_options_check(&attach->record, &error) < 0)
        return cmd_usage(command, "%s", error.text);
    return 0;
}

/* --- signals ---------------------------------------------------------------------------------- */

/* Signals become readable on a descriptor; SIGPIPE is only held back. */
static int catch_signals(struct attach *attach, struct mw_error *error)
{
    sigset_t handled, blocked;

    sigemptyset(&handled);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGHUP);
    blocked = handled;
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    attach->signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    return attach->signal_fd < 0 ? mw_error_errno(error, errno, "signalfd") : 0;
}

/* The name of the signal that has come, "SIGINT"; NULL: none. */
static const char *take_signal(const struct attach *attach)
{
    struct signalfd_siginfo signal;

    if (read(attach->signal_fd, &signal, sizeof signal) != sizeof signal)
        return NULL;
    return signal.ssi_signo == SIGINT    ? "SIGINT"
           : signal.ssi_signo == SIGTERM ? "SIGTERM"
                                         : "SIGHUP";
}

/* --- finding ---------------------------------------------------------------------------------- */

/* Looks for the processes, and says when it may be done again. */
static int search(struct attach *attach, struct mw_found **ret_roots, size_t *ret_count,
                  struct mw_error *error)
{
    int64_t before_ns = now_ns(), found_ns, pause_ns;
    int code;

    attach->searched_ticks = mw_find_ticks();
    code = mw_find_processes(&attach->wanted, ret_roots, ret_count, error);
    found_ns = now_ns();
    pause_ns = (found_ns - before_ns) * COST_RATIO;
    attach->search_ns = found_ns + (pause_ns > shortest_pause_ns ? pause_ns : shortest_pause_ns);
    return code;
}

static int say_nobody(const struct attach *attach, struct mw_error *error)
{
    mw_auto_free char *similar = NULL;

    if (attach->wanted.kind == MW_WANTED_CGROUP)
        return mw_error_set(error, -ESRCH, "the cgroup %s has no processes", attach->wanted.text);
    similar = mw_find_similar(attach->wanted.text);
    return mw_error_set(error, -ESRCH, "no process is called '%s'%s%s", attach->wanted.text,
                        similar ? "; there is " : "", similar ? similar : "");
}

/* With --follow, what is not there may come. */
static bool may_come(const struct attach *attach, int code)
{
    return attach->follow && attach->wanted.kind != MW_WANTED_PIDS &&
           (code == -ESRCH || code == -ENOENT || code == -EINVAL);
}

/* Waits until it is time to search again; false when a signal ends that. */
static bool wait_for_search(const struct attach *attach)
{
    struct pollfd signals = {.fd = attach->signal_fd, .events = POLLIN};
    int64_t pause_ns = attach->search_ns - now_ns();
    struct timespec pause = {.tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000};

    if (pause_ns > 0)
        ppoll(&signals, 1, &pause, NULL);
    return take_signal(attach) == NULL;
}

/* Finds the first processes. 1, 0 when a signal came before there were any, or an error. */
static int find_first(struct attach *attach, struct mw_found **ret_roots, size_t *ret_count,
                      struct mw_error *error)
{
    bool told = false;

    for (;;) {
        int code = search(attach, ret_roots, ret_count, error);

        if (code == 0 && *ret_roots)
            return 1;
        if (code == 0)
            code = say_nobody(attach, error);
        if (!may_come(attach, code))
            return code;
        if (!told && !attach->record.quiet)
            cmd_message("%s: waiting", error->text);
        told = true;
        if (!wait_for_search(attach))
            return 0;
    }
}

static void list_process(const struct mw_found *found)
{
    char age[MW_FORMAT_SIZE], memory[MW_FORMAT_SIZE];
    mw_auto_free char **arguments = mw_find_arguments(found->pid);
    mw_auto_free char *command = NULL;
    mw_auto_free char *shortened = NULL;
    size_t count = 0;

    while (arguments && arguments[count])
        count++;
    command = mw_text_process((const char *const *)arguments, count);
    shortened = command ? mw_text_shorten(command, 60) : NULL;
    fprintf(stderr, "  %8d  %12s  %10s  %s\n", (int)found->pid,
            mw_format_duration(age, mw_find_age_ns(found)),
            mw_format_bytes(memory, mw_find_memory(found->pid)), shortened ? shortened : "?");
}

static void list_processes(const struct mw_found *found, size_t count)
{
    enum { MOST = 20 };

    fprintf(stderr, "  %8s  %12s  %10s  %s\n", "PID", "runs for", "memory", "command");
    for (size_t i = 0; i < count && i < MOST; i++)
        list_process(&found[i]);
    if (count > MOST)
        fprintf(stderr, "  … and %zu more\n", count - MOST);
}

/* Whether all that were found are meant. */
static bool is_clear(const struct attach *attach, const struct mw_found *roots, size_t count)
{
    if (count == 1 || attach->all || attach->wanted.kind != MW_WANTED_NAME)
        return true;
    cmd_message("%zu processes are called '%s': choose one by its PID, or take them --all", count,
                attach->wanted.text);
    list_processes(roots, count);
    return false;
}

/* --- rights ----------------------------------------------------------------------------------- */

/* What an option needs. */
struct need {
    bool asked;
    enum mw_right right;
    const char *what;
};

/* Whether everything that the options ask for is allowed. */
static int check_rights(const struct attach *attach, pid_t pid, struct mw_error *error)
{
    static const mw_metric_set rollup =
        MW_METRIC_BIT(MW_METRIC_PSS) | MW_METRIC_BIT(MW_METRIC_USS) | MW_METRIC_BIT(MW_METRIC_HUGE);
    const struct record_options *record = &attach->record;
    const struct need needs[] = {
        {record->session.metrics & rollup, MW_RIGHT_ROLLUP, "read its pss, uss and huge"},
        {record->session.window_ns != MW_WINDOW_OFF, MW_RIGHT_RESET,
         "reset its high-water mark (--peak-window)"},
        {record->on_limit == ON_LIMIT_TERM || record->on_limit == ON_LIMIT_KILL, MW_RIGHT_SIGNAL,
         "signal it (--on-limit)"},
    };

    for (size_t i = 0; i < MW_COUNT(needs); i++) {
        mw_auto_free char *owner = NULL;

        if (!needs[i].asked || mw_find_allows(pid, needs[i].right))
            continue;
        owner = mw_find_owner(pid);
        return mw_error_set(error, -EACCES,
                            "process %d belongs to %s, and only that user and root may %s: run "
                            "memwatch as one of them",
                            (int)pid, owner ? owner : "another user", needs[i].what);
    }
    return 0;
}

/* --- recording -------------------------------------------------------------------------------- */

/* What is stored as the command: that of the first process. */
static int open_recorder(struct attach *attach, pid_t pid, struct mw_error *error)
{
    mw_auto_free char **arguments = mw_find_arguments(pid);

    if (!arguments)
        return mw_error_set(error, -ESRCH, "process %d has ended", (int)pid);
    return recorder_open(&attach->recorder, (const char *const *)arguments, error);
}

/* Whoever ran beside a process with the same command is a sibling of it, and not its next. */
static void expect_next(struct attach *attach, const struct mw_found *root)
{
    attach->wanted.since_ticks =
        attach->searched_ticks > root->start_ticks ? attach->searched_ticks : root->start_ticks + 1;
}

/* With --follow a PID stands for its command. */
static int remember_command(struct attach *attach, const struct mw_found *root,
                            struct mw_error *error)
{
    if (!attach->follow || attach->wanted.kind != MW_WANTED_PIDS)
        return 0;
    attach->command = mw_find_command(root->pid, &attach->wanted.command_length);
    if (!attach->command)
        return mw_error_set(error, -ESRCH, "process %d has ended", (int)root->pid);
    attach->wanted.kind = MW_WANTED_COMMAND;
    attach->wanted.command = attach->command;
    expect_next(attach, root);
    return 0;
}

/* Of several, those that have ended meanwhile are left out. */
static int add_roots(struct attach *attach, const struct mw_found *roots, size_t count,
                     struct mw_error *error)
{
    struct recorder *recorder = &attach->recorder;
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++) {
        code = recorder_add_root(recorder, &roots[i], error);
        if (code == 0)
            code = check_rights(attach, roots[i].pid, error);
        else if (code == -ESRCH && (recorder->root_count > 0 || i + 1 < count))
            code = 0;
    }
    return code;
}

static int arm(struct attach *attach, const struct mw_found *found, size_t found_count,
               struct mw_error *error)
{
    struct recorder *recorder = &attach->recorder;
    int code = add_roots(attach, found, found_count, error);
    const struct mw_found *roots = recorder->roots;
    size_t count = recorder->root_count;

    if (code < 0 || (code = remember_command(attach, &roots[0], error)) < 0 ||
        (code = open_recorder(attach, roots[0].pid, error)) < 0 ||
        (code = mw_session_arm(recorder->session, roots[0].pid, error)) < 0)
        return code;
    for (size_t i = 1; i < count && code == 0; i++)
        code = mw_session_adopt(recorder->session, roots[i].pid, roots[i].start_ticks, false);
    return code < 0 ? mw_error_set(error, code, "so many processes cannot be recorded at once: %zu",
                                   count)
                    : 0;
}

static bool is_known(const struct recorder *recorder, const struct mw_found *root)
{
    for (size_t i = 0; i < recorder->root_count; i++) {
        if (recorder->roots[i].pid == root->pid &&
            recorder->roots[i].start_ticks == root->start_ticks)
            return true;
    }
    return false;
}

static void take_in(struct attach *attach, const struct mw_found *root)
{
    struct recorder *recorder = &attach->recorder;
    bool restarted = attach->missing > 0;
    struct mw_error error;

    /* Tried again with the next search. */
    if (mw_session_adopt(recorder->session, root->pid, root->start_ticks, restarted) < 0 ||
        recorder_add_root(recorder, root, &error) < 0)
        return;
    expect_next(attach, root);
    attach->missing -= restarted;
    if (restarted && !attach->record.quiet)
        cmd_message("goes on with process %d", (int)root->pid);
}

/* Looks for those that came since: in the place of others, or into the cgroup. */
static void search_further(struct attach *attach)
{
    bool joins = attach->wanted.kind == MW_WANTED_CGROUP;
    struct mw_found *roots = NULL;
    size_t count = 0;

    if (search(attach, &roots, &count, NULL) == 0) {
        for (size_t i = 0; i < count && (joins || attach->missing > 0); i++) {
            if (!is_known(&attach->recorder, &roots[i]))
                take_in(attach, &roots[i]);
        }
    }
    free(roots);
    if (joins)
        attach->search_ns = now_ns() + cgroup_pause_ns;
    else if (attach->missing == 0)
        attach->search_ns = INT64_MAX;
}

static size_t count_alive(const struct recorder *recorder)
{
    size_t alive = 0;

    for (size_t i = 0; i < recorder->root_count; i++)
        alive += recorder->pidfds[i] >= 0;
    return alive;
}

/* One of the first processes has ended. */
static void note_end(struct attach *attach, size_t which)
{
    struct recorder *recorder = &attach->recorder;

    close(recorder->pidfds[which]);
    recorder->pidfds[which] = -1;
    /* Those below it may live on in the cgroup, and are waited for from now on. */
    if (attach->wanted.kind == MW_WANTED_CGROUP && count_alive(recorder) == 0)
        attach->search_ns = now_ns();
    if (!attach->follow)
        return;
    attach->missing++;
    attach->search_ns = now_ns();
    if (!attach->record.quiet)
        cmd_message("process %d has ended: waiting for the next", (int)recorder->roots[which].pid);
}

/* Forgets who ended long ago: a service that restarts every minute for a year has many of them. */
static void forget_ended(struct recorder *recorder)
{
    enum { MOST = 256 };
    size_t kept = 0;

    for (size_t i = 0; i < recorder->root_count && recorder->root_count > MOST; i++) {
        if (recorder->pidfds[i] < 0 && i + MOST / 2 < recorder->root_count)
            continue;
        recorder->roots[kept] = recorder->roots[i];
        recorder->pidfds[kept++] = recorder->pidfds[i];
    }
    if (recorder->root_count > MOST)
        recorder->root_count = kept;
}

static int64_t pause_ms(const struct attach *attach)
{
    int64_t pause_ns = attach->search_ns - now_ns();

    if (attach->search_ns == INT64_MAX)
        return -1;
    return pause_ns < 0 ? 0 : pause_ns / 1000000 + 1;
}

/* What wakes it: the recorder's events, signals, and the ends of the first processes. */
struct wake {
    struct pollfd *wait;
    size_t count, room;
};

enum { WAKE_SIGNALS = RECORDER_EVENTS, WAKE_ENDS };

/* False when memory ran out. */
static bool wait_for_news(const struct attach *attach, struct wake *wake)
{
    const struct recorder *recorder = &attach->recorder;
    size_t count = WAKE_ENDS + recorder->root_count;

    if (!wake->wait || count > wake->room) {
        struct pollfd *larger = reallocarray(wake->wait, 2 * count, sizeof *larger);

        if (!larger)
            return false;
        wake->wait = larger;
        wake->room = 2 * count;
    }
    recorder_expect(recorder, wake->wait);
    wake->wait[WAKE_SIGNALS] = (struct pollfd){.fd = attach->signal_fd, .events = POLLIN};
    for (size_t i = 0; i < recorder->root_count; i++)
        wake->wait[WAKE_ENDS + i] = (struct pollfd){.fd = recorder->pidfds[i], .events = POLLIN};
    wake->count = count;
    poll(wake->wait, count, (int)pause_ms(attach));
    return true;
}

/* How the recording ends with what has happened; false when it goes on. */
static bool is_over(const struct attach *attach, bool time_is_over, struct mw_session_end *ret_end)
{
    const char *signal = take_signal(attach);

    *ret_end = (struct mw_session_end){MW_OUTCOME_DETACHED, -1, -1, -1, signal};
    if (signal || attach->recorder.failure_told)
        return true;
    ret_end->reason = "the time was over";
    if (time_is_over)
        return true;
    ret_end->outcome = MW_OUTCOME_EXITED;
    return count_alive(&attach->recorder) == 0 && !attach->follow;
}

/* Records until the end of the processes, of the time, or a signal. */
static void watch(struct attach *attach)
{
    struct mw_session_end end = {MW_OUTCOME_DETACHED, -1, -1, -1, NULL};
    struct wake wake = {0};
    bool over = false;

    attach->search_ns = attach->wanted.kind == MW_WANTED_CGROUP ? now_ns() : INT64_MAX;
    while (!over && wait_for_news(attach, &wake)) {
        bool time_is_over = recorder_serve(&attach->recorder, wake.wait);

        for (size_t i = WAKE_ENDS; i < wake.count; i++) {
            if (wake.wait[i].revents)
                note_end(attach, i - WAKE_ENDS);
        }
        if (now_ns() >= attach->search_ns)
            search_further(attach);
        forget_ended(&attach->recorder);
        over = is_over(attach, time_is_over, &end);
    }
    free(wake.wait);
    recorder_stop(&attach->recorder, &end);
    recorder_summarize(&attach->recorder);
}

/* --- the command ------------------------------------------------------------------------------ */

static int record(struct attach *attach)
{
    struct mw_found *roots = NULL;
    size_t count = 0;
    struct mw_error error;
    int code, status = CMD_OK;

    if (catch_signals(attach, &error) < 0 ||
        (code = find_first(attach, &roots, &count, &error)) < 0)
        return cmd_fail(&error);
    if (code == 0) /* told to end before there was anything */
        return CMD_OK;
    if (!is_clear(attach, roots, count))
        status = CMD_FAILED;
    else if (recorder_prepare(&attach->recorder, &error) < 0 ||
             arm(attach, roots, count, &error) < 0)
        status = cmd_fail(&error);
    free(roots);
    if (status != CMD_OK)
        return status;
    recorder_start(&attach->recorder);
    watch(attach);
    if (attach->recorder.failure_told)
        return CMD_FAILED;
    return attach->recorder.crossed ? CMD_LIMIT : CMD_OK;
}

static int attach(const struct command *command, int argc, char **argv)
{
    struct attach attach = {.record = record_options_default(true), .signal_fd = -1};
    int status;

    attach.recorder = recorder_new(&attach.record);
    status = parse_options(&attach, command, argc, argv);
    if (status == 0)
        status = record(&attach);
    recorder_clear(&attach.recorder);
    free(attach.pids);
    free(attach.command);
    if (attach.signal_fd >= 0)
        close(attach.signal_fd);
    return status;
}

const struct command attach_command = {
    .name = "attach",
    .operands = "PID…|NAME|--pidfile FILE|--cgroup PATH",
    .summary = "record the memory of a process that runs already",
    .details =
        "The process and all below it are recorded until it ends, or until Ctrl-C; it is never\n"
        "stopped, traced or signalled (but for --on-limit term and kill). NAME is that of the\n"
        "program, or of the script that an interpreter runs.\n"
        "The exit status is 0; 3 when a limit was crossed; 1 when it cannot be recorded.",
    .options = options,
    .shared_options = record_option_specs,
    .usage_status = CMD_USAGE,
    .run = attach,
};
