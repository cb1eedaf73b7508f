/* The mark channel, with this program's own children on its other side. */
#include "capture/marks.h"
#include "memwatch.h"
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum { MANY = 5000, THREADS = 4, SPIKE_MIB = 32 };

static struct mw_marks *open_marks(void)
{
    struct mw_marks *marks = NULL;
    struct mw_error error = {0};

    if (mw_marks_open(&marks, true, &error) < 0)
        fail_msg("%s", error.text);
    setenv(MW_MARKS_VARIABLE, mw_marks_path(marks), 1);
    return marks;
}

static void close_marks(struct mw_marks *marks)
{
    mw_marks_close(marks);
    unsetenv(MW_MARKS_VARIABLE);
}

static void mark_nested(int in, int out, const void *context)
{
    (void)context;
    unit_await(in);
    {
        MEMWATCH_SCOPE("outer");
        {
            MEMWATCH_SCOPE("inner");
            size_t size = (size_t)SPIKE_MIB << 20;
            volatile char *spike =
                mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

            for (size_t at = 0; at < size; at += 4096)
                spike[at] = 1;
            munmap((void *)(uintptr_t)spike, size);
        }
    }
    {
        MEMWATCH_TIMED_SCOPE("timed");
    }
    MEMWATCH_POINT("point");
    unit_tell(out);
    unit_await(in);
}

static void check_mark(const struct mw_mark *mark, enum mw_mark_kind kind, const char *name,
                       const struct unit_child *child)
{
    assert_int_equal(mark->kind, kind);
    assert_string_equal(mark->site->name, name);
    assert_string_equal(mark->site->file, __FILE__);
    assert_true(mark->site->line > 0);
    assert_int_equal(mark->pid, child->pid);
    assert_int_equal(mark->tid, child->pid);
    assert_int_equal(mark->track, 0);
}

/* The first mark of a process tells of the high-water mark until then, which it has reset. */
static void check_first(const struct mw_mark *mark, pid_t pid)
{
    assert_int_equal(mark->kind, MW_MARK_RESET);
    assert_int_equal(mark->pid, pid);
    assert_int_equal(mark->resident_kib, -1);
    assert_true(mark->window_kib > 0);
}

static void test_marks_come_in_order_with_their_names_and_the_memory(void **state)
{
    struct mw_marks *marks = open_marks();
    struct unit_child child = unit_fork(mark_nested, NULL);
    const struct mw_mark *mark;

    (void)state;
    assert_int_equal(mw_marks_take(marks, &mark), 0);
    unit_tell(child.to);
    assert_true(unit_await(child.from));
    assert_int_equal(mw_marks_take(marks, &mark), 8);
    check_first(mark++, child.pid);
    check_mark(&mark[0], MW_MARK_ENTER, "outer", &child);
    check_mark(&mark[1], MW_MARK_ENTER, "inner", &child);
    check_mark(&mark[2], MW_MARK_EXIT, "inner", &child);
    check_mark(&mark[3], MW_MARK_EXIT, "outer", &child);
    check_mark(&mark[4], MW_MARK_ENTER, "timed", &child);
    check_mark(&mark[5], MW_MARK_EXIT, "timed", &child);
    check_mark(&mark[6], MW_MARK_POINT, "point", &child);
    assert_ptr_equal(mark[0].site, mark[3].site);
    for (int i = 1; i < 7; i++)
        assert_true(mark[i].t_ns >= mark[i - 1].t_ns);
    assert_true(mark[0].resident_kib > 0);
    assert_true(mark[2].window_kib >= mark[1].resident_kib + SPIKE_MIB * 1024 - 1024);
    assert_true(mark[3].window_kib < mark[2].window_kib); /* it was reset at the exit before */
    assert_int_equal(mark[4].resident_kib, -1);
    assert_int_equal(mark[4].window_kib, -1);
    assert_int_equal(mw_marks_take(marks, &mark), 0);
    assert_int_equal(mw_marks_lost(marks), 0);
    unit_kill(&child);
    close_marks(marks);
}

static void *mark_often(void *argument)
{
    for (int i = 0; i < MANY; i++) {
        MEMWATCH_TIMED_SCOPE("often");
    }
    return argument;
}

static void mark_from_threads(int in, int out, const void *context)
{
    pthread_t threads[THREADS];

    (void)in;
    (void)context;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, mark_often, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    unit_tell(out);
}

/* Takes all marks until the child has ended; returns how many. */
static size_t take_all(struct mw_marks *marks, struct unit_child *child)
{
    const struct mw_mark *mark;
    size_t count = 0;
    siginfo_t info = {0};

    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
           info.si_pid == 0) {
        mw_marks_wait(marks, mw_marks_wakes(marks), 1);
        count += mw_marks_take(marks, &mark);
    }
    for (size_t more = 1; more > 0; count += more)
        more = mw_marks_take(marks, &mark);
    return count;
}

