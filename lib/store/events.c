#include "store/events.h"

#include "store/rows.h"
#include "store/sql.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>

/* Files of earlier versions have neither table. */
static const int64_t first_version = 3;

static int prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **ret_statement,
                   struct mw_error *error)
{
    if (sqlite3_prepare_v2(db, sql, -1, ret_statement, NULL) != SQLITE_OK)
        return mw_sql_error(db, path, error);
    return 0;
}

static void bind_unless(sqlite3_stmt *statement, int position, bool null, int64_t number)
{
    if (!null)
        sqlite3_bind_int64(statement, position, number);
}

bool events_add(sqlite3 *db, int64_t run, int64_t process, const struct mw_event *event)
{
    mw_auto_statement sqlite3_stmt *row = NULL;

    if (sqlite3_prepare_v2(db,
                           "INSERT INTO event (run, process, t_us, kind, name, value, limit_value,"
                           " note) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                           -1, &row, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_int64(row, 1, run);
    bind_unless(row, 2, process < 0, process);
    sqlite3_bind_int64(row, 3, event->t_us);
    sqlite3_bind_text(row, 4, mw_event_kind_name(event->kind), -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 5, event->name, -1, SQLITE_STATIC);
    bind_unless(row, 6, !event->has_value, event->value);
    bind_unless(row, 7, !event->has_limit, event->limit_value);
    sqlite3_bind_text(row, 8, event->note, -1, SQLITE_STATIC);
    return sqlite3_step(row) == SQLITE_DONE;
}

bool limits_add(sqlite3 *db, int64_t run, int64_t process, const struct mw_limit *limit)
{
    mw_auto_statement sqlite3_stmt *row = NULL;

    if (sqlite3_prepare_v2(db,
                           "INSERT INTO run_limit (run, process, since_us, name, place, value,"
                           " window_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                           -1, &row, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_int64(row, 1, run);
    bind_unless(row, 2, process < 0, process);
    sqlite3_bind_int64(row, 3, limit->since_us);
    sqlite3_bind_text(row, 4, limit->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 5, limit->place ? limit->place : "", -1, SQLITE_STATIC);
    bind_unless(row, 6, limit->value < 0, limit->value);
    bind_unless(row, 7, limit->window_us < 0, limit->window_us);
    return sqlite3_step(row) == SQLITE_DONE;
}

static bool column_is_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL;
}

/* False where the kind is none that this memwatch knows. */
static bool column_event(sqlite3_stmt *row, struct mw_event *ret_event)
{
    const char *name = (const char *)sqlite3_column_text(row, 2);
    int kind = name ? mw_event_kind_parse(name) : -1;

    if (kind < 0)
        return false;
    *ret_event = (struct mw_event){
        .kind = (enum mw_event_kind)kind,
        .process = column_optional(row, 0),
        .t_us = column_us(row, 1),
        .name = column_text(row, 3),
        .has_value = !column_is_null(row, 4),
        .value = sqlite3_column_int64(row, 4),
        .has_limit = !column_is_null(row, 5),
        .limit_value = sqlite3_column_int64(row, 5),
        .note = column_text(row, 6),
    };
    return true;
}

static struct mw_limit column_limit(sqlite3_stmt *row)
{
    return (struct mw_limit){
        .process = column_optional(row, 0),
        .since_us = column_us(row, 1),
        .name = column_required(row, 2),
        .place = column_required(row, 3),
        .value = column_optional(row, 4),
        .window_us = column_us(row, 5),
    };
}

static void free_events(struct mw_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mw_event_clear(&events[i]);
    free(events);
}

static void free_limits(struct mw_limit *limits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mw_limit_clear(&limits[i]);
    free(limits);
}

int events_read(sqlite3 *db, const char *path, int64_t version, int64_t run,
                struct mw_event **ret_events, size_t *ret_count, struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    struct mw_event *events = NULL;
    size_t count = 0, room = 0;
    int code = 0, step = SQLITE_DONE;

    if (version >= first_version)
        code = prepare(db, path,
                       "SELECT process, t_us, kind, name, value, limit_value, note FROM event"
                       " WHERE run = ?1 ORDER BY t_us, id",
                       &row, error);
    if (row)
        sqlite3_bind_int64(row, 1, run);
    while (row && (step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&events, count, &room, sizeof *events)) {
            free_events(events, count);
            return mw_error_errno(error, ENOMEM, "%s", path);
        }
        count += column_event(row, &events[count]);
    }
    if (code == 0 && step != SQLITE_DONE)
        code = mw_sql_error(db, path, error);
    if (code < 0) {
        free_events(events, count);
        return code;
    }
    *ret_events = events;
    *ret_count = count;
    return 0;
}

int limits_read(sqlite3 *db, const char *path, int64_t version, int64_t run,
                struct mw_limit **ret_limits, size_t *ret_count, struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    struct mw_limit *limits = NULL;
    size_t count = 0, room = 0;
    int code = 0, step = SQLITE_DONE;

    if (version >= first_version)
        code = prepare(db, path,
                       "SELECT process, since_us, name, place, value, window_us FROM run_limit"
                       " WHERE run = ?1 ORDER BY since_us, id",
                       &row, error);
    if (row)
        sqlite3_bind_int64(row, 1, run);
    while (row && (step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&limits, count, &room, sizeof *limits)) {
            free_limits(limits, count);
            return mw_error_errno(error, ENOMEM, "%s", path);
        }
        limits[count++] = column_limit(row);
    }
    if (code == 0 && step != SQLITE_DONE)
        code = mw_sql_error(db, path, error);
    if (code < 0) {
        free_limits(limits, count);
        return code;
    }
    *ret_limits = limits;
    *ret_count = count;
    return 0;
}
