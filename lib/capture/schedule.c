#include "capture/schedule.h"

/*
 * Only the thread that takes ticks writes the counters, so a relaxed load and store is enough: it
 * compiles to plain moves, and readers never see a torn value.
 */
#define LOAD(counter) atomic_load_explicit(&(counter), memory_order_relaxed)
#define STORE(counter, value) atomic_store_explicit(&(counter), (value), memory_order_relaxed)

/* Buckets 0 to 7 are 1 ns wide; from there on 8 buckets cover each power of two. */
static unsigned bucket_of(int64_t ns)
{
    uint64_t value = ns < 0 ? 0 : (uint64_t)ns;
    unsigned power;

    if (value < 8)
        return (unsigned)value;
    power = 63 - (unsigned)__builtin_clzll(value);
    return (power - 2) * 8 + (unsigned)(value >> (power - 3) & 7);
}

/* The largest value that falls into a bucket. */
static int64_t bucket_end(unsigned bucket)
{
    unsigned power = bucket / 8 + 2;

    if (bucket < 8)
        return bucket;
    return (int64_t)((((uint64_t)bucket % 8 + 9) << (power - 3)) - 1);
}

void mw_schedule_start(struct mw_schedule *schedule, int64_t start_ns, int64_t interval_ns)
{
    schedule->start_ns = schedule->last_ns = start_ns;
    schedule->interval_ns = interval_ns;
}

int64_t mw_schedule_due_ns(const struct mw_schedule *schedule)
{
    return schedule->start_ns + (int64_t)schedule->next * schedule->interval_ns;
}

uint64_t mw_schedule_take(struct mw_schedule *schedule, int64_t now_ns)
{
    uint64_t current = (uint64_t)((now_ns - schedule->start_ns) / schedule->interval_ns);
    uint64_t missed = current - schedule->next;
    int64_t lateness = now_ns - mw_schedule_due_ns(schedule);
    int64_t gap = now_ns - schedule->last_ns;
    unsigned bucket = bucket_of(lateness);

    STORE(schedule->taken, LOAD(schedule->taken) + 1);
    STORE(schedule->missed, LOAD(schedule->missed) + missed);
    STORE(schedule->lateness[bucket], LOAD(schedule->lateness[bucket]) + 1);
    if (lateness > LOAD(schedule->latest_ns))
        STORE(schedule->latest_ns, lateness);
    if (gap > LOAD(schedule->longest_gap_ns))
        STORE(schedule->longest_gap_ns, gap);
    schedule->last_ns = now_ns;
    schedule->next = current + 1;
    return missed;
}

uint64_t mw_schedule_end(struct mw_schedule *schedule, int64_t end_ns)
{
    uint64_t due = (uint64_t)((end_ns - schedule->start_ns) / schedule->interval_ns) + 1;
    uint64_t missed = due > schedule->next ? due - schedule->next : 0;

    STORE(schedule->missed, LOAD(schedule->missed) + missed);
    schedule->next += missed;
    return missed;
}

void mw_schedule_figures(struct mw_schedule *schedule, struct mw_schedule_figures *ret_figures)
{
    struct mw_schedule_figures figures = {
        .taken = LOAD(schedule->taken),
        .missed = LOAD(schedule->missed),
        .longest_gap_ns = LOAD(schedule->longest_gap_ns),
        .lateness_p50_ns = -1,
        .lateness_p99_ns = -1,
        .lateness_max_ns = -1,
    };
    uint64_t seen = 0;

    if (figures.taken > 0)
        figures.lateness_max_ns = LOAD(schedule->latest_ns);
    for (unsigned i = 0; i < MW_LATENESS_BUCKETS; i++) {
        uint64_t before = seen;
        int64_t end =
            bucket_end(i) < figures.lateness_max_ns ? bucket_end(i) : figures.lateness_max_ns;

        seen += LOAD(schedule->lateness[i]);
        if (before < (figures.taken + 1) / 2 && seen >= (figures.taken + 1) / 2)
            figures.lateness_p50_ns = end;
        if (before < figures.taken - figures.taken / 100 &&
            seen >= figures.taken - figures.taken / 100)
            figures.lateness_p99_ns = end;
    }
    *ret_figures = figures;
}
