/*
 * The tables event and run_limit, for writer_events.c and reader.c. Private to lib/store.
 *
 * Both have few rows: their statements are prepared when they are needed.
 */
#ifndef MW_STORE_EVENTS_H
#define MW_STORE_EVENTS_H

#include "store/recording.h"
#include "util/error.h"

#include <sqlite3.h>

/*
 * process is a row, which stands for that in the struct; -1: none. False when SQLite failed, which
 * says why.
 */
bool events_add(sqlite3 *db, int64_t run, int64_t process, const struct mw_event *event);
bool limits_add(sqlite3 *db, int64_t run, int64_t process, const struct mw_limit *limit);

/* As mw_reader_events and mw_reader_limits; version is that of the file. */
int events_read(sqlite3 *db, const char *path, int64_t version, int64_t run,
                struct mw_event **ret_events, size_t *ret_count, struct mw_error *error);
int limits_read(sqlite3 *db, const char *path, int64_t version, int64_t run,
                struct mw_limit **ret_limits, size_t *ret_count, struct mw_error *error);

#endif
