/* The kernel's high-water marks, window by window. */
#include "capture/clock.h"
#include "capture/highwater.h"
#include "capture/procfs.h"
#include "record/windows.h"
#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>

enum { MILLISECOND = 1000000, MOST_ROWS = 64 };

/* The rows that were given. */
struct rows {
    int count;
    struct {
        int64_t t_ns, kib;
    } row[MOST_ROWS];
};

static int keep(void *context, uint32_t slot, enum mw_metric metric, int64_t t_ns, int64_t kib)
{
    struct rows *rows = context;

    assert_int_equal(slot, 3);
    assert_int_equal(metric, MW_METRIC_PEAK);
    assert_in_range(rows->count, 0, MOST_ROWS - 1);
    rows->row[rows->count].t_ns = t_ns;
    rows->row[rows->count++].kib = kib;
    return 0;
}

static struct mw_windows *windows_of(const struct unit_child *child, int64_t window_ns)
{
    struct mw_windows *windows = mw_windows_new(window_ns, MILLISECOND);

    assert_non_null(windows);
    mw_windows_add(windows, 3, child->pid, mw_now_ns());
    return windows;
}

static void test_a_spike_is_in_the_row_of_its_window_and_in_no_other(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, 10 * MILLISECOND);
    int64_t slack_kib = 2 * mw_high_water_bound_kib();
    struct rows rows = {0};

    (void)state;
    mw_windows_take(windows, keep, &rows);
    unit_spike(&child);
    mw_windows_take(windows, keep, &rows);
    mw_windows_take(windows, keep, &rows);
    assert_int_equal(rows.count, 3);
    assert_true(rows.row[0].kib < UNIT_SPIKE_KIB / 2);
    assert_true(rows.row[1].kib >= UNIT_SPIKE_KIB - slack_kib);
    assert_true(rows.row[2].kib < UNIT_SPIKE_KIB / 2);
    assert_true(rows.row[0].t_ns < rows.row[1].t_ns && rows.row[1].t_ns < rows.row[2].t_ns);
    assert_true(mw_windows_blind_ns(windows) > 0);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_windows_with_the_same_mark_are_one_row_which_is_given_at_the_end(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, MILLISECOND);
    struct rows rows = {0};
    int64_t last_ns;

    (void)state;
    unit_spike(&child); /* from here on it only waits */
    for (int i = 0; i < 50; i++)
        mw_windows_take(windows, keep, &rows);
    /* The spike from before, and what the child has been since then. */
    assert_in_range(rows.count, 2, 3);
    last_ns = mw_now_ns();
    mw_windows_take(windows, keep, &rows);
    assert_int_equal(mw_windows_end(windows, 3, keep, &rows), 0);
    assert_in_range(rows.count, 3, 4);
    assert_int_equal(rows.row[rows.count - 1].kib, rows.row[rows.count - 2].kib);
    assert_true(rows.row[rows.count - 1].t_ns >= last_ns);
    mw_windows_take(windows, keep, &rows); /* it has ended: nothing more */
    assert_in_range(rows.count, 3, 4);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_the_end_of_a_recording_closes_the_last_window(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, 1000 * (int64_t)MILLISECOND);
    struct rows rows = {0};

    (void)state;
    mw_windows_take(windows, keep, &rows);
    unit_spike(&child);
    mw_windows_finish(windows, keep, &rows);
    assert_in_range(rows.count, 2, 2);
    assert_true(rows.row[1].kib > UNIT_SPIKE_KIB / 2);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_off_means_no_rows_and_no_resets(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, MW_WINDOW_OFF);
    struct rows rows = {0};
    uint64_t kib = 0;

    (void)state;
    assert_true(mw_windows_due_ns(windows) == INT64_MAX);
    unit_spike(&child);
    mw_windows_finish(windows, keep, &rows);
    assert_int_equal(rows.count, 0);
    assert_int_equal(mw_procfs_read_high_water(child.pid, &kib), 0);
    assert_true(kib > UNIT_SPIKE_KIB / 2);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_windows_that_choose_their_length_take_50_to_100_ms(void **state)
{
    static const struct {
        int64_t interval_ns, shortest_ns;
    } cases[] = {{MILLISECOND, 50 * MILLISECOND},
                 {70 * MILLISECOND, 70 * MILLISECOND},
                 {INT64_C(3600000) * MILLISECOND, 100 * MILLISECOND}};
    struct rows rows = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mw_windows *windows = mw_windows_new(MW_WINDOW_AUTO, cases[i].interval_ns);
        int64_t before_ns = mw_now_ns(), after_ns;

        mw_windows_take(windows, keep, &rows); /* of nobody: that costs next to nothing */
        after_ns = mw_now_ns();
        assert_true(mw_windows_due_ns(windows) >= before_ns + cases[i].shortest_ns);
        /* Longer only by what it cost, a hundred times. */
        assert_true(mw_windows_due_ns(windows) <=
                    after_ns + cases[i].shortest_ns + 100 * (after_ns - before_ns));
        mw_windows_free(windows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_spike_is_in_the_row_of_its_window_and_in_no_other),
        UNIT_TEST(test_windows_with_the_same_mark_are_one_row_which_is_given_at_the_end),
        UNIT_TEST(test_the_end_of_a_recording_closes_the_last_window),
        UNIT_TEST(test_off_means_no_rows_and_no_resets),
        UNIT_TEST(test_windows_that_choose_their_length_take_50_to_100_ms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
