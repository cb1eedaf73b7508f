/*
 * A sampler at work in a thread of its own, and the records that it pushes.
 */
#ifndef MW_TESTS_RIG_H
#define MW_TESTS_RIG_H

#include "capture/sampler.h"
#include "unit.h"

#include <pthread.h>

enum { MILLISECOND = 1000000 };
#define HOUR (INT64_C(3600000) * MILLISECOND)
/* How long a test waits for what must happen, however slow the machine is. */
#define PATIENCE (60 * INT64_C(1000) * MILLISECOND)

struct rig {
    struct mw_queue *queue;
    struct mw_sampler *sampler;
    pthread_t thread;
    int64_t start_ns;
};

/* Starts it, with a queue for so many records. */
struct rig *rig_begin(const struct mw_sampler_options *options, size_t capacity);

/* Stops it as of end_ns; what it has pushed is still to be popped. */
struct mw_sampler_figures rig_end(struct rig *rig, int64_t end_ns);

void rig_discard(struct rig *rig);

/* The next record, if there is one; an image is freed, so that only its kind remains. */
bool rig_pop(struct rig *rig, struct mw_record *ret_record);

/* A quarter of a millisecond. */
void rig_pause(void);

/* Wait for so many ticks, and for a record of a kind and slot. */
void rig_wait_ticks(struct rig *rig, uint64_t ticks);
struct mw_record rig_wait_for(struct rig *rig, enum mw_record_kind kind, uint32_t slot);

#endif
