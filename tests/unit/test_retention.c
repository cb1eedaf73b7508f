/* A file stays below its bound whatever is recorded, and says what was given up for that. */
#include "record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)
enum { MIB = 1 << 20 };

static void test_levels_are_understood(void **state)
{
    struct mw_keep keep = {.max_file_bytes = 5};

    (void)state;
    assert_int_equal(mw_keep_parse("raw=1h,1s=24h,1m=30d,10m=forever", &keep, NULL), 0);
    assert_int_equal(keep.count, mw_keep_server.count);
    for (size_t i = 0; i < keep.count; i++) {
        assert_true(keep.levels[i].bucket_us == mw_keep_server.levels[i].bucket_us);
        assert_true(keep.levels[i].keep_us == mw_keep_server.levels[i].keep_us);
    }
    assert_int_equal(keep.max_file_bytes, 5);
    assert_int_equal(mw_keep_parse("raw=forever", &keep, NULL), 0);
    assert_int_equal(keep.count, 1);
    assert_int_equal(mw_keep_parse("raw=90,0.5=2m", &keep, NULL), 0);
    assert_int_equal(keep.levels[0].keep_us, 90 * SECOND);
    assert_int_equal(keep.levels[1].bucket_us, 500000);
}

static void test_levels_that_make_no_sense_are_refused_and_change_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "raw",
        "raw=",
        "=1h",
        "1s=1h",
        "raw=1h,",
        "raw=1h,,1s=2h",
        "raw=1h,1s=1m",
        "raw=-1h",
        "raw=0",
        "raw=1ms",
        "raw=1h,1ms=2h",
        "raw=1h,2d=3d",
        "raw=1h,1s=2h,1s=3h",
        "raw=1h,1m=2h,1s=3h",
        "raw=1h,4s=2h,10s=3h",
        "raw=1h,raw=2h",
        "raw=1h 1s=2h",
        "raw=1h=2h",
        "raw=forever,1s=1h",
        "raw=Forever",
        "rawer=1h",
        "raw=1e99",
        "raw=nan",
        "raw=1s,1s=1s,2s=2s,4s=4s,8s=8s,16s=16s,32s=32s,64s=64s,128s=128s"};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(bad); i++) {
        struct mw_keep keep = mw_keep_all;
        struct mw_error error = {0};

        if (mw_keep_parse(bad[i], &keep, &error) >= 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(error.text[0] != '\0');
        assert_memory_equal(&keep, &mw_keep_all, sizeof keep);
    }
}

static void test_a_size_for_the_file_is_at_least_a_mebibyte(void **state)
{
    struct mw_keep keep = {0};
    struct mw_error error;

    (void)state;
    assert_int_equal(mw_keep_parse_max_file("1M", &keep, NULL), 0);
    assert_int_equal(keep.max_file_bytes, MIB);
    assert_int_equal(mw_keep_parse_max_file("1048575", &keep, &error), -ERANGE);
    assert_non_null(strstr(error.text, "at least 1M"));
    assert_int_equal(mw_keep_parse_max_file("0", &keep, NULL), -ERANGE);
    assert_int_equal(mw_keep_parse_max_file("-1", &keep, NULL), -EINVAL);
    assert_int_equal(mw_keep_parse_max_file("lots", &keep, NULL), -EINVAL);
    assert_int_equal(keep.max_file_bytes, MIB);
}

/* --- a writer with a clock of its own -----------------------------------------------------------
 */

/* A recording below a bound, and how large its files ever were. */
struct rig {
    char *path;
    struct mw_writer *writer;
    int64_t most_bytes, largest_bytes;
    int64_t now_us;
};

