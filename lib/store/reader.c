#include "store/reader.h"

#include "store/events.h"
#include "store/file.h"
#include "store/rows.h"
#include "store/sql.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int open_database(struct mw_reader *reader, struct mw_error *error)
{
    if (sqlite3_open_v2(reader->path, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return mw_sql_error(reader->db, reader->path, error);
    sqlite3_extended_result_codes(reader->db, 1);
    sqlite3_busy_timeout(reader->db, 5000);
    return mw_sql_check_file(reader->db, reader->path, &reader->version, error);
}

int mw_reader_open(struct mw_reader **ret_reader, const char *path, struct mw_error *error)
{
    struct mw_reader *reader;
    struct stat status;
    int code = 0;

    if (stat(path, &status) < 0)
        return mw_error_errno(error, errno, "cannot open %s", path);
    if (!S_ISREG(status.st_mode))
        return mw_error_set(error, -EBADMSG, "%s is no regular file", path);
    if (status.st_size == 0)
        return mw_error_set(error, -EBADMSG, "%s is empty: no memwatch file", path);
    reader = calloc(1, sizeof *reader);
    if (!reader)
        return mw_error_errno(error, ENOMEM, "%s", path);
    reader->path = strdup(path);
    if (!reader->path) {
        code = mw_error_errno(error, ENOMEM, "%s", path);
    } else {
        /* Before SQLite opens the file: see mw_file_lock. */
        reader->recording = mw_file_is_recording(path);
        code = open_database(reader, error);
    }
    if (code < 0) {
        mw_reader_close(reader);
        return code;
    }
    *ret_reader = reader;
    return 0;
}

void mw_reader_close(struct mw_reader *reader)
{
    if (!reader)
        return;
    sqlite3_close(reader->db);
    free(reader->path);
    free(reader);
}

static int64_t last_run(const struct mw_run *runs, size_t count)
{
    return count ? runs[count - 1].id : 0;
}

/* Reads the words that belong to a row: the statement's first parameter is its id. */
static int read_words(struct mw_reader *reader, sqlite3_stmt *row, int64_t id, char ***words,
                      size_t *count, struct mw_error *error)
{
    size_t room = 0;
    int step;

    sqlite3_bind_int64(row, 1, id);
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(words, *count, &room, sizeof **words) ||
            !((*words)[*count] = column_text(row, 0))) {
            sqlite3_reset(row);
            return mw_error_errno(error, ENOMEM, "%s", reader->path);
        }
        (*count)++;
    }
    sqlite3_reset(row);
    return rows_end(reader, step, error);
}

static struct mw_run column_run(sqlite3_stmt *row)
{
    int column = 0;
    struct mw_run run = {0};
    const char *outcome, *children;
    int known;

    run.id = sqlite3_column_int64(row, column++);
    run.version = column_required(row, column++);
    run.started_ns = sqlite3_column_int64(row, column++);
    run.duration_us = column_us(row, column++);
    run.interval_us = column_us(row, column++);
    children = (const char *)sqlite3_column_text(row, column++);
    known = children ? mw_children_parse(children) : -1;
    run.children = known < 0 ? MW_CHILDREN_EACH : (enum mw_children)known;
    run.cwd = column_required(row, column++);
    run.note = column_text(row, column++);
    run.scheduling = column_required(row, column++);
    run.tracking = column_required(row, column++);
    outcome = (const char *)sqlite3_column_text(row, column++);
    known = outcome ? mw_outcome_parse(outcome) : -1;
    run.outcome = known < 0 ? MW_OUTCOME_RECORDING : (enum mw_outcome)known;
    run.exit_status = (int)column_optional(row, column++);
    run.exit_signal = (int)column_optional(row, column++);
    run.ticks.due = (uint64_t)sqlite3_column_int64(row, column++);
    run.ticks.taken = (uint64_t)sqlite3_column_int64(row, column++);
    run.ticks.missed = (uint64_t)sqlite3_column_int64(row, column++);
    run.ticks.longest_gap_us = column_us(row, column++);
    run.ticks.lateness_p50_us = column_us(row, column++);
    run.ticks.lateness_p99_us = column_us(row, column++);
    run.ticks.lateness_max_us = column_us(row, column++);
    run.recorder.cpu_us = column_us(row, column++);
    run.recorder.max_rss_bytes = kib_to_bytes(sqlite3_column_int64(row, column++));
    run.recorder.lost_events = (uint64_t)sqlite3_column_int64(row, column++);
    run.recorder.dropped_records = (uint64_t)sqlite3_column_int64(row, column++);
    run.recorder.lost_marks = (uint64_t)sqlite3_column_int64(row, column++);
    run.recorder.blind_us = column_us(row, column++);
    run.rss_bound_bytes = kib_to_bytes(sqlite3_column_int64(row, column++));
    run.peak_bound_bytes = kib_to_bytes(sqlite3_column_int64(row, column++));
    run.peak = column_peak(row, column);
    return run;
}

