/* Whatever happens to a file or its writer: what was committed is readable, the rest is said. */
#include "record.h"
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a forked writer: begins a run, commits 1000 values, tells it, and writes on. */
static void write_until_killed(int in, int out, const void *path)
{
    struct mw_writer *writer = record_begin(path);

    (void)in;
    for (int64_t t = 1;; t++) {
        if (mw_writer_add_sample(writer, 0, MW_METRIC_RSS, t * 10, t, NULL) < 0)
            _exit(1);
        if (t == 1000 && (mw_writer_commit(writer, NULL) < 0 || !unit_tell(out)))
            _exit(1);
        if (t > 1000 && t % 5000 == 0)
            usleep(1000);
    }
}

static void test_a_kill_of_the_recorder_loses_nothing_that_was_committed(void **state)
{
    char *path = unit_path(state, "x.db");

    for (int round = 0; round < 10; round++) {
        struct unit_child writer = unit_fork(write_until_killed, path);
        struct record_samples samples;

        assert_true(unit_await(writer.from));
        usleep((useconds_t)round * 2000);
        unit_kill(&writer);
        assert_int_equal(record_number(path, "SELECT count(*) FROM pragma_integrity_check"
                                             " WHERE integrity_check = 'ok'"),
                         1);
        samples = record_read(path, round + 1, MW_PROCESS_TREE, 0, INT64_MAX);
        assert_true(samples.count >= 1001);
        assert_true(samples.in_order);
    }
    free(path);
}

static void test_a_run_whose_recorder_is_gone_was_aborted(void **state)
{
    char *path = unit_path(state, "x.db");
    struct unit_child writer = unit_fork(write_until_killed, path);
    struct mw_run *runs;
    size_t count;

    assert_true(unit_await(writer.from));
    assert_true(mw_file_is_recording(path));
    runs = record_runs(path, &count);
    assert_int_equal(runs[0].outcome, MW_OUTCOME_RECORDING);
    record_clear(runs, count);
    unit_kill(&writer);
    assert_false(mw_file_is_recording(path));
    runs = record_runs(path, &count);
    assert_int_equal(runs[0].outcome, MW_OUTCOME_ABORTED);
    record_clear(runs, count);
    free(path);
}

static void test_only_the_newest_run_of_a_file_is_being_recorded(void **state)
{
    char *path = unit_path(state, "x.db");
    struct unit_child writer = unit_fork(write_until_killed, path);
    struct mw_run *runs;
    size_t count;

    assert_true(unit_await(writer.from));
    unit_kill(&writer);
    writer = unit_fork(write_until_killed, path);
    assert_true(unit_await(writer.from));
    runs = record_runs(path, &count);
    unit_kill(&writer);
    assert_int_equal(count, 2);
    assert_int_equal(runs[0].outcome, MW_OUTCOME_ABORTED);
    assert_int_equal(runs[1].outcome, MW_OUTCOME_RECORDING);
    record_clear(runs, count);
    free(path);
}

static void test_a_second_writer_is_told_that_the_file_is_busy(void **state)
{
    char *path = unit_path(state, "x.db");
    struct unit_child writer = unit_fork(write_until_killed, path);
    struct mw_writer *second = NULL;
    struct mw_error error = {0};

    assert_true(unit_await(writer.from));
    assert_int_equal(mw_writer_open(&second, path, &error), -EBUSY);
    assert_null(second);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(access(path, F_OK), 0);
    unit_kill(&writer);
    assert_int_equal(mw_writer_open(&second, path, NULL), 0);
    mw_writer_close(second);
    assert_int_equal(access(path, F_OK), 0); /* it holds the first one's run */
    free(path);
}

static void test_a_reader_changes_no_byte_of_a_file(void **state)
{
    char *path = unit_path(state, "x.db"), *before, *after;
    struct unit_child writer = unit_fork(write_until_killed, path);
    size_t length, length_after;

    assert_true(unit_await(writer.from));
    unit_kill(&writer);
    before = record_bytes(path, &length);
    assert_int_equal(record_read_all(path, NULL), 0);
    after = record_bytes(path, &length_after);
    assert_int_equal(length, length_after);
    assert_memory_equal(before, after, length);
    free(before);
    free(after);
    free(path);
}

