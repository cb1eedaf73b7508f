/*
 * Every process below the root is found once, with its parent, by each method; and what the methods
 * know beyond that. The tests of both run once with each of them forced.
 */
#include "capture/clock.h"
#include "capture/connector.h"
#include "capture/procfs.h"
#include "capture/tracker.h"
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1024, SHORT_LIVES = 300 };

/* The method that the test is run with. */
static enum mw_tracking tracking;

static int with_perf(void **state)
{
    tracking = MW_TRACKING_PERF;
    return unit_setup(state);
}

static int with_poll(void **state)
{
    tracking = MW_TRACKING_POLL;
    return unit_setup(state);
}

static int with_connector(void **state)
{
    tracking = MW_TRACKING_CONNECTOR;
    return unit_setup(state);
}

static int with_scan(void **state)
{
    tracking = MW_TRACKING_SCAN;
    return unit_setup(state);
}

#define PERF_TEST(function)                                                                        \
    {                                                                                              \
        "perf: " #function, function, with_perf, unit_teardown, NULL                               \
    }
#define POLL_TEST(function)                                                                        \
    {                                                                                              \
        "poll: " #function, function, with_poll, unit_teardown, NULL                               \
    }
#define CONNECTOR_TEST(function)                                                                   \
    {                                                                                              \
        "connector: " #function, function, with_connector, unit_teardown, NULL                     \
    }
#define SCAN_TEST(function)                                                                        \
    {                                                                                              \
        "scan: " #function, function, with_scan, unit_teardown, NULL                               \
    }
/* With what is told by the kernel; with what looks; with all. */
#define TOLD_TEST(function) PERF_TEST(function), CONNECTOR_TEST(function)
#define LOOK_TEST(function) POLL_TEST(function), SCAN_TEST(function)
#define EACH_TEST(function) TOLD_TEST(function), LOOK_TEST(function)

/* Skips the test where this process may not listen to the proc connector. */
static void need_connector(void)
{
    struct mw_connector *connector = NULL;
    struct mw_error error;

    if (mw_connector_open(&connector, true, &error) < 0) {
        print_message("# SKIP: %s\n", error.text);
        skip();
    }
    mw_connector_close(connector);
}

/* The root of a tree, where the method works here: else the test is skipped. */
static struct unit_child fork_root(unit_body *body)
{
    if (tracking == MW_TRACKING_PERF)
        unit_need_perf();
    if (tracking == MW_TRACKING_CONNECTOR)
        need_connector();
    return unit_fork(body, NULL);
}

struct found {
    struct mw_tracker_event starts[ROOM], images[ROOM], ends[ROOM], statuses[ROOM];
    size_t start_count, image_count, end_count, status_count;
};

static void keep_event(struct found *found, const struct mw_tracker_event *event)
{
    assert_true(found->start_count < ROOM && found->image_count < ROOM && found->end_count < ROOM &&
                found->status_count < ROOM);
    if (event->kind == MW_TRACKER_START)
        found->starts[found->start_count++] = *event;
    else if (event->kind == MW_TRACKER_IMAGE)
        found->images[found->image_count++] = *event;
    else if (event->kind == MW_TRACKER_END)
        found->ends[found->end_count++] = *event;
    else
        found->statuses[found->status_count++] = *event;
}

/* Looks at a moment, and collects what there is. */
static struct found *look(struct mw_tracker *tracker, int64_t now_ns)
{
    static struct found found;
    struct mw_tracker_event event;

    found.start_count = found.image_count = found.end_count = found.status_count = 0;
    /* Several times: a machine on which much goes on tells of more than one look takes in. */
    for (int i = 0; i < 5; i++) {
        mw_tracker_look(tracker, now_ns);
        while (mw_tracker_next(tracker, &event))
            keep_event(&found, &event);
    }
    return &found;
}

static struct mw_tracker *track(pid_t root, enum mw_tracking method)
{
    struct mw_tracker *tracker = NULL;
    struct mw_error error = {0};

    if (mw_tracker_new(&tracker, root, method, &error) < 0)
        fail_msg("%s", error.text);
    return tracker;
}

static pid_t parent_of(const struct found *found, pid_t pid)
{
    pid_t ppid = -1;

    for (size_t i = 0; i < found->start_count; i++) {
        if (found->starts[i].pid == pid) {
            assert_int_equal(ppid, -1); /* once */
            ppid = found->starts[i].ppid;
        }
    }
    return ppid;
}

