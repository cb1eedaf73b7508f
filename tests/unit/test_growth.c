/* What is measured of a stretch: its slope, where it bends, slows down, begins and falls. */
#include "analysis/growth.h"
#include "series.h"
#include "unit.h"

#include <math.h>

enum { COUNT = 512 };

static struct mw_growth measure(series_course *course, double noise)
{
    double values[COUNT];
    struct mw_growth growth;

    series_fill(values, COUNT, course, noise);
    assert_true(mw_growth_measure(values, 0, COUNT, 1, &growth));
    return growth;
}

static void test_a_line(void **state)
{
    struct mw_growth growth = measure(series_line, .05);

    (void)state;
    assert_near(growth.slope * COUNT, 1, .03);
    assert_near(growth.net, 1, .03);
    assert_near(growth.end, 1, .03);
    assert_near(growth.level, .5, .03);
    assert_near(growth.noise, .05 / sqrt(COUNT / 64.), .01);
    assert_true(fabs(growth.slope * COUNT - 1) < 4 * growth.error * COUNT);
    assert_true(growth.bend < 4 && growth.onset == 0);
    assert_near(growth.slowing, 1, .1);
    assert_near(growth.half_ratio, 1, .1);
    assert_near(growth.largest_step, 1. / 8, .05);
    assert_true(growth.drawdown < .05);
}

static void test_a_cache_slows_down_and_does_not_last(void **state)
{
    struct mw_growth growth = measure(series_cache, .02);

    (void)state;
    assert_true(growth.bend > 20);
    assert_true(growth.late_slope < .1 * growth.slope);
    assert_true(growth.slowing < .3 && growth.slowing_t > 5);
    assert_true(growth.lasting < 3 && growth.beyond < 5);
    assert_true(growth.half_ratio < .3);
}

static void test_growth_behind_a_warm_up_lasts(void **state)
{
    struct mw_growth growth = measure(series_warm_up, .02);

    (void)state;
    assert_true(growth.bend > 20);
    assert_true(growth.lasting > 5 && growth.beyond > 6);
    assert_in_range((uintmax_t)(100 * growth.settled), 8, 40);
}

static void test_a_halt_is_told_from_a_cache(void **state)
{
    double values[COUNT];
    struct mw_halt halt;

    (void)state;
    series_fill(values, COUNT, series_halt, .02);
    assert_true(mw_growth_halt(values, 0, COUNT, &halt));
    assert_near((double)halt.place / COUNT, .9, .02);
    assert_true(halt.likelier > 6);
    series_fill(values, COUNT, series_cache, .02);
    assert_true(mw_growth_halt(values, 0, COUNT, &halt) && halt.likelier < 0);
    series_fill(values, COUNT, series_line, .02);
    assert_true(mw_growth_halt(values, 0, COUNT, &halt) && halt.likelier < 3);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = 7;
    assert_false(mw_growth_halt(values, 0, COUNT, &halt) && halt.likelier > 0);
}

static void test_the_onset_is_found(void **state)
{
    struct mw_growth growth = measure(series_late, .02);

    (void)state;
    assert_near(growth.onset, .5, .06);
}

static void test_a_step_is_large(void **state)
{
    struct mw_growth growth = measure(series_step, .02);

    (void)state;
    assert_true(growth.largest_step * growth.net > .8);
    assert_true(growth.slope < 2.5 * growth.error);
}

static void test_a_fall_is_measured(void **state)
{
    struct mw_growth growth = measure(series_days_leak, .02);

    (void)state;
    assert_true(growth.drawdown > .1);
}

static void test_points_are_as_many_as_there_are_teeth(void **state)
{
    double values[COUNT];
    struct mw_growth fine, coarse;

    (void)state;
    series_fill(values, COUNT, series_line, .05);
    assert_true(mw_growth_measure(values, 0, COUNT, 1, &fine));
    assert_true(mw_growth_measure(values, 0, COUNT, COUNT / 30., &coarse));
    assert_int_equal(fine.freedom, MW_GROWTH_POINTS - 2);
    assert_in_range(coarse.freedom, 26, 28);
    assert_near(coarse.slope, fine.slope, .1 * fine.slope);
}

static void test_too_little_is_not_measured(void **state)
{
    double values[COUNT];
    struct mw_growth growth;

    (void)state;
    series_fill(values, COUNT, series_line, .05);
    assert_false(mw_growth_measure(values, 0, 5, 1, &growth));
    for (size_t i = 0; i < COUNT; i++)
        values[i] = i < 500 ? NAN : values[i];
    assert_false(mw_growth_measure(values, 0, COUNT, 1, &growth));
}

static void test_pooling_keeps_the_mean(void **state)
{
    static const double values[] = {1, 2, 3, 4, 5, NAN, 7};
    double points[2];

    (void)state;
    mw_pool(values, 7, points, 2);
    assert_near(points[0], (1 + 2 + 3 + .5 * 4) / 3.5, 1e-12);
    assert_near(points[1], (.5 * 4 + 5 + 7) / 2.5, 1e-12);
    mw_pool(values + 5, 1, points, 1);
    assert_true(isnan(points[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_a_cache_slows_down_and_does_not_last),
        cmocka_unit_test(test_growth_behind_a_warm_up_lasts),
        cmocka_unit_test(test_a_halt_is_told_from_a_cache),
        cmocka_unit_test(test_the_onset_is_found),
        cmocka_unit_test(test_a_step_is_large),
        cmocka_unit_test(test_a_fall_is_measured),
        cmocka_unit_test(test_points_are_as_many_as_there_are_teeth),
        cmocka_unit_test(test_too_little_is_not_measured),
        cmocka_unit_test(test_pooling_keeps_the_mean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