static void begin(struct rig *rig, void **state, const char *levels, int64_t most_bytes)
{
    struct mw_run run = record_run();
    struct mw_keep keep = mw_keep_all;
    struct mw_error error = {0};

    *rig = (struct rig){.path = unit_path(state, "x.db"), .most_bytes = most_bytes};
    if (levels)
        assert_int_equal(mw_keep_parse(levels, &keep, NULL), 0);
    keep.max_file_bytes = most_bytes;
    if (mw_writer_open(&rig->writer, rig->path, &error) < 0 ||
        mw_writer_keep(rig->writer, &keep, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(mw_writer_begin_run(rig->writer, &run, NULL), 0);
    assert_int_equal(mw_writer_start_process(rig->writer, 0, 100, 1, 0, NULL), 0);
}

static int64_t size_with(const char *path, const char *suffix)
{
    struct stat status;
    int64_t bytes = 0;
    char *name;

    assert_true(asprintf(&name, "%s%s", path, suffix) > 0);
    if (stat(name, &status) == 0)
        bytes = status.st_size;
    free(name);
    return bytes;
}

static void watch_size(struct rig *rig)
{
    int64_t bytes =
        size_with(rig->path, "") + size_with(rig->path, "-wal") + size_with(rig->path, "-shm");

    rig->largest_bytes = bytes > rig->largest_bytes ? bytes : rig->largest_bytes;
    if (rig->most_bytes > 0 && bytes > rig->most_bytes)
        fail_msg("%lld bytes at %lld us", (long long)bytes, (long long)rig->now_us);
}

/* As the session does: a commit every 200 ms, and whenever the writer says that it is time. */
static void commit(struct rig *rig)
{
    static const struct mw_ticks none = {.lateness_p50_us = -1, .lateness_p99_us = -1};
    struct mw_error error = {0};

    if (mw_writer_set_progress(rig->writer, rig->now_us, &none, &(struct mw_recorder_cost){0},
                               &error) < 0 ||
        mw_writer_commit(rig->writer, &error) < 0)
        fail_msg("%s", error.text);
    watch_size(rig);
}

static void sample(struct rig *rig, uint32_t slot, int64_t kib)
{
    record_sample(rig->writer, slot, rig->now_us, kib);
    if (mw_writer_is_full(rig->writer))
        commit(rig);
}

static void pass(struct rig *rig, int64_t us)
{
    int64_t before = rig->now_us / 200000;

    rig->now_us += us;
    if (rig->now_us / 200000 != before)
        commit(rig);
}

static void finish(struct rig *rig)
{
    assert_int_equal(mw_writer_end_run(rig->writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL), 0);
    mw_writer_close(rig->writer);
    watch_size(rig);
    assert_int_equal(record_number(rig->path, "SELECT count(*) FROM pragma_integrity_check"
                                              " WHERE integrity_check = 'ok'"),
                     1);
}

static struct mw_kept kept_of(const char *path)
{
    struct mw_reader *reader = record_open(path);
    struct mw_kept kept;

    assert_int_equal(mw_reader_kept(reader, 1, &kept, NULL), 0);
    mw_reader_close(reader);
    return kept;
}

static int64_t number_of(const struct rig *rig, const char *table)
{
    char *sql;
    int64_t number;

    assert_true(asprintf(&sql, "SELECT count(*) FROM %s", table) > 0);
    number = record_number(rig->path, sql);
    free(sql);
    return number;
}

/* --- the bound -------------------------------------------------------------------------------- */

static int highest(void *context, const struct mw_sample *sample)
{
    int64_t *bytes = context;

    *bytes = sample->high_bytes > *bytes ? sample->high_bytes : *bytes;
    return 0;
}

/* Ten times as many samples as have room; with a spike that is long gone from among them. */
static void test_samples_beyond_the_bound_make_room_and_their_peaks_stay(void **state)
{
    enum { SLOTS = 8 };
    struct mw_series_window all = {1, 1, MW_METRIC_RSS, 0, INT64_MAX, 0};
    struct mw_reader *reader;
    struct mw_kept kept;
    struct rig rig;
    int64_t most = 0;

    begin(&rig, state, NULL, 2 * MIB);
    for (uint32_t slot = 1; slot < SLOTS; slot++)
        mw_writer_start_process(rig.writer, slot, 100 + (int)slot, 100, 0, NULL);
    for (int64_t tick = 0; tick < 60000; tick++) {
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            sample(&rig, slot, tick == 3333 ? 7777777 : 50000 + tick * 7919 % 5003);
        pass(&rig, 1000);
    }
    finish(&rig);
    kept = kept_of(rig.path);
    assert_true(kept.levels[0].from_us > 0 && kept.levels[2].from_us == 0);
    assert_int_equal(kept.levels[0].keep_us, -1);
    assert_true(number_of(&rig, "sample") > 20000); /* and yet there is much */
    reader = record_open(rig.path);
    assert_int_equal(mw_reader_series(reader, &all, highest, &most, NULL), 0);
    mw_reader_close(reader);
    assert_int_equal(most, INT64_C(7777777) * 1024);
    free(rig.path);
}

static void test_the_smallest_file_takes_any_amount(void **state)
{
    enum { SLOTS = 30 };
    struct rig rig;

    begin(&rig, state, NULL, MIB);
    for (uint32_t slot = 1; slot < SLOTS; slot++)
        mw_writer_start_process(rig.writer, slot, 100 + (int)slot, 100, 0, NULL);
    for (int64_t tick = 0; tick < 6000; tick++) {
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            sample(&rig, slot, 50000 + tick * 7919 % 5003);
        pass(&rig, 1000);
    }
    finish(&rig);
    free(rig.path);
}

static void test_processes_beyond_the_bound_go_with_all_of_theirs(void **state)
{
    enum { COUNT = 8000, LARGEST = 777 };
    static const char *const arguments[] = {"/usr/bin/some-program", "--with", "arguments"};
    struct mw_kept kept;
    struct rig rig;

    begin(&rig, state, NULL, 2 * MIB);
    sample(&rig, 0, 1000);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(mw_writer_start_process(rig.writer, 1, 1000 + i, 100, rig.now_us, NULL),
                         0);
        mw_writer_add_image(rig.writer, 1, rig.now_us, "some-program", arguments, 3, NULL);
        sample(&rig, 1, i == LARGEST ? 9999999 : 1000 + i);
        sample(&rig, MW_SLOT_TREE, 2000 + i);
        pass(&rig, 5000);
        assert_int_equal(mw_writer_end_process(rig.writer, 1, rig.now_us, 0, -1, NULL), 0);
        pass(&rig, 5000);
    }
    finish(&rig);
    kept = kept_of(rig.path);
    assert_int_equal(kept.processes + (uint64_t)number_of(&rig, "process"), COUNT + 1);
    assert_true(number_of(&rig, "process") > 500);
    assert_int_equal(number_of(&rig, "process WHERE pid IN (100, 1777, 8999)"), 3);
    assert_int_equal(number_of(&rig, "process WHERE pid = 1000"), 0);
    assert_int_equal(number_of(&rig, "image WHERE process NOT IN (SELECT id FROM process)"), 0);
    assert_int_equal(number_of(&rig, "argument WHERE image NOT IN (SELECT id FROM image)"), 0);
    assert_int_equal(number_of(&rig, "series WHERE process NOT IN (SELECT id FROM process)"), 0);
    assert_int_equal(number_of(&rig, "sample WHERE series NOT IN (SELECT id FROM series)"), 0);
    assert_int_equal(number_of(&rig, "rollup WHERE series NOT IN (SELECT id FROM rollup_series)"),
                     0);
    free(rig.path);
}

static void test_calls_beyond_the_bound_go_and_their_aggregates_stay(void **state)
{
    enum { COUNT = 40000 };
    struct mw_function function = {.calls = COUNT, .ended = COUNT, .stored = COUNT}, *functions;
    struct mw_reader *reader;
    struct mw_kept kept;
    struct rig rig;
    size_t count;

    begin(&rig, state, NULL, 2 * MIB);
    mw_writer_add_function(rig.writer, "f", NULL, 0, &function.id, NULL);
    for (int64_t i = 0; i < COUNT; i++) {
        struct mw_call call = {.function = function.id,
                               .number = (uint64_t)i + 1,
                               .thread = 1,
                               .track = 1,
                               .from_us = rig.now_us,
                               .duration_ns = 1000};

        assert_int_equal(mw_writer_add_call(rig.writer, 0, &call, NULL), 0);
        sample(&rig, 0, 1000 + i);
        pass(&rig, 1000);
    }
    assert_int_equal(mw_writer_set_function(rig.writer, &function, NULL), 0);
    finish(&rig);
    kept = kept_of(rig.path);
    assert_true(kept.calls > 0 && number_of(&rig, "call") > 1000);
    assert_int_equal(kept.calls + (uint64_t)number_of(&rig, "call"), COUNT);
    assert_true(record_number(rig.path, "SELECT min(enter_us) FROM call") > 10 * SECOND);
    reader = record_open(rig.path);
    assert_int_equal(mw_reader_functions(reader, 1, &functions, &count, NULL), 0);
    assert_int_equal(functions[0].calls, COUNT);
    assert_int_equal(functions[0].stored, number_of(&rig, "call"));
    mw_function_clear(functions);
    free(functions);
    mw_reader_close(reader);
    free(rig.path);
}

static void test_gaps_clocks_events_and_programs_beyond_the_bound_go(void **state)
{
    enum { COUNT = 20000 };
    static const char *const arguments[] = {"/bin/again", "and", "again"};
    struct mw_kept kept;
    struct rig rig;

    begin(&rig, state, NULL, MIB + MIB / 2);
    for (int64_t i = 0; i < COUNT; i++) {
        const struct mw_event event = {.kind = MW_EVENT_RESTARTED, .t_us = rig.now_us};
        const struct mw_gap gap = {rig.now_us + 1, rig.now_us + 900, 3};

        mw_writer_add_gap(rig.writer, &gap, NULL);
        mw_writer_add_clock(rig.writer, rig.now_us + 1, rig.now_us * 1000, NULL);
        mw_writer_add_event(rig.writer, 0, &event, NULL);
        mw_writer_add_image(rig.writer, 0, rig.now_us, "again", arguments, 3, NULL);
        sample(&rig, 0, i % 2);
        pass(&rig, 20000);
    }
    finish(&rig);
    kept = kept_of(rig.path);
    assert_true(kept.gaps > 0 && kept.gaps + (uint64_t)number_of(&rig, "gap") == COUNT);
    assert_true(kept.events > 0 && kept.events + (uint64_t)number_of(&rig, "event") == COUNT);
    assert_true(number_of(&rig, "clock") > 1 && number_of(&rig, "clock") < COUNT);
    assert_int_equal(number_of(&rig, "clock WHERE t_us = 0"), 1);
    assert_true(number_of(&rig, "image") > 0 && number_of(&rig, "image") < COUNT);
    free(rig.path);
}

static void test_a_file_that_is_too_large_already_takes_no_further_run(void **state)
{
    struct mw_keep keep = mw_keep_all;
    struct mw_error error = {0};
    struct mw_writer *writer = NULL;
    struct rig rig;
    int64_t before;

    begin(&rig, state, NULL, 0);
    for (int64_t tick = 0; tick < 100000; tick++) {
        sample(&rig, 0, tick);
        pass(&rig, 1000);
    }
    finish(&rig);
    before = size_with(rig.path, "");
    assert_true(before > MIB);
    keep.max_file_bytes = MIB;
    assert_int_equal(mw_writer_open(&writer, rig.path, NULL), 0);
    assert_int_equal(mw_writer_keep(writer, &keep, &error), -EFBIG);
    assert_non_null(strstr(error.text, "too large already"));
    mw_writer_close(writer);
    assert_true(size_with(rig.path, "") == before);
    assert_int_equal(number_of(&rig, "run"), 1);
    free(rig.path);
}

/* What is there already is none of the run's: it gets what is left, and uses that. */
static void test_a_further_run_has_the_room_that_is_left(void **state)
{
    struct mw_run run = record_run();
    struct mw_keep keep = mw_keep_all;
    struct rig rig;

    begin(&rig, state, NULL, 0);
    for (int64_t tick = 0; tick < 100000; tick++) {
        sample(&rig, 0, tick * 7919 % 5003);
        pass(&rig, 1000);
    }
    finish(&rig);
    rig.now_us = 0;
    rig.most_bytes = keep.max_file_bytes = size_with(rig.path, "") + 3 * MIB / 2;
    assert_int_equal(mw_writer_open(&rig.writer, rig.path, NULL), 0);
    assert_int_equal(mw_writer_keep(rig.writer, &keep, NULL), 0);
    assert_int_equal(mw_writer_begin_run(rig.writer, &run, NULL), 0);
    assert_int_equal(mw_writer_start_process(rig.writer, 0, 100, 1, 0, NULL), 0);
    for (int64_t tick = 0; tick < 200000; tick++) {
        sample(&rig, 0, tick * 7919 % 5003);
        pass(&rig, 1000);
    }
    finish(&rig);
    assert_int_equal(number_of(&rig, "sample JOIN series ON id = series WHERE run = 1"), 100000);
    assert_true(number_of(&rig, "sample JOIN series ON id = series WHERE run = 2") > 10000);
    free(rig.path);
}

/* More processes that live than the file has room for: then there is nothing to give up. */
static void test_what_has_nothing_left_to_give_up_says_so_and_stays_whole(void **state)
{
    static const char *const arguments[] = {"/usr/bin/some-program", "--with", "many", "arguments"};
    struct mw_error error = {0};
    struct rig rig;
    int code = 0;

    begin(&rig, state, NULL, MIB);
    for (uint32_t slot = 1; code == 0 && slot < 100000; slot++) {
        code = mw_writer_start_process(rig.writer, slot, 100 + (int)slot, 100, rig.now_us, &error);
        if (code == 0)
            code = mw_writer_add_image(rig.writer, slot, rig.now_us, "x", arguments, 4, &error);
        rig.now_us += 1000;
        if (code == 0 && slot % 50 == 0)
            code = mw_writer_commit(rig.writer, &error);
        watch_size(&rig);
    }
    assert_int_equal(code, -EFBIG);
    assert_non_null(strstr(error.text, "--max-file"));
    mw_writer_close(rig.writer);
    watch_size(&rig);
    assert_true(number_of(&rig, "process") > 500);
    assert_int_equal(record_read_all(rig.path, NULL), 0);
    free(rig.path);
}

/* A reader that looks for long keeps the log from beginning anew: nothing is to be written then. */
static void test_a_reader_that_stays_cannot_make_the_log_grow(void **state)
{
    sqlite3 *reader;
    struct rig rig;
    int64_t tick = 0;

    begin(&rig, state, NULL, 2 * MIB);
    commit(&rig);
    assert_int_equal(sqlite3_open_v2(rig.path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM sample", NULL, NULL, NULL),
                     SQLITE_OK);
    for (; !mw_writer_is_held_up(rig.writer); tick++) {
        sample(&rig, 0, tick);
        pass(&rig, 1000);
        assert_true(tick < 100000);
    }
    commit(&rig);
    assert_true(mw_writer_is_held_up(rig.writer));
    sqlite3_close(reader);
    assert_false(mw_writer_is_held_up(rig.writer));
    for (int64_t end = tick + 50000; tick < end; tick++) {
        assert_false(mw_writer_is_held_up(rig.writer));
        sample(&rig, 0, tick);
        pass(&rig, 1000);
    }
    finish(&rig);
    free(rig.path);
}

/* --- by age ------------------------------------------------------------------------------------
 */

static void test_what_is_older_than_it_must_be_kept_goes_and_its_room_is_used_again(void **state)
{
    struct mw_kept kept;
    struct rig rig;
    int64_t half = 0;

    begin(&rig, state, "raw=10s,1s=60s,10s=forever", 0);
    for (int64_t tick = 0; tick < 300000; tick++) {
        sample(&rig, 0, tick * 7919 % 5003);
        pass(&rig, 1000);
        if (tick == 100000)
            half = size_with(rig.path, "");
    }
    finish(&rig);
    kept = kept_of(rig.path);
    assert_int_equal(kept.level_count, 3);
    assert_int_equal(kept.levels[0].keep_us, 10 * SECOND);
    assert_true(kept.levels[0].from_us >= 285 * SECOND && kept.levels[0].from_us <= 290 * SECOND);
    assert_true(kept.levels[1].from_us >= 225 * SECOND && kept.levels[1].from_us <= 240 * SECOND);
    assert_int_equal(kept.levels[2].from_us, 0);
    assert_true(number_of(&rig, "sample") <= 15000 && number_of(&rig, "sample") >= 10000);
    assert_true(size_with(rig.path, "") < half + 100000);
    free(rig.path);
}

/* A process is given up with the last level that has more of it than one bucket. */
static void test_processes_that_ended_go_with_the_levels_that_show_them(void **state)
{
    struct mw_kept kept;
    struct rig rig;

    begin(&rig, state, "raw=10s,1s=1m,1m=5m", 0);
    sample(&rig, 0, 50);
    for (int i = 0; i < 700; i++) { /* one of 20 ms and one of 5 s, from second to second */
        uint32_t slot = 2 + (uint32_t)i % 6;

        if (i >= 5)
            mw_writer_end_process(rig.writer, 2 + (uint32_t)(i - 5) % 6, rig.now_us, 0, -1, NULL);
        mw_writer_start_process(rig.writer, slot, 50000 + i, 100, rig.now_us, NULL);
        sample(&rig, slot, 100);
        mw_writer_start_process(rig.writer, 1, 1000 + i, 100, rig.now_us, NULL);
        sample(&rig, 1, i == 3 ? 5000 : 100);
        pass(&rig, 20000);
        mw_writer_end_process(rig.writer, 1, rig.now_us, 0, -1, NULL);
        pass(&rig, SECOND - 20000);
    }
    finish(&rig);
    kept = kept_of(rig.path);
    assert_int_equal(kept.processes + (uint64_t)number_of(&rig, "process"), 1 + 1400);
    assert_in_range(number_of(&rig, "process WHERE pid BETWEEN 1000 AND 9999"), 10, 20);
    /* Of the longer ones one in twelve lives where one minute turns into the next. */
    assert_in_range(number_of(&rig, "process WHERE pid >= 50000 AND start_us > 600000000"), 60,
                    100);
    assert_in_range(number_of(&rig, "process WHERE pid >= 50000 AND start_us < 600000000"), 20, 60);
    assert_int_equal(number_of(&rig, "process WHERE start_us < 300000000 AND pid <> 100"), 1);
    assert_int_equal(number_of(&rig, "process WHERE pid = 1003"), 1); /* it had the most */
    free(rig.path);
}

/* More of them than go at once: what comes behind is not kept for their sake. */
static void test_calls_that_began_at_one_moment_go_and_so_does_what_is_younger(void **state)
{
    enum { COUNT = 3000 };
    int64_t function;
    struct rig rig;

    begin(&rig, state, "raw=2s", 0);
    mw_writer_add_function(rig.writer, "f", NULL, 0, &function, NULL);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct mw_call call = {
            .function = function, .number = i + 1, .thread = 1, .track = 1, .duration_ns = 1000};

        assert_int_equal(mw_writer_add_call(rig.writer, 0, &call, NULL), 0);
    }
    for (int i = 0; i < 30; i++) {
        sample(&rig, 0, 1000 + i);
        pass(&rig, SECOND);
    }
    finish(&rig);
    assert_int_equal(number_of(&rig, "call"), 0);
    assert_in_range(number_of(&rig, "sample"), 1, 10);
    free(rig.path);
}

static void test_no_process_gets_the_id_of_one_that_has_gone(void **state)
{
    struct rig rig;

    begin(&rig, state, "raw=2s", 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mw_writer_start_process(rig.writer, 1, 1000 + i, 100, rig.now_us, NULL),
                         0);
        sample(&rig, 1, 1000);
        pass(&rig, SECOND);
        assert_int_equal(mw_writer_end_process(rig.writer, 1, rig.now_us, 0, -1, NULL), 0);
        for (int j = 0; j < 20; j++) {
            sample(&rig, 0, 1000 + j);
            pass(&rig, SECOND);
        }
    }
    finish(&rig);
    assert_true(number_of(&rig, "process") < 5);
    assert_int_equal(record_number(rig.path, "SELECT max(id) FROM process"), 6);
    free(rig.path);
}

