/*
 * Function marks in a recording: takes them out of the channel (capture/marks.h), makes calls of
 * them (calls.h), and stores these.
 *
 * All functions but mw_functions_wait and mw_functions_wake are for the writer's thread. NULL in
 * the place of what mw_functions_open makes stands for a recording without marks: nothing is done,
 * and 0 returned. Only who waits needs a channel.
 */
#ifndef MW_RECORD_FUNCTIONS_H
#define MW_RECORD_FUNCTIONS_H

#include "record/events.h"
#include "record/windows.h"
#include "store/writer.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_functions;

/* Where it goes what marks say; all of them outlive the recording. */
struct mw_functions_sinks {
    struct mw_writer *writer;
    struct mw_windows *windows;
    struct mw_events *events;
    /* Commits, where the writer says that it is time. 0 or an error. */
    int (*commit)(void *context, struct mw_error *error);
    void *context;
};

/*
 * Makes the channel. resets: whoever marks resets its high-water mark, so that the peak within a
 * call is known.
 */
int mw_functions_open(struct mw_functions **ret_functions, bool resets, struct mw_error *error);

void mw_functions_close(struct mw_functions *functions);

/* What the target needs in its environment: the path of the channel. NULL where there is none. */
const char *mw_functions_path(const struct mw_functions *functions);

/* The recording begins. The writer must have begun its run. What marks say of the memory of
 * processes is part of their windows, and may cross limits. */
int mw_functions_begin(struct mw_functions *functions, const struct mw_functions_sinks *sinks,
                       const struct mw_run *run, int64_t start_ns, struct mw_error *error);

/*
 * Follows what was marked up to a moment. Commits what the file has no room for in one transaction;
 * while a reader holds it up, calls are not stored one by one.
 */
int mw_functions_advance(struct mw_functions *functions, int64_t t_ns, struct mw_error *error);

/* What else is known of processes, after an advance to that moment. Slots as in capture/queue.h. */
int mw_functions_process_started(struct mw_functions *functions, pid_t pid, uint32_t slot,
                                 int64_t t_ns, struct mw_error *error);
int mw_functions_process_executed(struct mw_functions *functions, uint32_t slot, int64_t t_ns,
                                  struct mw_error *error);
int mw_functions_process_ended(struct mw_functions *functions, uint32_t slot, int64_t t_ns,
                               struct mw_error *error);
void mw_functions_sample(struct mw_functions *functions, uint32_t slot, int64_t t_ns, int64_t kib);
void mw_functions_window(struct mw_functions *functions, uint32_t slot, int64_t t_ns, int64_t kib,
                         int64_t unseen_kib, int64_t reset_ns);

/* Stores what has changed: before each commit. */
int mw_functions_flush(struct mw_functions *functions, struct mw_error *error);

/* At the end of the recording: stores all that is left. */
int mw_functions_finish(struct mw_functions *functions, struct mw_error *error);

/* Whether a reader held the file up since this was asked last: it has to be looked at again. */
bool mw_functions_were_held_up(struct mw_functions *functions);

/* Marks that found no room, or made no sense. */
uint64_t mw_functions_lost(const struct mw_functions *functions);

/*
 * From any thread: waits until there is much to take, or was since mw_functions_wakes had the value
 * seen; and ends such a wait.
 */
uint32_t mw_functions_wakes(const struct mw_functions *functions);
void mw_functions_wait(struct mw_functions *functions, uint32_t seen);
void mw_functions_wake(struct mw_functions *functions);

#endif
