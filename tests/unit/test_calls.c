/* Marks become functions with exact aggregates, and calls that lie within each other. */
#include "calls_rig.h"
#include "capture/clock.h"

#include <stdlib.h>
#include <string.h>

static void test_calls_lie_within_each_other(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 10);
    calls_enter(rig, 1, 20);
    calls_leave(rig, 1, 50);
    calls_enter(rig, 1, 60);
    calls_enter(rig, 2, 61);
    calls_leave(rig, 2, 62);
    calls_leave(rig, 1, 70);
    calls_leave(rig, 0, 100);
    assert_int_equal(rig->count, 4);
    calls_check_call(&rig->call[0], 1, 1, 20, 50);
    calls_check_call(&rig->call[1], 2, 2, 61, 62);
    calls_check_call(&rig->call[2], 1, 1, 60, 70);
    calls_check_call(&rig->call[3], 0, 0, 10, 100);
    assert_int_equal(rig->call[0].number, 1);
    assert_int_equal(rig->call[2].number, 2);
    assert_int_equal(rig->call[0].track, 50);
    assert_int_equal(rig->call[0].thread, 50);
    assert_int_equal(rig->slot[0], 3);
    calls_finish(rig);
    calls_check_figures(&rig->functions[0], 1, 1, 90, 90);
    calls_check_figures(&rig->functions[1], 2, 2, 40, 30);
    assert_int_equal(rig->functions[1].stored, 2);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    calls_rig_free(rig);
}

static void test_a_function_may_call_itself(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    for (int i = 0; i < 300; i++)
        calls_enter(rig, 0, i);
    for (int i = 0; i < 300; i++)
        calls_leave(rig, 0, 1000 + i);
    assert_int_equal(rig->count, 300);
    calls_check_call(&rig->call[0], 0, 299, 299, 1000);
    calls_check_call(&rig->call[299], 0, 0, 0, 1299);
    calls_finish(rig);
    calls_check_figures(&rig->functions[0], 300, 300, 300 * 1000, 1299);
    calls_rig_free(rig);
}

static void test_threads_and_processes_have_stacks_of_their_own(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    for (int i = 0; i < 200; i++) {
        rig->pid = 50 + i % 4;
        rig->tid = 1000 + i;
        calls_enter(rig, 0, i);
    }
    for (int i = 0; i < 200; i++) {
        rig->pid = 50 + i % 4;
        rig->tid = 1000 + i;
        calls_leave(rig, 0, 1000 + 2 * i);
        calls_check_call(&rig->call[i], 0, 0, i, 1000 + 2 * i);
        assert_int_equal(rig->call[i].track, 1000 + i);
        assert_int_equal(rig->slot[i], i % 4 ? MW_CALLS_NO_SLOT : 3);
    }
    calls_rig_free(rig);
}

static void test_a_forked_process_begins_with_empty_stacks(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 10);
    rig->pid = rig->tid = 51;
    calls_enter(rig, 1, 20); /* before anybody has told of the process */
    assert_int_equal(mw_calls_process_started(rig->calls, 51, 4, START_NS, &rig->sink), 0);
    calls_leave(rig, 1, 30);
    calls_leave(rig, 0, 40); /* which its parent entered */
    rig->pid = rig->tid = 50;
    calls_leave(rig, 0, 50);
    assert_int_equal(rig->count, 2);
    calls_check_call(&rig->call[0], 1, 0, 20, 30);
    assert_int_equal(rig->slot[0], 4);
    calls_check_call(&rig->call[1], 0, 0, 10, 50);
    assert_int_equal(mw_calls_lost(rig->calls), 1);
    calls_rig_free(rig);
}