static void test_marks_of_all_threads_come(void **state)
{
    struct mw_marks *marks = open_marks();
    struct unit_child child = unit_fork(mark_from_threads, NULL);

    (void)state;
    assert_int_equal(take_all(marks, &child) + mw_marks_lost(marks), 1 + 2 * MANY * THREADS);
    unit_join(&child);
    close_marks(marks);
}

/* Threads that mark in turns, in a time that is the same for all: fewer than a ring holds. */
struct turns {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int turn;
};

static void *mark_in_turns(void *argument)
{
    static struct turns turns = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    int me = (int)(intptr_t)argument;

    for (int round = 0; round < 2; round++) {
        pthread_mutex_lock(&turns.lock);
        while (turns.turn % THREADS != me)
            pthread_cond_wait(&turns.changed, &turns.lock);
        for (int i = 0; i < MEMWATCH_SLOTS_ / 2; i++)
            MEMWATCH_POINT("in turns");
        turns.turn++;
        pthread_cond_broadcast(&turns.changed);
        pthread_mutex_unlock(&turns.lock);
    }
    return NULL;
}

static void mark_from_threads_in_turns(int in, int out, const void *context)
{
    pthread_t threads[THREADS];

    (void)in;
    (void)context;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, mark_in_turns, (void *)(intptr_t)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    unit_tell(out);
}

static void test_no_mark_overtakes_an_earlier_one_of_another_thread(void **state)
{
    struct mw_marks *marks = open_marks();
    struct unit_child child = unit_fork(mark_from_threads_in_turns, NULL);
    const int all = 1 + THREADS * MEMWATCH_SLOTS_;
    const struct mw_mark *mark;
    int64_t last_ns = 0;

    (void)state;
    for (int count = 0; count < all;) {
        size_t more = mw_marks_take(marks, &mark);

        for (size_t i = 0; i < more; i++) {
            assert_true(mark[i].t_ns >= last_ns);
            last_ns = mark[i].t_ns;
        }
        count += (int)more;
        assert_int_equal(mw_marks_lost(marks), 0);
    }
    unit_join(&child);
    close_marks(marks);
}