/* A process that does nothing until it is killed, or its parent ends. */
static pid_t fork_idle(void)
{
    pid_t self = getpid(), pid = fork();

    if (pid == 0) {
        unit_end_with(self);
        for (;;)
            pause();
    }
    return pid;
}

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

/* Forks a child whenever it is told to, and tells its id. */
static void fork_on_demand(int in, int out, const void *context)
{
    (void)context;
    while (unit_await(in))
        tell_pid(out, fork_idle());
}

static pid_t demand(const struct unit_child *root)
{
    unit_tell(root->to);
    return hear_pid(root);
}

static void test_a_child_is_found_once_with_its_parent(void **state)
{
    struct unit_child root = fork_root(fork_on_demand);
    struct mw_tracker *tracker = track(root.pid, tracking);
    pid_t first, second;
    struct found *found;

    (void)state;
    assert_int_equal(look(tracker, mw_now_ns())->start_count, 0); /* the root is known */
    first = demand(&root);
    found = look(tracker, mw_now_ns());
    assert_int_equal(found->start_count, 1);
    assert_int_equal(parent_of(found, first), root.pid);
    second = demand(&root);
    found = look(tracker, mw_now_ns());
    assert_int_equal(found->start_count, 1);
    assert_int_equal(parent_of(found, second), root.pid);
    assert_int_equal(look(tracker, mw_now_ns())->start_count, 0);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void fork_generations(int in, int out, const void *context)
{
    (void)context;
    unit_await(in);
    for (int depth = 0; depth < 5; depth++) {
        pid_t self = getpid(), pid = fork();

        if (pid != 0) {
            tell_pid(out, pid);
            for (;;)
                pause();
        }
        unit_end_with(self);
    }
    unit_await(in);
}

static void test_all_generations_are_found_in_one_look(void **state)
{
    struct unit_child root = fork_root(fork_generations);
    struct mw_tracker *tracker = track(root.pid, tracking);
    pid_t pids[5], parent = root.pid;
    struct found *found;

    (void)state;
    unit_tell(root.to);
    for (int i = 0; i < 5; i++)
        pids[i] = hear_pid(&root);
    found = look(tracker, mw_now_ns());
    assert_int_equal(found->start_count, 5);
    for (int i = 0; i < 5; i++) {
        /* Generations tell their pids in any order: each parent is another of them. */
        pid_t ppid = parent_of(found, pids[i]);
        bool known = ppid == parent;

        for (int j = 0; j < 5; j++)
            known = known || ppid == pids[j];
        assert_true(known);
    }
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void *wait_for_ever(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void *fork_in_thread(void *argument)
{
    const int *out = argument;

    tell_pid(*out, fork_idle());
    return wait_for_ever(argument);
}

static void fork_from_threads(int in, int out, const void *context)
{
    pthread_t threads[3];

    (void)context;
    unit_await(in);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, fork_in_thread, &out);
    unit_await(in);
}

static void test_children_of_threads_are_found(void **state)
{
    struct unit_child root = fork_root(fork_from_threads);
    struct mw_tracker *tracker = track(root.pid, tracking);
    pid_t pids[3];
    struct found *found;

    (void)state;
    unit_tell(root.to);
    for (int i = 0; i < 3; i++)
        pids[i] = hear_pid(&root);
    found = look(tracker, mw_now_ns());
    assert_int_equal(found->start_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(parent_of(found, pids[i]), root.pid);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void test_more_children_than_one_read_holds_are_all_found(void **state)
{
    enum { CHILDREN = 900 };
    struct unit_child root = fork_root(fork_on_demand);
    struct mw_tracker *tracker = track(root.pid, tracking);
    static pid_t pids[CHILDREN];
    struct found *found;

    (void)state;
    for (int i = 0; i < CHILDREN; i++)
        pids[i] = demand(&root);
    found = look(tracker, mw_now_ns());
    assert_int_equal(found->start_count, CHILDREN);
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(parent_of(found, pids[i]), root.pid);
    for (int i = 0; i < CHILDREN; i++)
        mw_tracker_forget(tracker, pids[i]);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void test_a_process_that_was_forgotten_may_come_again(void **state)
{
    struct unit_child root = fork_root(fork_on_demand);
    struct mw_tracker *tracker = track(root.pid, tracking);
    pid_t one = demand(&root), other = demand(&root);

    (void)state;
    assert_int_equal(look(tracker, mw_now_ns())->start_count, 2);
    mw_tracker_forget(tracker, one);
    mw_tracker_forget(tracker, 1); /* was never known */
    assert_int_equal(parent_of(look(tracker, mw_now_ns()), one), root.pid);
    assert_int_equal(look(tracker, mw_now_ns())->start_count, 0);
    assert_true(other > 0);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void test_without_children_nobody_else_is_looked_for(void **state)
{
    struct unit_child root = unit_fork(fork_on_demand, NULL);
    struct mw_tracker *tracker = track(root.pid, MW_TRACKING_NONE);
    struct found *found;

    (void)state;
    demand(&root);
    found = look(tracker, mw_now_ns() + 1000000000);
    assert_int_equal(found->start_count, 0);
    assert_int_equal(found->image_count, 1);
    assert_int_equal(found->images[0].pid, root.pid);
    assert_string_equal(mw_tracker_name(tracker), "none");
    mw_tracker_free(tracker);
    mw_tracker_free(NULL);
    unit_kill(&root);
}

static void test_what_a_process_runs_is_asked_again_whenever_its_age_has_doubled(void **state)
{
    struct unit_child root = fork_root(fork_on_demand);
    int64_t begin = mw_now_ns();
    struct mw_tracker *tracker = track(root.pid, tracking);
    int asked = 0;

    (void)state;
    for (int64_t ms = 1; ms <= 1000; ms++)
        asked += (int)look(tracker, begin + ms * 1000000)->image_count;
    assert_in_range(asked, 7, 9); /* after about 5, 10, 20 … 640 ms */
    assert_int_equal(look(tracker, begin + INT64_C(100000000000))->image_count, 1);
    assert_int_equal(look(tracker, begin + INT64_C(104900000000))->image_count, 0);
    assert_int_equal(look(tracker, begin + INT64_C(105100000000))->image_count, 1);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void test_the_tracker_asks_for_a_pause_after_each_look(void **state)
{
    struct unit_child root = fork_root(fork_on_demand);
    struct mw_tracker *tracker = track(root.pid, tracking);
    int64_t now = mw_now_ns();

    (void)state;
    assert_true(mw_tracker_due_ns(tracker) <= now);
    look(tracker, now);
    assert_true(mw_tracker_due_ns(tracker) >= now + 500000);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void start_threads(int in, int out, const void *context)
{
    pthread_t threads[3];

    (void)context;
    unit_await(in);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, wait_for_ever, NULL);
    unit_tell(out);
    unit_await(in);
}

static void test_threads_are_no_processes(void **state)
{
    struct unit_child root = fork_root(start_threads);
    struct mw_tracker *tracker = track(root.pid, tracking);
    struct found *found;

    (void)state;
    unit_tell(root.to);
    assert_true(unit_await(root.from));
    found = look(tracker, mw_now_ns());
    assert_int_equal(found->start_count, 0);
    assert_int_equal(found->end_count, 0);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

/* Looks until ends have come: the connector tells of one after whoever waits for it was woken. */
static struct found *look_for_ends(struct mw_tracker *tracker, size_t count)
{
    static struct found all;
    int64_t begin_ns = mw_now_ns();

    all = (struct found){0};
    while (all.end_count < count && mw_now_ns() - begin_ns < INT64_C(10000000000)) {
        const struct found *more = look(tracker, mw_now_ns());

        for (size_t i = 0; i < more->start_count; i++)
            keep_event(&all, &more->starts[i]);
        for (size_t i = 0; i < more->image_count; i++)
            keep_event(&all, &more->images[i]);
        for (size_t i = 0; i < more->end_count; i++)
            keep_event(&all, &more->ends[i]);
        for (size_t i = 0; i < more->status_count; i++)
            keep_event(&all, &more->statuses[i]);
    }
    return &all;
}

static void wait_for_zombie(pid_t pid)
{
    struct mw_stat stat = {0};

    do {
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        assert_int_equal(mw_procfs_read_stat(pid, &stat), 0);
    } while (stat.state != 'Z');
}

static void test_an_end_is_told_once_and_when_it_was(void **state)
{
    struct unit_child root = fork_root(fork_on_demand);
    struct mw_tracker *tracker = track(root.pid, tracking);
    pid_t pid = demand(&root), other = demand(&root);
    struct found *found = look(tracker, mw_now_ns());
    int64_t before_ns = mw_now_ns(), after_ns;

    (void)state;
    assert_int_equal(found->start_count, 2);
    kill(pid, SIGKILL);
    wait_for_zombie(pid);
    found = look_for_ends(tracker, 1);
    after_ns = mw_now_ns(); /* the kernel tells an end when the zombie can be seen already */
    assert_int_equal(found->end_count, 1);
    assert_int_equal(found->ends[0].pid, pid);
    assert_in_range(found->ends[0].t_ns, before_ns, after_ns);
    mw_tracker_ended(tracker, other); /* whoever uses the tracker has seen it first */
    kill(other, SIGKILL);
    wait_for_zombie(other);
    assert_int_equal(look(tracker, mw_now_ns())->end_count, 0);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void *end_all_on_demand(void *argument)
{
    const int *in = argument;

    unit_await(*in);
    _exit(0);
}

static void leave_it_to_a_thread(int in, int out, const void *context)
{
    pthread_t thread;

    (void)out;
    (void)context;
    unit_await(in);
    pthread_create(&thread, NULL, end_all_on_demand, &in);
    syscall(SYS_exit, 0); /* this thread alone */
}

static void test_a_process_ends_with_its_last_thread(void **state)
{
    struct unit_child root = fork_root(leave_it_to_a_thread);
    struct mw_tracker *tracker = track(root.pid, tracking);
    struct found *found;
    siginfo_t info;

    (void)state;
    unit_tell(root.to);
    wait_for_zombie(root.pid); /* that is its first thread */
    assert_int_equal(look(tracker, mw_now_ns())->end_count, 0);
    unit_tell(root.to);
    assert_int_equal(waitid(P_PID, (id_t)root.pid, &info, WEXITED | WNOWAIT), 0);
    found = look_for_ends(tracker, 1);
    assert_int_equal(found->end_count, 1);
    assert_int_equal(found->ends[0].pid, root.pid);
    mw_tracker_free(tracker);
    unit_join(&root);
}

/* Executes /bin/true in a child and reaps it, 300 times. */
static void live_shortly(int in, int out, const void *context)
{
    (void)context;
    unit_await(in);
    for (int i = 0; i < SHORT_LIVES; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        waitpid(pid, NULL, 0);
        tell_pid(out, pid);
    }
    unit_await(in);
}

static void test_lives_between_two_looks_are_all_told_with_start_image_and_end(void **state)
{
    struct unit_child root = fork_root(live_shortly);
    struct mw_tracker *tracker = track(root.pid, tracking);
    int64_t before_ns = mw_now_ns();
    struct found *found;

    (void)state;
    unit_tell(root.to);
    for (int i = 0; i < SHORT_LIVES; i++)
        hear_pid(&root);
    found = look_for_ends(tracker, SHORT_LIVES);
    assert_int_equal(mw_tracker_lost(tracker), 0);
    assert_int_equal(found->start_count, SHORT_LIVES);
    assert_int_equal(found->end_count, SHORT_LIVES);
    assert_true(found->image_count >= SHORT_LIVES);
    for (size_t i = 0; i < SHORT_LIVES; i++) { /* one after the other, as they lived */
        assert_int_equal(found->starts[i].ppid, root.pid);
        assert_int_equal(found->images[i].pid, found->starts[i].pid);
        assert_int_equal(found->ends[i].pid, found->starts[i].pid);
        assert_string_equal(found->images[i].name, tracking == MW_TRACKING_PERF ? "true" : "");
        assert_true(before_ns <= found->starts[i].t_ns);
        assert_true(found->starts[i].t_ns <= found->images[i].t_ns);
        assert_true(found->images[i].t_ns <= found->ends[i].t_ns);
        before_ns = found->ends[i].t_ns;
    }
    mw_tracker_free(tracker);
    unit_kill(&root);
}

/* What an end or a status that came later tell of a process; -1: nothing. */
static int status_of(const struct found *found, pid_t pid)
{
    int wait_status = -1;

    for (size_t i = 0; i < found->end_count; i++) {
        if (found->ends[i].pid == pid)
            wait_status = found->ends[i].wait_status;
    }
    for (size_t i = 0; i < found->status_count; i++) {
        if (found->statuses[i].pid == pid)
            wait_status = found->statuses[i].wait_status;
    }
    return wait_status;
}

/* Forks a child that exits with 7, and one that is killed by signal 9. */
static void fork_two_ends(int in, int out, const void *context)
{
    pid_t exits, killed;

    (void)context;
    unit_await(in);
    exits = fork();
    if (exits == 0)
        _exit(7);
    killed = fork();
    if (killed == 0) {
        kill(getpid(), SIGKILL);
        pause();
    }
    waitpid(exits, NULL, 0);
    waitpid(killed, NULL, 0);
    tell_pid(out, exits);
    tell_pid(out, killed);
    unit_await(in);
}

static void test_it_is_told_how_processes_ended_that_are_reaped_already(void **state)
{
    struct unit_child root;
    struct mw_tracker *tracker;
    struct found *found;
    pid_t exits, killed;

    (void)state;
    need_connector(); /* perf alone does not tell */
    root = fork_root(fork_two_ends);
    tracker = track(root.pid, tracking);
    unit_tell(root.to);
    exits = hear_pid(&root);
    killed = hear_pid(&root);
    found = look_for_ends(tracker, 2);
    assert_int_equal(found->end_count, 2);
    assert_int_equal(status_of(found, exits), 7 << 8);
    assert_int_equal(status_of(found, killed), SIGKILL);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void test_children_from_before_the_tracker_are_found(void **state)
{
    struct unit_child root = fork_root(fork_on_demand);
    pid_t child = demand(&root);
    struct mw_tracker *tracker = track(root.pid, tracking);

    (void)state;
    assert_int_equal(parent_of(look(tracker, mw_now_ns()), child), root.pid);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

static void test_the_method_has_the_name_that_it_is_documented_with(void **state)
{
    struct unit_child root = fork_root(fork_on_demand);
    struct mw_tracker *tracker = track(root.pid, tracking);
    const char *name = mw_tracker_name(tracker);

    (void)state;
    if (tracking == MW_TRACKING_PERF)
        assert_string_equal(name, "perf");
    else if (tracking == MW_TRACKING_CONNECTOR)
        assert_string_equal(name, "connector");
    else if (tracking == MW_TRACKING_SCAN)
        assert_string_equal(name, "scan");
    else
        assert_true(strcmp(name, "children") == 0 || strcmp(name, "scan") == 0);
    assert_int_equal(mw_tracker_fd(tracker) >= 0,
                     tracking == MW_TRACKING_PERF || tracking == MW_TRACKING_CONNECTOR);
    assert_int_equal(mw_tracker_lost(tracker), 0);
    mw_tracker_free(tracker);
    unit_kill(&root);
}

/* As another user: says 1 when perf is refused, 2 when the best is another method, 3 for both. */
static void track_as_nobody(int in, int out, const void *context)
{
    const pid_t *pid = context;
    struct mw_tracker *tracker = NULL;
    int says = 0;

    (void)in;
    (void)out;
    if (!unit_become_nobody())
        _exit(9);
    if (mw_tracker_new(&tracker, *pid, MW_TRACKING_PERF, NULL) < 0 && !tracker)
        says |= 1;
    if (mw_tracker_new(&tracker, *pid, MW_TRACKING_BEST, NULL) == 0 &&
        strcmp(mw_tracker_name(tracker), "perf") != 0)
        says |= 2;
    mw_tracker_free(tracker);
    _exit(says);
}

static void test_where_the_kernel_refuses_perf_the_best_is_the_next(void **state)
{
    struct unit_child root, nobody;

    (void)state;
    unit_need_root();
    root = unit_fork(fork_on_demand, NULL);
    nobody = unit_fork(track_as_nobody, &root.pid);
    assert_int_equal(unit_join(&nobody), 3 << 8);
    unit_kill(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_TEST(test_a_child_is_found_once_with_its_parent),
        EACH_TEST(test_all_generations_are_found_in_one_look),
        EACH_TEST(test_children_of_threads_are_found),
        EACH_TEST(test_more_children_than_one_read_holds_are_all_found),
        EACH_TEST(test_threads_are_no_processes),
        EACH_TEST(test_what_a_process_runs_is_asked_again_whenever_its_age_has_doubled),
        EACH_TEST(test_the_tracker_asks_for_a_pause_after_each_look),
        EACH_TEST(test_the_method_has_the_name_that_it_is_documented_with),
        LOOK_TEST(test_children_from_before_the_tracker_are_found),
        LOOK_TEST(test_a_process_that_was_forgotten_may_come_again),
        TOLD_TEST(test_an_end_is_told_once_and_when_it_was),
        TOLD_TEST(test_a_process_ends_with_its_last_thread),
        TOLD_TEST(test_lives_between_two_looks_are_all_told_with_start_image_and_end),
        TOLD_TEST(test_it_is_told_how_processes_ended_that_are_reaped_already),
        UNIT_TEST(test_without_children_nobody_else_is_looked_for),
        UNIT_TEST(test_where_the_kernel_refuses_perf_the_best_is_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
