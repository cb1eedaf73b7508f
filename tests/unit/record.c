#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mw_run record_run(void)
{
    static char version[] = "1.2.3", cwd[] = "/tmp/\xFF", note[] = "a 'note'", fifo[] = "fifo:1";
    static char children[] = "children", program[] = "prog", empty[] = "", odd[] = "\xFE\n";
    static char *command[] = {program, empty, odd, empty};

    return (struct mw_run){
        .version = version,
        .command = command,
        .command_length = MW_COUNT(command),
        .started_ns = INT64_C(1777817251250000001),
        .interval_us = 1000,
        .children = MW_CHILDREN_EACH,
        .cwd = cwd,
        .note = note,
        .scheduling = fifo,
        .tracking = children,
    };
}

struct mw_writer *record_begin(const char *path)
{
    static const char *const arguments[] = {"prog", "x"};
    struct mw_run run = record_run();
    struct mw_writer *writer = NULL;
    struct mw_error error = {0};

    if (mw_writer_open(&writer, path, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(mw_writer_begin_run(writer, &run, NULL), 0);
    assert_int_equal(mw_writer_start_process(writer, 0, 100, 1, 0, NULL), 0);
    assert_int_equal(mw_writer_add_image(writer, 0, 0, "prog", arguments, 2, NULL), 0);
    record_sample(writer, 0, 0, 1000);
    return writer;
}

void record_sample(struct mw_writer *writer, uint32_t slot, int64_t t_us, int64_t kib)
{
    assert_int_equal(mw_writer_add_sample(writer, slot, MW_METRIC_RSS, t_us, kib, NULL), 0);
}

/* A limit, and that it was crossed. */
static void record_limit(struct mw_writer *writer)
{
    struct mw_limit limit = {.name = (char[]){"max-rss"}, .value = 1 << 20, .window_us = -1};
    struct mw_event event = {.kind = MW_EVENT_LIMIT,
                             .t_us = 2500,
                             .name = limit.name,
                             .has_value = true,
                             .value = 2 << 20,
                             .has_limit = true,
                             .limit_value = limit.value};

    assert_int_equal(mw_writer_add_limit(writer, MW_SLOT_TREE, &limit, NULL), 0);
    assert_int_equal(mw_writer_add_event(writer, MW_SLOT_TREE, &event, NULL), 0);
}

/* The two snapshots of a suspect whose heap grew. */
static void record_growth(struct mw_writer *writer)
{
    struct mw_mapping_group groups[] = {
        {MW_MAPPING_HEAP, (char[]){""}, 1, 1000, 1000, 10},
        {MW_MAPPING_FILE, (char[]){"/lib/x.so"}, 4, 300, 20, 0},
        {MW_MAPPING_FILE, NULL, 9, 100, 0, 0},
    };

    for (int64_t second = 0; second < 2; second++) {
        struct mw_snapshot snapshot = {2500 + second * 1000, 2510 + second * 1000, second != 0,
                                       groups, MW_COUNT(groups)};

        assert_int_equal(mw_writer_add_snapshot(writer, 0, &snapshot, NULL), 0);
        groups[0].resident_kib += 500;
    }
}

/* A function with one call. */
static void record_call(struct mw_writer *writer)
{
    const struct mw_peak peak = {true, 1 << 20, 2 << 20, 3000, 4000, MW_PEAK_KERNEL};
    struct mw_function function = {
        .calls = 1, .ended = 1, .stored = 1, .total_ns = 1000000, .max_ns = 1000000, .peak = peak};
    struct mw_call call = {.number = 1,
                           .track = 100,
                           .thread = 100,
                           .from_us = 3000,
                           .to_us = 4000,
                           .duration_ns = 1000000,
                           .from_bytes = 1 << 20,
                           .to_bytes = 1 << 20,
                           .peak = peak};

    assert_int_equal(mw_writer_add_function(writer, "f", "f.c", 7, &function.id, NULL), 0);
    call.function = function.id;
    assert_int_equal(mw_writer_add_call(writer, 0, &call, NULL), 0);
    assert_int_equal(mw_writer_set_function(writer, &function, NULL), 0);
}

void record_small(const char *path)
{
    struct mw_writer *writer = record_begin(path);

    record_sample(writer, 0, 1000, 2000);
    assert_int_equal(mw_writer_start_process(writer, 1, 101, 100, 2000, NULL), 0);
    record_sample(writer, 1, 2000, 500);
    record_sample(writer, MW_SLOT_TREE, 2000, 2500);
    assert_int_equal(mw_writer_add_gap(writer, &(struct mw_gap){3000, 5000, 1}, NULL), 0);
    assert_int_equal(mw_writer_end_process(writer, 1, 6000, 0, -1, NULL), 0);
    record_call(writer);
    record_limit(writer);
    record_growth(writer);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_EXITED, 0, -1, -1, NULL), 0);
    mw_writer_close(writer);
}

struct mw_reader *record_open(const char *path)
{
    struct mw_reader *reader = NULL;
    struct mw_error error = {0};

    if (mw_reader_open(&reader, path, &error) < 0)
        fail_msg("%s", error.text);
    return reader;
}

struct mw_run *record_runs(const char *path, size_t *ret_count)
{
    struct mw_reader *reader = record_open(path);
    struct mw_run *runs = NULL;

    assert_int_equal(mw_reader_runs(reader, &runs, ret_count, NULL), 0);
    mw_reader_close(reader);
    return runs;
}

void record_clear(struct mw_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mw_run_clear(&runs[i]);
    free(runs);
}

static int take_sample(void *context, const struct mw_sample *sample)
{
    struct record_samples *samples = context;

    if (samples->count > 0 && sample->t_us <= samples->last.t_us)
        samples->in_order = false;
    if (samples->count < MW_COUNT(samples->first))
        samples->first[samples->count] = *sample;
    samples->last = *sample;
    samples->count++;
    return 0;
}

