/*
 * Whom the kernel ended because memory ran out. It counts how many that were in a cgroup, and on
 * the whole machine, and does not say who: it is told of processes that SIGKILL has ended
 * meanwhile.
 *
 * Only the first process of each tree is asked for its cgroup.
 */
#ifndef MW_RECORD_OOM_H
#define MW_RECORD_OOM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_oom;

/* Whom it is told. 0 or an error, which ends the telling. */
struct mw_oom_sink {
    int (*killed)(void *context, pid_t pid, int64_t t_ns);
    void *context;
};

/* NULL when memory ran out. */
struct mw_oom *mw_oom_new(void);

/* NULL is fine. */
void mw_oom_free(struct mw_oom *oom);

/* The recording of root begins. */
void mw_oom_begin(struct mw_oom *oom, pid_t root);

/* The first process of a tree. */
void mw_oom_add(struct mw_oom *oom, uint32_t slot, pid_t pid);

/*
 * A process has ended: wait_status is as wait(2) gives it, or -1 where that is not known, and may
 * then be told later.
 */
void mw_oom_ended(struct mw_oom *oom, uint32_t slot, pid_t pid, int64_t t_ns, int wait_status);
void mw_oom_told(struct mw_oom *oom, pid_t pid, int wait_status);

/* Does what is due: to be called now and then, and with last at the end of the recording. */
int mw_oom_look(struct mw_oom *oom, int64_t now_ns, bool last, const struct mw_oom_sink *sink);

#endif
