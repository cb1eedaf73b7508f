/*
 * The coarser levels of a recording say the same as its samples: checked against these, bucket by
 * bucket, while old ones are given up, and after a kill.
 */
#include "record.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)

/* What was written into one series. */
struct truth {
    struct value {
        int64_t t_us, kib;
    } * values;
    size_t count, room;
};

static void remember(struct truth *truth, int64_t t_us, int64_t kib)
{
    assert_true(
        mw_array_reserve(&truth->values, truth->count, &truth->room, sizeof *truth->values));
    truth->values[truth->count++] = (struct value){t_us, kib};
}

static struct mw_writer *begin(const char *path, const char *levels)
{
    struct mw_run run = record_run();
    struct mw_writer *writer = NULL;
    struct mw_keep keep = {0};
    struct mw_error error = {0};

    if (mw_keep_parse(levels, &keep, &error) < 0 || mw_writer_open(&writer, path, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(mw_writer_keep(writer, &keep, NULL), 0);
    assert_int_equal(mw_writer_begin_run(writer, &run, NULL), 0);
    return writer;
}

/* A commit at a moment of the run, as a recorder makes five in a second. */
static void commit_at(struct mw_writer *writer, int64_t now_us)
{
    static const struct mw_ticks none = {.lateness_p50_us = -1, .lateness_p99_us = -1};
    struct mw_error error = {0};

    if (mw_writer_set_progress(writer, now_us, &none, &(struct mw_recorder_cost){0}, &error) < 0 ||
        mw_writer_commit(writer, &error) < 0)
        fail_msg("%s", error.text);
}

static void end(struct mw_writer *writer)
{
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL), 0);
    mw_writer_close(writer);
}

/* What a reading gives, held against the truth. */
struct check {
    const struct truth *truth;
    int64_t metric;
    size_t passed;     /* values of the truth so far */
    uint64_t singles;  /* samples that stood for themselves */
    int64_t before_us; /* of the last sample */
    int64_t low_us;    /* where the first began */
};

/* Everything since the sample before is between the lowest and the highest, and is counted. */
static int check_sample(void *context, const struct mw_sample *sample)
{
    struct check *check = context;
    const struct truth *truth = check->truth;
    uint64_t count = 0;
    int64_t last = -1, highest = INT64_MIN, lowest = INT64_MAX;

    assert_true(sample->t_us > check->before_us);
    assert_true(sample->from_us <= sample->t_us && sample->from_us >= check->before_us);
    assert_true(sample->low_bytes <= sample->bytes && sample->bytes <= sample->high_bytes);
    if (check->before_us == INT64_MIN) { /* what was before is given up, or not asked for */
        while (check->passed < truth->count &&
               (truth->values[check->passed].t_us < sample->from_us))
            check->passed++;
        check->low_us = sample->from_us;
    }
    for (; check->passed < truth->count && truth->values[check->passed].t_us <= sample->t_us;
         check->passed++) {
        last = truth->values[check->passed].kib * 1024;
        highest = last > highest ? last : highest;
        lowest = last < lowest ? last : lowest;
        count++;
    }
    assert_int_equal(sample->count, count);
    assert_int_equal(sample->bytes, last);
    assert_true(sample->low_bytes <= lowest && highest <= sample->high_bytes);
    if (sample->count == 1)
        assert_true(sample->from_us == sample->t_us && sample->low_bytes == sample->high_bytes);
    check->singles += sample->count == 1;
    check->before_us = sample->t_us;
    return 0;
}

/* Reads a series at a grain and holds it against the truth, which it must reach to the end. */
static struct check check_series(const char *path, int64_t process, const struct truth *truth,
                                 int64_t from_us, int64_t grain_us)
{
    struct mw_reader *reader = record_open(path);
    struct mw_series_window window = {1, process, MW_METRIC_RSS, from_us, INT64_MAX, grain_us};
    struct check check = {.truth = truth, .before_us = INT64_MIN};

    assert_int_equal(mw_reader_series(reader, &window, check_sample, &check, NULL), 0);
    assert_int_equal(check.passed, truth->count);
    mw_reader_close(reader);
    return check;
}

/* A random walk with pauses, bursts and values that come twice. */
static void walk(struct truth *truth, uint64_t *seed, int64_t until_us)
{
    int64_t t_us = 0, kib = 50000;

    while (t_us < until_us) {
        remember(truth, t_us, kib);
        t_us += unit_random(seed) % 50 == 0 ? (int64_t)(unit_random(seed) % (9 * SECOND))
                                            : 1 + (int64_t)(unit_random(seed) % 40000);
        if (unit_random(seed) % 30 == 0)
            t_us -= t_us % SECOND; /* where a bucket begins */
        if (t_us <= truth->values[truth->count - 1].t_us)
            t_us = truth->values[truth->count - 1].t_us + 1;
        kib += (int64_t)(unit_random(seed) % 2001) - 1000;
        kib = kib < 0 ? 0 : kib;
    }
}

