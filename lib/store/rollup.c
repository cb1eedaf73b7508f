#include "store/rollup.h"

#include "store/sql.h"
#include "util/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Samples come a little late: those of the slow tier most. */
static const int64_t patience_us = 1000000;

enum statement { ADD_LEVEL, SET_UNTIL, ADD_SERIES, ADD_ROW, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [ADD_LEVEL] = "INSERT INTO level (run, bucket_us, keep_us, until_us) VALUES (?1, ?2, ?3, ?4)",
    [SET_UNTIL] = "UPDATE level SET until_us = ?3 WHERE run = ?1 AND bucket_us = ?2",
    [ADD_SERIES] = "INSERT INTO rollup_series (run, bucket_us, process, metric)"
                   " VALUES (?1, ?2, ?3, ?4)",
    [ADD_ROW] = "INSERT OR REPLACE INTO rollup"
                " (series, t_us, last_kib, below_kib, above_kib, count)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
};

struct bucket {
    int64_t series; /* row id; 0: has no row yet */
    int64_t t_us;   /* of the last sample */
    int64_t last_kib, low_kib, high_kib;
    int64_t count; /* 0: the bucket is none */
    bool written;  /* as it is */
};

struct rollup {
    int64_t process; /* row id; 0: the tree */
    enum mw_metric metric;
    size_t place; /* among all series */
    int64_t first_us;
    struct bucket buckets[]; /* one a level, from level 1 on */
};

struct rollups {
    sqlite3 *db;
    const char *path;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    int64_t run;
    size_t count; /* levels, beside that of all samples */
    struct {
        int64_t bucket_us, until_us;
        int64_t rows;
    } levels[MW_KEEP_MOST_LEVELS];
    struct rollup **series;
    size_t series_count, series_room;
};

int rollups_new(struct rollups **ret_rollups, sqlite3 *db, const char *path, struct mw_error *error)
{
    struct rollups *rollups = calloc(1, sizeof *rollups);

    if (!rollups)
        return mw_error_errno(error, ENOMEM, "%s", path);
    *ret_rollups = rollups;
    rollups->db = db;
    rollups->path = path;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &rollups->statements[i],
                               NULL) != SQLITE_OK)
            return mw_sql_error(db, path, error);
    }
    return 0;
}

static void forget_series(struct rollups *rollups)
{
    for (size_t i = 0; i < rollups->series_count; i++)
        free(rollups->series[i]);
    rollups->series_count = 0;
}

void rollups_free(struct rollups *rollups)
{
    if (!rollups)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(rollups->statements[i]);
    forget_series(rollups);
    free(rollups->series);
    free(rollups);
}

static int run_statement(struct rollups *rollups, enum statement which, struct mw_error *error)
{
    sqlite3_stmt *statement = rollups->statements[which];
    int code = 0;

    if (sqlite3_step(statement) != SQLITE_DONE)
        code = mw_sql_error(rollups->db, rollups->path, error);
    sqlite3_reset(statement);
    return code;
}

static void bind(sqlite3_stmt *statement, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sqlite3_bind_int64(statement, (int)i + 1, numbers[i]);
}

static int add_level(struct rollups *rollups, const struct mw_keep_level *level,
                     struct mw_error *error)
{
    sqlite3_stmt *statement = rollups->statements[ADD_LEVEL];

    bind(statement, (const int64_t[]){rollups->run, level->bucket_us, level->keep_us}, 3);
    if (level->keep_us == MW_KEEP_FOREVER)
        sqlite3_bind_null(statement, 3);
    if (level->bucket_us == 0)
        sqlite3_bind_null(statement, 4);
    else
        sqlite3_bind_int64(statement, 4, 0);
    return run_statement(rollups, ADD_LEVEL, error);
}

int rollups_begin(struct rollups *rollups, int64_t run, const struct mw_keep *keep,
                  struct mw_error *error)
{
    int code = 0;

