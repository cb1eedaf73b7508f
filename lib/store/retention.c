#include "store/retention.h"

#include "store/sql.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* About how many bytes a row of each kind takes, with all that belongs to it. */
static const int64_t sample_bytes = 18, rollup_bytes = 28;
static const int64_t kind_bytes[PRUNE_KINDS] = {
    [PRUNE_CALLS] = 60, [PRUNE_PROCESSES] = 600, [PRUNE_REST] = 60};

/* From here on old rows make room, a part of the kind that takes most of it at a time. */
enum { FULL_PERCENT = 85, TOO_FULL_PERCENT = 93, PART = 8 };

/* What was kept longer than it must is given up when it is so much of that: not at every moment. */
enum { GRAINS = 32 };
static const int64_t least_grain_us = 1000000;

/* Rows of a transaction. */
enum { STEP_ROWS = 512, MOST_STEPS = 4096, ROWS_A_SECOND = 5 * STEP_ROWS };

struct retention {
    sqlite3 *db;
    const char *path;
    sqlite3_stmt *set_from;
    struct bound *bound;
    struct rollups *rollups;
    struct pruner *pruner;
    int64_t run;
    struct mw_keep keep;
    struct prune_horizons horizons;
    int64_t written[PRUNE_KINDS];   /* of the run so far; of levels above 0 the rollups know it */
    int64_t worked_rows, worked_us; /* what was written, and the time, when it last worked */
    int64_t allowance;              /* rows that it may delete or look at */
};

int retention_new(struct retention **ret_retention, sqlite3 *db, const char *path,
                  struct bound *bound, struct rollups *rollups, struct mw_error *error)
{
    struct retention *retention = calloc(1, sizeof *retention);

    if (!retention)
        return mw_error_errno(error, ENOMEM, "%s", path);
    *ret_retention = retention;
    retention->db = db;
    retention->path = path;
    retention->bound = bound;
    retention->rollups = rollups;
    if (sqlite3_prepare_v3(db, "UPDATE level SET from_us = ?3 WHERE run = ?1 AND bucket_us = ?2",
                           -1, SQLITE_PREPARE_PERSISTENT, &retention->set_from, NULL) != SQLITE_OK)
        return mw_sql_error(db, path, error);
    return pruner_new(&retention->pruner, db, path, error);
}

void retention_free(struct retention *retention)
{
    if (!retention)
        return;
    sqlite3_finalize(retention->set_from);
    pruner_free(retention->pruner);
    free(retention);
}

int retention_begin(struct retention *retention, int64_t run, const struct mw_keep *keep,
                    struct mw_error *error)
{
    retention->run = run;
    retention->keep = *keep;
    retention->horizons = (struct prune_horizons){0};
    memset(retention->written, 0, sizeof retention->written);
    retention->worked_rows = retention->worked_us = retention->allowance = 0;
    pruner_begin(retention->pruner, run, keep);
    return mw_sql_number(retention->db, retention->path, "SELECT max(id) FROM process",
                         &retention->horizons.processes_id, error);
}

void retention_count(struct retention *retention, size_t kind)
{
    retention->written[kind]++;
}

int64_t retention_given_up_calls(const struct retention *retention, int64_t function)
{
    return pruner_deleted_calls(retention->pruner, function);
}

static int64_t written_of(const struct retention *retention, size_t kind)
{
    bool rolled_up = kind > 0 && kind < retention->keep.count;

    return rolled_up ? rollups_rows(retention->rollups, kind) : retention->written[kind];
}

static int64_t rows_of(const struct retention *retention, size_t kind)
{
    return written_of(retention, kind) - pruner_deleted(retention->pruner, kind);
}

/* --- horizons --------------------------------------------------------------------------------- */

/* What a level may be given up to: where the next coarser one, if there is one, has it all. */
static int64_t most_from(const struct retention *retention, size_t level, int64_t now_us)
{
    return level + 1 < retention->keep.count ? rollups_until(retention->rollups, level + 1)
                                             : now_us;
}

static int set_from(struct retention *retention, size_t level, int64_t from_us,
                    struct mw_error *error)
{
    int code = 0;