enum { PROCESSES = 3 };

/* Writes the walks of some processes with commits in between; the clock goes on to until_us. */
static void write_walks(struct mw_writer *writer, const struct truth *truths, int64_t until_us)
{
    size_t written[PROCESSES] = {0};

    for (uint32_t slot = 0; slot < PROCESSES; slot++)
        assert_int_equal(mw_writer_start_process(writer, slot, 100 + (int)slot, 1, 0, NULL), 0);
    for (int64_t now_us = 0; now_us < until_us; now_us += SECOND / 5) {
        for (uint32_t slot = 0; slot < PROCESSES; slot++) {
            const struct truth *truth = &truths[slot];

            for (; written[slot] < truth->count && truth->values[written[slot]].t_us <= now_us;
                 written[slot]++)
                record_sample(writer, slot, truth->values[written[slot]].t_us,
                              truth->values[written[slot]].kib);
        }
        commit_at(writer, now_us);
    }
}

static void free_truths(struct truth *truths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(truths[i].values);
}

static void test_every_level_says_what_its_samples_say(void **state)
{
    static const char *const levels[] = {"raw=forever,1s=forever,10s=forever",
                                         "raw=forever,10ms=forever,700ms=forever,7s=forever"};
    static const int64_t grains_us[] = {0,          10000,      700000,      SECOND,
                                        5 * SECOND, 7 * SECOND, 10 * SECOND, 100 * SECOND};
    uint64_t seed = 1;

    for (size_t i = 0; i < MW_COUNT(levels); i++) {
        char *path = unit_path(state, i ? "b.db" : "a.db");
        struct mw_writer *writer = begin(path, levels[i]);
        struct truth truths[PROCESSES] = {0};

        for (size_t p = 0; p < PROCESSES; p++)
            walk(&truths[p], &seed, 100 * SECOND);
        write_walks(writer, truths, 102 * SECOND);
        end(writer);
        for (size_t g = 0; g < MW_COUNT(grains_us); g++) {
            for (size_t p = 0; p < PROCESSES; p++)
                check_series(path, (int64_t)p + 1, &truths[p], 0, grains_us[g]);
        }
        free_truths(truths, PROCESSES);
        free(path);
    }
}

/* The extremes of a bucket include what held when it began: that is the whole truth of its time. */
static void test_the_extremes_of_a_bucket_are_those_of_its_time(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = begin(path, "raw=forever,10s=forever");

    assert_int_equal(mw_writer_start_process(writer, 0, 100, 1, 0, NULL), 0);
    record_sample(writer, 0, 1 * SECOND, 500);
    record_sample(writer, 0, 2 * SECOND, 900);  /* holds into the next bucket */
    record_sample(writer, 0, 12 * SECOND, 100); /* 900 held up to here */
    record_sample(writer, 0, 13 * SECOND, 200);
    record_sample(writer, 0, 40 * SECOND,
                  50); /* where a bucket begins: 200 holds no moment of it */
    record_sample(writer, 0, 41 * SECOND, 60);
    commit_at(writer, 60 * SECOND);
    end(writer);
    assert_int_equal(record_number(path, "SELECT count(*) FROM rollups"), 3);
    assert_int_equal(record_number(path, "SELECT min_bytes = 512000 AND max_bytes = 921600 AND"
                                         " last_bytes = 921600 AND count = 2 AND last_s = 2"
                                         " FROM rollups WHERE from_s = 0"),
                     1);
    assert_int_equal(record_number(path, "SELECT min_bytes = 102400 AND max_bytes = 921600 AND"
                                         " last_bytes = 204800 AND count = 2 FROM rollups"
                                         " WHERE from_s = 10"),
                     1);
    assert_int_equal(record_number(path, "SELECT min_bytes = 51200 AND max_bytes = 61440 AND"
                                         " count = 2 FROM rollups WHERE from_s = 40"),
                     1);
    free(path);
}

