/* The methods that are told by the kernel: perf and connector. */
#include "capture/connector.h"
#include "capture/perf.h"
#include "capture/procfs.h"
#include "capture/tracker_method.h"
#include "util/array.h"

#include <string.h>

static void take_statuses(struct mw_tracker *tracker);

/* Perf does not say how a process ended: the connector does, where one may listen to it. */
static int open_perf(struct mw_tracker *tracker, pid_t root, struct mw_error *error)
{
    int code = mw_perf_open(&tracker->perf, root, error);

    if (code == 0)
        mw_connector_open(&tracker->connector, true, NULL);
    return code;
}

static int open_connector(struct mw_tracker *tracker, pid_t root, struct mw_error *error)
{
    (void)root;
    return mw_connector_open(&tracker->connector, false, error);
}

/*
 * Whether a process that seems to be told of again is another one, with the pid of one whose end
 * was lost. Else it was seen before its event was read, or both channels tell of it.
 */
static bool is_another(const struct known *known, const struct mw_task_event *event)
{
    static const int64_t same_ns = 1000000; /* no pid comes round so soon */

    return event->t_ns > known->found_ns + same_ns;
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
    /* The connector tells of the whole machine, perf of these trees alone. */
    if (!tracker->perf && !mw_tracker_is_parent(tracker, event->ppid))
        return;
    if (known && !is_another(known, event))
        return;
    if (known)
        mw_tracker_drop(tracker, known);
    mw_tracker_add(tracker, event->pid, event->ppid, event->t_ns, false);
}

/* How a process ended may be told for a moment longer, by whoever can. */
static void await_status(struct mw_tracker *tracker, const struct known *known, int64_t end_ns)
{
    if (mw_array_reserve(&tracker->awaited, tracker->awaited_count, &tracker->awaited_room,
                         sizeof *tracker->awaited))
        tracker->awaited[tracker->awaited_count++] =
            (struct awaited){known->pid, end_ns, known->wait_status};
}

/*
 * When a process executes a program that gives it other rights (setuid), or that it may not read,
 * perf says that it has exited, and tells nothing more of it and of what is below it. The connector
 * goes on to tell, where one may listen.
 */
static void go_unheard(struct mw_tracker *tracker, struct known *known)
{
    struct mw_connector *full = NULL;

    known->unheard = true;
    tracker->unheard = true;
    if (tracker->connector_full || mw_connector_open(&full, false, NULL) < 0)
        return;
    if (tracker->connector) {
        take_statuses(tracker); /* what the old one still holds */
        tracker->lost_before += mw_connector_lost(tracker->connector);
    }
    mw_connector_close(tracker->connector);
    tracker->connector = full;
    tracker->connector_full = mw_tracker_watch_channels(tracker) == 0;
}

/*
 * The events tell of the last thread's exit before the kernel has taken it off the count: that is
 * believed where no start of a thread can have been missed.
 */
static bool has_ended(const struct mw_tracker *tracker, const struct known *known,
                      const struct mw_stat *stat)
{
    return stat->exiting && (stat->threads <= 1 || (tracker->lost_seen == 0 && !known->looked));
}

/*
 * Whether a process whose last thread is said to have exited lives on: because the starts of others
 * were lost, or because this was no exit.
 */
static bool lives_on(struct mw_tracker *tracker, struct known *known,
                     const struct mw_task_event *event)
{
    static const int64_t longest_exec_ns = 100000000;
    bool just_executed =
        tracker->perf && event->wait_status < 0 && event->t_ns - known->since_ns < longest_exec_ns;
    struct mw_stat stat = {.threads = 1};

    if (tracker->lost_seen == 0 && !just_executed && !known->looked)
        return false;
    if (mw_procfs_read_stat(known->pid, &stat) < 0 ? !mw_procfs_is_hidden(known->pid)
                                                   : has_ended(tracker, known, &stat))
        return false;
    known->threads = (int)stat.threads;
    if (just_executed && !stat.exiting)
        go_unheard(tracker, known);
    return true;
}

/*
 * Each thread exits with a status of its own: that of the process is the one that another thread
 * than the first chose for all, or else the first thread's.
 */
static bool tells_status(const struct mw_task_event *event)
{
    return event->wait_status > 0 || (event->wait_status == 0 && event->tid == event->pid);
}

static void follow_exit(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    struct known *known = mw_tracker_find(tracker, event->pid);

    if (!known)
        return;
    if (tells_status(event))
        known->wait_status = event->wait_status;
    if (--known->threads > 0 || lives_on(tracker, known, event))
        return;
    if (tracker->perf)
        await_status(tracker, known, event->t_ns);
    /* The sampler may have seen it already: then there is only the status to tell. */
    if (!known->ended || known->wait_status >= 0)
        mw_tracker_push(tracker, &(struct mw_tracker_event){
                                     .kind = known->ended ? MW_TRACKER_STATUS : MW_TRACKER_END,
                                     .pid = event->pid,
                                     .t_ns = event->t_ns,
                                     .wait_status = known->wait_status,
                                 });
    mw_tracker_drop(tracker, known);
}