int mw_reader_runs(struct mw_reader *reader, struct mw_run **ret_runs, size_t *ret_count,
                   struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    mw_auto_statement sqlite3_stmt *word = NULL;
    struct mw_run *runs = NULL;
    size_t count = 0, room = 0;
    int code, step;

    code = rows_prepare(
        reader,
        "SELECT id, version, started_ns, duration_us, interval_us, children, cwd, note,"
        " scheduling, tracking, outcome, exit_status, exit_signal, ticks_due,"
        " ticks_taken, ticks_missed, longest_gap_us, lateness_p50_us, lateness_p99_us,"
        " lateness_max_us, recorder_cpu_us, recorder_rss_kib, lost_events,"
        " dropped_records, lost_marks, blind_us, rss_bound_kib, peak_bound_kib,"
        " peak_kib, peak_upper_kib, peak_from_us, peak_to_us, peak_source"
        " FROM run ORDER BY id",
        &row, error);
    if (code < 0 ||
        (code = rows_prepare(reader, "SELECT value FROM command WHERE run = ?1 ORDER BY position",
                             &word, error)) < 0)
        return code;
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&runs, count, &room, sizeof *runs)) {
            code = mw_error_errno(error, ENOMEM, "%s", reader->path);
            goto fail;
        }
        runs[count++] = column_run(row);
        code = read_words(reader, word, runs[count - 1].id, &runs[count - 1].command,
                          &runs[count - 1].command_length, error);
        if (code < 0)
            goto fail;
    }
    if ((code = rows_end(reader, step, error)) < 0)
        goto fail;
    /* Only the newest run can still be recorded; one that says so without a recorder was cut off.
     */
    for (size_t i = 0; i < count; i++) {
        if (runs[i].outcome == MW_OUTCOME_RECORDING &&
            !(reader->recording && runs[i].id == last_run(runs, count)))
            runs[i].outcome = MW_OUTCOME_ABORTED;
    }
    *ret_runs = runs;
    *ret_count = count;
    return 0;
fail:
    for (size_t i = 0; i < count; i++)
        mw_run_clear(&runs[i]);
    free(runs);
    return code;
}

static struct mw_process column_process(sqlite3_stmt *row)
{
    return (struct mw_process){
        .id = sqlite3_column_int64(row, 0),
        .pid = sqlite3_column_int(row, 1),
        .ppid = sqlite3_column_int(row, 2),
        .start_us = column_us(row, 3),
        .end_us = column_us(row, 4),
        .exit_status = (int)column_optional(row, 5),
        .exit_signal = (int)column_optional(row, 6),
        .name = column_text(row, 7),
        .peak = column_peak(row, 8),
    };
}

