/* Marks become functions with exact aggregates, and calls that lie within each other. */
#include "capture/clock.h"
#include "record/calls.h"
#include "record/summits.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_CALLS = 4096,
    MOST_FUNCTIONS = 8,
    START_NS = 1000000,
    BOUND_KIB = 10,
    RSS_BOUND_KIB = 1
};

static const struct mw_mark_site sites[MOST_FUNCTIONS] = {
    {"a", "x.c", 1}, {"b", "x.c", 2}, {"c", NULL, 0}, {"d", NULL, 0},
    {"e", NULL, 0},  {"f", NULL, 0},  {"g", NULL, 0}, {"h", NULL, 0},
};

/* A calls under test, and what it gave. Function n has the id 100 + n. */
struct rig {
    struct mw_calls *calls;
    struct mw_calls_sink sink;
    pid_t pid, tid;
    uint32_t track;
    int64_t resident_kib, window_kib; /* of the next marks */
    struct mw_function functions[MOST_FUNCTIONS];
    size_t count;
    bool all; /* keep all calls, not only how many there were */
    struct mw_call call[MOST_CALLS];
    uint32_t slot[MOST_CALLS];
    struct mw_reached reached[2]; /* the last by its source */
    uint32_t reached_slot;
    int reached_count;
};

static int add_function(void *context, const struct mw_mark_site *site, int64_t *ret_id)
{
    (void)context;
    *ret_id = 100 + (site - sites);
    return 0;
}

static int set_function(void *context, const struct mw_function *function)
{
    struct rig *rig = context;

    rig->functions[function->id - 100] = *function;
    return 0;
}

static int add_call(void *context, uint32_t slot, const struct mw_call *call)
{
    struct rig *rig = context;

    if (rig->all) {
        assert_in_range(rig->count, 0, MOST_CALLS - 1);
        rig->call[rig->count] = *call;
        rig->slot[rig->count] = slot;
    }
    rig->count++;
    return 0;
}

static int reached(void *context, uint32_t slot, const struct mw_reached *one)
{
    struct rig *rig = context;

    rig->reached[one->source] = *one;
    rig->reached_slot = slot;
    rig->reached_count++;
    return 0;
}

static struct rig *rig_new(uint64_t budget)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    rig->calls = mw_calls_new(&(struct mw_calls_options){.start_ns = START_NS,
                                                         .budget = budget,
                                                         .peak_bound_kib = BOUND_KIB,
                                                         .rss_bound_kib = RSS_BOUND_KIB});
    assert_non_null(rig->calls);
    rig->sink = (struct mw_calls_sink){rig, add_function, set_function, add_call, reached};
    rig->pid = rig->tid = 50;
    rig->resident_kib = rig->window_kib = -1;
    rig->all = true;
    assert_int_equal(mw_calls_process_started(rig->calls, 50, 3, START_NS, &rig->sink), 0);
    return rig;
}

static void rig_free(struct rig *rig)
{
    mw_calls_free(rig->calls);
    free(rig);
}

static void mark(struct rig *rig, enum mw_mark_kind kind, int function, int64_t t_us)
{
    const struct mw_mark mark = {.kind = kind,
                                 .pid = rig->pid,
                                 .tid = rig->tid,
                                 .track = rig->track,
                                 .t_ns = START_NS + t_us * 1000,
                                 .site = &sites[function],
                                 .resident_kib = rig->resident_kib,
                                 .window_kib = rig->window_kib};

    assert_int_equal(mw_calls_mark(rig->calls, &mark, &rig->sink), 0);
}

static void enter(struct rig *rig, int function, int64_t t_us)
{
    mark(rig, MW_MARK_ENTER, function, t_us);
}

static void leave(struct rig *rig, int function, int64_t t_us)
{
    mark(rig, MW_MARK_EXIT, function, t_us);
}

static void finish(struct rig *rig)
{
    assert_int_equal(mw_calls_finish(rig->calls, &rig->sink), 0);
}

static void check_call(const struct mw_call *call, int function, unsigned depth, int64_t from_us,
                       int64_t to_us)
{
    assert_int_equal(call->function, 100 + function);
    assert_int_equal(call->depth, depth);
    assert_int_equal(call->from_us, from_us);
    assert_int_equal(call->to_us, to_us);
    assert_int_equal(call->process, -1);
}

