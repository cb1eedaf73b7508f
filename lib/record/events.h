/*
 * What happens to a recording beside its numbers: where its processes came from, limits that are
 * set or found, and what crosses them. Written into the tables event and run_limit by the writer
 * thread, which tells of every record that it has stored; crossings are handed to another thread.
 */
#ifndef MW_RECORD_EVENTS_H
#define MW_RECORD_EVENTS_H

#include "capture/queue.h"
#include "record/limits.h"
#include "store/writer.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

struct mw_events;

struct mw_events_options {
    struct mw_limits_options limits;
    const char *on_limit;   /* what is done when one is crossed, in a few words; copied */
    int64_t peak_bound_kib; /* a high-water mark may be off by so much */
};

int mw_events_new(struct mw_events **ret_events, const struct mw_events_options *options,
                  struct mw_error *error);

/* NULL is fine. */
void mw_events_free(struct mw_events *events);

/* --- the writer thread: 0 or an error of the writer ------------------------------------------- */

/* The run of root has begun: the limits that the user set are stored. */
int mw_events_begin(struct mw_events *events, struct mw_writer *writer, int64_t start_ns,
                    pid_t root, struct mw_error *error);

/* A record that has just been stored. */
int mw_events_record(struct mw_events *events, const struct mw_record *record,
                     struct mw_error *error);

/* The high-water mark of a process in a window of time, which may say more than the samples. */
int mw_events_peak(struct mw_events *events, int64_t from_ns, int64_t to_ns, int64_t kib,
                   struct mw_error *error);

/* How a process ended, as the caller of the recording was told. */
void mw_events_told(struct mw_events *events, pid_t pid, int wait_status);

/* Does what is due; to be called now and then, and with last at the end. */
int mw_events_look(struct mw_events *events, int64_t now_ns, bool last, struct mw_error *error);

/* The recording ends before its processes do: reason says why, in a few words. */
int mw_events_detached(struct mw_events *events, int64_t t_ns, const char *reason,
                       struct mw_error *error);

/* --- any thread ------------------------------------------------------------------------------- */

/* A descriptor that is readable when there are crossings. */
int mw_events_fd(const struct mw_events *events);

/* The next crossing; false when there is none. */
bool mw_events_next_crossing(struct mw_events *events, struct mw_crossing *ret_crossing);

#endif