    retention->horizons.from_us[level] = from_us;
    sqlite3_bind_int64(retention->set_from, 1, retention->run);
    sqlite3_bind_int64(retention->set_from, 2, retention->keep.levels[level].bucket_us);
    sqlite3_bind_int64(retention->set_from, 3, from_us);
    if (sqlite3_step(retention->set_from) != SQLITE_DONE)
        code = mw_sql_error(retention->db, retention->path, error);
    sqlite3_reset(retention->set_from);
    return code;
}

/* Where a level may be cut: between two buckets of the next, or of its own where that is none. */
static int64_t grain_of(const struct retention *retention, size_t level)
{
    size_t last = retention->keep.count - 1;
    int64_t bucket_us = retention->keep.levels[level < last ? level + 1 : last].bucket_us;

    return bucket_us > 0 ? bucket_us : least_grain_us;
}

/* From where on a level is to be kept, or 0 where it has not moved far enough to be worth it. */
static int64_t due_from(const struct retention *retention, size_t level, int64_t now_us)
{
    int64_t keep_us = retention->keep.levels[level].keep_us;
    int64_t grain_us = grain_of(retention, level);
    int64_t step_us = keep_us / GRAINS > grain_us ? keep_us / GRAINS : grain_us;
    int64_t most_us = most_from(retention, level, now_us), from_us;

    if (step_us < least_grain_us)
        step_us = least_grain_us;
    if (keep_us > now_us)
        return 0;
    from_us = now_us - keep_us < most_us ? now_us - keep_us : most_us;
    from_us -= from_us % grain_us;
    return from_us < retention->horizons.from_us[level] + step_us ? 0 : from_us;
}

/* Moves the horizons of what is older than it must be kept. The number that moved, or an error. */
static int give_up_by_age(struct retention *retention, int64_t now_us, struct mw_error *error)
{
    int moved = 0, code;

    for (size_t level = 0; level < retention->keep.count; level++) {
        int64_t from_us = due_from(retention, level, now_us);

        if (from_us == 0)
            continue;
        if ((code = set_from(retention, level, from_us, error)) < 0)
            return code;
        moved++;
    }
    /* Single calls are detail like samples. */
    if (moved > 0 && retention->horizons.calls_us < retention->horizons.from_us[0])
        retention->horizons.calls_us = retention->horizons.from_us[0];
    return moved;
}

/* A part of the way from one to the other. */
static int64_t part_of(int64_t from, int64_t to)
{
    return from < to ? from + (to - from + PART - 1) / PART : from;
}

/*
 * Gives up the oldest part of a level. Where the next coarser one does not have so much yet, that
 * has to write what it knows by now. 1, 0 when nothing is left to give up, or an error.
 */
static int give_up_level(struct retention *retention, size_t level, int64_t now_us,
                         struct mw_error *error)
{
    int64_t from_us = retention->horizons.from_us[level], grain_us = grain_of(retention, level);
    int64_t most_us = most_from(retention, level, now_us);
    int64_t finer_us = level > 0 ? retention->horizons.from_us[level - 1] : INT64_MAX;
    int64_t to_us = part_of(from_us, most_us < finer_us ? most_us : finer_us);
    int code;

    to_us -= to_us % grain_us;
    if (to_us <= from_us)
        to_us = from_us - from_us % grain_us + grain_us;
    /* No coarser level reaches back less far than a finer one. */
    if (to_us > finer_us)
        return 0;
    if (to_us > most_us) {
        if (level + 1 == retention->keep.count || now_us <= from_us)
            return 0;
        if ((code = rollups_hasten(retention->rollups, level + 1, now_us, error)) < 0)
            return code;
        to_us = to_us < now_us ? to_us : now_us;
    }
    code = set_from(retention, level, to_us, error);
    return code < 0 ? code : 1;
}

static bool advance(int64_t *horizon, int64_t to)
{
    int64_t before = *horizon;

    *horizon = part_of(before, to);
    return *horizon > before;
}

static int give_up_processes(struct retention *retention, struct mw_error *error)
{
    int64_t last = 0;
    int code =
        mw_sql_number(retention->db, retention->path, "SELECT max(id) FROM process", &last, error);

    return code < 0 ? code : advance(&retention->horizons.processes_id, last);
}

static int give_up_kind(struct retention *retention, size_t kind, int64_t now_us,
                        struct mw_error *error)
{
    switch (kind) {
    case PRUNE_CALLS:
        return advance(&retention->horizons.calls_us, now_us);
    case PRUNE_PROCESSES:
        return give_up_processes(retention, error);
    case PRUNE_REST:
        return advance(&retention->horizons.rest_us, now_us);
    default:
        return give_up_level(retention, kind, now_us, error);
    }
}

