/* What marks, windows and samples say of the memory of calls and of their processes. */
#include "calls_rig.h"

static void test_windows_belong_to_the_calls_that_they_lie_in(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 90000); /* what was before is none of its */
    calls_mark_with(rig, MW_MARK_ENTER, 1, 200, 1500, 5000);
    mw_calls_window(rig->calls, 50, START_NS + 250000, 3000, 7, START_NS + 250000);
    mw_calls_window(rig->calls, 51, START_NS + 250000, 99999, 7, START_NS + 250000); /* of nobody */
    calls_mark_with(rig, MW_MARK_EXIT, 1, 300, 1700, 2000);
    calls_mark_with(rig, MW_MARK_EXIT, 0, 400, 900, 4000);
    assert_int_equal(rig->count, 2);
    calls_check_peak(&rig->call[0].peak, 2990, 3017, 200, 250, MW_PEAK_KERNEL);
    assert_int_equal(rig->call[0].from_bytes, 1500 * 1024);
    assert_int_equal(rig->call[0].to_bytes, 1700 * 1024);
    calls_check_peak(&rig->call[1].peak, 4990, 5010, 100, 200, MW_PEAK_KERNEL);
    calls_finish(rig);
    assert_int_equal(rig->functions[0].growth_bytes, -100 * 1024);
    assert_int_equal(rig->functions[1].growth_bytes, 200 * 1024);
    calls_check_peak(&rig->functions[1].peak, 2990, 3017, 200, 250, MW_PEAK_KERNEL);
    calls_rig_free(rig);
}

static void test_a_window_that_began_before_a_call_says_only_what_it_had_at_most(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    mw_calls_window(rig->calls, 50, START_NS + 50000, 100, 0, START_NS + 50000);
    calls_mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, -1);
    mw_calls_window(rig->calls, 50, START_NS + 150000, 8000, 0, START_NS + 150000);
    calls_mark_with(rig, MW_MARK_EXIT, 0, 200, 1200, 2000);
    calls_check_peak(&rig->call[0].peak, 1990, 8010, 150, 200, MW_PEAK_KERNEL);
    calls_mark_with(rig, MW_MARK_ENTER, 0, 300, 1000, -1);
    calls_mark_with(rig, MW_MARK_EXIT, 0, 400, 500, 9000); /* began at 200 */
    calls_check_peak(&rig->call[1].peak, 999, 9010, 300, 300, MW_PEAK_SAMPLED);
    calls_mark_with(rig, MW_MARK_ENTER, 0, 500, 1000, 0);
    mw_calls_window(rig->calls, 50, START_NS + 550000, 6000, 0, START_NS + 550000);
    calls_mark_with(rig, MW_MARK_EXIT, 0, 600, 500, -1); /* nobody knows what was since 550 */
    calls_check_peak(&rig->call[2].peak, 5990, -1, 500, 550, MW_PEAK_KERNEL);
    calls_finish(rig);
    calls_check_peak(&rig->functions[0].peak, 5990, -1, 500, 550, MW_PEAK_KERNEL);
    calls_rig_free(rig);
}

static void test_a_call_without_length_has_a_bound(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_mark_with(rig, MW_MARK_ENTER, 0, -70, 1000,
                    3000); /* before the run, which is its first moment */
    calls_mark_with(rig, MW_MARK_EXIT, 0, -50, 1000, 2000);
    calls_check_peak(&rig->call[0].peak, 1990, 2010, 0, 0, MW_PEAK_KERNEL);
    calls_rig_free(rig);
}

static void test_a_window_that_overtook_a_mark_says_nothing_of_the_call_that_it_ends(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 2000);
    mw_calls_sample(rig->calls, 50, START_NS + 250000, 7000);
    mw_calls_window(rig->calls, 50, START_NS + 250000, 9000, 0, START_NS + 250000);
    calls_mark_with(rig, MW_MARK_EXIT, 0, 200, 1100, 1500);
    calls_check_peak(&rig->call[0].peak, 999, 9010, 100, 100, MW_PEAK_SAMPLED);
    calls_rig_free(rig);
}

static void test_marks_that_were_lost_leave_no_bound(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 0);
    mw_calls_gap(rig->calls, START_NS + 150000);
    calls_mark_with(rig, MW_MARK_ENTER, 1, 200, 1000, 3000);
    calls_mark_with(rig, MW_MARK_EXIT, 1, 300, 1000, 3000);
    calls_mark_with(rig, MW_MARK_EXIT, 0, 400, 1000, 3000);
    assert_int_equal(rig->call[0].peak.upper_bytes, 3010 * 1024);
    assert_int_equal(rig->call[1].peak.upper_bytes, -1);
    calls_rig_free(rig);
}

static void check_reached(const struct mw_reached *reached, int64_t from_us, int64_t to_us,
                          int64_t kib)
{
    assert_int_equal(reached->from_us, from_us);
    assert_int_equal(reached->to_us, to_us);
    assert_int_equal(reached->kib, kib);
}