struct record_samples record_read(const char *path, int64_t run, int64_t process, int64_t from_us,
                                  int64_t to_us)
{
    struct record_samples samples = {.in_order = true};
    struct mw_reader *reader = record_open(path);

    assert_int_equal(mw_reader_samples(reader, run, process, MW_METRIC_RSS, from_us, to_us,
                                       take_sample, &samples, NULL),
                     0);
    mw_reader_close(reader);
    return samples;
}

void record_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(db);
}

int64_t record_number(const char *path, const char *sql)
{
    sqlite3_stmt *statement;
    sqlite3 *db;
    int64_t number;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

char *record_bytes(const char *path, size_t *ret_length)
{
    FILE *file = fopen(path, "r");
    char *bytes;
    long length;

    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    length = ftell(file);
    rewind(file);
    bytes = malloc((size_t)length + 1);
    assert_non_null(bytes);
    *ret_length = fread(bytes, 1, (size_t)length, file);
    fclose(file);
    return bytes;
}

void record_write(const char *path, const char *bytes, size_t length)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

/* No time of a call is so large that nanoseconds would not hold it. */
static int take_call(void *context, const struct mw_call *call)
{
    const int64_t most_us = INT64_MAX / 1000;

    (void)context;
    assert_true(call->from_us >= 0 && call->from_us <= most_us && call->to_us <= most_us);
    assert_true(call->to_us == -1 || call->to_us >= call->from_us);
    assert_true(!call->peak.known || (call->peak.to_us <= most_us && call->peak.bytes >= 0));
    return 0;
}

static int read_functions(struct mw_reader *reader, int64_t run, struct mw_error *error)
{
    struct mw_function *functions = NULL;
    size_t count = 0;
    int code = mw_reader_functions(reader, run, &functions, &count, error);

    for (size_t i = 0; i < count; i++) {
        assert_non_null(functions[i].name);
        mw_function_clear(&functions[i]);
    }
    free(functions);
    if (code == 0)
        code = mw_reader_calls(reader, run, 1000, 5000, take_call, NULL, error);
    return code == 0 ? mw_reader_calls(reader, run, 0, INT64_MAX, take_call, NULL, error) : code;
}

static int read_events(struct mw_reader *reader, int64_t run, struct mw_error *error)
{
    struct mw_event *events = NULL;
    struct mw_limit *limits = NULL;
    size_t event_count = 0, limit_count = 0;
    int code = mw_reader_events(reader, run, &events, &event_count, error);

    if (code == 0)
        code = mw_reader_limits(reader, run, &limits, &limit_count, error);
    for (size_t i = 0; i < event_count; i++)
        mw_event_clear(&events[i]);
    for (size_t i = 0; i < limit_count; i++) {
        assert_non_null(limits[i].name);
        assert_non_null(limits[i].place);
        mw_limit_clear(&limits[i]);
    }
    free(events);
    free(limits);
    return code;
}

/* In levels of a second and more, where there are any. */
static int read_coarsely(struct mw_reader *reader, int64_t run, struct mw_error *error)
{
    struct record_samples samples = {.in_order = true};
    struct mw_series_window window = {run,  MW_PROCESS_TREE, MW_METRIC_RSS,
                                      1000, INT64_MAX,       1000000};
    struct mw_kept kept;
    int code = mw_reader_kept(reader, run, &kept, error);

    return code == 0 ? mw_reader_series(reader, &window, take_sample, &samples, error) : code;
}

static int read_growth(struct mw_reader *reader, int64_t run, struct mw_error *error)
{
    struct mw_mapping_growth *growth = NULL;
    size_t count = 0;
    int code = mw_reader_growth(reader, run, &growth, &count, error);

    for (size_t i = 0; i < count; i++)
        mw_mapping_growth_clear(&growth[i]);
    free(growth);
    return code;
}

static int read_run(struct mw_reader *reader, int64_t run, struct mw_error *error)
{
    struct record_samples samples = {.in_order = true};
    struct mw_process *processes = NULL;
    struct mw_gap *gaps = NULL;
    size_t process_count = 0, gap_count = 0;
    int code = mw_reader_processes(reader, run, &processes, &process_count, error);

    if (code == 0)
        code = mw_reader_gaps(reader, run, &gaps, &gap_count, error);
    free(gaps);
    for (size_t i = 0; i < process_count; i++) {
        if (code == 0)
            code = mw_reader_samples(reader, run, processes[i].id, MW_METRIC_RSS, 0, INT64_MAX,
                                     take_sample, &samples, error);
        mw_process_clear(&processes[i]);
    }
    free(processes);
    if (code == 0)
        code = read_functions(reader, run, error);
    if (code == 0)
        code = read_events(reader, run, error);
    if (code == 0)
        code = read_coarsely(reader, run, error);
    if (code == 0)
        code = read_growth(reader, run, error);
    if (code == 0)
        code = mw_reader_samples(reader, run, MW_PROCESS_TREE, MW_METRIC_RSS, 0, INT64_MAX,
                                 take_sample, &samples, error);
    return code;
}

int record_read_all(const char *path, struct mw_error *ret_error)
{
    struct mw_reader *reader = NULL;
    struct mw_run *runs = NULL;
    size_t count = 0;
    int code = mw_reader_open(&reader, path, ret_error);

    if (code < 0)
        return code;
    code = mw_reader_runs(reader, &runs, &count, ret_error);
    for (size_t i = 0; i < count && code == 0; i++)
        code = read_run(reader, runs[i].id, ret_error);
    record_clear(runs, count);
    mw_reader_close(reader);
    return code;
}
