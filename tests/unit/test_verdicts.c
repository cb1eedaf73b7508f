/* Verdicts while a recording is made: which are told, and that a reader reaches the same. */
#include "analysis/leak.h"
#include "record.h"
#include "record/verdicts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t second_ns = 1000000000, mib_kib = 1024;
static const int64_t start_ns = INT64_C(5000) * 1000000000;

/* A recording whose first process is this one, so that its mappings can be read. */
struct watched {
    char *path;
    struct mw_writer *writer;
    struct mw_verdicts *verdicts;
    struct mw_leak leak; /* what a reader would feed of the first process */
};

static struct watched watch(void **state)
{
    struct watched watched = {.path = unit_path(state, "a.db")};
    struct mw_record started = {.kind = MW_RECORD_START, .t_ns = start_ns, .slot = 0};

    started.start.pid = getpid();
    watched.writer = record_begin(watched.path);
    watched.verdicts = mw_verdicts_new(300);
    assert_true(mw_verdicts_begin(watched.verdicts, watched.writer, start_ns));
    mw_verdicts_record(watched.verdicts, &started);
    return watched;
}

static void end_watch(struct watched *watched)
{
    mw_verdicts_free(watched->verdicts);
    mw_writer_close(watched->writer);
    free(watched->path);
}

static void sample(const struct watched *watched, uint32_t slot, enum mw_metric metric, double t_s,
                   int64_t kib)
{
    mw_verdicts_record(watched->verdicts,
                       &(struct mw_record){.kind = MW_RECORD_SAMPLE,
                                           .t_ns = start_ns + (int64_t)(t_s * 1e9),
                                           .slot = slot,
                                           .sample = {metric, kib}});
}

/* Does what is due up to a moment. */
static void look(const struct watched *watched, double t_s)
{
    int64_t now_ns = start_ns + (int64_t)(t_s * 1e9);

    while (mw_verdicts_due_ns(watched->verdicts) <= now_ns)
        assert_int_equal(mw_verdicts_look(watched->verdicts, now_ns, NULL), 0);
}

static int64_t count_events(struct watched *watched, const char *where)
{
    char sql[256];

    assert_int_equal(mw_writer_commit(watched->writer, NULL), 0);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM event WHERE kind = 'verdict' AND %s", where);
    return record_number(watched->path, sql);
}

/* The first process has anonymous memory of kib(t), beside 3 MiB of files. */
static void go_on(struct watched *watched, double from_s, double to_s, int64_t (*kib)(double))
{
    for (double t_s = from_s; t_s < to_s; t_s += .5) {
        int64_t anonymous_kib = kib(t_s);

        sample(watched, 0, MW_METRIC_RSS, t_s, anonymous_kib + 3 * mib_kib);
        sample(watched, 0, MW_METRIC_SHARED, t_s, 3 * mib_kib);
        mw_leak_feed(&watched->leak, t_s, (double)anonymous_kib * 1024);
        look(watched, t_s);
    }
}

static int64_t leaking(double t_s)
{
    return 20 * mib_kib + (int64_t)(t_s * 100) + ((int64_t)(t_s * 7919) % 97) * 4;
}

static int64_t steady(double t_s)
{
    return 20 * mib_kib + ((int64_t)(t_s * 7919) % 97) * 4;
}

static void test_a_leak_is_told_once_as_a_reader_would_judge_it(void **state)
{
    struct watched watched = watch(state);
    struct mw_judgement judgement;
    int64_t told_us;

    go_on(&watched, 0, 1200, leaking);
    assert_int_equal(count_events(&watched, "1"), 1);
    assert_int_equal(count_events(&watched, "name = 'leak' AND process = 1"
                                            " AND note LIKE 'sustained growth of %'"),
                     1);
    /* 100 KiB a second. */
    assert_int_equal(
        count_events(&watched, "value BETWEEN 100 * 1024 - 2000 AND 100 * 1024 + 2000"), 1);
    told_us = record_number(watched.path, "SELECT t_us FROM event WHERE kind = 'verdict'");
    assert_in_range(told_us, 300 * 1500000, 300 * 2000000);
    mw_leak_judge(&watched.leak, 1200, 300, &judgement);
    assert_int_equal(judgement.verdict, MW_VERDICT_LEAK);
    end_watch(&watched);
}

