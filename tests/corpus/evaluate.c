/*
 * Judges every trace of a half of the corpus, by memwatch and by the baselines, and prints a line
 * of columns for each.
 *
 *     evaluate development|test COUNT      so many traces of each class
 */
#include "analysis/leak.h"
#include "baselines.h"
#include "trace.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double LEAST_S = 300;

/* The engine with one step left out, to see what that step is worth. */
enum { ABLATIONS = 6 };
static const char *const ablation_names[ABLATIONS] = {
    "second look", "cycles", "noise that wanders", "slowing down", "segments", "steps and falls"};

/* Of so many traces of each class: that is slow to find out. */
enum { FEW = 60 };

struct outcome {
    struct corpus_trace trace;
    struct mw_judgement judgement;
    struct mw_judgement half;  /* at half of the time from the start of the leak to the end */
    struct mw_arrival arrival; /* there: when memory is as high as it is at the end */
    double half_s;             /* when it truly is */
    struct baselines baselines;
    bool without[ABLATIONS]; /* is it called a leak with that step left out */
    bool ever;               /* was it called a leak at any time */
    double judging_us;
};

static struct {
    enum corpus_half half;
    unsigned count;
    struct outcome *outcomes;
    atomic_uint next;
} work;

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* --- memwatch --------------------------------------------------------------------------------- */

static bool leaks_without(const struct mw_leak *leak, double now_s, size_t step)
{
    struct mw_demands demands = mw_demands_final, early = mw_demands_early;
    struct mw_bins bins = leak->bins;
    struct mw_look look, before;

    mw_bins_hold(&bins, now_s);
    if (step == 1)
        demands.cycles = early.cycles = false;
    if (step == 2)
        demands.t = early.t = -INFINITY;
    if (step == 3) {
        demands.bend = INFINITY;
        demands.slowing = demands.half = demands.third = -INFINITY;
    }
    if (step == 4)
        demands.shortest = early.shortest = 1;
    if (step == 5) {
        demands.step = demands.drawdown = early.step = early.drawdown = INFINITY;
        demands.fresh = early.fresh = -INFINITY;
    }
    if (!mw_look_take(&look, &bins, bins.count, &demands) || !look.grows)
        return false;
    return step == 0 ||
           (mw_look_take(&before, &bins, look.start + (size_t)(.8 * (double)look.count), &early) &&
            before.grows);
}

/* Feeds what lies before until_s from the sample `from` on; returns the first that does not. */
static size_t feed(struct mw_leak *leak, const struct corpus_trace *trace, size_t from,
                   double until_s)
{
    double interval_s = trace->times[1] - trace->times[0];

    for (; from < trace->count && trace->times[from] <= until_s; from++) {
        if (from > 0 && trace->times[from] - trace->times[from - 1] > 10 * interval_s)
            mw_leak_stop(leak, trace->times[from - 1] + interval_s);
        mw_leak_feed(leak, trace->times[from], trace->values[from]);
    }
    return from;
}

/* As a program that is watched: judged whenever its time has grown by a quarter. */
static bool called_ever(const struct corpus_trace *trace)
{
    struct mw_leak leak = {.bins = {.may_fall = true}};
    struct mw_judgement judgement;
    size_t next = 0;

    for (double now_s = LEAST_S; now_s < trace->duration_s; now_s *= 1.25) {
        next = feed(&leak, trace, next, now_s);
        mw_leak_judge(&leak, now_s, LEAST_S, &judgement);
        if (judgement.verdict == MW_VERDICT_LEAK)
            return true;
    }
    return false;
}

static void judge(struct outcome *outcome, unsigned number)
{
    const struct corpus_trace *trace = &outcome->trace;
    struct mw_leak leak = {.bins = {.may_fall = true}};
    double begin_us, middle_s = (trace->onset_s + trace->duration_s) / 2;
    size_t next = feed(&leak, trace, 0, middle_s);

    if (trace->straight) {
        mw_leak_judge(&leak, middle_s, LEAST_S, &outcome->half);
        outcome->arrival = mw_leak_arrival(&outcome->half, trace->reached);
        outcome->half_s = trace->duration_s - middle_s;
        if (outcome->half.cycle.kind == MW_CYCLE_SAWTOOTH)
            outcome->arrival =
                mw_leak_arrival(&outcome->half, trace->reached + outcome->half.cycle.amplitude);
    }
    feed(&leak, trace, next, INFINITY);
    begin_us = now_us();
    mw_leak_judge(&leak, trace->times[trace->count - 1], LEAST_S, &outcome->judgement);
    outcome->judging_us = now_us() - begin_us;
    if (number >= FEW)
        return;
    for (size_t step = 0; step < ABLATIONS; step++)
        outcome->without[step] = leaks_without(&leak, trace->times[trace->count - 1], step);
    outcome->ever = outcome->judgement.verdict == MW_VERDICT_LEAK || called_ever(trace);
}

