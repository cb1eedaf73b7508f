/* What is written into a memwatch file is read back, all of it. */
#include "record.h"
#include "store/file.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct mw_ticks ticks = {100, 90, 10, 5000, 3, 40, 500};
static const struct mw_recorder_cost cost = {12345, 8 << 20, 6, 1, 2, 3};

static void check_run(const struct mw_run *run)
{
    struct mw_run wanted = record_run();

    assert_string_equal(run->version, wanted.version);
    assert_int_equal(run->command_length, wanted.command_length);
    for (size_t i = 0; i < wanted.command_length; i++)
        assert_string_equal(run->command[i], wanted.command[i]);
    assert_true(run->started_ns == wanted.started_ns);
    assert_int_equal(run->interval_us, wanted.interval_us);
    assert_int_equal(run->children, wanted.children);
    assert_string_equal(run->cwd, wanted.cwd);
    assert_string_equal(run->note, wanted.note);
    assert_string_equal(run->scheduling, wanted.scheduling);
    assert_string_equal(run->tracking, wanted.tracking);
}

static void test_every_field_of_a_run_comes_back(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct mw_run *runs;
    size_t count;

    record_sample(writer, 0, 700, 3000);
    assert_int_equal(mw_writer_set_progress(writer, 99000, &ticks, &cost, NULL), 0);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_SIGNALED, -1, 11, -1, NULL), 0);
    mw_writer_close(writer);
    runs = record_runs(path, &count);
    assert_int_equal(count, 1);
    check_run(&runs[0]);
    assert_int_equal(runs[0].duration_us, 99000);
    assert_int_equal(runs[0].outcome, MW_OUTCOME_SIGNALED);
    assert_int_equal(runs[0].exit_status, -1);
    assert_int_equal(runs[0].exit_signal, 11);
    assert_memory_equal(&runs[0].ticks, &ticks, sizeof ticks);
    assert_memory_equal(&runs[0].recorder, &cost, sizeof cost);
    assert_true(runs[0].peak.known && runs[0].peak.source == MW_PEAK_SAMPLED);
    assert_int_equal(runs[0].peak.bytes, 3000 * 1024);
    assert_int_equal(runs[0].peak.upper_bytes, -1);
    assert_int_equal(runs[0].peak.from_us, 700);
    assert_int_equal(runs[0].peak.to_us, 700);
    record_clear(runs, count);
    free(path);
}

static void test_what_is_not_known_comes_back_as_not_known(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_run run = record_run(), *runs;
    struct mw_writer *writer = NULL;
    struct mw_ticks none = {.lateness_p50_us = -1, .lateness_p99_us = -1, .lateness_max_us = -1};
    size_t count;

    run.note = NULL;
    run.children = MW_CHILDREN_NONE;
    assert_int_equal(mw_writer_open(&writer, path, NULL), 0);
    assert_int_equal(mw_writer_begin_run(writer, &run, NULL), 0);
    assert_int_equal(mw_writer_set_progress(writer, 0, &none, &(struct mw_recorder_cost){0}, NULL),
                     0);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL), 0);
    mw_writer_close(writer);
    runs = record_runs(path, &count);
    assert_null(runs[0].note);
    assert_int_equal(runs[0].children, MW_CHILDREN_NONE);
    assert_false(runs[0].peak.known);
    assert_int_equal(runs[0].ticks.lateness_p50_us, -1);
    assert_int_equal(runs[0].ticks.lateness_max_us, -1);
    assert_int_equal(runs[0].exit_status, -1);
    assert_int_equal(runs[0].exit_signal, -1);
    assert_int_equal(runs[0].outcome, MW_OUTCOME_DETACHED);
    record_clear(runs, count);
    free(path);
}

static void check_root(const struct mw_process *root)
{
    assert_int_equal(root->pid, 100);
    assert_int_equal(root->ppid, 1);
    assert_int_equal(root->start_us, 0);
    assert_int_equal(root->end_us, 99000); /* with the run */
    assert_int_equal(root->exit_status, 3);
    assert_string_equal(root->name, "after-exec");
    assert_int_equal(root->argument_count, 3);
    assert_string_equal(root->arguments[0], "/bin/after-exec");
    assert_string_equal(root->arguments[1], "");
    assert_string_equal(root->arguments[2], "\xFF\n");
    assert_int_equal(root->peak.bytes, 1000 * 1024);
}

