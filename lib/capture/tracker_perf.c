/* The method that is told by the kernel: perf. */
#include "capture/perf.h"
#include "capture/tracker_method.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int open_perf(struct mw_tracker *tracker, pid_t root, struct mw_error *error)
{
    return mw_perf_open(&tracker->perf, root, error);
}

/* Whether a process whose first thread has exited lives on in others. */
static bool has_other_threads(pid_t pid)
{
    struct stat status;
    char path[32];

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    /* A link for each thread, the dead leader among them, and two of the folder's own. */
    return stat(path, &status) == 0 && status.st_nlink > 3;
}

/* Each thread reports its own exit; the process has ended with the last. */
static void follow_exit(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    struct known *known = mw_tracker_find(tracker, event->pid);

    if (!known)
        return;
    if (event->tid == event->pid)
        known->leader_ended = true;
    if (!known->leader_ended || has_other_threads(event->pid))
        return;
    /* The sampler may have seen it already: then there is nothing more to say. */
    if (!known->ended)
        mw_tracker_push(tracker, &(struct mw_tracker_event){.kind = MW_TRACKER_END,
                                                            .pid = event->pid,
                                                            .t_ns = event->t_ns});
    mw_tracker_drop(tracker, known);
}

static void follow_exec(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    struct mw_tracker_event image = {
        .kind = MW_TRACKER_IMAGE, .pid = event->pid, .t_ns = event->t_ns};

    if (!mw_tracker_find(tracker, event->pid))
        return;
    memcpy(image.name, event->name, sizeof image.name);
    mw_tracker_push(tracker, &image);
}

static void take_events(struct mw_tracker *tracker, int64_t now_ns)
{
    const struct mw_task_event *events;
    size_t count = mw_perf_take(tracker->perf, &events);

    (void)now_ns; /* the events have times of their own */
    for (size_t i = 0; i < count; i++) {
        const struct mw_task_event *event = &events[i];

        switch (event->kind) {
        case MW_TASK_FORK:
            if (event->tid == event->pid)
                mw_tracker_add(tracker, event->pid, event->ppid, event->t_ns);
            break;
        case MW_TASK_EXEC:
            follow_exec(tracker, event);
            break;
        case MW_TASK_EXIT:
            follow_exit(tracker, event);
            break;
        }
    }
}

const struct method mw_tracker_perf = {.name = "perf", .open = open_perf, .look = take_events};
