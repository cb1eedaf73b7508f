/*
 * The tables snapshot and mapping, for writer_events.c. Private to lib/store.
 */
#ifndef MW_STORE_SNAPSHOTS_H
#define MW_STORE_SNAPSHOTS_H

#include "store/writer.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* run and process are rows. False when SQLite failed, which says why. */
bool snapshots_add(sqlite3 *db, int64_t run, int64_t process, const struct mw_snapshot *snapshot);

#endif