static void check_figures(const struct mw_function *function, uint64_t calls, uint64_t ended,
                          int64_t total_us, int64_t max_us)
{
    assert_int_equal(function->calls, calls);
    assert_int_equal(function->ended, ended);
    assert_int_equal(function->total_ns, total_us * 1000);
    assert_int_equal(function->max_ns, max_us * 1000);
}

static void test_calls_lie_within_each_other(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 10);
    enter(rig, 1, 20);
    leave(rig, 1, 50);
    enter(rig, 1, 60);
    enter(rig, 2, 61);
    leave(rig, 2, 62);
    leave(rig, 1, 70);
    leave(rig, 0, 100);
    assert_int_equal(rig->count, 4);
    check_call(&rig->call[0], 1, 1, 20, 50);
    check_call(&rig->call[1], 2, 2, 61, 62);
    check_call(&rig->call[2], 1, 1, 60, 70);
    check_call(&rig->call[3], 0, 0, 10, 100);
    assert_int_equal(rig->call[0].number, 1);
    assert_int_equal(rig->call[2].number, 2);
    assert_int_equal(rig->call[0].track, 50);
    assert_int_equal(rig->call[0].thread, 50);
    assert_int_equal(rig->slot[0], 3);
    finish(rig);
    check_figures(&rig->functions[0], 1, 1, 90, 90);
    check_figures(&rig->functions[1], 2, 2, 40, 30);
    assert_int_equal(rig->functions[1].stored, 2);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    rig_free(rig);
}

static void test_a_function_may_call_itself(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    for (int i = 0; i < 300; i++)
        enter(rig, 0, i);
    for (int i = 0; i < 300; i++)
        leave(rig, 0, 1000 + i);
    assert_int_equal(rig->count, 300);
    check_call(&rig->call[0], 0, 299, 299, 1000);
    check_call(&rig->call[299], 0, 0, 0, 1299);
    finish(rig);
    check_figures(&rig->functions[0], 300, 300, 300 * 1000, 1299);
    rig_free(rig);
}

static void test_threads_and_processes_have_stacks_of_their_own(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    for (int i = 0; i < 200; i++) {
        rig->pid = 50 + i % 4;
        rig->tid = 1000 + i;
        enter(rig, 0, i);
    }
    for (int i = 0; i < 200; i++) {
        rig->pid = 50 + i % 4;
        rig->tid = 1000 + i;
        leave(rig, 0, 1000 + 2 * i);
        check_call(&rig->call[i], 0, 0, i, 1000 + 2 * i);
        assert_int_equal(rig->call[i].track, 1000 + i);
        assert_int_equal(rig->slot[i], i % 4 ? MW_CALLS_NO_SLOT : 3);
    }
    rig_free(rig);
}

static void test_a_forked_process_begins_with_empty_stacks(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 10);
    rig->pid = rig->tid = 51;
    enter(rig, 1, 20); /* before anybody has told of the process */
    assert_int_equal(mw_calls_process_started(rig->calls, 51, 4, START_NS, &rig->sink), 0);
    leave(rig, 1, 30);
    leave(rig, 0, 40); /* which its parent entered */
    rig->pid = rig->tid = 50;
    leave(rig, 0, 50);
    assert_int_equal(rig->count, 2);
    check_call(&rig->call[0], 1, 0, 20, 30);
    assert_int_equal(rig->slot[0], 4);
    check_call(&rig->call[1], 0, 0, 10, 50);
    assert_int_equal(mw_calls_lost(rig->calls), 1);
    rig_free(rig);
}

