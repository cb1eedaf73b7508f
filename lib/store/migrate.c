#include "store/migrate.h"

#include "store/sql.h"
#include "util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
#include "schema.sql.h"
    ;

static int run_sql(sqlite3 *db, const char *path, const char *sql, struct mw_error *error)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(db, path, error);
    return 0;
}

/* Where the schema tells what a version added; where it tells of no such version, its end. */
static const char *added_in(int64_t version)
{
    char heading[48];
    const char *found;

    snprintf(heading, sizeof heading, "-- Since version %" PRId64 ":", version);
    found = strstr(schema, heading);
    return found ? found : schema + strlen(schema);
}

/* Brings a file from a version to the next. */
static int take_step(sqlite3 *db, const char *path, int64_t version, struct mw_error *error)
{
    const char *step = added_in(version + 1), *end = added_in(version + 2);
    mw_auto_free char *sql = NULL;

    if (asprintf(&sql, "%.*s; PRAGMA user_version = %" PRId64, (int)(end - step), step,
                 version + 1) < 0) {
        sql = NULL;
        return mw_error_errno(error, ENOMEM, "%s", path);
    }
    return run_sql(db, path, sql, error);
}

static int take_steps(sqlite3 *db, const char *path, struct mw_error *error)
{
    int64_t version = 0;
    int code = mw_sql_check_file(db, path, &version, error);

    for (; code == 0 && version < MW_SCHEMA_VERSION; version++)
        code = take_step(db, path, version, error);
    return code;
}

int mw_migrate(sqlite3 *db, const char *path, struct mw_error *error)
{
    int64_t tables = 0;
    int code;

    if ((code = run_sql(db, path, "BEGIN IMMEDIATE", error)) < 0)
        return code;
    code = mw_sql_number(db, path, "SELECT count(*) FROM sqlite_schema", &tables, error);
    if (code == 0)
        code = tables == 0 ? run_sql(db, path, schema, error) : take_steps(db, path, error);
    if (code == 0)
        code = run_sql(db, path, "COMMIT", error);
    if (code < 0)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}