static void check_refused(const char *path, int code)
{
    struct mw_error error = {0};
    struct mw_writer *writer = NULL;

    if (record_read_all(path, &error) != code)
        fail_msg("read: %d %s", error.code, error.text);
    assert_non_null(strstr(error.text, path));
    if (code == -ENOENT)
        return;
    error.code = 0;
    if (mw_writer_open(&writer, path, &error) != code)
        fail_msg("write: %d %s", error.code, error.text);
    assert_null(writer);
}

static void test_files_that_are_none_of_ours_are_refused_and_stay_as_they_are(void **state)
{
    static const char text[] = "This is a text that is long enough to be no header of a database. "
                               "It goes on for more than one hundred bytes, so that it is read.";
    char *path = unit_path(state, "x.db"), *folder = unit_path(state, ""), *bytes;
    char *missing = unit_path(state, "missing"), *foreign = unit_path(state, "foreign.db");
    size_t length;

    record_write(path, text, strlen(text));
    check_refused(path, -EBADMSG);
    bytes = record_bytes(path, &length);
    assert_int_equal(length, strlen(text));
    record_sql(foreign, "CREATE TABLE run (id INTEGER); PRAGMA application_id = 7");
    check_refused(foreign, -EBADMSG);
    check_refused(missing, -ENOENT);
    check_refused("/dev/null", -EBADMSG);
    assert_true(record_read_all(folder, NULL) < 0);
    assert_int_equal(access(missing, F_OK), -1);
    free(bytes);
    free(path);
    free(folder);
    free(missing);
    free(foreign);
}

static void test_an_empty_file_is_refused_by_readers_and_taken_by_writers(void **state)
{
    char *path = unit_path(state, "x.db");

    record_write(path, "", 0);
    assert_int_equal(record_read_all(path, NULL), -EBADMSG);
    record_small(path);
    assert_int_equal(record_read_all(path, NULL), 0);
    free(path);
}

static void test_a_file_of_a_newer_memwatch_is_not_understood(void **state)
{
    char *path = unit_path(state, "x.db");

    record_small(path);
    record_sql(path, "PRAGMA user_version = 4");
    check_refused(path, -ENOTSUP);
    record_sql(path, "PRAGMA user_version = 0");
    check_refused(path, -EBADMSG);
    record_sql(path, "PRAGMA user_version = -5");
    check_refused(path, -EBADMSG);
    free(path);
}

static void test_a_file_that_lacks_a_table_is_damaged(void **state)
{
    static const char *const tables[] = {"run", "process", "series",   "sample",
                                         "gap", "command", "function", "call"};

    for (size_t i = 0; i < MW_COUNT(tables); i++) {
        char *path = unit_path(state, tables[i]), *sql;

        record_small(path);
        assert_true(asprintf(&sql, "DROP TABLE %s", tables[i]) > 0);
        record_sql(path, sql);
        check_refused(path, -EBADMSG);
        free(sql);
        free(path);
    }
}

static void test_a_file_cut_anywhere_is_an_error_or_readable_and_never_a_crash(void **state)
{
    char *path = unit_path(state, "x.db"), *cut = unit_path(state, "cut.db"), *bytes;
    size_t length;

    record_small(path);
    bytes = record_bytes(path, &length);
    for (size_t i = 0; i < length; i += length / 97) {
        struct mw_error error = {0};
        int code;

        record_write(cut, bytes, i);
        code = record_read_all(cut, &error);
        if (code != 0)
            assert_int_equal(code, -EBADMSG);
        assert_true(code == 0 || strlen(error.text) > 0);
    }
    record_write(cut, bytes, length / 2);
    assert_int_equal(record_read_all(cut, NULL), -EBADMSG);
    free(bytes);
    free(cut);
    free(path);
}

static void test_a_file_with_flipped_bytes_is_never_a_crash(void **state)
{
    char *path = unit_path(state, "x.db"), *bad = unit_path(state, "bad.db"), *bytes, *copy;
    uint64_t seed = 11;
    size_t length;

    record_small(path);
    bytes = record_bytes(path, &length);
    copy = malloc(length);
    for (int round = 0; round < 300; round++) {
        memcpy(copy, bytes, length);
        for (int i = 0; i < 20; i++)
            copy[100 + unit_random(&seed) % (length - 100)] ^= (char)unit_random(&seed);
        record_write(bad, copy, length);
        record_read_all(bad, NULL);
    }
    free(copy);
    free(bytes);
    free(bad);
    free(path);
}

