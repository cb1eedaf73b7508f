#include "record/reaped.h"

#include "capture/clock.h"
#include "record/exit.h"
#include "util/array.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* What ended before it was seen is in no record: after so long nobody waits for it. */
static const int64_t longest_wait_ns = 10000000000;

struct reaped {
    pid_t pid;
    int wait_status;
    int64_t t_ns, max_rss_kib;
};

struct mw_reaped {
    pthread_mutex_t mutex; /* of told */
    struct reaped *told;   /* by the caller's thread */
    size_t told_count, told_room;
    struct reaped *waiting; /* of these, not stored yet; the writer's thread's alone */
    size_t waiting_count, waiting_room;
};

struct mw_reaped *mw_reaped_new(void)
{
    struct mw_reaped *reaped = calloc(1, sizeof *reaped);

    if (reaped)
        pthread_mutex_init(&reaped->mutex, NULL);
    return reaped;
}

void mw_reaped_free(struct mw_reaped *reaped)
{
    if (!reaped)
        return;
    pthread_mutex_destroy(&reaped->mutex);
    free(reaped->told);
    free(reaped->waiting);
    free(reaped);
}

void mw_reaped_tell(struct mw_reaped *reaped, pid_t pid, int wait_status, int64_t max_rss_kib)
{
    const struct reaped one = {pid, wait_status, mw_now_ns(), max_rss_kib};

    pthread_mutex_lock(&reaped->mutex);
    if (mw_array_reserve(&reaped->told, reaped->told_count, &reaped->told_room,
                         sizeof *reaped->told))
        reaped->told[reaped->told_count++] = one;
    pthread_mutex_unlock(&reaped->mutex);
}

/* Takes over what was told: whoever tells must never wait for the disk. */
static void collect(struct mw_reaped *reaped)
{
    pthread_mutex_lock(&reaped->mutex);
    for (size_t i = 0; i < reaped->told_count; i++) {
        if (mw_array_reserve(&reaped->waiting, reaped->waiting_count, &reaped->waiting_room,
                             sizeof *reaped->waiting))
            reaped->waiting[reaped->waiting_count++] = reaped->told[i];
    }
    reaped->told_count = 0;
    pthread_mutex_unlock(&reaped->mutex);
}

int mw_reaped_store(struct mw_reaped *reaped, struct mw_writer *writer, struct mw_events *events,
                    int64_t start_ns, struct mw_error *error)
{
    int64_t now_ns = mw_now_ns();
    size_t kept = 0;
    int code = 0;

    collect(reaped);
    for (size_t i = 0; code == 0 && i < reaped->waiting_count; i++) {
        const struct reaped one = reaped->waiting[i];
        bool stored = false;

        code = mw_writer_set_exit(writer,
                                  &(struct mw_exit){.pid = one.pid,
                                                    .t_us = (one.t_ns - start_ns) / 1000,
                                                    .status = mw_exit_status(one.wait_status),
                                                    .signal = mw_exit_signal(one.wait_status),
                                                    .max_rss_kib = one.max_rss_kib},
                                  &stored, error);
        if (stored)
            mw_events_told(events, one.pid, one.wait_status);
        else if (now_ns - one.t_ns < longest_wait_ns)
            reaped->waiting[kept++] = one;
    }
    reaped->waiting_count = kept;
    return code;
}
