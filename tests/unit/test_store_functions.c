/* Functions and their calls that are written into a memwatch file are read back, all of them. */
#include "record.h"

#include <stdlib.h>
#include <sys/stat.h>

/* The calls of a run, as they come. */
struct calls {
    size_t count;
    struct mw_call call[64];
};

static int take_call(void *context, const struct mw_call *call)
{
    struct calls *calls = context;

    assert_in_range(calls->count, 0, MW_COUNT(calls->call) - 1);
    calls->call[calls->count++] = *call;
    return 0;
}

static struct calls read_calls(const char *path, int64_t run, int64_t from_us, int64_t to_us)
{
    struct mw_reader *reader = record_open(path);
    struct calls calls = {0};

    assert_int_equal(mw_reader_calls(reader, run, from_us, to_us, take_call, &calls, NULL), 0);
    mw_reader_close(reader);
    return calls;
}

static const struct mw_peak kernel_peak = {true, 4096 << 10, 5000 << 10, 150, 180, MW_PEAK_KERNEL};

static void check_peak(const struct mw_peak *peak, const struct mw_peak *wanted)
{
    assert_int_equal(peak->known, wanted->known);
    if (!wanted->known)
        return;
    assert_int_equal(peak->bytes, wanted->bytes);
    assert_int_equal(peak->upper_bytes, wanted->upper_bytes);
    assert_int_equal(peak->from_us, wanted->from_us);
    assert_int_equal(peak->to_us, wanted->to_us);
    assert_int_equal(peak->source, wanted->source);
}

static void check_call(const struct mw_call *call, const struct mw_call *wanted)
{
    assert_int_equal(call->function, wanted->function);
    assert_int_equal(call->process, wanted->process);
    assert_int_equal(call->number, wanted->number);
    assert_int_equal(call->track, wanted->track);
    assert_int_equal(call->thread, wanted->thread);
    assert_int_equal(call->depth, wanted->depth);
    assert_int_equal(call->from_us, wanted->from_us);
    assert_int_equal(call->to_us, wanted->to_us);
    assert_int_equal(call->duration_ns, wanted->duration_ns);
    assert_int_equal(call->suspended_ns, wanted->suspended_ns);
    assert_int_equal(call->from_bytes, wanted->from_bytes);
    assert_int_equal(call->to_bytes, wanted->to_bytes);
    check_peak(&call->peak, &wanted->peak);
}

static void check_figures(const struct mw_function *function, const struct mw_function *wanted)
{
    assert_int_equal(function->id, wanted->id);
    assert_true(function->calls == wanted->calls && function->ended == wanted->ended);
    assert_int_equal(function->stored, wanted->stored);
    assert_true(function->total_ns == wanted->total_ns);
    assert_int_equal(function->max_ns, wanted->max_ns);
    assert_int_equal(function->suspended_ns, wanted->suspended_ns);
    assert_int_equal(function->growth_bytes, wanted->growth_bytes);
    check_peak(&function->peak, &wanted->peak);
}