static void test_a_track_that_waits_uses_no_time(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 0);
    rig->track = 7;
    enter(rig, 1, 10);
    enter(rig, 2, 20);
    mark(rig, MW_MARK_SUSPEND, 1, 30);
    rig->track = 8;
    enter(rig, 1, 31); /* another one runs meanwhile */
    leave(rig, 1, 35);
    rig->track = 7;
    rig->tid = 51; /* it goes on in another thread */
    mark(rig, MW_MARK_RESUME, 1, 130);
    leave(rig, 2, 140);
    mark(rig, MW_MARK_SUSPEND, 1, 150);
    mark(rig, MW_MARK_SUSPEND, 1, 155);
    leave(rig, 1, 250); /* it was closed while it waited */
    assert_int_equal(rig->count, 3);
    check_call(&rig->call[0], 1, 0, 31, 35);
    assert_int_equal(rig->call[0].track, -8);
    check_call(&rig->call[1], 2, 1, 20, 140);
    assert_int_equal(rig->call[1].suspended_ns, 100000);
    assert_int_equal(rig->call[1].duration_ns, 20000);
    check_call(&rig->call[2], 1, 0, 10, 250);
    assert_int_equal(rig->call[2].thread, 50);
    assert_int_equal(rig->call[2].track, -7);
    assert_int_equal(rig->call[2].suspended_ns, 200000);
    finish(rig);
    check_figures(&rig->functions[1], 2, 2, 44, 40);
    assert_int_equal(rig->functions[1].suspended_ns, 200000);
    mark(rig, MW_MARK_SUSPEND, 1, 300); /* of nothing */
    mark(rig, MW_MARK_RESUME, 1, 301);
    rig_free(rig);
}

static void test_an_exit_closes_what_was_left_without_one(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 10);
    enter(rig, 1, 20);
    enter(rig, 2, 30);
    leave(rig, 0, 40);
    assert_int_equal(rig->count, 3);
    check_call(&rig->call[0], 2, 2, 30, 40);
    check_call(&rig->call[1], 1, 1, 20, 40);
    check_call(&rig->call[2], 0, 0, 10, 40);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    rig_free(rig);
}

static void test_an_exit_without_an_entry_is_counted_and_passed_over(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    leave(rig, 0, 10); /* of a function that was never seen */
    enter(rig, 1, 20);
    leave(rig, 0, 30);
    rig->tid = 51;
    leave(rig, 1, 40); /* of another thread */
    rig->tid = 50;
    leave(rig, 1, 50);
    leave(rig, 1, 60);
    assert_int_equal(mw_calls_lost(rig->calls), 4);
    assert_int_equal(rig->count, 1);
    check_call(&rig->call[0], 1, 0, 20, 50);
    rig_free(rig);
}

static void test_calls_end_when_their_process_executes_another_program(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 10);
    enter(rig, 1, 20);
    rig->tid = 51;
    enter(rig, 1, 30);
    assert_int_equal(mw_calls_process_executed(rig->calls, 99, START_NS + 40000, &rig->sink), 0);
    assert_int_equal(rig->count, 0);
    assert_int_equal(mw_calls_process_executed(rig->calls, 50, START_NS + 40000, &rig->sink), 0);
    assert_int_equal(rig->count, 3);
    for (size_t i = 0; i < rig->count; i++)
        assert_int_equal(rig->call[i].to_us, 40);
    enter(rig, 2, 50); /* of the new program, before the recorder has heard of that */
    assert_int_equal(mw_calls_process_executed(rig->calls, 50, START_NS + 45000, &rig->sink), 0);
    assert_int_equal(rig->count, 3);
    mark(rig, MW_MARK_EXECUTED, 0, 60); /* it tells of itself that it was executed */
    assert_int_equal(rig->count, 4);
    check_call(&rig->call[3], 2, 0, 50, 60);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    rig_free(rig);
}

static void test_calls_end_with_their_process_and_not_with_the_recording(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 10);
    enter(rig, 1, 20);
    rig->tid = 51;
    enter(rig, 1, 30);
    assert_int_equal(mw_calls_process_ended(rig->calls, 50, START_NS + 100000, &rig->sink), 0);
    assert_int_equal(mw_calls_process_ended(rig->calls, 50, START_NS + 100000, &rig->sink), 0);
    assert_int_equal(rig->count, 3);
    for (size_t i = 0; i < rig->count; i++)
        assert_int_equal(rig->call[i].to_us, 100);
    enter(rig, 2, 200); /* the pid once more */
    finish(rig);
    assert_int_equal(rig->count, 4);
    check_call(&rig->call[3], 2, 0, 200, -1);
    assert_int_equal(rig->call[3].duration_ns, -1);
    assert_int_equal(rig->slot[3], MW_CALLS_NO_SLOT);
    check_figures(&rig->functions[1], 2, 2, 150, 80);
    check_figures(&rig->functions[2], 1, 0, 0, 0);
    rig_free(rig);
}

