#include "store/migrate.h"

#include "store/sql.h"
#include "util/cleanup.h"

#include <stdint.h>

static const char schema[] =
#include "schema.sql.h"
    ;

/* steps[n] brings a file from version n to version n + 1; an empty file counts as version 0. */
static const char *const steps[MW_SCHEMA_VERSION] = {schema};

static int run_sql(sqlite3 *db, const char *path, const char *sql, struct mw_error *error)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(db, path, error);
    return 0;
}

int mw_migrate(sqlite3 *db, const char *path, struct mw_error *error)
{
    int64_t tables = 0, version = 0;
    int code;

    if ((code = run_sql(db, path, "BEGIN IMMEDIATE", error)) < 0)
        return code;
    if ((code = mw_sql_number(db, path, "SELECT count(*) FROM sqlite_schema", &tables, error)) <
            0 ||
        (tables > 0 && (code = mw_sql_check_file(db, path, &version, error)) < 0))
        goto fail;
    for (int64_t next = version; next < MW_SCHEMA_VERSION; next++) {
        if ((code = run_sql(db, path, steps[next], error)) < 0)
            goto fail;
    }
    if ((code = run_sql(db, path, "COMMIT", error)) < 0)
        goto fail;
    return 0;
fail:
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}
