/* Daily cycles and sawteeth are found with their period and their height, and nothing else is. */
#include "analysis/cycle.h"
#include "analysis/robust.h"
#include "series.h"
#include "unit.h"

#include <math.h>

enum { COUNT = 480 };

static double values[COUNT];

static struct mw_cycle cycle_of(series_course *course, double noise)
{
    series_fill(values, COUNT, course, noise);
    return mw_cycle_find(values, COUNT);
}

static void test_days_are_periodic(void **state)
{
    struct mw_cycle cycle = cycle_of(series_days, .05);

    (void)state;
    assert_int_equal(cycle.kind, MW_CYCLE_PERIODIC);
    assert_near(cycle.period, COUNT / 5., 1.5);
    assert_near(cycle.amplitude, 1, .1);
}

static void test_a_trend_below_days_is_what_is_left(void **state)
{
    struct mw_cycle cycle = cycle_of(series_days_leak, .02);

    (void)state;
    assert_int_equal(cycle.kind, MW_CYCLE_PERIODIC);
    assert_near(cycle.amplitude, .5, .06);
    mw_cycle_remove(&cycle, values, COUNT);
    for (size_t i = 1; i < COUNT; i++) {
        double straight = values[0] + (double)i / COUNT;

        assert_near(values[i], straight, .15);
    }
}

static void test_teeth_are_a_sawtooth(void **state)
{
    static series_course *const courses[] = {series_teeth, series_teeth_leak};

    (void)state;
    for (size_t c = 0; c < MW_COUNT(courses); c++) {
        struct mw_cycle cycle = cycle_of(courses[c], .02);

        assert_int_equal(cycle.kind, MW_CYCLE_SAWTOOTH);
        assert_near(cycle.period, COUNT / 12., 3);
        assert_near(cycle.amplitude, 1, .12);
    }
}

static void test_the_floor_below_teeth(void **state)
{
    double lows[COUNT], floor[COUNT];
    struct mw_cycle cycle = cycle_of(series_teeth_leak, 0);

    (void)state;
    series_fill(lows, COUNT, series_teeth_leak, 0);
    mw_cycle_floor(&cycle, lows, floor, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        double below = (double)i / COUNT;

        if (i < (size_t)cycle.period)
            assert_true(isnan(floor[i]));
        else /* at most two periods late */
            assert_true(floor[i] <= below + 1e-9 && floor[i] > below - 2.2 / 12);
    }
}

static void test_nothing_else_is_a_cycle(void **state)
{
    static series_course *const courses[] = {series_flat, series_line,  series_step,
                                             series_late, series_cache, series_warm_up};

    (void)state;
    for (size_t c = 0; c < MW_COUNT(courses); c++) {
        assert_int_equal(cycle_of(courses[c], 0).kind, MW_CYCLE_NONE);
        assert_int_equal(cycle_of(courses[c], .1).kind, MW_CYCLE_NONE);
    }
}

static void test_a_walk_is_seldom_a_cycle(void **state)
{
    size_t found = 0;
    uint64_t seed = 2;

    (void)state;
    for (size_t n = 0; n < 200; n++) {
        double value = 0;

        for (size_t i = 0; i < COUNT; i++)
            values[i] = value += series_noise(&seed);
        found += mw_cycle_find(values, COUNT).kind != MW_CYCLE_NONE;
    }
    assert_true(found <= 10);
}

static void test_what_is_not_known_does_not_matter(void **state)
{
    (void)state;
    series_fill(values, COUNT, series_days, .05);
    for (size_t i = 100; i < 150; i++)
        values[i] = NAN;
    assert_int_equal(mw_cycle_find(values, COUNT).kind, MW_CYCLE_PERIODIC);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = NAN;
    assert_int_equal(mw_cycle_find(values, COUNT).kind, MW_CYCLE_NONE);
    assert_int_equal(mw_cycle_find(values, 0).kind, MW_CYCLE_NONE);
    assert_int_equal(mw_cycle_find(values, 3).kind, MW_CYCLE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_are_periodic),
        cmocka_unit_test(test_a_trend_below_days_is_what_is_left),
        cmocka_unit_test(test_teeth_are_a_sawtooth),
        cmocka_unit_test(test_the_floor_below_teeth),
        cmocka_unit_test(test_nothing_else_is_a_cycle),
        cmocka_unit_test(test_a_walk_is_seldom_a_cycle),
        cmocka_unit_test(test_what_is_not_known_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