static void test_a_track_that_waits_uses_no_time(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 0);
    rig->track = 7;
    calls_enter(rig, 1, 10);
    calls_enter(rig, 2, 20);
    calls_mark(rig, MW_MARK_SUSPEND, 1, 30);
    rig->track = 8;
    calls_enter(rig, 1, 31); /* another one runs meanwhile */
    calls_leave(rig, 1, 35);
    rig->track = 7;
    rig->tid = 51; /* it goes on in another thread */
    calls_mark(rig, MW_MARK_RESUME, 1, 130);
    calls_leave(rig, 2, 140);
    calls_mark(rig, MW_MARK_SUSPEND, 1, 150);
    calls_mark(rig, MW_MARK_SUSPEND, 1, 155);
    calls_leave(rig, 1, 250); /* it was closed while it waited */
    assert_int_equal(rig->count, 3);
    calls_check_call(&rig->call[0], 1, 0, 31, 35);
    assert_int_equal(rig->call[0].track, -8);
    calls_check_call(&rig->call[1], 2, 1, 20, 140);
    assert_int_equal(rig->call[1].suspended_ns, 100000);
    assert_int_equal(rig->call[1].duration_ns, 20000);
    calls_check_call(&rig->call[2], 1, 0, 10, 250);
    assert_int_equal(rig->call[2].thread, 50);
    assert_int_equal(rig->call[2].track, -7);
    assert_int_equal(rig->call[2].suspended_ns, 200000);
    calls_finish(rig);
    calls_check_figures(&rig->functions[1], 2, 2, 44, 40);
    assert_int_equal(rig->functions[1].suspended_ns, 200000);
    calls_mark(rig, MW_MARK_SUSPEND, 1, 300); /* of nothing */
    calls_mark(rig, MW_MARK_RESUME, 1, 301);
    calls_rig_free(rig);
}

static void test_an_exit_closes_what_was_left_without_one(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 10);
    calls_enter(rig, 1, 20);
    calls_enter(rig, 2, 30);
    calls_leave(rig, 0, 40);
    assert_int_equal(rig->count, 3);
    calls_check_call(&rig->call[0], 2, 2, 30, 40);
    calls_check_call(&rig->call[1], 1, 1, 20, 40);
    calls_check_call(&rig->call[2], 0, 0, 10, 40);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    calls_rig_free(rig);
}

static void test_an_exit_without_an_entry_is_counted_and_passed_over(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_leave(rig, 0, 10); /* of a function that was never seen */
    calls_enter(rig, 1, 20);
    calls_leave(rig, 0, 30);
    rig->tid = 51;
    calls_leave(rig, 1, 40); /* of another thread */
    rig->tid = 50;
    calls_leave(rig, 1, 50);
    calls_leave(rig, 1, 60);
    assert_int_equal(mw_calls_lost(rig->calls), 4);
    assert_int_equal(rig->count, 1);
    calls_check_call(&rig->call[0], 1, 0, 20, 50);
    calls_rig_free(rig);
}

static void test_calls_end_when_their_process_executes_another_program(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 10);
    calls_enter(rig, 1, 20);
    rig->tid = 51;
    calls_enter(rig, 1, 30);
    assert_int_equal(mw_calls_process_executed(rig->calls, 99, START_NS + 40000, &rig->sink), 0);
    assert_int_equal(rig->count, 0);
    assert_int_equal(mw_calls_process_executed(rig->calls, 50, START_NS + 40000, &rig->sink), 0);
    assert_int_equal(rig->count, 3);
    for (size_t i = 0; i < rig->count; i++)
        assert_int_equal(rig->call[i].to_us, 40);
    calls_enter(rig, 2, 50); /* of the new program, before the recorder has heard of that */
    assert_int_equal(mw_calls_process_executed(rig->calls, 50, START_NS + 45000, &rig->sink), 0);
    assert_int_equal(rig->count, 3);
    calls_mark(rig, MW_MARK_EXECUTED, 0, 60); /* it tells of itself that it was executed */
    assert_int_equal(rig->count, 4);
    calls_check_call(&rig->call[3], 2, 0, 50, 60);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    calls_rig_free(rig);
}

static void test_calls_end_with_their_process_and_not_with_the_recording(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 10);
    calls_enter(rig, 1, 20);
    rig->tid = 51;
    calls_enter(rig, 1, 30);
    assert_int_equal(mw_calls_process_ended(rig->calls, 50, START_NS + 100000, &rig->sink), 0);
    assert_int_equal(mw_calls_process_ended(rig->calls, 50, START_NS + 100000, &rig->sink), 0);
    assert_int_equal(rig->count, 3);
    for (size_t i = 0; i < rig->count; i++)
        assert_int_equal(rig->call[i].to_us, 100);
    calls_enter(rig, 2, 200); /* the pid once more */
    calls_finish(rig);
    assert_int_equal(rig->count, 4);
    calls_check_call(&rig->call[3], 2, 0, 200, -1);
    assert_int_equal(rig->call[3].duration_ns, -1);
    assert_int_equal(rig->slot[3], MW_CALLS_NO_SLOT);
    calls_check_figures(&rig->functions[1], 2, 2, 150, 80);
    calls_check_figures(&rig->functions[2], 1, 0, 0, 0);
    calls_rig_free(rig);
}