static void test_every_field_of_a_process_comes_back(void **state)
{
    static const char *const arguments[] = {"/bin/after-exec", "", "\xFF\n"};
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct mw_reader *reader;
    struct mw_process *processes;
    size_t count;

    mw_writer_add_image(writer, 0, 500, "after-exec", arguments, 3, NULL);
    mw_writer_start_process(writer, 7, 101, 100, 600, NULL);
    record_sample(writer, 7, 610, 50);
    record_sample(writer, 7, 620, 70);
    record_sample(writer, 7, 630, 60);
    mw_writer_end_process(writer, 7, 900, -1, 9, NULL);
    mw_writer_start_process(writer, 7, 102, 100, 950, NULL); /* the slot is used again */
    mw_writer_set_progress(writer, 99000, &ticks, &cost, NULL);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_EXITED, 3, -1, -1, NULL), 0);
    mw_writer_close(writer);
    reader = record_open(path);
    assert_int_equal(mw_reader_processes(reader, 1, &processes, &count, NULL), 0);
    assert_int_equal(count, 3);
    check_root(&processes[0]);
    assert_int_equal(processes[1].end_us, 900);
    assert_int_equal(processes[1].exit_signal, 9);
    assert_int_equal(processes[1].exit_status, -1);
    assert_int_equal(processes[1].peak.bytes, 70 * 1024);
    assert_int_equal(processes[1].peak.from_us, 620);
    assert_null(processes[1].name);
    assert_int_equal(processes[2].pid, 102);
    assert_int_equal(processes[2].end_us, -1);
    assert_false(processes[2].peak.known);
    for (size_t i = 0; i < count; i++)
        mw_process_clear(&processes[i]);
    free(processes);
    assert_int_equal(mw_reader_processes(reader, 4711, &processes, &count, NULL), 0);
    assert_int_equal(count, 0);
    free(processes);
    mw_reader_close(reader);
    free(path);
}

static void test_gaps_and_clocks_come_back_in_order(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct mw_reader *reader;
    struct mw_gap *gaps;
    size_t count;

    mw_writer_add_gap(writer, &(struct mw_gap){5000, 7000, 3}, NULL);
    mw_writer_add_gap(writer, &(struct mw_gap){1000, 2000, 1}, NULL);
    mw_writer_add_clock(writer, 6000, 4711, NULL);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL), 0);
    mw_writer_close(writer);
    reader = record_open(path);
    assert_int_equal(mw_reader_gaps(reader, 1, &gaps, &count, NULL), 0);
    mw_reader_close(reader);
    assert_int_equal(count, 2);
    assert_int_equal(gaps[0].from_us, 1000);
    assert_int_equal(gaps[0].to_us, 2000);
    assert_int_equal(gaps[0].ticks, 1);
    assert_int_equal(gaps[1].from_us, 5000);
    assert_int_equal(record_number(path, "SELECT count(*) FROM clock"), 2);
    assert_int_equal(record_number(path, "SELECT realtime_ns FROM clock WHERE t_us = 6000"), 4711);
    free(gaps);
    free(path);
}

static void test_a_second_value_at_the_same_moment_replaces_the_first(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct record_samples samples;

    record_sample(writer, 0, 10, 5);
    record_sample(writer, 0, 10, 6);
    mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL);
    mw_writer_close(writer);
    samples = record_read(path, 1, 1, 0, INT64_MAX);
    assert_int_equal(samples.count, 2);
    assert_int_equal(samples.last.bytes, 6 * 1024);
    free(path);
}

static void test_a_window_gives_what_holds_at_its_start_up_to_its_end(void **state)
{
    static const struct {
        int64_t from, to;
        size_t count;
        int64_t first, last;
    } cases[] = {{0, 100, 11, 0, 100}, {15, 35, 3, 10, 30},           {20, 40, 3, 20, 40},
                 {21, 21, 1, 20, 20},  {500, 600, 1, 100, 100},       {0, 0, 1, 0, 0},
                 {-5, -1, 0, 0, 0},    {100, INT64_MAX, 1, 100, 100}, {INT64_MIN, 9, 1, 0, 0}};
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);

    for (int64_t t = 10; t <= 100; t += 10)
        record_sample(writer, 0, t, t);
    mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL);
    mw_writer_close(writer);
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        struct record_samples samples = record_read(path, 1, 1, cases[i].from, cases[i].to);

        assert_int_equal(samples.count, cases[i].count);
        if (samples.count > 0) {
            assert_int_equal(samples.first[0].t_us, cases[i].first);
            assert_int_equal(samples.last.t_us, cases[i].last);
        }
    }
    free(path);
}

