#include "capture/tracker.h"

#include "capture/clock.h"
#include "capture/connector.h"
#include "capture/perf.h"
#include "capture/procfs.h"
#include "capture/tracker_method.h"
#include "util/array.h"

#include <errno.h>
#include <fcntl.h>
#include <libproc2/pids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A look may cost one hundredth of the time until the next. */
enum { COST_RATIO = 100 };
/* No look comes sooner than this after the one before. */
static const int64_t shortest_pause_ns = 500000;
/* Nobody is woken up for a look more often than this: that alone takes some 20 us. */
static const int64_t shortest_wake_ns = 5000000;
/* How long one that has ended is kept where its exit was not told: a pid is not used again sooner.
 */
static const int64_t forget_pause_ns = 1000000000;
/* How long a process may run another program before somebody notices, where no event tells. */
static const int64_t first_image_pause_ns = 5000000, longest_image_pause_ns = 5000000000;

static void no_look(struct mw_tracker *tracker, int64_t now_ns)
{
    (void)tracker;
    (void)now_ns;
}

static const struct method mw_tracker_none = {.name = "none", .look = no_look};

/* The methods that each choice allows, the best first. */
static const struct method *const choices[][5] = {
    [MW_TRACKING_BEST] = {&mw_tracker_perf, &mw_tracker_connector, &mw_tracker_children,
                          &mw_tracker_scan, &mw_tracker_none},
    [MW_TRACKING_BEST_RUNNING] = {&mw_tracker_connector, &mw_tracker_perf, &mw_tracker_children,
                                  &mw_tracker_scan, &mw_tracker_none},
    [MW_TRACKING_PERF] = {&mw_tracker_perf},
    [MW_TRACKING_CONNECTOR] = {&mw_tracker_connector},
    [MW_TRACKING_POLL] = {&mw_tracker_children, &mw_tracker_scan},
    [MW_TRACKING_SCAN] = {&mw_tracker_scan},
    [MW_TRACKING_NONE] = {&mw_tracker_none},
};

struct known *mw_tracker_find(const struct mw_tracker *tracker, pid_t pid)
{
    for (size_t i = 0; i < tracker->known_count; i++) {
        if (tracker->known[i].pid == pid)
            return &tracker->known[i];
    }
    return NULL;
}

bool mw_tracker_is_parent(struct mw_tracker *tracker, pid_t pid)
{
    return (pid == tracker->reaper && pid != 0) || mw_tracker_find(tracker, pid);
}

void mw_tracker_new_image(struct known *known, int64_t t_ns)
{
    known->since_ns = t_ns;
    known->image_due_ns = t_ns + first_image_pause_ns;
}

static bool add_known(struct mw_tracker *tracker, pid_t pid, int64_t t_ns, bool looked)
{
    struct known known = {
        .pid = pid,
        .threads = 1,
        .found_ns = t_ns,
        .wait_status = -1,
        .children_fd = -1,
        .task_fd = -1,
    };
    struct mw_stat stat;

    if (!mw_array_reserve(&tracker->known, tracker->known_count, &tracker->known_room,
                          sizeof *tracker->known))
        return false;
    mw_tracker_new_image(&known, t_ns);
    if (tracker->method->polls) {
        char children[48];

        snprintf(children, sizeof children, "task/%d/children", (int)pid);
        known.children_fd = mw_procfs_open_kept(pid, children, O_RDONLY);
        known.task_fd = mw_procfs_open_kept(pid, "task", O_RDONLY);
    }
    /* The events of threads that it has already are gone. */
    known.looked = looked;
    if (looked && mw_procfs_read_stat(pid, &stat) == 0) {
        known.start_ticks = stat.start_ticks;
        known.threads = (int)stat.threads;
    }
    tracker->known[tracker->known_count++] = known;
    return true;
}

