#include "store/sql.h"

#include "store/file.h"
#include "util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

int mw_sql_error(sqlite3 *db, const char *path, struct mw_error *error)
{
    int system_errno = sqlite3_system_errno(db);

    switch (sqlite3_errcode(db) & 0xFF) {
    case SQLITE_FULL:
        return mw_error_set(error, -ENOSPC, "%s: the disk is full", path);
    case SQLITE_ERROR: /* our own SQL is right: a table or a column is missing */
        return mw_error_set(error, -EBADMSG, "%s is damaged: %s", path, sqlite3_errmsg(db));
    case SQLITE_NOTADB:
        return mw_error_set(error, -EBADMSG, "%s is no memwatch file", path);
    case SQLITE_CORRUPT:
        return mw_error_set(error, -EBADMSG, "%s is damaged", path);
    case SQLITE_READONLY:
        return mw_error_errno(error, EROFS, "cannot write %s", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mw_error_set(error, -EBUSY, "%s is locked by another program", path);
    case SQLITE_NOMEM:
        return mw_error_errno(error, ENOMEM, "%s", path);
    case SQLITE_CANTOPEN:
        return mw_error_errno(error, system_errno ? system_errno : EACCES, "cannot open %s", path);
    case SQLITE_IOERR:
        if (system_errno == ENOSPC || system_errno == EDQUOT)
            return mw_error_set(error, -system_errno, "%s: the disk is full", path);
        return mw_error_errno(error, system_errno ? system_errno : EIO, "%s", path);
    default:
        return mw_error_set(error, -EIO, "%s: %s", path, sqlite3_errmsg(db));
    }
}

int mw_sql_number(sqlite3 *db, const char *path, const char *sql, int64_t *ret_number,
                  struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        return mw_sql_error(db, path, error);
    *ret_number = sqlite3_column_int64(statement, 0);
    return 0;
}

int mw_sql_check_file(sqlite3 *db, const char *path, int64_t *ret_version, struct mw_error *error)
{
    int64_t application = 0, version = 0;
    int code;

    if ((code = mw_sql_number(db, path, "PRAGMA application_id", &application, error)) < 0 ||
        (code = mw_sql_number(db, path, "PRAGMA user_version", &version, error)) < 0)
        return code;
    if (application != MW_FILE_APPLICATION_ID)
        return mw_error_set(error, -EBADMSG, "%s is no memwatch file", path);
    if (version > MW_SCHEMA_VERSION)
        return mw_error_set(error, -ENOTSUP,
                            "%s was written by a newer memwatch (file version %" PRId64
                            ", this one knows up to %d)",
                            path, version, MW_SCHEMA_VERSION);
    if (version < 1)
        return mw_error_set(error, -EBADMSG, "%s is damaged: file version %" PRId64, path, version);
    *ret_version = version;
    return 0;
}
