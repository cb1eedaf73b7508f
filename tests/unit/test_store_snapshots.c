/* What processes had mapped, and how that grew, comes back as it was written. */
#include "record.h"

#include <stdlib.h>
#include <string.h>

static char path_name[] = "/tmp/\x1b[31m\xFF", empty[] = "";

static const struct mw_mapping_group first[] = {
    {MW_MAPPING_FILE, path_name, 3, 500, 20, 0}, {MW_MAPPING_HEAP, empty, 1, 400, 400, 100},
    {MW_MAPPING_FILE, NULL, 7, 50, 0, 0},        {MW_MAPPING_STACK, empty, 1, 40, 40, 0},
    {MW_MAPPING_OTHER, empty, 2, 0, 0, 0},
};

static const struct mw_mapping_group second[] = {
    {MW_MAPPING_HEAP, empty, 1, 2400, 2400, 300},
    {MW_MAPPING_FILE, path_name, 3, 500, 20, 0},
    {MW_MAPPING_MEMFD, empty, 1, 60, 0, 0},
    {MW_MAPPING_FILE, NULL, 6, 45, 0, 0},
};

static void add(struct mw_writer *writer, uint32_t slot, bool is_second, int64_t t_us)
{
    const struct mw_snapshot snapshot = {
        .from_us = t_us,
        .to_us = t_us + 10,
        .second = is_second,
        .groups = is_second ? second : first,
        .count = is_second ? MW_COUNT(second) : MW_COUNT(first),
    };

    assert_int_equal(mw_writer_add_snapshot(writer, slot, &snapshot, NULL), 0);
}

/* The first process has a pair; the second has a first alone, before that. */
static void write_snapshots(const char *path)
{
    struct mw_writer *writer = record_begin(path);

    assert_int_equal(mw_writer_start_process(writer, 1, 101, 100, 100, NULL), 0);
    add(writer, 0, false, 1000);
    add(writer, 1, false, 500);
    add(writer, 0, true, 9000);
    add(writer, MW_SLOT_UNKNOWN, false, 9500);
    assert_int_equal(mw_writer_commit(writer, NULL), 0);
    mw_writer_close(writer);
}

static struct mw_mapping_growth *read_growth(const char *path, int64_t run, size_t *ret_count)
{
    struct mw_reader *reader = record_open(path);
    struct mw_mapping_growth *growth = NULL;

    assert_int_equal(mw_reader_growth(reader, run, &growth, ret_count, NULL), 0);
    mw_reader_close(reader);
    return growth;
}

static void clear(struct mw_mapping_growth *growth, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mw_mapping_growth_clear(&growth[i]);
    free(growth);
}

static void check_use(const struct mw_mapping_use *use, const struct mw_mapping_group *wanted)
{
    assert_int_equal(use->count, wanted ? wanted->count : 0);
    assert_int_equal(use->resident_bytes, wanted ? wanted->resident_kib << 10 : 0);
    assert_int_equal(use->anonymous_bytes, wanted ? wanted->anonymous_kib << 10 : 0);
    assert_int_equal(use->swapped_bytes, wanted ? wanted->swapped_kib << 10 : 0);
}

static void check_growth(const struct mw_mapping_growth *growth,
                         const struct mw_mapping_group *from, const struct mw_mapping_group *to)
{
    const struct mw_mapping_group *any = from ? from : to;

    assert_int_equal(growth->process, 1);
    assert_int_equal(growth->from_us, 1000);
    assert_int_equal(growth->to_us, 9000);
    assert_int_equal(growth->kind, any->kind);
    if (any->name)
        assert_string_equal(growth->name, any->name);
    else
        assert_null(growth->name);
    check_use(&growth->from, from);
    check_use(&growth->to, to);
}