/* A row of a high-water mark is about the time before it: nothing held when the bucket began. */
static void test_marks_and_readings_do_not_hold_into_the_next_bucket(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = begin(path, "raw=forever,10s=forever");

    assert_int_equal(mw_writer_start_process(writer, 0, 100, 1, 0, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        enum mw_metric metric = i ? MW_METRIC_SWAP : MW_METRIC_PEAK;

        mw_writer_add_sample(writer, 0, metric, 5 * SECOND, 900, NULL);
        mw_writer_add_sample(writer, 0, metric, 15 * SECOND, 100, NULL);
        mw_writer_add_sample(writer, 0, metric, 16 * SECOND, 200, NULL);
    }
    commit_at(writer, 60 * SECOND);
    end(writer);
    assert_int_equal(record_number(path, "SELECT count(*) FROM rollups WHERE from_s = 10"
                                         " AND min_bytes = 102400 AND max_bytes = 204800"),
                     2);
    free(path);
}

static void test_a_second_value_at_the_same_moment_counts_once(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = begin(path, "raw=forever,1s=forever");

    assert_int_equal(mw_writer_start_process(writer, 0, 100, 1, 0, NULL), 0);
    record_sample(writer, 0, 10, 5);
    record_sample(writer, 0, 10, 6);
    record_sample(writer, 0, 20, 7);
    commit_at(writer, 10 * SECOND);
    end(writer);
    assert_int_equal(record_number(path, "SELECT count FROM rollups"), 2);
    assert_int_equal(record_number(path, "SELECT last_bytes FROM rollups"), 7 * 1024);
    free(path);
}

/* Late values of the slow tier come after the bucket was written. */
static void test_a_late_sample_is_in_its_level_too(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = begin(path, "raw=forever,1s=forever");
    struct truth truth = {0};

    assert_int_equal(mw_writer_start_process(writer, 0, 100, 1, 0, NULL), 0);
    for (int64_t i = 0; i < 8; i++) {
        remember(&truth, i * 300000 + 1, 100 + i * 7 % 5);
        record_sample(writer, 0, i * 300000 + 1, 100 + i * 7 % 5);
        commit_at(writer, (i + 10) * SECOND);
    }
    end(writer);
    check_series(path, 1, &truth, 0, SECOND);
    check_series(path, 1, &truth, 0, 0);
    free(truth.values);
    free(path);
}

static void test_a_short_process_is_in_no_level_and_drawn_from_its_samples(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = begin(path, "raw=forever,1s=forever,1m=forever");
    struct truth truth = {0};

    assert_int_equal(mw_writer_start_process(writer, 0, 100, 1, 0, NULL), 0);
    record_sample(writer, 0, 0, 1);
    commit_at(writer, 10 * SECOND);
    assert_int_equal(mw_writer_start_process(writer, 1, 101, 100, 10 * SECOND, NULL), 0);
    for (int64_t i = 0; i < 10; i++) {
        remember(&truth, 10 * SECOND + i * 1000, 1000 - i);
        record_sample(writer, 1, 10 * SECOND + i * 1000, 1000 - i);
    }
    mw_writer_end_process(writer, 1, 10 * SECOND + 20000, 0, -1, NULL);
    commit_at(writer, 200 * SECOND);
    end(writer);
    assert_int_equal(record_number(path, "SELECT count(*) FROM rollup_series WHERE process = 2"),
                     0);
    assert_int_equal(record_number(path, "SELECT count(*) FROM rollup_series WHERE process = 1"),
                     2);
    assert_int_equal(check_series(path, 2, &truth, 0, 60 * SECOND).singles, 10);
    free(truth.values);
    free(path);
}

/* Whatever was pruned: all that was ever written is between the extremes of what is left. */
static void test_nothing_is_lost_when_finer_levels_are_given_up(void **state)
{
    static const char *const levels[] = {"raw=10s,1s=1m,10s=forever", "raw=1s,6s=2m,60s=forever",
                                         "raw=5s,1s=5s,2s=5s,1m=forever"};
    uint64_t seed = 7;

    for (size_t i = 0; i < MW_COUNT(levels); i++) {
        char name[] = {(char)('a' + i), '\0'}, *path = unit_path(state, name);
        struct mw_writer *writer = begin(path, levels[i]);
        struct truth truths[PROCESSES] = {0};
        int64_t kept = 0;

        for (size_t p = 0; p < PROCESSES; p++)
            walk(&truths[p], &seed, 399 * SECOND);
        write_walks(writer, truths, 400 * SECOND);
        for (size_t p = 0; p < PROCESSES; p++) {
            check_series(path, (int64_t)p + 1, &truths[p], 0, 0);
            check_series(path, (int64_t)p + 1, &truths[p], 0, SECOND);
            check_series(path, (int64_t)p + 1, &truths[p], 0, 60 * SECOND);
            for (size_t v = 0; v < truths[p].count; v++)
                kept += truths[p].values[v].t_us > 400 * SECOND - 80 * SECOND;
        }
        assert_true(record_number(path, "SELECT count(*) FROM sample") <= kept);
        assert_true(record_number(path, "SELECT from_us FROM level WHERE bucket_us = 0") >
                    300 * SECOND);
        end(writer);
        check_series(path, 1, &truths[0], 0, 0);
        free_truths(truths, PROCESSES);
        free(path);
    }
}

/* Wherever a window begins, the value that holds there is known, however long ago it was set. */
static void test_a_value_holds_over_all_that_is_given_up(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = begin(path, "raw=1s,2s=10s,20s=40s");
    struct record_samples samples;

    assert_int_equal(mw_writer_start_process(writer, 0, 100, 1, 0, NULL), 0);
    assert_int_equal(mw_writer_start_process(writer, 1, 101, 100, 0, NULL), 0);
    record_sample(writer, 0, 0, 4711);
    record_sample(writer, MW_SLOT_TREE, 0, 5000);
    for (int64_t t = 1; t < 1000; t++) {
        record_sample(writer, 1, t * SECOND, t);
        commit_at(writer, t * SECOND);
    }
    end(writer);
    for (int64_t t = 998; t > 965; t--) {
        samples = record_read(path, 1, 1, t * SECOND, t * SECOND + 1);
        assert_int_equal(samples.count, 1);
        assert_int_equal(samples.last.bytes, 4711 * 1024);
        samples = record_read(path, 1, MW_PROCESS_TREE, t * SECOND, t * SECOND + 1);
        assert_int_equal(samples.count, 1);
        assert_int_equal(samples.last.bytes, 5000 * 1024);
    }
    assert_true(record_number(path, "SELECT count(*) FROM sample JOIN series ON id = series"
                                    " WHERE process = 2") < 40);
    assert_int_equal(record_number(path, "SELECT count(*) FROM tree"), 1);
    free(path);
}

/* --- a kill while it is at work ----------------------------------------------------------------
 */

enum { BUSY = 6 };

/* The value of a process at a tick of 10 ms: the same in every run. */
static int64_t busy_kib(uint32_t slot, int64_t tick)
{
    return 10000 + (tick * (7919 + slot) % 5003) * 4 + (tick % 997 == 0 ? 1000000 : 0);
}

static void write_and_give_up(int in, int out, const void *path)
{
    struct mw_writer *writer = begin(path, "raw=2s,1s=20s,5s=forever");

    (void)in;
    for (uint32_t slot = 0; slot < BUSY; slot++)
        mw_writer_start_process(writer, slot, 100 + (int)slot, 1, 0, NULL);
    for (int64_t tick = 0;; tick++) {
        for (uint32_t slot = 0; slot < BUSY; slot++)
            record_sample(writer, slot, tick * 10000, busy_kib(slot, tick));
        if (tick % 20 == 0)
            commit_at(writer, tick * 10000);
        if (tick == 1500 && !unit_tell(out))
            _exit(1);
    }
}

static void test_a_kill_while_old_rows_go_loses_nothing_that_was_committed(void **state)
{
    for (int round = 0; round < 25; round++) {
        char name[16], *path;
        struct unit_child writer;
        int64_t ticks;

        snprintf(name, sizeof name, "%d.db", round);
        path = unit_path(state, name);
        writer = unit_fork(write_and_give_up, path);
        assert_true(unit_await(writer.from));
        usleep((useconds_t)round * 3700);
        unit_kill(&writer);
        assert_int_equal(record_number(path, "SELECT count(*) FROM pragma_integrity_check"
                                             " WHERE integrity_check = 'ok'"),
                         1);
        assert_true(record_number(path, "SELECT from_us FROM level WHERE bucket_us = 0") > 0);
        ticks = record_number(path, "SELECT max(since_us + dt_us) FROM sample JOIN series"
                                    " ON id = series") /
                    10000 +
                1;
        assert_true(ticks > 1500);
        for (uint32_t slot = 0; slot < BUSY; slot++) {
            struct truth truth = {0};

            for (int64_t tick = 0; tick < ticks; tick++)
                remember(&truth, tick * 10000, busy_kib(slot, tick));
            check_series(path, (int64_t)slot + 1, &truth, 0, 0);
            check_series(path, (int64_t)slot + 1, &truth, 0, SECOND);
            free(truth.values);
        }
        assert_int_equal(unlink(path), 0);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_every_level_says_what_its_samples_say),
        UNIT_TEST(test_the_extremes_of_a_bucket_are_those_of_its_time),
        UNIT_TEST(test_marks_and_readings_do_not_hold_into_the_next_bucket),
        UNIT_TEST(test_a_second_value_at_the_same_moment_counts_once),
        UNIT_TEST(test_a_late_sample_is_in_its_level_too),
        UNIT_TEST(test_a_short_process_is_in_no_level_and_drawn_from_its_samples),
        UNIT_TEST(test_nothing_is_lost_when_finer_levels_are_given_up),
        UNIT_TEST(test_a_value_holds_over_all_that_is_given_up),
        UNIT_TEST(test_a_kill_while_old_rows_go_loses_nothing_that_was_committed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
