/* The method that is told by the kernel: perf. */
#include "capture/perf.h"
#include "capture/tracker_method.h"

#include <string.h>

static int open_perf(struct mw_tracker *tracker, pid_t root, struct mw_error *error)
{
    return mw_perf_open(&tracker->perf, root, error);
}

/* Each thread reports its start and its exit; the process has ended with the last. */
static void follow_fork(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    struct known *known = mw_tracker_find(tracker, event->pid);

    if (event->tid != event->pid) {
        if (known)
            known->threads++;
        return;
    }
    if (known) /* its end was lost, and its pid has gone to another */
        mw_tracker_drop(tracker, known);
    mw_tracker_add(tracker, event->pid, event->ppid, event->t_ns);
}

static void follow_exit(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    struct known *known = mw_tracker_find(tracker, event->pid);

    if (!known || --known->threads > 0)
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
    struct known *known = mw_tracker_find(tracker, event->pid);
    struct mw_tracker_event image = {
        .kind = MW_TRACKER_IMAGE, .pid = event->pid, .t_ns = event->t_ns};

    if (!known)
        return;
    memcpy(image.name, event->name, sizeof image.name);
    mw_tracker_push(tracker, &image);
    /* Its arguments may not be there yet: it is asked again soon, like one that has just begun. */
    mw_tracker_new_image(known, event->t_ns);
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
            follow_fork(tracker, event);
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
