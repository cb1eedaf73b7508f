/* What a series comes to: its mean, what it ended with, how fast it grew. */
#include "analysis/gauge.h"
#include "unit.h"

#include <math.h>
#include <stdint.h>

enum { SECOND = 1000000, MIB = 1 << 20 };

/* A value for every moment. */
typedef double series_fn(double t_s);

static struct mw_figures measure(int64_t end_us, int64_t step_us, series_fn *value,
                                 const struct mw_hole *holes, size_t hole_count)
{
    struct mw_gauge *gauge = mw_gauge_new(end_us, holes, hole_count);
    struct mw_figures figures;

    for (int64_t t_us = 0; t_us < end_us; t_us += step_us)
        assert_int_equal(mw_gauge_add(gauge, t_us, (int64_t)value((double)t_us / SECOND)), 0);
    assert_int_equal(mw_gauge_finish(gauge, &figures), 1);
    mw_gauge_free(gauge);
    return figures;
}

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%g is not %g, give or take %g", value, expected, tolerance);
}

static double rising(double t_s)
{
    return 10 * MIB + t_s * MIB;
}

/* Starts with little, takes what it needs, and lets go of it while it ends. */
static double server(double t_s)
{
    return t_s < 5 ? 2 * MIB : t_s > 59.8 ? 3 * MIB : 80 * MIB;
}

static double noisy(double t_s)
{
    return 80 * MIB + MIB * sin(t_s * 1000) + (fmod(t_s, 7) < 0.5 ? 100 * MIB : 0);
}

/* A sawtooth over a floor that rises by half a MiB a second. */
static double sawtooth(double t_s)
{
    return 20 * MIB + t_s * MIB / 2 + fmod(t_s, 3) * 10 * MIB;
}

static void test_mean_counts_how_long_a_value_held(void **state)
{
    struct mw_gauge *gauge = mw_gauge_new(10 * SECOND, NULL, 0);
    struct mw_figures figures;

    (void)state;
    mw_gauge_add(gauge, 0, 100);
    mw_gauge_add(gauge, 1 * SECOND, 10);
    mw_gauge_add(gauge, 9 * SECOND, 1000);
    assert_int_equal(mw_gauge_finish(gauge, &figures), 1);
    assert_near(figures.mean_bytes, (100 + 80 + 1000) / 10.0, 1e-6);
    assert_int_equal(figures.final_bytes, 1000);
    mw_gauge_free(gauge);
}

static void test_steady_growth_is_its_slope(void **state)
{
    struct mw_figures figures = measure(60 * SECOND, 10000, rising, NULL, 0);

    (void)state;
    assert_true(figures.has_growth);
    assert_near(figures.growth_bytes_per_s, MIB, MIB / 1e4);
    assert_near(figures.mean_bytes, 40 * MIB, MIB / 10.0);
}

static void test_start_and_end_of_a_program_are_no_growth(void **state)
{
    struct mw_figures figures = measure(60 * SECOND, 10000, server, NULL, 0);

    (void)state;
    assert_near(figures.growth_bytes_per_s, 0, 1);
    assert_int_equal(figures.final_bytes, 80 * MIB);
}

static void test_noise_and_spikes_are_no_growth(void **state)
{
    struct mw_figures figures = measure(600 * SECOND, 10000, noisy, NULL, 0);

    (void)state;
    assert_near(figures.growth_bytes_per_s * 600, 0, MIB);
}

static void test_rising_floor_under_a_sawtooth_is_growth(void **state)
{
    struct mw_figures figures = measure(600 * SECOND, 10000, sawtooth, NULL, 0);

    (void)state;
    assert_near(figures.growth_bytes_per_s, MIB / 2.0, MIB / 100.0);
}

/* What is in a hole is not known: it must not count, however long the value before it would hold.
 */
static double wild_in_the_hole(double t_s)
{
    return t_s >= 20 && t_s < 40 ? 1e15 : rising(t_s);
}