    forget_series(rollups);
    rollups->run = run;
    rollups->count = keep->count - 1;
    memset(rollups->levels, 0, sizeof rollups->levels);
    for (size_t i = 0; code == 0 && i < keep->count; i++) {
        rollups->levels[i].bucket_us = keep->levels[i].bucket_us;
        code = add_level(rollups, &keep->levels[i], error);
    }
    return code;
}

/* Where the bucket of a moment begins. */
static int64_t bucket_start(const struct rollups *rollups, size_t level, int64_t t_us)
{
    int64_t into_us = t_us % rollups->levels[level].bucket_us;

    return t_us - (into_us < 0 ? into_us + rollups->levels[level].bucket_us : into_us);
}

static int need_series(struct rollups *rollups, size_t level, const struct rollup *series,
                       struct bucket *bucket, struct mw_error *error)
{
    sqlite3_stmt *statement = rollups->statements[ADD_SERIES];
    int code;

    if (bucket->series != 0)
        return 0;
    bind(statement,
         (const int64_t[]){rollups->run, rollups->levels[level].bucket_us, series->process}, 3);
    if (series->process == 0)
        sqlite3_bind_null(statement, 3);
    sqlite3_bind_text(statement, 4, mw_metric_name(series->metric), -1, SQLITE_STATIC);
    if ((code = run_statement(rollups, ADD_SERIES, error)) == 0)
        bucket->series = sqlite3_last_insert_rowid(rollups->db);
    return code;
}

/* Writes what a bucket holds, if that is not written yet. */
static int write_bucket(struct rollups *rollups, size_t level, struct rollup *series,
                        struct mw_error *error)
{
    struct bucket *bucket = &series->buckets[level - 1];
    int code;

    if (bucket->count == 0 || bucket->written)
        return 0;
    if ((code = need_series(rollups, level, series, bucket, error)) < 0)
        return code;
    bind(rollups->statements[ADD_ROW],
         (const int64_t[]){bucket->series, bucket->t_us, bucket->last_kib,
                           bucket->last_kib - bucket->low_kib, bucket->high_kib - bucket->last_kib,
                           bucket->count},
         6);
    if ((code = run_statement(rollups, ADD_ROW, error)) < 0)
        return code;
    bucket->written = true;
    rollups->levels[level].rows++;
    return 0;
}

static void include(struct bucket *bucket, int64_t kib)
{
    bucket->low_kib = kib < bucket->low_kib ? kib : bucket->low_kib;
    bucket->high_kib = kib > bucket->high_kib ? kib : bucket->high_kib;
}

/* Takes a sample into an open bucket. One at the moment of the last replaces it. */
static void fill(struct bucket *bucket, int64_t t_us, int64_t kib)
{
    include(bucket, kib);
    bucket->written = false;
    bucket->count += t_us != bucket->t_us;
    if (t_us < bucket->t_us)
        return;
    bucket->t_us = t_us;
    bucket->last_kib = kib;
}

static int add_to_level(struct rollups *rollups, size_t level, struct rollup *series, int64_t t_us,
                        int64_t kib, struct mw_error *error)
{
    struct bucket *bucket = &series->buckets[level - 1];
    int64_t start_us = bucket_start(rollups, level, t_us), held_kib = bucket->last_kib;
    bool first = bucket->count == 0;
    int code;

    if (!first && (t_us <= bucket->t_us || (!bucket->written && start_us <= bucket->t_us))) {
        fill(bucket, t_us, kib);
        return 0;
    }
    if ((code = write_bucket(rollups, level, series, error)) < 0)
        return code;
    *bucket = (struct bucket){.series = bucket->series,
                              .t_us = t_us,
                              .last_kib = kib,
                              .low_kib = kib,
                              .high_kib = kib,
                              .count = 1};
    if (!first && t_us > start_us && mw_metric_cadence(series->metric) == MW_CADENCE_TICK)
        include(bucket, held_kib);
    return 0;
}

static struct rollup *new_series(struct rollups *rollups, int64_t process, enum mw_metric metric,
                                 int64_t t_us)
{
    struct rollup *series;

    if (!mw_array_reserve(&rollups->series, rollups->series_count, &rollups->series_room,
                          sizeof *rollups->series) ||
        !(series = calloc(1, sizeof *series + rollups->count * sizeof *series->buckets)))
        return NULL;
    series->process = process;
    series->metric = metric;
    series->first_us = t_us;
    series->place = rollups->series_count++;
    return rollups->series[series->place] = series;
}

