/*
 * The functions of a recording: their aggregates, and which of their calls are given one by one.
 * Private to calls.c, whose header says how.
 */
#ifndef MW_RECORD_TALLY_H
#define MW_RECORD_TALLY_H

#include "record/calls.h"

#include <stdbool.h>

struct mw_tally;

/* A function. It stays where it is until the tally is freed. */
struct mw_tallied {
    const struct mw_mark_site *site;
    struct mw_function figures; /* without name and file */
    uint64_t open;              /* calls that have not ended */
    bool bounded;               /* every call that has ended has an upper bound of its peak */
    bool changed;               /* figures, since they were last given */
    uint64_t stride;            /* one of so many calls is kept; 0: all, within the budget */
    uint64_t passed;            /* since the last one that was kept */
    uint64_t left;              /* to be kept before the stride doubles */
    int64_t highest_bytes;      /* peak of the highest call so far; -1: none is known */
    /* The extreme calls, where they were not kept: number 0 where they were. */
    struct mw_spare {
        uint32_t slot;
        struct mw_call call;
    } longest, highest;
};

/* A sum that stays at the ends of the range: programs write what they like. */
static inline int64_t mw_tally_sum(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

/* NULL when memory ran out. */
struct mw_tally *mw_tally_new(uint64_t budget);

/* NULL is fine. */
void mw_tally_free(struct mw_tally *tally);

/* NULL where the function was never seen. */
struct mw_tallied *mw_tally_find(const struct mw_tally *tally, const struct mw_mark_site *site);

/* Finds a function, and adds it where it is new: NULL where memory ran out. 0, or what the sink
 * returned. */
int mw_tally_need(struct mw_tally *tally, const struct mw_mark_site *site,
                  const struct mw_calls_sink *sink, struct mw_tallied **ret_function);

/* Counts a call that begins; returns its number. */
uint64_t mw_tally_enter(struct mw_tallied *function);

/* Takes in a call that has ended, or one that never will (to_us is -1), and gives it or not. */
int mw_tally_end(struct mw_tally *tally, struct mw_tallied *function, uint32_t slot,
                 const struct mw_call *call, const struct mw_calls_sink *sink);

/* Gives the extreme calls of the process with this slot that were not kept. */
int mw_tally_end_process(struct mw_tally *tally, uint32_t slot, const struct mw_calls_sink *sink);

/* Gives the aggregates that have changed. */
int mw_tally_flush(struct mw_tally *tally, const struct mw_calls_sink *sink);

/* Gives all extreme calls that were not kept, and the aggregates. */
int mw_tally_finish(struct mw_tally *tally, const struct mw_calls_sink *sink);

#endif
