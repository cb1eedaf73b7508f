/* The kernel's high-water mark: a spike between two takings is in it, within the bound. */
#include "capture/highwater.h"
#include "capture/procfs.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20 };

static uint64_t resident_kib(pid_t pid)
{
    struct mw_statm statm;
    int fd = mw_procfs_open(pid, "statm", O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(mw_procfs_read_statm(fd, &statm), 0);
    close(fd);
    return statm.resident_pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* How far a mark may be from what it should be: its own bound, and that of the statm compared with.
 */
static uint64_t slack_kib(void)
{
    return (uint64_t)(mw_high_water_bound_kib() + mw_resident_bound_kib());
}

static void check_mark(uint64_t kib, uint64_t wanted_kib)
{
    uint64_t slack = slack_kib();

    assert_in_range(kib, wanted_kib > slack ? wanted_kib - slack : 0, wanted_kib + slack);
}

static void check_marks(const struct mw_high_water *mark, const struct unit_child *child)
{
    struct mw_high_water_reading reading;
    uint64_t base;

    unit_spike(child); /* after the first one the process has touched all else that it needs */
    assert_int_equal(mw_high_water_take(mark, &reading), 0);
    base = resident_kib(child->pid);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(mw_high_water_take(mark, &reading), 0);
        check_mark(reading.kib, base); /* low again */
        unit_spike(child);
        assert_int_equal(mw_high_water_take(mark, &reading), 0);
        check_mark(reading.kib, base + UNIT_SPIKE_KIB);
        assert_true(reading.blind_ns > 0 && reading.unseen_kib > 0);
    }
}

static void test_a_spike_between_two_takings_is_in_the_second_and_in_no_later_one(void **state)
{
    struct unit_child child;
    struct mw_high_water mark;

    (void)state;
    unit_need_no_thread_sanitizer();
    child = unit_fork(unit_spikes, NULL);
    mark = mw_high_water_open(child.pid);
    check_marks(&mark, &child);
    mw_high_water_close(&mark);
    assert_int_equal(mark.status_fd, -1);
    assert_int_equal(mark.clear_fd, -1);
    unit_kill(&child);
}

static void test_without_kept_descriptors_it_is_the_same(void **state)
{
    struct unit_child child;
    struct mw_high_water mark;
    struct rlimit before, few;

    (void)state;
    unit_need_no_thread_sanitizer();
    child = unit_fork(unit_spikes, NULL);
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = (rlim_t)child.from + 12;
    setrlimit(RLIMIT_NOFILE, &few);
    mark = mw_high_water_open(child.pid);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(mark.status_fd, -1);
    assert_int_equal(mark.clear_fd, -1);
    check_marks(&mark, &child);
    mw_high_water_close(&mark);
    unit_kill(&child);
}

/* Says 0 when the taking is refused and gives no number, with and without kept descriptors. */
static void take_as_nobody(int in, int out, const void *context)
{
    const pid_t *pid = context;
    struct mw_high_water opened, bare = {*pid, -1, -1};
    struct mw_high_water_reading reading = {.kib = 4711};
    int refused = 0;

    (void)in;
    (void)out;
    if (!unit_become_nobody())
        _exit(9);
    opened = mw_high_water_open(*pid);
    refused += mw_high_water_take(&opened, &reading) == -EACCES;
    refused += mw_high_water_take(&bare, &reading) == -EACCES;
    _exit(refused == 2 && reading.kib == 4711 ? 0 : 1);
}

static void test_who_may_not_reset_the_mark_changes_nothing(void **state)
{
    struct unit_child child, nobody;
    uint64_t before = 0, after = 1;

    (void)state;
    unit_need_root();
    child = unit_fork(unit_spikes, NULL);
    unit_spike(&child);
    assert_int_equal(mw_procfs_read_high_water(child.pid, &before), 0);
    assert_true(before > UNIT_SPIKE_KIB - slack_kib());
    nobody = unit_fork(take_as_nobody, &child.pid);
    assert_int_equal(unit_join(&nobody), 0);
    assert_int_equal(mw_procfs_read_high_water(child.pid, &after), 0);
    assert_int_equal(after, before);
    unit_kill(&child);
}

static void test_a_process_that_has_ended_has_no_mark(void **state)
{
    struct unit_child child = unit_fork(unit_spikes, NULL);
    struct mw_high_water mark = mw_high_water_open(child.pid), bare = {child.pid, -1, -1};
    struct mw_high_water_reading reading = {.kib = 4711};
    siginfo_t info;

    (void)state;
    assert_true(mark.status_fd >= 0 && mark.clear_fd >= 0);
    kill(child.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(mw_high_water_take(&mark, &reading), -EBADMSG); /* a zombie */
    unit_join(&child);
    assert_int_equal(mw_high_water_take(&mark, &reading), -ESRCH);
    assert_true(mw_high_water_take(&bare, &reading) < 0);
    assert_int_equal(reading.kib, 4711);
    mw_high_water_close(&mark);
}

static int64_t formula_kib(void)
{
    int64_t cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t batch = 2 * cpus > 32 ? 2 * cpus : 32;

    return 3 * cpus * (batch - 1) * sysconf(_SC_PAGESIZE) / 1024;
}

static void test_bounds_are_those_of_the_kernels_counters_or_none(void **state)
{
    int64_t resident = mw_resident_bound_kib();

    (void)state;
    unit_need_memory_of_its_own();
    assert_int_equal(mw_high_water_bound_kib(), formula_kib());
    assert_true(resident == 0 || resident == formula_kib());
    assert_int_equal(mw_resident_bound_kib(), resident);
}

/* Touches pages in steps that it knows, and counts how often statm was off by more than the bound.
 */
static void test_statm_is_never_off_by_more_than_its_bound(void **state)
{
    enum { PAGES = 600 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int64_t bound = mw_resident_bound_kib();
    uint64_t before;
    char *memory =
        mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    unit_need_memory_of_its_own();
    unit_need_no_thread_sanitizer();
    madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
    resident_kib(getpid());
    before = resident_kib(getpid());
    for (size_t i = 0; i < PAGES; i++) {
        int64_t grown;

        *(volatile char *)(memory + i * page) = 1;
        grown = (int64_t)(resident_kib(getpid()) - before) - (int64_t)((i + 1) * page / 1024);
        assert_true(grown >= -2 * bound && grown <= 2 * bound);
    }
    munmap(memory, PAGES * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_spike_between_two_takings_is_in_the_second_and_in_no_later_one),
        UNIT_TEST(test_without_kept_descriptors_it_is_the_same),
        UNIT_TEST(test_who_may_not_reset_the_mark_changes_nothing),
        UNIT_TEST(test_a_process_that_has_ended_has_no_mark),
        UNIT_TEST(test_bounds_are_those_of_the_kernels_counters_or_none),
        UNIT_TEST(test_statm_is_never_off_by_more_than_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
