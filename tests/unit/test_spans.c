/* Calls that are too close to be drawn apart: what the spans that they become have in common. */
#include "analysis/spans.h"
#include "unit.h"
#include "util/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static struct mw_span call(int64_t from_us, int64_t to_us)
{
    return (struct mw_span){.from_us = from_us,
                            .to_us = to_us,
                            .calls = 1,
                            .duration_ns = (to_us - from_us) * 1000,
                            .from_bytes = (double)from_us,
                            .to_bytes = (double)to_us,
                            .growth_bytes = 1,
                            .peak_bytes = (double)to_us};
}

static void add(struct mw_span_row *row, struct mw_span span)
{
    assert_int_equal(mw_span_row_add(row, &span), 0);
}

static void test_calls_that_are_apart_stay_as_they_are(void **state)
{
    static const enum mw_span_rule rules[] = {MW_SPAN_BY_ENTRY, MW_SPAN_BY_GAP};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(rules); i++) {
        struct mw_span_row row = {.rule = rules[i], .near_us = 10, .long_us = 100};

        add(&row, call(0, 5));
        add(&row, call(20, 30));
        add(&row, call(50, 1000));
        assert_int_equal(row.count, 3);
        assert_int_equal(row.spans[1].from_us, 20);
        assert_int_equal(row.spans[1].to_us, 30);
        assert_int_equal(row.spans[2].calls, 1);
        mw_span_row_clear(&row);
    }
}

static void test_joined_calls_reach_from_the_first_entry_to_the_last_exit(void **state)
{
    struct mw_span_row row = {.near_us = 10};

    (void)state;
    add(&row, call(100, 500));
    add(&row, call(105, 110));
    add(&row, call(114, 300));
    assert_int_equal(row.count, 1);
    assert_int_equal(row.spans->from_us, 100);
    assert_int_equal(row.spans->to_us, 500);
    assert_true(row.spans->from_bytes == 100 && row.spans->to_bytes == 500);
    assert_int_equal(row.spans->calls, 3);
    assert_int_equal(row.spans->duration_ns, 591000);
    assert_true(row.spans->growth_bytes == 3 && row.spans->peak_bytes == 500);
    mw_span_row_clear(&row);
}

/* What begins at the end of the call before has brackets of its own, but no box of its own. */
static void test_entries_are_near_by_rule(void **state)
{
    struct mw_span_row brackets = {.rule = MW_SPAN_BY_ENTRY, .near_us = 10};
    struct mw_span_row boxes = {.rule = MW_SPAN_BY_GAP, .near_us = 10, .long_us = 100};

    (void)state;
    for (int64_t from_us = 0; from_us < 300; from_us += 30) {
        add(&brackets, call(from_us, from_us + 30));
        add(&boxes, call(from_us, from_us + 30));
    }
    assert_int_equal(brackets.count, 10);
    assert_int_equal(boxes.count, 1);
    mw_span_row_clear(&brackets);
    mw_span_row_clear(&boxes);
}

static void test_a_long_call_keeps_its_own_box(void **state)
{
    struct mw_span_row row = {.rule = MW_SPAN_BY_GAP, .near_us = 10, .long_us = 100};

    (void)state;
    add(&row, call(0, 5));
    add(&row, call(6, 11));
    add(&row, call(12, 112));
    add(&row, call(113, 118));
    assert_int_equal(row.count, 3);
    assert_int_equal(row.spans[0].calls, 2);
    assert_int_equal(row.spans[1].calls, 1);
    mw_span_row_clear(&row);
}

static void test_calls_of_several_functions_are_said_to_be(void **state)
{
    struct mw_span_row row = {.rule = MW_SPAN_BY_GAP, .near_us = 10, .long_us = 100};
    struct mw_span other = call(6, 8);

    (void)state;
    other.function = 1;
    other.open = true;
    add(&row, call(0, 5));
    add(&row, other);
    assert_int_equal(row.count, 1);
    assert_true(row.spans->function == MW_SPAN_SEVERAL);
    assert_true(row.spans->open);
    mw_span_row_clear(&row);
}

