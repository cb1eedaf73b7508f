/*
 * Keeps a file and its write-ahead log together below a size. Private to lib/store.
 *
 * The log gets a quarter of the size, or half a megabyte, and the database the rest, which SQLite
 * itself enforces. The log can only begin anew when no reader looks at it: one that looks for long
 * holds it up, and then nothing must be written until it has ended (bound_is_held_up).
 */
#ifndef MW_STORE_BOUND_H
#define MW_STORE_BOUND_H

#include "util/error.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct bound {
    sqlite3 *db;
    int64_t most_pages;     /* of the database; 0: there is no bound, and the rest means nothing */
    int64_t first_pages;    /* that were in use when the bound was set */
    int64_t most_log_pages; /* of the log */
    int log_pages;          /* after the last commit */
    sqlite3_stmt *count_pages, *count_free_pages;
};

/*
 * Sets the bound of an open database; -EFBIG where the file leaves no room below it. It stays where
 * it is until bound_clear.
 */
int bound_set(struct bound *bound, sqlite3 *db, const char *path, int64_t most_bytes,
              struct mw_error *error);

void bound_clear(struct bound *bound);

/* Whether a transaction that wrote so many rows of at most so many series is to be committed. */
bool bound_is_full(const struct bound *bound, int64_t rows, int64_t series);

/*
 * How much of what there was room for when the bound was set is in use, in percent; 0 without a
 * bound. Counts the pages.
 */
int bound_percent(struct bound *bound);

/* Whether it is the bound that SQLite calls a full disk: there is room on that of the path. */
bool bound_was_reached(const struct bound *bound, const char *path);

/* Empties the log where it has grown; true where a reader keeps it from that. */
bool bound_is_held_up(struct bound *bound);

#endif
