#include "capture/tracker.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libproc2/pids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A look may cost one hundredth of the time until the next. */
enum { COST_RATIO = 100 };
/* No look comes sooner than this after the one before. */
static const int64_t shortest_pause_ns = 500000;
/* How long a process may run another program before somebody notices. */
static const int64_t longest_image_pause_ns = 5000000000;

struct known {
    pid_t pid;
    int children_fd; /* task/PID/children of its first thread, kept open; -1: reopened each time */
    int task_fd;     /* its task folder, to count its threads; -1: could not be opened */
    bool ended;      /* to be forgotten as soon as it has been reaped */
    uint64_t start_ticks; /* tells it from a later process with the same pid; 0: not known */
    int64_t since_ns;
    int64_t image_due_ns; /* when to ask again what it runs: after 5 ms, 10, 20 … up to 5 s */
};

struct mw_tracker;

/* A way to find the children of the known processes: calls add() for each. */
struct method {
    const char *name;
    void (*look)(struct mw_tracker *tracker, int64_t now_ns);
};

struct mw_tracker {
    const struct method *method;
    struct known *known;
    size_t known_count, known_capacity;
    struct mw_tracker_event *events; /* found and not yet given out */
    size_t event_count, event_capacity, next_event;
    int64_t due_ns;
    struct pids_info *pids; /* libproc2's, for the method "scan" */
};

static void close_known(struct known *known)
{
    if (known->children_fd >= 0)
        close(known->children_fd);
    if (known->task_fd >= 0)
        close(known->task_fd);
}

static void add_event(struct mw_tracker *tracker, enum mw_tracker_event_kind kind, pid_t pid,
                      pid_t ppid)
{
    if (!mw_array_reserve(&tracker->events, tracker->event_count, &tracker->event_capacity,
                          sizeof *tracker->events))
        return; /* the next look finds it again */
    tracker->events[tracker->event_count++] =
        (struct mw_tracker_event){.kind = kind, .pid = pid, .ppid = ppid};
}

static int open_children(pid_t pid, pid_t thread)
{
    char name[48];

    snprintf(name, sizeof name, "task/%d/children", (int)thread);
    return mw_procfs_open(pid, name);
}

static struct known *find_known(struct mw_tracker *tracker, pid_t pid)
{
    for (size_t i = 0; i < tracker->known_count; i++) {
        if (tracker->known[i].pid == pid)
            return &tracker->known[i];
    }
    return NULL;
}

static bool add_known(struct mw_tracker *tracker, pid_t pid, int64_t now_ns)
{
    struct mw_stat stat = {0};

    if (!mw_array_reserve(&tracker->known, tracker->known_count, &tracker->known_capacity,
                          sizeof *tracker->known))
        return false;
    mw_procfs_read_stat(pid, &stat); /* a failure leaves 0: it is gone already */
    tracker->known[tracker->known_count++] = (struct known){
        .pid = pid,
        .start_ticks = stat.start_ticks,
        .children_fd = open_children(pid, pid),
        .task_fd = mw_procfs_open(pid, "task"),
        .since_ns = now_ns,
        .image_due_ns = now_ns + 5000000,
    };
    return true;
}

/* A process that belongs to the tree: a START event if it is new. */
static void add(struct mw_tracker *tracker, pid_t pid, pid_t ppid, int64_t now_ns)
{
    if (!find_known(tracker, pid) && add_known(tracker, pid, now_ns))
        add_event(tracker, MW_TRACKER_START, pid, ppid);
}

/* Adds every process that a children file names. */
static void read_children(struct mw_tracker *tracker, pid_t parent, int fd, int64_t now_ns)
{
    char text[4096];
    off_t position = 0;

    for (;;) {
        ssize_t length = pread(fd, text, sizeof text, position);
        size_t offset = 0;
        pid_t pid;

        if (length <= 0)
            return;
        while (mw_procfs_next_pid(text, (size_t)length, &offset, &pid) > 0)
            add(tracker, pid, parent, now_ns);
        if (offset == 0)
            return;
        position += (off_t)offset; /* an id that the buffer cut is read again whole */
    }
}

/* A thread's children are listed with that thread, not with its process. */
static void read_thread_children(struct mw_tracker *tracker, pid_t pid, int64_t now_ns)
{
    DIR *threads;
    struct dirent *entry;
    int fd = mw_procfs_open(pid, "task");

    if (fd < 0)
        return;
    threads = fdopendir(fd);
    if (!threads) {
        close(fd);
        return;
    }
    while ((entry = readdir(threads))) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for "." and ".." */

        if (thread > 0 && thread != pid) {
            mw_auto_fd int children = open_children(pid, thread);

            if (children >= 0)
                read_children(tracker, pid, children, now_ns);
        }
    }
    closedir(threads);
}

/* The folder of a process's threads has a link for each of them, and two of its own. */
static bool has_threads(int task_fd)
{
    struct stat status;

    return task_fd >= 0 && fstat(task_fd, &status) == 0 && status.st_nlink > 3;
}

