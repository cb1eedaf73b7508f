/*
 * A hostile file, opened and read whole. Called with --seed FILE as its first argument it writes a
 * small recording there instead, to begin with.
 */
#include "fuzz.h"
#include "store/reader.h"
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Rows that a file of a few kilobytes cannot hold: a view that never ends is hostile too. */
enum { SAMPLE_LIMIT = 100000 };

static int count_sample(void *context, const struct mw_sample *sample)
{
    (void)sample;
    return ++*(int *)context > SAMPLE_LIMIT ? 1 : 0;
}

static void check_code(int code, const struct mw_error *error)
{
    FUZZ_CHECK(code >= 0 || (error->code == code && *error->text != '\0'));
}

static int check_sample(void *context, const struct mw_sample *sample)
{
    FUZZ_CHECK(sample->from_us <= sample->t_us && sample->count > 0);
    FUZZ_CHECK(sample->low_bytes <= sample->bytes && sample->bytes <= sample->high_bytes);
    return ++*(int *)context > SAMPLE_LIMIT ? 1 : 0;
}

static void read_coarsely(struct mw_reader *reader, int64_t run, int64_t process,
                          enum mw_metric metric)
{
    static const int64_t grains_us[] = {-1, 1000, 1000000, INT64_MAX};
    struct mw_error error = {0};
    int count = 0;

    for (size_t i = 0; i < sizeof grains_us / sizeof *grains_us; i++) {
        struct mw_series_window window = {run, process, metric, 0, INT64_MAX, grains_us[i]};

        check_code(mw_reader_series(reader, &window, check_sample, &count, &error), &error);
    }
}

static void read_series(struct mw_reader *reader, int64_t run, int64_t process)
{
    struct mw_error error = {0};
    int count = 0;

    for (int metric = 0; metric < MW_METRIC_COUNT; metric++) {
        check_code(mw_reader_samples(reader, run, process, (enum mw_metric)metric, 0, INT64_MAX,
                                     count_sample, &count, &error),
                   &error);
        check_code(mw_reader_samples(reader, run, process, (enum mw_metric)metric, 1000, 2000,
                                     count_sample, &count, &error),
                   &error);
        read_coarsely(reader, run, process, (enum mw_metric)metric);
    }
}

static int check_call(void *context, const struct mw_call *call)
{
    FUZZ_CHECK(call->from_us >= 0 && call->to_us <= INT64_MAX / 1000);
    return ++*(int *)context > SAMPLE_LIMIT ? 1 : 0;
}

static void read_events(struct mw_reader *reader, int64_t run)
{
    struct mw_error error = {0};
    struct mw_event *events = NULL;
    struct mw_limit *limits = NULL;
    size_t event_count = 0, limit_count = 0;

    check_code(mw_reader_events(reader, run, &events, &event_count, &error), &error);
    check_code(mw_reader_limits(reader, run, &limits, &limit_count, &error), &error);
    for (size_t i = 0; i < event_count; i++)
        mw_event_clear(&events[i]);
    for (size_t i = 0; i < limit_count; i++) {
        FUZZ_CHECK(limits[i].name && limits[i].place);
        mw_limit_clear(&limits[i]);
    }
    free(events);
    free(limits);
}

static void read_growth(struct mw_reader *reader, int64_t run)
{
    struct mw_error error = {0};
    struct mw_mapping_growth *growth = NULL;
    size_t count = 0;
    int code = mw_reader_growth(reader, run, &growth, &count, &error);

    check_code(code, &error);
    FUZZ_CHECK(code == 0 || !growth);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(growth[i].from.resident_bytes >= 0 && growth[i].to.swapped_bytes >= 0);
        FUZZ_CHECK(growth[i].to_us >= 0 || mw_mapping_growth_bytes(&growth[i]) == 0);
        mw_mapping_growth_clear(&growth[i]);
    }
    free(growth);
}

static void read_functions(struct mw_reader *reader, int64_t run)
{
    struct mw_error error = {0};
    struct mw_function *functions = NULL;
    size_t count = 0;
    int code = mw_reader_functions(reader, run, &functions, &count, &error), calls = 0;

    check_code(code, &error);
    FUZZ_CHECK(code == 0 || !functions);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(functions[i].name);
        mw_function_clear(&functions[i]);
    }
    free(functions);
    check_code(mw_reader_calls(reader, run, 1000, 2000, check_call, &calls, &error), &error);
    check_code(mw_reader_calls(reader, run, 0, INT64_MAX, check_call, &calls, &error), &error);
}

static void read_processes(struct mw_reader *reader, int64_t run)
{
    struct mw_error error = {0};
    struct mw_process *processes = NULL;
    struct mw_gap *gaps = NULL;
    struct mw_kept kept;
    size_t count = 0;
    int code = mw_reader_processes(reader, run, &processes, &count, &error);

    check_code(code, &error);
    FUZZ_CHECK(code == 0 || !processes);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < processes[i].argument_count; j++)
            FUZZ_CHECK(processes[i].arguments[j]);
        read_series(reader, run, processes[i].id);
        mw_process_clear(&processes[i]);
    }
    free(processes);
    code = mw_reader_gaps(reader, run, &gaps, &count, &error);
    check_code(code, &error);
    free(gaps);
    read_series(reader, run, MW_PROCESS_TREE);
    check_code(mw_reader_kept(reader, run, &kept, &error), &error);
}