/* --- all of them ------------------------------------------------------------------------------ */

static void *judge_many(void *unused)
{
    double *times = calloc(CORPUS_MOST_SAMPLES, sizeof *times);
    double *values = calloc(CORPUS_MOST_SAMPLES, sizeof *values);
    unsigned job;

    (void)unused;
    while (times && values && (job = work.next++) < work.count * CORPUS_CLASS_COUNT) {
        struct outcome *outcome = &work.outcomes[job];

        outcome->trace.times = times;
        outcome->trace.values = values;
        corpus_trace(&outcome->trace, (enum corpus_class)(job / work.count), work.half,
                     job % work.count);
        judge(outcome, job % work.count);
        baselines_measure(&outcome->baselines, &outcome->trace);
    }
    free(times);
    free(values);
    return NULL;
}

static void print_head(void)
{
    printf("class\tleaks\tcounted\tnumber\tnoise\trestarts\tsigma\tstraight\ttrue_slope\tverdict\t"
           "certain\tslope\tlow\thigh\thalf_verdict\thalf_s\tarrival\tarrival_low\tarrival_high\t"
           "judging_us\trise\treach\tmann_kendall\tsen\thamed_rao\tprecog");
    for (size_t i = 0; i < PRECOG_VARIANTS; i++)
        printf("\tprecog_%zu", i);
    printf("\tever");
    for (size_t i = 0; i < ABLATIONS; i++)
        printf("\twithout %s", ablation_names[i]);
    putchar('\n');
}

static void print(const struct outcome *outcome, unsigned number)
{
    const struct corpus_trace *trace = &outcome->trace;
    const struct mw_judgement *judgement = &outcome->judgement;
    const struct baselines *baselines = &outcome->baselines;

    printf("%s\t%d\t%d\t%u\t%s\t%d\t%g\t%d\t%g\t%s\t%d\t%g\t%g\t%g\t%s\t%g\t%g\t%g\t%g\t%g",
           corpus_class_name(trace->class), corpus_class_leaks(trace->class),
           trace->class < CORPUS_COUNTED, number, corpus_noise_name(trace->noise), trace->restarts,
           trace->rise_sigma, trace->straight, trace->slope, mw_verdict_name(judgement->verdict),
           judgement->certain, judgement->slope, judgement->low, judgement->high,
           mw_verdict_name(outcome->half.verdict), outcome->half_s, outcome->arrival.at_s,
           outcome->arrival.low_s, outcome->arrival.high_s, outcome->judging_us);
    printf("\t%g\t%g\t%g\t%g\t%g\t%g", baselines->rise, baselines->reach, baselines->mann_kendall,
           baselines->sen, baselines->hamed_rao, baselines->precog);
    for (size_t i = 0; i < PRECOG_VARIANTS; i++)
        printf("\t%g", baselines->precog_scaled[i]);
    printf("\t%d", outcome->ever);
    for (size_t i = 0; i < ABLATIONS; i++)
        printf("\t%d", outcome->without[i]);
    putchar('\n');
}

int main(int argc, char **argv)
{
    enum { MOST_THREADS = 64 };
    pthread_t threads[MOST_THREADS];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cores < 1 ? 1 : cores > MOST_THREADS ? MOST_THREADS : (size_t)cores;

    if (argc != 3 || (work.count = (unsigned)strtoul(argv[2], NULL, 10)) == 0) {
        fprintf(stderr, "usage: evaluate development|test COUNT\n");
        return 2;
    }
    work.half = strcmp(argv[1], "test") == 0 ? CORPUS_TEST : CORPUS_DEVELOPMENT;
    work.outcomes = calloc((size_t)work.count * CORPUS_CLASS_COUNT, sizeof *work.outcomes);
    if (!work.outcomes)
        return 1;
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, judge_many, NULL) != 0)
            return 1;
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    print_head();
    for (unsigned job = 0; job < work.count * CORPUS_CLASS_COUNT; job++)
        print(&work.outcomes[job], job % work.count);
    free(work.outcomes);
    return 0;
}
