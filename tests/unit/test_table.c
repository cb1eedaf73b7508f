/* Tables find what was added and not dropped, however much that is. */
#include "record/table.h"
#include "unit.h"

#include <string.h>

/* Pids so far apart share their places. */
enum { APART = 1 << 14, PIDS = 50 * APART, TRACKS = 60 };

struct thing {
    struct mw_element element;
    int seen;
    char *name; /* its own */
};

static void clear_thing(void *element)
{
    struct thing *thing = element;

    free(thing->name);
}

/* Tracks of some processes. */
static void fill(struct mw_table *table)
{
    assert_true(mw_table_init(table, sizeof(struct thing)));
    for (int64_t pid = 0; pid < PIDS; pid += APART) {
        for (int64_t track = -TRACKS / 2; track < TRACKS / 2; track++) {
            struct thing *thing = mw_table_add(table, (struct mw_key){pid, track});

            assert_non_null(thing);
            thing->name = strdup("own");
        }
    }
}

static void test_each_element_is_found_by_its_own_key(void **state)
{
    struct mw_table table;
    struct thing *thing;

    (void)state;
    fill(&table);
    for (int64_t pid = 0; pid < PIDS; pid += APART) {
        for (int64_t track = -TRACKS / 2; track < TRACKS / 2; track++) {
            thing = mw_table_find(&table, (struct mw_key){pid, track});
            assert_non_null(thing);
            assert_true(thing->element.key.pid == pid && thing->element.key.track == track);
            assert_int_equal(thing->seen++, 0);
        }
    }
    for (int64_t pid = PIDS; pid < 2 * PIDS; pid += APART)
        assert_null(mw_table_find(&table, (struct mw_key){pid, 0}));
    for (int64_t track = TRACKS; track < 1000 * TRACKS; track++)
        assert_null(mw_table_find(&table, (struct mw_key){0, track}));
    mw_table_clear(&table, clear_thing);
}

static void test_what_was_dropped_is_not_found_and_is_the_next_that_is_added(void **state)
{
    struct mw_table table;
    struct thing *first, *second;

    (void)state;
    fill(&table);
    first = mw_table_find(&table, (struct mw_key){APART, 7});
    second = mw_table_find(&table, (struct mw_key){APART, 8});
    mw_table_drop(&table, first);
    mw_table_drop(&table, second);
    assert_null(mw_table_find(&table, (struct mw_key){APART, 7}));
    assert_null(mw_table_find(&table, (struct mw_key){APART, 8}));
    assert_ptr_equal(mw_table_add(&table, (struct mw_key){7, 70}), second);
    assert_ptr_equal(mw_table_add(&table, (struct mw_key){8, 80}), first);
    assert_string_equal(first->name, "own");
    assert_ptr_equal(mw_table_find(&table, (struct mw_key){8, 80}), first);
    mw_table_drop(&table, first); /* freed with the others */
    mw_table_clear(&table, clear_thing);
}

static void test_a_walk_comes_by_each_element_once(void **state)
{
    struct mw_table table;
    int count = 0;

    (void)state;
    assert_true(mw_table_init(&table, sizeof(struct thing)));
    assert_null(mw_table_next(&table, NULL));
    mw_table_clear(&table, clear_thing);
    mw_table_clear(&table, clear_thing);
    fill(&table);
    for (struct thing *thing = NULL; (thing = mw_table_next(&table, thing)); count++)
        assert_int_equal(thing->seen++, 0);
    assert_int_equal(count, PIDS / APART * TRACKS);
    mw_table_clear(&table, clear_thing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_each_element_is_found_by_its_own_key),
        UNIT_TEST(test_what_was_dropped_is_not_found_and_is_the_next_that_is_added),
        UNIT_TEST(test_a_walk_comes_by_each_element_once),
    };

    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