static void test_what_marks_say_of_the_memory_is_told_of_the_process(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 9000);
    assert_int_equal(rig->reached_slot, 3);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 100, 9000);
    check_reached(&rig->reached[MW_PEAK_SAMPLED], 100, 100, 1000);
    mw_calls_window(rig->calls, 50, START_NS + 150000, 2000, 0, START_NS + 150000);
    assert_int_equal(rig->reached_count, 2); /* the recorder knows of its own */
    calls_mark_with(rig, MW_MARK_RESET, 0, 200, -1, 4000);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 150, 200, 4000);
    calls_leave(rig, 0, 300);
    assert_int_equal(rig->reached_count, 3);
    calls_rig_free(rig);
}

static void test_what_marks_say_of_an_unknown_process_is_told_once_it_is_known(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    rig->pid = rig->tid = 51;
    calls_mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 9000);
    calls_mark_with(rig, MW_MARK_RESET, 0, 150, 1000, 3000);
    assert_int_equal(rig->reached_count, 0);
    mw_calls_process_started(rig->calls, 51, 7, START_NS + 200000, &rig->sink);
    calls_leave(rig, 0, 300);
    assert_int_equal(rig->reached_slot, 7);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 100, 9000);
    rig->pid = rig->tid = 52; /* nobody ever tells of it */
    calls_mark_with(rig, MW_MARK_ENTER, 0, 400, 1000, 9000);
    calls_mark_with(rig, MW_MARK_EXIT, 0, 500, 1000, 5000);
    assert_int_equal(rig->reached_slot, MW_CALLS_NO_SLOT);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 400, 9000);
    calls_mark_with(rig, MW_MARK_ENTER, 0, 600, 1000, 7000);
    calls_finish(rig);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 600, 7000);
    calls_rig_free(rig);
}

static void test_what_was_known_last_stands_in_for_marks_without_memory(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 10); /* before the first sample */
    calls_leave(rig, 0, 20);
    assert_false(rig->call[0].peak.known);
    assert_int_equal(rig->call[0].from_bytes, -1);
    mw_calls_sample(rig->calls, 50, START_NS + 50000, 700);
    mw_calls_sample(rig->calls, 51, START_NS + 50000, 99999);
    calls_enter(rig, 0, 100);
    mw_calls_sample(rig->calls, 50, START_NS + 150000, 900);
    mw_calls_sample(rig->calls, 50, START_NS + 160000, 800);
    calls_mark_with(rig, MW_MARK_RESUME, 0, 170, 850, -1);
    mw_calls_sample(rig->calls, 50, START_NS + 165000, 100); /* late: what is known is newer */
    calls_leave(rig, 0, 200);
    calls_check_peak(&rig->call[1].peak, 899, -1, 150, 150, MW_PEAK_SAMPLED);
    assert_int_equal(rig->call[1].from_bytes, 700 * 1024);
    assert_int_equal(rig->call[1].to_bytes, 850 * 1024);
    calls_enter(rig, 0, 300);
    calls_leave(rig, 0, 400);
    calls_check_peak(&rig->call[2].peak, 849, -1, 300, 300, MW_PEAK_SAMPLED);
    calls_finish(rig);
    assert_int_equal(rig->functions[0].growth_bytes, 150 * 1024);
    calls_check_peak(&rig->functions[0].peak, 899, -1, 150, 150, MW_PEAK_SAMPLED);
    calls_rig_free(rig);
}

static void test_point_is_a_call_that_ends_as_it_begins(void **state)
{
    struct calls_rig *rig = calls_rig_new(1000);

    (void)state;
    calls_enter(rig, 0, 100);
    calls_mark_with(rig, MW_MARK_POINT, 1, 150, 900, 950);
    calls_leave(rig, 0, 200);
    assert_int_equal(rig->call[0].from_us, 150);
    assert_int_equal(rig->call[0].to_us, 150);
    assert_int_equal(rig->call[0].duration_ns, 0);
    assert_int_equal(rig->call[0].depth, 1);
    assert_int_equal(rig->call[0].from_bytes, 900 * 1024);
    assert_int_equal(rig->call[0].to_bytes, 900 * 1024);
    calls_check_peak(&rig->call[0].peak, 899, 960, 150, 150, MW_PEAK_SAMPLED);
    calls_finish(rig);
    assert_int_equal(rig->functions[1].calls, 1);
    assert_int_equal(rig->functions[1].total_ns, 0);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    calls_rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_windows_belong_to_the_calls_that_they_lie_in),
        UNIT_TEST(test_a_window_that_began_before_a_call_says_only_what_it_had_at_most),
        UNIT_TEST(test_a_call_without_length_has_a_bound),
        UNIT_TEST(test_a_window_that_overtook_a_mark_says_nothing_of_the_call_that_it_ends),
        UNIT_TEST(test_marks_that_were_lost_leave_no_bound),
        UNIT_TEST(test_what_marks_say_of_the_memory_is_told_of_the_process),
        UNIT_TEST(test_what_marks_say_of_an_unknown_process_is_told_once_it_is_known),
        UNIT_TEST(test_what_was_known_last_stands_in_for_marks_without_memory),
        UNIT_TEST(test_point_is_a_call_that_ends_as_it_begins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
