/* Trees that run already when they come into the record, by each way to track them. */
#include "capture/adoptions.h"
#include "capture/clock.h"
#include "capture/procfs.h"
#include "capture/tracker.h"
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The tree: a process with a second thread, which forks when it is told to. */

static void tell_pid(int out, pid_t pid)
{
    if (write(out, &pid, sizeof pid) != sizeof pid)
        _exit(1);
}

static pid_t hear_pid(const struct unit_child *child)
{
    pid_t pid = -1;

    assert_int_equal(read(child->from, &pid, sizeof pid), sizeof pid);
    return pid;
}

struct pipes {
    int in, out;
};

/* Each child waits until it is killed, or its parent ends. */
static void *fork_on_demand(void *argument)
{
    const struct pipes *pipes = argument;

    while (unit_await(pipes->in)) {
        pid_t self = getpid(), pid = fork();

        if (pid == 0) {
            unit_end_with(self);
            for (;;)
                pause();
        }
        tell_pid(pipes->out, pid);
    }
    _exit(0);
}

static void fork_from_a_thread(int in, int out, const void *context)
{
    struct pipes pipes = {in, out};
    pthread_t thread;

    (void)context;
    pthread_create(&thread, NULL, fork_on_demand, &pipes);
    for (;;)
        pause();
}

static pid_t demand(const struct unit_child *root)
{
    unit_tell(root->to);
    return hear_pid(root);
}

struct found {
    size_t starts, ends;
    pid_t started[16], parents[16];
    int wait_status; /* the last that was told */
};

static void keep(struct found *found, const struct mw_tracker_event *event)
{
    assert_true(found->starts < MW_COUNT(found->started));
    if (event->kind == MW_TRACKER_START) {
        found->parents[found->starts] = event->ppid;
        found->started[found->starts++] = event->pid;
    }
    found->ends += event->kind == MW_TRACKER_END;
    if ((event->kind == MW_TRACKER_END || event->kind == MW_TRACKER_STATUS) &&
        event->wait_status >= 0)
        found->wait_status = event->wait_status;
}

static struct found take(struct mw_tracker *tracker)
{
    struct found found = {.wait_status = -1};
    struct mw_tracker_event event;

    while (mw_tracker_next(tracker, &event))
        keep(&found, &event);
    return found;
}

static struct found look(struct mw_tracker *tracker)
{
    mw_tracker_look(tracker, mw_now_ns());
    return take(tracker);
}

static const enum mw_tracking methods[] = {MW_TRACKING_BEST_RUNNING, MW_TRACKING_CONNECTOR,
                                           MW_TRACKING_PERF, MW_TRACKING_POLL, MW_TRACKING_SCAN};

/* Calls a test with every method that works here. */
static void with_each(void (*test)(enum mw_tracking tracking))
{
    for (size_t i = 0; i < MW_COUNT(methods); i++) {
        struct mw_tracker *tracker = NULL;

        if (mw_tracker_new(&tracker, getpid(), methods[i], NULL) < 0) {
            print_message("# SKIP: tracking method %zu does not work here\n", i);
            continue;
        }
        mw_tracker_free(tracker);
        test(methods[i]);
    }
}

static struct mw_tracker *track(pid_t root, enum mw_tracking tracking)
{
    struct mw_tracker *tracker = NULL;

    assert_int_equal(mw_tracker_new(&tracker, root, tracking, NULL), 0);
    return tracker;
}