static void test_every_field_of_a_function_comes_back(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct mw_function *functions = NULL;
    struct mw_function figures = {.calls = 5000000000,
                                  .ended = 4999999999,
                                  .stored = 1000000,
                                  .total_ns = INT64_C(3000000000000000),
                                  .max_ns = 77,
                                  .suspended_ns = 88,
                                  .growth_bytes = -5 * 1024,
                                  .peak = kernel_peak};
    struct mw_reader *reader;
    size_t count = 0;
    int64_t second;

    assert_int_equal(mw_writer_add_function(writer, "m.\xFF\n", "/tmp/m.py", 12, &figures.id, NULL),
                     0);
    assert_int_equal(mw_writer_add_function(writer, "", NULL, 0, &second, NULL), 0);
    assert_int_equal(mw_writer_set_function(writer, &figures, NULL), 0);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_EXITED, 0, -1, -1, NULL), 0);
    mw_writer_close(writer);
    reader = record_open(path);
    assert_int_equal(mw_reader_functions(reader, 1, &functions, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(functions[0].name, "m.\xFF\n");
    assert_string_equal(functions[0].file, "/tmp/m.py");
    assert_int_equal(functions[0].line, 12);
    check_figures(&functions[0], &figures);
    assert_string_equal(functions[1].name, "");
    assert_null(functions[1].file);
    assert_int_equal(functions[1].line, 0);
    assert_false(functions[1].peak.known);
    for (size_t i = 0; i < count; i++)
        mw_function_clear(&functions[i]);
    free(functions);
    assert_int_equal(mw_reader_functions(reader, 4711, &functions, &count, NULL), 0);
    assert_int_equal(count, 0);
    mw_reader_close(reader);
    assert_int_equal(record_number(path, "SELECT growth_bytes FROM functions"), -5 * 1024);
    free(path);
}

static void test_every_field_of_a_call_comes_back(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct mw_function figures = {.calls = 2, .ended = 1, .max_ns = 80000, .suspended_ns = 20000};
    struct mw_call ended = {.number = 1,
                            .track = -7,
                            .thread = 100,
                            .depth = 3,
                            .from_us = 100,
                            .to_us = 200,
                            .duration_ns = 80000,
                            .suspended_ns = 20000,
                            .from_bytes = 1 << 20,
                            .to_bytes = 2 << 20,
                            .peak = kernel_peak};
    struct mw_call open = {.number = 2,
                           .track = 101,
                           .thread = 101,
                           .from_us = 150,
                           .to_us = -1,
                           .duration_ns = -1,
                           .from_bytes = -1,
                           .to_bytes = -1};
    struct calls calls;

    assert_int_equal(mw_writer_add_function(writer, "f", NULL, 0, &figures.id, NULL), 0);
    ended.function = open.function = figures.id;
    assert_int_equal(mw_writer_add_call(writer, MW_SLOT_UNKNOWN, &open, NULL), 0);
    assert_int_equal(mw_writer_add_call(writer, 0, &ended, NULL), 0);
    assert_int_equal(mw_writer_set_function(writer, &figures, NULL), 0);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_EXITED, 0, -1, -1, NULL), 0);
    mw_writer_close(writer);
    calls = read_calls(path, 1, 0, INT64_MAX);
    assert_int_equal(calls.count, 2);
    ended.process = 1;
    open.process = -1;
    check_call(&calls.call[0], &ended);
    check_call(&calls.call[1], &open);
    assert_int_equal(record_number(path, "SELECT pid FROM calls WHERE number = 1"), 100);
    assert_int_equal(record_number(path, "SELECT exit_s * 1000000 FROM calls"), 200);
    assert_int_equal(record_number(path, "SELECT count(exit_s) FROM calls"), 1);
    assert_int_equal(record_number(path, "SELECT peak_to_s * 1000000 FROM calls"), 180);
    free(path);
}

/* A call of a function of a run, in a file of its own making. */
static void add_call(struct mw_writer *writer, int64_t function, uint64_t number, int64_t from_us,
                     int64_t to_us)
{
    struct mw_call call = {.function = function,
                           .number = number,
                           .track = 1,
                           .thread = 1,
                           .from_us = from_us,
                           .to_us = to_us,
                           .duration_ns = to_us < 0 ? -1 : (to_us - from_us) * 1000,
                           .from_bytes = -1,
                           .to_bytes = -1};

    assert_int_equal(mw_writer_add_call(writer, 0, &call, NULL), 0);
}

/* One long call around ten short ones, and one that never ends from 500 on. */
static void write_calls(const char *path)
{
    struct mw_writer *writer = record_begin(path);
    struct mw_function figures[3] = {{.calls = 10, .ended = 10, .max_ns = 50000},
                                     {.calls = 1, .ended = 1, .max_ns = 1000000},
                                     {.calls = 1, .ended = 0}};

    for (size_t i = 0; i < MW_COUNT(figures); i++)
        assert_int_equal(mw_writer_add_function(writer, "f", NULL, 0, &figures[i].id, NULL), 0);
    for (int i = 0; i < 10; i++)
        add_call(writer, figures[0].id, (uint64_t)i + 1, i * 100, i * 100 + 50);
    add_call(writer, figures[1].id, 1, 0, 1000);
    add_call(writer, figures[2].id, 1, 500, -1);
    for (size_t i = 0; i < MW_COUNT(figures); i++)
        assert_int_equal(mw_writer_set_function(writer, &figures[i], NULL), 0);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_EXITED, 0, -1, -1, NULL), 0);
    mw_writer_close(writer);
}