static void test_a_series_longer_than_two_to_the_31_us_goes_on_in_a_next_one(void **state)
{
    const int64_t step = INT64_C(600000000), steps = 20; /* every 10 minutes */
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct record_samples samples;

    for (int64_t i = 1; i <= steps; i++)
        record_sample(writer, 0, i * step, i);
    mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL);
    mw_writer_close(writer);
    assert_true(record_number(path, "SELECT count(*) FROM series") > 3);
    assert_true(record_number(path, "SELECT max(dt_us) FROM sample") <= INT32_MAX);
    assert_int_equal(record_number(path, "SELECT max(t_s) FROM samples"), 12000);
    samples = record_read(path, 1, 1, 0, INT64_MAX);
    assert_int_equal(samples.count, 21);
    assert_true(samples.in_order);
    for (int64_t i = 1; i < steps; i++) { /* wherever a window begins, one value holds */
        samples = record_read(path, 1, 1, i * step + 1, (i + 1) * step - 1);
        assert_int_equal(samples.count, 1);
        assert_true(samples.last.t_us == i * step);
        assert_int_equal(samples.last.bytes, i * 1024);
    }
    free(path);
}

static void test_the_first_process_stands_for_the_tree_until_there_is_a_second(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct record_samples samples;
    struct mw_run *runs;
    size_t count;

    record_sample(writer, 0, 10, 9000);
    record_sample(writer, 0, 20, 100);
    mw_writer_start_process(writer, 1, 101, 100, 25, NULL);
    record_sample(writer, 1, 25, 9500); /* a part of the tree is not the tree */
    record_sample(writer, 0, 30, 150);
    record_sample(writer, 1, 30, 200);
    record_sample(writer, MW_SLOT_TREE, 30, 350);
    record_sample(writer, 0, 40, 9900); /* alone it says nothing of the tree any more */
    mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL);
    mw_writer_close(writer);
    samples = record_read(path, 1, MW_PROCESS_TREE, 0, INT64_MAX);
    assert_int_equal(samples.count, 4);
    assert_int_equal(samples.first[1].bytes, 9000 * 1024);
    assert_int_equal(samples.first[2].t_us, 20);
    assert_int_equal(samples.last.t_us, 30);
    assert_int_equal(samples.last.bytes, 350 * 1024);
    samples = record_read(path, 1, MW_PROCESS_TREE, 25, 29);
    assert_int_equal(samples.count, 1);
    assert_int_equal(samples.last.t_us, 20);
    assert_int_equal(record_number(path, "SELECT count(*) FROM tree"), 4);
    runs = record_runs(path, &count);
    assert_int_equal(runs[0].peak.bytes, 9000 * 1024);
    assert_int_equal(runs[0].peak.from_us, 10);
    record_clear(runs, count);
    free(path);
}

static void test_a_long_first_process_does_not_come_back_into_the_tree(void **state)
{
    const int64_t hour = INT64_C(3600000000);
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct record_samples samples;

    mw_writer_start_process(writer, 1, 101, 100, 500, NULL);
    record_sample(writer, MW_SLOT_TREE, 500, 350);
    record_sample(writer, 0, hour, 7777); /* in a series that began after the tree's */
    mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL);
    mw_writer_close(writer);
    samples = record_read(path, 1, MW_PROCESS_TREE, 0, INT64_MAX);
    assert_int_equal(samples.count, 2);
    assert_int_equal(samples.last.t_us, 500);
    free(path);
}

static void test_a_file_may_hold_many_runs(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_run *runs;
    size_t count;

    for (int i = 0; i < 20; i++)
        record_small(path);
    runs = record_runs(path, &count);
    assert_int_equal(count, 20);
    for (size_t i = 0; i < count; i++) {
        struct record_samples samples;

        assert_int_equal(runs[i].id, i + 1);
        assert_int_equal(runs[i].outcome, MW_OUTCOME_EXITED);
        check_run(&runs[i]);
        samples = record_read(path, runs[i].id, MW_PROCESS_TREE, 0, INT64_MAX);
        assert_int_equal(samples.count, 3);
        assert_int_equal(samples.last.bytes, 2500 * 1024);
    }
    record_clear(runs, count);
    free(path);
}

static int stop_at_the_third(void *context, const struct mw_sample *sample)
{
    (void)sample;
    return ++*(int *)context == 3 ? 42 : 0;
}

