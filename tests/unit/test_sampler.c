/* The sampler against real children: what statm says, when it says it, and what is not known. */
#include "capture/clock.h"
#include "capture/procfs.h"
#include "rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TOUCHED_BYTES = 8 << 20 };

static struct rig *begin(pid_t root, int64_t interval_ns, size_t capacity)
{
    struct mw_sampler_options options = {.root = root,
                                         .interval_ns = interval_ns,
                                         .tracking = MW_TRACKING_BEST,
                                         .each = true,
                                         .sum = true,
                                         .all_arguments = true};

    return rig_begin(&options, capacity);
}

/* Pops until a series has reached a value. */
static void wait_for_value(struct rig *rig, uint32_t slot, enum mw_metric metric, int64_t kib)
{
    struct mw_record record;

    do {
        record = rig_wait_for(rig, MW_RECORD_SAMPLE, slot);
    } while (record.sample.metric != metric || record.sample.kib != kib);
}

/* Touches more memory each time it is told to, and says when it has. */
static void touch_on_demand(int in, int out, const void *context)
{
    (void)context;
    while (unit_await(in)) {
        char *memory =
            mmap(NULL, TOUCHED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        madvise(memory, TOUCHED_BYTES, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < TOUCHED_BYTES; i += 4096)
            memory[i] = 1;
        unit_tell(out);
    }
}

static void touch(struct unit_child *child)
{
    unit_tell(child->to);
    assert_true(unit_await(child->from));
}

static struct mw_statm statm_of(pid_t pid)
{
    struct mw_statm statm;
    int fd = mw_procfs_open(pid, "statm", O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(mw_procfs_read_statm(fd, &statm), 0);
    close(fd);
    return statm;
}

static int64_t kib_of(uint64_t pages)
{
    return (int64_t)pages * sysconf(_SC_PAGESIZE) / 1024;
}

static void test_values_are_what_statm_says(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    int64_t before_kib;
    struct rig *rig;

    (void)state;
    touch(&child);
    rig = begin(child.pid, MILLISECOND, 4096);
    before_kib = kib_of(statm_of(child.pid).resident_pages);
    wait_for_value(rig, 0, MW_METRIC_RSS, before_kib);
    for (int i = 0; i < 3; i++) {
        touch(&child);
        wait_for_value(rig, 0, MW_METRIC_RSS, kib_of(statm_of(child.pid).resident_pages));
    }
    assert_true(kib_of(statm_of(child.pid).resident_pages) - before_kib >=
                3 * TOUCHED_BYTES / 1024);
    rig_end(rig, mw_now_ns());
    rig_discard(rig);
    unit_kill(&child);
}

static void test_a_process_begins_with_its_start_its_image_and_both_its_values(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct mw_statm statm;
    struct mw_record record;
    struct rig *rig;

    (void)state;
    touch(&child);
    statm = statm_of(child.pid);
    rig = begin(child.pid, MILLISECOND, 4096);
    record = rig_wait_for(rig, MW_RECORD_START, 0);
    assert_int_equal(record.start.pid, child.pid);
    assert_int_equal(record.start.ppid, getpid());
    assert_int_equal(record.t_ns, rig->start_ns);
    while (!rig_pop(rig, &record))
        rig_pause();
    assert_int_equal(record.kind, MW_RECORD_IMAGE);
    wait_for_value(rig, 0, MW_METRIC_RSS, kib_of(statm.resident_pages));
    wait_for_value(rig, 0, MW_METRIC_SHARED, kib_of(statm.shared_pages));
    rig_end(rig, mw_now_ns());
    rig_discard(rig);
    unit_kill(&child);
}

static void test_a_value_that_does_not_change_is_pushed_once(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct rig *rig;
    struct mw_record record;
    int samples = 0;

    (void)state;
    touch(&child);
    rig = begin(child.pid, MILLISECOND, 4096);
    rig_wait_ticks(rig, 50);
    rig_end(rig, mw_now_ns());
    while (rig_pop(rig, &record))
        samples += record.kind == MW_RECORD_SAMPLE;
    assert_int_equal(samples, 2); /* rss and shared */
    rig_discard(rig);
    unit_kill(&child);
}

static void check_end_and_silence(struct rig *rig, struct unit_child *child)
{
    struct mw_record record;

    rig_wait_for(rig, MW_RECORD_END, 0);
    rig_pause();
    rig_end(rig, mw_now_ns());
    while (rig_pop(rig, &record))
        assert_false(record.kind == MW_RECORD_SAMPLE && record.slot == 0);
    rig_discard(rig);
    waitpid(child->pid, NULL, 0);
    close(child->to);
    close(child->from);
}

static void test_a_process_that_ends_is_said_to_end_and_not_sampled_any_more(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct rig *rig = begin(child.pid, MILLISECOND, 4096);

    (void)state;
    rig_wait_for(rig, MW_RECORD_SAMPLE, 0);
    kill(child.pid, SIGKILL); /* it stays a zombie */
    check_end_and_silence(rig, &child);
}

static void test_an_end_between_the_last_tick_and_the_stop_is_recorded(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct rig *rig = begin(child.pid, HOUR, 4096);
    siginfo_t info;

    (void)state;
    rig_wait_for(rig, MW_RECORD_SAMPLE, 0);
    kill(child.pid, SIGKILL);
    waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT);
    rig_end(rig, mw_now_ns());
    rig_wait_for(rig, MW_RECORD_END, 0);
    rig_discard(rig);
    unit_join(&child);
}

static void fork_one(int in, int out, const void *context)
{
    pid_t self = getpid();

    unit_await(in); /* until the recording is on: what was there before is not looked for */
    if (fork() == 0) {
        unit_end_with(self);
        for (;;)
            pause();
    }
    touch_on_demand(in, out, context);
}

/* The last resident memory of two processes and their tree, as the records say it. */
struct tree {
    int64_t last_kib[2], sum_kib;
    int64_t sum_ns, last_ns[2];
    bool has_child;
};

static void follow(struct tree *tree, const struct mw_record *record)
{
    if (record->kind == MW_RECORD_START && record->slot == 1)
        tree->has_child = true;
    if (record->kind != MW_RECORD_SAMPLE || record->sample.metric != MW_METRIC_RSS)
        return;
    if (record->slot == MW_RECORD_TREE) {
        tree->sum_kib = record->sample.kib;
        tree->sum_ns = record->t_ns;
        assert_int_equal(tree->sum_kib, tree->last_kib[0] + tree->last_kib[1]);
    } else {
        tree->last_kib[record->slot] = record->sample.kib;
        tree->last_ns[record->slot] = record->t_ns;
    }
}

static void test_the_tree_is_the_sum_over_its_processes_at_one_moment(void **state)
{
    struct unit_child root = unit_fork(fork_one, NULL);
    struct rig *rig = begin(root.pid, MILLISECOND, 4096);
    struct tree tree = {0};
    struct mw_record record;
    int64_t expected_kib;

    (void)state;
    unit_tell(root.to);
    while (!tree.has_child) {
        if (rig_pop(rig, &record))
            follow(&tree, &record);
    }
    touch(&root);
    expected_kib = kib_of(statm_of(root.pid).resident_pages);
    while (tree.last_kib[0] != expected_kib || tree.sum_ns != tree.last_ns[0]) {
        if (rig_pop(rig, &record))
            follow(&tree, &record);
    }
    assert_int_equal(tree.sum_kib, expected_kib + tree.last_kib[1]);
    rig_end(rig, mw_now_ns());
    rig_discard(rig);
    unit_kill(&root);
}

static void test_every_tick_up_to_the_end_is_taken_or_missed(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);

    (void)state;
    for (int64_t ticks = 1; ticks < 50; ticks += 7) {
        struct rig *rig = begin(child.pid, HOUR, 4096);
        struct mw_sampler_figures figures;

        rig_wait_ticks(rig, 1);
        figures = rig_end(rig, rig->start_ns + ticks * HOUR + 5);
        assert_int_equal(figures.ticks.taken, 1);
        assert_int_equal(figures.ticks.missed, ticks);
        assert_int_equal(figures.dropped_records, 0);
        rig_discard(rig);
    }
    unit_kill(&child);
}