static void test_a_pid_that_starts_anew_ends_what_it_was(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 10);
    mw_calls_process_started(rig->calls, 50, 9, START_NS + 20000, &rig->sink);
    assert_int_equal(rig->count, 1);
    check_call(&rig->call[0], 0, 0, 10, 20);
    assert_int_equal(rig->slot[0], 3);
    enter(rig, 0, 30);
    leave(rig, 0, 40);
    assert_int_equal(rig->slot[1], 9);
    rig_free(rig);
}

static void check_peak(const struct mw_peak *peak, int64_t kib, int64_t upper_kib, int64_t from_us,
                       int64_t to_us, enum mw_peak_source source)
{
    assert_true(peak->known);
    assert_int_equal(peak->bytes, kib * 1024);
    assert_int_equal(peak->upper_bytes, upper_kib < 0 ? -1 : upper_kib * 1024);
    assert_int_equal(peak->from_us, from_us);
    assert_int_equal(peak->to_us, to_us);
    assert_int_equal(peak->source, source);
}

static void mark_with(struct rig *rig, enum mw_mark_kind kind, int function, int64_t t_us,
                      int64_t resident_kib, int64_t window_kib)
{
    rig->resident_kib = resident_kib;
    rig->window_kib = window_kib;
    mark(rig, kind, function, t_us);
    rig->resident_kib = rig->window_kib = -1;
}

static void test_windows_belong_to_the_calls_that_they_lie_in(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 90000); /* what was before is none of its */
    mark_with(rig, MW_MARK_ENTER, 1, 200, 1500, 5000);
    mw_calls_window(rig->calls, 50, START_NS + 250000, 3000, 7, START_NS + 250000);
    mw_calls_window(rig->calls, 51, START_NS + 250000, 99999, 7, START_NS + 250000); /* of nobody */
    mark_with(rig, MW_MARK_EXIT, 1, 300, 1700, 2000);
    mark_with(rig, MW_MARK_EXIT, 0, 400, 900, 4000);
    assert_int_equal(rig->count, 2);
    check_peak(&rig->call[0].peak, 2990, 3017, 200, 250, MW_PEAK_KERNEL);
    assert_int_equal(rig->call[0].from_bytes, 1500 * 1024);
    assert_int_equal(rig->call[0].to_bytes, 1700 * 1024);
    check_peak(&rig->call[1].peak, 4990, 5010, 100, 200, MW_PEAK_KERNEL);
    finish(rig);
    assert_int_equal(rig->functions[0].growth_bytes, -100 * 1024);
    assert_int_equal(rig->functions[1].growth_bytes, 200 * 1024);
    check_peak(&rig->functions[1].peak, 2990, 3017, 200, 250, MW_PEAK_KERNEL);
    rig_free(rig);
}

static void test_a_window_that_began_before_a_call_says_only_what_it_had_at_most(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    mw_calls_window(rig->calls, 50, START_NS + 50000, 100, 0, START_NS + 50000);
    mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, -1);
    mw_calls_window(rig->calls, 50, START_NS + 150000, 8000, 0, START_NS + 150000);
    mark_with(rig, MW_MARK_EXIT, 0, 200, 1200, 2000);
    check_peak(&rig->call[0].peak, 1990, 8010, 150, 200, MW_PEAK_KERNEL);
    mark_with(rig, MW_MARK_ENTER, 0, 300, 1000, -1);
    mark_with(rig, MW_MARK_EXIT, 0, 400, 500, 9000); /* began at 200 */
    check_peak(&rig->call[1].peak, 999, 9010, 300, 300, MW_PEAK_SAMPLED);
    mark_with(rig, MW_MARK_ENTER, 0, 500, 1000, 0);
    mw_calls_window(rig->calls, 50, START_NS + 550000, 6000, 0, START_NS + 550000);
    mark_with(rig, MW_MARK_EXIT, 0, 600, 500, -1); /* nobody knows what was since 550 */
    check_peak(&rig->call[2].peak, 5990, -1, 500, 550, MW_PEAK_KERNEL);
    finish(rig);
    check_peak(&rig->functions[0].peak, 5990, -1, 500, 550, MW_PEAK_KERNEL);
    rig_free(rig);
}

