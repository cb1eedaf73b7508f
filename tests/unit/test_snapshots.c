/* Two snapshots of a suspect, apart, at a bounded cost; and from there into the file. */
#include "capture/clock.h"
#include "record.h"
#include "record/snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOT = 3, GROWTH = 8 << 20, PAGE = 4096 };
static const int64_t second_ns = 1000000000, minute_ns = 60 * INT64_C(1000000000);
static const int64_t hour_ns = 3600 * INT64_C(1000000000);

/* Maps 8 MiB under a name whenever it is told to. */
static void grow(int in, int out, const void *context)
{
    (void)context;
    do {
        int fd = memfd_create("cache", MFD_CLOEXEC);
        volatile char *memory;

        if (ftruncate(fd, GROWTH) < 0)
            _exit(1);
        memory = mmap(NULL, GROWTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        for (size_t at = 0; at < GROWTH; at += PAGE)
            memory[at] = 1;
        unit_tell(out);
    } while (unit_await(in));
}

static void map_much(int in, int out, const void *context)
{
    enum { MAPPINGS = 20000 };

    (void)context;
    for (int i = 0; i < MAPPINGS; i++)
        mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    unit_tell(out);
    unit_await(in);
}

static struct unit_child child_that(unit_body *body)
{
    struct unit_child child = unit_fork(body, NULL);

    assert_true(unit_await(child.from));
    return child;
}

static void let_grow(const struct unit_child *child)
{
    unit_tell(child->to);
    assert_true(unit_await(child->from));
}

/* What was taken: whether it was the first or the second, and how large the memfd was. */
struct taken {
    int count;
    struct {
        bool second;
        uint32_t slot;
        int64_t from_ns, to_ns;
        uint64_t cache_kib;
    } last;
    struct mw_writer *writer; /* NULL: not stored */
    int64_t start_ns;
    int answer;
};

static int keep(void *context, const struct mw_taken_snapshot *snapshot)
{
    struct taken *taken = context;

    taken->count++;
    taken->last.second = snapshot->second;
    taken->last.slot = snapshot->slot;
    taken->last.from_ns = snapshot->from_ns;
    taken->last.to_ns = snapshot->to_ns;
    taken->last.cache_kib = 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        if (snapshot->groups[i].kind == MW_MAPPING_MEMFD)
            taken->last.cache_kib = snapshot->groups[i].resident_kib;
    }
    if (taken->writer) {
        struct mw_snapshot stored = {(snapshot->from_ns - taken->start_ns) / 1000,
                                     (snapshot->to_ns - taken->start_ns) / 1000, snapshot->second,
                                     snapshot->groups, snapshot->count};

        assert_int_equal(mw_writer_add_snapshot(taken->writer, 0, &stored, NULL), 0);
    }
    return taken->answer;
}

/* Takes what is due up to a moment, as if time passed in leaps. Returns the moment of the last. */
static int64_t take_until(struct mw_snapshots *snapshots, int64_t end_ns, struct taken *taken)
{
    int64_t due_ns, last_ns = 0;

    while ((due_ns = mw_snapshots_due_ns(snapshots)) <= end_ns) {
        last_ns = due_ns;
        assert_int_equal(mw_snapshots_take(snapshots, due_ns, keep, taken), 0);
    }
    return last_ns;
}

static void check_pair(int64_t observed_ns, int64_t pause_ns)
{
    struct mw_snapshots *snapshots = mw_snapshots_new(0);
    struct unit_child child = child_that(grow);
    struct taken taken = {0};
    int64_t first_ns;

    assert_true(mw_snapshots_due_ns(snapshots) == INT64_MAX);
    assert_true(mw_snapshots_suspect(snapshots, SLOT, child.pid, hour_ns, observed_ns));
    take_until(snapshots, hour_ns + pause_ns / 2, &taken);
    assert_int_equal(taken.count, 1);
    assert_false(taken.last.second);
    assert_int_equal(taken.last.slot, SLOT);
    assert_int_equal(taken.last.cache_kib, GROWTH >> 10);
    first_ns = taken.last.from_ns;
    assert_in_range(first_ns, hour_ns, hour_ns + second_ns);
    let_grow(&child);
    take_until(snapshots, first_ns + pause_ns - 1, &taken);
    assert_int_equal(taken.count, 1);
    take_until(snapshots, first_ns + pause_ns + minute_ns / 2, &taken);
    assert_int_equal(taken.count, 2);
    assert_true(taken.last.second);
    assert_int_equal(taken.last.cache_kib, 2 * GROWTH >> 10);
    assert_true(taken.last.from_ns >= first_ns + pause_ns);
    assert_true(taken.last.to_ns >= taken.last.from_ns);
    assert_true(mw_snapshots_due_ns(snapshots) == INT64_MAX);
    mw_snapshots_free(snapshots);
    unit_kill(&child);
}