int mw_reader_processes(struct mw_reader *reader, int64_t run, struct mw_process **ret_processes,
                        size_t *ret_count, struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    mw_auto_statement sqlite3_stmt *argument = NULL;
    struct mw_process *processes = NULL;
    size_t count = 0, room = 0;
    int code, step;

    if ((code = rows_prepare(reader,
                             "SELECT id, pid, ppid, start_us, end_us, exit_status, exit_signal,"
                             " (SELECT name FROM image WHERE image.process = process.id"
                             "  ORDER BY since_us DESC, id DESC LIMIT 1),"
                             " peak_kib, peak_upper_kib, peak_from_us, peak_to_us, peak_source"
                             " FROM process WHERE run = ?1 ORDER BY id",
                             &row, error)) < 0 ||
        (code = rows_prepare(reader,
                             "SELECT value FROM argument WHERE image ="
                             " (SELECT id FROM image WHERE image.process = ?1"
                             "  ORDER BY since_us DESC, id DESC LIMIT 1)"
                             " ORDER BY position",
                             &argument, error)) < 0)
        return code;
    sqlite3_bind_int64(row, 1, run);
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&processes, count, &room, sizeof *processes)) {
            code = mw_error_errno(error, ENOMEM, "%s", reader->path);
            goto fail;
        }
        processes[count++] = column_process(row);
        code =
            read_words(reader, argument, processes[count - 1].id, &processes[count - 1].arguments,
                       &processes[count - 1].argument_count, error);
        if (code < 0)
            goto fail;
    }
    if ((code = rows_end(reader, step, error)) < 0)
        goto fail;
    *ret_processes = processes;
    *ret_count = count;
    return 0;
fail:
    for (size_t i = 0; i < count; i++)
        mw_process_clear(&processes[i]);
    free(processes);
    return code;
}

int mw_reader_metrics(struct mw_reader *reader, int64_t run, mw_metric_set *ret_metrics,
                      struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    mw_metric_set metrics = 0;
    int code, step;

    code = rows_prepare(reader, "SELECT DISTINCT metric FROM series WHERE run = ?1", &row, error);
    if (code < 0)
        return code;
    sqlite3_bind_int64(row, 1, run);
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(row, 0);
        enum mw_metric metric;

        /* One that this memwatch does not know is none that it could show. */
        if (name && mw_metric_parse(name, &metric, NULL) == 0)
            metrics |= MW_METRIC_BIT(metric);
    }
    if ((code = rows_end(reader, step, error)) < 0)
        return code;
    *ret_metrics = metrics;
    return 0;
}

int mw_reader_gaps(struct mw_reader *reader, int64_t run, struct mw_gap **ret_gaps,
                   size_t *ret_count, struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    mw_auto_free struct mw_gap *gaps = NULL;
    size_t count = 0, room = 0;
    int code, step;

    code = rows_prepare(reader,
                        "SELECT from_us, to_us, ticks FROM gap WHERE run = ?1 ORDER BY from_us",
                        &row, error);
    if (code < 0)
        return code;
    sqlite3_bind_int64(row, 1, run);
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&gaps, count, &room, sizeof *gaps))
            return mw_error_errno(error, ENOMEM, "%s", reader->path);
        gaps[count++] = (struct mw_gap){
            .from_us = column_us(row, 0),
            .to_us = column_us(row, 1),
            .ticks = (uint64_t)sqlite3_column_int64(row, 2),
        };
    }
    if ((code = rows_end(reader, step, error)) < 0)
        return code;
    *ret_gaps = MW_TAKE(gaps);
    *ret_count = count;
    return 0;
}

int mw_reader_events(struct mw_reader *reader, int64_t run, struct mw_event **ret_events,
                     size_t *ret_count, struct mw_error *error)
{
    return events_read(reader->db, reader->path, reader->version, run, ret_events, ret_count,
                       error);
}

int mw_reader_limits(struct mw_reader *reader, int64_t run, struct mw_limit **ret_limits,
                     size_t *ret_count, struct mw_error *error)
{
    return limits_read(reader->db, reader->path, reader->version, run, ret_limits, ret_count,
                       error);
}

/* One row of the table series that a reading goes through. */
struct stretch {
    int64_t series;
    int64_t since_us;
    int64_t until_us; /* where the next one begins */
};

/*
 * Collects the stretches of a series in the order of time. For the tree, its first process comes
 * first, up to where the tree's own series begins.
 */
