#include "store/prune.h"

#include "store/sql.h"
#include "util/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum statement {
    FIND_ROOT,
    FIND_LARGEST,
    COUNT_GIVEN_UP,
    NEXT_SERIES,
    HELD_SAMPLE,
    CUT_SAMPLES,
    DELETE_SAMPLES,
    DELETE_SERIES,
    NEXT_ROLLUP_SERIES,
    HELD_ROLLUP,
    CUT_ROLLUPS,
    DELETE_ROLLUPS,
    DELETE_ROLLUP_SERIES,
    NEXT_FUNCTION,
    CUT_CALLS,
    DELETE_CALLS,
    SET_STORED,
    NEXT_PROCESS,
    NEXT_SERIES_OF,
    NEXT_ROLLUP_SERIES_OF,
    DELETE_ARGUMENTS,
    DELETE_IMAGES,
    DELETE_LIMITS,
    DELETE_MAPPINGS_OF,
    DELETE_SNAPSHOTS_OF,
    DELETE_PROCESS,
    DELETE_GAPS,
    DELETE_CLOCKS,
    DELETE_EVENTS,
    DELETE_MAPPINGS,
    DELETE_SNAPSHOTS,
    STATEMENT_COUNT
};

/*
 * The NEXT statements give a row's id, and for series the time from which it counts, its level's
 * from_us and number, and whether nothing of it holds at that time any more.
 */
