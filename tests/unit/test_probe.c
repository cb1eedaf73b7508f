/* What capture can do here: the probes agree with what the modules themselves say and do. */
#include "capture/highwater.h"
#include "capture/probe.h"
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void check_nothing_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_bounds_are_those_of_the_modules(void **state)
{
    (void)state;
    unit_need_memory_of_its_own();
    assert_int_equal(mw_probe_rss_bound_kib(), mw_resident_bound_kib());
}

/* Where the mark can be taken at all, it works: test_high_water.c holds it to more. */
static void test_marks_of_a_child_show_its_spike(void **state)
{
    struct mw_probe_marks marks = {.code = 1};

    (void)state;
    unit_need_no_thread_sanitizer();
    assert_int_equal(mw_probe_marks(&marks, NULL), 0);
    assert_int_equal(marks.bound_kib, mw_high_water_bound_kib());
    if (access("/proc/self/clear_refs", W_OK) == 0)
        assert_int_equal(marks.code, 0);
    else
        assert_true(marks.code < 0);
    check_nothing_is_left();
}

static void test_looking_for_children_finds_one(void **state)
{
    struct mw_probe_tracking tracking = {0};

    (void)state;
    assert_int_equal(mw_probe_tracking(MW_TRACKING_POLL, &tracking, NULL), 0);
    assert_int_equal(tracking.failure.code, 0);
    assert_true(strcmp(tracking.method, "children") == 0 || strcmp(tracking.method, "scan") == 0);
    check_nothing_is_left();
}

static void test_perf_tells_of_a_child(void **state)
{
    struct mw_probe_tracking tracking = {0};

    (void)state;
    unit_need_perf();
    assert_int_equal(mw_probe_tracking(MW_TRACKING_PERF, &tracking, NULL), 0);
    assert_int_equal(tracking.failure.code, 0);
    assert_string_equal(tracking.method, "perf");
    assert_int_equal(mw_probe_tracking(MW_TRACKING_BEST, &tracking, NULL), 0);
    assert_int_equal(tracking.failure.code, 0);
    check_nothing_is_left();
}

static void test_a_method_that_sees_nothing_is_told(void **state)
{
    struct mw_probe_tracking tracking = {0};

    (void)state;
    assert_int_equal(mw_probe_tracking(MW_TRACKING_NONE, &tracking, NULL), 0);
    assert_int_equal(tracking.failure.code, -ENODATA);
    assert_string_equal(tracking.method, "none");
    check_nothing_is_left();
}

static void test_paranoid_is_the_number_in_proc(void **state)
{
    FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "r");
    int level = 4711;

    (void)state;
    if (file) {
        char text[32] = "", wanted[32];

        assert_non_null(fgets(text, sizeof text, file));
        fclose(file);
        assert_int_equal(mw_probe_paranoid(&level), 0);
        snprintf(wanted, sizeof wanted, "%d\n", level);
        assert_string_equal(text, wanted);
    } else {
        assert_true(mw_probe_paranoid(&level) < 0);
        assert_int_equal(level, 4711);
    }
}

static void test_ticks_are_counted_and_in_order(void **state)
{
    struct mw_probe_timer timer = {0};

    (void)state;
    assert_int_equal(mw_probe_timer(1000000, 200000000, &timer, NULL), 0);
    assert_in_range(timer.ticks_due, 200, 60000); /* more when it was stopped late */
    assert_in_range(timer.ticks_taken, 1, timer.ticks_due);
    assert_true(timer.lateness_p50_ns >= 0);
    assert_true(timer.lateness_p50_ns <= timer.lateness_p99_ns);
    assert_true(timer.lateness_p99_ns <= timer.lateness_max_ns);
    assert_true(strcmp(timer.scheduling, "fifo:1") == 0 ||
                strcmp(timer.scheduling, "nice:-20") == 0 ||
                strcmp(timer.scheduling, "default") == 0);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), 0); /* this thread has kept its own */
    check_nothing_is_left();
}

/* As a shell starts a background job, or a daemon its children. */
static void test_ignored_signals_change_nothing(void **state)
{
    struct mw_probe_tracking tracking = {0};
    struct mw_probe_marks marks;

    (void)state;
    unit_need_no_thread_sanitizer();
    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(mw_probe_tracking(MW_TRACKING_POLL, &tracking, NULL), 0);
    assert_int_equal(tracking.failure.code, 0);
    assert_int_equal(mw_probe_marks(&marks, NULL), 0);
    signal(SIGCHLD, SIG_DFL);
    check_nothing_is_left();
}

static void find_that_no_process_can_be_started(int in, int out, const void *context)
{
    const struct rlimit none = {0, 0};
    struct mw_probe_marks marks;
    struct mw_probe_tracking tracking;
    struct mw_probe_timer timer;
    struct mw_error error = {0};

    (void)in;
    (void)out;
    (void)context;
    if (!unit_become_nobody() || setrlimit(RLIMIT_NPROC, &none) < 0)
        _exit(9);
    _exit(mw_probe_marks(&marks, &error) == -EAGAIN && error.code == -EAGAIN &&
                  mw_probe_tracking(MW_TRACKING_BEST, &tracking, &error) == -EAGAIN &&
                  mw_probe_timer(1000000, 1000000, &timer, &error) == -EAGAIN
              ? 0
              : 1);
}

static void test_what_cannot_be_tried_is_an_error(void **state)
{
    struct unit_child child;

    (void)state;
    unit_need_root();
    child = unit_fork(find_that_no_process_can_be_started, NULL);
    assert_int_equal(unit_join(&child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_bounds_are_those_of_the_modules),
        UNIT_TEST(test_marks_of_a_child_show_its_spike),
        UNIT_TEST(test_looking_for_children_finds_one),
        UNIT_TEST(test_perf_tells_of_a_child),
        UNIT_TEST(test_a_method_that_sees_nothing_is_told),
        UNIT_TEST(test_paranoid_is_the_number_in_proc),
        UNIT_TEST(test_ticks_are_counted_and_in_order),
        UNIT_TEST(test_ignored_signals_change_nothing),
        UNIT_TEST(test_what_cannot_be_tried_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
