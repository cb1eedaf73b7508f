#include "store/migrate.h"

#include "store/sql.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char schema[] =
#include "schema.sql.h"
    ;

/* The rest of the schema from the line that begins so is what the version added. */
static const char added_in_2[] = "-- Since version 2:";

static int run_sql(sqlite3 *db, const char *path, const char *sql, struct mw_error *error)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(db, path, error);
    return 0;
}

/* The SQL that brings a file from a version to the next. */
static const char *step_from(int64_t version)
{
    switch (version) {
    case 1:
        return strstr(schema, added_in_2);
    default:
        return NULL;
    }
}

static int take_step(sqlite3 *db, const char *path, int64_t version, struct mw_error *error)
{
    char set_version[64];
    int code = run_sql(db, path, step_from(version), error);

    snprintf(set_version, sizeof set_version, "PRAGMA user_version = %" PRId64, version + 1);
    return code == 0 ? run_sql(db, path, set_version, error) : code;
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
