/*
 * Deletes what a run gives up, a few rows at a time. Private to lib/store.
 *
 * A sweep goes once through all that the run has, towards horizons that stay the same meanwhile.
 * Of a series that goes on, the value that holds at the horizon stays. Readers pass over what lies
 * before a level's from_us: so it does not matter how far a sweep has come.
 */
#ifndef MW_STORE_PRUNE_H
#define MW_STORE_PRUNE_H

#include "store/keep.h"
#include "util/error.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* What takes room: the levels by their place in struct mw_keep, and then these. */
enum prune_kind {
    PRUNE_CALLS = MW_KEEP_MOST_LEVELS,
    PRUNE_PROCESSES, /* that have ended, with all of theirs */
    PRUNE_REST, /* gaps, clocks, events, snapshots; programs that processes ran before their last */
    PRUNE_KINDS
};

struct prune_horizons {
    int64_t from_us[MW_KEEP_MOST_LEVELS]; /* of the levels; a multiple of the next level's bucket */
    int64_t calls_us;                     /* calls that ended before */
    int64_t processes_id; /* processes that have ended up to this row, whatever still shows them */
    int64_t rest_us;
};

struct pruner;

/* Errors of all functions are those of the database; the transaction is the caller's. */
int pruner_new(struct pruner **ret_pruner, sqlite3 *db, const char *path, struct mw_error *error);

/* NULL is fine. */
void pruner_free(struct pruner *pruner);

/* A run begins, with these levels. */
void pruner_begin(struct pruner *pruner, int64_t run, const struct mw_keep *keep);

/* Starts a sweep, when none is under way. */
int pruner_start(struct pruner *pruner, const struct prune_horizons *horizons,
                 struct mw_error *error);

bool pruner_is_done(const struct pruner *pruner);

/* Goes on for about so many rows, deleted or looked at. */
int pruner_step(struct pruner *pruner, int64_t rows, struct mw_error *error);

/* Rows that were deleted of the run so far. */
int64_t pruner_deleted(const struct pruner *pruner, size_t kind);

/* How many of the calls of a function were. */
int64_t pruner_deleted_calls(const struct pruner *pruner, int64_t function);

#endif
