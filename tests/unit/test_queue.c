/* The queue keeps the order, never blocks the producer, and loses nothing that it took. */
#include "capture/procfs.h"
#include "capture/queue.h"
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

static struct mw_queue *new_queue(size_t capacity)
{
    struct mw_queue *queue = NULL;

    assert_int_equal(mw_queue_new(&queue, capacity, NULL), 0);
    return queue;
}

static bool push(struct mw_queue *queue, int64_t number)
{
    return mw_queue_push(queue, &(struct mw_record){.kind = MW_RECORD_SAMPLE,
                                                    .t_ns = number,
                                                    .slot = (uint32_t)number,
                                                    .sample = {MW_METRIC_RSS, number * 3}});
}

static void check_pop(struct mw_queue *queue, int64_t number)
{
    struct mw_record record;

    assert_true(mw_queue_pop(queue, &record));
    assert_int_equal(record.t_ns, number);
    assert_int_equal(record.slot, number);
    assert_int_equal(record.sample.kib, number * 3);
}

static bool is_awake(struct mw_queue *queue)
{
    struct pollfd event = {.fd = mw_queue_fd(queue), .events = POLLIN};

    return poll(&event, 1, 0) == 1;
}

static void test_records_come_out_in_the_order_in_which_they_went_in(void **state)
{
    struct mw_queue *queue = new_queue(8);
    struct mw_record record;

    (void)state;
    assert_false(mw_queue_pop(queue, &record));
    for (int64_t i = 0; i < 8; i++)
        assert_true(push(queue, i));
    for (int64_t i = 0; i < 8; i++)
        check_pop(queue, i);
    assert_false(mw_queue_pop(queue, &record));
    mw_queue_free(queue);
}

static void test_a_full_queue_takes_nothing_and_loses_nothing(void **state)
{
    static const size_t capacities[] = {1, 2, 3, 8, 100};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(capacities); i++) {
        struct mw_queue *queue = new_queue(capacities[i]);
        int64_t taken = 0;

        while (push(queue, taken))
            taken++;
        assert_true((size_t)taken >= capacities[i]);
        assert_false(push(queue, 4711));
        check_pop(queue, 0);
        assert_true(push(queue, taken));
        assert_false(push(queue, 4711));
        for (int64_t j = 1; j <= taken; j++)
            check_pop(queue, j);
        mw_queue_free(queue);
    }
}

static void test_a_queue_that_wraps_around_keeps_the_order(void **state)
{
    struct mw_queue *queue = new_queue(8);
    int64_t pushed = 0, popped = 0;
    uint64_t seed = 3;

    (void)state;
    for (int round = 0; round < 10000; round++) {
        for (uint64_t n = unit_random(&seed) % 9; n > 0 && pushed - popped < 8; n--)
            assert_true(push(queue, pushed++));
        for (uint64_t n = unit_random(&seed) % 9; n > 0 && popped < pushed; n--)
            check_pop(queue, popped++);
    }
    mw_queue_free(queue);
}

static void test_the_consumer_is_woken_when_the_queue_gets_half_full(void **state)
{
    struct mw_queue *queue = new_queue(8);
    eventfd_t ignored;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int64_t i = 0; i < 3; i++)
            push(queue, i);
        assert_false(is_awake(queue));
        push(queue, 3);
        assert_true(is_awake(queue));
        eventfd_read(mw_queue_fd(queue), &ignored);
        for (int64_t i = 4; i < 8; i++)
            push(queue, i);
        assert_false(is_awake(queue)); /* once is enough */
        for (int64_t i = 0; i < 8; i++)
            check_pop(queue, i);
    }
    mw_queue_free(queue);
}

static void test_anybody_may_wake_the_consumer(void **state)
{
    struct mw_queue *queue = new_queue(8);

    (void)state;
    assert_false(is_awake(queue));
    mw_queue_wake(queue);
    mw_queue_wake(queue);
    assert_true(is_awake(queue));
    mw_queue_free(queue);
    mw_queue_free(NULL);
}

/* The leak sanitizer sees one that was not freed. */
static void test_images_that_nobody_popped_are_freed_with_the_queue(void **state)
{
    struct mw_queue *queue = new_queue(4);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct mw_image *image = calloc(1, sizeof *image);

        image->bytes = malloc(10);
        assert_true(mw_queue_push(
            queue, &(struct mw_record){.kind = MW_RECORD_IMAGE, .t_ns = i, .image = image}));
    }
    mw_queue_free(queue);
}

enum { RECORDS = 300000 };

struct traffic {
    struct mw_queue *queue;
    _Atomic int64_t refused;
};

static void *produce(void *argument)
{
    struct traffic *traffic = argument;

    for (int64_t i = 0; i < RECORDS; i++) {
        while (!push(traffic->queue, i)) {
            traffic->refused++;
            sched_yield();
        }
    }
    return NULL;
}

static void test_two_threads_see_each_record_once_and_whole(void **state)
{
    struct traffic traffic = {.queue = new_queue(64)};
    pthread_t producer;
    struct mw_record record;

    (void)state;
    assert_int_equal(pthread_create(&producer, NULL, produce, &traffic), 0);
    for (int64_t i = 0; i < RECORDS;) {
        if (!mw_queue_pop(traffic.queue, &record)) {
            sched_yield();
            continue;
        }
        if (record.t_ns != i || record.slot != (uint32_t)i || record.sample.kib != i * 3)
            fail_msg("record %lld is torn or out of order", (long long)i);
        i++;
    }
    pthread_join(producer, NULL);
    assert_false(mw_queue_pop(traffic.queue, &record));
    mw_queue_free(traffic.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_records_come_out_in_the_order_in_which_they_went_in),
        UNIT_TEST(test_a_full_queue_takes_nothing_and_loses_nothing),
        UNIT_TEST(test_a_queue_that_wraps_around_keeps_the_order),
        UNIT_TEST(test_the_consumer_is_woken_when_the_queue_gets_half_full),
        UNIT_TEST(test_anybody_may_wake_the_consumer),
        UNIT_TEST(test_images_that_nobody_popped_are_freed_with_the_queue),
        UNIT_TEST(test_two_threads_see_each_record_once_and_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
