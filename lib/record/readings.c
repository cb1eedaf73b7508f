#include "record/readings.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "capture/queue.h"
#include "util/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The readings of each file may cost half a hundredth of the time. */
enum { COST_RATIO = 200 };
/* Trees that live shorter than this are not worth reading their PSS, which nobody asked for. */
static const int64_t tree_delay_ns = 100000000;

/* The files that are read. */
enum file { STATUS, ROLLUP, FILE_COUNT };

static const struct {
    const char *name;
    int64_t shortest_pause_ns;
} files[FILE_COUNT] = {
    [STATUS] = {"status", 50000000},
    [ROLLUP] = {"smaps_rollup", 100000000},
};

/* Where each metric stands: it is the sum of these fields, of which only the first must be there.
 */
static const struct field {
    enum mw_metric metric;
    enum file file;
    const char *keys[3];
} fields[] = {
    {MW_METRIC_FILE, STATUS, {"RssFile"}},
    {MW_METRIC_SHMEM, STATUS, {"RssShmem"}},
    {MW_METRIC_SWAP, STATUS, {"VmSwap"}},
    {MW_METRIC_VMS, STATUS, {"VmSize"}},
    {MW_METRIC_PAGE_TABLES, STATUS, {"VmPTE"}},
    {MW_METRIC_PSS, ROLLUP, {"Pss"}},
    {MW_METRIC_USS, ROLLUP, {"Private_Clean", "Private_Dirty", "Private_Hugetlb"}},
    {MW_METRIC_HUGE, ROLLUP, {"AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"}},
};
enum { FIELD_COUNT = MW_COUNT(fields) };

/* The last row of a series, and the last reading since, which had the same value. */
struct series {
    int64_t row_ns, same_ns; /* row_ns 0: there was none */
    int64_t kib;
};

struct process {
    pid_t pid; /* 0: the slot is free */
    struct series series[FIELD_COUNT];
};

struct mw_readings {
    struct mw_readings_options options;
    struct process *processes; /* by slot */
    size_t count, live;
    bool tree; /* the sum has series of its own */
    struct series tree_series[FIELD_COUNT];
    int64_t due_ns[FILE_COUNT]; /* INT64_MAX: nothing is wanted of it */
};

static bool is_wanted(const struct mw_readings *readings, const struct field *field)
{
    return readings->options.metrics & MW_METRIC_BIT(field->metric);
}

/* Whether the sum of it is wanted, which nobody need ask for where it is the PSS. */
static bool is_summed(const struct mw_readings *readings, const struct field *field)
{
    return readings->tree && (is_wanted(readings, field) ||
                              (field->metric == MW_METRIC_PSS && readings->options.pss_of_sum));
}

struct mw_readings *mw_readings_new(const struct mw_readings_options *options)
{
    struct mw_readings *readings = calloc(1, sizeof *readings);

    if (!readings)
        return NULL;
    readings->options = *options;
    for (size_t file = 0; file < FILE_COUNT; file++)
        readings->due_ns[file] = INT64_MAX;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (is_wanted(readings, &fields[i]))
            readings->due_ns[fields[i].file] = 0;
    }
    readings->tree = options->sum && !options->each;
    return readings;
}

void mw_readings_free(struct mw_readings *readings)
{
    if (!readings)
        return;
    free(readings->processes);
    free(readings);
}

void mw_readings_add(struct mw_readings *readings, uint32_t slot, pid_t pid, int64_t start_ns)
{
    if (slot >= readings->count) {
        size_t count = (size_t)slot * 2 + 8;
        struct process *processes = reallocarray(readings->processes, count, sizeof *processes);

        if (!processes)
            return;
        memset(processes + readings->count, 0, (count - readings->count) * sizeof *processes);
        readings->processes = processes;
        readings->count = count;
    }
    readings->processes[slot] = (struct process){.pid = pid};
    readings->live++;
    if (readings->live < 2 || !readings->options.sum)
        return;
    readings->tree = true;
    if (readings->due_ns[ROLLUP] == INT64_MAX && readings->options.pss_of_sum)
        readings->due_ns[ROLLUP] = start_ns + tree_delay_ns;
}

int64_t mw_readings_due_ns(const struct mw_readings *readings)
{
    int64_t due_ns = INT64_MAX;

    for (size_t file = 0; file < FILE_COUNT && readings->live > 0; file++) {
        if (readings->due_ns[file] < due_ns)
            due_ns = readings->due_ns[file];
    }
    return due_ns;
}

static int give_row(const struct series *series, uint32_t slot, enum mw_metric metric,
                    mw_row_fn *give, void *context)
{
    return give(context,
                &(struct mw_row){
                    .slot = slot, .metric = metric, .t_ns = series->row_ns, .kib = series->kib});
}

/* Gives the last of the readings that had the value of the last row. */
static int flush(struct series *series, uint32_t slot, enum mw_metric metric, mw_row_fn *give,
                 void *context)
{
    if (series->same_ns <= series->row_ns)
        return 0;
    series->row_ns = series->same_ns;
    return give_row(series, slot, metric, give, context);
}