static void test_what_lies_in_a_hole_does_not_count(void **state)
{
    static const struct mw_hole holes[] = {{20 * SECOND, 40 * SECOND}};
    struct mw_figures figures = measure(60 * SECOND, 10000, wild_in_the_hole, holes, 1);

    (void)state;
    assert_near(figures.mean_bytes, 40 * MIB, MIB / 10.0);
    assert_near(figures.growth_bytes_per_s, MIB, MIB / 100.0);
}

static void test_holes_that_no_file_should_have_do_no_harm(void **state)
{
    static const struct mw_hole holes[] = {
        {-5, 5}, {INT64_MIN, 3}, {10, 2}, {SECOND, INT64_MAX}, {2 * SECOND, 3 * SECOND}};
    struct mw_figures figures = measure(60 * SECOND, 10000, rising, holes, 5);

    (void)state;
    assert_false(figures.has_growth);
    assert_near(figures.mean_bytes, 10.5 * MIB, MIB / 10.0);
}

static void test_growth_of_a_moment_is_not_known(void **state)
{
    static const struct mw_hole most[] = {{SECOND, 55 * SECOND}};

    (void)state;
    assert_false(measure(SECOND - 1, 1000, rising, NULL, 0).has_growth);
    assert_true(measure(SECOND, 1000, rising, NULL, 0).has_growth);
    assert_false(measure(60 * SECOND, 10000, rising, most, 1).has_growth);
}

static void test_series_of_nothing_tells_nothing(void **state)
{
    static const struct mw_hole all[] = {{0, SECOND}};
    static const int64_t ends_us[] = {0, -1, INT64_MIN / 2};
    struct mw_gauge *gauge = mw_gauge_new(SECOND, NULL, 0);
    struct mw_figures figures;

    (void)state;
    assert_int_equal(mw_gauge_finish(gauge, &figures), 0);
    mw_gauge_free(gauge);
    gauge = mw_gauge_new(SECOND, all, 1);
    mw_gauge_add(gauge, 0, 5);
    assert_int_equal(mw_gauge_finish(gauge, &figures), 0);
    mw_gauge_free(gauge);
    for (size_t i = 0; i < MW_COUNT(ends_us); i++) {
        gauge = mw_gauge_new(ends_us[i], NULL, 0);
        mw_gauge_add(gauge, 0, 5);
        mw_gauge_add(gauge, INT64_MAX, INT64_MAX);
        assert_int_equal(mw_gauge_finish(gauge, &figures), 0);
        mw_gauge_free(gauge);
    }
}

static void test_short_series_has_a_mean_and_an_end(void **state)
{
    static const int64_t ends_us[] = {1, 2, 19, 20, 63, 64, 65, 1000};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(ends_us); i++) {
        struct mw_gauge *gauge = mw_gauge_new(ends_us[i], NULL, 0);
        struct mw_figures figures;

        mw_gauge_add(gauge, 0, 4096);
        assert_int_equal(mw_gauge_finish(gauge, &figures), 1);
        assert_near(figures.mean_bytes, 4096, 1e-9);
        assert_int_equal(figures.final_bytes, 4096);
        assert_false(figures.has_growth);
        mw_gauge_free(gauge);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_mean_counts_how_long_a_value_held),
        UNIT_TEST(test_steady_growth_is_its_slope),
        UNIT_TEST(test_start_and_end_of_a_program_are_no_growth),
        UNIT_TEST(test_noise_and_spikes_are_no_growth),
        UNIT_TEST(test_rising_floor_under_a_sawtooth_is_growth),
        UNIT_TEST(test_what_lies_in_a_hole_does_not_count),
        UNIT_TEST(test_holes_that_no_file_should_have_do_no_harm),
        UNIT_TEST(test_growth_of_a_moment_is_not_known),
        UNIT_TEST(test_series_of_nothing_tells_nothing),
        UNIT_TEST(test_short_series_has_a_mean_and_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