static void test_a_window_gives_the_calls_that_overlap_it_in_the_order_of_entry(void **state)
{
    static const struct {
        int64_t from, to;
        size_t count;
    } cases[] = {{0, 2000, 12},
                 {0, 0, 2},
                 {60, 90, 1},
                 {50, 100, 3},
                 {450, 450, 2},
                 {451, 499, 1},
                 {500, 500, 3},
                 {5000, INT64_MAX, 1},
                 {1000, 1000, 2},
                 {-9, -1, 0},
                 {INT64_MIN, INT64_MAX, 12}};
    char *path = unit_path(state, "x.db");

    write_calls(path);
    write_calls(path); /* another run, which is not looked at */
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        struct calls calls = read_calls(path, 1, cases[i].from, cases[i].to);

        assert_int_equal(calls.count, cases[i].count);
        for (size_t j = 1; j < calls.count; j++)
            assert_true(calls.call[j - 1].from_us <= calls.call[j].from_us);
        for (size_t j = 0; j < calls.count; j++)
            assert_in_range(calls.call[j].function, 1, 3);
    }
    assert_int_equal(read_calls(path, 2, 0, 2000).count, 12);
    assert_int_equal(read_calls(path, 3, 0, 2000).count, 0);
    free(path);
}

static int stop_at_the_third_call(void *context, const struct mw_call *call)
{
    (void)call;
    return ++*(int *)context == 3 ? 42 : 0;
}

static void test_a_reading_of_calls_ends_when_its_taker_says_so(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_reader *reader;
    int seen = 0;

    write_calls(path);
    reader = record_open(path);
    assert_int_equal(mw_reader_calls(reader, 1, 0, INT64_MAX, stop_at_the_third_call, &seen, NULL),
                     42);
    assert_int_equal(seen, 3);
    mw_reader_close(reader);
    free(path);
}

/* Calls as a busy program makes them: nested, in three threads, with all that can be known. */
static void test_a_call_takes_at_most_60_bytes(void **state)
{
    enum { CALLS = 200000, INNER = 9 };
    char *path = unit_path(state, "x.db");
    struct mw_writer *writer = record_begin(path);
    struct stat status;
    int64_t functions[6], t_us = 0;
    uint64_t seed = 5;

    for (size_t i = 0; i < MW_COUNT(functions); i++)
        assert_int_equal(mw_writer_add_function(writer, "f", NULL, 0, &functions[i], NULL), 0);
    for (int64_t i = 0; i < CALLS; i++) {
        bool outer = i % (INNER + 1) == INNER;
        int64_t kib = 100000 + (int64_t)(unit_random(&seed) % 1000000);
        int64_t lasted_us = outer ? 9000 : 100 + (int64_t)(unit_random(&seed) % 500);
        struct mw_call call = {.function = functions[outer ? 5 : i % 5],
                               .number = (uint64_t)i + 1,
                               .track = 4711000 + i / 1000 % 3,
                               .thread = 4711000 + i / 1000 % 3,
                               .depth = outer ? 0 : 1,
                               .from_us = outer ? t_us - 8900 : t_us,
                               .to_us = t_us + lasted_us,
                               .duration_ns = lasted_us * 1000 + 17,
                               .from_bytes = kib * 1024,
                               .to_bytes = (kib + 40) * 1024,
                               .peak = {true, (kib + 300) * 1024, (kib + 2000) * 1024, t_us,
                                        t_us + lasted_us, MW_PEAK_KERNEL}};

        t_us += outer ? 100 : 1000;
        assert_int_equal(mw_writer_add_call(writer, 0, &call, NULL), 0);
    }
    mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL);
    mw_writer_close(writer);
    assert_int_equal(stat(path, &status), 0);
    print_message("%.1f bytes a call\n", (double)status.st_size / CALLS);
    assert_true(status.st_size <= (off_t)CALLS * 60);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_every_field_of_a_function_comes_back),
        UNIT_TEST(test_every_field_of_a_call_comes_back),
        UNIT_TEST(test_a_window_gives_the_calls_that_overlap_it_in_the_order_of_entry),
        UNIT_TEST(test_a_reading_of_calls_ends_when_its_taker_says_so),
        UNIT_TEST(test_a_call_takes_at_most_60_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