#define V "(SELECT x FROM v)"

/* Numbers at the ends of their range, in every column that holds one. */
static void test_hostile_numbers_are_held_at_the_ends_of_their_range(void **state)
{
    static const char *const values[] = {"9223372036854775807", "-9223372036854775808", "-1",
                                         "4611686018427387904", "9007199254740993"};

    for (size_t i = 0; i < MW_COUNT(values); i++) {
        char *path = unit_path(state, values[i]), *sql;
        struct record_samples samples;

        record_small(path);
        assert_true(
            asprintf(&sql,
                     "CREATE TEMP TABLE v AS SELECT %s AS x;"
                     "UPDATE run SET duration_us=" V ", started_ns=" V ", interval_us=" V ","
                     " ticks_due=" V ", longest_gap_us=" V ", lateness_p50_us=" V ","
                     " recorder_rss_kib=" V ", peak_kib=" V ", peak_upper_kib=" V ","
                     " peak_from_us=" V ", exit_status=" V ", exit_signal=" V ";"
                     "UPDATE process SET start_us=" V ", end_us=" V ", pid=" V ","
                     " peak_kib=" V ", peak_to_us=" V ", exit_signal=" V ";"
                     "UPDATE gap SET from_us=" V ", to_us=" V ", ticks=" V ";"
                     "UPDATE series SET since_us=" V ";"
                     "UPDATE function SET line=" V ", calls=" V ", ended=" V ", stored=" V ","
                     " total_ns=" V ", max_ns=" V ", suspended_ns=" V ", growth_kib=" V ","
                     " peak_kib=" V ", peak_upper_kib=" V ", peak_to_us=" V ";"
                     "UPDATE call SET enter_us=" V ", number=" V ", process=" V ","
                     " thread=" V ", track=" V ", depth=" V ", duration_ns=" V ","
                     " suspended_ns=" V ", enter_kib=" V ", exit_kib=" V ", peak_kib=" V ","
                     " peak_upper_kib=" V ", peak_from_dt_us=" V ", peak_to_dt_us=" V ";"
                     "UPDATE sample SET kib=" V ";",
                     values[i]) > 0);
        record_sql(path, sql);
        assert_int_equal(record_read_all(path, NULL), 0);
        samples = record_read(path, 1, 1, INT64_MIN, INT64_MAX);
        assert_true(samples.count == 0 || samples.last.t_us >= 0);
        assert_true(i != 3 || (samples.count > 0 && samples.last.bytes == INT64_MAX));
        samples = record_read(path, 1, MW_PROCESS_TREE, INT64_MAX, INT64_MAX);
        samples = record_read(path, 1, MW_PROCESS_TREE, INT64_MAX, INT64_MIN);
        free(sql);
        free(path);
    }
}

static void test_strings_that_a_run_must_have_are_never_null(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_reader *reader = NULL;
    struct mw_run *runs = NULL;
    size_t count = 0;

    record_small(path);
    record_sql(path, "CREATE TABLE loose AS SELECT * FROM run; DROP VIEW runs; DROP TABLE run;"
                     "ALTER TABLE loose RENAME TO run;"
                     "UPDATE run SET version = NULL, cwd = NULL, scheduling = NULL,"
                     " tracking = NULL, outcome = NULL, children = NULL");
    if (mw_reader_open(&reader, path, NULL) == 0 &&
        mw_reader_runs(reader, &runs, &count, NULL) == 0) {
        assert_int_equal(count, 1);
        assert_non_null(runs[0].version);
        assert_non_null(runs[0].cwd);
        assert_non_null(runs[0].scheduling);
        assert_non_null(runs[0].tracking);
    }
    record_clear(runs, count);
    mw_reader_close(reader);
    free(path);
}

/* In a forked writer: writes until that fails, and ends with the errno. */
static void write_until_full(const char *path)
{
    struct mw_writer *writer = record_begin(path);
    struct mw_error error = {0};
    int code = 0;

    for (int64_t t = 1; code == 0; t++) {
        code = mw_writer_add_sample(writer, 0, MW_METRIC_RSS, t * 1000, t, &error);
        if (code == 0 && t % 1000 == 0)
            code = mw_writer_commit(writer, &error);
    }
    mw_writer_close(writer);
    _exit(error.code == code && *error.text ? -code : 99);
}