static void test_a_pid_that_starts_anew_ends_what_it_was(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 10);
    mw_calls_process_started(rig->calls, 50, 9, START_NS + 20000, &rig->sink);
    assert_int_equal(rig->count, 1);
    calls_check_call(&rig->call[0], 0, 0, 10, 20);
    assert_int_equal(rig->slot[0], 3);
    calls_enter(rig, 0, 30);
    calls_leave(rig, 0, 40);
    assert_int_equal(rig->slot[1], 9);
    calls_rig_free(rig);
}

static const struct mw_call *find_number(const struct calls_rig *rig, int function, uint64_t number)
{
    for (size_t i = 0; i < rig->count; i++) {
        if (rig->call[i].function == 100 + function && rig->call[i].number == number)
            return &rig->call[i];
    }
    return NULL;
}

/* Beyond the budget: fewer and fewer calls, all over the time, and always the extreme ones. */
static void test_beyond_the_budget_functions_are_thinned(void **state)
{
    enum { BUDGET = 320, CALLS = 100000, LONG = 33333, HIGH = 77777 };
    struct calls_rig *rig = calls_rig_new(BUDGET);
    uint64_t last = 0;

    (void)state;
    for (int i = 1; i <= CALLS; i++) {
        calls_mark_with(rig, MW_MARK_ENTER, 0, i * 10, 1000, -1);
        calls_mark_with(rig, MW_MARK_EXIT, 0, i * 10 + (i == LONG ? 9 : 1 + i % 3),
                        i == HIGH ? 9000 : 1000, -1);
        if (i <= BUDGET)
            assert_int_equal(rig->count, i);
    }
    calls_enter(rig, 1, CALLS * 10 + 10); /* one that comes late is seen */
    calls_leave(rig, 1, CALLS * 10 + 20);
    assert_non_null(find_number(rig, 1, 1));
    assert_in_range(rig->count, BUDGET + 100, 2 * BUDGET);
    for (size_t i = 0; i < rig->count && rig->call[i].function == 100; i++) {
        assert_true(rig->call[i].number > last);
        assert_true(rig->call[i].number <= last * 2 + 1); /* no part of the time is left out */
        last = rig->call[i].number;
    }
    calls_finish(rig);
    assert_non_null(find_number(rig, 0, LONG));
    assert_non_null(find_number(rig, 0, HIGH));
    calls_check_figures(&rig->functions[0], CALLS, CALLS, 2 * CALLS + 9 - (1 + LONG % 3), 9);
    assert_int_equal(rig->functions[0].stored + rig->functions[1].stored, rig->count);
    calls_rig_free(rig);
}

static void test_a_call_that_is_the_longest_and_the_highest_is_given_once(void **state)
{
    struct calls_rig *rig = calls_rig_new(0);
    size_t found = 0;

    (void)state;
    for (int i = 1; i <= 1000; i++) {
        calls_mark_with(rig, MW_MARK_ENTER, 0, i * 10, 1000, -1);
        calls_mark_with(rig, MW_MARK_EXIT, 0, i * 10 + (i == 777 ? 9 : 1), i == 777 ? 9000 : 1000,
                        -1);
    }
    assert_null(find_number(rig, 0, 777));
    /* Its slot may be that of another process afterwards. */
    mw_calls_process_ended(rig->calls, 50, START_NS + 20000000, &rig->sink);
    for (size_t i = 0; i < rig->count; i++)
        found += rig->call[i].number == 777;
    assert_int_equal(found, 1);
    calls_finish(rig);
    assert_int_equal(rig->functions[0].stored, rig->count);
    calls_rig_free(rig);
}

/* Marks are what a program writes: whatever that is, the figures stay within their range. */
static void test_numbers_that_no_program_means_are_borne(void **state)
{
    static const int64_t values[] = {INT64_MIN, -1, 0, 4711, INT64_MAX / 2, INT64_MAX};
    struct calls_rig *rig = calls_rig_new(10);
    uint64_t seed = 9;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        const struct mw_mark mark = {.kind = (enum mw_mark_kind)(unit_random(&seed) % 5),
                                     .pid = 50,
                                     .tid = 50,
                                     .track = (uint32_t) - (unit_random(&seed) % 2),
                                     .t_ns = values[unit_random(&seed) % 6],
                                     .site = &calls_sites[unit_random(&seed) % 3],
                                     .resident_kib = values[unit_random(&seed) % 6],
                                     .window_kib = values[unit_random(&seed) % 6]};

        assert_int_equal(mw_calls_mark(rig->calls, &mark, &rig->sink), 0);
    }
    calls_finish(rig);
    for (size_t i = 0; i < rig->count; i++) {
        assert_true(rig->call[i].from_us >= 0 && rig->call[i].duration_ns >= -1);
        assert_true(!rig->call[i].peak.known || rig->call[i].peak.bytes >= 0);
        assert_true(rig->call[i].suspended_ns >= 0);
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(rig->functions[i].total_ns >= 0 && rig->functions[i].suspended_ns >= 0);
    calls_rig_free(rig);
}