static const char *const sql[STATEMENT_COUNT] = {
    [FIND_ROOT] = "SELECT min(id) FROM process WHERE run = ?1",
    [FIND_LARGEST] = "SELECT id FROM process WHERE run = ?1 ORDER BY peak_kib DESC LIMIT 1",
    [COUNT_GIVEN_UP] = "INSERT INTO given_up (run, count, until_us, kind) VALUES (?1, ?2, ?3, ?4)"
                       " ON CONFLICT (run, kind) DO UPDATE SET count = count + excluded.count,"
                       " until_us = max(until_us, excluded.until_us)",

    [NEXT_SERIES] =
        "SELECT id, since_us, ?3, 0, EXISTS (SELECT 1 FROM series AS next WHERE next.run = ?1"
        " AND next.process IS series.process AND next.metric = series.metric"
        " AND next.since_us > series.since_us AND next.since_us <= ?3)"
        " OR EXISTS (SELECT 1 FROM process WHERE process.id = series.process AND end_us < ?3)"
        " FROM series WHERE run = ?1 AND id > ?2 AND since_us < ?3 ORDER BY id LIMIT 1",
    [HELD_SAMPLE] = "SELECT max(dt_us) FROM sample WHERE series = ?1 AND dt_us < ?2",
    [CUT_SAMPLES] = "SELECT dt_us FROM sample WHERE series = ?1 AND dt_us < ?2"
                    " ORDER BY dt_us LIMIT 1 OFFSET ?3",
    [DELETE_SAMPLES] = "DELETE FROM sample WHERE series = ?1 AND dt_us < ?2",
    /* The first of the tree stays: it says from when on the tree is more than its first process. */
    [DELETE_SERIES] = "DELETE FROM series WHERE id = ?1"
                      " AND NOT EXISTS (SELECT 1 FROM sample WHERE series = ?1)"
                      " AND (process IS NOT NULL OR EXISTS (SELECT 1 FROM series AS before"
                      "  WHERE before.run = series.run AND before.process IS NULL"
                      "  AND before.metric = series.metric AND before.since_us < series.since_us))",

    [NEXT_ROLLUP_SERIES] =
        "SELECT id, 0, from_us, (SELECT count(*) FROM level AS finer WHERE finer.run = ?1"
        "  AND finer.bucket_us < rollup_series.bucket_us), EXISTS (SELECT 1 FROM process"
        "  WHERE process.id = rollup_series.process AND end_us < from_us)"
        " FROM rollup_series JOIN level USING (run, bucket_us)"
        " WHERE run = ?1 AND id > ?2 AND from_us > 0 ORDER BY id LIMIT 1",
    [HELD_ROLLUP] = "SELECT max(t_us) FROM rollup WHERE series = ?1 AND t_us < ?2",
    [CUT_ROLLUPS] = "SELECT t_us FROM rollup WHERE series = ?1 AND t_us < ?2"
                    " ORDER BY t_us LIMIT 1 OFFSET ?3",
    [DELETE_ROLLUPS] = "DELETE FROM rollup WHERE series = ?1 AND t_us < ?2",
    [DELETE_ROLLUP_SERIES] = "DELETE FROM rollup_series WHERE id = ?1"
                             " AND NOT EXISTS (SELECT 1 FROM rollup WHERE series = ?1)",

    [NEXT_FUNCTION] = "SELECT id FROM function WHERE run = ?1 AND id > ?2 ORDER BY id LIMIT 1",
    [CUT_CALLS] = "SELECT enter_us FROM call WHERE function = ?1 AND enter_us >= ?4"
                  " AND enter_us < ?2 ORDER BY enter_us LIMIT 1 OFFSET ?3",
    [DELETE_CALLS] = "DELETE FROM call WHERE function = ?1 AND enter_us >= ?3 AND enter_us < ?2"
                     " AND enter_us + (duration_ns + suspended_ns) / 1000 < ?4",

    [SET_STORED] = "UPDATE function SET stored = stored - ?2 WHERE id = ?1",

    /* Whether it goes, whether it ran programs before its last, which that was, and its start. The
     * last of all stays, or else the next would get its id. */
    [NEXT_PROCESS] =
        "SELECT id, end_us IS NOT NULL AND id <> ?3 AND id <> ?4"
        "  AND id < (SELECT max(id) FROM process) AND (id <= ?5 OR (end_us < ?6"
        "  AND NOT EXISTS (SELECT 1 FROM rollup_series JOIN level USING (run, bucket_us)"
        "   WHERE run = ?1 AND rollup_series.process = process.id AND end_us >= from_us))),"
        " (SELECT min(since_us) < ?7 AND count(*) > 1 FROM image WHERE image.process = process.id),"
        " (SELECT max(id) FROM image WHERE image.process = process.id), start_us"
        " FROM process WHERE run = ?1 AND id > ?2 ORDER BY id LIMIT 1",
    [NEXT_SERIES_OF] = "SELECT id, 0 FROM series WHERE run = ?1 AND process = ?2 LIMIT 1",
    [NEXT_ROLLUP_SERIES_OF] = "SELECT id, (SELECT count(*) FROM level WHERE level.run = ?1"
                              " AND level.bucket_us < rollup_series.bucket_us) FROM rollup_series"
                              " WHERE run = ?1 AND process = ?2 LIMIT 1",
    [DELETE_ARGUMENTS] =
        "DELETE FROM argument WHERE image IN"
        " (SELECT id FROM image WHERE process = ?1 AND since_us < ?2 AND id <= ?3)",
    [DELETE_IMAGES] = "DELETE FROM image WHERE process = ?1 AND since_us < ?2 AND id <= ?3",
    [DELETE_LIMITS] = "DELETE FROM run_limit WHERE run = ?1 AND process = ?2",
    [DELETE_MAPPINGS_OF] = "DELETE FROM mapping WHERE snapshot IN"
                           " (SELECT id FROM snapshot WHERE run = ?1 AND process = ?2)",
    [DELETE_SNAPSHOTS_OF] = "DELETE FROM snapshot WHERE run = ?1 AND process = ?2",
    [DELETE_PROCESS] = "DELETE FROM process WHERE id = ?1",

    /* Between two moments, and shorter than so much. */
    [DELETE_GAPS] = "DELETE FROM gap WHERE run = ?1 AND from_us IN (SELECT from_us FROM gap"
                    " WHERE run = ?1 AND from_us >= ?2 AND to_us <= ?3 AND to_us - from_us < ?4"
                    " LIMIT ?5)",
    /* The last of each stretch of time of that length stays. */
    [DELETE_CLOCKS] =
        "DELETE FROM clock WHERE run = ?1 AND t_us IN (SELECT t_us FROM clock AS old"
        " WHERE run = ?1 AND t_us > 0 AND t_us >= ?2 AND t_us < ?3 AND EXISTS (SELECT 1 FROM clock"
        "  WHERE run = ?1 AND t_us > old.t_us AND t_us / ?4 = old.t_us / ?4) LIMIT ?5)",
    [DELETE_EVENTS] = "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE run = ?1"
                      " AND t_us >= ?2 AND t_us < ?3 AND ?4 > 0 LIMIT ?5)",
    [DELETE_MAPPINGS] =
        "DELETE FROM mapping WHERE snapshot IN (SELECT id FROM snapshot WHERE run = ?1"
        " AND from_us >= ?2 AND from_us < ?3 AND ?4 > 0 LIMIT ?5)",
    [DELETE_SNAPSHOTS] = "DELETE FROM snapshot WHERE id IN (SELECT id FROM snapshot WHERE run = ?1"
                         " AND from_us >= ?2 AND from_us < ?3 AND ?4 > 0 LIMIT ?5)",
};

