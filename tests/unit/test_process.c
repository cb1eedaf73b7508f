/* One process is read as long as any of its threads lives, and never after it has ended. */
#include "capture/clock.h"
#include "capture/process.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3 };

static void wait_for_the_end(int in, int out, const void *context)
{
    (void)context;
    unit_tell(out);
    unit_await(in);
}

static struct mw_live_process open_process(const struct unit_child *child)
{
    return mw_process_open(child->pid, getpid(), mw_now_ns());
}

/* What statm says of a live process, read past the code under test. */
static uint64_t resident_pages(pid_t pid)
{
    char path[32];
    unsigned long size = 0, resident = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
    fclose(file);
    return resident;
}

static void test_a_process_is_read_as_statm_says(void **state)
{
    struct unit_child child = unit_fork(wait_for_the_end, NULL);
    struct mw_live_process process = open_process(&child);
    struct mw_statm statm = {0};
    unsigned long before, after;

    (void)state;
    assert_true(unit_await(child.from));
    assert_true(process.statm_fd >= 0);
    do { /* it may still be on its way to waiting */
        before = resident_pages(child.pid);
        assert_int_equal(mw_process_read(&process, &statm), 0);
        after = resident_pages(child.pid);
    } while (before != after);
    assert_true(statm.resident_pages > 0);
    assert_int_equal(statm.resident_pages, after);
    mw_process_close(&process);
    assert_int_equal(process.statm_fd, -1);
    unit_kill(&child);
}

static void *wait_for_a_byte(void *argument)
{
    const int *in = argument;

    unit_await(*in);
    syscall(SYS_exit, 0); /* this thread alone */
    return NULL;
}

/* Its first thread exits, and each other one when it is told to. */
static void leave_it_to_threads(int in, int out, const void *context)
{
    pthread_t threads[THREADS];

    (void)context;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, wait_for_a_byte, &in);
    unit_tell(out);
    syscall(SYS_exit, 0);
}

static char state_of(pid_t pid, pid_t thread)
{
    char path[48], state = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)thread);
    file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    fclose(file);
    return state;
}

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static int count_threads(pid_t pid)
{
    char path[32];
    DIR *folder;
    int count = -2;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* Reads it as each thread in turn ends; the last one ends the process. */
static void check_threads(struct mw_live_process *process, struct unit_child *child)
{
    struct mw_statm statm;
    siginfo_t info;
    int before;

    assert_true(unit_await(child->from));
    while (state_of(child->pid, child->pid) != 'Z')
        pause_shortly();
    for (int left = THREADS; left > 0; left--) {
        statm = (struct mw_statm){0};
        assert_int_equal(mw_process_read(process, &statm), 0);
        assert_true(statm.size_pages > 0 && statm.resident_pages > 0);
        assert_true(process->thread != child->pid);
        before = count_threads(child->pid);
        unit_tell(child->to);
        while (left > 1 && count_threads(child->pid) == before)
            pause_shortly();
    }
    kill(child->pid, SIGKILL); /* a sanitizer may have a thread of its own */
    assert_int_equal(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(mw_process_read(process, &statm), -ESRCH);
}

static void test_a_process_whose_first_thread_has_exited_is_still_read(void **state)
{
    struct unit_child child = unit_fork(leave_it_to_threads, NULL);
    struct mw_live_process process = open_process(&child);

    (void)state;
    check_threads(&process, &child);
    mw_process_close(&process);
    unit_join(&child);
}

static void test_a_zombie_and_one_that_was_reaped_have_ended(void **state)
{
    struct unit_child child = unit_fork(wait_for_the_end, NULL);
    struct mw_live_process process = open_process(&child), late;
    struct mw_statm statm;
    siginfo_t info;

    (void)state;
    kill(child.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(mw_process_read(&process, &statm), -ESRCH);
    late = open_process(&child);
    assert_int_equal(mw_process_read(&late, &statm), -ESRCH);
    mw_process_close(&late);
    unit_join(&child);
    assert_int_equal(mw_process_read(&process, &statm), -ESRCH);
    mw_process_close(&process);
    late = open_process(&child);
    assert_int_equal(mw_process_read(&late, &statm), -ESRCH);
    mw_process_close(&late);
    mw_process_close(&late);
}

/* Leaves so few descriptors that none may be kept, but some opened for a moment. */
static struct rlimit leave_few(const struct unit_child *child)
{
    struct rlimit before, few;

    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = (rlim_t)child->from + 8;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    return before;
}

/* Reads until /proc says the same on both ways: a child that has just said that it is there may
 * still touch pages on its way to where it waits. */
static void check_resident(struct mw_live_process *process)
{
    struct mw_statm statm = {0};
    uint64_t resident = 1;

    for (int tries = 0; tries < 1000 && statm.resident_pages != resident; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = tries ? 1000000 : 0}, NULL);
        assert_int_equal(mw_process_read(process, &statm), 0);
        resident = (uint64_t)resident_pages(process->pid);
    }
    assert_int_equal(statm.resident_pages, resident);
}

static void test_where_no_descriptor_is_left_it_is_read_all_the_same(void **state)
{
    struct unit_child child;
    struct rlimit before;
    struct mw_live_process process;
    struct mw_statm statm = {0};

    (void)state;
    unit_need_no_thread_sanitizer();
    child = unit_fork(wait_for_the_end, NULL);
    before = leave_few(&child);
    process = open_process(&child);
    assert_true(unit_await(child.from));
    assert_int_equal(process.statm_fd, -1);
    check_resident(&process);
    unit_kill(&child);
    assert_int_equal(mw_process_read(&process, &statm), -ESRCH);
    mw_process_close(&process);
    setrlimit(RLIMIT_NOFILE, &before);
}

static void test_threads_are_followed_where_no_descriptor_is_left_too(void **state)
{
    struct unit_child child = unit_fork(leave_it_to_threads, NULL);
    struct rlimit before = leave_few(&child);
    struct mw_live_process process = open_process(&child);

    (void)state;
    assert_int_equal(process.statm_fd, -1);
    check_threads(&process, &child);
    mw_process_close(&process);
    setrlimit(RLIMIT_NOFILE, &before);
    unit_join(&child);
}

/* Not one descriptor: the process lives, and can be read again as soon as there is one. */
static void test_a_process_that_cannot_be_read_now_has_not_ended(void **state)
{
    struct unit_child child = unit_fork(wait_for_the_end, NULL);
    struct rlimit before, none;
    struct mw_live_process process;
    struct mw_statm statm;
    int code;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    process = open_process(&child);
    code = mw_process_read(&process, &statm);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(code, -EMFILE);
    assert_int_equal(mw_process_read(&process, &statm), 0);
    mw_process_close(&process);
    unit_kill(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_process_is_read_as_statm_says),
        UNIT_TEST(test_a_process_whose_first_thread_has_exited_is_still_read),
        UNIT_TEST(test_a_zombie_and_one_that_was_reaped_have_ended),
        UNIT_TEST(test_where_no_descriptor_is_left_it_is_read_all_the_same),
        UNIT_TEST(test_threads_are_followed_where_no_descriptor_is_left_too),
        UNIT_TEST(test_a_process_that_cannot_be_read_now_has_not_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
