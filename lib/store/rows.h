/*
 * A file that is read, and its rows, which may be hostile. Shared by reader.c, reader_functions.c,
 * reader_samples.c, events.c and snapshots.c.
 */
#ifndef MW_STORE_ROWS_H
#define MW_STORE_ROWS_H

#include "store/recording.h"
#include "util/error.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct mw_reader {
    sqlite3 *db;
    char *path;
    int64_t version; /* of the file */
    bool recording;  /* a recorder had the file when it was opened */
};

/* Files of earlier versions have every sample, and no coarser levels. */
enum { LEVELS_VERSION = 3 };

int rows_prepare(struct mw_reader *reader, const char *sql, sqlite3_stmt **ret_statement,
                 struct mw_error *error);

/* What a step that gave no row means: 0 at the end, else an error. */
int rows_end(struct mw_reader *reader, int step, struct mw_error *error);

/* The text of a column, which the caller frees; NULL for null. */
char *column_text(sqlite3_stmt *row, int column);

/* Of a column that is never null, unless the file is hostile: then it is empty. */
char *column_required(sqlite3_stmt *row, int column);

/* A number; -1 for null. */
int64_t column_optional(sqlite3_stmt *row, int column);

/*
 * A time in microseconds, -1 for null. A hostile file may hold any: what lies outside of 73 years
 * is brought to its ends, so that nobody who adds two of them or turns them into nanoseconds gets
 * out of range.
 */
int64_t column_us(sqlite3_stmt *row, int column);
static const int64_t longest_us = INT64_MAX / 4000;

/* Five columns from `column` on: kib, upper_kib, from_us, to_us, source. */
struct mw_peak column_peak(sqlite3_stmt *row, int column);

/* A product that is held at the ends of the range. */
int64_t kib_to_bytes(int64_t kib);

#endif