static int give_reading(struct series *series, uint32_t slot, enum mw_metric metric, int64_t t_ns,
                        int64_t kib, mw_row_fn *give, void *context)
{
    int code;

    if (series->row_ns != 0 && series->kib == kib) {
        series->same_ns = t_ns;
        return 0;
    }
    if ((code = flush(series, slot, metric, give, context)) != 0)
        return code;
    *series = (struct series){t_ns, t_ns, kib};
    return give_row(series, slot, metric, give, context);
}

static int flush_all(struct series *all, uint32_t slot, mw_row_fn *give, void *context)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < FIELD_COUNT; i++)
        code = flush(&all[i], slot, fields[i].metric, give, context);
    return code;
}

int mw_readings_end(struct mw_readings *readings, uint32_t slot, mw_row_fn *give, void *context)
{
    if (slot >= readings->count || readings->processes[slot].pid == 0)
        return 0;
    readings->processes[slot].pid = 0;
    readings->live--;
    return flush_all(readings->processes[slot].series, slot, give, context);
}

/* 0, or -EBADMSG where the file has no such field: so that of a process that has ended. */
static int read_field(const struct field *field, const char *text, size_t length, int64_t *ret_kib)
{
    uint64_t kib = 0;
    int code = mw_procfs_parse_kib(text, length, field->keys[0], &kib);

    *ret_kib = (int64_t)kib;
    for (size_t i = 1; code == 0 && i < MW_COUNT(field->keys) && field->keys[i]; i++) {
        if (mw_procfs_parse_kib(text, length, field->keys[i], &kib) == 0)
            *ret_kib += (int64_t)kib;
    }
    return code;
}

/* The sums of one round of a file over all processes. */
struct round {
    enum file file;
    int64_t sums_kib[FIELD_COUNT];
    bool complete[FIELD_COUNT]; /* a sum that lacks a process would be none */
};

/* Takes in one process. Whoever has ended has no memory; whoever may not be read has. */
static int read_process(struct mw_readings *readings, uint32_t slot, struct round *round,
                        mw_row_fn *give, void *context)
{
    struct process *process = &readings->processes[slot];
    char text[MW_PROCFS_STATUS_SIZE];
    ssize_t length = mw_procfs_read(process->pid, files[round->file].name, text, sizeof text);
    int64_t now_ns = mw_now_ns(), kib;
    int code = 0;

    for (size_t i = 0; code == 0 && i < FIELD_COUNT; i++) {
        if (fields[i].file != round->file)
            continue;
        if (length < 0)
            round->complete[i] = round->complete[i] && (length == -ESRCH || length == -ENOENT);
        else if (read_field(&fields[i], text, (size_t)length, &kib) == 0) {
            round->sums_kib[i] += kib;
            if (readings->options.each && is_wanted(readings, &fields[i]))
                code = give_reading(&process->series[i], slot, fields[i].metric, now_ns, kib, give,
                                    context);
        }
    }
    return code;
}

static int read_file(struct mw_readings *readings, enum file file, mw_row_fn *give, void *context)
{
    struct round round = {.file = file};
    int64_t now_ns;
    int code = 0;

    memset(round.complete, true, sizeof round.complete);
    for (size_t slot = 0; code == 0 && slot < readings->count; slot++) {
        if (readings->processes[slot].pid != 0)
            code = read_process(readings, (uint32_t)slot, &round, give, context);
    }
    now_ns = mw_now_ns();
    for (size_t i = 0; code == 0 && i < FIELD_COUNT; i++) {
        if (fields[i].file == file && round.complete[i] && is_summed(readings, &fields[i]))
            code = give_reading(&readings->tree_series[i], MW_RECORD_TREE, fields[i].metric, now_ns,
                                round.sums_kib[i], give, context);
    }
    return code;
}

int mw_readings_take(struct mw_readings *readings, mw_row_fn *give, void *context)
{
    int code = 0;

    for (size_t file = 0; code == 0 && file < FILE_COUNT; file++) {
        int64_t begin_ns = mw_now_ns(), begin_cpu_ns = mw_thread_cpu_ns(), pause_ns;

        if (begin_ns < readings->due_ns[file] || readings->live == 0)
            continue;
        code = read_file(readings, (enum file)file, give, context);
        pause_ns = (mw_thread_cpu_ns() - begin_cpu_ns) * COST_RATIO;
        if (pause_ns < files[file].shortest_pause_ns)
            pause_ns = files[file].shortest_pause_ns;
        readings->due_ns[file] = begin_ns + pause_ns;
    }
    return code;
}

int mw_readings_finish(struct mw_readings *readings, mw_row_fn *give, void *context)
{
    int code = 0;

    for (size_t slot = 0; code == 0 && slot < readings->count; slot++)
        code = mw_readings_end(readings, (uint32_t)slot, give, context);
    return code == 0 ? flush_all(readings->tree_series, MW_RECORD_TREE, give, context) : code;
}