static void test_a_reading_ends_when_its_taker_says_so(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_reader *reader;
    int seen = 0;

    record_small(path);
    reader = record_open(path);
    assert_int_equal(mw_reader_samples(reader, 1, MW_PROCESS_TREE, MW_METRIC_RSS, 0, INT64_MAX,
                                       stop_at_the_third, &seen, NULL),
                     42);
    assert_int_equal(seen, 3);
    mw_reader_close(reader);
    mw_reader_close(NULL);
    free(path);
}

static void test_names_of_outcomes_and_children_are_found_again(void **state)
{
    (void)state;
    for (int i = MW_OUTCOME_RECORDING; i <= MW_OUTCOME_ABORTED; i++)
        assert_int_equal(mw_outcome_parse(mw_outcome_name((enum mw_outcome)i)), i);
    for (int i = MW_CHILDREN_EACH; i <= MW_CHILDREN_NONE; i++)
        assert_int_equal(mw_children_parse(mw_children_name((enum mw_children)i)), i);
    assert_int_equal(mw_outcome_parse(""), -1);
    assert_int_equal(mw_children_parse("Each"), -1);
}

static void test_a_closed_file_is_one_plain_file_that_says_what_it_is(void **state)
{
    char *path = unit_path(state, "x.db"), *wal = unit_path(state, "x.db-wal");
    char *shm = unit_path(state, "x.db-shm");

    record_small(path);
    assert_true(mw_file_is_memwatch(path));
    assert_false(mw_file_is_recording(path));
    assert_int_equal(access(wal, F_OK), -1);
    assert_int_equal(access(shm, F_OK), -1);
    assert_int_equal(record_number(path, "PRAGMA user_version"), 3);
    assert_false(mw_file_is_memwatch("/dev/null"));
    assert_false(mw_file_is_memwatch("/nonexistent"));
    free(path);
    free(wal);
    free(shm);
}

static void test_a_file_that_got_no_run_is_removed_again(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = NULL;

    assert_int_equal(mw_writer_open(&writer, path, NULL), 0);
    assert_null(mw_writer_notice(writer));
    mw_writer_close(writer);
    mw_writer_close(NULL);
    assert_int_equal(access(path, F_OK), -1);
    free(path);
}

/* A value every millisecond, each another one, for as many hours as that takes. */
static void test_a_changed_value_takes_at_most_20_bytes_at_any_length(void **state)
{
    enum { VALUES = 1000000 };
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    uint64_t seed = 5;
    struct stat status;
    int64_t t_us = 0;

    for (int i = 0; i < VALUES; i++) {
        t_us += 10000 + (int64_t)(unit_random(&seed) % 50); /* 2.8 hours at 100 Hz */
        record_sample(writer, 0, t_us, 100000 + (int64_t)(unit_random(&seed) % 10000000));
        if (i % 20000 == 0)
            assert_int_equal(mw_writer_commit(writer, NULL), 0);
    }
    mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL);
    mw_writer_close(writer);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size <= (off_t)VALUES * 20);
    assert_int_equal(record_read(path, 1, 1, 0, INT64_MAX).count, VALUES + 1);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_every_field_of_a_run_comes_back),
        UNIT_TEST(test_what_is_not_known_comes_back_as_not_known),
        UNIT_TEST(test_every_field_of_a_process_comes_back),
        UNIT_TEST(test_gaps_and_clocks_come_back_in_order),
        UNIT_TEST(test_a_second_value_at_the_same_moment_replaces_the_first),
        UNIT_TEST(test_a_window_gives_what_holds_at_its_start_up_to_its_end),
        UNIT_TEST(test_a_series_longer_than_two_to_the_31_us_goes_on_in_a_next_one),
        UNIT_TEST(test_the_first_process_stands_for_the_tree_until_there_is_a_second),
        UNIT_TEST(test_a_long_first_process_does_not_come_back_into_the_tree),
        UNIT_TEST(test_a_file_may_hold_many_runs),
        UNIT_TEST(test_a_reading_ends_when_its_taker_says_so),
        UNIT_TEST(test_names_of_outcomes_and_children_are_found_again),
        UNIT_TEST(test_a_closed_file_is_one_plain_file_that_says_what_it_is),
        UNIT_TEST(test_a_file_that_got_no_run_is_removed_again),
        UNIT_TEST(test_a_changed_value_takes_at_most_20_bytes_at_any_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
