/*
 * What memwatch measures: one table of metrics that capture, store, plot and the command line
 * share.
 *
 * A new metric is a new line in MW_METRICS, and what produces it: for one that is read now and then
 * a line in record/readings.c. Values are KiB everywhere between capture and store, because that is
 * the unit in which the kernel reports.
 */
#ifndef MW_UTIL_METRIC_H
#define MW_UTIL_METRIC_H

#include "util/error.h"

#include <stdint.h>

/* When a metric is read. */
enum mw_cadence {
    MW_CADENCE_TICK,    /* at every tick: a value holds until the next */
    MW_CADENCE_WINDOW,  /* from mark to mark: a value says what was highest since the one before */
    MW_CADENCE_READING, /* now and then, for it is slow to read: nothing is known in between */
};

/* X(identifier, name in files and options, what a reader of a plot sees, cadence, source) */
#define MW_METRICS(X)                                                                              \
    X(RSS, "rss", "resident memory (RSS)", TICK, "/proc/PID/statm, field 2")                       \
    X(SHARED, "shared", "resident file and shared memory", TICK, "/proc/PID/statm, field 3")       \
    X(PEAK, "peak", "highest memory in between (kernel)", WINDOW, "/proc/PID/status, VmHWM")       \
    X(PSS, "pss", "proportional memory (PSS)", READING, "/proc/PID/smaps_rollup, Pss")             \
    X(USS, "uss", "memory of its own (USS)", READING, "/proc/PID/smaps_rollup, Private_*")         \
    X(HUGE, "huge", "memory in huge pages", READING, "/proc/PID/smaps_rollup, *HugePages, *Pmd*")  \
    X(FILE, "file", "resident file pages", READING, "/proc/PID/status, RssFile")                   \
    X(SHMEM, "shmem", "resident shared memory", READING, "/proc/PID/status, RssShmem")             \
    X(SWAP, "swap", "swapped-out memory", READING, "/proc/PID/status, VmSwap")                     \
    X(VMS, "vms", "virtual memory (VMS)", READING, "/proc/PID/status, VmSize")                     \
    X(PAGE_TABLES, "page-tables", "page tables", READING, "/proc/PID/status, VmPTE")

enum mw_metric {
#define MW_METRIC_ENUM(identifier, name, label, cadence, source) MW_METRIC_##identifier,
    MW_METRICS(MW_METRIC_ENUM)
#undef MW_METRIC_ENUM
        MW_METRIC_COUNT
};

/* A set of metrics: a bit for each. */
typedef uint32_t mw_metric_set;
#define MW_METRIC_BIT(metric) (UINT32_C(1) << (metric))

/* "rss" */
const char *mw_metric_name(enum mw_metric metric);

/* "resident memory (RSS)" */
const char *mw_metric_label(enum mw_metric metric);

enum mw_cadence mw_metric_cadence(enum mw_metric metric);

/* The metric of that name. -EINVAL, with a message that lists the names, when there is none. */
int mw_metric_parse(const char *name, enum mw_metric *ret_metric, struct mw_error *error);

/* The same for several names with commas between them: "swap,uss". */
int mw_metric_parse_set(const char *names, mw_metric_set *ret_metrics, struct mw_error *error);

#endif