void mw_tracker_push(struct mw_tracker *tracker, const struct mw_tracker_event *event)
{
    /* Without memory the event is lost; whoever polls finds its cause again. */
    if (mw_array_reserve(&tracker->events, tracker->event_count, &tracker->event_room,
                         sizeof *tracker->events))
        tracker->events[tracker->event_count++] = *event;
}

bool mw_tracker_is_stranger(const struct mw_tracker *tracker, pid_t pid, pid_t ppid)
{
    for (size_t i = 0; ppid == tracker->reaper && i < tracker->stranger_count; i++) {
        if (tracker->strangers[i] == pid)
            return true;
    }
    return false;
}

void mw_tracker_add(struct mw_tracker *tracker, pid_t pid, pid_t ppid, int64_t t_ns, bool looked)
{
    const struct known *parent = mw_tracker_find(tracker, ppid);
    bool unheard = parent && parent->unheard;

    if (mw_tracker_find(tracker, pid) || !add_known(tracker, pid, t_ns, looked))
        return;
    tracker->known[tracker->known_count - 1].unheard = unheard;
    mw_tracker_push(tracker, &(struct mw_tracker_event){
                                 .kind = MW_TRACKER_START, .pid = pid, .ppid = ppid, .t_ns = t_ns});
}

static void close_known(const struct known *known)
{
    if (known->children_fd >= 0)
        close(known->children_fd);
    if (known->task_fd >= 0)
        close(known->task_fd);
}

void mw_tracker_drop(struct mw_tracker *tracker, struct known *known)
{
    close_known(known);
    *known = tracker->known[--tracker->known_count];
}

static bool watch(const struct mw_tracker *tracker, int fd)
{
    return epoll_ctl(tracker->epoll_fd, EPOLL_CTL_ADD, fd,
                     &(struct epoll_event){.events = EPOLLIN}) == 0 ||
           errno == EEXIST;
}

int mw_tracker_watch_channels(struct mw_tracker *tracker)
{
    if (!tracker->perf && !tracker->connector)
        return 0;
    if (tracker->epoll_fd < 0)
        tracker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (tracker->epoll_fd < 0 || (tracker->perf && !watch(tracker, mw_perf_fd(tracker->perf))) ||
        (tracker->connector && !watch(tracker, mw_connector_fd(tracker->connector))))
        return -errno;
    return 0;
}

static bool is_subreaper(void)
{
    int answer = 0;

    return prctl(PR_GET_CHILD_SUBREAPER, &answer) == 0 && answer;
}

int mw_tracker_new(struct mw_tracker **ret_tracker, pid_t root, enum mw_tracking tracking,
                   struct mw_error *error)
{
    struct mw_tracker *tracker = calloc(1, sizeof *tracker);
    int code = -ENOSYS;

    if (!tracker)
        return mw_error_errno(error, ENOMEM, "cannot track processes");
    tracker->epoll_fd = -1;
    tracker->reaper = is_subreaper() ? getpid() : 0;
    for (size_t i = 0; i < MW_COUNT(choices[0]) && choices[tracking][i]; i++) {
        tracker->method = choices[tracking][i];
        code = tracker->method->open ? tracker->method->open(tracker, root, error) : 0;
        if (code == 0)
            break;
    }
    if (code == 0 && (!add_known(tracker, root, mw_now_ns(), tracker->method->polls) ||
                      !mw_tracker_note_strangers(tracker, root)))
        code = mw_error_errno(error, ENOMEM, "cannot track processes");
    if (code == 0 && (code = mw_tracker_watch_channels(tracker)) < 0)
        mw_error_errno(error, -code, "cannot track processes");
    if (code < 0) {
        mw_tracker_free(tracker);
        return code;
    }
    *ret_tracker = tracker;
    return 0;
}

/* Where perf cannot tell of all threads, what is below them is looked for. */
static void hear(struct mw_tracker *tracker, pid_t pid, bool first_thread)
{
    struct known *known = mw_tracker_find(tracker, pid);

    if (known && mw_perf_add(tracker->perf, pid, first_thread) < 0)
        known->unheard = tracker->unheard = true;
}

