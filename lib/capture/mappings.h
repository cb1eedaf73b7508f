/*
 * A snapshot of what a process has mapped: its memory by kind and name, from /proc/PID/smaps.
 *
 *     mw_mappings_open(&mappings, pid, NULL);
 *     while ((code = mw_mappings_read(mappings, 1000000)) > 0)
 *         ...;                                         something else
 *     groups = mw_mappings_groups(mappings, &count);   if code is 0
 *     mw_mappings_close(mappings);
 *
 * The kernel walks every page of what it tells of, 13 ms of CPU time for a GiB in small pages, and
 * 3 us for each mapping. Meanwhile the process can neither map nor unmap memory; it waits at
 * most for five mappings, after which the kernel lets go of the lock. So a single mapping of 10 GiB
 * may hold it up for 130 ms, once; and longer where this thread has to wait for a CPU.
 *
 * A snapshot takes half a MiB at most, however many mappings and names there are: of the first
 * 1,024 names in the order of addresses, the MW_MAPPINGS_MOST_NAMES with the most memory have
 * groups of their own, and all others become one group for each kind, whose name is NULL.
 */
#ifndef MW_CAPTURE_MAPPINGS_H
#define MW_CAPTURE_MAPPINGS_H

#include "util/mapping.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MW_MAPPINGS_MOST_NAMES = 256 };

struct mw_mappings;

/*
 * Opens the mappings of a process. before: an earlier snapshot of it, with which this one is to be
 * compared, or NULL. It will then have the same groups, so that none seems to have grown because
 * it was counted elsewhere before; and those of new names.
 *
 * Returns 0 or a negative errno: -ESRCH when it has ended, or its first thread has, or when it has
 * executed another program since that snapshot; -EACCES when it may not be read.
 */
int mw_mappings_open(struct mw_mappings **ret_mappings, pid_t pid,
                     const struct mw_mappings *before);

/*
 * Reads on until it has taken budget_ns; at least five mappings, and for as long as the kernel
 * takes for these. Returns 1 while there is more, 0 at the end, or a negative errno as above.
 */
int mw_mappings_read(struct mw_mappings *mappings, int64_t budget_ns);

/*
 * The groups of a snapshot that was read to its end: those with the most memory first. Some may
 * have none. They belong to the snapshot.
 */
const struct mw_mapping_group *mw_mappings_groups(const struct mw_mappings *mappings,
                                                  size_t *ret_count);

/* NULL is fine. */
void mw_mappings_close(struct mw_mappings *mappings);

#endif