static void test_the_second_comes_after_a_tenth_of_the_time_and_a_minute_or_half_of_it(void **state)
{
    (void)state;
    check_pair(minute_ns, minute_ns / 2);
    check_pair(5 * minute_ns, minute_ns);
    check_pair(100 * minute_ns, 10 * minute_ns);
}

static void test_the_end_of_the_recording_brings_the_second(void **state)
{
    struct mw_snapshots *snapshots = mw_snapshots_new(0);
    struct unit_child child = child_that(grow), other = child_that(grow);
    struct taken taken = {0};

    (void)state;
    mw_snapshots_suspect(snapshots, SLOT, child.pid, hour_ns, hour_ns);
    take_until(snapshots, hour_ns + second_ns, &taken);
    mw_snapshots_suspect(snapshots, SLOT + 1, other.pid, hour_ns + minute_ns, hour_ns);
    let_grow(&child);
    assert_int_equal(taken.count, 1);
    assert_int_equal(mw_snapshots_finish(snapshots, hour_ns + minute_ns, keep, &taken), 0);
    assert_int_equal(taken.count, 2); /* and none of the one that has no first */
    assert_true(taken.last.second);
    assert_int_equal(taken.last.slot, SLOT);
    assert_true(taken.last.from_ns >= hour_ns + minute_ns);
    assert_int_equal(taken.last.cache_kib, 2 * GROWTH >> 10);
    assert_true(mw_snapshots_due_ns(snapshots) == INT64_MAX);
    mw_snapshots_free(snapshots);
    mw_snapshots_free(NULL);
    unit_kill(&child);
    unit_kill(&other);
}

static void test_a_process_that_ends_before_has_but_the_first(void **state)
{
    struct mw_snapshots *snapshots = mw_snapshots_new(0);
    struct unit_child child = child_that(grow);
    struct taken taken = {0};
    pid_t pid = child.pid;

    (void)state;
    mw_snapshots_suspect(snapshots, SLOT, child.pid, hour_ns, hour_ns);
    take_until(snapshots, hour_ns + second_ns, &taken);
    unit_kill(&child);
    take_until(snapshots, 2 * hour_ns, &taken);
    assert_int_equal(taken.count, 1);
    assert_true(mw_snapshots_due_ns(snapshots) == INT64_MAX);
    /* One that has ended already has none. */
    assert_true(mw_snapshots_suspect(snapshots, SLOT, pid, 2 * hour_ns, hour_ns));
    take_until(snapshots, 3 * hour_ns, &taken);
    assert_int_equal(taken.count, 1);
    assert_int_equal(mw_snapshots_finish(snapshots, 3 * hour_ns, keep, &taken), 0);
    mw_snapshots_free(snapshots);
}

static void test_few_processes_at_a_time_and_each_once(void **state)
{
    struct mw_snapshots *snapshots = mw_snapshots_new(0);
    struct unit_child child = child_that(grow);
    struct taken taken = {0};

    (void)state;
    for (uint32_t slot = 0; slot < MW_SNAPSHOTS_MOST_PROCESSES; slot++)
        assert_true(mw_snapshots_suspect(snapshots, slot, child.pid, hour_ns, hour_ns));
    assert_false(mw_snapshots_suspect(snapshots, 0, child.pid, hour_ns, hour_ns));
    assert_false(mw_snapshots_suspect(snapshots, 4711, child.pid, hour_ns, hour_ns));
    /* In the slot of one that has ended since, there is room for the next. */
    assert_true(mw_snapshots_suspect(snapshots, 0, getppid(), hour_ns, hour_ns));
    assert_true(mw_snapshots_suspect(snapshots, 0, child.pid, hour_ns, hour_ns));
    take_until(snapshots, 2 * hour_ns, &taken);
    assert_int_equal(taken.count, 2 * MW_SNAPSHOTS_MOST_PROCESSES);
    assert_true(mw_snapshots_suspect(snapshots, 4711, child.pid, 2 * hour_ns, hour_ns));
    mw_snapshots_free(snapshots);
    unit_kill(&child);
}

