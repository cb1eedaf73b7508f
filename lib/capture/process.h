/*
 * One live process as the sampler reads it. Private to lib/capture.
 */
#ifndef MW_CAPTURE_PROCESS_H
#define MW_CAPTURE_PROCESS_H

#include "capture/procfs.h"
#include "capture/queue.h"

#include <stdbool.h>

/* No process has as many pages or KiB. */
#define MW_UNKNOWN UINT64_MAX

struct mw_live_process {
    pid_t pid, ppid;
    int64_t start_ns; /* when it was started or first seen */
    uint32_t slot;
    enum mw_origin origin;
    bool announced; /* the writer knows of it */
    bool borrows;   /* after vfork it runs in its parent's memory, until it executes a program */
    int statm_fd;   /* -1: no descriptor was left, so it is opened for each sample */
    pid_t thread;   /* whose statm is read: the first thread, or a later one once that has exited */
    uint64_t start_ticks; /* tells it from a later process with the same pid, where that matters */
    int wait_status;      /* once its end was told, but not yet passed on; -1: not known */
    uint64_t resident_pages, shared_pages; /* last pushed; MW_UNKNOWN before that */
    uint64_t image_hash;                   /* of what it was last seen to run; 0: not known */
    char name[16];                         /* of that; a child runs its parent's program at first */
};

/* Opens what there is to read. */
struct mw_live_process mw_process_open(pid_t pid, pid_t ppid, int64_t start_ns);

void mw_process_close(struct mw_live_process *process);

/*
 * Whether it still runs in its parent's memory. False also where the kernel does not tell: that
 * takes the right to trace both.
 */
bool mw_process_borrows(const struct mw_live_process *process);

/*
 * Reads its memory: 0, or -ESRCH once it has ended, reaped or not; any other errno where it cannot
 * be read now: -EACCES where /proc does not show it. A process whose first thread has exited is
 * read through another.
 */
int mw_process_read(struct mw_live_process *process, struct mw_statm *ret_statm);

#endif