/* The gaps in the record, and what it says after them. */
struct gaps {
    uint64_t count, ticks;
    int64_t last_from_ns, last_to_ns;
};

static struct gaps collect_gaps(struct rig *rig)
{
    struct gaps gaps = {0};
    struct mw_record record;

    while (rig_pop(rig, &record)) {
        if (record.kind != MW_RECORD_GAP)
            continue;
        gaps.count++;
        gaps.ticks += record.gap.ticks;
        gaps.last_from_ns = record.gap.from_ns;
        gaps.last_to_ns = record.t_ns;
        assert_true(record.gap.from_ns < record.t_ns);
    }
    return gaps;
}

static void test_missed_ticks_are_gaps_in_the_record(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct rig *rig = begin(child.pid, 20000, 65536); /* 20 us: some are missed anywhere */
    struct mw_sampler_figures figures;
    struct gaps gaps;

    (void)state;
    rig_wait_ticks(rig, 2000);
    figures = rig_end(rig, rig->start_ns); /* nothing is due any more */
    gaps = collect_gaps(rig);
    assert_int_equal(gaps.ticks, figures.ticks.missed);
    rig_discard(rig);
    unit_kill(&child);
}

static void test_ticks_missed_at_the_end_are_a_gap_too(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct rig *rig = begin(child.pid, HOUR, 4096);
    struct mw_record sample;
    struct gaps gaps;
    int64_t after_ns;

    (void)state;
    sample = rig_wait_for(rig, MW_RECORD_SAMPLE, 0);
    rig_wait_ticks(rig, 1);
    after_ns = mw_now_ns();
    rig_end(rig, rig->start_ns + 5 * HOUR);
    gaps = collect_gaps(rig);
    assert_int_equal(gaps.count, 1);
    assert_int_equal(gaps.ticks, 5);
    assert_in_range(gaps.last_from_ns, sample.t_ns, after_ns); /* at tick 0 */
    assert_true(gaps.last_to_ns == rig->start_ns + 5 * HOUR);
    rig_discard(rig);
    unit_kill(&child);
}

