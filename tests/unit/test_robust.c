/* Medians and Theil-Sen slopes, against numbers worked out by hand. */
#include "analysis/robust.h"
#include "series.h"
#include "unit.h"

#include <math.h>

static void test_median_and_quantiles(void **state)
{
    static const double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2}, holes[] = {NAN, 7, NAN, 9};

    (void)state;
    assert_true(mw_median(odd, 3) == 3);
    assert_true(mw_median(even, 4) == 2.5);
    assert_true(mw_median(holes, 4) == 8);
    assert_true(isnan(mw_median(holes, 1)));
    assert_true(isnan(mw_median(odd, 0)));
    assert_true(mw_quantile(odd, 3, 0) == 1 && mw_quantile(odd, 3, 1) == 5);
    assert_near(mw_quantile(even, 4, .25), 1.75, 1e-12);
}

static void test_deviation_is_that_of_a_normal_series_and_ignores_an_outlier(void **state)
{
    static const double values[] = {1, 2, 3, 4, 5, 6, 1e9};

    (void)state;
    /* The median is 4, the distances 3 2 1 0 1 2 1e9: their median is 2. */
    assert_near(mw_deviation(values, 7), 2 * 1.4826, 1e-9);
}

static void test_sen_slope(void **state)
{
    static const double line[] = {10, 12, 14, 16, 18};
    static const double outlier[] = {1, 2, 3, 4, 100};
    static const double holes[] = {0, NAN, 4, NAN, 8};
    static const double mixed[] = {0, 3, -2, 3};

    (void)state;
    assert_near(mw_sen_slope(line, 5), 2, 1e-12);
    assert_near(mw_sen_slope(outlier, 5), 1, 1e-12);
    assert_near(mw_sen_slope(holes, 5), 2, 1e-12);
    /* 3, -1, 1, -5, 0, 5: the median of -5 -1 0 1 3 5 is 1/2. */
    assert_near(mw_sen_slope(mixed, 4), .5, 1e-12);
    assert_true(isnan(mw_sen_slope(line, 1)));
}

static void test_spikes_go_and_falls_and_steps_stay(void **state)
{
    double values[] = {1, 2, 1, 2, 90, 2, 1, 2, 1, -90, 1, 2, 50, 51, 50, 51, 50};

    (void)state;
    mw_remove_spikes(values, MW_COUNT(values));
    assert_true(values[4] < 3);
    assert_true(values[9] == -90);
    assert_true(values[12] == 50 && values[16] == 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median_and_quantiles),
        cmocka_unit_test(test_deviation_is_that_of_a_normal_series_and_ignores_an_outlier),
        cmocka_unit_test(test_sen_slope),
        cmocka_unit_test(test_spikes_go_and_falls_and_steps_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
