/*
 * What the kernel tells of tasks, which are processes and their threads, through whichever of its
 * channels: perf.h, connector.h.
 */
#ifndef MW_CAPTURE_TASK_H
#define MW_CAPTURE_TASK_H

#include <stdint.h>
#include <sys/types.h>

enum mw_task_event_kind {
    MW_TASK_FORK, /* a process or a thread was created */
    MW_TASK_EXEC,
    MW_TASK_EXIT, /* of one thread; a process ends with its last */
};

struct mw_task_event {
    enum mw_task_event_kind kind;
    pid_t pid, tid;  /* a new process has tid == pid */
    pid_t ppid;      /* of a fork: the process that forked */
    int64_t t_ns;    /* CLOCK_MONOTONIC */
    int wait_status; /* of an exit: as wait(2) gives it; -1 where the channel does not tell */
    char name[16];   /* of an exec: comm; empty where the channel does not tell */
};

#endif
