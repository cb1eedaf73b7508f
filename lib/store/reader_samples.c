#include "store/reader.h"
#include "store/rows.h"
#include "store/sql.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One level of the series that is read, the finest first. */
struct level {
    int64_t bucket_us;         /* 0: every sample */
    int64_t from_us, until_us; /* what it knows: up to until_us, which is not included */
    int64_t series;            /* of the table rollup */
};

struct reading {
    struct mw_reader *reader;
    const struct mw_series_window *window;
    mw_sample_fn *give;
    void *context;
    struct mw_error *error;
    sqlite3_stmt *samples, *rollups; /* prepared when they are needed */
    int64_t process;                 /* that is being read */
    struct level levels[MW_KEEP_MOST_LEVELS];
    size_t level_count, wanted; /* wanted: the coarsest that is fine enough */
};

/* A sum of numbers from a file that may be hostile: held at the ends of the range. */
static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

static int prepare(struct reading *reading, const char *sql, sqlite3_stmt **statement)
{
    return *statement ? 0 : rows_prepare(reading->reader, sql, statement, reading->error);
}

static int end_of_rows(struct reading *reading, int step)
{
    return rows_end(reading->reader, step, reading->error);
}

static void bind_process(sqlite3_stmt *statement, int position, int64_t process)
{
    if (process == MW_PROCESS_TREE)
        sqlite3_bind_null(statement, position);
    else
        sqlite3_bind_int64(statement, position, process);
}

static void bind_series(const struct reading *reading, sqlite3_stmt *statement)
{
    sqlite3_bind_int64(statement, 1, reading->window->run);
    bind_process(statement, 2, reading->process);
    sqlite3_bind_text(statement, 3, mw_metric_name(reading->window->metric), -1, SQLITE_STATIC);
}

/* --- every sample ----------------------------------------------------------------------------- */

/* Gives the samples of one row of the table series that lie in the window, and the one that holds
 * where it begins if that is wanted. */
static int give_stretch(struct reading *reading, int64_t series, int64_t since_us, int64_t from_us,
                        int64_t to_us, bool held)
{
    sqlite3_stmt *row = reading->samples;
    int code = 0, step;

    sqlite3_bind_int64(row, 1, series);
    sqlite3_bind_int64(row, 2, add(from_us, -since_us));
    sqlite3_bind_int64(row, 3, add(to_us, -since_us));
    sqlite3_bind_int(row, 4, held);
    while (code == 0 && (step = sqlite3_step(row)) == SQLITE_ROW) {
        struct mw_sample sample = mw_sample_at(add(since_us, column_us(row, 0)),
                                               kib_to_bytes(sqlite3_column_int64(row, 1)));

        code = reading->give(reading->context, &sample);
    }
    sqlite3_reset(row);
    return code != 0 ? code : end_of_rows(reading, step);
}

/* Each row of the table series ends where the next begins. */
static int give_samples(struct reading *reading, int64_t from_us, int64_t to_us, bool held)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    int64_t series = 0, since_us = 0;
    bool any = false;
    int code, step;

    if ((code = prepare(reading,
                        "SELECT id, since_us FROM series WHERE run = ?1 AND process IS ?2"
                        " AND metric = ?3 AND since_us >= 0 ORDER BY since_us, id",
                        &row)) < 0 ||
        (code = prepare(reading,
                        "SELECT dt_us, kib FROM sample WHERE series = ?1 AND dt_us BETWEEN"
                        " CASE WHEN ?4 THEN coalesce((SELECT max(dt_us) FROM sample"
                        "  WHERE series = ?1 AND dt_us <= ?2), 0) ELSE ?2 END AND ?3"
                        " ORDER BY dt_us",
                        &reading->samples)) < 0)
        return code;
    bind_series(reading, row);
    do {
        int64_t next_us;

        step = sqlite3_step(row);
        next_us = step == SQLITE_ROW ? column_us(row, 1) : INT64_MAX;
        if (any && next_us > from_us && since_us <= to_us)
            code = give_stretch(reading, series, since_us, from_us,
                                step != SQLITE_ROW || to_us < next_us ? to_us : next_us - 1, held);
        if (step == SQLITE_ROW) {
            series = sqlite3_column_int64(row, 0);
            since_us = next_us;
            any = true;
        }
    } while (code == 0 && step == SQLITE_ROW);
    return code != 0 ? code : end_of_rows(reading, step);
}

