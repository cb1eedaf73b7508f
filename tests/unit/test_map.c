/* A map from pointers answers as a list of all pairs would. */
#include "python/_memwatch/map.h"
#include "unit.h"

#include <stdlib.h>

enum { KEYS = 3000, STEPS = 60000 };

static void test_a_map_answers_as_a_list_does(void **state)
{
    static char keys[KEYS];
    static void *truth[KEYS];
    struct map map = {0};
    size_t count = 0;

    (void)state;
    srandom(7);
    assert_null(map_get(&map, &keys[0]));
    assert_null(map_remove(&map, &keys[0]));
    for (int i = 0; i < STEPS; i++) {
        size_t at = (size_t)random() % KEYS;
        void *value = &keys[(size_t)random() % KEYS];

        assert_ptr_equal(map_get(&map, &keys[at]), truth[at]);
        if (random() % 5 < 3) {
            count += !truth[at];
            assert_int_equal(map_set(&map, &keys[at], value), 0);
            truth[at] = value;
        } else {
            count -= truth[at] != NULL;
            assert_ptr_equal(map_remove(&map, &keys[at]), truth[at]);
            truth[at] = NULL;
        }
        assert_int_equal(map.count, count);
    }
    for (size_t at = 0; at < KEYS; at++)
        assert_ptr_equal(map_get(&map, &keys[at]), truth[at]);
    free(map.entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_map_answers_as_a_list_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