static void test_what_is_steady_is_told_without_a_word(void **state)
{
    struct watched watched = watch(state);

    go_on(&watched, 0, 1200, steady);
    assert_int_equal(count_events(&watched, "name = 'stable' AND note IS NULL"), 1);
    assert_int_equal(count_events(&watched, "1"), 1);
    end_watch(&watched);
}

static void test_growth_is_looked_at_by_its_mappings(void **state)
{
    struct watched watched;

    /* A sanitizer's terabytes take longer to look through than such a look may cost. */
    unit_need_memory_of_its_own();
    unit_need_no_thread_sanitizer();
    watched = watch(state);
    go_on(&watched, 0, 600, leaking);
    assert_int_equal(mw_writer_commit(watched.writer, NULL), 0);
    assert_int_equal(record_number(watched.path, "SELECT count(*) FROM snapshot"), 2);
    assert_int_equal(record_number(watched.path, "SELECT count(*) FROM growth WHERE kind = 'heap'"),
                     1);
    end_watch(&watched);
}

static void test_a_process_that_ended_is_not_judged(void **state)
{
    struct watched watched = watch(state);

    go_on(&watched, 0, 250, leaking);
    mw_verdicts_record(watched.verdicts,
                       &(struct mw_record){.kind = MW_RECORD_END, .t_ns = start_ns, .slot = 0});
    look(&watched, 2000);
    assert_int_equal(count_events(&watched, "1"), 0);
    assert_true(mw_verdicts_due_ns(watched.verdicts) == INT64_MAX);
    end_watch(&watched);
}

/* Until there is a second process the sum is that of the first. */
static void test_the_sum_begins_with_the_first_process(void **state)
{
    struct watched watched = watch(state);
    struct mw_record started = {.kind = MW_RECORD_START, .t_ns = start_ns, .slot = 1};

    go_on(&watched, 0, 290, leaking);
    started.start.pid = 4194304;
    mw_verdicts_record(watched.verdicts, &started);
    for (double t_s = 290; t_s < 700; t_s += .5) {
        sample(&watched, MW_RECORD_TREE, MW_METRIC_RSS, t_s, leaking(t_s) + 3 * mib_kib);
        sample(&watched, MW_RECORD_TREE, MW_METRIC_SHARED, t_s, 3 * mib_kib);
        look(&watched, t_s);
    }
    assert_int_equal(count_events(&watched, "process IS NULL AND name = 'leak'"), 1);
    end_watch(&watched);
}

static void test_time_of_which_nothing_is_known_does_not_count(void **state)
{
    struct watched watched = watch(state);
    struct mw_record gap = {.kind = MW_RECORD_GAP, .t_ns = start_ns + 2000 * second_ns};

    go_on(&watched, 0, 200, leaking);
    gap.gap.from_ns = start_ns + 200 * second_ns;
    gap.gap.ticks = 1;
    mw_verdicts_record(watched.verdicts, &gap);
    look(&watched, 2010);
    assert_int_equal(count_events(&watched, "1"), 0);
    end_watch(&watched);
}

static void test_of_very_many_processes_the_later_ones_are_not_judged(void **state)
{
    struct watched watched = watch(state);

    for (uint32_t slot = 1; slot < 3 * MW_VERDICTS_MOST_SERIES; slot++) {
        struct mw_record started = {.kind = MW_RECORD_START, .t_ns = start_ns, .slot = slot};

        started.start.pid = 4194304 + (pid_t)slot;
        mw_verdicts_record(watched.verdicts, &started);
        sample(&watched, slot, MW_METRIC_RSS, 1, 100);
    }
    look(&watched, 400);
    end_watch(&watched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_leak_is_told_once_as_a_reader_would_judge_it),
        UNIT_TEST(test_what_is_steady_is_told_without_a_word),
        UNIT_TEST(test_growth_is_looked_at_by_its_mappings),
        UNIT_TEST(test_a_process_that_ended_is_not_judged),
        UNIT_TEST(test_the_sum_begins_with_the_first_process),
        UNIT_TEST(test_time_of_which_nothing_is_known_does_not_count),
        UNIT_TEST(test_of_very_many_processes_the_later_ones_are_not_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