void mw_tracker_adopt(struct mw_tracker *tracker, pid_t pid, int64_t now_ns)
{
    struct known *known = mw_tracker_find(tracker, pid);
    struct mw_stat stat = {.ppid = 0};
    size_t first = known ? (size_t)(known - tracker->known) : tracker->known_count;
    bool is_root = known;

    mw_procfs_read_stat(pid, &stat);
    if (known) {
        known->looked = true;
        known->threads = (int)stat.threads;
        known->start_ticks = stat.start_ticks;
    }
    mw_tracker_add(tracker, pid, stat.ppid, now_ns, true);
    if (tracker->method == &mw_tracker_none)
        return;
    /* A child may come before the events of its parent are open: until all that is found is known.
     */
    for (size_t next = first; next < tracker->known_count;) {
        for (; tracker->perf && next < tracker->known_count; next++)
            hear(tracker, tracker->known[next].pid, !(is_root && next == first));
        next = tracker->known_count;
        mw_tracker_look_everywhere(tracker, now_ns);
    }
}

void mw_tracker_free(struct mw_tracker *tracker)
{
    if (!tracker)
        return;
    for (size_t i = 0; i < tracker->known_count; i++)
        close_known(&tracker->known[i]);
    if (tracker->pids)
        procps_pids_unref(&tracker->pids);
    mw_perf_close(tracker->perf);
    mw_connector_close(tracker->connector);
    if (tracker->epoll_fd >= 0)
        close(tracker->epoll_fd);
    free(tracker->known);
    free(tracker->events);
    free(tracker->awaited);
    free(tracker->strangers);
    free(tracker);
}

const char *mw_tracker_name(const struct mw_tracker *tracker)
{
    return tracker->method->name;
}

int64_t mw_tracker_due_ns(const struct mw_tracker *tracker)
{
    return tracker->due_ns;
}

int64_t mw_tracker_wake_ns(const struct mw_tracker *tracker)
{
    bool looks = tracker->method->polls || (tracker->unheard && !tracker->connector_full);
    int64_t soonest_ns = tracker->looked_ns + shortest_wake_ns;

    if (tracker->perf && mw_perf_holds_back(tracker->perf))
        return tracker->looked_ns + shortest_pause_ns;
    if (!looks)
        return INT64_MAX;
    return tracker->due_ns > soonest_ns ? tracker->due_ns : soonest_ns;
}

int mw_tracker_fd(const struct mw_tracker *tracker)
{
    return tracker->epoll_fd;
}

uint64_t mw_tracker_lost(const struct mw_tracker *tracker)
{
    return tracker->lost_before + (tracker->perf ? mw_perf_lost(tracker->perf) : 0) +
           (tracker->connector ? mw_connector_lost(tracker->connector) : 0);
}

/* Whether a process that has ended has left its pid to whoever comes next. */
static bool is_reaped(const struct known *known)
{
    struct mw_stat stat;

    if (mw_procfs_read_stat(known->pid, &stat) < 0)
        return true;
    return known->start_ticks ? stat.start_ticks != known->start_ticks : stat.state != 'Z';
}

/* A process that has ended stays its parent's child, as a zombie, until the parent has reaped it.
 */
static void forget_reaped(struct mw_tracker *tracker)
{
    for (size_t i = 0; i < tracker->known_count;) {
        if (tracker->known[i].ended && is_reaped(&tracker->known[i]))
            mw_tracker_drop(tracker, &tracker->known[i]);
        else
            i++;
    }
}

/*
 * A process that has just been forked soon runs another program, one that has run for long hardly
 * ever does, though it may change what it calls itself: it is asked again whenever its age has
 * doubled.
 */
