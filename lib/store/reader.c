#include "store/reader.h"

#include "store/file.h"
#include "store/sql.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files of earlier versions have no functions. */
static const int64_t functions_version = 2;

struct mw_reader {
    sqlite3 *db;
    char *path;
    int64_t version; /* of the file */
    bool recording;  /* a recorder had the file when it was opened */
};

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

static int prepare(struct mw_reader *reader, const char *sql, sqlite3_stmt **ret_statement,
                   struct mw_error *error)
{
    if (sqlite3_prepare_v2(reader->db, sql, -1, ret_statement, NULL) != SQLITE_OK)
        return mw_sql_error(reader->db, reader->path, error);
    return 0;
}

/* What a step that gave no row means: 0 at the end, else an error. */
static int end_of_rows(struct mw_reader *reader, int step, struct mw_error *error)
{
    return step == SQLITE_DONE ? 0 : mw_sql_error(reader->db, reader->path, error);
}

/* Sums and products of numbers from a file that may be hostile: held at the ends of the range. */
static int64_t add_us(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

static int64_t kib_to_bytes(int64_t kib)
{
    int64_t bytes;

    return __builtin_mul_overflow(kib, 1024, &bytes) ? (kib < 0 ? INT64_MIN : INT64_MAX) : bytes;
}

static char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text ? strdup((const char *)text) : NULL;
}

/* Of a column that is never null, unless the file is hostile. */
static char *column_required(sqlite3_stmt *statement, int column)
{
    char *text = column_text(statement, column);

    return text ? text : strdup("");
}

static int64_t column_optional(sqlite3_stmt *statement, int column)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return -1;
    return sqlite3_column_int64(statement, column);
}

static const int64_t longest_us = INT64_MAX / 4000;

/*
 * A time in microseconds, -1 for null. A hostile file may hold any: what lies outside of 73 years
 * is brought to its ends, so that nobody who adds two of them or turns them into nanoseconds gets
 * out of range.
 */
static int64_t column_us(sqlite3_stmt *statement, int column)
{
    int64_t us = column_optional(statement, column);

    return us < -1 ? 0 : us > longest_us ? longest_us : us;
}

/* Five columns from `column` on: kib, upper_kib, from_us, to_us, source. */
static struct mw_peak column_peak(sqlite3_stmt *statement, int column)
{
    int64_t upper_kib = column_optional(statement, column + 1);
    const char *source = (const char *)sqlite3_column_text(statement, column + 4);

    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return (struct mw_peak){.known = false};
    return (struct mw_peak){
        .known = true,
        .bytes = kib_to_bytes(sqlite3_column_int64(statement, column)),
        .upper_bytes = upper_kib < 0 ? -1 : kib_to_bytes(upper_kib),
        .from_us = column_us(statement, column + 2),
        .to_us = column_us(statement, column + 3),
        .source = source && strcmp(source, "kernel") == 0 ? MW_PEAK_KERNEL : MW_PEAK_SAMPLED,
    };
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
    return end_of_rows(reader, step, error);
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

    code = prepare(reader,
                   "SELECT id, version, started_ns, duration_us, interval_us, children, cwd, note,"
                   " scheduling, tracking, outcome, exit_status, exit_signal, ticks_due,"
                   " ticks_taken, ticks_missed, longest_gap_us, lateness_p50_us, lateness_p99_us,"
                   " lateness_max_us, recorder_cpu_us, recorder_rss_kib, lost_events,"
                   " dropped_records, lost_marks, blind_us, rss_bound_kib, peak_bound_kib,"
                   " peak_kib, peak_upper_kib, peak_from_us, peak_to_us, peak_source"
                   " FROM run ORDER BY id",
                   &row, error);
    if (code < 0 ||
        (code = prepare(reader, "SELECT value FROM command WHERE run = ?1 ORDER BY position", &word,
                        error)) < 0)
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
    if ((code = end_of_rows(reader, step, error)) < 0)
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

