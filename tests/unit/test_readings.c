/* What is read now and then: the rows of processes and of their sum. */
#include "capture/clock.h"
#include "capture/queue.h"
#include "record/readings.h"
#include "unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OWN_KIB = 8 << 10, MOST_ROWS = 64, FIRST = 0, SECOND = 20 };

struct rows {
    int count;
    struct mw_row row[MOST_ROWS];
};

static int keep(void *context, const struct mw_row *row)
{
    struct rows *rows = context;

    assert_in_range(rows->count, 0, MOST_ROWS - 1);
    rows->row[rows->count++] = *row;
    return 0;
}

/* The only row of a series, which must be there. */
static const struct mw_row *only(const struct rows *rows, uint32_t slot, enum mw_metric metric)
{
    const struct mw_row *found = NULL;

    for (int i = 0; i < rows->count; i++) {
        if (rows->row[i].slot == slot && rows->row[i].metric == metric) {
            assert_null(found);
            found = &rows->row[i];
        }
    }
    assert_non_null(found);
    return found;
}

/* A process that says when it runs, and touches 8 MiB of its own whenever it is told to. */
static void grow(int in, int out, const void *context)
{
    (void)context;
    unit_tell(out);
    while (unit_await(in)) {
        volatile char *memory = mmap(NULL, (size_t)OWN_KIB << 10, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (size_t at = 0; at < (size_t)OWN_KIB << 10; at += 4096)
            memory[at] = 1;
        unit_tell(out);
    }
}

/* Only once it has run is something of its memory its own. */
static struct unit_child grower(void)
{
    struct unit_child child = unit_fork(grow, NULL);

    assert_true(unit_await(child.from));
    return child;
}

static void let_grow(const struct unit_child *child)
{
    unit_tell(child->to);
    assert_true(unit_await(child->from));
}

static struct mw_readings *readings_of(mw_metric_set metrics, bool each, bool sum)
{
    struct mw_readings *readings =
        mw_readings_new(&(struct mw_readings_options){metrics, each, sum, true});

    assert_non_null(readings);
    return readings;
}

/* Waits until something is due, and takes it. */
static void take(struct mw_readings *readings, struct rows *rows)
{
    int64_t pause_ns = mw_readings_due_ns(readings) - mw_now_ns();

    rows->count = 0;
    if (pause_ns > 0)
        usleep((useconds_t)(pause_ns / 1000 + 1));
    assert_int_equal(mw_readings_take(readings, keep, rows), 0);
}

static void test_the_pss_of_a_tree_is_read_from_its_second_process_on(void **state)
{
    struct unit_child one = grower(), two = grower();
    struct mw_readings *readings = readings_of(0, true, true);
    struct rows rows = {0};
    int64_t before = mw_now_ns(), both;

    (void)state;
    let_grow(&two); /* more than what their share in common pages may change by */
    mw_readings_add(readings, FIRST, one.pid, before);
    assert_true(mw_readings_due_ns(readings) == INT64_MAX);
    mw_readings_add(readings, SECOND, two.pid, before);
    assert_true(mw_readings_due_ns(readings) > before);
    take(readings, &rows);
    assert_int_equal(rows.count, 1);
    both = only(&rows, MW_RECORD_TREE, MW_METRIC_PSS)->kib;
    assert_true(both > 0 && rows.row[0].t_ns >= before);
    assert_true(mw_readings_due_ns(readings) > before + 100000000);
    mw_readings_end(readings, SECOND, keep, &rows);
    mw_readings_end(readings, SECOND, keep, &rows);
    mw_readings_end(readings, 4711, keep, &rows);
    take(readings, &rows);
    assert_true(only(&rows, MW_RECORD_TREE, MW_METRIC_PSS)->kib < both);
    unit_kill(&one);
    take(readings, &rows); /* who has ended has no memory */
    assert_int_equal(only(&rows, MW_RECORD_TREE, MW_METRIC_PSS)->kib, 0);
    mw_readings_free(readings);
    mw_readings_free(NULL);
    unit_kill(&two);
}

static void test_what_was_asked_for_is_read_of_each_process_and_summed(void **state)
{
    struct unit_child one, two;
    struct mw_readings *readings;
    struct rows rows = {0};
    int64_t first, second;

    (void)state;
    unit_need_memory_of_its_own();
    unit_need_no_thread_sanitizer();
    one = grower();
    two = grower();
    readings = readings_of(MW_METRIC_BIT(MW_METRIC_USS) | MW_METRIC_BIT(MW_METRIC_PAGE_TABLES),
                           true, true);
    let_grow(&one);
    mw_readings_add(readings, FIRST, one.pid, mw_now_ns());
    mw_readings_add(readings, SECOND, two.pid, mw_now_ns());
    take(readings, &rows);
    first = only(&rows, FIRST, MW_METRIC_USS)->kib;
    second = only(&rows, SECOND, MW_METRIC_USS)->kib;
    assert_in_range(first, OWN_KIB, OWN_KIB + 4096);
    assert_in_range(second, 1, 4096);
    assert_int_equal(only(&rows, MW_RECORD_TREE, MW_METRIC_USS)->kib, first + second);
    assert_true(only(&rows, FIRST, MW_METRIC_PAGE_TABLES)->kib > 0);
    assert_int_equal(only(&rows, MW_RECORD_TREE, MW_METRIC_PAGE_TABLES)->kib,
                     only(&rows, FIRST, MW_METRIC_PAGE_TABLES)->kib +
                         only(&rows, SECOND, MW_METRIC_PAGE_TABLES)->kib);
    only(&rows, MW_RECORD_TREE, MW_METRIC_PSS);
    assert_int_equal(rows.count, 7);
    mw_readings_free(readings);
    unit_kill(&one);
    unit_kill(&two);
}

static void
test_readings_with_the_same_value_are_one_row_and_one_more_before_it_changes(void **state)
{
    struct unit_child child;
    struct mw_readings *readings;
    struct rows rows = {0};
    int64_t same_ns, kib;

    (void)state;
    unit_need_memory_of_its_own();
    unit_need_no_thread_sanitizer();
    child = grower();
    readings = readings_of(MW_METRIC_BIT(MW_METRIC_VMS), true, false);
    mw_readings_add(readings, FIRST, child.pid, mw_now_ns());
    take(readings, &rows);
    kib = only(&rows, FIRST, MW_METRIC_VMS)->kib;
    same_ns = mw_now_ns();
    take(readings, &rows);
    assert_int_equal(rows.count, 0);
    let_grow(&child);
    take(readings, &rows);
    assert_int_equal(rows.count, 2);
    assert_int_equal(rows.row[0].kib, kib);
    assert_true(rows.row[0].t_ns >= same_ns && rows.row[0].t_ns < rows.row[1].t_ns);
    assert_int_equal(rows.row[1].kib, kib + OWN_KIB);
    take(readings, &rows);
    assert_int_equal(rows.count, 0);
    assert_int_equal(mw_readings_finish(readings, keep, &rows), 0); /* that it stayed so */
    assert_int_equal(only(&rows, FIRST, MW_METRIC_VMS)->kib, kib + OWN_KIB);
    mw_readings_free(readings);
    unit_kill(&child);
}

static void test_without_series_of_processes_there_is_the_sum_alone(void **state)
{
    struct unit_child child = grower();
    struct mw_readings *readings = readings_of(MW_METRIC_BIT(MW_METRIC_SHMEM), false, true);
    struct rows rows = {0};

    (void)state;
    mw_readings_add(readings, FIRST, child.pid, mw_now_ns());
    take(readings, &rows);
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.row[0].slot, MW_RECORD_TREE);
    mw_readings_free(readings);
    unit_kill(&child);
}

static int stop(void *context, const struct mw_row *row)
{
    (void)row;
    ++*(int *)context;
    return -28;
}

static void test_a_row_that_cannot_be_kept_ends_the_giving(void **state)
{
    struct unit_child child = grower();
    struct mw_readings *readings =
        readings_of(MW_METRIC_BIT(MW_METRIC_VMS) | MW_METRIC_BIT(MW_METRIC_SWAP), true, true);
    int given = 0;

    (void)state;
    mw_readings_add(readings, FIRST, child.pid, mw_now_ns());
    assert_int_equal(mw_readings_take(readings, stop, &given), -28);
    assert_int_equal(given, 1);
    mw_readings_free(readings);
    unit_kill(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_the_pss_of_a_tree_is_read_from_its_second_process_on),
        UNIT_TEST(test_what_was_asked_for_is_read_of_each_process_and_summed),
        UNIT_TEST(test_readings_with_the_same_value_are_one_row_and_one_more_before_it_changes),
        UNIT_TEST(test_without_series_of_processes_there_is_the_sum_alone),
        UNIT_TEST(test_a_row_that_cannot_be_kept_ends_the_giving),
    };

    return cmocka_run_group_tests_name("readings", tests, NULL, NULL);
}
