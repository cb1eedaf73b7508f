#include "cmd/recorder.h"

#include "cmd/recording.h"
#include "cmd/summary.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct recorder recorder_new(const struct record_options *options)
{
    return (struct recorder){.options = options, .timer_fd = -1, .action = {.helper_fd = -1}};
}

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

int recorder_prepare(struct recorder *recorder, struct mw_error *error)
{
    const struct record_options *options = recorder->options;

    recorder->path = options->output ? strdup(options->output) : default_path();
    if (!recorder->path)
        return mw_error_errno(error, ENOMEM, "cannot record");
    return limit_action_prepare(&recorder->action, options, recorder->path, error);
}

int recorder_open(struct recorder *recorder, const char *const *command, struct mw_error *error)
{
    struct mw_session_options options = recorder->options->session;
    int code;

    options.path = recorder->path;
    options.command = command;
    options.on_limit = recorder->action.described;
    code = mw_session_open(&recorder->session, &options, error);
    if (code == 0 && mw_session_notice(recorder->session))
        cmd_message("%s", mw_session_notice(recorder->session));
    return code;
}

int recorder_add_root(struct recorder *recorder, const struct mw_found *root,
                      struct mw_error *error)
{
    int fd;

    if (!mw_array_reserve(&recorder->roots, recorder->root_count, &recorder->root_room,
                          sizeof *recorder->roots) ||
        !mw_array_reserve(&recorder->pidfds, recorder->root_count, &recorder->pidfd_room,
                          sizeof *recorder->pidfds))
        return mw_error_errno(error, ENOMEM, "cannot record");
    fd = pidfd_open(root->pid, 0);
    if (fd < 0)
        return mw_error_errno(error, errno, "process %d", (int)root->pid);
    recorder->roots[recorder->root_count] = *root;
    recorder->pidfds[recorder->root_count++] = fd;
    return 0;
}

static void arm_timer(struct recorder *recorder, int64_t duration_ns)
{
    struct itimerspec once = {
        .it_value = {.tv_sec = duration_ns / 1000000000, .tv_nsec = duration_ns % 1000000000}};

    recorder->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (recorder->timer_fd >= 0)
        timerfd_settime(recorder->timer_fd, 0, &once, NULL);
}

void recorder_start(struct recorder *recorder)
{
    if (!recorder->session)
        return;
    mw_session_start(recorder->session);
    if (recorder->options->duration_ns != INT64_MAX)
        arm_timer(recorder, recorder->options->duration_ns);
}

void recorder_expect(const struct recorder *recorder, struct pollfd wait[static RECORDER_EVENTS])
{
    struct mw_session *session = recorder->session;

    wait[RECORDER_TIMER] = (struct pollfd){.fd = recorder->timer_fd, .events = POLLIN};
    wait[RECORDER_FAILURE] = (struct pollfd){
        .fd = session && !recorder->failure_told ? mw_session_failure_fd(session) : -1,
        .events = POLLIN};
    wait[RECORDER_CROSSING] =
        (struct pollfd){.fd = session ? mw_session_crossing_fd(session) : -1, .events = POLLIN};
}

static void report_failure(struct recorder *recorder)
{
    struct mw_error error;

    mw_session_failure(recorder->session, &error);
    cmd_message("%s; recording stops here, the program goes on", error.text);
    recorder->failure_told = true;
}

static void serve_crossings(struct recorder *recorder)
{
    const struct limit_place place = {
        .session = recorder->session,
        .pidfds = recorder->pidfds,
        .count = recorder->root_count,
        .pid = recorder->root_count ? recorder->roots[recorder->root_count - 1].pid : 0,
    };
    struct mw_crossing crossing;

    while (mw_session_next_crossing(recorder->session, &crossing)) {
        recorder->crossed = true;
        limit_action_take(&recorder->action, &crossing,
                          recorder->options->session.limits.growth_window_ns, &place);
    }
}

bool recorder_serve(struct recorder *recorder, const struct pollfd wait[static RECORDER_EVENTS])
{
    if (recorder->session && wait[RECORDER_FAILURE].revents)
        report_failure(recorder);
    if (recorder->session && wait[RECORDER_CROSSING].revents)
        serve_crossings(recorder);
    return wait[RECORDER_TIMER].revents != 0;
}

void recorder_stop(struct recorder *recorder, const struct mw_session_end *end)
{
    struct mw_error error;

    if (!recorder->session)
        return;
    if (mw_session_stop(recorder->session, end, &error) < 0 && !recorder->failure_told)
        cmd_message("%s; what was recorded before can be read", error.text);
    serve_crossings(recorder); /* of the last moments */
    mw_session_free(recorder->session);
    recorder->session = NULL;
    if (recorder->timer_fd >= 0)
        close(recorder->timer_fd);
    recorder->timer_fd = -1;
}

void recorder_summarize(const struct recorder *recorder)
{
    struct recording recording;
    struct mw_error error;
    mw_auto_free char *next = NULL;

    if (recorder->options->quiet)
        return;
    if (recorder->options->output) {
        char *const name[] = {recorder->path};
        mw_auto_free char *word = mw_text_command((const char *const *)name, 1);

        if (!word || asprintf(&next, "memwatch plot %s", word) < 0)
            next = NULL;
    }
    if (recording_open(&recording, recorder->path, &error) < 0) {
        cmd_fail(&error);
        return;
    }
    if (print_summary(stderr, &recording, next ? next : "memwatch plot", &error) < 0)
        cmd_fail(&error);
    recording_close(&recording);
}

void recorder_clear(struct recorder *recorder)
{
    mw_session_free(recorder->session);
    limit_action_clear(&recorder->action);
    for (size_t i = 0; i < recorder->root_count; i++) {
        if (recorder->pidfds[i] >= 0)
            close(recorder->pidfds[i]);
    }
    if (recorder->timer_fd >= 0)
        close(recorder->timer_fd);
    free(recorder->roots);
    free(recorder->pidfds);
    free(recorder->path);
}
