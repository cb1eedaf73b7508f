/*
 * How the methods of tracking see the tracker. Private to tracker*.c.
 */
#ifndef MW_CAPTURE_TRACKER_METHOD_H
#define MW_CAPTURE_TRACKER_METHOD_H

#include "capture/tracker.h"

#include <stddef.h>

struct mw_connector;
struct mw_perf;
struct pids_info;

/* A process of the tree. */
struct known {
    pid_t pid;
    bool ended;           /* to be forgotten as soon as it has been reaped */
    int threads;          /* perf, connector: that have not exited */
    bool unheard;         /* perf: its events have ended, and it has not */
    bool looked;          /* it was found by looking: threads may be too many or too few */
    int64_t found_ns;     /* when it was told of or seen first */
    int wait_status;      /* of the threads that have exited; -1: not known */
    uint64_t start_ticks; /* tells it from a later process with the same pid; 0: not known */
    int64_t since_ns;
    int64_t image_due_ns; /* when to ask again what it runs: after 5 ms, 10, 20 … up to 5 s */
    int children_fd;      /* poll: task/PID/children of its first thread; -1: reopened each time */
    int task_fd;          /* poll: its task folder, to count its threads; -1: not open */
};

/* A process that ended a moment ago, and of which may still be told how. */
struct awaited {
    pid_t pid;
    int64_t end_ns;
    int wait_status; /* -1: not known yet */
};

/* A way to find processes. */
struct method {
    const char *name;
    /* 0, or a negative errno when the method does not work here. */
    int (*open)(struct mw_tracker *tracker, pid_t root, struct mw_error *error);
    void (*look)(struct mw_tracker *tracker, int64_t now_ns);
    bool polls; /* sees only what is there when it looks, and keeps descriptors to look at */
};

extern const struct method mw_tracker_children, mw_tracker_scan, mw_tracker_perf,
    mw_tracker_connector;

struct mw_tracker {
    const struct method *method;
    pid_t reaper; /* this process, where the orphans of the tree become its children; else 0 */
    struct known *known;
    size_t known_count, known_room;
    struct mw_tracker_event *events; /* found and not yet given out */
    size_t event_count, event_room, next_event;
    int64_t due_ns, looked_ns;
    struct pids_info *pids; /* of the method scan: libproc2's */
    struct mw_perf *perf;   /* of the method perf */
    struct mw_connector
        *connector;          /* of connector; and of perf, where it can be had: for statuses */
    struct awaited *awaited; /* the oldest first */
    size_t awaited_count, awaited_room;
    pid_t *strangers; /* children of the reaper that were there before the tree */
    size_t stranger_count, stranger_room;
    uint64_t lost_before; /* by a connector that has been replaced */
    bool unheard;         /* some process is; those below it are looked for, or told by connector */
    bool connector_full;  /* the connector tells of more than exits */
    int64_t forget_due_ns;
    int64_t look_due_ns; /* for what is looked for although the kernel tells of the rest */
    int epoll_fd;        /* of perf and connector; -1: neither */
    uint64_t lost_seen;
};

struct known *mw_tracker_find(const struct mw_tracker *tracker, pid_t pid);

/* Whether the children of that process belong to the tree. */
bool mw_tracker_is_parent(struct mw_tracker *tracker, pid_t pid);

/*
 * A process that belongs to the tree since t_ns: a START event if it is new. looked: it was found
 * by looking, and may have threads already.
 */
void mw_tracker_add(struct mw_tracker *tracker, pid_t pid, pid_t ppid, int64_t t_ns, bool looked);

/* Whether a child of the reaper has nothing to do with the tree. */
bool mw_tracker_is_stranger(const struct mw_tracker *tracker, pid_t pid, pid_t ppid);

/* Looks at the children of the processes that are unheard, or of all. */
void mw_tracker_look_below(struct mw_tracker *tracker, bool unheard_only, int64_t now_ns);

/* Looks once at the children of all, in whatever way the kernel allows. */
void mw_tracker_look_everywhere(struct mw_tracker *tracker, int64_t now_ns);

/* Notes which children the reaper has beside root; false when memory ran out. */
bool mw_tracker_note_strangers(struct mw_tracker *tracker, pid_t root);

/* The channels have changed: 0 or a negative errno. */
int mw_tracker_watch_channels(struct mw_tracker *tracker);

/* Forgets a process. Another one stands in its place now. */
void mw_tracker_drop(struct mw_tracker *tracker, struct known *known);

/* A process runs a new program since t_ns: it may change again soon. */
void mw_tracker_new_image(struct known *known, int64_t t_ns);

void mw_tracker_push(struct mw_tracker *tracker, const struct mw_tracker_event *event);

#endif
