/*
 * The few SQLite idioms that those who write and those who read share. Private to lib/store.
 */
#ifndef MW_STORE_SQL_H
#define MW_STORE_SQL_H

#include "util/error.h"

#include <sqlite3.h>
#include <stdint.h>

/* The file version that this memwatch writes: user_version in schema.sql. */
enum { MW_SCHEMA_VERSION = 3 };

/* So long a locked file is waited for. */
enum { MW_SQL_PATIENCE_MS = 5000 };

#define mw_auto_statement mw_auto(mw_sql_finalize)

static inline void mw_sql_finalize(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

/* The connection's last failure as an error: "PATH: disk full" and such; returns the negative
 * errno. */
int mw_sql_error(sqlite3 *db, const char *path, struct mw_error *error);

/* A whole number that a statement without parameters returns, such as a PRAGMA. */
int mw_sql_number(sqlite3 *db, const char *path, const char *sql, int64_t *ret_number,
                  struct mw_error *error);

/*
 * Checks that the open database is a memwatch file of a version this memwatch knows, which goes
 * into ret_version. -EBADMSG or -ENOTSUP when it is not.
 */
int mw_sql_check_file(sqlite3 *db, const char *path, int64_t *ret_version, struct mw_error *error);

#endif