static void look_at_children(struct mw_tracker *tracker, int64_t now_ns)
{
    /* New ones are appended, so that their children are looked at in the same round. */
    for (size_t i = 0; i < tracker->known_count; i++) {
        struct known known = tracker->known[i]; /* the array may move */

        if (known.children_fd >= 0) {
            read_children(tracker, known.pid, known.children_fd, now_ns);
        } else {
            mw_auto_fd int fd = open_children(known.pid, known.pid);

            if (fd >= 0)
                read_children(tracker, known.pid, fd, now_ns);
        }
        if (has_threads(known.task_fd))
            read_thread_children(tracker, known.pid, now_ns);
    }
}

static void look_at_all(struct mw_tracker *tracker, int64_t now_ns)
{
    struct pids_fetch *fetch = procps_pids_reap(tracker->pids, PIDS_FETCH_TASKS_ONLY);
    size_t found;

    if (!fetch)
        return;
    /* A child may stand before its parent: until a round finds nothing new. */
    do {
        found = tracker->known_count;
        for (int i = 0; i < fetch->counts->total; i++) {
            pid_t pid = PIDS_VAL(0, s_int, fetch->stacks[i], tracker->pids);
            pid_t ppid = PIDS_VAL(1, s_int, fetch->stacks[i], tracker->pids);

            if (find_known(tracker, ppid))
                add(tracker, pid, ppid, now_ns);
        }
    } while (tracker->known_count > found);
}

static const struct method children_method = {"children", look_at_children};
static const struct method scan_method = {"scan", look_at_all};
static const struct method none_method = {"none", NULL};

static const struct method *choose_method(struct mw_tracker *tracker, pid_t root)
{
    enum pids_item items[] = {PIDS_ID_PID, PIDS_ID_PPID};
    mw_auto_fd int fd = open_children(root, root);

    if (fd >= 0)
        return &children_method;
    if (procps_pids_new(&tracker->pids, items, 2) < 0)
        return &none_method;
    return &scan_method;
}

int mw_tracker_new(struct mw_tracker **ret_tracker, pid_t root, bool children,
                   struct mw_error *error)
{
    struct mw_tracker *tracker = calloc(1, sizeof *tracker);

    if (!tracker)
        return mw_error_errno(error, ENOMEM, "cannot track processes");
    tracker->method = children ? choose_method(tracker, root) : &none_method;
    if (!add_known(tracker, root, mw_now_ns())) {
        mw_tracker_free(tracker);
        return mw_error_errno(error, ENOMEM, "cannot track processes");
    }
    *ret_tracker = tracker;
    return 0;
}

void mw_tracker_free(struct mw_tracker *tracker)
{
    if (!tracker)
        return;
    for (size_t i = 0; i < tracker->known_count; i++)
        close_known(&tracker->known[i]);
    if (tracker->pids)
        procps_pids_unref(&tracker->pids);
    free(tracker->known);
    free(tracker->events);
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

static void forget(struct mw_tracker *tracker, struct known *known)
{
    close_known(known);
    *known = tracker->known[--tracker->known_count];
}

/* Whether a process that has ended has left its pid to whoever comes next. */
static bool is_reaped(const struct known *known)
{
    struct mw_stat stat;

    return mw_procfs_read_stat(known->pid, &stat) < 0 || stat.start_ticks != known->start_ticks;
}

/* A process that has ended stays its parent's child, as a zombie, until the parent has reaped it.
 */
static void forget_reaped(struct mw_tracker *tracker)
{
    for (size_t i = 0; i < tracker->known_count;) {
        if (tracker->known[i].ended && is_reaped(&tracker->known[i]))
            forget(tracker, &tracker->known[i]); /* another one stands in its place now */
        else
            i++;
    }
}

/*
 * A process that has just been forked soon runs another program, one that has run for long hardly
 * ever does: it is asked again whenever its age has doubled.
 */
static void look_at_images(struct mw_tracker *tracker, int64_t now_ns)
{
    for (size_t i = 0; i < tracker->known_count; i++) {
        struct known *known = &tracker->known[i];
        int64_t pause = now_ns - known->since_ns;

        if (known->ended || now_ns < known->image_due_ns)
            continue;
        add_event(tracker, MW_TRACKER_IMAGE, known->pid, 0);
        known->image_due_ns =
            now_ns + (pause < longest_image_pause_ns ? pause : longest_image_pause_ns);
    }
}

void mw_tracker_look(struct mw_tracker *tracker, int64_t now_ns)
{
    int64_t pause;

    forget_reaped(tracker);
    if (tracker->method->look)
        tracker->method->look(tracker, now_ns);
    look_at_images(tracker, now_ns);
    pause = (mw_now_ns() - now_ns) * COST_RATIO;
    tracker->due_ns = now_ns + (pause > shortest_pause_ns ? pause : shortest_pause_ns);
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
    struct known *known = find_known(tracker, pid);

    if (known)
        known->ended = true;
}

void mw_tracker_forget(struct mw_tracker *tracker, pid_t pid)
{
    struct known *known = find_known(tracker, pid);

    if (known)
        forget(tracker, known);
}
