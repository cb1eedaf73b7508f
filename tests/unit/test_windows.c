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

static int keep(void *context, const struct mw_row *row)
{
    struct rows *rows = context;

    assert_int_equal(row->slot, 3);
    assert_int_equal(row->metric, MW_METRIC_PEAK);
    assert_in_range(rows->count, 0, MOST_ROWS - 1);
    rows->row[rows->count].t_ns = row->t_ns;
    rows->row[rows->count++].kib = row->kib;
    return 0;
}

static int pass_over(void *context, const struct mw_window *window)
{
    (void)context;
    assert_true(window->from_ns < window->taken_ns && window->taken_ns <= window->reset_ns);
    return 0;
}

static struct mw_windows_sink sink_of(struct rows *rows)
{
    return (struct mw_windows_sink){rows, pass_over, keep};
}

static struct mw_windows *windows_of(const struct unit_child *child, int64_t window_ns)
{
    struct mw_windows *windows = mw_windows_new(window_ns);

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
    const struct mw_windows_sink sink = sink_of(&rows);

    (void)state;
    mw_windows_take(windows, &sink);
    unit_spike(&child);
    mw_windows_take(windows, &sink);
    mw_windows_take(windows, &sink);
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
    const struct mw_windows_sink sink = sink_of(&rows);
    int64_t last_ns;

    (void)state;
    unit_spike(&child); /* from here on it only waits */
    for (int i = 0; i < 50; i++)
        mw_windows_take(windows, &sink);
    /* The spike from before, and what the child has been since then. */
    assert_in_range(rows.count, 2, 3);
    last_ns = mw_now_ns();
    mw_windows_take(windows, &sink);
    assert_int_equal(mw_windows_end(windows, 3, &sink), 0);
    assert_in_range(rows.count, 3, 4);
    assert_int_equal(rows.row[rows.count - 1].kib, rows.row[rows.count - 2].kib);
    assert_true(rows.row[rows.count - 1].t_ns >= last_ns);
    mw_windows_take(windows, &sink); /* it has ended: nothing more */
    assert_in_range(rows.count, 3, 4);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_the_end_of_a_recording_closes_the_last_window(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, 1000 * (int64_t)MILLISECOND);
    struct rows rows = {0};
    const struct mw_windows_sink sink = sink_of(&rows);

    (void)state;
    mw_windows_take(windows, &sink);
    unit_spike(&child);
    mw_windows_finish(windows, &sink);
    assert_in_range(rows.count, 2, 2);
    assert_true(rows.row[1].kib > UNIT_SPIKE_KIB / 2);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_what_a_process_tells_of_its_own_resets_is_part_of_its_window(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, 10 * MILLISECOND);
    struct rows rows = {0};
    const struct mw_windows_sink sink = sink_of(&rows);
    int64_t told_ns;

    (void)state;
    mw_windows_take(windows, &sink);
    mw_windows_told(windows, 3, mw_now_ns(), UNIT_SPIKE_KIB);
    mw_windows_told(windows, 3, mw_now_ns(), 1);
    mw_windows_told(windows, 4, mw_now_ns(), 1); /* of nobody who is known */
    mw_windows_take(windows, &sink);
    mw_windows_take(windows, &sink);
    assert_in_range(rows.count, 3, 3);
    assert_int_equal(rows.row[1].kib, UNIT_SPIKE_KIB);
    assert_true(rows.row[2].kib < UNIT_SPIKE_KIB / 2);
    told_ns = mw_now_ns();
    mw_windows_told(windows, 3, told_ns, 2 * UNIT_SPIKE_KIB);
    mw_windows_end(windows, 3, &sink); /* its last window has no other mark */
    assert_in_range(rows.count, 4, 4);
    assert_int_equal(rows.row[3].kib, 2 * UNIT_SPIKE_KIB);
    assert_in_range(rows.row[3].t_ns, told_ns, told_ns + 1000);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_off_means_no_rows_and_no_resets(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, MW_WINDOW_OFF);
    struct rows rows = {0};
    const struct mw_windows_sink sink = sink_of(&rows);
    uint64_t kib = 0;

