/* When limits are crossed, and when they can be crossed again. */
#include "record/limits.h"
#include "unit.h"

#include <stdlib.h>

#define SECOND INT64_C(1000000)

static struct mw_limits *limits_with(enum mw_limit_kind kind, int64_t limit)
{
    struct mw_limits_options options = {.growth_window_ns = 60 * INT64_C(1000000000)};
    struct mw_limits *limits;

    options.limits[kind] = limit;
    limits = mw_limits_new(&options);
    assert_non_null(limits);
    return limits;
}

/* Whether a value crosses the limit: then exactly once. */
static bool rss(struct mw_limits *limits, int64_t t_us, int64_t bytes)
{
    struct mw_crossing crossing;
    bool crossed = mw_limits_rss(limits, t_us, bytes, &crossing);

    if (crossed) {
        assert_int_equal(crossing.t_us, t_us);
        assert_false(mw_limits_rss(limits, t_us, bytes, &crossing));
    }
    return crossed;
}

static void test_a_limit_is_crossed_by_what_is_above_it(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_RSS, 1000);
    struct mw_crossing crossing;

    (void)state;
    assert_false(rss(limits, 0, 999));
    assert_false(rss(limits, 1, 1000));
    assert_true(mw_limits_rss(limits, 2, 1001, &crossing));
    assert_int_equal(crossing.kind, MW_LIMIT_MAX_RSS);
    assert_int_equal(crossing.value, 1001);
    assert_int_equal(crossing.limit, 1000);
    mw_limits_free(limits);
}

static void test_it_is_crossed_again_only_after_a_tenth_of_it_was_free(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_RSS, 1000);

    (void)state;
    assert_true(rss(limits, 0, 2000));
    assert_false(rss(limits, 1, 3000));
    assert_false(rss(limits, 2, 900));
    assert_false(rss(limits, 3, 2000));
    assert_false(rss(limits, 4, 899));
    assert_true(rss(limits, 5, 1001));
    mw_limits_free(limits);
}

static void test_a_peak_between_two_samples_crosses_it_too(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_RSS, 1000);
    struct mw_crossing crossing;

    (void)state;
    assert_false(rss(limits, 0, 10));
    assert_false(mw_limits_peak(limits, 1, 1, 1000, &crossing));
    assert_true(mw_limits_peak(limits, 1, 1, 1001, &crossing));
    assert_false(mw_limits_peak(limits, 1, 1, 1002, &crossing));
    assert_false(rss(limits, 2, 10));
    assert_true(mw_limits_peak(limits, 3, 3, 1003, &crossing));
    mw_limits_free(limits);
}

static void test_a_peak_of_a_time_in_which_samples_crossed_it_is_no_news(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_RSS, 1000);
    struct mw_crossing crossing;

    (void)state;
    assert_true(rss(limits, 10, 2000));
    assert_false(rss(limits, 20, 10));
    assert_false(mw_limits_peak(limits, 15, 25, 2000, &crossing));
    assert_false(mw_limits_peak(limits, 19, 25, 2000, &crossing));
    assert_true(mw_limits_peak(limits, 25, 35, 2000, &crossing));
    assert_int_equal(crossing.t_us, 35);
    mw_limits_free(limits);
}

static void test_growth_counts_from_the_lowest_in_its_window(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_GROWTH, 100);

    (void)state;
    assert_false(rss(limits, 0, 1000)); /* what it has from the start is no growth */
    assert_false(rss(limits, 10 * SECOND, 950));
    assert_false(rss(limits, 20 * SECOND, 1050));
    assert_true(rss(limits, 30 * SECOND, 1051));
    mw_limits_free(limits);
}

static void test_growth_that_is_slower_than_its_limit_crosses_nothing(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_GROWTH, 100);

    (void)state;
    /* 99 in each minute, for an hour. */
    for (int64_t second = 0; second < 3600; second++)
        assert_false(rss(limits, second * SECOND, 1000 + second * 99 / 60));
    mw_limits_free(limits);
}

static void test_growth_that_is_faster_is_seen_whenever_it_begins(void **state)
{
    (void)state;
    for (int64_t begin = 0; begin < 3600; begin += 37) {
        struct mw_limits *limits = limits_with(MW_LIMIT_MAX_GROWTH, 100);
        bool crossed = false;

        assert_false(rss(limits, 0, 1000));
        for (int64_t second = 0; second < 61; second++)
            crossed = rss(limits, (begin + second) * SECOND, 1000 + second * 103 / 60) || crossed;
        assert_true(crossed);
        mw_limits_free(limits);
    }
}

/* A value that does not change comes once, and holds. */
static void test_what_was_held_through_the_window_is_its_lowest(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_GROWTH, 100);

    (void)state;
    assert_false(rss(limits, 0, 1000));
    assert_false(rss(limits, 1 * SECOND, 1090));
    assert_true(rss(limits, 100000 * SECOND, 1200)); /* 1090 was held until then */
    mw_limits_free(limits);
    limits = limits_with(MW_LIMIT_MAX_GROWTH, 100);
    assert_false(rss(limits, 0, 1000));
    assert_false(rss(limits, 1 * SECOND, 1090));
    assert_false(rss(limits, 100000 * SECOND, 1190));
    mw_limits_free(limits);
}

static void test_processes_are_counted_against_their_limit(void **state)
{
    struct mw_limits *limits = limits_with(MW_LIMIT_MAX_PROCESSES, 3);
    struct mw_crossing crossing;

    (void)state;
    assert_false(mw_limits_processes(limits, 0, 3, &crossing));
    assert_true(mw_limits_processes(limits, 1, 4, &crossing));
    assert_int_equal(crossing.kind, MW_LIMIT_MAX_PROCESSES);
    assert_false(mw_limits_processes(limits, 2, 3, &crossing));
    assert_false(mw_limits_processes(limits, 3, 4, &crossing));
    assert_false(mw_limits_processes(limits, 4, 2, &crossing));
    assert_true(mw_limits_processes(limits, 5, 4, &crossing));
    mw_limits_free(limits);
}

static void test_without_limits_nothing_is_crossed(void **state)
{
    struct mw_limits *limits = mw_limits_new(&(struct mw_limits_options){0});
    struct mw_crossing crossing;

    (void)state;
    assert_non_null(limits);
    assert_false(rss(limits, 0, INT64_MAX));
    assert_false(mw_limits_peak(limits, 1, 1, INT64_MAX, &crossing));
    assert_false(mw_limits_processes(limits, 2, INT64_MAX, &crossing));
    mw_limits_free(limits);
    mw_limits_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_limit_is_crossed_by_what_is_above_it),
        UNIT_TEST(test_it_is_crossed_again_only_after_a_tenth_of_it_was_free),
        UNIT_TEST(test_a_peak_between_two_samples_crosses_it_too),
        UNIT_TEST(test_a_peak_of_a_time_in_which_samples_crossed_it_is_no_news),
        UNIT_TEST(test_growth_counts_from_the_lowest_in_its_window),
        UNIT_TEST(test_growth_that_is_slower_than_its_limit_crosses_nothing),
        UNIT_TEST(test_growth_that_is_faster_is_seen_whenever_it_begins),
        UNIT_TEST(test_what_was_held_through_the_window_is_its_lowest),
        UNIT_TEST(test_processes_are_counted_against_their_limit),
        UNIT_TEST(test_without_limits_nothing_is_crossed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