static void test_what_is_not_known_of_memory_adds_nothing(void **state)
{
    struct mw_span_row row = {.near_us = 10};
    struct mw_span unknown = call(1, 2);

    (void)state;
    unknown.growth_bytes = unknown.peak_bytes = NAN;
    add(&row, unknown);
    add(&row, unknown);
    assert_true(isnan(row.spans->growth_bytes) && isnan(row.spans->peak_bytes));
    add(&row, call(1, 3));
    add(&row, unknown);
    assert_true(row.spans->growth_bytes == 1 && row.spans->peak_bytes == 3);
    mw_span_row_clear(&row);
}

static void test_times_that_no_file_should_hold_do_not_overflow(void **state)
{
    struct mw_span_row row = {.near_us = 10};
    struct mw_span huge = call(1, 2);

    (void)state;
    huge.duration_ns = INT64_MAX;
    add(&row, huge);
    add(&row, huge);
    assert_true(row.spans->duration_ns == INT64_MAX);
    mw_span_row_clear(&row);
}

/* The properties of a row, whatever the calls are. Lengths go up to a few times what is near. */
static void check_random_row(enum mw_span_rule rule, uint64_t seed)
{
    enum { CALLS = 500, NEAR = 20, LONG = 60 };
    struct mw_span_row row = {.rule = rule, .near_us = NEAR, .long_us = LONG};
    struct mw_span calls[CALLS];
    uint64_t counted = 0;
    size_t next = 0;
    int64_t from_us = 0;

    for (size_t i = 0; i < CALLS; i++) {
        from_us += (int64_t)(unit_random(&seed) % (3 * NEAR));
        calls[i] = call(from_us, from_us + (int64_t)(unit_random(&seed) % (2 * LONG)));
        add(&row, calls[i]);
    }
    for (size_t i = 0; i < row.count; i++) {
        const struct mw_span *span = &row.spans[i];
        int64_t end_us = calls[next].to_us;

        /* Each span is the next calls in turn: it covers them and nothing beside them. */
        assert_int_equal(span->from_us, calls[next].from_us);
        for (uint64_t n = 0; n < span->calls; n++, next++) {
            if (n > 0 && rule == MW_SPAN_BY_ENTRY)
                assert_true(calls[next].from_us - calls[next - 1].from_us < NEAR);
            if (n > 0 && rule == MW_SPAN_BY_GAP)
                assert_true(calls[next].from_us - end_us < NEAR);
            end_us = calls[next].to_us > end_us ? calls[next].to_us : end_us;
        }
        assert_int_equal(span->to_us, end_us);
        counted += span->calls;
        if (i > 0)
            assert_true(span->from_us >= row.spans[i - 1].from_us);
        if (i > 0 && rule == MW_SPAN_BY_ENTRY)
            assert_true(span->from_us - row.spans[i - 1].from_us >= NEAR);
    }
    assert_int_equal(counted, CALLS);
    mw_span_row_clear(&row);
}

static void test_spans_cover_the_calls_in_order_and_lose_none(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        check_random_row(MW_SPAN_BY_ENTRY, seed);
        check_random_row(MW_SPAN_BY_GAP, seed);
    }
}

static void test_a_million_calls_take_no_time_and_no_room(void **state)
{
    struct mw_span_row row = {.near_us = 10000};
    clock_t begin = clock();

    (void)state;
    for (int64_t i = 0; i < 1000000; i++)
        add(&row, call(i * 10, i * 10 + 5));
    assert_int_equal(row.count, 1);
    assert_int_equal(row.spans->calls, 1000000);
    /* Measured: 25 ms. The rest is for slow machines and sanitizers. */
    assert_true(clock() - begin < CLOCKS_PER_SEC);
    mw_span_row_clear(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_that_are_apart_stay_as_they_are),
        cmocka_unit_test(test_joined_calls_reach_from_the_first_entry_to_the_last_exit),
        cmocka_unit_test(test_entries_are_near_by_rule),
        cmocka_unit_test(test_a_long_call_keeps_its_own_box),
        cmocka_unit_test(test_calls_of_several_functions_are_said_to_be),
        cmocka_unit_test(test_what_is_not_known_of_memory_adds_nothing),
        cmocka_unit_test(test_times_that_no_file_should_hold_do_not_overflow),
        cmocka_unit_test(test_spans_cover_the_calls_in_order_and_lose_none),
        cmocka_unit_test(test_a_million_calls_take_no_time_and_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
