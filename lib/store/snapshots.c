#include "store/snapshots.h"

#include "store/reader.h"
#include "store/rows.h"
#include "store/sql.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Files of earlier versions have no snapshots. */
static const int64_t first_version = 3;

/* --- writing ---------------------------------------------------------------------------------- */

static bool add_snapshot(sqlite3 *db, int64_t run, int64_t process,
                         const struct mw_snapshot *snapshot)
{
    mw_auto_statement sqlite3_stmt *row = NULL;

    if (sqlite3_prepare_v2(db,
                           "INSERT INTO snapshot (run, process, from_us, to_us, before)"
                           " VALUES (?1, ?2, ?3, ?4, iif(?5, (SELECT max(id) FROM snapshot"
                           "  WHERE run = ?1 AND process = ?2 AND before IS NULL), NULL))",
                           -1, &row, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_int64(row, 1, run);
    sqlite3_bind_int64(row, 2, process);
    sqlite3_bind_int64(row, 3, snapshot->from_us);
    sqlite3_bind_int64(row, 4, snapshot->to_us);
    sqlite3_bind_int(row, 5, snapshot->second);
    return sqlite3_step(row) == SQLITE_DONE;
}

static bool add_group(sqlite3_stmt *row, int position, const struct mw_mapping_group *group)
{
    sqlite3_reset(row);
    sqlite3_bind_int(row, 2, position);
    sqlite3_bind_text(row, 3, mw_mapping_kind_name(group->kind), -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 4, group->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 5, (int64_t)group->count);
    sqlite3_bind_int64(row, 6, (int64_t)group->resident_kib);
    sqlite3_bind_int64(row, 7, (int64_t)group->anonymous_kib);
    sqlite3_bind_int64(row, 8, (int64_t)group->swapped_kib);
    return sqlite3_step(row) == SQLITE_DONE;
}

bool snapshots_add(sqlite3 *db, int64_t run, int64_t process, const struct mw_snapshot *snapshot)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    bool done = add_snapshot(db, run, process, snapshot);
    int position = 0;

    if (!done || sqlite3_prepare_v2(db,
                                    "INSERT INTO mapping (snapshot, position, kind, name, mappings,"
                                    " resident_kib, anonymous_kib, swapped_kib)"
                                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                                    -1, &row, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_int64(row, 1, sqlite3_last_insert_rowid(db));
    for (size_t i = 0; done && i < snapshot->count; i++) {
        const struct mw_mapping_group *group = &snapshot->groups[i];

        if (group->resident_kib + group->swapped_kib > 0)
            done = add_group(row, position++, group);
    }
    return done;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A row is a mapping of the first or, IN_LATER, of the second snapshot of a pair. */
enum column { PROCESS, FROM, TO, IN_LATER, KIND, NAME, COUNT, RESIDENT, ANONYMOUS, SWAPPED };

static const char growth_sql[] =
    "SELECT early.process, early.from_us, late.from_us, snapshot IS late.id, kind, name, mappings,"
    " resident_kib, anonymous_kib, swapped_kib"
    " FROM snapshot AS early LEFT JOIN snapshot AS late ON late.before = early.id"
    " JOIN mapping ON snapshot IN (early.id, late.id)"
    " WHERE early.run = ?1 AND early.before IS NULL"
    " ORDER BY early.from_us, early.process, kind, name, early.id, late.id";

/* KiB as bytes; what no process can have becomes the most that one can. */
static int64_t column_bytes(sqlite3_stmt *row, int column)
{
    static const int64_t most_kib = INT64_C(1) << 50;
    int64_t kib = sqlite3_column_int64(row, column);

    return kib < 0 ? 0 : kib_to_bytes(kib < most_kib ? kib : most_kib);
}

static struct mw_mapping_use column_use(sqlite3_stmt *row)
{
    return (struct mw_mapping_use){
        .count = sqlite3_column_int64(row, COUNT),
        .resident_bytes = column_bytes(row, RESIDENT),
        .anonymous_bytes = column_bytes(row, ANONYMOUS),
        .swapped_bytes = column_bytes(row, SWAPPED),
    };
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether a row is of the same mappings as that before it. */
static bool goes_on(sqlite3_stmt *row, int kind, const struct mw_mapping_growth *growth)
{
    return growth->process == sqlite3_column_int64(row, PROCESS) &&
           growth->from_us == column_us(row, FROM) && growth->kind == (enum mw_mapping_kind)kind &&
           is_same_text(growth->name, (const char *)sqlite3_column_text(row, NAME));
}

/* Takes a row in; one whose kind is none that this memwatch knows is passed over. */
static size_t take_row(sqlite3_stmt *row, struct mw_mapping_growth *all, size_t count)
{
    const char *kind_name = (const char *)sqlite3_column_text(row, KIND);
    int kind = kind_name ? mw_mapping_kind_parse(kind_name) : -1;

    if (kind < 0)
        return count;
    if (count == 0 || !goes_on(row, kind, &all[count - 1]))
        all[count++] = (struct mw_mapping_growth){
            .process = sqlite3_column_int64(row, PROCESS),
            .from_us = column_us(row, FROM),
            .to_us = column_us(row, TO),
            .kind = (enum mw_mapping_kind)kind,
            .name = column_text(row, NAME),
        };
    if (sqlite3_column_int(row, IN_LATER))
        all[count - 1].to = column_use(row);
    else
        all[count - 1].from = column_use(row);
    return count;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Pair after pair; of each what grew most first, and of what grew alike that which had more. */
static int compare_growth(const void *a, const void *b)
{
    const struct mw_mapping_growth *first = a, *second = b;
    int order = compare(first->from_us, second->from_us);

    if (order == 0)
        order = compare(first->process, second->process);
    if (order == 0)
        order = compare(mw_mapping_growth_bytes(second), mw_mapping_growth_bytes(first));
    return order ? order : compare(second->from.resident_bytes, first->from.resident_bytes);
}

static void free_growth(struct mw_mapping_growth *growth, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mw_mapping_growth_clear(&growth[i]);
    free(growth);
}

int mw_reader_growth(struct mw_reader *reader, int64_t run, struct mw_mapping_growth **ret_growth,
                     size_t *ret_count, struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    struct mw_mapping_growth *growth = NULL;
    size_t count = 0, room = 0;
    int code = 0, step = SQLITE_DONE;

    if (reader->version >= first_version &&
        (code = rows_prepare(reader, growth_sql, &row, error)) < 0)
        return code;
    sqlite3_bind_int64(row, 1, run);
    while (row && (step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&growth, count, &room, sizeof *growth)) {
            free_growth(growth, count);
            return mw_error_errno(error, ENOMEM, "%s", reader->path);
        }
        count = take_row(row, growth, count);
    }
    if ((code = rows_end(reader, step, error)) < 0) {
        free_growth(growth, count);
        return code;
    }
    if (count > 0)
        qsort(growth, count, sizeof *growth, compare_growth);
    *ret_growth = growth;
    *ret_count = count;
    return 0;
}