static void test_a_call_without_length_has_a_bound(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    mark_with(rig, MW_MARK_ENTER, 0, -70, 1000,
              3000); /* before the run, which is its first moment */
    mark_with(rig, MW_MARK_EXIT, 0, -50, 1000, 2000);
    check_peak(&rig->call[0].peak, 1990, 2010, 0, 0, MW_PEAK_KERNEL);
    rig_free(rig);
}

static void test_a_window_that_overtook_a_mark_says_nothing_of_the_call_that_it_ends(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 2000);
    mw_calls_sample(rig->calls, 50, START_NS + 250000, 7000);
    mw_calls_window(rig->calls, 50, START_NS + 250000, 9000, 0, START_NS + 250000);
    mark_with(rig, MW_MARK_EXIT, 0, 200, 1100, 1500);
    check_peak(&rig->call[0].peak, 999, 9010, 100, 100, MW_PEAK_SAMPLED);
    rig_free(rig);
}

static void test_marks_that_were_lost_leave_no_bound(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 0);
    mw_calls_gap(rig->calls, START_NS + 150000);
    mark_with(rig, MW_MARK_ENTER, 1, 200, 1000, 3000);
    mark_with(rig, MW_MARK_EXIT, 1, 300, 1000, 3000);
    mark_with(rig, MW_MARK_EXIT, 0, 400, 1000, 3000);
    assert_int_equal(rig->call[0].peak.upper_bytes, 3010 * 1024);
    assert_int_equal(rig->call[1].peak.upper_bytes, -1);
    rig_free(rig);
}

static void check_reached(const struct mw_reached *reached, int64_t from_us, int64_t to_us,
                          int64_t kib)
{
    assert_int_equal(reached->from_us, from_us);
    assert_int_equal(reached->to_us, to_us);
    assert_int_equal(reached->kib, kib);
}

static void test_what_marks_say_of_the_memory_is_told_of_the_process(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 9000);
    assert_int_equal(rig->reached_slot, 3);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 100, 9000);
    check_reached(&rig->reached[MW_PEAK_SAMPLED], 100, 100, 1000);
    mw_calls_window(rig->calls, 50, START_NS + 150000, 2000, 0, START_NS + 150000);
    assert_int_equal(rig->reached_count, 2); /* the recorder knows of its own */
    mark_with(rig, MW_MARK_RESET, 0, 200, -1, 4000);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 150, 200, 4000);
    leave(rig, 0, 300);
    assert_int_equal(rig->reached_count, 3);
    rig_free(rig);
}

static void test_what_marks_say_of_an_unknown_process_is_told_once_it_is_known(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    rig->pid = rig->tid = 51;
    mark_with(rig, MW_MARK_ENTER, 0, 100, 1000, 9000);
    mark_with(rig, MW_MARK_RESET, 0, 150, 1000, 3000);
    assert_int_equal(rig->reached_count, 0);
    mw_calls_process_started(rig->calls, 51, 7, START_NS + 200000, &rig->sink);
    leave(rig, 0, 300);
    assert_int_equal(rig->reached_slot, 7);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 100, 9000);
    rig->pid = rig->tid = 52; /* nobody ever tells of it */
    mark_with(rig, MW_MARK_ENTER, 0, 400, 1000, 9000);
    mark_with(rig, MW_MARK_EXIT, 0, 500, 1000, 5000);
    assert_int_equal(rig->reached_slot, MW_CALLS_NO_SLOT);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 400, 9000);
    mark_with(rig, MW_MARK_ENTER, 0, 600, 1000, 7000);
    finish(rig);
    check_reached(&rig->reached[MW_PEAK_KERNEL], 0, 600, 7000);
    rig_free(rig);
}

