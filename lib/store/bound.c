#include "store/bound.h"

#include "store/sql.h"
#include "util/format.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

/* A run begins in some of them, and needs more to have anything to give up. */
enum { LEAST_PAGES = 64 };

/* The index of the log, which is a file as well; and what a transaction changes beside rows. */
enum { PAGES_APART = 16 };

enum { LONGEST_LOG_PAGES = 1000 };

/* At least: rows are smaller than 64 bytes. */
enum { ROWS_A_PAGE = 64 };

/* A log that is shorter holds few rows of many series, and would be emptied all the time. */
static const int64_t least_log_bytes = INT64_C(512) << 10;

/* Called after each commit. SQLite's own rule, a checkpoint at 1000 pages, is replaced by ours. */
static int after_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    struct bound *bound = context;
    int64_t enough = bound->most_log_pages / 4 < LONGEST_LOG_PAGES ? bound->most_log_pages / 4
                                                                   : LONGEST_LOG_PAGES;

    bound->log_pages = pages;
    /* What a reader still needs stays for the next time: no error. */
    if (pages >= enough)
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return SQLITE_OK;
}

static int64_t number(sqlite3_stmt *statement)
{
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;

    sqlite3_reset(statement);
    return value;
}

static int64_t pages_in_use(const struct bound *bound)
{
    return number(bound->count_pages) - number(bound->count_free_pages);
}

int bound_set(struct bound *bound, sqlite3 *db, const char *path, int64_t most_bytes,
              struct mw_error *error)
{
    int64_t page_bytes = 0, log_bytes = most_bytes / 4;
    char limits[96], most[MW_FORMAT_SIZE];
    int code;

    if ((code = mw_sql_number(db, path, "PRAGMA page_size", &page_bytes, error)) < 0)
        return code;
    if (log_bytes < least_log_bytes)
        log_bytes = least_log_bytes;
    *bound = (struct bound){.db = db,
                            .most_log_pages = log_bytes / page_bytes,
                            .most_pages = (most_bytes - log_bytes) / page_bytes - PAGES_APART};
    snprintf(limits, sizeof limits,
             "PRAGMA max_page_count = %lld; PRAGMA journal_size_limit = %lld",
             (long long)bound->most_pages, (long long)(bound->most_log_pages * page_bytes));
    if (sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &bound->count_pages, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "PRAGMA freelist_count", -1, &bound->count_free_pages, NULL) !=
            SQLITE_OK ||
        sqlite3_exec(db, limits, NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(db, path, error);
    sqlite3_wal_hook(db, after_commit, bound);
    bound->first_pages = pages_in_use(bound);
    if (bound->first_pages + LEAST_PAGES <= bound->most_pages)
        return 0;
    return mw_error_set(error, -EFBIG,
                        "%s is too large already for a further run in at most %s: record into "
                        "another file",
                        path, mw_format_bytes(most, most_bytes));
}

void bound_clear(struct bound *bound)
{
    if (bound->db)
        sqlite3_wal_hook(bound->db, NULL, NULL);
    sqlite3_finalize(bound->count_pages);
    sqlite3_finalize(bound->count_free_pages);
    *bound = (struct bound){0};
}

bool bound_is_full(const struct bound *bound, int64_t rows, int64_t series)
{
    int64_t pages = (rows < series ? rows : series) + rows / ROWS_A_PAGE + PAGES_APART;

    return bound->most_pages > 0 &&
           (pages > bound->most_log_pages / 2 || rows > bound->most_pages * ROWS_A_PAGE / 16);
}

int bound_percent(struct bound *bound)
{
    if (bound->most_pages == 0)
        return 0;
    return (int)((pages_in_use(bound) - bound->first_pages) * 100 /
                 (bound->most_pages - bound->first_pages));
}

bool bound_was_reached(const struct bound *bound, const char *path)
{
    struct statvfs disk;

    return bound->most_pages > 0 && statvfs(path, &disk) == 0 &&
           (int64_t)disk.f_bavail * (int64_t)disk.f_frsize > least_log_bytes;
}

bool bound_is_held_up(struct bound *bound)
{
    if (bound->most_pages == 0 || bound->log_pages <= bound->most_log_pages / 2)
        return false;
    sqlite3_busy_timeout(bound->db, 0);
    if (sqlite3_wal_checkpoint_v2(bound->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
        SQLITE_OK)
        bound->log_pages = 0;
    sqlite3_busy_timeout(bound->db, MW_SQL_PATIENCE_MS);
    return bound->log_pages > 0;
}
