/* A trend in noise that may wander: against least squares, and how often chance passes for one. */
#include "analysis/drift.h"
#include "series.h"
#include "unit.h"

#include <math.h>

enum { COUNT = 64 };

static double places[COUNT];

static int number_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        places[i] = (double)i;
    return 0;
}

static void fit(const double *values, struct mw_drift *ret)
{
    const double *regressors[] = {places};

    assert_true(mw_drift_fit(values, COUNT, regressors, 1, ret));
}

static void test_in_white_noise_it_is_least_squares(void **state)
{
    double values[COUNT], x = 0, y = 0, xx = 0, xy = 0, rest = 0, slope;
    struct mw_drift drift;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = 7 + .25 * (double)i + (i % 2 == 0 ? 1 : -1) + (i % 7 == 3);
        x += (double)i / COUNT;
        y += values[i] / COUNT;
    }
    for (size_t i = 0; i < COUNT; i++) {
        xx += ((double)i - x) * ((double)i - x);
        xy += ((double)i - x) * (values[i] - y);
    }
    slope = xy / xx;
    for (size_t i = 0; i < COUNT; i++)
        rest += pow(values[i] - y - slope * ((double)i - x), 2);
    fit(values, &drift);
    assert_true(drift.walk == 0);
    assert_near(drift.factor[0], slope, 1e-9);
    assert_near(drift.error[0], sqrt(rest / (COUNT - 2) / xx), 1e-9);
    assert_int_equal(drift.freedom, COUNT - 2);
}

static void test_in_a_walk_it_is_the_mean_step(void **state)
{
    double values[COUNT] = {0}, mean, squares = 0;
    struct mw_drift drift;
    uint64_t seed = 3;

    (void)state;
    for (size_t i = 1; i < COUNT; i++)
        values[i] = values[i - 1] + 2 + series_noise(&seed);
    mean = values[COUNT - 1] / (COUNT - 1);
    for (size_t i = 1; i < COUNT; i++)
        squares += pow(values[i] - values[i - 1] - mean, 2);
    fit(values, &drift);
    assert_true(drift.walk == 1 && drift.stay == 1);
    assert_near(drift.factor[0], mean, 1e-9);
    /* The standard error of the mean step, and the half more variance of points that are means. */
    assert_near(drift.error[0], sqrt(1.5 * squares / (COUNT - 2) / (COUNT - 1)), 1e-9);
}

static void test_two_regressors_are_told_apart(void **state)
{
    double values[COUNT], bend[COUNT];
    const double *regressors[] = {places, bend};
    struct mw_drift drift;
    uint64_t seed = 5;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        bend[i] = i < 20 ? (double)i : 20;
        values[i] = 3 * (double)i + 5 * bend[i] + .01 * series_noise(&seed);
    }
    assert_true(mw_drift_fit(values, COUNT, regressors, 2, &drift));
    assert_near(drift.factor[0], 3, .01);
    assert_near(drift.factor[1], 5, .02);
    assert_true(drift.covariance < 0);
}

static void test_what_is_not_known_is_passed_over(void **state)
{
    double values[COUNT];
    struct mw_drift drift;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        values[i] = i % 5 == 2 || i < 4 ? NAN : 2 * (double)i;
    fit(values, &drift);
    assert_near(drift.factor[0], 2, 1e-6);
    for (size_t i = 6; i < COUNT; i++)
        values[i] = NAN;
    assert_false(mw_drift_fit(values, COUNT, (const double *[]){places}, 1, &drift));
}

/* Of 400 series without a trend, how many have one with a t above 2.33, which 1 % should? */
static size_t false_trends(double memory)
{
    size_t found = 0;
    uint64_t seed = 11;

    for (size_t n = 0; n < 400; n++) {
        double values[COUNT], value = 0;
        struct mw_drift drift;

        for (size_t i = 0; i < 20; i++)
            value = memory * value + series_noise(&seed);
        for (size_t i = 0; i < COUNT; i++)
            values[i] = value = memory * value + series_noise(&seed);
        fit(values, &drift);
        found += drift.factor[0] > 2.33 * drift.error[0];
    }
    return found;
}

static void test_noise_seldom_passes_for_a_trend(void **state)
{
    (void)state;
    assert_true(false_trends(0) <= 12);
    assert_true(false_trends(.5) <= 16);
    assert_true(false_trends(.9) <= 20);
    assert_true(false_trends(1) <= 12);
}

static void test_quantiles_of_student(void **state)
{
    (void)state;
    assert_near(mw_student_975(10), 2.228, .001);
    assert_near(mw_student_975(30), 2.042, .001);
    assert_near(mw_student_975(62), 1.999, .001);
    assert_true(isinf(mw_student_975(0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_white_noise_it_is_least_squares),
        cmocka_unit_test(test_in_a_walk_it_is_the_mean_step),
        cmocka_unit_test(test_two_regressors_are_told_apart),
        cmocka_unit_test(test_what_is_not_known_is_passed_over),
        cmocka_unit_test(test_noise_seldom_passes_for_a_trend),
        cmocka_unit_test(test_quantiles_of_student),
    };

    return cmocka_run_group_tests(tests, number_places, NULL);
}