static void test_what_was_known_last_stands_in_for_marks_without_memory(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 10); /* before the first sample */
    leave(rig, 0, 20);
    assert_false(rig->call[0].peak.known);
    assert_int_equal(rig->call[0].from_bytes, -1);
    mw_calls_sample(rig->calls, 50, START_NS + 50000, 700);
    mw_calls_sample(rig->calls, 51, START_NS + 50000, 99999);
    enter(rig, 0, 100);
    mw_calls_sample(rig->calls, 50, START_NS + 150000, 900);
    mw_calls_sample(rig->calls, 50, START_NS + 160000, 800);
    mark_with(rig, MW_MARK_RESUME, 0, 170, 850, -1);
    mw_calls_sample(rig->calls, 50, START_NS + 165000, 100); /* late: what is known is newer */
    leave(rig, 0, 200);
    check_peak(&rig->call[1].peak, 899, -1, 150, 150, MW_PEAK_SAMPLED);
    assert_int_equal(rig->call[1].from_bytes, 700 * 1024);
    assert_int_equal(rig->call[1].to_bytes, 850 * 1024);
    enter(rig, 0, 300);
    leave(rig, 0, 400);
    check_peak(&rig->call[2].peak, 849, -1, 300, 300, MW_PEAK_SAMPLED);
    finish(rig);
    assert_int_equal(rig->functions[0].growth_bytes, 150 * 1024);
    check_peak(&rig->functions[0].peak, 899, -1, 150, 150, MW_PEAK_SAMPLED);
    rig_free(rig);
}

static void test_point_is_a_call_that_ends_as_it_begins(void **state)
{
    struct rig *rig = rig_new(1000);

    (void)state;
    enter(rig, 0, 100);
    mark_with(rig, MW_MARK_POINT, 1, 150, 900, 950);
    leave(rig, 0, 200);
    assert_int_equal(rig->call[0].from_us, 150);
    assert_int_equal(rig->call[0].to_us, 150);
    assert_int_equal(rig->call[0].duration_ns, 0);
    assert_int_equal(rig->call[0].depth, 1);
    assert_int_equal(rig->call[0].from_bytes, 900 * 1024);
    assert_int_equal(rig->call[0].to_bytes, 900 * 1024);
    check_peak(&rig->call[0].peak, 899, 960, 150, 150, MW_PEAK_SAMPLED);
    finish(rig);
    assert_int_equal(rig->functions[1].calls, 1);
    assert_int_equal(rig->functions[1].total_ns, 0);
    assert_int_equal(mw_calls_lost(rig->calls), 0);
    rig_free(rig);
}

/* What the highest was, looked up among all values. */
static int64_t highest_since(const struct mw_summit *all, size_t count, int64_t since_ns)
{
    int64_t highest = -1;

    for (size_t i = 0; i < count; i++) {
        if (all[i].key_ns >= since_ns && all[i].kib > highest)
            highest = all[i].kib;
    }
    return highest;
}

static void test_summits_answer_as_a_look_at_all_values_would(void **state)
{
    enum { VALUES = 400 };
    struct mw_summit all[VALUES];
    struct mw_summits summits = {0};
    uint64_t seed = 3;

    (void)state;
    assert_null(mw_summits_since(&summits, 0));
    for (size_t i = 0; i < VALUES; i++) {
        int64_t key_ns = (int64_t)(i * 10 + unit_random(&seed) % 60); /* some come late */

        all[i] = (struct mw_summit){key_ns, key_ns, key_ns, (int64_t)(unit_random(&seed) % 100)};
        assert_true(mw_summits_add(&summits, &all[i]));
        for (int64_t since_ns = 0; since_ns < VALUES * 10 + 70; since_ns += 37) {
            const struct mw_summit *found = mw_summits_since(&summits, since_ns);

            assert_int_equal(found ? found->kib : -1, highest_since(all, i + 1, since_ns));
        }
    }
    mw_summits_clear(&summits);
}

static const struct mw_call *find_number(const struct rig *rig, int function, uint64_t number)
{
    for (size_t i = 0; i < rig->count; i++) {
        if (rig->call[i].function == 100 + function && rig->call[i].number == number)
            return &rig->call[i];
    }
    return NULL;
}

