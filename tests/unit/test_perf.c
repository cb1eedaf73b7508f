/* The kernel's task events: every fork, exec and exit below a process, in order, or counted. */
#include "capture/clock.h"
#include "capture/perf.h"
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 300, THREADS = 5, FLOOD = 4000 };

/* Opened before the child does what it has been forked for. */
static struct mw_perf *open_perf(pid_t root)
{
    struct mw_perf *perf = NULL;
    struct mw_error error = {0};

    if (mw_perf_open(&perf, root, &error) < 0)
        fail_msg("%s", error.text);
    return perf;
}

/* Lets the child do it, and waits until it has. */
static void let(const struct unit_child *child)
{
    unit_tell(child->to);
    assert_true(unit_await(child->from));
}

static void execute_and_reap(const char *path, const char *name)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl(path, name, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void execute_many(int in, int out, const void *context)
{
    (void)context;
    unit_await(in);
    for (int i = 0; i < CHILDREN; i++)
        execute_and_reap("/bin/true", "true");
    unit_tell(out);
    unit_await(in);
}

/* What was told of one process, and when. */
struct life {
    pid_t pid, ppid;
    int forks, execs, exits;
    int64_t fork_ns, exec_ns, exit_ns;
    char name[16];
};

static struct life *life_of(struct life *lives, size_t *count, pid_t pid)
{
    for (size_t i = 0; i < *count; i++) {
        if (lives[i].pid == pid)
            return &lives[i];
    }
    assert_true(*count < CHILDREN);
    lives[*count].pid = pid;
    return &lives[(*count)++];
}

static void follow(struct life *life, const struct mw_task_event *event)
{
    switch (event->kind) {
    case MW_TASK_FORK:
        life->forks++;
        life->ppid = event->ppid;
        life->fork_ns = event->t_ns;
        break;
    case MW_TASK_EXEC:
        life->execs++;
        life->exec_ns = event->t_ns;
        memcpy(life->name, event->name, sizeof life->name);
        break;
    case MW_TASK_EXIT:
        life->exits++;
        life->exit_ns = event->t_ns;
        break;
    }
}

static void test_every_fork_exec_and_exit_of_300_children_is_told_with_its_time(void **state)
{
    static struct life lives[CHILDREN];
    const struct mw_task_event *events;
    struct unit_child root;
    struct mw_perf *perf;
    size_t count, life_count = 0;
    int64_t last_ns = mw_now_ns();

    (void)state;
    unit_need_perf();
    unit_need_no_thread_sanitizer();
    root = unit_fork(execute_many, NULL);
    perf = open_perf(root.pid);
    let(&root);
    count = mw_perf_take(perf, &events);
    for (size_t i = 0; i < count; i++) {
        assert_true(events[i].t_ns >= last_ns);
        last_ns = events[i].t_ns;
        if (events[i].tid != events[i].pid)
            continue; /* of a sanitizer */
        follow(life_of(lives, &life_count, events[i].pid), &events[i]);
    }
    assert_true(last_ns <= mw_now_ns());
    assert_int_equal(mw_perf_lost(perf), 0);
    assert_int_equal(life_count, CHILDREN);
    for (size_t i = 0; i < CHILDREN; i++) {
        assert_int_equal(lives[i].ppid, root.pid);
        assert_int_equal(lives[i].forks, 1);
        assert_int_equal(lives[i].execs, 1);
        assert_int_equal(lives[i].exits, 1);
        assert_true(lives[i].fork_ns < lives[i].exec_ns && lives[i].exec_ns < lives[i].exit_ns);
        assert_string_equal(lives[i].name, "true");
    }
    assert_int_equal(mw_perf_take(perf, &events), 0); /* each once */
    mw_perf_close(perf);
    unit_kill(&root);
}

static void *end_at_once(void *argument)
{
    return argument;
}

static void start_threads_and_a_child(int in, int out, const void *context)
{
    pthread_t threads[THREADS];

    (void)context;
    unit_await(in);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, end_at_once, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    execute_and_reap("/bin/true", "true");
    unit_tell(out);
    unit_await(in);
}

/* Returns how many processes began. A thread can be joined before its exit is told. */
static int wait_for_threads(struct mw_perf *perf, pid_t root, int *forks, int *exits)
{
    const struct mw_task_event *events;
    int64_t begin_ns = mw_now_ns();
    int processes = 0;

    while (*forks < THREADS || *exits < THREADS) {
        size_t count = mw_perf_take(perf, &events);

        for (size_t i = 0; i < count; i++) {
            bool thread = events[i].pid == root;

            assert_true(events[i].tid != root); /* it is not new, and has not ended */
            *forks += thread && events[i].kind == MW_TASK_FORK;
            *exits += thread && events[i].kind == MW_TASK_EXIT;
            processes += events[i].kind == MW_TASK_FORK && events[i].tid == events[i].pid;
        }
        if (mw_now_ns() - begin_ns > INT64_C(60000000000))
            fail_msg("%d threads began, %d ended", *forks, *exits);
    }
    return processes;
}

static void test_a_thread_is_told_from_a_process(void **state)
{
    struct unit_child root;
    struct mw_perf *perf;
    int forks = 0, exits = 0;

    (void)state;
    unit_need_perf();
    unit_need_no_thread_sanitizer();
    root = unit_fork(start_threads_and_a_child, NULL);
    perf = open_perf(root.pid);
    let(&root);
    assert_int_equal(wait_for_threads(perf, root.pid, &forks, &exits), 1);
    assert_int_equal(forks, THREADS);
    assert_int_equal(exits, THREADS);
    mw_perf_close(perf);
    unit_kill(&root);
}

/* Executes this program under names of all lengths. */
static const char *const names[] = {
    "a", "seven77", "eight888", "exactly15chars.", "a-name-longer-than-comm", "it's \"\xff\" $`"};

static void execute_names(int in, int out, const void *context)
{
    const char *folder = context;

    unit_await(in);
    for (size_t i = 0; i < MW_COUNT(names); i++) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (symlink("/bin/true", path) != 0)
            _exit(1);
        execute_and_reap(path, names[i]);
    }
    unit_tell(out);
    unit_await(in);
}

