#include "record/verdicts.h"

#include "analysis/watch.h"
#include "capture/clock.h"
#include "record/snapshots.h"
#include "util/array.h"
#include "util/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Judging takes 3 ms: all of it may cost so small a part of the time since the start, and a tenth
 * of a second.
 */
enum { COST_RATIO = 500 };
static const int64_t free_ns = 100000000;

/* Anonymous memory, from its parts. */
struct series {
    double resident, shared, swapped; /* bytes, as they were last told; resident -1: not yet */
    double highest;                   /* resident */
    double grew_s;                    /* when its mappings were last asked for; 0: never */
    struct mw_watch watch;
    struct mw_leak leak;
};

/* What is known of a slot. */
struct place {
    pid_t pid;
    struct series *series; /* NULL: it has no memory so far, or is not judged */
};

struct mw_verdicts {
    double least_s;
    struct mw_writer *writer;
    int64_t start_ns;
    struct mw_snapshots *snapshots;
    struct place *places;
    size_t count, room;
    size_t series_count;
    int64_t spent_ns;     /* of the CPU, for judging */
    uint32_t root;        /* the slot of the first process */
    bool has_root;        /* there was one */
    struct series *first; /* of that process once it has ended, until there is a sum */
    struct place tree;
    struct mw_error *error; /* of the writer, while it is called */
};

struct mw_verdicts *mw_verdicts_new(double least_s)
{
    struct mw_verdicts *verdicts = calloc(1, sizeof *verdicts);

    if (verdicts)
        verdicts->least_s = least_s;
    return verdicts;
}

bool mw_verdicts_begin(struct mw_verdicts *verdicts, struct mw_writer *writer, int64_t start_ns)
{
    verdicts->writer = writer;
    verdicts->start_ns = start_ns;
    verdicts->snapshots = mw_snapshots_new(start_ns);
    return verdicts->snapshots;
}

void mw_verdicts_free(struct mw_verdicts *verdicts)
{
    if (!verdicts)
        return;
    for (size_t i = 0; i < verdicts->count; i++)
        free(verdicts->places[i].series);
    free(verdicts->places);
    free(verdicts->first);
    free(verdicts->tree.series);
    mw_snapshots_free(verdicts->snapshots);
    free(verdicts);
}

/* As in the file, where times are whole microseconds. */
static double to_s(const struct mw_verdicts *verdicts, int64_t t_ns)
{
    int64_t t_us = (t_ns - verdicts->start_ns) / 1000;

    return (double)t_us / 1e6;
}

/* --- what is told ----------------------------------------------------------------------------- */

/* A new one, or of before if that is given. NULL where it is not judged. */
static struct series *new_series(struct mw_verdicts *verdicts, double t_s,
                                 const struct series *before)
{
    struct series *series;

    if (verdicts->series_count >= MW_VERDICTS_MOST_SERIES || !(series = calloc(1, sizeof *series)))
        return NULL;
    verdicts->series_count++;
    series->resident = -1;
    if (before) {
        *series = *before;
        t_s = before->watch.begun_s;
    }
    series->watch = mw_watch_begin(t_s, verdicts->least_s);
    return series;
}

static void drop_series(struct mw_verdicts *verdicts, struct series **series)
{
    if (!*series)
        return;
    free(*series);
    *series = NULL;
    verdicts->series_count--;
}

/* The place of a slot; NULL when memory ran out. */
static struct place *place_at(struct mw_verdicts *verdicts, uint32_t slot)
{
    if (slot == MW_RECORD_TREE)
        return &verdicts->tree;
    while (verdicts->count <= slot) {
        if (!mw_array_reserve(&verdicts->places, verdicts->count, &verdicts->room,
                              sizeof *verdicts->places))
            return NULL;
        verdicts->places[verdicts->count++] = (struct place){0};
    }
    return &verdicts->places[slot];
}

/* As long as there is no sum, it is what the first process has. */
static const struct series *before_tree(const struct mw_verdicts *verdicts)
{
    if (verdicts->first)
        return verdicts->first;
    return verdicts->has_root && verdicts->root < verdicts->count
               ? verdicts->places[verdicts->root].series
               : NULL;
}

static void feed(struct series *series, double t_s)
{
    if (series->resident >= 0)
        mw_leak_feed(&series->leak, t_s,
                     mw_leak_anonymous(series->resident, series->shared, series->swapped));
}

static void take_value(struct mw_verdicts *verdicts, uint32_t slot, enum mw_metric metric,
                       int64_t t_ns, int64_t kib)
{
    struct place *place = place_at(verdicts, slot);
    double t_s = to_s(verdicts, t_ns), bytes = (double)kib * 1024;

    if (!place)
        return;
    if (!place->series) {
        bool tree = slot == MW_RECORD_TREE;

        place->series = new_series(verdicts, t_s, tree ? before_tree(verdicts) : NULL);
        if (tree)
            drop_series(verdicts, &verdicts->first);
        if (!place->series)
            return;
    }
    if (metric == MW_METRIC_RSS) {
        place->series->resident = bytes;
        place->series->highest = fmax(bytes, place->series->highest);
    } else if (metric == MW_METRIC_SHARED) {
        place->series->shared = bytes;
    } else {
        place->series->swapped = bytes;
    }
    feed(place->series, t_s);
}

