/*
 * The sampler: reads the memory of every process of a tree at each tick of an absolute schedule,
 * and pushes what changed into a queue. It never waits for the consumer, never touches a disk, and
 * does not allocate in a tick that finds no new process.
 *
 * Life cycle: new, then from the thread that is to sample: raise_priority, run. From any thread:
 * stop and figures. Free once run has returned.
 */
#ifndef MW_CAPTURE_SAMPLER_H
#define MW_CAPTURE_SAMPLER_H

#include "capture/queue.h"
#include "capture/schedule.h"
#include "capture/tracker.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_sampler;

struct mw_sampler_options {
    pid_t root;
    bool runs;    /* root ran before, and may have descendants */
    bool goes_on; /* also while there is no process: then the sum is nothing */
    int64_t interval_ns;
    enum mw_tracking tracking; /* how children are found */
    /*
     * Once it has woken up for an event of a process, it does not for the next so soon: those that
     * live shorter have no sample, but are in the record.
     */
    int64_t calm_ns;
    /* The queue's consumer is woken when the sum is above, or there are more processes; 0: it is
     * not. */
    int64_t wake_above_kib, wake_above_processes;
    bool each;          /* push a series for every process */
    bool sum;           /* push the sum over the tree, from its second process on (or from the
                         * start, where each is false) */
    bool all_arguments; /* read all arguments of a process, or its name alone */
};

/*
 * root must exist. With neither each nor sum there is no looking for children: root alone is
 * sampled.
 */
int mw_sampler_new(struct mw_sampler **ret_sampler, const struct mw_sampler_options *options,
                   struct mw_queue *queue, struct mw_error *error);

/* NULL is fine. */
void mw_sampler_free(struct mw_sampler *sampler);

/*
 * Gives the calling thread the best scheduling that is allowed, for this thread alone, and returns
 * which it was: "fifo:1", "nice:-20" or "default".
 */
const char *mw_sampler_raise_priority(void);

/* How processes are found: see tracker.h. */
const char *mw_sampler_tracking(const struct mw_sampler *sampler);

/* Samples from start_ns on (CLOCK_MONOTONIC, the time of tick 0) until it is stopped. */
void mw_sampler_run(struct mw_sampler *sampler, int64_t start_ns);

/*
 * From any thread: takes in a process that runs already, and all below it, as soon as the sampler
 * comes to it, and at the latest when it begins. Without effect where it has ended by then: its
 * start_ticks are not those any more. -EAGAIN when too many are waiting.
 */
int mw_sampler_adopt(struct mw_sampler *sampler, pid_t pid, uint64_t start_ticks,
                     enum mw_origin origin);

/*
 * From any thread: sends SIGKILL to all processes of the record, and to what they still start,
 * until another one is adopted.
 */
void mw_sampler_kill(struct mw_sampler *sampler);

/* Ends the run as of end_ns: ticks due by then which were not taken count as missed. */
void mw_sampler_stop(struct mw_sampler *sampler, int64_t end_ns);

struct mw_sampler_figures {
    struct mw_schedule_figures ticks;
    uint64_t dropped_records;
    uint64_t lost_events; /* of processes, that the kernel could not deliver */
};

void mw_sampler_figures(struct mw_sampler *sampler, struct mw_sampler_figures *ret_figures);

#endif
