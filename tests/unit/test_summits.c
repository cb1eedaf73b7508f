/* The highest since a moment, of values that keep coming. */
#include "record/summits.h"
#include "unit.h"

/* What the highest was, looked up among all values. */
static int64_t highest_since(const struct mw_summit *all, size_t count, int64_t since_ns)
{
    int64_t highest = -1;

    for (size_t i = 0; i < count; i++) {
        if (all[i].key_ns >= since_ns && all[i].kib > highest)
            highest = all[i].kib;
    }
    return highest;
}

static void test_summits_answer_as_a_look_at_all_values_would(void **state)
{
    enum { VALUES = 400 };
    struct mw_summit all[VALUES];
    struct mw_summits summits = {0};
    uint64_t seed = 3;

    (void)state;
    assert_null(mw_summits_since(&summits, 0));
    for (size_t i = 0; i < VALUES; i++) {
        int64_t key_ns = (int64_t)(i * 10 + unit_random(&seed) % 60); /* some come late */

        all[i] = (struct mw_summit){key_ns, key_ns, key_ns, (int64_t)(unit_random(&seed) % 100)};
        assert_true(mw_summits_add(&summits, &all[i]));
        for (int64_t since_ns = 0; since_ns < VALUES * 10 + 70; since_ns += 37) {
            const struct mw_summit *found = mw_summits_since(&summits, since_ns);

            assert_int_equal(found ? found->kib : -1, highest_since(all, i + 1, since_ns));
        }
    }
    mw_summits_clear(&summits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_summits_answer_as_a_look_at_all_values_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
