#include "cmd/on_limit.h"

#include "util/cleanup.h"
#include "util/format.h"
#include "util/parse.h"
#include "util/spawn.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the helper is told: less than PIPE_BUF, so that it arrives in one piece. */
struct message {
    struct mw_crossing crossing;
    int pid;
};

/* --- the helper ---------------------------------------------------------------------------------
 */

static void set_number(const char *name, int64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)number);
    setenv(name, text, 1);
}

static void set_facts(const struct message *message)
{
    char t_s[32];

    snprintf(t_s, sizeof t_s, "%.3f", (double)message->crossing.t_us / 1e6);
    setenv("MEMWATCH_LIMIT", mw_limit_kind_name(message->crossing.kind), 1);
    set_number("MEMWATCH_VALUE", message->crossing.value);
    set_number("MEMWATCH_LIMIT_VALUE", message->crossing.limit);
    setenv("MEMWATCH_TIME_S", t_s, 1);
    set_number("MEMWATCH_PID", message->pid);
}

/* A command that fails may be the only one to know that nobody was told. */
static void tell_failure(const char *name, int status)
{
    const char *signal_name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

    if (WIFSIGNALED(status))
        cmd_message("--on-limit-command: %s was ended by SIG%s", name,
                    signal_name ? signal_name : "?");
    else if (WEXITSTATUS(status) != 0)
        cmd_message("--on-limit-command: %s exited with %d", name, WEXITSTATUS(status));
}

static void execute_command(const struct target *command)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int code, status;

    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if ((code = mw_spawn_attributes(&attributes, 0)) == 0)
        code = posix_spawn(&pid, command->path, &actions, &attributes, command->arguments, environ);
    if (code != 0)
        cmd_message("--on-limit-command: cannot execute %s: %s", command->arguments[0],
                    strerrordesc_np(code));
    else if (waitpid(pid, &status, 0) == pid)
        tell_failure(command->arguments[0], status);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
}

/* Runs the command once for every message; ends with the recorder. */
static void help(int fd, const struct target *command, const char *path)
{
    struct message message;
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setenv("MEMWATCH_FILE", path, 1);
    unsetenv("MEMWATCH_MARKS");
    while (read(fd, &message, sizeof message) == sizeof message) {
        set_facts(&message);
        execute_command(command);
    }
    _exit(0);
}

/* The command may work in another folder. */
static char *whole_path(const char *path)
{
    mw_auto_free char *folder = *path == '/' ? NULL : getcwd(NULL, 0);
    char *whole;

    return folder && asprintf(&whole, "%s/%s", folder, path) >= 0 ? whole : strdup(path);
}

static int start_helper(struct limit_action *action, const char *path, struct mw_error *error)
{
    mw_auto_free char *whole = whole_path(path);
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return mw_error_errno(error, errno, "pipe");
    pid = fork();
    if (pid == 0) {
        close(ends[1]);
        help(ends[0], &action->command, whole ? whole : path);
    }
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return mw_error_errno(error, errno, "fork");
    }
    fcntl(ends[1], F_SETFL, O_NONBLOCK); /* a slow command must not hold up the recording */
    action->helper_fd = ends[1];
    return 0;
}

/* --- the recorder -------------------------------------------------------------------------------
 */

static char *describe(const struct limit_action *action)
{
    static const char *const words[] = {[ON_LIMIT_REPORT] = "reported",
                                        [ON_LIMIT_TERM] = "SIGTERM to the program",
                                        [ON_LIMIT_KILL] = "SIGKILL to all processes"};
    mw_auto_free char *command = NULL;
    char *described;
    size_t count = 0;

    if (action->what != ON_LIMIT_EXEC)
        return strdup(words[action->what]);
    while (action->words[count])
        count++;
    command = mw_text_command((const char *const *)action->words, count);
    return command && asprintf(&described, "executed %s", command) >= 0 ? described : NULL;
}

int limit_action_prepare(struct limit_action *action, const struct record_options *options,
                         const char *path, struct mw_error *error)
{
    int code = 0;

    action->what = options->on_limit;
    action->first_look_us = options->session.runs ? options->session.interval_ns / 1000 : 0;
    if (action->what == ON_LIMIT_EXEC &&
        ((code = mw_parse_words(options->on_limit_command, &action->words, error)) < 0 ||
         (code = target_find(&action->command, NULL, NULL, action->words, error)) < 0 ||
         (code = start_helper(action, path, error)) < 0))
        return code;
    action->described = describe(action);
    return action->described ? 0 : mw_error_errno(error, ENOMEM, "cannot record");
}

/* "at 15.5 s", or for what was so before anybody looked, "from the start". */
static void word_time(char buffer[static MW_FORMAT_SIZE + 8], const struct limit_action *action,
                      const struct mw_crossing *crossing)
{
    char at[MW_FORMAT_SIZE];

    if (crossing->t_us < action->first_look_us)
        snprintf(buffer, MW_FORMAT_SIZE + 8, "from the start");
    else
        snprintf(buffer, MW_FORMAT_SIZE + 8, "at %s",
                 mw_format_duration(at, crossing->t_us * 1000));
}

static void tell(const struct limit_action *action, const struct mw_crossing *crossing,
                 int64_t window_ns)
{
    char value[MW_FORMAT_SIZE], limit[MW_FORMAT_SIZE], window[MW_FORMAT_SIZE];
    char at[MW_FORMAT_SIZE + 8];
    const char *name = mw_limit_kind_name(crossing->kind);

    word_time(at, action, crossing);
    switch (crossing->kind) {
    case MW_LIMIT_MAX_RSS:
        cmd_message("%s %s: %s, more than %s; %s", name, at,
                    mw_format_bytes(value, crossing->value),
                    mw_format_bytes(limit, crossing->limit), action->described);
        break;
    case MW_LIMIT_MAX_GROWTH:
        cmd_message("%s %s: grown by %s, more than %s, in %s; %s", name, at,
                    mw_format_bytes(value, crossing->value),
                    mw_format_bytes(limit, crossing->limit), mw_format_duration(window, window_ns),
                    action->described);
        break;
    case MW_LIMIT_MAX_PROCESSES:
    case MW_LIMIT_COUNT:
        cmd_message("%s %s: %s processes, more than %s; %s", name, at,
                    mw_format_count(value, crossing->value),
                    mw_format_count(limit, crossing->limit), action->described);
        break;
    }
}

void limit_action_take(struct limit_action *action, const struct mw_crossing *crossing,
                       int64_t window_ns, const struct limit_place *place)
{
    const struct message message = {*crossing, place->pid};

    tell(action, crossing, window_ns);
    switch (action->what) {
    case ON_LIMIT_REPORT:
        break;
    case ON_LIMIT_TERM:
        for (size_t i = 0; i < place->count; i++) {
            if (place->pidfds[i] >= 0 &&
                pidfd_send_signal(place->pidfds[i], SIGTERM, NULL, 0) < 0 && errno != ESRCH)
                cmd_message("cannot send SIGTERM: %s", strerrordesc_np(errno));
        }
        break;
    case ON_LIMIT_KILL:
        mw_session_kill(place->session);
        break;
    case ON_LIMIT_EXEC:
        if (write(action->helper_fd, &message, sizeof message) < 0)
            cmd_message(
                "the command of --on-limit-command still runs for earlier limits: left out");
        break;
    }
}

void limit_action_clear(struct limit_action *action)
{
    if (action->helper_fd >= 0)
        close(action->helper_fd);
    target_clear(&action->command);
    free(action->words);
    free(action->described);
}