static void write_to_limit(int in, int out, const void *path)
{
    (void)in;
    (void)out;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){400000, 400000});
    write_until_full(path);
}

static void check_all_committed(const char *path)
{
    struct record_samples samples = record_read(path, 1, 1, 0, INT64_MAX);

    assert_int_equal(record_number(path, "SELECT count(*) FROM pragma_integrity_check"
                                         " WHERE integrity_check = 'ok'"),
                     1);
    assert_true(samples.count > 1000);
    assert_int_equal(samples.count % 1000, 1);
    assert_true(samples.in_order);
}

static void test_a_file_that_may_not_grow_keeps_what_was_committed(void **state)
{
    char *path = unit_path(state, "x.db");
    struct unit_child writer = unit_fork(write_to_limit, path);
    int status = unit_join(&writer);

    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == EFBIG || WEXITSTATUS(status) == EIO);
    check_all_committed(path);
    free(path);
}

enum { MAY_NOT_MOUNT = 77 };

static void copy_file(const char *folder, const char *from, const char *to)
{
    char source[128], target[128], *bytes;
    size_t length;

    snprintf(source, sizeof source, "%s/%s", folder, from);
    snprintf(target, sizeof target, "%s/%s", folder, to);
    if (access(source, F_OK) < 0)
        return;
    bytes = record_bytes(source, &length);
    record_write(target, bytes, length);
    free(bytes);
}

/* On a disk of one MiB in a mount namespace of its own; what is on it in the end goes to "copy". */
static void write_to_small_disk(int in, int out, const void *folder)
{
    char disk[128], file[128];
    int status = 0;

    (void)in;
    (void)out;
    snprintf(disk, sizeof disk, "%s/disk", (const char *)folder);
    snprintf(file, sizeof file, "%s/disk/x.db", (const char *)folder);
    if (mkdir(disk, 0755) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", disk, "tmpfs", 0, "size=1m") < 0)
        _exit(MAY_NOT_MOUNT);
    if (fork() == 0)
        write_until_full(file);
    wait(&status);
    copy_file(folder, "disk/x.db", "copy");
    copy_file(folder, "disk/x.db-wal", "copy-wal");
    _exit(WEXITSTATUS(status));
}

static void test_a_full_disk_keeps_what_was_committed(void **state)
{
    char *folder = unit_path(state, "."), *copy = unit_path(state, "copy");
    struct unit_child writer = unit_fork(write_to_small_disk, folder);
    int status = unit_join(&writer);

    if (WEXITSTATUS(status) == MAY_NOT_MOUNT) {
        free(folder);
        free(copy);
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), ENOSPC);
    check_all_committed(copy);
    free(folder);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_kill_of_the_recorder_loses_nothing_that_was_committed),
        UNIT_TEST(test_a_run_whose_recorder_is_gone_was_aborted),
        UNIT_TEST(test_only_the_newest_run_of_a_file_is_being_recorded),
        UNIT_TEST(test_a_second_writer_is_told_that_the_file_is_busy),
        UNIT_TEST(test_a_reader_changes_no_byte_of_a_file),
        UNIT_TEST(test_files_that_are_none_of_ours_are_refused_and_stay_as_they_are),
        UNIT_TEST(test_an_empty_file_is_refused_by_readers_and_taken_by_writers),
        UNIT_TEST(test_a_file_of_a_newer_memwatch_is_not_understood),
        UNIT_TEST(test_a_file_that_lacks_a_table_is_damaged),
        UNIT_TEST(test_a_file_cut_anywhere_is_an_error_or_readable_and_never_a_crash),
        UNIT_TEST(test_a_file_with_flipped_bytes_is_never_a_crash),
        UNIT_TEST(test_hostile_numbers_are_held_at_the_ends_of_their_range),
        UNIT_TEST(test_strings_that_a_run_must_have_are_never_null),
        UNIT_TEST(test_a_file_that_may_not_grow_keeps_what_was_committed),
        UNIT_TEST(test_a_full_disk_keeps_what_was_committed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
