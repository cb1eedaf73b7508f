#include "capture/adoptions.h"

#include "capture/procfs.h"

#include <string.h>

void mw_adoptions_init(struct mw_adoptions *adoptions)
{
    pthread_mutex_init(&adoptions->mutex, NULL);
    adoptions->count = 0;
}

void mw_adoptions_clear(struct mw_adoptions *adoptions)
{
    pthread_mutex_destroy(&adoptions->mutex);
}

bool mw_adoptions_put(struct mw_adoptions *adoptions, const struct mw_adoption *adoption)
{
    bool room;

    pthread_mutex_lock(&adoptions->mutex);
    room = adoptions->count < MW_MOST_ADOPTIONS;
    if (room)
        adoptions->waiting[adoptions->count++] = *adoption;
    pthread_mutex_unlock(&adoptions->mutex);
    return room;
}

bool mw_adoptions_take(struct mw_adoptions *adoptions, struct mw_adoption *ret_adoption)
{
    bool any;

    pthread_mutex_lock(&adoptions->mutex);
    any = adoptions->count > 0;
    if (any) {
        *ret_adoption = adoptions->waiting[0];
        memmove(adoptions->waiting, adoptions->waiting + 1,
                --adoptions->count * sizeof *adoptions->waiting);
    }
    pthread_mutex_unlock(&adoptions->mutex);
    return any;
}

bool mw_adoption_holds(const struct mw_adoption *adoption)
{
    struct mw_stat stat;

    return mw_procfs_read_stat(adoption->pid, &stat) == 0 &&
           stat.start_ticks == adoption->start_ticks;
}
