/* What the sampler knows beyond its ticks: peaks of the time in between, and short lives. */
#include "capture/clock.h"
#include "capture/highwater.h"
#include "capture/procfs.h"
#include "rig.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 10 * MILLISECOND, SHORT_LIVES = 100 };

/* One tick, and then only what comes in between. */
static struct mw_sampler_options one_tick(pid_t root)
{
    return (struct mw_sampler_options){.root = root,
                                       .interval_ns = HOUR,
                                       .window_ns = WINDOW,
                                       .tracking = MW_TRACKING_POLL,
                                       .each = true,
                                       .sum = true};
}

/* The next row of the first process's peaks. */
static struct mw_record next_peak(struct rig *rig)
{
    struct mw_record record;

    do {
        record = rig_wait_for(rig, MW_RECORD_SAMPLE, 0);
    } while (record.sample.metric != MW_METRIC_PEAK);
    return record;
}

static void check_spikes(const struct mw_sampler_options *options, const struct unit_child *child)
{
    int64_t slack_kib = 2 * mw_high_water_bound_kib();
    struct rig *rig = rig_begin(options, 65536);

    for (int i = 0; i < 5; i++) {
        int64_t before_ns = mw_now_ns();
        struct mw_record record;

        unit_spike(child);
        do {
            record = next_peak(rig);
        } while (record.sample.kib < UNIT_SPIKE_KIB - slack_kib);
        assert_true(record.t_ns > before_ns);
        do { /* and low again */
            record = next_peak(rig);
        } while (record.sample.kib > UNIT_SPIKE_KIB / 2);
    }
    assert_true(rig_end(rig, mw_now_ns()).blind_ns > 0);
    rig_discard(rig);
}

static void test_a_spike_between_two_ticks_is_in_the_peak_series(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_sampler_options options = one_tick(child.pid);

    (void)state;
    check_spikes(&options, &child);
    unit_kill(&child);
}

static void test_windows_may_find_their_length_themselves(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_sampler_options options = one_tick(child.pid);

    (void)state;
    options.interval_ns = 5 * MILLISECOND;
    options.window_ns = MW_WINDOW_AUTO;
    check_spikes(&options, &child);
    unit_kill(&child);
}

/* How many rows of peaks there are, and the last two. */
struct peaks {
    int count;
    struct mw_record last, before_last;
};

static struct peaks collect_peaks(struct rig *rig)
{
    struct peaks peaks = {0};
    struct mw_record record;

    while (rig_pop(rig, &record)) {
        if (record.kind != MW_RECORD_SAMPLE || record.sample.metric != MW_METRIC_PEAK)
            continue;
        assert_true(peaks.count == 0 || record.t_ns > peaks.last.t_ns);
        peaks.before_last = peaks.last;
        peaks.last = record;
        peaks.count++;
    }
    return peaks;
}

static void test_windows_with_the_same_mark_are_one_row(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_sampler_options options = one_tick(child.pid);
    struct peaks peaks;
    struct rig *rig;
    int64_t end_ns;

    (void)state;
    unit_spike(&child); /* from here on it only waits */
    options.interval_ns = options.window_ns = MILLISECOND;
    rig = rig_begin(&options, 65536);
    rig_wait_ticks(rig, 100);
    end_ns = mw_now_ns();
    rig_end(rig, end_ns);
    peaks = collect_peaks(rig);
    /* The spike from before, what the child has been since then, and until when. */
    assert_in_range(peaks.count, 2, 4);
    assert_int_equal(peaks.last.sample.kib, peaks.before_last.sample.kib);
    assert_true(peaks.last.t_ns >= end_ns); /* the last window is closed at the end */
    rig_discard(rig);
    unit_kill(&child);
}

/* What is recorded of a child that spikes, peaks left out or where they would not be true. */
static struct peaks record_spikes(struct mw_sampler_options options, const struct unit_child *child)
{
    struct peaks peaks;
    struct rig *rig;