int rollups_add(struct rollups *rollups, struct rollup **series, int64_t process,
                enum mw_metric metric, int64_t t_us, int64_t kib, struct mw_error *error)
{
    int code = 0;

    if (!*series && !(*series = new_series(rollups, process, metric, t_us)))
        return mw_error_errno(error, ENOMEM, "%s", rollups->path);
    for (size_t level = 1; code == 0 && level <= rollups->count; level++)
        code = add_to_level(rollups, level, *series, t_us, kib, error);
    return code;
}

/* The last rows of a series, but for levels in which it has not left its first bucket. */
static int write_last(struct rollups *rollups, struct rollup *series, int64_t end_us,
                      struct mw_error *error)
{
    int code = 0;

    for (size_t level = 1; code == 0 && level <= rollups->count; level++) {
        if (series->buckets[level - 1].series != 0 ||
            bucket_start(rollups, level, series->first_us) < bucket_start(rollups, level, end_us))
            code = write_bucket(rollups, level, series, error);
    }
    return code;
}

int rollups_end(struct rollups *rollups, struct rollup **series, int64_t end_us,
                struct mw_error *error)
{
    struct rollup *ended = *series, *last;
    int code;

    if (!ended)
        return 0;
    code = write_last(rollups, ended, end_us, error);
    last = rollups->series[--rollups->series_count];
    rollups->series[ended->place] = last;
    last->place = ended->place;
    free(ended);
    *series = NULL;
    return code;
}

/* From now on the level knows everything up to there. */
static int set_until(struct rollups *rollups, size_t level, int64_t until_us,
                     struct mw_error *error)
{
    rollups->levels[level].until_us = until_us;
    bind(rollups->statements[SET_UNTIL],
         (const int64_t[]){rollups->run, rollups->levels[level].bucket_us, until_us}, 3);
    return run_statement(rollups, SET_UNTIL, error);
}

/* Writes the buckets of a level in which the last sample is before a moment; it then knows all up
 * to until_us. */
static int write_level(struct rollups *rollups, size_t level, int64_t before_us, int64_t until_us,
                       struct mw_error *error)
{
    int code = 0;

    if (until_us <= rollups->levels[level].until_us)
        return 0;
    for (size_t i = 0; code == 0 && i < rollups->series_count; i++) {
        struct rollup *series = rollups->series[i];

        if (series->buckets[level - 1].t_us < before_us)
            code = write_bucket(rollups, level, series, error);
    }
    return code == 0 ? set_until(rollups, level, until_us, error) : code;
}

int rollups_advance(struct rollups *rollups, int64_t now_us, struct mw_error *error)
{
    int code = 0;

    for (size_t level = 1; code == 0 && level <= rollups->count; level++) {
        int64_t over_us = bucket_start(rollups, level, now_us - patience_us);

        code = write_level(rollups, level, over_us, over_us, error);
    }
    return code;
}

int rollups_hasten(struct rollups *rollups, size_t level, int64_t now_us, struct mw_error *error)
{
    return write_level(rollups, level, INT64_MAX, now_us, error);
}

int rollups_finish(struct rollups *rollups, int64_t now_us, struct mw_error *error)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < rollups->series_count; i++)
        code = write_last(rollups, rollups->series[i], now_us, error);
    for (size_t level = 1; code == 0 && level <= rollups->count; level++) {
        if (now_us > rollups->levels[level].until_us)
            code = set_until(rollups, level, now_us, error);
    }
    return code;
}

int64_t rollups_series(const struct rollups *rollups)
{
    return (int64_t)rollups->series_count;
}

int64_t rollups_until(const struct rollups *rollups, size_t level)
{
    return rollups->levels[level].until_us;
}

int64_t rollups_rows(const struct rollups *rollups, size_t level)
{
    return rollups->levels[level].rows;
}