/* A table of values, and that of its series. */
struct values {
    enum statement held, cut, delete_values, delete_series;
};

static const struct values samples = {HELD_SAMPLE, CUT_SAMPLES, DELETE_SAMPLES, DELETE_SERIES};
static const struct values rollups = {HELD_ROLLUP, CUT_ROLLUPS, DELETE_ROLLUPS,
                                      DELETE_ROLLUP_SERIES};

enum phase { CALLS, SAMPLES, ROLLUPS, PROCESSES, REST, DONE };

struct pruner {
    sqlite3 *db;
    const char *path;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    int64_t run;
    int64_t bucket_us[MW_KEEP_MOST_LEVELS];
    size_t levels;
    struct prune_horizons horizons;
    enum phase phase;
    int64_t cursor;   /* the last row that the phase is through with */
    int64_t calls_us; /* up to where it is through with the calls of the next function */
    int64_t root, largest;
    int64_t deleted[PRUNE_KINDS];
    struct gone {
        int64_t function, calls;
    } * gone; /* by function */
    size_t gone_count, gone_room;
};

int pruner_new(struct pruner **ret_pruner, sqlite3 *db, const char *path, struct mw_error *error)
{
    struct pruner *pruner = calloc(1, sizeof *pruner);

    if (!pruner)
        return mw_error_errno(error, ENOMEM, "%s", path);
    *ret_pruner = pruner;
    pruner->db = db;
    pruner->path = path;
    pruner->phase = DONE;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &pruner->statements[i],
                               NULL) != SQLITE_OK)
            return mw_sql_error(db, path, error);
    }
    return 0;
}

void pruner_free(struct pruner *pruner)
{
    if (!pruner)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(pruner->statements[i]);
    free(pruner->gone);
    free(pruner);
}

void pruner_begin(struct pruner *pruner, int64_t run, const struct mw_keep *keep)
{
    pruner->run = run;
    pruner->levels = keep->count;
    for (size_t i = 0; i < keep->count; i++)
        pruner->bucket_us[i] = keep->levels[i].bucket_us;
    pruner->phase = DONE;
    pruner->root = 0;
    memset(pruner->deleted, 0, sizeof pruner->deleted);
    pruner->gone_count = 0;
}

bool pruner_is_done(const struct pruner *pruner)
{
    return pruner->phase == DONE;
}

int64_t pruner_deleted(const struct pruner *pruner, size_t kind)
{
    return pruner->deleted[kind];
}

/* --- statements ------------------------------------------------------------------------------- */

