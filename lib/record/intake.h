/*
 * What the writer thread of a recording does: takes what the sampler has found off the queue,
 * stores it, tells those who follow the processes, reads what is read now and then, and commits.
 */
#ifndef MW_RECORD_INTAKE_H
#define MW_RECORD_INTAKE_H

#include "capture/queue.h"
#include "capture/sampler.h"
#include "record/events.h"
#include "record/functions.h"
#include "record/readings.h"
#include "record/reaped.h"
#include "record/session.h"
#include "record/verdicts.h"
#include "record/windows.h"
#include "store/writer.h"
#include "util/error.h"

#include <stdint.h>
#include <sys/types.h>

struct mw_intake {
    /* The session's: set before it begins. */
    struct mw_writer *writer;
    struct mw_queue *queue;
    struct mw_sampler *sampler;
    struct mw_readings *readings;
    struct mw_windows *windows;
    struct mw_reaped *reaped;
    struct mw_functions *functions; /* NULL: there is no place for marks */
    struct mw_events *events;
    struct mw_verdicts *verdicts;
    int64_t commit_pause_ns; /* between two commits */
    pid_t root;              /* the first process */

    /* Its own. */
    int64_t start_ns; /* CLOCK_MONOTONIC, as all times */
    int64_t next_commit_ns;
    int64_t held_up_until_ns;   /* a reader holds the file up: nothing is done before */
    int64_t realtime_offset_ns; /* of the last clock row */
    uint64_t ticks_committed;
    uint64_t left_out;      /* records that found no room in the file before the end */
    struct mw_error *error; /* of the present call, for what is called back */
};

/* Each of these returns 0 or an error of the writer, after which the recording has failed. */

int mw_intake_begin(struct mw_intake *intake, const struct mw_run *run, int64_t start_ns,
                    struct mw_error *error);

/* Stores what the sampler has found, and does what is due of the rest. */
int mw_intake_work(struct mw_intake *intake, struct mw_error *error);

/* Waits until something is due, the queue is half full, or somebody wakes it. */
void mw_intake_wait(struct mw_intake *intake);

/* Stores what is left, and how the run ended: the sampler has ended before stop_ns. */
int mw_intake_finish(struct mw_intake *intake, int64_t stop_ns, const struct mw_session_end *end,
                     struct mw_error *error);

#endif