static void test_an_exec_tells_the_name_of_what_runs_then(void **state)
{
    const struct mw_task_event *events;
    struct unit_child root;
    struct mw_perf *perf;
    char *folder;
    size_t count, execs = 0;

    unit_need_perf();
    unit_need_no_thread_sanitizer();
    folder = unit_path(state, ".");
    root = unit_fork(execute_names, folder);
    perf = open_perf(root.pid);
    let(&root);
    count = mw_perf_take(perf, &events);
    for (size_t i = 0; i < count; i++) {
        char wanted[16];

        if (events[i].kind != MW_TASK_EXEC)
            continue;
        assert_true(execs < MW_COUNT(names));
        snprintf(wanted, sizeof wanted, "%s", names[execs++]);
        assert_string_equal(events[i].name, wanted);
    }
    assert_int_equal(execs, MW_COUNT(names));
    mw_perf_close(perf);
    unit_kill(&root);
    free(folder);
}

/* Past the C library, so that a sanitizer adds no thread of its own. */
static void fork_and_reap(int count)
{
    for (int i = 0; i < count; i++) {
        pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
            syscall(SYS_exit_group, 0);
        waitpid(pid, NULL, 0);
    }
}

/* Forks and reaps on each CPU in turn: very often the first time, and once whenever told again. */
static void flood(int in, int out, const void *context)
{
    const cpu_set_t *cpus = context;

    for (int count = FLOOD; unit_await(in); count = 1) {
        for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            cpu_set_t one;

            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            if (CPU_ISSET(cpu, cpus) && sched_setaffinity(0, sizeof one, &one) == 0)
                fork_and_reap(count);
        }
        unit_tell(out);
    }
}

