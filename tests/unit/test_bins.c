/* A series of any length in 512 bins: nothing of its mean, its lowest or its time is lost. */
#include "analysis/bins.h"
#include "series.h"
#include "unit.h"

#include <math.h>

static void sum_up(const struct mw_bins *bins, double *ret_held_s, double *ret_integral)
{
    *ret_held_s = *ret_integral = 0;
    for (size_t i = 0; i < bins->count; i++) {
        *ret_held_s += bins->bins[i].held_s;
        *ret_integral += bins->bins[i].integral;
    }
}

static void test_a_value_holds_until_the_next(void **state)
{
    struct mw_bins bins = {0};

    (void)state;
    mw_bins_add(&bins, 100, 10);
    mw_bins_add(&bins, 100.002, 20);
    mw_bins_hold(&bins, 100.004);
    assert_int_equal(bins.count, 4);
    assert_near(mw_bins_mean(&bins, 0), 10, 1e-9);
    assert_near(mw_bins_mean(&bins, 1), 10, 1e-9);
    assert_near(mw_bins_mean(&bins, 2), 20, 1e-9);
    assert_near(mw_bins_mean(&bins, 3), 20, 1e-9);
}

static void test_a_long_series_keeps_time_mean_and_lowest(void **state)
{
    static const int lengths[] = {1, 511, 512, 513, 100000};

    (void)state;
    for (size_t l = 0; l < MW_COUNT(lengths); l++) {
        struct mw_bins bins = {0};
        double held_s, integral, low = INFINITY;

        for (int i = 0; i < lengths[l]; i++)
            mw_bins_add(&bins, i, i == lengths[l] / 2 ? -5 : i % 2);
        mw_bins_hold(&bins, lengths[l]);
        sum_up(&bins, &held_s, &integral);
        assert_true(bins.count <= MW_BIN_COUNT);
        assert_near(held_s, lengths[l], 1e-6 * lengths[l]);
        assert_near(integral, lengths[l] / 2 - 5 - lengths[l] / 2 % 2, 1e-6 * lengths[l] + 1e-6);
        for (size_t i = 0; i < bins.count; i++)
            low = fmin(low, mw_bins_low(&bins, i));
        assert_true(low == -5);
    }
}

static void test_bins_are_never_coarser_than_half_of_what_fits(void **state)
{
    struct mw_bins bins = {0};

    (void)state;
    for (int i = 0; i < 10000; i++) {
        mw_bins_add(&bins, i * .37, 1);
        assert_true(i == 0 || bins.count > MW_BIN_COUNT / 2 - 1);
    }
}

static void test_what_is_not_known_is_told(void **state)
{
    struct mw_bins bins = {0};

    (void)state;
    mw_bins_add(&bins, 0, 1);
    mw_bins_stop(&bins, 100);
    mw_bins_stop(&bins, 150); /* still */
    mw_bins_add(&bins, 200, 3);
    mw_bins_hold(&bins, 300);
    assert_near(mw_bins_mean(&bins, (size_t)(50 / bins.width_s)), 1, 1e-9);
    assert_true(isnan(mw_bins_mean(&bins, (size_t)(150 / bins.width_s))));
    assert_true(isnan(mw_bins_low(&bins, (size_t)(150 / bins.width_s))));
    assert_near(mw_bins_mean(&bins, (size_t)(250 / bins.width_s)), 3, 1e-9);
}

static void test_a_gap_of_days_is_one_gap(void **state)
{
    struct mw_bins bins = {0};
    double held_s, integral;

    (void)state;
    mw_bins_add(&bins, 0, 1);
    mw_bins_stop(&bins, 1);
    mw_bins_add(&bins, 30 * 86400., 1);
    mw_bins_hold(&bins, 30 * 86400. + 1);
    sum_up(&bins, &held_s, &integral);
    assert_true(bins.count <= MW_BIN_COUNT);
    assert_near(held_s, 2, 1e-6);
}

static void test_time_that_goes_back_counts_as_now(void **state)
{
    struct mw_bins bins = {0};
    double held_s, integral;

    (void)state;
    mw_bins_add(&bins, 10, 1);
    mw_bins_add(&bins, 20, 2);
    mw_bins_add(&bins, 5, 3);
    mw_bins_hold(&bins, 30);
    sum_up(&bins, &held_s, &integral);
    assert_near(held_s, 20, 1e-9);
    assert_near(integral, 10 + 30, 1e-9);
}

static void test_repeating_a_value_changes_nothing(void **state)
{
    struct mw_bins every = {0}, changes = {0};

    (void)state;
    for (int i = 0; i < 5000; i++) {
        mw_bins_add(&every, i * .1, i / 100);
        if (i % 100 == 0)
            mw_bins_add(&changes, i * .1, i / 100);
    }
    mw_bins_hold(&every, 500);
    mw_bins_hold(&changes, 500);
    assert_int_equal(every.count, changes.count);
    for (size_t i = 0; i < every.count; i++)
        assert_near(mw_bins_mean(&every, i), mw_bins_mean(&changes, i), 1e-6);
}

static void test_a_mark_stays_where_it_is(void **state)
{
    struct mw_bins bins = {0};
    size_t marked = 0, place = 0;

    (void)state;
    mw_bins_mark(&bins, 0); /* of what is not there */
    assert_false(bins.begun);
    for (int t_s = 0; t_s < 10000; t_s++) {
        mw_bins_add(&bins, t_s, 1);
        if (t_s == 3000)
            mw_bins_mark(&bins, t_s + .5);
    }
    for (size_t i = 0; i < bins.count; i++) {
        marked += bins.bins[i].may_fall;
        place = bins.bins[i].may_fall ? i : place;
    }
    assert_int_equal(marked, 1);
    assert_near(((double)place + .5) * bins.width_s, 3000, bins.width_s);
}

static void test_a_series_without_values_has_no_bins(void **state)
{
    struct mw_bins bins = {0};

    (void)state;
    mw_bins_stop(&bins, 10);
    mw_bins_hold(&bins, 20);
    assert_int_equal(bins.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_holds_until_the_next),
        cmocka_unit_test(test_a_long_series_keeps_time_mean_and_lowest),
        cmocka_unit_test(test_bins_are_never_coarser_than_half_of_what_fits),
        cmocka_unit_test(test_what_is_not_known_is_told),
        cmocka_unit_test(test_a_gap_of_days_is_one_gap),
        cmocka_unit_test(test_time_that_goes_back_counts_as_now),
        cmocka_unit_test(test_repeating_a_value_changes_nothing),
        cmocka_unit_test(test_a_mark_stays_where_it_is),
        cmocka_unit_test(test_a_series_without_values_has_no_bins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
