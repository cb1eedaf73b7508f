/*
 * What the slow tier stores: a value of a metric at a moment.
 */
#ifndef MW_RECORD_ROW_H
#define MW_RECORD_ROW_H

#include "util/metric.h"

#include <stdint.h>

struct mw_row {
    uint32_t slot; /* as in capture/queue.h; MW_RECORD_TREE for the sum */
    enum mw_metric metric;
    int64_t t_ns; /* CLOCK_MONOTONIC */
    int64_t kib;
};

/* Where rows go. Anything but 0 ends the giving, and is returned by whoever gives. */
typedef int mw_row_fn(void *context, const struct mw_row *row);

#endif