static int64_t bytes_of(const struct retention *retention, size_t kind)
{
    int64_t row_bytes = kind == 0                      ? sample_bytes
                        : kind < retention->keep.count ? rollup_bytes
                                                       : kind_bytes[kind];

    return rows_of(retention, kind) * row_bytes;
}

/* Gives up the oldest of the kind that takes most room and has something to give up. */
static int give_up_for_room(struct retention *retention, int64_t now_us, struct mw_error *error)
{
    bool tried[PRUNE_KINDS] = {false};

    for (;;) {
        size_t largest = PRUNE_KINDS;
        int code;

        for (size_t kind = 0; kind < PRUNE_KINDS; kind++) {
            if (!tried[kind] && bytes_of(retention, kind) > 0 &&
                (largest == PRUNE_KINDS ||
                 bytes_of(retention, kind) > bytes_of(retention, largest)))
                largest = kind;
        }
        if (largest == PRUNE_KINDS)
            return 0;
        tried[largest] = true;
        if ((code = give_up_kind(retention, largest, now_us, error)) != 0)
            return code;
    }
}

/* --- work ------------------------------------------------------------------------------------- */

/* Starts a sweep where there is something to give up; 1 then, else 0, or an error. */
static int start_sweep(struct retention *retention, int64_t now_us, struct mw_error *error)
{
    int moved = give_up_by_age(retention, now_us, error), code;

    if (moved == 0 && bound_percent(retention->bound) >= FULL_PERCENT)
        moved = give_up_for_room(retention, now_us, error);
    if (moved <= 0)
        return moved;
    code = pruner_start(retention->pruner, &retention->horizons, error);
    return code < 0 ? code : 1;
}

/* 1 while there may be more to do, 0, or an error. */
static int sweep(struct retention *retention, int64_t now_us, struct mw_error *error)
{
    int code = pruner_is_done(retention->pruner) ? start_sweep(retention, now_us, error) : 1;

    if (code <= 0)
        return code;
    code = pruner_step(retention->pruner, STEP_ROWS, error);
    return code < 0 ? code : 1;
}

/* The same in a transaction. */
static int step(struct retention *retention, int64_t now_us, struct mw_error *error)
{
    int code;

    if (sqlite3_exec(retention->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(retention->db, retention->path, error);
    code = sweep(retention, now_us, error);
    if (code >= 0 && sqlite3_exec(retention->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        code = mw_sql_error(retention->db, retention->path, error);
    if (code < 0)
        sqlite3_exec(retention->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static bool is_due(struct retention *retention, int64_t now_us)
{
    for (size_t level = 0; level < retention->keep.count; level++) {
        if (due_from(retention, level, now_us) > 0)
            return true;
    }
    return !pruner_is_done(retention->pruner) || bound_percent(retention->bound) >= FULL_PERCENT;
}

/* Twice what was written since the last time, and a little for the time that has passed. */
static void allow(struct retention *retention, int64_t now_us)
{
    int64_t written = 0, elapsed_us = now_us - retention->worked_us;

    for (size_t kind = 0; kind < PRUNE_KINDS; kind++)
        written += written_of(retention, kind);
    if (elapsed_us > least_grain_us)
        elapsed_us = least_grain_us;
    if (retention->allowance < 0 || retention->allowance > STEP_ROWS)
        retention->allowance = 0;
    retention->allowance +=
        2 * (written - retention->worked_rows) + elapsed_us * ROWS_A_SECOND / 1000000;
    retention->worked_rows = written;
    retention->worked_us = now_us;
}

int retention_work(struct retention *retention, int64_t now_us, struct mw_error *error)
{
    int code = 1;

    allow(retention, now_us);
    for (int i = 0; i < MOST_STEPS && code > 0; i++) {
        if (retention->allowance < STEP_ROWS && bound_percent(retention->bound) < TOO_FULL_PERCENT)
            return 0;
        if (bound_is_held_up(retention->bound) || !is_due(retention, now_us))
            return 0;
        retention->allowance -= STEP_ROWS;
        code = step(retention, now_us, error);
    }
    return code < 0 ? code : 0;
}