/* The kernel says what a ring has lost with the next event for which it has room. */
static void test_events_that_found_no_room_are_counted_one_by_one(void **state)
{
    const struct mw_task_event *events;
    struct unit_child root;
    struct mw_perf *perf;
    cpu_set_t cpus;
    uint64_t forks, taken;

    (void)state;
    unit_need_perf();
    unit_need_no_thread_sanitizer();
    assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    root = unit_fork(flood, &cpus);
    perf = open_perf(root.pid);
    let(&root); /* and nobody reads */
    taken = mw_perf_take(perf, &events);
    forks = (uint64_t)CPU_COUNT(&cpus) * FLOOD;
    assert_true(taken > 0 && taken < 2 * forks);
    let(&root);
    taken += mw_perf_take(perf, &events);
    forks += (uint64_t)CPU_COUNT(&cpus);
    assert_int_equal(taken + mw_perf_lost(perf), 2 * forks); /* a fork and an exit each */
    mw_perf_close(perf);
    unit_kill(&root);
}

static void fork_on_demand(int in, int out, const void *context)
{
    (void)context;
    while (unit_await(in)) {
        fork_and_reap(1);
        unit_tell(out);
    }
}

static bool is_readable(const struct mw_perf *perf, int patience_ms)
{
    return poll(&(struct pollfd){.fd = mw_perf_fd(perf), .events = POLLIN}, 1, patience_ms) == 1;
}

static void test_the_descriptor_is_readable_until_the_events_are_taken(void **state)
{
    const struct mw_task_event *events;
    struct unit_child root;
    struct mw_perf *perf;

    (void)state;
    unit_need_perf();
    unit_need_no_thread_sanitizer();
    root = unit_fork(fork_on_demand, NULL);
    perf = open_perf(root.pid);
    assert_false(is_readable(perf, 0));
    for (int i = 0; i < 3; i++) {
        unit_tell(root.to);
        assert_true(is_readable(perf, 60000));
        assert_true(unit_await(root.from));
        assert_true(mw_perf_take(perf, &events) > 0);
        assert_false(is_readable(perf, 0));
    }
    unit_kill(&root);
    mw_perf_take(perf, &events); /* the root's own end */
    assert_false(is_readable(perf, 0));
    assert_int_equal(mw_perf_take(perf, &events), 0);
    mw_perf_close(perf);
    mw_perf_close(NULL);
}

/* Says 0 when it is refused. */
static void listen_as_nobody(int in, int out, const void *context)
{
    const pid_t *root = context;
    struct mw_perf *perf = NULL;
    int code;

    (void)in;
    (void)out;
    if (!unit_become_nobody())
        _exit(9);
    code = mw_perf_open(&perf, *root, NULL);
    _exit(perf ? 1 : code == -EACCES || code == -EPERM ? 0 : 2);
}

static void test_a_process_of_another_user_is_refused(void **state)
{
    struct unit_child root, nobody;

    (void)state;
    unit_need_root();
    root = unit_fork(fork_on_demand, NULL);
    nobody = unit_fork(listen_as_nobody, &root.pid);
    assert_int_equal(unit_join(&nobody), 0);
    unit_kill(&root);
}

static void test_a_process_that_is_gone_is_no_root(void **state)
{
    struct unit_child root;
    struct mw_perf *perf = NULL;
    struct mw_error error = {0};

    (void)state;
    unit_need_perf();
    unit_need_no_thread_sanitizer();
    root = unit_fork(fork_on_demand, NULL);
    unit_kill(&root);
    assert_int_equal(mw_perf_open(&perf, root.pid, &error), -ESRCH);
    assert_null(perf);
    assert_true(*error.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_every_fork_exec_and_exit_of_300_children_is_told_with_its_time),
        UNIT_TEST(test_a_thread_is_told_from_a_process),
        UNIT_TEST(test_an_exec_tells_the_name_of_what_runs_then),
        UNIT_TEST(test_events_that_found_no_room_are_counted_one_by_one),
        UNIT_TEST(test_the_descriptor_is_readable_until_the_events_are_taken),
        UNIT_TEST(test_a_process_of_another_user_is_refused),
        UNIT_TEST(test_a_process_that_is_gone_is_no_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
