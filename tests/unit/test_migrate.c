/* Files that earlier versions wrote are read, and go on. */
#include "record.h"

#include <stdio.h>
#include <stdlib.h>

static const char schema_of_version_1[] =
#include "schema_1.sql.h"
    ;

/* A file as the first version wrote it, with one run of one process. */
static void write_version_1(const char *path)
{
    record_sql(path, schema_of_version_1);
    record_sql(path, "INSERT INTO run (id, version, started_ns, duration_us, interval_us, children,"
                     " cwd, scheduling, tracking) VALUES (1, '0', 0, 9, 1, 'each', '/', 'x', 'x');"
                     "INSERT INTO process (id, run, pid, ppid, start_us) VALUES (1, 1, 4, 1, 0);"
                     "INSERT INTO series VALUES (1, 1, 1, 'rss', 0);"
                     "INSERT INTO sample VALUES (1, 0, 5)");
}

static int count_call(void *context, const struct mw_call *call)
{
    (void)call;
    ++*(int *)context;
    return 0;
}

static int count_calls(const char *path, int64_t run)
{
    struct mw_reader *reader = record_open(path);
    int count = 0;

    assert_int_equal(mw_reader_calls(reader, run, 0, INT64_MAX, count_call, &count, NULL), 0);
    mw_reader_close(reader);
    return count;
}

static void test_a_file_of_version_1_has_no_functions(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_function *functions = NULL;
    struct mw_reader *reader;
    size_t count = 1;

    write_version_1(path);
    assert_int_equal(record_read_all(path, NULL), 0);
    reader = record_open(path);
    assert_int_equal(mw_reader_functions(reader, 1, &functions, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_null(functions);
    mw_reader_close(reader);
    assert_int_equal(count_calls(path, 1), 0);
    assert_int_equal(record_number(path, "PRAGMA user_version"), 1);
    free(path);
}

/* After another run in it: what was there stays, and it is what a new file would be. */
static void test_a_file_of_version_1_becomes_one_of_this_version(void **state)
{
    char *path = unit_path(state, "old.db"), *fresh = unit_path(state, "new.db"), *sql;

    write_version_1(path);
    record_small(path);
    record_small(fresh);
    assert_int_equal(record_number(path, "PRAGMA user_version"), 3);
    assert_int_equal(record_number(path, "SELECT count(*) FROM run"), 2);
    assert_int_equal(count_calls(path, 2), 1);
    assert_int_equal(record_read(path, 1, 1, 0, INT64_MAX).count, 1);
    assert_true(asprintf(&sql,
                         "ATTACH '%s' AS fresh; CREATE TEMP TABLE same (x CHECK (x = 0));"
                         "INSERT INTO same SELECT count(*) FROM (SELECT name, sql FROM"
                         " fresh.sqlite_schema EXCEPT SELECT name, sql FROM main.sqlite_schema)",
                         fresh) > 0);
    record_sql(path, sql);
    free(sql);
    free(fresh);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_file_of_version_1_has_no_functions),
        UNIT_TEST(test_a_file_of_version_1_becomes_one_of_this_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