/* Beyond the budget: fewer and fewer calls, all over the time, and always the extreme ones. */
static void test_beyond_the_budget_functions_are_thinned(void **state)
{
    enum { BUDGET = 320, CALLS = 100000, LONG = 33333, HIGH = 77777 };
    struct rig *rig = rig_new(BUDGET);
    uint64_t last = 0;

    (void)state;
    for (int i = 1; i <= CALLS; i++) {
        mark_with(rig, MW_MARK_ENTER, 0, i * 10, 1000, -1);
        mark_with(rig, MW_MARK_EXIT, 0, i * 10 + (i == LONG ? 9 : 1 + i % 3),
                  i == HIGH ? 9000 : 1000, -1);
        if (i <= BUDGET)
            assert_int_equal(rig->count, i);
    }
    enter(rig, 1, CALLS * 10 + 10); /* one that comes late is seen */
    leave(rig, 1, CALLS * 10 + 20);
    assert_non_null(find_number(rig, 1, 1));
    assert_in_range(rig->count, BUDGET + 100, 2 * BUDGET);
    for (size_t i = 0; i < rig->count && rig->call[i].function == 100; i++) {
        assert_true(rig->call[i].number > last);
        assert_true(rig->call[i].number <= last * 2 + 1); /* no part of the time is left out */
        last = rig->call[i].number;
    }
    finish(rig);
    assert_non_null(find_number(rig, 0, LONG));
    assert_non_null(find_number(rig, 0, HIGH));
    check_figures(&rig->functions[0], CALLS, CALLS, 2 * CALLS + 9 - (1 + LONG % 3), 9);
    assert_int_equal(rig->functions[0].stored + rig->functions[1].stored, rig->count);
    rig_free(rig);
}

static void test_a_call_that_is_the_longest_and_the_highest_is_given_once(void **state)
{
    struct rig *rig = rig_new(0);
    size_t found = 0;

    (void)state;
    for (int i = 1; i <= 1000; i++) {
        mark_with(rig, MW_MARK_ENTER, 0, i * 10, 1000, -1);
        mark_with(rig, MW_MARK_EXIT, 0, i * 10 + (i == 777 ? 9 : 1), i == 777 ? 9000 : 1000, -1);
    }
    assert_null(find_number(rig, 0, 777));
    /* Its slot may be that of another process afterwards. */
    mw_calls_process_ended(rig->calls, 50, START_NS + 20000000, &rig->sink);
    for (size_t i = 0; i < rig->count; i++)
        found += rig->call[i].number == 777;
    assert_int_equal(found, 1);
    finish(rig);
    assert_int_equal(rig->functions[0].stored, rig->count);
    rig_free(rig);
}

/* Marks are what a program writes: whatever that is, the figures stay within their range. */
static void test_numbers_that_no_program_means_are_borne(void **state)
{
    static const int64_t values[] = {INT64_MIN, -1, 0, 4711, INT64_MAX / 2, INT64_MAX};
    struct rig *rig = rig_new(10);
    uint64_t seed = 9;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        const struct mw_mark mark = {.kind = (enum mw_mark_kind)(unit_random(&seed) % 5),
                                     .pid = 50,
                                     .tid = 50,
                                     .track = (uint32_t) - (unit_random(&seed) % 2),
                                     .t_ns = values[unit_random(&seed) % 6],
                                     .site = &sites[unit_random(&seed) % 3],
                                     .resident_kib = values[unit_random(&seed) % 6],
                                     .window_kib = values[unit_random(&seed) % 6]};

        assert_int_equal(mw_calls_mark(rig->calls, &mark, &rig->sink), 0);
    }
    finish(rig);
    for (size_t i = 0; i < rig->count; i++) {
        assert_true(rig->call[i].from_us >= 0 && rig->call[i].duration_ns >= -1);
        assert_true(!rig->call[i].peak.known || rig->call[i].peak.bytes >= 0);
        assert_true(rig->call[i].suspended_ns >= 0);
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(rig->functions[i].total_ns >= 0 && rig->functions[i].suspended_ns >= 0);
    rig_free(rig);
}

static void test_a_program_that_never_leaves_takes_no_more_than_a_limit(void **state)
{
    enum { ENTRIES = 300000, MOST = 262144 };
    struct rig *rig = rig_new(10);

    (void)state;
    rig->all = false;
    for (int i = 0; i < ENTRIES; i++)
        enter(rig, i % 5, i);
    assert_int_equal(mw_calls_lost(rig->calls), ENTRIES - MOST);
    finish(rig);
    assert_int_equal(rig->count, MOST);
    enter(rig, 0, ENTRIES);
    assert_int_equal(mw_calls_lost(rig->calls), ENTRIES - MOST);
    rig_free(rig);
}