static void start(struct mw_verdicts *verdicts, uint32_t slot, pid_t pid)
{
    struct place *place = place_at(verdicts, slot);

    if (!place)
        return;
    drop_series(verdicts, &place->series);
    place->pid = pid;
    if (!verdicts->has_root) {
        verdicts->has_root = true;
        verdicts->root = slot;
    }
}

/* The end of a process that was half of the sum or more may be a restart. */
static void end_in_tree(struct mw_verdicts *verdicts, const struct series *ended, double t_s)
{
    struct series *tree = verdicts->tree.series;

    if (tree && ended && mw_leak_ends_tree(ended->highest, tree->resident))
        mw_leak_end(&tree->leak, t_s);
}

static void end(struct mw_verdicts *verdicts, uint32_t slot, double t_s)
{
    struct place *place = slot < verdicts->count ? &verdicts->places[slot] : NULL;

    if (!place)
        return;
    end_in_tree(verdicts, place->series, t_s);
    if (slot == verdicts->root && !verdicts->first && !verdicts->tree.series) {
        verdicts->first = place->series;
        place->series = NULL;
        if (verdicts->first)
            mw_leak_end(&verdicts->first->leak, t_s);
        verdicts->root = UINT32_MAX; /* the slot may be given anew */
    }
    drop_series(verdicts, &place->series);
}

static void stop_series(struct series *series, double from_s, double to_s)
{
    if (!series)
        return;
    mw_leak_stop(&series->leak, from_s);
    feed(series, to_s);
}

static void take_gap(struct mw_verdicts *verdicts, const struct mw_record *record)
{
    double from_s = to_s(verdicts, record->gap.from_ns), until_s = to_s(verdicts, record->t_ns);

    for (size_t i = 0; i < verdicts->count; i++)
        stop_series(verdicts->places[i].series, from_s, until_s);
    stop_series(verdicts->first, from_s, until_s);
    stop_series(verdicts->tree.series, from_s, until_s);
}

void mw_verdicts_record(struct mw_verdicts *verdicts, const struct mw_record *record)
{
    switch (record->kind) {
    case MW_RECORD_START:
        start(verdicts, record->slot, record->start.pid);
        break;
    case MW_RECORD_SAMPLE:
        if (record->sample.metric == MW_METRIC_RSS || record->sample.metric == MW_METRIC_SHARED)
            take_value(verdicts, record->slot, record->sample.metric, record->t_ns,
                       record->sample.kib);
        break;
    case MW_RECORD_GAP:
        take_gap(verdicts, record);
        break;
    case MW_RECORD_END:
        end(verdicts, record->slot, to_s(verdicts, record->t_ns));
        break;
    default:
        break;
    }
}

void mw_verdicts_reading(struct mw_verdicts *verdicts, uint32_t slot, enum mw_metric metric,
                         int64_t t_ns, int64_t kib)
{
    if (metric == MW_METRIC_SWAP)
        take_value(verdicts, slot, metric, t_ns, kib);
}

/* --- looks ------------------------------------------------------------------------------------ */

/* The verdict as a sentence; false where it says nothing that anybody waits for. */
static bool describe(char *sentence, size_t size, const struct mw_judgement *judgement,
                     enum mw_verdict before)
{
    char slope[MW_FORMAT_SIZE], low[MW_FORMAT_SIZE], high[MW_FORMAT_SIZE], bytes[MW_FORMAT_SIZE];

    switch (judgement->verdict) {
    case MW_VERDICT_LEAK:
    case MW_VERDICT_SUSPECT:
        snprintf(sentence, size, "%s of %s (%s to %s), %s",
                 judgement->verdict == MW_VERDICT_LEAK ? "sustained growth" : "growth",
                 mw_format_rate(slope, judgement->slope, judgement->observed_s),
                 mw_format_rate(low, judgement->low, judgement->observed_s),
                 mw_format_rate(high, judgement->high, judgement->observed_s),
                 judgement->verdict == MW_VERDICT_LEAK
                     ? "consistent with a leak"
                     : "not long or not clear enough to call it a leak");
        return true;
    case MW_VERDICT_FILLING:
        snprintf(sentence, size, "grows ever more slowly, as a cache does that fills");
        return true;
    case MW_VERDICT_STEP:
        snprintf(sentence, size, "went up by %s at once, and stayed",
                 mw_format_bytes(bytes, llround(judgement->step_bytes)));
        return true;
    case MW_VERDICT_STABLE:
        snprintf(sentence, size, "no sustained growth any more");
        return mw_verdict_grows(before);
    case MW_VERDICT_INSUFFICIENT:
        break;
    }
    return false;
}