    (void)state;
    assert_true(mw_windows_due_ns(windows) == INT64_MAX);
    unit_spike(&child);
    mw_windows_finish(windows, &sink);
    assert_int_equal(rows.count, 0);
    assert_int_equal(mw_procfs_read_high_water(child.pid, &kib), 0);
    assert_true(kib > UNIT_SPIKE_KIB / 2);
    mw_windows_free(windows);
    unit_kill(&child);
}

/* Takes all marks; returns how long the next window will be, without what this one cost. */
static int64_t take_and_measure(struct mw_windows *windows, const struct mw_windows_sink *sink)
{
    int64_t before_ns = mw_now_ns(), spent_ns;

    mw_windows_take(windows, sink);
    spent_ns = mw_now_ns() - before_ns;
    return mw_windows_due_ns(windows) - before_ns - 200 * spent_ns;
}

static void test_windows_are_10_ms_until_the_samples_say_as_much(void **state)
{
    struct unit_child child;
    int64_t born_ns, due_ns;
    struct mw_windows *windows;
    struct rows rows = {0};
    const struct mw_windows_sink sink = sink_of(&rows);

    (void)state;
    unit_need_no_thread_sanitizer(); /* which makes each window cost too much for short ones */
    child = unit_fork(unit_spikes, NULL);
    born_ns = mw_now_ns();
    windows = windows_of(&child, MW_WINDOW_AUTO);
    assert_true(mw_windows_due_ns(windows) <= born_ns + 11 * MILLISECOND);
    mw_windows_sample(windows, 3, UNIT_SPIKE_KIB / 4);
    for (int i = 0; i < 10; i++)
        mw_windows_take(windows, &sink);
    due_ns = mw_windows_due_ns(windows) - mw_now_ns();
    assert_true(due_ns > 90 * MILLISECOND); /* nothing was revealed for long */
    unit_spike(&child);
    assert_true(take_and_measure(windows, &sink) <= 10 * MILLISECOND);
    for (int i = 0; i < 10; i++)
        mw_windows_take(windows, &sink);
    mw_windows_sample(windows, 3, 2 * UNIT_SPIKE_KIB); /* this spike is in a sample as well */
    unit_spike(&child);
    mw_windows_take(windows, &sink);
    assert_true(mw_windows_due_ns(windows) - mw_now_ns() > 90 * MILLISECOND);
    mw_windows_free(windows);
    unit_kill(&child);
}

static void test_a_new_process_makes_windows_short_again(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_windows *windows = windows_of(&child, MW_WINDOW_AUTO);
    struct rows rows = {0};
    const struct mw_windows_sink sink = sink_of(&rows);
    int64_t due_ns;

    (void)state;
    mw_windows_sample(windows, 3, UNIT_SPIKE_KIB);
    for (int i = 0; i < 10; i++)
        mw_windows_take(windows, &sink);
    due_ns = mw_windows_due_ns(windows);
    mw_windows_add(windows, 4, child.pid, mw_now_ns());
    assert_true(mw_windows_due_ns(windows) < due_ns - 10 * MILLISECOND);
    mw_windows_free(windows);
    unit_kill(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_spike_is_in_the_row_of_its_window_and_in_no_other),
        UNIT_TEST(test_windows_with_the_same_mark_are_one_row_which_is_given_at_the_end),
        UNIT_TEST(test_the_end_of_a_recording_closes_the_last_window),
        UNIT_TEST(test_what_a_process_tells_of_its_own_resets_is_part_of_its_window),
        UNIT_TEST(test_off_means_no_rows_and_no_resets),
        UNIT_TEST(test_windows_are_10_ms_until_the_samples_say_as_much),
        UNIT_TEST(test_a_new_process_makes_windows_short_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
