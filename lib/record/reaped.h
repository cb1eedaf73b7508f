/*
 * Processes that the caller has reaped, until how they ended is stored.
 *
 * They are told in the caller's thread, which never waits for the disk, and stored in the writer's.
 */
#ifndef MW_RECORD_REAPED_H
#define MW_RECORD_REAPED_H

#include "record/events.h"
#include "store/writer.h"
#include "util/error.h"

#include <stdint.h>
#include <sys/types.h>

struct mw_reaped;

/* NULL when memory ran out. */
struct mw_reaped *mw_reaped_new(void);

/* NULL is fine. */
void mw_reaped_free(struct mw_reaped *reaped);

/*
 * A process has just been reaped: its status as wait(2) gives it, max_rss_kib as getrusage(2) does.
 * Without memory it is passed over.
 */
void mw_reaped_tell(struct mw_reaped *reaped, pid_t pid, int wait_status, int64_t max_rss_kib);

/*
 * Stores what was told so far, and tells the events of it, in a run that began at start_ns
 * (CLOCK_MONOTONIC). A process of whose end the writer does not know yet is kept for the next time.
 */
int mw_reaped_store(struct mw_reaped *reaped, struct mw_writer *writer, struct mw_events *events,
                    int64_t start_ns, struct mw_error *error);

#endif