static void test_a_snapshot_costs_at_most_a_thousandth_of_a_core(void **state)
{
    struct mw_snapshots *snapshots = mw_snapshots_new(0);
    struct unit_child child = child_that(map_much);
    struct taken taken = {0};
    int64_t spent_ns = 0, due_ns;
    int pieces = 0;

    (void)state;
    mw_snapshots_suspect(snapshots, SLOT, child.pid, 0, 0);
    while (taken.count < 2) {
        int64_t begin_ns = mw_thread_cpu_ns();

        due_ns = mw_snapshots_due_ns(snapshots);
        /* What was measured around it is more than what it has counted itself, but not twice. */
        assert_true(due_ns >= spent_ns / 2 * 1000);
        assert_int_equal(mw_snapshots_take(snapshots, due_ns - 1, keep, &taken), 0);
        assert_int_equal(mw_snapshots_take(snapshots, due_ns, keep, &taken), 0);
        spent_ns += mw_thread_cpu_ns() - begin_ns;
        pieces++;
    }
    assert_true(pieces > 4); /* 60 ms are read a millisecond at a time, or more where it is slow */
    mw_snapshots_free(snapshots);
    unit_kill(&child);
}

static void test_who_gives_up_gets_his_answer_back(void **state)
{
    struct mw_snapshots *snapshots = mw_snapshots_new(0);
    struct unit_child child = child_that(grow);
    struct taken taken = {.answer = -ENOSPC};
    int code = 0;

    (void)state;
    mw_snapshots_suspect(snapshots, SLOT, child.pid, hour_ns, hour_ns);
    while (code == 0)
        code = mw_snapshots_take(snapshots, mw_snapshots_due_ns(snapshots), keep, &taken);
    assert_int_equal(code, -ENOSPC);
    assert_int_equal(mw_snapshots_finish(snapshots, 2 * hour_ns, keep, &taken), -ENOSPC);
    mw_snapshots_free(snapshots);
    unit_kill(&child);
}

static void test_what_grew_stands_first_in_the_file(void **state)
{
    struct taken taken = {0};
    struct mw_mapping_growth *growth = NULL;
    struct mw_snapshots *snapshots;
    struct unit_child child;
    struct mw_reader *reader;
    size_t count = 0;
    char *path;

    unit_need_no_thread_sanitizer();
    path = unit_path(state, "x.db");
    snapshots = mw_snapshots_new(0);
    child = child_that(grow);
    taken.writer = record_begin(path);
    mw_snapshots_suspect(snapshots, 0, child.pid, hour_ns, hour_ns);
    take_until(snapshots, hour_ns + second_ns, &taken);
    let_grow(&child);
    take_until(snapshots, 2 * hour_ns, &taken);
    assert_int_equal(mw_writer_commit(taken.writer, NULL), 0);
    mw_writer_close(taken.writer);
    reader = record_open(path);
    assert_int_equal(mw_reader_growth(reader, 1, &growth, &count, NULL), 0);
    assert_true(count > 2); /* the program and its libraries, at least */
    assert_int_equal(growth[0].kind, MW_MAPPING_MEMFD);
    assert_string_equal(growth[0].name, "cache");
    assert_int_equal(mw_mapping_growth_bytes(&growth[0]), GROWTH);
    assert_int_equal(growth[0].from.count, 1);
    assert_int_equal(growth[0].to.count, 2);
    assert_in_range((growth[0].to_us - growth[0].from_us) * 1000, hour_ns / 10,
                    hour_ns / 10 + second_ns);
    for (size_t i = 0; i < count; i++)
        mw_mapping_growth_clear(&growth[i]);
    free(growth);
    mw_reader_close(reader);
    mw_snapshots_free(snapshots);
    unit_kill(&child);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_the_second_comes_after_a_tenth_of_the_time_and_a_minute_or_half_of_it),
        UNIT_TEST(test_the_end_of_the_recording_brings_the_second),
        UNIT_TEST(test_a_process_that_ends_before_has_but_the_first),
        UNIT_TEST(test_few_processes_at_a_time_and_each_once),
        UNIT_TEST(test_a_snapshot_costs_at_most_a_thousandth_of_a_core),
        UNIT_TEST(test_who_gives_up_gets_his_answer_back),
        UNIT_TEST(test_what_grew_stands_first_in_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
