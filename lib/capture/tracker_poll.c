/* The methods that look at the kernel's lists: children and scan. */
#include "capture/procfs.h"
#include "capture/tracker_method.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libproc2/pids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_children(pid_t pid, pid_t thread)
{
    char name[48];

    snprintf(name, sizeof name, "task/%d/children", (int)thread);
    return mw_procfs_open(pid, name, O_RDONLY);
}

/*
 * Whether a process that a list names is of no interest: where the kernel tells of ends, a zombie
 * is one whose end was told, or lost.
 */
static bool is_no_news(const struct mw_tracker *tracker, pid_t pid, pid_t parent)
{
    const struct known *known = mw_tracker_find(tracker, parent);
    struct mw_stat stat;

    if (tracker->method->polls || (known && known->unheard) || mw_tracker_find(tracker, pid))
        return false;
    return mw_procfs_read_stat(pid, &stat) < 0 || stat.exiting;
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
        while (mw_procfs_next_pid(text, (size_t)length, &offset, &pid) > 0) {
            if (!mw_tracker_is_stranger(tracker, pid, parent) && !is_no_news(tracker, pid, parent))
                mw_tracker_add(tracker, pid, parent, now_ns, true);
        }
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
    int fd = mw_procfs_open(pid, "task", O_RDONLY);

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

/* The children of a process's first thread. */
static void read_first_children(struct mw_tracker *tracker, pid_t pid, int64_t now_ns)
{
    mw_auto_fd int fd = open_children(pid, pid);

    if (fd >= 0)
        read_children(tracker, pid, fd, now_ns);
}

void mw_tracker_look_below(struct mw_tracker *tracker, bool unheard_only, int64_t now_ns)
{
    if (tracker->reaper) /* its first thread takes the orphans */
        read_first_children(tracker, tracker->reaper, now_ns);
    /* New ones are appended, so that their children are looked at in the same round. */
    for (size_t i = 0; i < tracker->known_count; i++) {
        struct known known = tracker->known[i]; /* the array may move */

        if (unheard_only && !known.unheard)
            continue;
        if (known.children_fd >= 0)
            read_children(tracker, known.pid, known.children_fd, now_ns);
        else
            read_first_children(tracker, known.pid, now_ns);
        if (known.task_fd >= 0 ? has_threads(known.task_fd) : known.threads > 1)
            read_thread_children(tracker, known.pid, now_ns);
    }
}

static void look_at_children(struct mw_tracker *tracker, int64_t now_ns)
{
    mw_tracker_look_below(tracker, false, now_ns);
}

bool mw_tracker_note_strangers(struct mw_tracker *tracker, pid_t root)
{
    mw_auto_fd int fd = tracker->reaper ? open_children(tracker->reaper, tracker->reaper) : -1;
    char text[4096];
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text);
    size_t offset = 0;
    pid_t pid;

    while (length > 0 && mw_procfs_next_pid(text, (size_t)length, &offset, &pid) > 0) {
        if (pid == root)
            continue;
        if (!mw_array_reserve(&tracker->strangers, tracker->stranger_count, &tracker->stranger_room,
                              sizeof *tracker->strangers))
            return false;
        tracker->strangers[tracker->stranger_count++] = pid;
    }
    return true;
}

static int open_by_children(struct mw_tracker *tracker, pid_t root, struct mw_error *error)
{
    mw_auto_fd int fd = open_children(root, root);

    (void)tracker;
    return fd < 0 ? mw_error_errno(error, -fd, "cannot read the children of process %d", (int)root)
                  : 0;
}

const struct method mw_tracker_children = {
    .name = "children", .open = open_by_children, .look = look_at_children, .polls = true};

static int open_scan(struct mw_tracker *tracker, pid_t root, struct mw_error *error)
{
    enum pids_item items[] = {PIDS_ID_PID, PIDS_ID_PPID};
    int code = procps_pids_new(&tracker->pids, items, 2);

    (void)root;
    return code < 0 ? mw_error_errno(error, -code, "cannot read the list of processes") : 0;
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

            if (mw_tracker_is_parent(tracker, ppid) && !mw_tracker_is_stranger(tracker, pid, ppid))
                mw_tracker_add(tracker, pid, ppid, now_ns, true);
        }
    } while (tracker->known_count > found);
}

void mw_tracker_look_everywhere(struct mw_tracker *tracker, int64_t now_ns)
{
    mw_auto_fd int own_children = open_children(getpid(), getpid());

    if (own_children >= 0)
        mw_tracker_look_below(tracker, false, now_ns);
    else if (tracker->pids || open_scan(tracker, 0, NULL) == 0)
        look_at_all(tracker, now_ns);
}

const struct method mw_tracker_scan = {
    .name = "scan", .open = open_scan, .look = look_at_all, .polls = true};
