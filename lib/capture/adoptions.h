/*
 * Processes that are to come into the record, on their way to the sampler from any other thread.
 */
#ifndef MW_CAPTURE_ADOPTIONS_H
#define MW_CAPTURE_ADOPTIONS_H

#include "capture/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_adoption {
    pid_t pid;
    uint64_t start_ticks; /* tells it from a later process with the same pid */
    enum mw_origin origin;
};

enum { MW_MOST_ADOPTIONS = 1024 };

/* The first to come is the first to go. */
struct mw_adoptions {
    pthread_mutex_t mutex; /* held for a moment alone */
    struct mw_adoption waiting[MW_MOST_ADOPTIONS];
    size_t count;
};

void mw_adoptions_init(struct mw_adoptions *adoptions);
void mw_adoptions_clear(struct mw_adoptions *adoptions);

/* False when there is no room. */
bool mw_adoptions_put(struct mw_adoptions *adoptions, const struct mw_adoption *adoption);

/* The next one; false when there is none. */
bool mw_adoptions_take(struct mw_adoptions *adoptions, struct mw_adoption *ret_adoption);

/* Whether that process is still the one that was meant. */
bool mw_adoption_holds(const struct mw_adoption *adoption);

#endif