    if ((code = prepare(reader,
                        "SELECT id, pid, ppid, start_us, end_us, exit_status, exit_signal,"
                        " (SELECT name FROM image WHERE image.process = process.id"
                        "  ORDER BY since_us DESC, id DESC LIMIT 1),"
                        " peak_kib, peak_upper_kib, peak_from_us, peak_to_us, peak_source"
                        " FROM process WHERE run = ?1 ORDER BY id",
                        &row, error)) < 0 ||
        (code = prepare(reader,
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
    if ((code = end_of_rows(reader, step, error)) < 0)
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

    code = prepare(reader, "SELECT DISTINCT metric FROM series WHERE run = ?1", &row, error);
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
    if ((code = end_of_rows(reader, step, error)) < 0)
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

    code = prepare(reader, "SELECT from_us, to_us, ticks FROM gap WHERE run = ?1 ORDER BY from_us",
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
    if ((code = end_of_rows(reader, step, error)) < 0)
        return code;
    *ret_gaps = MW_TAKE(gaps);
    *ret_count = count;
    return 0;
}

/* A number that is not negative, unless the file is hostile. */
static int64_t column_count(sqlite3_stmt *statement, int column)
{
    int64_t count = sqlite3_column_int64(statement, column);

    return count > 0 ? count : 0;
}

/* Nanoseconds, -1 for null; held within 36 years, for the same reasons as those of column_us. */
static int64_t column_ns(sqlite3_stmt *statement, int column)
{
    static const int64_t longest_ns = INT64_MAX / 8;
    int64_t ns = column_optional(statement, column);

    return ns < -1 ? 0 : ns > longest_ns ? longest_ns : ns;
}

static struct mw_function column_function(sqlite3_stmt *row)
{
    int64_t line = column_count(row, 3);

    return (struct mw_function){
        .id = sqlite3_column_int64(row, 0),
        .name = column_required(row, 1),
        .file = column_text(row, 2),
        .line = line <= INT_MAX ? (int)line : 0,
        .calls = (uint64_t)column_count(row, 4),
        .ended = (uint64_t)column_count(row, 5),
        .stored = (uint64_t)column_count(row, 6),
        .total_ns = column_count(row, 7),
        .max_ns = column_count(row, 8),
        .suspended_ns = column_count(row, 9),
        .growth_bytes = kib_to_bytes(sqlite3_column_int64(row, 10)),
        .peak = column_peak(row, 11),
    };
}

int mw_reader_functions(struct mw_reader *reader, int64_t run, struct mw_function **ret_functions,
                        size_t *ret_count, struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    struct mw_function *functions = NULL;
    size_t count = 0, room = 0;
    int code = 0, step = SQLITE_DONE;

    if (reader->version >= functions_version &&
        (code = prepare(reader,
                        "SELECT id, name, file, line, calls, ended, stored, total_ns, max_ns,"
                        " suspended_ns, growth_kib, peak_kib, peak_upper_kib, peak_from_us,"
                        " peak_to_us, peak_source FROM function WHERE run = ?1 ORDER BY id",
                        &row, error)) < 0)
        return code;
    sqlite3_bind_int64(row, 1, run);
    while (row && (step = sqlite3_step(row)) == SQLITE_ROW) {
        if (!mw_array_reserve(&functions, count, &room, sizeof *functions)) {
            code = mw_error_errno(error, ENOMEM, "%s", reader->path);
            goto fail;
        }
        functions[count++] = column_function(row);
    }
    if ((code = end_of_rows(reader, step, error)) < 0)
        goto fail;
    *ret_functions = functions;
    *ret_count = count;
    return 0;
fail:
    for (size_t i = 0; i < count; i++)
        mw_function_clear(&functions[i]);
    free(functions);
    return code;
}

/* Where a peak of a call was: what the file counts from the entry, -1 for null. */
static int64_t column_since(sqlite3_stmt *statement, int column, int64_t from_us)
{
    int64_t dt_us = column_us(statement, column);

    return dt_us < 0 ? -1 : from_us + dt_us;
}

static struct mw_peak column_call_peak(sqlite3_stmt *row, int column, int64_t from_us)
{
    int64_t upper_kib = column_optional(row, column + 1);

    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return (struct mw_peak){.known = false};
    return (struct mw_peak){
        .known = true,
        .bytes = kib_to_bytes(column_count(row, column)),
        .upper_bytes = upper_kib < 0 ? -1 : kib_to_bytes(upper_kib),
        .from_us = column_since(row, column + 2, from_us),
        .to_us = column_since(row, column + 3, from_us),
        .source = sqlite3_column_int64(row, column + 4) == 1 ? MW_PEAK_KERNEL : MW_PEAK_SAMPLED,
    };
}

static int64_t column_bytes(sqlite3_stmt *row, int column)
{
    int64_t kib = column_optional(row, column);

    return kib < 0 ? -1 : kib_to_bytes(kib);
}

static struct mw_call column_call(sqlite3_stmt *row)
{
    int64_t thread = sqlite3_column_int64(row, 4), track = column_count(row, 5);
    int64_t depth = column_count(row, 6), from_us = column_count(row, 1);
    struct mw_call call = {
        .function = sqlite3_column_int64(row, 0),
        .number = (uint64_t)column_count(row, 2),
        .process = column_optional(row, 3),
        .thread = thread,
        .track = track > 0 ? -track : thread,
        .depth = depth <= INT_MAX ? (unsigned)depth : INT_MAX,
        .from_us = from_us <= longest_us ? from_us : longest_us,
        .to_us = -1,
        .duration_ns = column_ns(row, 7),
        .suspended_ns = column_ns(row, 8),
        .from_bytes = column_bytes(row, 9),
        .to_bytes = column_bytes(row, 10),
    };

    call.peak = column_call_peak(row, 11, call.from_us);
    if (call.suspended_ns < 0)
        call.suspended_ns = 0;
    if (call.duration_ns >= 0)
        call.to_us = call.from_us + (call.duration_ns + call.suspended_ns) / 1000;
    return call;
}

/* The calls of one function in the order of entry, of which the next is at hand. */
struct stream {
    sqlite3_stmt *row;
    struct mw_call next;
};

/* Those of all functions, as a heap: no stream has its next call before that of the one above it.
 */
struct streams {
    struct stream **heap;
    size_t count, room;
};

static void free_stream(struct stream *stream)
{
    sqlite3_finalize(stream->row);
    free(stream);
}

static bool comes_before(const struct mw_call *a, const struct mw_call *b)
{
    if (a->from_us != b->from_us)
        return a->from_us < b->from_us;
    return a->depth != b->depth ? a->depth < b->depth : a->function < b->function;
}

/* Brings a stream whose next call has changed to its place. */
static void sift_down(struct streams *streams, size_t at)
{
    for (;;) {
        struct stream *stream = streams->heap[at];
        size_t first = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < streams->count; child++) {
            if (comes_before(&streams->heap[child]->next, &streams->heap[first]->next))
                first = child;
        }
        if (first == at)
            return;
        streams->heap[at] = streams->heap[first];
        streams->heap[first] = stream;
        at = first;
    }
}

/* Takes the next call of a stream; 1, 0 at its end, or an error. */
static int advance(struct mw_reader *reader, struct stream *stream, struct mw_error *error)
{
    int step = sqlite3_step(stream->row);

    if (step != SQLITE_ROW)
        return end_of_rows(reader, step, error);
    stream->next = column_call(stream->row);
    return 1;
}

/* Adds the stream of a function that has calls in the window; the heap is none yet. */
static int add_stream(struct mw_reader *reader, struct streams *streams, sqlite3_stmt *function,
                      int64_t from_us, int64_t to_us, struct mw_error *error)
{
    struct stream *stream;
    int code;

    if (!mw_array_reserve(&streams->heap, streams->count, &streams->room, sizeof *streams->heap) ||
        !(stream = calloc(1, sizeof *stream)))
        return mw_error_errno(error, ENOMEM, "%s", reader->path);
    code = prepare(reader,
                   "SELECT function, enter_us, number, process, thread, track, depth, duration_ns,"
                   " suspended_ns, enter_kib, exit_kib, peak_kib, peak_upper_kib, peak_from_dt_us,"
                   " peak_to_dt_us, peak_is_kernels FROM call"
                   " WHERE function = ?1 AND enter_us BETWEEN ?4 AND ?3 AND (duration_ns IS NULL"
                   "  OR enter_us + (duration_ns + suspended_ns) / 1000 >= ?2)"
                   " ORDER BY enter_us, number",
                   &stream->row, error);
    if (code == 0) {
        sqlite3_bind_int64(stream->row, 1, sqlite3_column_int64(function, 0));
        sqlite3_bind_int64(stream->row, 2, from_us);
        sqlite3_bind_int64(stream->row, 3, to_us);
        sqlite3_bind_int64(stream->row, 4, sqlite3_column_int64(function, 1));
        code = advance(reader, stream, error);
    }
    if (code <= 0) {
        free_stream(stream);
        return code;
    }
    streams->heap[streams->count++] = stream;
    return 0;
}

/*
 * Finds the functions of a run, and from which entry on their calls may reach into the window: no
 * call lasts longer than the longest and all suspensions together. Where calls are open that have
 * no end, it is all of them.
 */
static int open_streams(struct mw_reader *reader, struct streams *streams, int64_t run,
                        int64_t from_us, int64_t to_us, struct mw_error *error)
{
    mw_auto_statement sqlite3_stmt *row = NULL;
    int code, step = SQLITE_DONE;

    code = prepare(reader,
                   "SELECT id, CASE WHEN ended < calls THEN 0"
                   " ELSE max(0, ?2 - (max_ns + suspended_ns) / 1000 - 1) END"
                   " FROM function WHERE run = ?1 AND calls > 0",
                   &row, error);
    if (code < 0)
        return code;
    sqlite3_bind_int64(row, 1, run);
    sqlite3_bind_int64(row, 2, from_us);
    while (code == 0 && (step = sqlite3_step(row)) == SQLITE_ROW)
        code = add_stream(reader, streams, row, from_us, to_us, error);
    if (code == 0)
        code = end_of_rows(reader, step, error);
    for (size_t at = streams->count / 2; at > 0; at--)
        sift_down(streams, at - 1);
    return code;
}

/* Gives the calls of all streams in the order of entry. */
static int merge_streams(struct mw_reader *reader, struct streams *streams, mw_call_fn *give,
                         void *context, struct mw_error *error)
{
    while (streams->count > 0) {
        struct stream *stream = streams->heap[0];
        int code = give(context, &stream->next);

        if (code != 0 || (code = advance(reader, stream, error)) < 0)
            return code;
        if (code == 0) {
            streams->heap[0] = streams->heap[--streams->count];
            free_stream(stream);
        }
        if (streams->count > 0)
            sift_down(streams, 0);
    }
    return 0;
}

int mw_reader_calls(struct mw_reader *reader, int64_t run, int64_t from_us, int64_t to_us,
                    mw_call_fn *give, void *context, struct mw_error *error)
{
    struct streams streams = {0};
    int code;

    if (reader->version < functions_version)
        return 0;
    code = open_streams(reader, &streams, run, from_us, to_us, error);
    if (code == 0)
        code = merge_streams(reader, &streams, give, context, error);
    for (size_t i = 0; i < streams.count; i++)
        free_stream(streams.heap[i]);
    free(streams.heap);
    return code;
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

    code = prepare(
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
    if ((code = end_of_rows(reader, step, error)) < 0)
        return code;
    *ret_stretches = MW_TAKE(stretches);
    *ret_count = count;
    return 0;
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
    return code != 0 ? code : end_of_rows(reader, step, error);
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
        (code = prepare(reader,
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
