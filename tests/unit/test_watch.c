/* When a series is judged, and which verdicts are told. */
#include "analysis/watch.h"
#include "unit.h"

/* Looks whenever one is due up to end_s; returns when something was told first, or -1. */
static double look_until(struct mw_watch *watch, double end_s, enum mw_verdict verdict)
{
    while (watch->due_s <= end_s) {
        double now_s = watch->due_s;

        if (mw_watch_take(watch, now_s, verdict))
            return now_s;
    }
    return -1;
}

static void test_nothing_is_due_before_the_least_time(void **state)
{
    struct mw_watch watch = mw_watch_begin(7, 300);

    (void)state;
    assert_true(watch.due_s == 307);
}

static void test_a_verdict_is_told_once_when_it_was_reached_twice(void **state)
{
    struct mw_watch watch = mw_watch_begin(0, 300);

    (void)state;
    assert_true(look_until(&watch, 3600, MW_VERDICT_STABLE) == 375);
    assert_true(look_until(&watch, 36000, MW_VERDICT_STABLE) < 0);
    assert_false(mw_watch_take(&watch, watch.due_s, MW_VERDICT_STEP));
    assert_true(mw_watch_take(&watch, watch.due_s, MW_VERDICT_STEP));
}

static void test_growth_is_told_when_the_series_has_become_half_as_long_again(void **state)
{
    struct mw_watch watch = mw_watch_begin(100, 300);

    (void)state;
    assert_true(look_until(&watch, 3600, MW_VERDICT_LEAK) >= 100 + 1.5 * 300);
    assert_int_equal(watch.told, MW_VERDICT_LEAK);
}

static void test_growth_that_comes_and_goes_is_never_told(void **state)
{
    struct mw_watch watch = mw_watch_begin(0, 300);

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        enum mw_verdict verdict = i % 3 < 2 && i < 9 ? MW_VERDICT_LEAK : MW_VERDICT_STABLE;

        mw_watch_take(&watch, watch.due_s, verdict);
        assert_false(mw_verdict_grows(watch.told));
    }
}

static void test_too_little_is_never_told(void **state)
{
    struct mw_watch watch = mw_watch_begin(0, 300);

    (void)state;
    assert_true(look_until(&watch, 36000, MW_VERDICT_INSUFFICIENT) < 0);
}

static void test_looks_get_rarer_and_go_on(void **state)
{
    struct mw_watch watch = mw_watch_begin(0, 300);
    double before_s = 0;
    size_t looks = 0;

    (void)state;
    for (; watch.due_s < 86400; looks++) {
        assert_true(watch.due_s > before_s && watch.due_s - before_s <= 600);
        before_s = watch.due_s;
        mw_watch_take(&watch, watch.due_s, MW_VERDICT_STABLE);
    }
    assert_in_range(looks, 86400 / 600, 86400 / 600 + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_nothing_is_due_before_the_least_time),
        UNIT_TEST(test_a_verdict_is_told_once_when_it_was_reached_twice),
        UNIT_TEST(test_growth_is_told_when_the_series_has_become_half_as_long_again),
        UNIT_TEST(test_growth_that_comes_and_goes_is_never_told),
        UNIT_TEST(test_too_little_is_never_told),
        UNIT_TEST(test_looks_get_rarer_and_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