static void test_growth_comes_back_pair_after_pair_with_the_most_first(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_mapping_growth *growth;
    size_t count;

    write_snapshots(path);
    growth = read_growth(path, 1, &count);
    assert_int_equal(count, 4 + 5);
    /* A process that was looked at once, and what was largest in it. */
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(growth[i].process, 2);
        assert_int_equal(growth[i].to_us, -1);
        assert_int_equal(mw_mapping_growth_bytes(&growth[i]), 0);
        check_use(&growth[i].to, NULL);
    }
    check_use(&growth[0].from, &first[0]);
    check_growth(&growth[4], &first[1], &second[0]);
    check_growth(&growth[5], NULL, &second[2]); /* came */
    check_growth(&growth[6], &first[0], &second[1]);
    check_growth(&growth[7], &first[2], &second[3]);
    check_growth(&growth[8], &first[3], NULL); /* went */
    assert_int_equal(mw_mapping_growth_bytes(&growth[4]), 2200 << 10);
    assert_int_equal(mw_mapping_growth_bytes(&growth[8]), -40 * 1024);
    clear(growth, count);
    clear(read_growth(path, 2, &count), 0);
    assert_int_equal(count, 0);
    free(path);
}

static void test_the_views_say_the_same(void **state)
{
    char *path = unit_path(state, "x.db");

    write_snapshots(path);
    assert_int_equal(record_number(path, "SELECT count(*) FROM mappings"), 4 + 4 + 4);
    assert_int_equal(
        record_number(path, "SELECT sum(resident_bytes) FROM mappings WHERE t_s = .001"),
        990 << 10);
    assert_int_equal(record_number(path, "SELECT count(*) FROM growth"), 9);
    assert_int_equal(
        record_number(path, "SELECT growth_bytes FROM growth WHERE kind = 'heap' AND pid = 100"),
        2200 << 10);
    assert_int_equal(
        record_number(path, "SELECT growth_bytes FROM growth WHERE kind = 'file' AND name IS NULL"
                            " AND pid = 100"),
        -5 * 1024);
    assert_int_equal(
        record_number(path, "SELECT from_bytes FROM growth WHERE kind = 'heap' AND to_s IS NULL"
                            " AND to_bytes IS NULL AND growth_bytes IS NULL"),
        500 << 10);
    assert_int_equal(record_number(path, "SELECT to_s * 1000000 FROM growth WHERE kind = 'memfd'"),
                     9000);
    free(path);
}

static void test_a_second_pair_of_a_process_is_apart_from_the_first(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct mw_mapping_growth *growth;
    size_t count;

    for (int64_t pair = 0; pair < 2; pair++) {
        add(writer, 0, false, 1000 + pair * 100000);
        add(writer, 0, true, 9000 + pair * 100000);
    }
    assert_int_equal(mw_writer_commit(writer, NULL), 0);
    mw_writer_close(writer);
    growth = read_growth(path, 1, &count);
    assert_int_equal(count, 10);
    check_growth(&growth[0], &first[1], &second[0]);
    assert_int_equal(growth[5].from_us, 101000);
    assert_int_equal(growth[5].to_us, 109000);
    assert_int_equal(mw_mapping_growth_bytes(&growth[5]), 2200 << 10);
    clear(growth, count);
    free(path);
}

static void test_what_a_hostile_file_holds_does_no_harm(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_mapping_growth *growth;
    size_t count;

    write_snapshots(path);
    record_sql(path, "UPDATE mapping SET resident_kib = 9223372036854775807,"
                     " swapped_kib = 9223372036854775807 WHERE position = 0;"
                     "UPDATE mapping SET resident_kib = -9223372036854775807, mappings = -1,"
                     " name = x'FF00FE' || name WHERE position = 1;"
                     "UPDATE mapping SET kind = 'new' WHERE position = 2;"
                     "UPDATE snapshot SET from_us = 9223372036854775807 WHERE before IS NOT NULL");
    growth = read_growth(path, 1, &count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(growth[i].to_us + 1, 0, INT64_MAX / 1000);
        assert_true(growth[i].from.resident_bytes >= 0 && growth[i].to.swapped_bytes >= 0);
        assert_true(llabs(mw_mapping_growth_bytes(&growth[i])) <= INT64_C(1) << 62);
    }
    clear(growth, count);
    record_sql(path, "UPDATE snapshot SET before = id");
    clear(read_growth(path, 1, &count), 0);
    assert_int_equal(count, 0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_growth_comes_back_pair_after_pair_with_the_most_first),
        UNIT_TEST(test_the_views_say_the_same),
        UNIT_TEST(test_a_second_pair_of_a_process_is_apart_from_the_first),
        UNIT_TEST(test_what_a_hostile_file_holds_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