static void test_a_program_that_never_leaves_takes_no_more_than_a_limit(void **state)
{
    enum { ENTRIES = 300000, MOST = 262144 };
    struct calls_rig *rig = calls_rig_new(10);

    (void)state;
    rig->all = false;
    for (int i = 0; i < ENTRIES; i++)
        calls_enter(rig, i % 5, i);
    assert_int_equal(mw_calls_lost(rig->calls), ENTRIES - MOST);
    calls_finish(rig);
    assert_int_equal(rig->count, MOST);
    calls_enter(rig, 0, ENTRIES);
    assert_int_equal(mw_calls_lost(rig->calls), ENTRIES - MOST);
    calls_rig_free(rig);
}

static int refuse_call(void *context, uint32_t slot, const struct mw_call *call)
{
    (void)context;
    (void)slot;
    (void)call;
    return -28;
}

static void test_what_the_sink_returns_comes_back(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);
    const struct mw_mark exit = {.kind = MW_MARK_EXIT,
                                 .pid = 50,
                                 .tid = 50,
                                 .site = &calls_sites[0],
                                 .resident_kib = -1,
                                 .window_kib = -1};

    (void)state;
    calls_enter(rig, 0, 1);
    calls_enter(rig, 1, 1);
    rig->sink.add_call = refuse_call;
    assert_int_equal(mw_calls_mark(rig->calls, &exit, &rig->sink), -28);
    mw_calls_free(NULL);
    calls_rig_free(rig);
}

/* What a pair of marks costs, as a message: it depends on the machine. */
static void measure(const char *what, int64_t resident_kib, int64_t window_kib)
{
    enum { PAIRS = 1000000 };
    struct calls_rig *rig = calls_rig_new(MW_CALLS_BUDGET / 10);
    int64_t begin_ns;

    rig->all = false;
    rig->resident_kib = resident_kib;
    rig->window_kib = window_kib;
    calls_enter(rig, 0, 0);
    begin_ns = mw_now_ns();
    for (int i = 0; i < PAIRS; i++) {
        if (window_kib >= 0)
            rig->window_kib = rig->resident_kib = 1000 + i % 1000 * 7919 % 5000;
        calls_enter(rig, 1 + i % 5, 10 * i);
        calls_leave(rig, 1 + i % 5, 10 * i + 5);
    }
    print_message("%s: %.3f us a pair of marks\n", what,
                  (double)(mw_now_ns() - begin_ns) / 1e3 / PAIRS);
    calls_finish(rig);
    assert_int_equal(rig->functions[1].calls, PAIRS / 5);
    calls_rig_free(rig);
}

static void test_a_million_pairs_of_marks(void **state)
{
    (void)state;
    measure("without memory", -1, -1);
    measure("with RSS", 1000, -1);
    measure("with RSS and windows", 1000, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_calls_lie_within_each_other),
        UNIT_TEST(test_a_function_may_call_itself),
        UNIT_TEST(test_threads_and_processes_have_stacks_of_their_own),
        UNIT_TEST(test_a_forked_process_begins_with_empty_stacks),
        UNIT_TEST(test_a_track_that_waits_uses_no_time),
        UNIT_TEST(test_an_exit_closes_what_was_left_without_one),
        UNIT_TEST(test_an_exit_without_an_entry_is_counted_and_passed_over),
        UNIT_TEST(test_calls_end_when_their_process_executes_another_program),
        UNIT_TEST(test_calls_end_with_their_process_and_not_with_the_recording),
        UNIT_TEST(test_a_pid_that_starts_anew_ends_what_it_was),
        UNIT_TEST(test_beyond_the_budget_functions_are_thinned),
        UNIT_TEST(test_a_call_that_is_the_longest_and_the_highest_is_given_once),
        UNIT_TEST(test_numbers_that_no_program_means_are_borne),
        UNIT_TEST(test_a_program_that_never_leaves_takes_no_more_than_a_limit),
        UNIT_TEST(test_what_the_sink_returns_comes_back),
        UNIT_TEST(test_a_million_pairs_of_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
