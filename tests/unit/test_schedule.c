/* The schedule is absolute, and tells the truth about how it was kept. */
#include "capture/schedule.h"
#include "unit.h"

#include <stdlib.h>

enum { START = 1000000, INTERVAL = 1000 };

static struct mw_schedule started(void)
{
    struct mw_schedule schedule = {0};

    mw_schedule_start(&schedule, START, INTERVAL);
    return schedule;
}

static struct mw_schedule_figures figures_of(struct mw_schedule *schedule)
{
    struct mw_schedule_figures figures;

    mw_schedule_figures(schedule, &figures);
    return figures;
}

static void test_tick_k_is_due_at_start_plus_k_intervals(void **state)
{
    struct mw_schedule schedule = started();

    (void)state;
    for (int64_t k = 0; k < 100; k++) {
        assert_int_equal(mw_schedule_due_ns(&schedule), START + k * INTERVAL);
        /* Lateness does not move those that come after. */
        assert_int_equal(mw_schedule_take(&schedule, START + k * INTERVAL + k % 7 * 100), 0);
    }
    assert_int_equal(figures_of(&schedule).taken, 100);
    assert_int_equal(figures_of(&schedule).missed, 0);
}

static void test_a_late_tick_is_taken_once_and_the_missed_ones_are_counted(void **state)
{
    struct mw_schedule schedule = started();

    (void)state;
    assert_int_equal(mw_schedule_take(&schedule, START), 0);
    assert_int_equal(mw_schedule_take(&schedule, START + 5 * INTERVAL + 10), 4);
    assert_int_equal(mw_schedule_due_ns(&schedule), START + 6 * INTERVAL);
    assert_int_equal(figures_of(&schedule).taken, 2);
    assert_int_equal(figures_of(&schedule).missed, 4);
    assert_int_equal(figures_of(&schedule).longest_gap_ns, 5 * INTERVAL + 10);
    assert_int_equal(figures_of(&schedule).lateness_max_ns, 4 * INTERVAL + 10);
}

static void test_the_first_tick_may_be_late_too(void **state)
{
    struct mw_schedule schedule = started();

    (void)state;
    assert_int_equal(mw_schedule_take(&schedule, START + 3 * INTERVAL), 3);
    assert_int_equal(figures_of(&schedule).missed, 3);
    assert_int_equal(figures_of(&schedule).longest_gap_ns, 3 * INTERVAL);
}

static void test_a_schedule_without_ticks_knows_no_lateness(void **state)
{
    struct mw_schedule schedule = started();
    struct mw_schedule_figures figures = figures_of(&schedule);

    (void)state;
    assert_int_equal(figures.taken, 0);
    assert_int_equal(figures.lateness_p50_ns, -1);
    assert_int_equal(figures.lateness_p99_ns, -1);
    assert_int_equal(figures.lateness_max_ns, -1);
}

static void test_what_was_due_by_the_end_and_not_taken_is_missed(void **state)
{
    static const struct {
        int64_t end;
        uint64_t missed;
    } cases[] = {{0, 0}, {INTERVAL - 1, 0}, {INTERVAL, 1}, {10 * INTERVAL, 10}, {10500, 10}};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        struct mw_schedule schedule = started();

        mw_schedule_take(&schedule, START);
        assert_int_equal(mw_schedule_end(&schedule, START + cases[i].end), cases[i].missed);
        assert_int_equal(figures_of(&schedule).taken, 1);
        assert_int_equal(figures_of(&schedule).missed, cases[i].missed);
        assert_int_equal(mw_schedule_end(&schedule, START + cases[i].end), 0);
    }
}

static void test_a_tick_taken_after_the_end_is_not_missed(void **state)
{
    struct mw_schedule schedule = started();

    (void)state;
    mw_schedule_take(&schedule, START + 4 * INTERVAL);
    assert_int_equal(mw_schedule_end(&schedule, START + 2 * INTERVAL), 0);
    assert_int_equal(figures_of(&schedule).missed, 4);
}