static void look_at_images(struct mw_tracker *tracker, int64_t now_ns)
{
    for (size_t i = 0; i < tracker->known_count; i++) {
        struct known *known = &tracker->known[i];
        int64_t age_ns = now_ns - known->since_ns;

        if (known->ended || now_ns < known->image_due_ns)
            continue;
        mw_tracker_push(tracker, &(struct mw_tracker_event){
                                     .kind = MW_TRACKER_IMAGE, .pid = known->pid, .t_ns = now_ns});
        known->image_due_ns =
            now_ns + (age_ns < longest_image_pause_ns ? age_ns : longest_image_pause_ns);
    }
}

/* The kernel had to drop events: who lives is looked for. Who has ended, the sampler finds. */
static void make_up_for_losses(struct mw_tracker *tracker, int64_t now_ns)
{
    forget_reaped(tracker);
    if (tracker->lost_seen == mw_tracker_lost(tracker))
        return;
    tracker->lost_seen = mw_tracker_lost(tracker);
    mw_tracker_look_below(tracker, false, now_ns);
}

/* When to look next, after a look that began at now_ns and has cost what a thread has used since.
 */
static int64_t next_look_ns(int64_t now_ns, int64_t before_cpu_ns)
{
    int64_t pause_ns = (mw_thread_cpu_ns() - before_cpu_ns) * COST_RATIO;

    return now_ns + (pause_ns > shortest_pause_ns ? pause_ns : shortest_pause_ns);
}

/* Some processes are not told of any more: what is below them is looked for. */
static void look_below_unheard(struct mw_tracker *tracker, int64_t now_ns)
{
    int64_t before_ns = mw_thread_cpu_ns();

    if (now_ns < tracker->look_due_ns)
        return;
    forget_reaped(tracker);
    mw_tracker_look_below(tracker, true, now_ns);
    tracker->look_due_ns = next_look_ns(now_ns, before_ns);
}

static void look_at_channels(struct mw_tracker *tracker, int64_t now_ns)
{
    tracker->method->look(tracker, now_ns);
    if (mw_tracker_lost(tracker) > 0)
        make_up_for_losses(tracker, now_ns);
    else if (now_ns >= tracker->forget_due_ns) {
        forget_reaped(tracker);
        tracker->forget_due_ns = now_ns + forget_pause_ns;
    }
    look_at_images(tracker, now_ns);
    tracker->due_ns = now_ns + first_image_pause_ns; /* events come by themselves */
    if (tracker->unheard && !tracker->connector_full) {
        look_below_unheard(tracker, now_ns);
        if (tracker->look_due_ns < tracker->due_ns)
            tracker->due_ns = tracker->look_due_ns;
    }
}

void mw_tracker_look(struct mw_tracker *tracker, int64_t now_ns)
{
    int64_t before_ns;

    tracker->looked_ns = now_ns;
    if (!tracker->method->polls) {
        look_at_channels(tracker, now_ns);
        return;
    }
    before_ns = mw_thread_cpu_ns();
    forget_reaped(tracker);
    tracker->method->look(tracker, now_ns);
    look_at_images(tracker, now_ns);
    tracker->due_ns = next_look_ns(now_ns, before_ns);
}

bool mw_tracker_next(struct mw_tracker *tracker, struct mw_tracker_event *ret_event)
{
    if (tracker->next_event == tracker->event_count) {
        tracker->next_event = tracker->event_count = 0;
        return false;
    }
    *ret_event = tracker->events[tracker->next_event++];
    return true;
}

void mw_tracker_ended(struct mw_tracker *tracker, pid_t pid)
{
    struct known *known = mw_tracker_find(tracker, pid);

    if (!known || known->ended)
        return;
    known->ended = true;
    if (!tracker->method->polls && known->wait_status >= 0)
        mw_tracker_push(tracker, &(struct mw_tracker_event){.kind = MW_TRACKER_STATUS,
                                                            .pid = pid,
                                                            .t_ns = mw_now_ns(),
                                                            .wait_status = known->wait_status});
}

void mw_tracker_forget(struct mw_tracker *tracker, pid_t pid)
{
    struct known *known = mw_tracker_find(tracker, pid);

    if (known)
        mw_tracker_drop(tracker, known);
}
