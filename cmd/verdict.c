#include "cmd/verdict.h"

#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *label;
    enum mw_metric metric; /* that is read first */
} metrics[] = {
    [LEAK_ANON] = {"anon", "anonymous memory", MW_METRIC_RSS},
    [LEAK_RSS] = {"rss", "resident memory (RSS)", MW_METRIC_RSS},
    [LEAK_PSS] = {"pss", "proportional memory (PSS)", MW_METRIC_PSS},
};

const char *leak_metric_name(enum leak_metric metric)
{
    return metrics[metric].name;
}

const char *leak_metric_label(enum leak_metric metric)
{
    return metrics[metric].label;
}

int leak_metric_parse(const char *name)
{
    for (size_t i = 0; i < MW_COUNT(metrics); i++) {
        if (strcmp(metrics[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

enum leak_metric leak_metric_default(const struct recording *recording)
{
    return recording->metrics & MW_METRIC_BIT(MW_METRIC_SHARED) ? LEAK_ANON : LEAK_RSS;
}

/* The changes of a series, or of what else there is to know beside the one that is read last. */
struct changes {
    struct mw_sample *samples;
    size_t count, room, next;
    double value; /* at the moment that is looked at; 0 before the first */
};

/* An end of a process that is part of the series. */
struct ending {
    int64_t t_us;
    double peak; /* the most it had, in bytes; INFINITY where it is the whole series */
};

/* The parts of a series on their way into the bins. */
struct feeder {
    struct mw_leak leak;
    struct ending *endings; /* in the order of time */
    size_t ending_count, next_ending;
    int64_t from_us;
    struct changes shared, swap;
    struct mw_gap *gaps;
    size_t gap_count, next_gap;
    bool in_gap;
    double resident;
    bool any;
    double first_shared;         /* NAN: none yet */
    double highest, shared_then; /* resident; a process that ends gives both back */
};

static int collect(void *context, const struct mw_sample *sample)
{
    struct changes *changes = context;

    if (!mw_array_reserve(&changes->samples, changes->count, &changes->room,
                          sizeof *changes->samples))
        return -ENOMEM;
    changes->samples[changes->count++] = *sample;
    return 0;
}

static double memory_now(const struct feeder *feeder)
{
    return mw_leak_anonymous(feeder->resident, feeder->shared.value, feeder->swap.value);
}

static void feed(struct feeder *feeder, int64_t t_us)
{
    double t_s = (double)(t_us > feeder->from_us ? t_us : feeder->from_us) / 1e6;

    if (feeder->any && !feeder->in_gap)
        mw_leak_feed(&feeder->leak, t_s, memory_now(feeder));
}

static int64_t next_change(const struct changes *changes)
{
    return changes->next < changes->count ? changes->samples[changes->next].t_us : INT64_MAX;
}

/* Where the gap that comes next, or is open, begins or ends. */
static int64_t next_edge(const struct feeder *feeder)
{
    if (feeder->next_gap >= feeder->gap_count)
        return INT64_MAX;
    return feeder->in_gap ? feeder->gaps[feeder->next_gap].to_us
                          : feeder->gaps[feeder->next_gap].from_us;
}

static void pass_edge(struct feeder *feeder, int64_t t_us)
{
    if (feeder->in_gap) {
        feeder->in_gap = false;
        feeder->next_gap++;
        feed(feeder, t_us);
    } else {
        feeder->in_gap = true;
        mw_leak_stop(&feeder->leak, (double)t_us / 1e6);
    }
}

static void take_change(struct feeder *feeder, struct changes *changes)
{
    changes->value = (double)changes->samples[changes->next].bytes;
    feed(feeder, changes->samples[changes->next++].t_us);
}

/* Whatever else happened up to a moment, in the order of time. */
static void catch_up(struct feeder *feeder, int64_t until_us)
{
    for (;;) {
        int64_t shared_us = next_change(&feeder->shared), swap_us = next_change(&feeder->swap);
        int64_t edge_us = next_edge(feeder);
        int64_t first_us = shared_us < swap_us ? shared_us : swap_us;

        if ((edge_us < first_us ? edge_us : first_us) > until_us)
            return;
        if (edge_us <= first_us)
            pass_edge(feeder, edge_us);
        else
            take_change(feeder, shared_us <= swap_us ? &feeder->shared : &feeder->swap);
        if (isnan(feeder->first_shared) && feeder->shared.next > 0)
            feeder->first_shared = feeder->shared.value;
    }
}

/* Of a tree, the end of a process that was less than half of it makes no restart. */
static void pass_endings(struct feeder *feeder, int64_t until_us)
{
    for (; feeder->next_ending < feeder->ending_count; feeder->next_ending++) {
        const struct ending *ending = &feeder->endings[feeder->next_ending];

        if (ending->t_us > until_us)
            return;
        if (mw_leak_ends_tree(ending->peak, feeder->resident))
            mw_leak_end(&feeder->leak, (double)ending->t_us / 1e6);
    }
}

static int add_resident(void *context, const struct mw_sample *sample)
{
    struct feeder *feeder = context;

    catch_up(feeder, sample->t_us);
    pass_endings(feeder, sample->t_us);
    feeder->resident = (double)sample->bytes;
    feeder->any = true;
    if (feeder->resident >= feeder->highest) {
        feeder->highest = feeder->resident;
        feeder->shared_then = feeder->shared.value;
    }
    feed(feeder, sample->t_us);
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int read_metric(const struct verdict_request *request, enum mw_metric metric,
                       mw_sample_fn *give, void *context, struct mw_error *error)
{
    struct recording *recording = request->recording;

    return mw_reader_samples(recording->reader, recording->run->id,
                             request->process ? request->process->id : MW_PROCESS_TREE, metric,
                             request->from_us, request->to_us, give, context, error);
}

static int read_beside(const struct verdict_request *request, struct feeder *feeder,
                       struct mw_error *error)
{
    int code = 0;

    if (request->metric == LEAK_ANON &&
        ((code = read_metric(request, MW_METRIC_SHARED, collect, &feeder->shared, error)) < 0 ||
         (code = read_metric(request, MW_METRIC_SWAP, collect, &feeder->swap, error)) < 0))
        return code == -ENOMEM ? mw_error_errno(error, ENOMEM, "cannot judge") : code;
    return mw_reader_gaps(request->recording->reader, request->recording->run->id, &feeder->gaps,
                          &feeder->gap_count, error);
}

static int compare_endings(const void *a, const void *b)
{
    int64_t first = ((const struct ending *)a)->t_us, second = ((const struct ending *)b)->t_us;

    return (first > second) - (first < second);
}

/*
 * Of the process, or of all of them. Nobody knows the processes of a series from elsewhere, nor of
 * a sum alone.
 */
static int find_endings(const struct verdict_request *request, struct feeder *feeder)
{
    const struct recording *recording = request->recording;
    size_t count = request->process ? 1 : recording->process_count;
    const struct mw_process *processes = request->process ? request->process : recording->processes;

    feeder->leak.bins.may_fall = recording->run->outcome == MW_OUTCOME_IMPORTED ||
                                 (!request->process && recording->run->children == MW_CHILDREN_SUM);
    feeder->endings = calloc(count + 1, sizeof *feeder->endings);
    if (!feeder->endings)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct mw_process *process = &processes[i];
        double peak = process->peak.known ? (double)process->peak.bytes : 0;

        if (process->end_us >= request->from_us)
            feeder->endings[feeder->ending_count++] =
                (struct ending){process->end_us, request->process ? INFINITY : peak};
    }
    qsort(feeder->endings, feeder->ending_count, sizeof *feeder->endings, compare_endings);
    return 0;
}

/* Where the series ends: with its process, the recording or the window. */
static int64_t end_of(const struct verdict_request *request)
{
    int64_t end_us = request->process && request->process->end_us >= 0
                         ? request->process->end_us
                         : request->recording->run->duration_us;

    return end_us < request->to_us ? end_us : request->to_us;
}

int verdict_reach(struct verdict *ret_verdict, struct mw_basis *ret_basis,
                  const struct verdict_request *request, struct mw_error *error)
{
    mw_auto_free struct feeder *feeder = calloc(1, sizeof *feeder);
    int64_t end_us = end_of(request);
    int code;

    if (!feeder || find_endings(request, feeder) < 0)
        return mw_error_errno(error, ENOMEM, "cannot judge");
    feeder->from_us = request->from_us;
    feeder->first_shared = NAN;
    *ret_verdict = (struct verdict){.request = *request, .last = NAN, .shared_growth = NAN};
    if ((code = read_beside(request, feeder, error)) == 0 &&
        (code = read_metric(request, metrics[request->metric].metric, add_resident, feeder,
                            error)) == 0) {
        catch_up(feeder, end_us);
        pass_endings(feeder, end_us);
        mw_leak_judge(&feeder->leak, (double)end_us / 1e6, request->least_s,
                      &ret_verdict->judgement);
        if (ret_basis)
            mw_leak_basis(&feeder->leak, (double)end_us / 1e6, ret_basis);
        if (feeder->any)
            ret_verdict->last = memory_now(feeder);
        ret_verdict->shared = feeder->shared_then;
        ret_verdict->shared_growth = feeder->shared_then - feeder->first_shared;
    }
    free(feeder->shared.samples);
    free(feeder->swap.samples);
    free(feeder->gaps);
    free(feeder->endings);
    return code;
}