static void read_file(const char *path)
{
    struct mw_error error = {0};
    struct mw_reader *reader = NULL;
    struct mw_run *runs = NULL;
    size_t count = 0;
    int code = mw_reader_open(&reader, path, &error);

    check_code(code, &error);
    if (code < 0) {
        FUZZ_CHECK(!reader);
        return;
    }
    code = mw_reader_runs(reader, &runs, &count, &error);
    check_code(code, &error);
    FUZZ_CHECK(code == 0 || !runs);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(runs[i].version && runs[i].cwd && runs[i].scheduling && runs[i].tracking);
        read_processes(reader, runs[i].id);
        read_functions(reader, runs[i].id);
        read_events(reader, runs[i].id);
        read_growth(reader, runs[i].id);
        mw_run_clear(&runs[i]);
    }
    free(runs);
    mw_reader_close(reader);
}

/* SQLite resolves links, so that a memfd under /proc would not do: a file in the working folder. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const leftovers[] = {"input.db", "input.db-wal", "input.db-shm",
                                            "input.db-journal"};
    int fd = open("input.db", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    read_file("input.db");
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++)
        unlink(leftovers[i]);
    return 0;
}

/* A limit, and that it was crossed. */
static void write_limit(struct mw_writer *writer)
{
    struct mw_limit limit = {.name = (char[]){"max-rss"}, .value = 1 << 20, .window_us = -1};
    struct mw_event event = {.kind = MW_EVENT_LIMIT, .t_us = 9000, .name = limit.name};

    mw_writer_add_limit(writer, MW_SLOT_TREE, &limit, NULL);
    mw_writer_add_event(writer, 0, &event, NULL);
}

/* Two snapshots of a process. */
static void write_growth(struct mw_writer *writer)
{
    struct mw_mapping_group groups[] = {{MW_MAPPING_HEAP, (char[]){""}, 1, 1000, 900, 10},
                                        {MW_MAPPING_FILE, NULL, 4, 300, 20, 0}};
    struct mw_snapshot snapshot = {1000, 1010, false, groups, 2};

    mw_writer_add_snapshot(writer, 0, &snapshot, NULL);
    snapshot.second = true;
    mw_writer_add_snapshot(writer, 0, &snapshot, NULL);
}

/* A function with a few calls. */
static void write_calls(struct mw_writer *writer)
{
    struct mw_function function = {.calls = 5, .ended = 5, .stored = 5, .max_ns = 50000};

    mw_writer_add_function(writer, "function", "file", 1, &function.id, NULL);
    for (int64_t i = 0; i < 5; i++) {
        struct mw_call call = {.function = function.id,
                               .number = (uint64_t)i + 1,
                               .from_us = 1000 + i * 100,
                               .to_us = 1050 + i * 100,
                               .duration_ns = 50000,
                               .from_bytes = 1 << 20,
                               .to_bytes = 1 << 20};

        mw_writer_add_call(writer, 0, &call, NULL);
    }
    mw_writer_set_function(writer, &function, NULL);
}

/* A run with a process, a tree, a gap, and a few samples and calls. */
static void write_seed(const char *path)
{
    static char word[] = "word";
    static char *command[] = {word, word};
    static const char *const arguments[] = {"prog", "x"};
    struct mw_run run = {.version = word,
                         .command = command,
                         .command_length = 2,
                         .interval_us = 1000,
                         .cwd = word,
                         .scheduling = word,
                         .tracking = word};
    struct mw_writer *writer = NULL;

    if (mw_writer_open(&writer, path, NULL) < 0 || mw_writer_begin_run(writer, &run, NULL) < 0)
        abort();
    mw_writer_start_process(writer, 0, 100, 1, 0, NULL);
    mw_writer_add_image(writer, 0, 0, "prog", arguments, 2, NULL);
    mw_writer_start_process(writer, 1, 101, 100, 1000, NULL);
    for (int64_t t = 0; t < 10; t++) {
        mw_writer_add_sample(writer, 0, MW_METRIC_RSS, t * 300, t + 100, NULL);
        mw_writer_add_sample(writer, MW_SLOT_TREE, MW_METRIC_RSS, 1000 + t * 300, t + 200, NULL);
    }
    /* Behind the first bucket of a level, so that it has rows. */
    mw_writer_add_sample(writer, 0, MW_METRIC_RSS, 2500000, 7, NULL);
    mw_writer_add_sample(writer, MW_SLOT_TREE, MW_METRIC_RSS, 2500000, 8, NULL);
    mw_writer_add_gap(writer, &(struct mw_gap){1500, 1700, 2}, NULL);
    write_calls(writer);
    write_limit(writer);
    write_growth(writer);
    mw_writer_end_run(writer, MW_OUTCOME_EXITED, 0, -1, -1, NULL);
    mw_writer_close(writer);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc == 3 && strcmp((*argv)[1], "--seed") == 0) {
        write_seed((*argv)[2]);
        exit(0);
    }
    return 0;
}
