#include "store/reader.h"
#include "store/rows.h"
#include "store/sql.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Files of earlier versions have no functions. */
static const int64_t functions_version = 2;

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
        (code = rows_prepare(reader,
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
    if ((code = rows_end(reader, step, error)) < 0)
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
        return rows_end(reader, step, error);
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
    code = rows_prepare(
        reader,
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

    code = rows_prepare(reader,
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
        code = rows_end(reader, step, error);
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