#define BIND(pruner, which, ...)                                                                   \
    bind((pruner)->statements[which], (const int64_t[]){__VA_ARGS__},                              \
         sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static sqlite3_stmt *bind(sqlite3_stmt *statement, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sqlite3_bind_int64(statement, (int)i + 1, numbers[i]);
    return statement;
}

/* Reads the first row's numbers: 1, 0 where there is none, or an error. */
static int look_up(struct pruner *pruner, sqlite3_stmt *statement, int64_t *numbers, int count,
                   struct mw_error *error)
{
    int step = sqlite3_step(statement), code = step == SQLITE_ROW;

    for (int i = 0; code == 1 && i < count; i++)
        numbers[i] = sqlite3_column_int64(statement, i);
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        code = mw_sql_error(pruner->db, pruner->path, error);
    sqlite3_reset(statement);
    return code;
}

/* Runs what deletes; the number of rows that it deleted, or an error. */
static int64_t change(struct pruner *pruner, sqlite3_stmt *statement, struct mw_error *error)
{
    int code = 0;

    if (sqlite3_step(statement) != SQLITE_DONE)
        code = mw_sql_error(pruner->db, pruner->path, error);
    sqlite3_reset(statement);
    return code < 0 ? code : sqlite3_changes64(pruner->db);
}

static int count_given_up(struct pruner *pruner, const char *kind, int64_t count, int64_t until_us,
                          struct mw_error *error)
{
    sqlite3_stmt *statement = BIND(pruner, COUNT_GIVEN_UP, pruner->run, count, until_us);

    int64_t changed;

    if (count == 0)
        return 0;
    sqlite3_bind_text(statement, 4, kind, -1, SQLITE_STATIC);
    changed = change(pruner, statement, error);
    return changed < 0 ? (int)changed : 0;
}

/* --- samples and their levels ------------------------------------------------------------------
 */

/*
 * Deletes the values of a series before a moment, at most about *rows of them, of which it leaves
 * the rest. 1 when nothing is left to do, 0, or an error.
 */
static int delete_values(struct pruner *pruner, const struct values *table, size_t kind,
                         int64_t series, int64_t before, int64_t *rows, struct mw_error *error)
{
    int64_t cut = before, deleted;
    int code = look_up(pruner, BIND(pruner, table->cut, series, before, *rows), &cut, 1, error);

    if (code < 0)
        return code;
    deleted = change(pruner, BIND(pruner, table->delete_values, series, cut), error);
    if (deleted < 0)
        return (int)deleted;
    pruner->deleted[kind] += deleted;
    *rows -= deleted + 1;
    return code == 0;
}

/* Deletes what the next series of a table has before its horizon. 1 when there is none. */
static int prune_series(struct pruner *pruner, sqlite3_stmt *next, const struct values *table,
                        int64_t *rows, struct mw_error *error)
{
    enum { ID, SINCE, FROM, LEVEL, ENDED, COLUMNS };
    int64_t row[COLUMNS] = {0}, before;
    int code = look_up(pruner, next, row, COLUMNS, error);

    if (code <= 0)
        return code < 0 ? code : 1;
    before = row[FROM] - row[SINCE];
    if (!row[ENDED] &&
        (code = look_up(pruner, BIND(pruner, table->held, row[ID], before), &before, 1, error)) < 0)
        return code;
    if ((code = delete_values(pruner, table, (size_t)row[LEVEL], row[ID], before, rows, error)) <=
        0)
        return code;
    pruner->cursor = row[ID];
    if (row[ENDED])
        code = (int)change(pruner, BIND(pruner, table->delete_series, row[ID]), error);
    return code < 0 ? code : 0;
}

static int prune_samples(struct pruner *pruner, int64_t *rows, struct mw_error *error)
{
    sqlite3_stmt *next =
        BIND(pruner, NEXT_SERIES, pruner->run, pruner->cursor, pruner->horizons.from_us[0]);

    return prune_series(pruner, next, &samples, rows, error);
}

static int prune_rollups(struct pruner *pruner, int64_t *rows, struct mw_error *error)
{
    sqlite3_stmt *next = BIND(pruner, NEXT_ROLLUP_SERIES, pruner->run, pruner->cursor);

    return prune_series(pruner, next, &rollups, rows, error);
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Where a function is among those of which calls were deleted, or would be. */
static size_t place_of(const struct pruner *pruner, int64_t function)
{
    size_t low = 0, high = pruner->gone_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (pruner->gone[middle].function < function)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t pruner_deleted_calls(const struct pruner *pruner, int64_t function)
{
    size_t at = place_of(pruner, function);

    return at < pruner->gone_count && pruner->gone[at].function == function ? pruner->gone[at].calls
                                                                            : 0;
}

/* Whoever stores the aggregates anew asks for what was counted here. */
static int count_calls(struct pruner *pruner, int64_t function, int64_t calls,
                       struct mw_error *error)
{
    size_t at = place_of(pruner, function);
    int64_t code;

    if (calls == 0)
        return 0;
    if (at == pruner->gone_count || pruner->gone[at].function != function) {
        if (!mw_array_reserve(&pruner->gone, pruner->gone_count, &pruner->gone_room,
                              sizeof *pruner->gone))
            return mw_error_errno(error, ENOMEM, "%s", pruner->path);
        memmove(pruner->gone + at + 1, pruner->gone + at,
                (pruner->gone_count - at) * sizeof *pruner->gone);
        pruner->gone[at] = (struct gone){.function = function};
        pruner->gone_count++;
    }
    pruner->gone[at].calls += calls;
    pruner->deleted[PRUNE_CALLS] += calls;
    code = change(pruner, BIND(pruner, SET_STORED, function, calls), error);
    return code < 0 ? (int)code
                    : count_given_up(pruner, "call", calls, pruner->horizons.calls_us, error);
}

/* Deletes calls of the next function. 1 when there is none. */
static int prune_calls(struct pruner *pruner, int64_t *rows, struct mw_error *error)
{
    int64_t function, cut = pruner->horizons.calls_us, deleted;
    int more, code = look_up(pruner, BIND(pruner, NEXT_FUNCTION, pruner->run, pruner->cursor),
                             &function, 1, error);

    if (code <= 0)
        return code < 0 ? code : 1;
    more = look_up(pruner, BIND(pruner, CUT_CALLS, function, cut, *rows, pruner->calls_us), &cut, 1,
                   error);
    if (more < 0)
        return more;
    if (more && cut <= pruner->calls_us) /* more calls began at that moment than go at once */
        cut = pruner->calls_us + 1;
    deleted = change(
        pruner,
        BIND(pruner, DELETE_CALLS, function, cut, pruner->calls_us, pruner->horizons.calls_us),
        error);
    if (deleted < 0)
        return (int)deleted;
    *rows -= deleted + 1;
    pruner->calls_us = more ? cut : 0;
    if (!more)
        pruner->cursor = function;
    return count_calls(pruner, function, deleted, error);
}

/* --- processes -------------------------------------------------------------------------------- */

/* Deletes the programs that a process ran, up to a row and a moment. */
static int delete_images(struct pruner *pruner, int64_t process, int64_t before_us,
                         int64_t last_image, int64_t *rows, struct mw_error *error)
{
    int64_t arguments =
        change(pruner, BIND(pruner, DELETE_ARGUMENTS, process, before_us, last_image), error);
    int64_t images;

    if (arguments < 0)
        return (int)arguments;
    images = change(pruner, BIND(pruner, DELETE_IMAGES, process, before_us, last_image), error);
    if (images < 0)
        return (int)images;
    *rows -= arguments + images;
    if (last_image == INT64_MAX)
        return 0;
    pruner->deleted[PRUNE_REST] += images;
    return count_given_up(pruner, "image", images, before_us, error);
}

/* Deletes all values of a process. 1 when nothing is left, 0, or an error. */
static int delete_values_of(struct pruner *pruner, int64_t process, int64_t *rows,
                            struct mw_error *error)
{
    static const struct {
        enum statement next;
        const struct values *table;
    } tables[] = {{NEXT_SERIES_OF, &samples}, {NEXT_ROLLUP_SERIES_OF, &rollups}};

    for (size_t i = 0; i < MW_COUNT(tables); i++) {
        int64_t series[2] = {0};
        int code;

        while ((code = look_up(pruner, BIND(pruner, tables[i].next, pruner->run, process), series,
                               2, error)) == 1) {
            code = delete_values(pruner, tables[i].table, (size_t)series[1], series[0], INT64_MAX,
                                 rows, error);
            if (code <= 0)
                return code;
            if ((code = (int)change(pruner, BIND(pruner, tables[i].table->delete_series, series[0]),
                                    error)) < 0)
                return code;
        }
        if (code < 0)
            return code;
    }
    return 1;
}

/* What holds for a process, and is not of its values: there is little of it. */
static int delete_facts_of(struct pruner *pruner, int64_t process, struct mw_error *error)
{
    static const enum statement statements[] = {DELETE_LIMITS, DELETE_MAPPINGS_OF,
                                                DELETE_SNAPSHOTS_OF};
    int64_t deleted = 0;

    for (size_t i = 0; deleted >= 0 && i < MW_COUNT(statements); i++)
        deleted = change(pruner, BIND(pruner, statements[i], pruner->run, process), error);
    return deleted < 0 ? (int)deleted : 0;
}

static int delete_process(struct pruner *pruner, int64_t process, int64_t start_us, int64_t *rows,
                          struct mw_error *error)
{
    int code = delete_values_of(pruner, process, rows, error);

    if (code <= 0)
        return code;
    if ((code = delete_images(pruner, process, INT64_MAX, INT64_MAX, rows, error)) < 0 ||
        (code = delete_facts_of(pruner, process, error)) < 0 ||
        (code = (int)change(pruner, BIND(pruner, DELETE_PROCESS, process), error)) < 0)
        return code;
    pruner->deleted[PRUNE_PROCESSES]++;
    pruner->cursor = process;
    return count_given_up(pruner, "process", 1, start_us + 1, error);
}

/* Deletes the next process if it is to go, and of others old programs. 1 when there is none. */
static int prune_processes(struct pruner *pruner, int64_t *rows, struct mw_error *error)
{
    enum { ID, GOES, HAS_OLD, LAST_IMAGE, START, COLUMNS };
    const struct prune_horizons *horizons = &pruner->horizons;
    int64_t row[COLUMNS] = {0};
    int64_t images_us =
        horizons->from_us[0] > horizons->rest_us ? horizons->from_us[0] : horizons->rest_us;
    int code =
        look_up(pruner,
                BIND(pruner, NEXT_PROCESS, pruner->run, pruner->cursor, pruner->root,
                     pruner->largest, horizons->processes_id, horizons->from_us[0], images_us),
                row, COLUMNS, error);

    if (code <= 0)
        return code < 0 ? code : 1;
    --*rows;
    if (row[GOES])
        return delete_process(pruner, row[ID], row[START], rows, error);
    pruner->cursor = row[ID];
    if (row[HAS_OLD])
        return delete_images(pruner, row[ID], images_us, row[LAST_IMAGE] - 1, rows, error);
    return 0;
}

/* --- the rest --------------------------------------------------------------------------------- */

/* Deletes rows of a table between two moments that are shorter, or have a later one within so much
 * time. */
static int delete_rest(struct pruner *pruner, enum statement which, const char *kind,
                       int64_t from_us, int64_t until_us, int64_t within_us, int64_t *rows,
                       struct mw_error *error)
{
    int64_t most = *rows > 0 ? *rows : 1, deleted;

    if (until_us <= from_us)
        return 0;
    deleted =
        change(pruner, BIND(pruner, which, pruner->run, from_us, until_us, within_us, most), error);
    if (deleted < 0)
        return (int)deleted;
    *rows -= deleted + 1;
    pruner->deleted[PRUNE_REST] += deleted;
    return count_given_up(pruner, kind, deleted, until_us, error);
}

/* Their mappings first, so that none is left over when this is interrupted. */
static int delete_snapshots(struct pruner *pruner, int64_t *rows, struct mw_error *error)
{
    int64_t until_us = pruner->horizons.rest_us, most = *rows > 0 ? *rows : 1;
    int64_t mappings, snapshots;

    if (until_us <= 0)
        return 0;
    mappings =
        change(pruner, BIND(pruner, DELETE_MAPPINGS, pruner->run, 0, until_us, 1, most), error);
    if (mappings < 0)
        return (int)mappings;
    snapshots =
        change(pruner, BIND(pruner, DELETE_SNAPSHOTS, pruner->run, 0, until_us, 1, most), error);
    if (snapshots < 0)
        return (int)snapshots;
    *rows -= mappings + snapshots;
    pruner->deleted[PRUNE_REST] += snapshots;
    return count_given_up(pruner, "snapshot", snapshots, until_us, error);
}

/*
 * Gaps that are shorter than the buckets which are left say no more than these; of clocks one for
 * each bucket is enough. 1 when all is done.
 */
static int prune_rest(struct pruner *pruner, int64_t *rows, struct mw_error *error)
{
    const struct prune_horizons *horizons = &pruner->horizons;
    int code = 0;

    for (size_t level = pruner->levels; code == 0 && *rows > 0 && level-- > 0;) {
        bool last = level + 1 == pruner->levels;
        int64_t within_us = last ? INT64_MAX : pruner->bucket_us[level + 1];
        int64_t from_us = last ? 0 : horizons->from_us[level + 1];

        code = delete_rest(pruner, DELETE_GAPS, "gap", from_us, horizons->from_us[level], within_us,
                           rows, error);
        if (code == 0)
            code = delete_rest(pruner, DELETE_CLOCKS, "clock", from_us, horizons->from_us[level],
                               within_us, rows, error);
    }
    if (code == 0)
        code =
            delete_rest(pruner, DELETE_GAPS, "gap", 0, horizons->rest_us, INT64_MAX, rows, error);
    if (code == 0)
        code = delete_rest(pruner, DELETE_CLOCKS, "clock", 0, horizons->rest_us, INT64_MAX, rows,
                           error);
    if (code == 0)
        code = delete_rest(pruner, DELETE_EVENTS, "event", 0, horizons->rest_us, INT64_MAX, rows,
                           error);
    if (code == 0)
        code = delete_snapshots(pruner, rows, error);
    return code < 0 ? code : *rows > 0;
}

/* --- the sweep -------------------------------------------------------------------------------- */

int pruner_start(struct pruner *pruner, const struct prune_horizons *horizons,
                 struct mw_error *error)
{
    int code;

    pruner->horizons = *horizons;
    pruner->phase = CALLS;
    pruner->cursor = pruner->calls_us = 0;
    pruner->largest = 0;
    code = look_up(pruner, BIND(pruner, FIND_LARGEST, pruner->run), &pruner->largest, 1, error);
    if (code >= 0 && pruner->root == 0)
        code = look_up(pruner, BIND(pruner, FIND_ROOT, pruner->run), &pruner->root, 1, error);
    return code < 0 ? code : 0;
}

int pruner_step(struct pruner *pruner, int64_t rows, struct mw_error *error)
{
    static int (*const phases[])(struct pruner *, int64_t *, struct mw_error *) = {
        [CALLS] = prune_calls,         [SAMPLES] = prune_samples, [ROLLUPS] = prune_rollups,
        [PROCESSES] = prune_processes, [REST] = prune_rest,
    };
    int code = 0;

    while (code >= 0 && rows > 0 && pruner->phase != DONE) {
        code = phases[pruner->phase](pruner, &rows, error);
        if (code == 1) {
            pruner->phase++;
            pruner->cursor = 0;
        }
    }
    return code < 0 ? code : 0;
}
