/* What happened to a run beside its numbers, and its limits, come back as they were written. */
#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct mw_event verdict = {
    .kind = MW_EVENT_VERDICT,
    .t_us = 5000,
    .name = (char[]){"leak"},
    .has_value = true,
    .value = -7,
    .note = (char[]){"grows\n\xFF"},
};

static const struct mw_event crossed = {
    .kind = MW_EVENT_LIMIT,
    .t_us = 4000,
    .name = (char[]){"max-growth"},
    .has_value = true,
    .value = INT64_MAX,
    .has_limit = true,
};

static const struct mw_event detached = {.kind = MW_EVENT_DETACHED, .t_us = 6000};

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_event(const struct mw_event *event, const struct mw_event *wanted,
                        int64_t process)
{
    assert_int_equal(event->kind, wanted->kind);
    assert_int_equal(event->process, process);
    assert_int_equal(event->t_us, wanted->t_us);
    assert_true(same_text(event->name, wanted->name));
    assert_int_equal(event->has_value, wanted->has_value);
    assert_true(event->value == wanted->value);
    assert_int_equal(event->has_limit, wanted->has_limit);
    assert_int_equal(event->limit_value, wanted->limit_value);
    assert_true(same_text(event->note, wanted->note));
}

/* Writes the three, the last of them first in time order but one. */
static void write_events(const char *path)
{
    struct mw_writer *writer = record_begin(path);

    assert_int_equal(mw_writer_add_event(writer, 0, &verdict, NULL), 0);
    assert_int_equal(mw_writer_add_event(writer, MW_SLOT_TREE, &detached, NULL), 0);
    assert_int_equal(mw_writer_add_event(writer, MW_SLOT_TREE, &crossed, NULL), 0);
    assert_int_equal(mw_writer_commit(writer, NULL), 0);
    mw_writer_close(writer);
}

static void test_events_come_back_in_the_order_of_time(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_reader *reader;
    struct mw_event *events;
    size_t count;

    write_events(path);
    reader = record_open(path);
    assert_int_equal(mw_reader_events(reader, 1, &events, &count, NULL), 0);
    assert_int_equal(count, 3);
    check_event(&events[0], &crossed, -1);
    check_event(&events[1], &verdict, 1);
    check_event(&events[2], &detached, -1);
    for (size_t i = 0; i < count; i++)
        mw_event_clear(&events[i]);
    free(events);
    mw_reader_close(reader);
    free(path);
}

/* A later memwatch may know more kinds. */
static void test_an_event_of_an_unknown_kind_is_left_out(void **state)
{
    char *path = unit_path(state, "x.db");
    struct mw_reader *reader;
    struct mw_event *events;
    size_t count;

    write_events(path);
    record_sql(path, "PRAGMA ignore_check_constraints = 1;"
                     "UPDATE event SET kind = 'mystery' WHERE kind = 'verdict'");
    reader = record_open(path);
    assert_int_equal(mw_reader_events(reader, 1, &events, &count, NULL), 0);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        mw_event_clear(&events[i]);
    free(events);
    mw_reader_close(reader);
    free(path);
}

static void test_limits_come_back(void **state)
{
    char *path = unit_path(state, "x.db");
    const struct mw_limit cgroup = {.since_us = 0,
                                    .name = (char[]){"memory.max"},
                                    .place = (char[]){"/a\xFF"},
                                    .value = INT64_C(1) << 40,
                                    .window_us = -1};
    const struct mw_limit lifted = {.since_us = 7,
                                    .name = (char[]){"memory.max"},
                                    .place = (char[]){"/a\xFF"},
                                    .value = -1,
                                    .window_us = -1};
    const struct mw_limit growth = {
        .since_us = 0, .name = (char[]){"max-growth"}, .value = 5, .window_us = 60000000};
    struct mw_writer *writer = record_begin(path);
    struct mw_reader *reader;
    struct mw_limit *limits;
    size_t count;

    assert_int_equal(mw_writer_add_limit(writer, 0, &cgroup, NULL), 0);
    assert_int_equal(mw_writer_add_limit(writer, 0, &lifted, NULL), 0);
    assert_int_equal(mw_writer_add_limit(writer, MW_SLOT_TREE, &growth, NULL), 0);
    assert_int_equal(mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, NULL), 0);
    mw_writer_close(writer);
    reader = record_open(path);
    assert_int_equal(mw_reader_limits(reader, 1, &limits, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(limits[0].process, 1);
    assert_string_equal(limits[0].name, "memory.max");
    assert_string_equal(limits[0].place, "/a\xFF");
    assert_true(limits[0].value == INT64_C(1) << 40);
    assert_int_equal(limits[1].process, -1);
    assert_string_equal(limits[1].place, "");
    assert_int_equal(limits[1].window_us, 60000000);
    assert_int_equal(limits[2].since_us, 7);
    assert_int_equal(limits[2].value, -1);
    for (size_t i = 0; i < count; i++)
        mw_limit_clear(&limits[i]);
    free(limits);
    mw_reader_close(reader);
    free(path);
}

static void test_names_of_kinds_are_found_again(void **state)
{
    (void)state;
    for (int i = MW_EVENT_ATTACHED; i <= MW_EVENT_VERDICT; i++)
        assert_int_equal(mw_event_kind_parse(mw_event_kind_name((enum mw_event_kind)i)), i);
    assert_int_equal(mw_event_kind_parse("Limit"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_events_come_back_in_the_order_of_time),
        UNIT_TEST(test_an_event_of_an_unknown_kind_is_left_out),
        UNIT_TEST(test_limits_come_back),
        UNIT_TEST(test_names_of_kinds_are_found_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
