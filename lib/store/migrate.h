/*
 * The versions of the file. Private to lib/store.
 *
 * schema.sql is what a new file gets. To change it: raise MW_SCHEMA_VERSION (sql.h) and
 * user_version (schema.sql). What the version adds stands at the end of schema.sql, under a line
 * that begins with "-- Since version N:", and that is the step which brings a file of the version
 * before there. A change of what was there before would need a step of its own in migrate.c.
 */
#ifndef MW_STORE_MIGRATE_H
#define MW_STORE_MIGRATE_H

#include "util/error.h"

#include <sqlite3.h>

/*
 * Brings a file that is open for writing to MW_SCHEMA_VERSION in one transaction: an empty one gets
 * the whole schema, and an older one step after step. Errors as from mw_sql_check_file and of the
 * disk.
 */
int mw_migrate(sqlite3 *db, const char *path, struct mw_error *error);

#endif
