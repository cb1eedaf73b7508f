/*
 * The coarser levels of a recording, made while its samples are written. Private to lib/store.
 *
 * Of each series and level one bucket is open, in memory; its row is written when the next begins
 * or its time is over. What an open bucket holds is not lost with it: the samples themselves are
 * kept at least until all levels have them (rollups_until).
 */
#ifndef MW_STORE_ROLLUP_H
#define MW_STORE_ROLLUP_H

#include "store/keep.h"
#include "util/error.h"
#include "util/metric.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct rollups;

/* The open buckets of one series: NULL before its first sample. Belongs to the rollups. */
struct rollup;

/* Errors of all functions are those of the database; the transaction is the caller's. */
int rollups_new(struct rollups **ret_rollups, sqlite3 *db, const char *path,
                struct mw_error *error);

/* NULL is fine. */
void rollups_free(struct rollups *rollups);

/* A run begins. Every series of the one before is forgotten. */
int rollups_begin(struct rollups *rollups, int64_t run, const struct mw_keep *keep,
                  struct mw_error *error);

/* A sample of a series of the process with that row; 0: of the tree. */
int rollups_add(struct rollups *rollups, struct rollup **series, int64_t process,
                enum mw_metric metric, int64_t t_us, int64_t kib, struct mw_error *error);

/* The series ends; one that ends in the bucket in which it began has no row in that level. */
int rollups_end(struct rollups *rollups, struct rollup **series, int64_t end_us,
                struct mw_error *error);

/* Writes the buckets whose time is over. */
int rollups_advance(struct rollups *rollups, int64_t now_us, struct mw_error *error);

/* Writes what all buckets of a level hold by now, whose time is not over. */
int rollups_hasten(struct rollups *rollups, size_t level, int64_t now_us, struct mw_error *error);

/* The run ends: the same for all levels, but for series that ended in the bucket they began in. */
int rollups_finish(struct rollups *rollups, int64_t now_us, struct mw_error *error);

/* How many series go on. */
int64_t rollups_series(const struct rollups *rollups);

/* Up to where a level (from 1) has all samples; and how many rows it was given, ever. */
int64_t rollups_until(const struct rollups *rollups, size_t level);
int64_t rollups_rows(const struct rollups *rollups, size_t level);

#endif