static int refuse_call(void *context, uint32_t slot, const struct mw_call *call)
{
    (void)context;
    (void)slot;
    (void)call;
    return -28;
}

static void test_what_the_sink_returns_comes_back(void **state)
{
    struct rig *rig = rig_new(1000);
    const struct mw_mark exit = {.kind = MW_MARK_EXIT,
                                 .pid = 50,
                                 .tid = 50,
                                 .site = &sites[0],
                                 .resident_kib = -1,
                                 .window_kib = -1};

    (void)state;
    enter(rig, 0, 1);
    enter(rig, 1, 1);
    rig->sink.add_call = refuse_call;
    assert_int_equal(mw_calls_mark(rig->calls, &exit, &rig->sink), -28);
    mw_calls_free(NULL);
    rig_free(rig);
}

/* What a pair of marks costs, as a message: it depends on the machine. */
static void measure(const char *what, int64_t resident_kib, int64_t window_kib)
{
    enum { PAIRS = 1000000 };
    struct rig *rig = rig_new(MW_CALLS_BUDGET / 10);
    int64_t begin_ns;

    rig->all = false;
    rig->resident_kib = resident_kib;
    rig->window_kib = window_kib;
    enter(rig, 0, 0);
    begin_ns = mw_now_ns();
    for (int i = 0; i < PAIRS; i++) {
        if (window_kib >= 0)
            rig->window_kib = rig->resident_kib = 1000 + i % 1000 * 7919 % 5000;
        enter(rig, 1 + i % 5, 10 * i);
        leave(rig, 1 + i % 5, 10 * i + 5);
    }
    print_message("%s: %.3f us a pair of marks\n", what,
                  (double)(mw_now_ns() - begin_ns) / 1e3 / PAIRS);
    finish(rig);
    assert_int_equal(rig->functions[1].calls, PAIRS / 5);
    rig_free(rig);
}

static void test_a_million_pairs_of_marks(void **state)
{
    (void)state;
    measure("without memory", -1, -1);
    measure("with RSS", 1000, -1);
    measure("with RSS and windows", 1000, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_calls_lie_within_each_other),
        UNIT_TEST(test_a_function_may_call_itself),
        UNIT_TEST(test_threads_and_processes_have_stacks_of_their_own),
        UNIT_TEST(test_a_forked_process_begins_with_empty_stacks),
        UNIT_TEST(test_a_track_that_waits_uses_no_time),
        UNIT_TEST(test_an_exit_closes_what_was_left_without_one),
        UNIT_TEST(test_an_exit_without_an_entry_is_counted_and_passed_over),
        UNIT_TEST(test_calls_end_when_their_process_executes_another_program),
        UNIT_TEST(test_calls_end_with_their_process_and_not_with_the_recording),
        UNIT_TEST(test_a_pid_that_starts_anew_ends_what_it_was),
        UNIT_TEST(test_windows_belong_to_the_calls_that_they_lie_in),
        UNIT_TEST(test_a_window_that_began_before_a_call_says_only_what_it_had_at_most),
        UNIT_TEST(test_a_call_without_length_has_a_bound),
        UNIT_TEST(test_a_window_that_overtook_a_mark_says_nothing_of_the_call_that_it_ends),
        UNIT_TEST(test_marks_that_were_lost_leave_no_bound),
        UNIT_TEST(test_what_marks_say_of_the_memory_is_told_of_the_process),
        UNIT_TEST(test_what_marks_say_of_an_unknown_process_is_told_once_it_is_known),
        UNIT_TEST(test_what_was_known_last_stands_in_for_marks_without_memory),
        UNIT_TEST(test_point_is_a_call_that_ends_as_it_begins),
        UNIT_TEST(test_summits_answer_as_a_look_at_all_values_would),
        UNIT_TEST(test_beyond_the_budget_functions_are_thinned),
        UNIT_TEST(test_a_call_that_is_the_longest_and_the_highest_is_given_once),
        UNIT_TEST(test_numbers_that_no_program_means_are_borne),
        UNIT_TEST(test_a_program_that_never_leaves_takes_no_more_than_a_limit),
        UNIT_TEST(test_what_the_sink_returns_comes_back),
        UNIT_TEST(test_a_million_pairs_of_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
