/*
 * Where the slow tier's rows go.
 */
#ifndef MW_RECORD_ROW_H
#define MW_RECORD_ROW_H

#include "util/metric.h"

#include <stdint.h>

/*
 * A value of a metric at a moment (CLOCK_MONOTONIC); the slot as in capture/queue.h, MW_RECORD_TREE
 * for the sum. Anything but 0 ends the giving, and is returned by whoever gives.
 */
typedef int mw_row_fn(void *context, uint32_t slot, enum mw_metric metric, int64_t t_ns,
                      int64_t kib);

#endif