static void test_gaps_and_clocks_are_thinned_as_samples_are(void **state)
{
    struct mw_kept kept;
    struct rig rig;

    begin(&rig, state, "raw=10s,1s=100s,10s=forever", 0);
    for (int64_t i = 0; i < 5000; i++) { /* gaps of 20 ms, one of 5 s and one of 20 s a while */
        int64_t length_us = i % 1000 == 500 ? 5 * SECOND : i % 1000 == 700 ? 20 * SECOND : 20000;
        const struct mw_gap gap = {rig.now_us + 1, rig.now_us + length_us, 3};

        mw_writer_add_gap(rig.writer, &gap, NULL);
        mw_writer_add_clock(rig.writer, rig.now_us + 1, rig.now_us * 1000, NULL);
        sample(&rig, 0, i % 2);
        pass(&rig, length_us + 80000);
    }
    finish(&rig);
    kept = kept_of(rig.path);
    assert_int_equal(kept.gaps + (uint64_t)number_of(&rig, "gap"), 5000);
    assert_int_equal(number_of(&rig, "gap WHERE to_us - from_us > 15000000"), 5);
    assert_in_range(number_of(&rig, "gap WHERE to_us - from_us BETWEEN 4000000 AND 6000000"), 0, 2);
    assert_in_range(number_of(&rig, "gap WHERE to_us - from_us < 1000000"), 90, 200);
    assert_in_range(number_of(&rig, "clock"), 200, 400);
    free(rig.path);
}