static void find_what_was_there(enum mw_tracking tracking)
{
    struct unit_child root = unit_fork(fork_from_a_thread, NULL);
    pid_t before = demand(&root), after;
    struct mw_tracker *tracker = track(root.pid, tracking);
    struct found found;

    mw_tracker_adopt(tracker, root.pid, mw_now_ns());
    found = take(tracker);
    assert_int_equal(found.starts, 1); /* the root is known */
    assert_int_equal(found.started[0], before);
    assert_int_equal(found.parents[0], root.pid);
    assert_int_equal(look(tracker).starts, 0);
    after = demand(&root);
    found = look(tracker);
    assert_int_equal(found.starts, 1);
    assert_int_equal(found.started[0], after);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void test_children_from_before_and_later_ones_are_found_also_those_of_threads(void **state)
{
    (void)state;
    with_each(find_what_was_there);
}

static void take_in_another(enum mw_tracking tracking)
{
    struct unit_child first = unit_fork(fork_from_a_thread, NULL);
    struct unit_child second = unit_fork(fork_from_a_thread, NULL);
    pid_t before = demand(&second), after;
    struct mw_tracker *tracker = track(first.pid, tracking);
    struct found found;

    mw_tracker_adopt(tracker, first.pid, mw_now_ns());
    assert_int_equal(take(tracker).starts, 0);
    mw_tracker_adopt(tracker, second.pid, mw_now_ns());
    found = take(tracker);
    assert_int_equal(found.starts, 2);
    assert_int_equal(found.started[0], second.pid);
    assert_int_equal(found.parents[0], getpid());
    assert_int_equal(found.started[1], before);
    mw_tracker_adopt(tracker, second.pid, mw_now_ns()); /* once is enough */
    assert_int_equal(take(tracker).starts, 0);
    after = demand(&second);
    found = look(tracker);
    assert_int_equal(found.starts, 1);
    assert_int_equal(found.started[0], after);
    mw_tracker_free(tracker);
    unit_kill(&second);
    unit_kill(&first);
}

static void test_another_tree_is_taken_in_whole(void **state)
{
    (void)state;
    with_each(take_in_another);
}

/* Waits until the tracker has told that the process has ended, or the sampler would have seen it.
 */
static int await_status(struct mw_tracker *tracker, pid_t pid)
{
    int64_t until_ns = mw_now_ns() + INT64_C(20000000000);
    int wait_status = -1;

    for (bool seen = false; wait_status < 0 && mw_now_ns() < until_ns;) {
        struct found found = look(tracker);

        wait_status = found.wait_status;
        if (!seen && kill(pid, 0) < 0) { /* as the sampler does, after its sweep */
            seen = true;
            mw_tracker_ended(tracker, pid);
            found = take(tracker);
            if (found.wait_status >= 0)
                wait_status = found.wait_status;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return wait_status;
}

static void test_the_connector_tells_how_a_process_with_threads_ended(void **state)
{
    struct unit_child root = unit_fork(fork_from_a_thread, NULL);
    struct mw_tracker *tracker = NULL;
    pid_t pid = root.pid;

    (void)state;
    demand(&root); /* now the thread is at work */
    if (mw_tracker_new(&tracker, root.pid, MW_TRACKING_CONNECTOR, NULL) < 0) {
        unit_kill(&root);
        skip();
    }
    mw_tracker_adopt(tracker, root.pid, mw_now_ns());
    take(tracker);
    unit_kill(&root);
    assert_int_equal(await_status(tracker, pid), SIGKILL);
    mw_tracker_free(tracker);
}

static void test_without_children_only_what_is_adopted_is_known(void **state)
{
    struct unit_child first = unit_fork(fork_from_a_thread, NULL);
    struct unit_child second = unit_fork(fork_from_a_thread, NULL);
    struct mw_tracker *tracker = track(first.pid, MW_TRACKING_NONE);
    struct found found;

    (void)state;
    demand(&second);
    mw_tracker_adopt(tracker, second.pid, mw_now_ns());
    found = take(tracker);
    assert_int_equal(found.starts, 1);
    assert_int_equal(found.started[0], second.pid);
    mw_tracker_free(tracker);
    unit_kill(&second);
    unit_kill(&first);
}

static void test_a_number_that_is_another_processes_now_is_not_meant(void **state)
{
    struct unit_child child = unit_fork(fork_from_a_thread, NULL);
    struct mw_adoption adoption = {.pid = child.pid};
    struct mw_stat stat;

    (void)state;
    assert_int_equal(mw_procfs_read_stat(child.pid, &stat), 0);
    assert_false(mw_adoption_holds(&adoption));
    adoption.start_ticks = stat.start_ticks + 1;
    assert_false(mw_adoption_holds(&adoption));
    adoption.start_ticks = stat.start_ticks;
    assert_true(mw_adoption_holds(&adoption));
    unit_kill(&child);
    assert_false(mw_adoption_holds(&adoption));
}

static void test_adoptions_go_in_the_order_in_which_they_came(void **state)
{
    struct mw_adoptions adoptions;
    struct mw_adoption adoption;

    (void)state;
    mw_adoptions_init(&adoptions);
    assert_false(mw_adoptions_take(&adoptions, &adoption));
    for (pid_t pid = 1; pid <= MW_MOST_ADOPTIONS; pid++)
        assert_true(mw_adoptions_put(&adoptions, &(struct mw_adoption){.pid = pid}));
    assert_false(mw_adoptions_put(&adoptions, &adoption));
    for (pid_t pid = 1; pid <= MW_MOST_ADOPTIONS; pid++) {
        assert_true(mw_adoptions_take(&adoptions, &adoption));
        assert_int_equal(adoption.pid, pid);
    }
    assert_false(mw_adoptions_take(&adoptions, &adoption));
    mw_adoptions_clear(&adoptions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_children_from_before_and_later_ones_are_found_also_those_of_threads),
        UNIT_TEST(test_another_tree_is_taken_in_whole),
        UNIT_TEST(test_the_connector_tells_how_a_process_with_threads_ended),
        UNIT_TEST(test_without_children_only_what_is_adopted_is_known),
        UNIT_TEST(test_a_number_that_is_another_processes_now_is_not_meant),
        UNIT_TEST(test_adoptions_go_in_the_order_in_which_they_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