static void follow_exec(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    struct known *known = mw_tracker_find(tracker, event->pid);
    struct mw_tracker_event image = {
        .kind = MW_TRACKER_IMAGE, .pid = event->pid, .t_ns = event->t_ns, .executed = true};

    if (!known)
        return;
    memcpy(image.name, event->name, sizeof image.name);
    mw_tracker_push(tracker, &image);
    known->wait_status = -1; /* of threads that exec has ended */
    /* Its arguments may not be there yet: it is asked again soon, like one that has just begun. */
    mw_tracker_new_image(known, event->t_ns);
}

static void follow_event(struct mw_tracker *tracker, const struct mw_task_event *event)
{
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

static void follow_events(struct mw_tracker *tracker, const struct mw_task_event *events,
                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        follow_event(tracker, &events[i]);
}

/* For so long after its end something may be told of a process. Its pid is not used again so soon.
 */
static const int64_t longest_telling_ns = 100000000;

/* The newest with that pid; NULL where it is none of ours, or ended long before. */
static struct awaited *find_awaited(struct mw_tracker *tracker, pid_t pid, int64_t t_ns)
{
    for (size_t i = tracker->awaited_count; i > 0; i--) {
        struct awaited *awaited = &tracker->awaited[i - 1];

        if (awaited->pid == pid)
            return t_ns - awaited->end_ns < longest_telling_ns ? awaited : NULL;
    }
    return NULL;
}

static void tell_status(struct mw_tracker *tracker, struct awaited *awaited, int wait_status)
{
    if (wait_status < 0 || awaited->wait_status == wait_status)
        return;
    awaited->wait_status = wait_status;
    mw_tracker_push(tracker, &(struct mw_tracker_event){.kind = MW_TRACKER_STATUS,
                                                        .pid = awaited->pid,
                                                        .t_ns = awaited->end_ns,
                                                        .wait_status = wait_status});
}

static void follow_status(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    struct known *known = mw_tracker_find(tracker, event->pid);
    struct awaited *awaited = known ? NULL : find_awaited(tracker, event->pid, event->t_ns);

    if (!tells_status(event))
        return;
    if (known && event->t_ns >= known->since_ns)
        known->wait_status = event->wait_status;
    else if (awaited)
        tell_status(tracker, awaited, event->wait_status);
}

/* Where no channel tells, zombies do; then whoever ended long ago is given up. */
static void settle_awaited(struct mw_tracker *tracker, int64_t now_ns)
{
    size_t kept = 0;

    for (size_t i = 0; i < tracker->awaited_count; i++) {
        struct awaited *awaited = &tracker->awaited[i];

        if (!tracker->connector && awaited->wait_status < 0)
            tell_status(tracker, awaited, mw_procfs_read_wait_status(awaited->pid));
        if (now_ns - awaited->end_ns < longest_telling_ns)
            tracker->awaited[kept++] = *awaited;
    }
    tracker->awaited_count = kept;
}

/* Of what perf does not tell any more: a process, or its child. */
static bool is_unheard(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    bool is_process = event->kind == MW_TASK_FORK && event->tid == event->pid;
    const struct known *known = mw_tracker_find(tracker, is_process ? event->ppid : event->pid);

    return known && known->unheard;
}

static void follow_connector(struct mw_tracker *tracker, const struct mw_task_event *event)
{
    if (tracker->unheard && is_unheard(tracker, event))
        follow_event(tracker, event);
    else if (event->kind == MW_TASK_EXIT)
        follow_status(tracker, event);
}

static void take_statuses(struct mw_tracker *tracker)
{
    const struct mw_task_event *events;
    size_t count = tracker->connector ? mw_connector_take(tracker->connector, &events) : 0;

    for (size_t i = 0; i < count; i++)
        follow_connector(tracker, &events[i]);
}

static void look_at_perf(struct mw_tracker *tracker, int64_t now_ns)
{
    const struct mw_task_event *events;
    size_t count = mw_perf_take(tracker->perf, &events);
    bool full = tracker->connector_full;

    follow_events(tracker, events, count);
    take_statuses(tracker);
    settle_awaited(tracker, now_ns);
    if (tracker->connector_full && !full) /* what came before one listened */
        mw_tracker_look_below(tracker, true, now_ns);
}

static void look_at_connector(struct mw_tracker *tracker, int64_t now_ns)
{
    const struct mw_task_event *events;
    size_t count = mw_connector_take(tracker->connector, &events);

    (void)now_ns;
    follow_events(tracker, events, count);
}

const struct method mw_tracker_perf = {.name = "perf", .open = open_perf, .look = look_at_perf};
const struct method mw_tracker_connector = {
    .name = "connector", .open = open_connector, .look = look_at_connector};