/* --- coarser levels --------------------------------------------------------------------------- */

static int64_t bucket_start(const struct level *level, int64_t t_us)
{
    int64_t into_us = t_us % level->bucket_us;

    return t_us - (into_us < 0 ? into_us + level->bucket_us : into_us);
}

/* A row of the table rollup; what it says begins with its bucket, or after the row before. */
static struct mw_sample column_sample(sqlite3_stmt *row, const struct level *level,
                                      int64_t before_us)
{
    int64_t t_us = column_us(row, 0), kib = sqlite3_column_int64(row, 1);
    int64_t below_kib = sqlite3_column_int64(row, 2), above_kib = sqlite3_column_int64(row, 3);
    int64_t count = sqlite3_column_int64(row, 4), start_us;
    struct mw_sample sample = mw_sample_at(t_us, kib_to_bytes(kib));

    if (count <= 1)
        return sample;
    start_us = bucket_start(level, t_us);
    sample.count = (uint64_t)count;
    start_us = start_us > before_us ? start_us : before_us;
    sample.from_us = start_us < t_us ? start_us : t_us;
    sample.low_bytes = kib_to_bytes(add(kib, below_kib > 0 ? -below_kib : 0));
    sample.high_bytes = kib_to_bytes(add(kib, above_kib > 0 ? above_kib : 0));
    return sample;
}

/* The bucket in which the window ends may have its row behind it. */
static int give_rollups(struct reading *reading, const struct level *level, int64_t from_us,
                        int64_t to_us, bool held, bool whole_bucket)
{
    int64_t before_us = held ? INT64_MIN : from_us, last_us = to_us;
    sqlite3_stmt *row;
    int code, step;

    if ((code = prepare(reading,
                        "SELECT t_us, last_kib, below_kib, above_kib, count FROM rollup"
                        " WHERE series = ?1 AND t_us BETWEEN CASE WHEN ?4 THEN"
                        "  coalesce((SELECT max(t_us) FROM rollup WHERE series = ?1"
                        "   AND t_us <= ?2), ?2) ELSE ?2 END AND ?3 ORDER BY t_us",
                        &reading->rollups)) < 0)
        return code;
    row = reading->rollups;
    if (whole_bucket)
        last_us = add(bucket_start(level, to_us), level->bucket_us - 1);
    sqlite3_bind_int64(row, 1, level->series);
    sqlite3_bind_int64(row, 2, from_us);
    sqlite3_bind_int64(row, 3, last_us);
    sqlite3_bind_int(row, 4, held);
    while (code == 0 && (step = sqlite3_step(row)) == SQLITE_ROW) {
        struct mw_sample sample = column_sample(row, level, before_us);

        if (sample.t_us <= from_us && held) /* only what holds then is of interest */
            sample = mw_sample_at(sample.t_us, sample.bytes);
        before_us = sample.t_us;
        code = reading->give(reading->context, &sample);
    }
    sqlite3_reset(row);
    return code != 0 ? code : end_of_rows(reading, step);
}

/* --- which level when ------------------------------------------------------------------------- */

