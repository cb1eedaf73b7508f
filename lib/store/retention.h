/*
 * Decides what a recording gives up, and when: by age, as struct mw_keep says, and where the file
 * comes near to its bound, the oldest of what takes most room. Private to lib/store.
 *
 * A level is given up only where the next coarser one has all of it. Work is done after a commit,
 * in transactions of its own, and at most about twice as much of it as was written since.
 */
#ifndef MW_STORE_RETENTION_H
#define MW_STORE_RETENTION_H

#include "store/bound.h"
#include "store/keep.h"
#include "store/prune.h"
#include "store/rollup.h"
#include "util/error.h"

#include <sqlite3.h>
#include <stdint.h>

struct retention;

/* The bound and the rollups stay where they are until retention_free. */
int retention_new(struct retention **ret_retention, sqlite3 *db, const char *path,
                  struct bound *bound, struct rollups *rollups, struct mw_error *error);

/* NULL is fine. */
void retention_free(struct retention *retention);

/* A run begins. */
int retention_begin(struct retention *retention, int64_t run, const struct mw_keep *keep,
                    struct mw_error *error);

/* A row was written: level 0 for a sample, or another kind. Those of rollups count by themselves.
 */
void retention_count(struct retention *retention, size_t kind);

/* Does some of what is due; the transaction is its own. Errors are those of the database. */
int retention_work(struct retention *retention, int64_t now_us, struct mw_error *error);

/* How many of the calls of a function were given up. */
int64_t retention_given_up_calls(const struct retention *retention, int64_t function);

#endif
