#include "rig.h"

#include "capture/clock.h"
#include "capture/procfs.h"

#include <stdlib.h>
#include <time.h>

static void *run(void *argument)
{
    struct rig *rig = argument;

    mw_sampler_run(rig->sampler, rig->start_ns);
    return NULL;
}

struct rig *rig_begin(const struct mw_sampler_options *options, size_t capacity)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    assert_int_equal(mw_queue_new(&rig->queue, capacity, NULL), 0);
    assert_int_equal(mw_sampler_new(&rig->sampler, options, rig->queue, NULL), 0);
    rig->start_ns = mw_now_ns();
    assert_int_equal(pthread_create(&rig->thread, NULL, run, rig), 0);
    return rig;
}

struct mw_sampler_figures rig_end(struct rig *rig, int64_t end_ns)
{
    struct mw_sampler_figures figures;

    mw_sampler_stop(rig->sampler, end_ns);
    pthread_join(rig->thread, NULL);
    mw_sampler_figures(rig->sampler, &figures);
    return figures;
}

void rig_discard(struct rig *rig)
{
    mw_sampler_free(rig->sampler);
    mw_queue_free(rig->queue);
    free(rig);
}

bool rig_pop(struct rig *rig, struct mw_record *ret_record)
{
    if (!mw_queue_pop(rig->queue, ret_record))
        return false;
    if (ret_record->kind == MW_RECORD_IMAGE)
        mw_image_free(ret_record->image);
    return true;
}

void rig_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = MILLISECOND / 4}, NULL);
}

void rig_wait_ticks(struct rig *rig, uint64_t ticks)
{
    struct mw_sampler_figures figures;
    int64_t begin_ns = mw_now_ns();

    do {
        if (mw_now_ns() - begin_ns > PATIENCE)
            fail_msg("%d ticks were not taken", (int)ticks);
        rig_pause();
        mw_sampler_figures(rig->sampler, &figures);
    } while (figures.ticks.taken < ticks);
}

struct mw_record rig_wait_for(struct rig *rig, enum mw_record_kind kind, uint32_t slot)
{
    struct mw_record record;
    int64_t begin_ns = mw_now_ns();

    while (mw_now_ns() - begin_ns < PATIENCE) {
        if (!rig_pop(rig, &record))
            rig_pause();
        else if (record.kind == kind && record.slot == slot)
            return record;
    }
    fail_msg("no record of kind %d", (int)kind);
    return record;
}
