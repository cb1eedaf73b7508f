/*
 * Task events of a process tree, from the kernel's perf rings: every fork, exec and exit with its
 * time, none missed however short a process lives, unless a ring overflows, which is counted.
 *
 * The kernel allows this without privileges up to kernel.perf_event_paranoid 2; Debian's own
 * kernels ask for CAP_PERFMON. The events cover the first thread of root and whatever that forks
 * after the opening; for a process that runs already, its other threads are to be added.
 */
#ifndef MW_CAPTURE_PERF_H
#define MW_CAPTURE_PERF_H

#include "capture/task.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_perf;

/* Opens the events of root. -EACCES or -EPERM when the kernel does not allow it, -ENOENT, -ENOSYS.
 */
int mw_perf_open(struct mw_perf **ret_perf, pid_t root, struct mw_error *error);

/*
 * Adds the threads of a process that runs already, and what they fork from now on; without its
 * first thread where first_thread is false. Takes a descriptor a thread and CPU, and gives back
 * those of threads that have ended. -EMFILE and the
 * like: some of its threads may be without events then.
 */
int mw_perf_add(struct mw_perf *perf, pid_t pid, bool first_thread);

/* NULL is fine. */
void mw_perf_close(struct mw_perf *perf);

/* A descriptor that is readable when there are events to take. */
int mw_perf_fd(const struct mw_perf *perf);

/*
 * Takes all events out of the rings. They belong to perf, are in the order of time, and hold until
 * the next call. Returns how many.
 */
size_t mw_perf_take(struct mw_perf *perf, const struct mw_task_event **ret_events);

/* Whether the last call of mw_perf_take has kept events back, which the next one gives. */
bool mw_perf_holds_back(const struct mw_perf *perf);

/* How many events the rings could not hold; 1 while that is known, but not yet how many. */
uint64_t mw_perf_lost(const struct mw_perf *perf);

#endif