static int find_stretches(struct mw_reader *reader, int64_t run, int64_t process,
                          enum mw_metric metric, struct stretch **ret_stretches, size_t *ret_count,
                          struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    mw_auto_free struct stretch *stretches = NULL;
    size_t count = 0, room = 0;
    int code, step;

    code = rows_prepare(
        reader,
        "WITH mine AS (SELECT id, since_us, process FROM series WHERE run = ?1 AND metric = ?2),"
        " began AS (SELECT coalesce(min(since_us), 0x7FFFFFFFFFFFFFFF) AS us"
        "           FROM mine WHERE process IS NULL)"
        "SELECT id, since_us FROM mine, began WHERE since_us >= 0 AND (process IS ?3"
        " OR (?3 IS NULL AND since_us < began.us"
        "     AND process = (SELECT min(id) FROM process WHERE process.run = ?1)))"
        " ORDER BY since_us, id",
        &row, error);
    if (code < 0)
        return code;
    sqlite3_bind_int64(row, 1, run);
    sqlite3_bind_text(row, 2, mw_metric_name(metric), -1, SQLITE_STATIC);
    if (process != MW_PROCESS_TREE)
        sqlite3_bind_int64(row, 3, process);
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&stretches, count, &room, sizeof *stretches))
            return mw_error_errno(error, ENOMEM, "%s", reader->path);
        stretches[count] = (struct stretch){.series = sqlite3_column_int64(row, 0),
                                            .since_us = column_us(row, 1),
                                            .until_us = INT64_MAX};
        if (count > 0)
            stretches[count - 1].until_us = stretches[count].since_us;
        count++;
    }
    if ((code = rows_end(reader, step, error)) < 0)
        return code;
    *ret_stretches = MW_TAKE(stretches);
    *ret_count = count;
    return 0;
}

/* A sum of numbers from a file that may be hostile: held at the ends of the range. */
static int64_t add_us(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

/* Gives one stretch's samples that lie in the window, and the one that holds where it begins. */
static int give_stretch(struct mw_reader *reader, sqlite3_stmt *row, const struct stretch *stretch,
                        int64_t from_us, int64_t to_us, mw_sample_fn *give, void *context,
                        struct mw_error *error)
{
    int64_t last_us = to_us < stretch->until_us ? to_us : stretch->until_us - 1;
    int code = 0, step;

    if (stretch->until_us <= from_us || stretch->since_us > to_us)
        return 0;
    sqlite3_bind_int64(row, 1, stretch->series);
    sqlite3_bind_int64(row, 2, add_us(from_us, -stretch->since_us));
    sqlite3_bind_int64(row, 3, add_us(last_us, -stretch->since_us));
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        struct mw_sample sample = {.t_us = add_us(stretch->since_us, column_us(row, 0)),
                                   .bytes = kib_to_bytes(sqlite3_column_int64(row, 1))};

        if ((code = give(context, &sample)) != 0)
            break;
    }
    sqlite3_reset(row);
    return code != 0 ? code : rows_end(reader, step, error);
}

int mw_reader_samples(struct mw_reader *reader, int64_t run, int64_t process, enum mw_metric metric,
                      int64_t from_us, int64_t to_us, mw_sample_fn *give, void *context,
                      struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    mw_auto_free struct stretch *stretches = NULL;
    size_t count = 0;
    int code;

    if ((code = find_stretches(reader, run, process, metric, &stretches, &count, error)) < 0 ||
        (code = rows_prepare(reader,
                             "SELECT dt_us, kib FROM sample WHERE series = ?1 AND dt_us BETWEEN"
                             " coalesce((SELECT max(dt_us) FROM sample"
                             "           WHERE series = ?1 AND dt_us <= ?2), 0) AND ?3"
                             " ORDER BY dt_us",
                             &row, error)) < 0)
        return code;
    for (size_t i = 0; i < count; i++) {
        code = give_stretch(reader, row, &stretches[i], from_us, to_us, give, context, error);
        if (code != 0)
            return code;
    }
    return 0;
}
