/* The straight pieces of a series are where they were put. */
#include "analysis/segments.h"
#include "series.h"
#include "unit.h"

#include <math.h>

enum { COUNT = 64 };

static struct mw_segment found[MW_SEGMENTS_MOST];

static size_t segments_of(series_course *course, double noise)
{
    double values[COUNT];

    series_fill(values, COUNT, course, noise);
    return mw_segments(values, COUNT, found);
}

static void test_a_line_is_one_segment(void **state)
{
    (void)state;
    assert_int_equal(segments_of(series_line, 0), 1);
    assert_near(found[0].slope * COUNT, 1, 1e-9);
    assert_near(found[0].at_from, 0, 1e-9);
    assert_int_equal(segments_of(series_line, .1), 1);
    assert_true(found[0].from == 0 && found[0].to == COUNT);
    assert_int_equal(segments_of(series_flat, 1), 1);
}

static void test_a_step_cuts_where_it_is(void **state)
{
    (void)state;
    assert_int_equal(segments_of(series_step, .05), 2);
    assert_int_equal(found[0].to, 26); /* .4 of 64, rounded up */
    assert_int_equal(found[1].from, 26);
    assert_near(found[1].at_from, 1, .05);
}

static void test_a_bend_cuts_near_it(void **state)
{
    (void)state;
    assert_int_equal(segments_of(series_late, .02), 2);
    assert_in_range(found[1].from, 29, 35);
    assert_near(found[1].slope * COUNT, 2, .15);
}

static void test_what_is_not_known_cuts_nothing(void **state)
{
    double values[COUNT];

    (void)state;
    series_fill(values, COUNT, series_line, .01);
    for (size_t i = 20; i < 40; i++)
        values[i] = NAN;
    values[0] = NAN;
    assert_int_equal(mw_segments(values, COUNT, found), 1);
    assert_near(found[0].slope * COUNT, 1, .05);
}

static void test_too_few_values_are_no_segment(void **state)
{
    double values[COUNT];

    (void)state;
    series_fill(values, COUNT, series_line, 0);
    assert_int_equal(mw_segments(values, MW_SEGMENT_LEAST - 1, found), 0);
    assert_int_equal(mw_segments(values, MW_SEGMENT_LEAST, found), 1);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = NAN;
    assert_int_equal(mw_segments(values, COUNT, found), 0);
}

static void test_large_levels_do_not_hide_a_step(void **state)
{
    double values[COUNT];

    (void)state;
    series_fill(values, COUNT, series_step, .05);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = 9e18 + 1e9 * values[i];
    assert_int_equal(mw_segments(values, COUNT, found), 2);
    assert_int_equal(found[1].from, 26);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_one_segment),
        cmocka_unit_test(test_a_step_cuts_where_it_is),
        cmocka_unit_test(test_a_bend_cuts_near_it),
        cmocka_unit_test(test_what_is_not_known_cuts_nothing),
        cmocka_unit_test(test_too_few_values_are_no_segment),
        cmocka_unit_test(test_large_levels_do_not_hide_a_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