/* A queue of four is full with the first tick: start, image, rss, shared. */
static void test_values_that_found_no_room_leave_a_gap_and_come_again_after_it(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct rig *rig;
    struct mw_record record;
    struct mw_sampler_figures figures;
    int64_t kib;
    bool came = false; /* room may come in the middle of a tick, after its gap was refused */

    (void)state;
    touch(&child);
    rig = begin(child.pid, MILLISECOND, 4);
    rig_wait_ticks(rig, 3);
    touch(&child);
    kib = kib_of(statm_of(child.pid).resident_pages);
    do {
        mw_sampler_figures(rig->sampler, &figures);
        rig_pause();
    } while (figures.dropped_records == 0);
    do { /* at full speed, so that there is room from now on */
        record.kind = MW_RECORD_START;
        rig_pop(rig, &record);
        came = came || (record.kind == MW_RECORD_SAMPLE && record.sample.metric == MW_METRIC_RSS &&
                        record.sample.kib == kib);
    } while (record.kind != MW_RECORD_GAP);
    assert_true(record.gap.ticks >= 1);
    assert_true(record.gap.from_ns >= rig->start_ns && record.gap.from_ns < record.t_ns);
    if (!came)
        wait_for_value(rig, 0, MW_METRIC_RSS, kib);
    rig_end(rig, mw_now_ns());
    rig_discard(rig);
    unit_kill(&child);
}

static void test_a_hole_that_is_open_at_the_end_is_recorded(void **state)
{
    struct unit_child child = unit_fork(touch_on_demand, NULL);
    struct rig *rig = begin(child.pid, HOUR, 1); /* room for the start alone */
    struct mw_sampler_figures figures;
    struct mw_record record;
    struct gaps gaps;

    (void)state;
    do {
        mw_sampler_figures(rig->sampler, &figures);
        rig_pause();
    } while (figures.ticks.taken == 0 || figures.dropped_records < 3);
    assert_true(rig_pop(rig, &record));
    assert_int_equal(record.kind, MW_RECORD_START);
    rig_end(rig, mw_now_ns());
    gaps = collect_gaps(rig);
    assert_int_equal(gaps.count, 1);
    assert_true(gaps.ticks >= 1);
    rig_discard(rig);
    unit_kill(&child);
}

static void *raise_and_fork(void *ret_policy)
{
    const char *got = mw_sampler_raise_priority();
    int *policy = ret_policy, status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(sched_getscheduler(0));
    waitpid(pid, &status, 0);
    *policy = strcmp(got, "fifo:1") == 0                                    ? WEXITSTATUS(status)
              : strcmp(got, "nice:-20") == 0 || strcmp(got, "default") == 0 ? SCHED_OTHER
                                                                            : -1;
    return NULL;
}

static void test_the_priority_of_the_sampler_is_that_of_its_thread_alone(void **state)
{
    pthread_t thread;
    int policy = -1;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, raise_and_fork, &policy), 0);
    pthread_join(thread, NULL);
    assert_int_equal(policy, SCHED_OTHER);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

enum { SHORT_LIVES = 100 };

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
    options = (struct mw_sampler_options){.root = root.pid,
                                          .interval_ns = HOUR,
                                          .tracking = MW_TRACKING_PERF,
                                          .each = true,
                                          .sum = true};
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
        UNIT_TEST(test_values_are_what_statm_says),
        UNIT_TEST(test_a_process_begins_with_its_start_its_image_and_both_its_values),
        UNIT_TEST(test_a_value_that_does_not_change_is_pushed_once),
        UNIT_TEST(test_a_process_that_ends_is_said_to_end_and_not_sampled_any_more),
        UNIT_TEST(test_an_end_between_the_last_tick_and_the_stop_is_recorded),
        UNIT_TEST(test_the_tree_is_the_sum_over_its_processes_at_one_moment),
        UNIT_TEST(test_every_tick_up_to_the_end_is_taken_or_missed),
        UNIT_TEST(test_missed_ticks_are_gaps_in_the_record),
        UNIT_TEST(test_ticks_missed_at_the_end_are_a_gap_too),
        UNIT_TEST(test_values_that_found_no_room_leave_a_gap_and_come_again_after_it),
        UNIT_TEST(test_a_hole_that_is_open_at_the_end_is_recorded),
        UNIT_TEST(test_the_priority_of_the_sampler_is_that_of_its_thread_alone),
        UNIT_TEST(test_a_life_of_2_ms_is_announced_sampled_and_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