static void test_due_is_taken_plus_missed_for_any_lateness(void **state)
{
    struct mw_schedule schedule = started();
    uint64_t seed = 7, missed = 0;
    int64_t now = START;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        now = mw_schedule_due_ns(&schedule) + (int64_t)(unit_random(&seed) % 3000);
        missed += mw_schedule_take(&schedule, now);
    }
    missed += mw_schedule_end(&schedule, now + 5 * INTERVAL);
    assert_int_equal(figures_of(&schedule).missed, missed);
    assert_int_equal(figures_of(&schedule).taken + missed,
                     (uint64_t)((now + 5 * INTERVAL - START) / INTERVAL) + 1);
}

static int compare(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

    return (first > second) - (first < second);
}

/* At least the true value, and at most an eighth above it. */
static void check_quantile(int64_t shown, int64_t truth)
{
    assert_true(shown >= truth);
    assert_true(shown <= truth + truth / 8);
}

/* Against the sorted array: a wide interval, so that no tick is missed. */
static void check_quantiles(size_t count, unsigned bits, uint64_t seed)
{
    const int64_t interval = INT64_C(1) << 50;
    struct mw_schedule schedule = {0};
    struct mw_schedule_figures figures;
    int64_t *lateness = calloc(count, sizeof *lateness);

    assert_non_null(lateness);
    mw_schedule_start(&schedule, 0, interval);
    for (size_t i = 0; i < count; i++) {
        unsigned shift = 64 - 1 - (unsigned)(unit_random(&seed) % bits);

        lateness[i] = (int64_t)(unit_random(&seed) >> shift);
        mw_schedule_take(&schedule, mw_schedule_due_ns(&schedule) + lateness[i]);
    }
    qsort(lateness, count, sizeof *lateness, compare);
    figures = figures_of(&schedule);
    check_quantile(figures.lateness_p50_ns, lateness[(count + 1) / 2 - 1]);
    check_quantile(figures.lateness_p99_ns, lateness[count - count / 100 - 1]);
    assert_true(figures.lateness_max_ns == lateness[count - 1]);
    assert_true(figures.lateness_p50_ns <= figures.lateness_p99_ns);
    assert_true(figures.lateness_p99_ns <= figures.lateness_max_ns);
    free(lateness);
}

static void test_quantiles_of_lateness_are_at_most_an_eighth_too_high(void **state)
{
    (void)state;
    for (size_t count = 1; count < 400; count += 7) {
        for (unsigned bits = 1; bits < 45; bits += 4)
            check_quantiles(count, bits, count * 100 + bits);
    }
}

static void test_every_lateness_has_a_bucket(void **state)
{
    (void)state;
    for (unsigned power = 0; power < 63; power++) {
        struct mw_schedule schedule = {0};

        mw_schedule_start(&schedule, 0, INT64_MAX);
        mw_schedule_take(&schedule, (INT64_C(1) << power) - 1 + (power == 62));
        check_quantile(figures_of(&schedule).lateness_p50_ns, (INT64_C(1) << power) - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_tick_k_is_due_at_start_plus_k_intervals),
        UNIT_TEST(test_a_late_tick_is_taken_once_and_the_missed_ones_are_counted),
        UNIT_TEST(test_the_first_tick_may_be_late_too),
        UNIT_TEST(test_a_schedule_without_ticks_knows_no_lateness),
        UNIT_TEST(test_what_was_due_by_the_end_and_not_taken_is_missed),
        UNIT_TEST(test_a_tick_taken_after_the_end_is_not_missed),
        UNIT_TEST(test_due_is_taken_plus_missed_for_any_lateness),
        UNIT_TEST(test_quantiles_of_lateness_are_at_most_an_eighth_too_high),
        UNIT_TEST(test_every_lateness_has_a_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