/* A level of which the series has no rows is none; that of all samples always is one. */
static int find_levels(struct reading *reading)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    int code = 0, step = SQLITE_DONE;

    reading->levels[0] = (struct level){0, INT64_MIN, INT64_MAX, 0};
    reading->level_count = 1;
    reading->wanted = 0;
    if (reading->reader->version < LEVELS_VERSION)
        return 0;
    code = prepare(reading,
                   "SELECT bucket_us, from_us, until_us, (SELECT min(id) FROM rollup_series"
                   " WHERE rollup_series.run = ?1 AND process IS ?2 AND metric = ?3"
                   " AND rollup_series.bucket_us = level.bucket_us) AS series"
                   " FROM level WHERE run = ?1 AND bucket_us >= 0"
                   " AND (bucket_us = 0 OR series IS NOT NULL) ORDER BY bucket_us",
                   &row);
    if (code < 0)
        return code;
    bind_series(reading, row);
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        struct level level = {column_us(row, 0), column_us(row, 1), column_us(row, 2),
                              sqlite3_column_int64(row, 3)};

        if (level.bucket_us == 0) {
            reading->levels[0].from_us = level.from_us > 0 ? level.from_us : INT64_MIN;
        } else if (reading->level_count < MW_COUNT(reading->levels)) {
            if (level.bucket_us <= reading->window->grain_us)
                reading->wanted = reading->level_count;
            if (level.from_us <= 0)
                level.from_us = INT64_MIN;
            reading->levels[reading->level_count++] = level;
        }
    }
    return end_of_rows(reading, step);
}

static bool knows(const struct level *level, int64_t t_us)
{
    return level->from_us <= t_us && t_us < level->until_us;
}

/* The level at a place in the order of preference: the wanted one, the finer ones, the coarser. */
static const struct level *preferred(const struct reading *reading, size_t place)
{
    return &reading->levels[place <= reading->wanted ? reading->wanted - place : place];
}

/* The level to read at a moment, and the last moment to read it for; NULL where none knows it. */
static const struct level *choose(const struct reading *reading, int64_t t_us, int64_t *ret_last)
{
    const struct level *chosen = NULL;
    int64_t until_us = INT64_MAX;

    for (size_t place = 0; place < reading->level_count && !chosen; place++) {
        const struct level *level = preferred(reading, place);

        if (knows(level, t_us)) {
            chosen = level;
            until_us = level->until_us < until_us ? level->until_us : until_us;
        } else if (level->from_us > t_us && level->from_us < until_us) {
            until_us = level->from_us; /* from there on it is the better one */
        }
    }
    *ret_last = until_us == INT64_MAX ? INT64_MAX : until_us - 1;
    return chosen;
}

/* Gives a part of the window, from the levels that know it. */
static int give_part(struct reading *reading, int64_t process, int64_t from_us, int64_t to_us)
{
    bool held = true;
    int code;

    reading->process = process;
    if ((code = find_levels(reading)) < 0)
        return code;
    for (bool ends = from_us > to_us; code == 0 && !ends;) {
        int64_t last_us;
        const struct level *level = choose(reading, from_us, &last_us);

        ends = last_us >= to_us;
        if (level && level->bucket_us == 0)
            code = give_samples(reading, from_us, ends ? to_us : last_us, held);
        else if (level)
            code = give_rollups(reading, level, from_us, ends ? to_us : last_us, held, ends);
        held = held && !level;
        from_us = ends ? to_us : last_us + 1;
    }
    return code;
}

/* A number that a statement with the run and the metric returns; the other where it is null. */
static int look_up(struct reading *reading, const char *sql, int64_t other, int64_t *ret_number)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    int code = prepare(reading, sql, &row);

    if (code < 0)
        return code;
    sqlite3_bind_int64(row, 1, reading->window->run);
    sqlite3_bind_text(row, 2, mw_metric_name(reading->window->metric), -1, SQLITE_STATIC);
    if (sqlite3_step(row) != SQLITE_ROW)
        return end_of_rows(reading, SQLITE_ERROR);
    *ret_number = sqlite3_column_type(row, 0) == SQLITE_NULL ? other : sqlite3_column_int64(row, 0);
    return 0;
}

