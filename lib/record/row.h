/*
 * What the slow tier gives: a value of a metric at a moment.
 */
#ifndef MW_RECORD_ROW_H
#define MW_RECORD_ROW_H

#include "util/metric.h"

#include <stdbool.h>
#include <stdint.h>

struct mw_row {
    uint32_t slot; /* as in capture/queue.h; MW_RECORD_TREE for the sum */
    enum mw_metric metric;
    int64_t t_ns; /* CLOCK_MONOTONIC */
    int64_t kib;
    /*
     * Of a high-water mark that has just been taken: the moment before it was read; else 0. again:
     * it was the same as the one before, and is not to be stored.
     */
    int64_t taken_ns;
    int64_t from_ns; /* then: since when it is the highest */
    bool again;
    int64_t unseen_kib; /* of a high-water mark: so much more may have been reached unseen */
};

/* Where rows go. Anything but 0 ends the giving, and is returned by whoever gives. */
typedef int mw_row_fn(void *context, const struct mw_row *row);

#endif