static void test_without_levels_everything_stays(void **state)
{
    struct rig rig;

    begin(&rig, state, NULL, 0);
    for (int64_t tick = 0; tick < 20000; tick++) {
        sample(&rig, 0, tick);
        pass(&rig, 100000);
    }
    finish(&rig);
    assert_int_equal(number_of(&rig, "sample"), 20000);
    assert_int_equal(number_of(&rig, "rollups WHERE bucket_s = 60"), 34);
    assert_int_equal(number_of(&rig, "given_up"), 0);
    free(rig.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_levels_are_understood),
        UNIT_TEST(test_levels_that_make_no_sense_are_refused_and_change_nothing),
        UNIT_TEST(test_a_size_for_the_file_is_at_least_a_mebibyte),
        UNIT_TEST(test_samples_beyond_the_bound_make_room_and_their_peaks_stay),
        UNIT_TEST(test_the_smallest_file_takes_any_amount),
        UNIT_TEST(test_processes_beyond_the_bound_go_with_all_of_theirs),
        UNIT_TEST(test_calls_beyond_the_bound_go_and_their_aggregates_stay),
        UNIT_TEST(test_gaps_clocks_events_and_programs_beyond_the_bound_go),
        UNIT_TEST(test_a_file_that_is_too_large_already_takes_no_further_run),
        UNIT_TEST(test_a_further_run_has_the_room_that_is_left),
        UNIT_TEST(test_what_has_nothing_left_to_give_up_says_so_and_stays_whole),
        UNIT_TEST(test_a_reader_that_stays_cannot_make_the_log_grow),
        UNIT_TEST(test_what_is_older_than_it_must_be_kept_goes_and_its_room_is_used_again),
        UNIT_TEST(test_processes_that_ended_go_with_the_levels_that_show_them),
        UNIT_TEST(test_calls_that_began_at_one_moment_go_and_so_does_what_is_younger),
        UNIT_TEST(test_no_process_gets_the_id_of_one_that_has_gone),
        UNIT_TEST(test_gaps_and_clocks_are_thinned_as_samples_are),
        UNIT_TEST(test_without_levels_everything_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