/* The tree is its first process until its own series begins. */
static int give_tree(struct reading *reading)
{
    const struct mw_series_window *window = reading->window;
    int64_t began_us = INT64_MAX, first = 0;
    int code;

    if ((code = look_up(reading,
                        "SELECT min(since_us) FROM series WHERE run = ?1 AND process IS NULL"
                        " AND metric = ?2 AND since_us >= 0",
                        INT64_MAX, &began_us)) < 0 ||
        (code = look_up(reading, "SELECT min(id) FROM process WHERE run = ?1 AND ?2 > ''", 0,
                        &first)) < 0)
        return code;
    if (began_us > window->from_us)
        code = give_part(reading, first, window->from_us,
                         window->to_us < began_us ? window->to_us : began_us - 1);
    if (code == 0 && window->to_us >= began_us)
        code = give_part(reading, MW_PROCESS_TREE,
                         window->from_us > began_us ? window->from_us : began_us, window->to_us);
    return code;
}

int mw_reader_series(struct mw_reader *reader, const struct mw_series_window *window,
                     mw_sample_fn *give, void *context, struct mw_error *error)
{
    struct reading reading = {
        .reader = reader, .window = window, .give = give, .context = context, .error = error};
    int code;

    /* A recorder may give up old rows meanwhile: all is read as of one moment. */
    if (sqlite3_exec(reader->db, "SAVEPOINT reading", NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(reader->db, reader->path, error);
    code = window->process == MW_PROCESS_TREE
               ? give_tree(&reading)
               : give_part(&reading, window->process, window->from_us, window->to_us);
    sqlite3_finalize(reading.samples);
    sqlite3_finalize(reading.rollups);
    sqlite3_exec(reader->db, "RELEASE reading", NULL, NULL, NULL);
    return code;
}

int mw_reader_samples(struct mw_reader *reader, int64_t run, int64_t process, enum mw_metric metric,
                      int64_t from_us, int64_t to_us, mw_sample_fn *give, void *context,
                      struct mw_error *error)
{
    const struct mw_series_window window = {run, process, metric, from_us, to_us, 0};

    return mw_reader_series(reader, &window, give, context, error);
}

/* --- what is kept ----------------------------------------------------------------------------- */

static int read_levels(struct mw_reader *reader, sqlite3_stmt *row, struct mw_kept *kept,
                       struct mw_error *error)
{
    int step;

    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        if (kept->level_count < MW_COUNT(kept->levels))
            kept->levels[kept->level_count++] =
                (struct mw_kept_level){column_us(row, 0), column_us(row, 1), column_us(row, 2)};
    }
    return rows_end(reader, step, error);
}

static int read_given_up(struct mw_reader *reader, sqlite3_stmt *row, struct mw_kept *kept,
                         struct mw_error *error)
{
    const struct {
        const char *kind;
        uint64_t *count;
    } counts[] = {{"process", &kept->processes},
                  {"call", &kept->calls},
                  {"gap", &kept->gaps},
                  {"event", &kept->events}};
    int step;

    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        const char *kind = (const char *)sqlite3_column_text(row, 0);
        int64_t count = sqlite3_column_int64(row, 1);

        for (size_t i = 0; kind && count > 0 && i < MW_COUNT(counts); i++) {
            if (strcmp(kind, counts[i].kind) == 0)
                *counts[i].count = (uint64_t)count;
        }
    }
    return rows_end(reader, step, error);
}

int mw_reader_kept(struct mw_reader *reader, int64_t run, struct mw_kept *ret_kept,
                   struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *levels = NULL;
    mw_auto_statement sqlite3_stmt *given_up = NULL;
    struct mw_kept kept = {0};
    int code;

    *ret_kept = kept;
    if (reader->version < LEVELS_VERSION)
        return 0;
    if ((code = rows_prepare(reader,
                             "SELECT bucket_us, keep_us, from_us FROM level WHERE run = ?1"
                             " ORDER BY bucket_us",
                             &levels, error)) < 0 ||
        (code = rows_prepare(reader, "SELECT kind, count FROM given_up WHERE run = ?1", &given_up,
                             error)) < 0)
        return code;
    sqlite3_bind_int64(levels, 1, run);
    sqlite3_bind_int64(given_up, 1, run);
    if ((code = read_levels(reader, levels, &kept, error)) < 0 ||
        (code = read_given_up(reader, given_up, &kept, error)) < 0)
        return code;
    *ret_kept = kept;
    return 0;
}