static int tell(struct mw_verdicts *verdicts, uint32_t slot, const struct mw_judgement *judgement,
                enum mw_verdict before, int64_t now_ns)
{
    char sentence[256], name[16];
    bool has_sentence = describe(sentence, sizeof sentence, judgement, before);
    struct mw_event event = {
        .kind = MW_EVENT_VERDICT,
        .t_us = (now_ns - verdicts->start_ns) / 1000,
        .name = name,
        .has_value = mw_verdict_grows(judgement->verdict),
        .value = mw_verdict_grows(judgement->verdict) ? llround(judgement->slope) : 0,
        .note = has_sentence ? sentence : NULL,
    };

    snprintf(name, sizeof name, "%s", mw_verdict_name(judgement->verdict));
    return mw_writer_add_event(verdicts->writer, slot, &event, verdicts->error);
}

/* Asks for snapshots when growth is new, and again when it was there for twice as long. */
static void suspect(struct mw_verdicts *verdicts, uint32_t slot, const struct place *place,
                    const struct mw_judgement *judgement, int64_t now_ns)
{
    struct series *series = place->series;
    double now_s = to_s(verdicts, now_ns), age_s = now_s - series->watch.begun_s;

    if (slot == MW_RECORD_TREE || !mw_verdict_grows(judgement->verdict) ||
        (series->grew_s > 0 && age_s < 2 * (series->grew_s - series->watch.begun_s)))
        return;
    if (mw_snapshots_suspect(verdicts->snapshots, slot, place->pid, now_ns,
                             llround(judgement->observed_s * 1e9)))
        series->grew_s = now_s;
}

static int look_at(struct mw_verdicts *verdicts, uint32_t slot, const struct place *place,
                   int64_t now_ns)
{
    struct series *series = place->series;
    enum mw_verdict before = series->watch.told;
    double now_s = to_s(verdicts, now_ns);
    int64_t begin_cpu_ns = mw_thread_cpu_ns();
    struct mw_judgement judgement;
    bool tells;

    mw_leak_judge(&series->leak, now_s, verdicts->least_s, &judgement);
    tells = mw_watch_take(&series->watch, now_s, judgement.verdict);
    suspect(verdicts, slot, place, &judgement, now_ns);
    verdicts->spent_ns += mw_thread_cpu_ns() - begin_cpu_ns;
    return tells ? tell(verdicts, slot == MW_RECORD_TREE ? MW_SLOT_TREE : slot, &judgement, before,
                        now_ns)
                 : 0;
}

/* The slot that is due first; NULL: none is. */
static const struct place *next_place(const struct mw_verdicts *verdicts, uint32_t *ret_slot)
{
    const struct place *next = verdicts->tree.series ? &verdicts->tree : NULL;

    *ret_slot = MW_RECORD_TREE;
    for (size_t i = 0; i < verdicts->count; i++) {
        const struct place *place = &verdicts->places[i];

        if (place->series && (!next || place->series->watch.due_s < next->series->watch.due_s)) {
            next = place;
            *ret_slot = (uint32_t)i;
        }
    }
    return next;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When the next may be judged at the earliest. */
static int64_t affordable_ns(const struct mw_verdicts *verdicts)
{
    return verdicts->start_ns + (verdicts->spent_ns - free_ns) * COST_RATIO;
}

int64_t mw_verdicts_due_ns(const struct mw_verdicts *verdicts)
{
    int64_t snapshots_ns = mw_snapshots_due_ns(verdicts->snapshots), judge_ns = INT64_MAX;
    uint32_t slot;
    const struct place *next = next_place(verdicts, &slot);

    /* Rounded up: what is due then is due by to_s as well. */
    if (next && next->series->watch.due_s < 9e9)
        judge_ns =
            later(affordable_ns(verdicts),
                  verdicts->start_ns + ((int64_t)ceil(next->series->watch.due_s * 1e6) + 1) * 1000);
    return snapshots_ns < judge_ns ? snapshots_ns : judge_ns;
}

static int store_snapshot(void *context, const struct mw_taken_snapshot *taken)
{
    struct mw_verdicts *verdicts = context;
    struct mw_snapshot snapshot = {
        .from_us = (taken->from_ns - verdicts->start_ns) / 1000,
        .to_us = (taken->to_ns - verdicts->start_ns) / 1000,
        .second = taken->second,
        .groups = taken->groups,
        .count = taken->count,
    };

    return mw_writer_add_snapshot(verdicts->writer, taken->slot, &snapshot, verdicts->error);
}

int mw_verdicts_look(struct mw_verdicts *verdicts, int64_t now_ns, struct mw_error *error)
{
    uint32_t slot;
    const struct place *next = next_place(verdicts, &slot);
    int code = 0;

    verdicts->error = error;
    if (next && now_ns >= affordable_ns(verdicts) &&
        next->series->watch.due_s <= to_s(verdicts, now_ns))
        code = look_at(verdicts, slot, next, now_ns);
    if (code == 0 && now_ns >= mw_snapshots_due_ns(verdicts->snapshots))
        code = mw_snapshots_take(verdicts->snapshots, now_ns, store_snapshot, verdicts);
    return code;
}

int mw_verdicts_finish(struct mw_verdicts *verdicts, int64_t now_ns, struct mw_error *error)
{
    verdicts->error = error;
    return mw_snapshots_finish(verdicts->snapshots, now_ns, store_snapshot, verdicts);
}
