/* The file itself: opening and closing it, and what every commit does. */
#include "store/writer.h"

#include "store/file.h"
#include "store/migrate.h"
#include "store/peaks.h"
#include "store/sql.h"
#include "store/statements.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens the file itself and takes the recorder's lock, before SQLite touches it. */
static int lock_file(struct mw_writer *writer, struct mw_error *error)
{
    struct stat status;
    int code;

    writer->lock_fd = open(writer->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (writer->lock_fd < 0)
        return mw_error_errno(error, errno, "cannot write %s", writer->path);
    if (fstat(writer->lock_fd, &status) < 0 || !S_ISREG(status.st_mode))
        return mw_error_set(error, -EBADMSG, "%s is no regular file", writer->path);
    code = mw_file_lock(writer->lock_fd);
    if (code == -EBUSY)
        return mw_error_set(error, code, "%s is being recorded by another memwatch", writer->path);
    if (code < 0)
        return mw_error_errno(error, -code, "cannot lock %s", writer->path);
    writer->created = status.st_size == 0;
    /* SQLite would take a file of some bytes for an empty database. */
    if (!writer->created && !mw_file_is_memwatch(writer->path))
        return mw_error_set(error, -EBADMSG, "%s is no memwatch file", writer->path);
    return 0;
}

static int open_database(struct mw_writer *writer, struct mw_error *error)
{
    bool network = mw_file_is_remote(writer->lock_fd);
    int code;

    /* Without statistics SQLite takes no lock at each allocation. Fails once it is in use: no
     * matter. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (sqlite3_open_v2(writer->path, &writer->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return mw_sql_error(writer->db, writer->path, error);
    sqlite3_extended_result_codes(writer->db, 1);
    sqlite3_busy_timeout(writer->db, MW_SQL_PATIENCE_MS);
    /*
     * The schema goes in without fsync and before write-ahead logging is on: a new file has nothing
     * to lose yet, and its header then says from the start that it is a memwatch file.
     */
    if (writer->created)
        sqlite3_exec(writer->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    if ((code = mw_migrate(writer->db, writer->path, error)) < 0)
        return code;
    if (sqlite3_exec(writer->db,
                     network ? "PRAGMA journal_mode = TRUNCATE" : "PRAGMA journal_mode = WAL", NULL,
                     NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(writer->db,
                     "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512;"
                     "PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;"
                     "PRAGMA secure_delete = OFF",
                     NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(writer->db, writer->path, error);
    if (network)
        snprintf(writer->notice, sizeof writer->notice,
                 "%s is on a network file system: written with a rollback journal, so a reader "
                 "may hold up the recording for a moment",
                 writer->path);
    if ((code = statements_prepare(writer, error)) < 0 ||
        (code = rollups_new(&writer->rollups, writer->db, writer->path, error)) < 0)
        return code;
    return retention_new(&writer->retention, writer->db, writer->path, &writer->bound,
                         writer->rollups, error);
}

int mw_writer_open(struct mw_writer **ret_writer, const char *path, struct mw_error *error)
{
    struct mw_writer *writer = calloc(1, sizeof *writer);
    int code;

    if (!writer)
        return mw_error_errno(error, ENOMEM, "%s", path);
    writer->lock_fd = -1;
    writer->keep = mw_keep_all;
    writer->path = strdup(path);
    if (!writer->path)
        code = mw_error_errno(error, ENOMEM, "%s", path);
    else if ((code = lock_file(writer, error)) == 0)
        code = open_database(writer, error);
    if (code < 0) {
        mw_writer_close(writer);
        return code;
    }
    *ret_writer = writer;
    return 0;
}

int mw_writer_keep(struct mw_writer *writer, const struct mw_keep *keep, struct mw_error *error)
{
    if (keep->count > 0)
        writer->keep = *keep;
    if (keep->max_file_bytes == 0)
        return 0;
    return bound_set(&writer->bound, writer->db, writer->path, keep->max_file_bytes, error);
}

const char *mw_writer_notice(const struct mw_writer *writer)
{
    return *writer->notice ? writer->notice : NULL;
}

void mw_writer_close(struct mw_writer *writer)
{
    if (!writer)
        return;
    statements_finalize(writer);
    retention_free(writer->retention);
    rollups_free(writer->rollups);
    bound_clear(&writer->bound);
    if (writer->db) {
        if (!sqlite3_get_autocommit(writer->db))
            sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
        /* One plain file that opens read-only anywhere. Not while somebody reads it: then it stays
         * as it is, which is whole as well. */
        sqlite3_busy_timeout(writer->db, 0);
        sqlite3_exec(writer->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(writer->db);
    if (writer->created && writer->lock_fd >= 0)
        unlink(writer->path);
    if (writer->lock_fd >= 0)
        close(writer->lock_fd);
    free(writer->entities);
    ended_clear(&writer->ended);
    free(writer->path);
    free(writer);
}

int mw_writer_commit(struct mw_writer *writer, struct mw_error *error)
{
    int code;

    if (!writer->in_transaction)
        return 0;
    ended_forget(&writer->ended, writer->duration_us);
    if ((code = peaks_flush_all(writer, error)) < 0)
        return code;
    if ((code = rollups_advance(writer->rollups, writer->duration_us, error)) < 0)
        return statements_abandon(writer, code, error);
    if ((code = statements_run(writer, COMMIT, error)) < 0)
        return code;
    writer->in_transaction = false;
    writer->rows = 0;
    code = retention_work(writer->retention, writer->duration_us, error);
    return code < 0 ? statements_abandon(writer, code, error) : 0;
}

bool mw_writer_is_full(const struct mw_writer *writer)
{
    return bound_is_full(&writer->bound, writer->rows, rollups_series(writer->rollups));
}

bool mw_writer_is_held_up(struct mw_writer *writer)
{
    return !writer->in_transaction && bound_is_held_up(&writer->bound);
}
