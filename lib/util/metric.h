/*
 * What memwatch measures: one table of metrics that capture, store, plot and the command line
 * share.
 *
 * A new metric is a new line in MW_METRICS, and a read in lib/capture that produces it. Values are
 * KiB everywhere between capture and store, because that is the unit in which the kernel reports.
 */
#ifndef MW_UTIL_METRIC_H
#define MW_UTIL_METRIC_H

#include "util/error.h"

/* X(identifier, name in files and options, what a reader of a plot sees, source) */
#define MW_METRICS(X)                                                                              \
    X(RSS, "rss", "resident memory (RSS)", "/proc/PID/statm, field 2")                             \
    X(SHARED, "shared", "resident file and shared memory", "/proc/PID/statm, field 3")             \
    X(PEAK, "peak", "highest memory in between (kernel)", "/proc/PID/status, VmHWM")               \
    X(PSS, "pss", "proportional memory (PSS)", "/proc/PID/smaps_rollup, Pss")

enum mw_metric {
#define MW_METRIC_ENUM(identifier, name, label, source) MW_METRIC_##identifier,
    MW_METRICS(MW_METRIC_ENUM)
#undef MW_METRIC_ENUM
        MW_METRIC_COUNT
};

/* "rss" */
const char *mw_metric_name(enum mw_metric metric);

/* "resident memory (RSS)" */
const char *mw_metric_label(enum mw_metric metric);

/* The metric of that name. -EINVAL, with a message that lists the names, when there is none. */
int mw_metric_parse(const char *name, enum mw_metric *ret_metric, struct mw_error *error);

#endif