static pid_t fork_quietly(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void mark_after_fork(int in, int out, const void *context)
{
    pid_t pid;

    (void)in;
    (void)out;
    MEMWATCH_POINT("parent");
    pid = context ? fork_quietly() : fork();
    if (pid == 0) {
        MEMWATCH_POINT("child");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    MEMWATCH_POINT("parent again");
}

static void check_fork(const char *quietly)
{
    struct mw_marks *marks = open_marks();
    struct unit_child child = unit_fork(mark_after_fork, quietly);
    const struct mw_mark *mark;

    unit_join(&child);
    assert_int_equal(mw_marks_take(marks, &mark), 5);
    check_first(&mark[0], child.pid);
    assert_int_equal(mark[1].pid, child.pid);
    check_first(&mark[2], mark[3].pid);
    assert_string_equal(mark[3].site->name, "child");
    assert_int_not_equal(mark[3].pid, child.pid);
    assert_true(mark[3].resident_kib > 0);
    assert_int_equal(mark[4].pid, child.pid);
    close_marks(marks);
}

static void test_after_fork_parent_and_child_have_marks_of_their_own(void **state)
{
    (void)state;
    check_fork(NULL);
}

static void test_after_a_fork_that_no_handler_hears_of_they_have_so_too(void **state)
{
    (void)state;
    check_fork("quietly");
}

static void mark_until_it_is_full(int in, int out, const void *context)
{
    (void)in;
    (void)out;
    (void)context;
    for (int i = 0; i < MEMWATCH_SLOTS_ - 1 + 3; i++)
        memwatch_mark_(MEMWATCH_SITE_("full"), MEMWATCH_KIND_POINT_, 0);
}

static void test_a_ring_that_nobody_empties_loses_marks_and_counts_them(void **state)
{
    struct mw_marks *marks = open_marks();
    struct unit_child child = unit_fork(mark_until_it_is_full, NULL);
    const struct mw_mark *mark;

    (void)state;
    assert_int_equal(unit_join(&child), 0);
    assert_int_equal(mw_marks_lost(marks), 3);
    assert_int_equal(mw_marks_take(marks, &mark), MEMWATCH_SLOTS_);
    close_marks(marks);
}

static void mark_once(int in, int out, const void *context)
{
    (void)in;
    (void)out;
    (void)context;
    MEMWATCH_POINT("once");
    _exit(0); /* the ring is not given back */
}

static void test_rings_of_processes_that_have_ended_are_used_again(void **state)
{
    struct mw_marks *marks = open_marks();
    const struct mw_mark *mark;

    (void)state;
    for (int i = 0; i < MEMWATCH_LANES_ + 10; i++) {
        struct unit_child child = unit_fork(mark_once, NULL);

        unit_join(&child);
        mw_marks_process_ended(marks, child.pid);
        assert_int_equal(mw_marks_take(marks, &mark), 2);
    }
    assert_int_equal(mw_marks_lost(marks), 0);
    close_marks(marks);
}

static void close_everything(int in, int out, const void *context)
{
    (void)in;
    (void)context;
    MEMWATCH_POINT("before");
    for (int fd = 3; fd < 1024; fd++) {
        if (fd != out)
            close(fd);
    }
    for (int fd = 200; fd < 210; fd++)
        dup2(out, fd); /* what was the channel's is somebody else's now */
    MEMWATCH_POINT("after");
    unit_tell(out);
}

static void test_a_program_that_closes_all_descriptors_goes_on_to_mark(void **state)
{
    struct mw_marks *marks = open_marks();
    struct unit_child child = unit_fork(close_everything, NULL);
    const struct mw_mark *mark;
    char heard[8];

    (void)state;
    assert_int_equal(read(child.from, heard, sizeof heard), 1); /* and no "5" before it */
    assert_int_equal(unit_join(&child), 0);
    assert_int_equal(mw_marks_take(marks, &mark), 3);
    assert_int_equal(mark[2].resident_kib, -1);
    close_marks(marks);
}

static void scribble(int in, int out, const void *context)
{
    uint64_t seed = *(const uint64_t *)context;
    struct memwatch_channel_ *channel;

    (void)in;
    (void)out;
    for (int i = 0; i < 100; i++)
        MEMWATCH_POINT("scribble");
    channel = memwatch_state_.channel;
    for (int i = 0; i < 20000; i++) {
        char *part = unit_random(&seed) % 2 ? (char *)channel->slots[0] : (char *)channel;
        size_t size = part == (char *)channel ? offsetof(struct memwatch_channel_, slots)
                                              : sizeof channel->slots[0];

        part[unit_random(&seed) % size] = (char)unit_random(&seed);
    }
}

static void test_a_channel_that_was_scribbled_over_harms_nobody(void **state)
{
    const struct mw_mark *mark;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct mw_marks *marks = open_marks();
        struct unit_child child = unit_fork(scribble, &seed);

        unit_join(&child);
        for (int i = 0; i < 10; i++) {
            for (size_t k = mw_marks_take(marks, &mark); k > 0; k--)
                assert_true(strlen(mark[k - 1].site->name) < MEMWATCH_TEXT_);
        }
        mw_marks_lost(marks);
        close_marks(marks);
    }
}

static void mark_and_time(int in, int out, const void *context)
{
    enum { ROUNDS = 3200 };
    uint64_t times_ns[3];

    (void)in;
    (void)context;
    times_ns[0] = memwatch_now_ns_();
    for (int i = 0; i < ROUNDS; i++) {
        MEMWATCH_TIMED_SCOPE("timed");
    }
    times_ns[1] = memwatch_now_ns_();
    for (int i = 0; i < ROUNDS / 8; i++) {
        MEMWATCH_SCOPE("read");
    }
    times_ns[2] = memwatch_now_ns_();
    dprintf(out, "%.3f us a timed scope, %.3f us a scope",
            (double)(times_ns[1] - times_ns[0]) / 1e3 / ROUNDS,
            (double)(times_ns[2] - times_ns[1]) / 1e3 / (ROUNDS / 8));
}

static void test_what_a_mark_costs_is_told(void **state)
{
    struct mw_marks *marks = open_marks();
    struct unit_child child = unit_fork(mark_and_time, NULL);
    char text[128] = "";

    (void)state;
    assert_true(read(child.from, text, sizeof text - 1) > 0);
    print_message("# %s\n", text);
    unit_join(&child);
    close_marks(marks);
}

static void mark_without_a_channel(int in, int out, const void *context)
{
    const char *path = context;

    (void)in;
    (void)out;
    if (path)
        setenv(MW_MARKS_VARIABLE, path, 1);
    MEMWATCH_POINT("nowhere");
    _exit(memwatch_state_.status == -1 ? 0 : 1);
}

static void test_without_a_channel_marks_are_nothing(void **state)
{
    static const char *const paths[] = {NULL,          "", "/nowhere/at/all", "/dev/null",
                                        "/etc/passwd", "/"};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(paths); i++) {
        struct unit_child child = unit_fork(mark_without_a_channel, paths[i]);

        assert_int_equal(unit_join(&child), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_marks_come_in_order_with_their_names_and_the_memory),
        UNIT_TEST(test_marks_of_all_threads_come),
        UNIT_TEST(test_no_mark_overtakes_an_earlier_one_of_another_thread),
        UNIT_TEST(test_after_fork_parent_and_child_have_marks_of_their_own),
        UNIT_TEST(test_after_a_fork_that_no_handler_hears_of_they_have_so_too),
        UNIT_TEST(test_a_ring_that_nobody_empties_loses_marks_and_counts_them),
        UNIT_TEST(test_rings_of_processes_that_have_ended_are_used_again),
        UNIT_TEST(test_a_program_that_closes_all_descriptors_goes_on_to_mark),
        UNIT_TEST(test_a_channel_that_was_scribbled_over_harms_nobody),
        UNIT_TEST(test_what_a_mark_costs_is_told),
        UNIT_TEST(test_without_a_channel_marks_are_nothing),
    };

    return cmocka_run_group_tests_name("marks", tests, NULL, NULL);
}