    options.interval_ns = MILLISECOND;
    rig = rig_begin(&options, 65536);
    unit_spike(child);
    rig_wait_ticks(rig, 30);
    assert_true(rig_end(rig, mw_now_ns()).blind_ns == 0);
    peaks = collect_peaks(rig);
    rig_discard(rig);
    return peaks;
}

static void test_no_windows_no_rows_and_no_resets(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_sampler_options options = one_tick(child.pid);
    uint64_t kib = 0;

    (void)state;
    options.window_ns = MW_WINDOW_OFF;
    assert_int_equal(record_spikes(options, &child).count, 0);
    assert_int_equal(mw_procfs_read_high_water(child.pid, &kib), 0);
    assert_true(kib > UNIT_SPIKE_KIB / 2);
    options.window_ns = WINDOW; /* but no process has a series of its own */
    options.each = false;
    assert_int_equal(record_spikes(options, &child).count, 0);
    assert_int_equal(mw_procfs_read_high_water(child.pid, &kib), 0);
    assert_true(kib > UNIT_SPIKE_KIB / 2);
    unit_kill(&child);
}

static void live_shortly(int in, int out, const void *context)
{
    (void)context;
    while (unit_await(in)) {
        /* Past the C library, so that a sanitizer adds no thread of its own. */
        pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

        if (pid == 0) {
            syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = 2 * MILLISECOND}, NULL);
            syscall(SYS_exit_group, 0);
        }
        waitpid(pid, NULL, 0);
        if (write(out, &pid, sizeof pid) != sizeof pid)
            _exit(1);
    }
}

/* Pops the records of one life from its start to its end; returns how often it was sampled. */
static int check_life(struct rig *rig, pid_t pid, pid_t ppid)
{
    struct mw_record start, record;
    int samples = 0;

    do {
        while (!rig_pop(rig, &start))
            rig_pause();
    } while (start.kind != MW_RECORD_START || start.slot == 0);
    assert_int_equal(start.start.pid, pid);
    assert_int_equal(start.start.ppid, ppid);
    do {
        while (!rig_pop(rig, &record))
            rig_pause();
        samples += record.kind == MW_RECORD_SAMPLE && record.slot == start.slot &&
                   record.sample.metric == MW_METRIC_RSS && record.sample.kib > 0;
    } while (record.kind != MW_RECORD_END || record.slot != start.slot);
    assert_true(record.t_ns - start.t_ns >= 2 * MILLISECOND);
    return samples;
}

static void test_a_life_of_2_ms_is_announced_sampled_and_ended(void **state)
{
    struct unit_child root;
    struct mw_sampler_options options;
    struct rig *rig;
    int sampled = 0;

    (void)state;
    unit_need_perf();
    root = unit_fork(live_shortly, NULL);
    options = one_tick(root.pid);
    options.tracking = MW_TRACKING_PERF;
    rig = rig_begin(&options, 65536);
    assert_string_equal(mw_sampler_tracking(rig->sampler), "perf");
    for (int i = 0; i < SHORT_LIVES; i++) {
        pid_t pid = 0;

        unit_tell(root.to);
        assert_int_equal(read(root.from, &pid, sizeof pid), sizeof pid);
        sampled += check_life(rig, pid, root.pid);
    }
    /* A sampler that has to wait for a CPU may come too late for some. */
    assert_true(sampled > 0);
    assert_int_equal(rig_end(rig, mw_now_ns()).lost_events, 0);
    rig_discard(rig);
    unit_kill(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_spike_between_two_ticks_is_in_the_peak_series),
        UNIT_TEST(test_windows_may_find_their_length_themselves),
        UNIT_TEST(test_windows_with_the_same_mark_are_one_row),
        UNIT_TEST(test_no_windows_no_rows_and_no_resets),
        UNIT_TEST(test_a_life_of_2_ms_is_announced_sampled_and_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
