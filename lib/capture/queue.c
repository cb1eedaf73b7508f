#include "capture/queue.h"

#include "capture/procfs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mw_queue {
    size_t mask; /* capacity - 1; the capacity is a power of two */
    int event_fd;
    /* Both count records ever pushed and popped; each is written by one side only, and they lie on
     * cache lines of their own so that the sides do not slow each other down. */
    _Alignas(64) _Atomic size_t pushed;
    _Alignas(64) _Atomic size_t popped;
    _Alignas(64) struct mw_record records[];
};

int mw_queue_new(struct mw_queue **ret_queue, size_t capacity, struct mw_error *error)
{
    struct mw_queue *queue;
    size_t size = 1;

    while (size < capacity)
        size *= 2;
    queue = aligned_alloc(64, sizeof *queue + (size * sizeof(struct mw_record) + 63) / 64 * 64);
    if (!queue)
        return mw_error_errno(error, ENOMEM, "cannot record");
    queue->mask = size - 1;
    atomic_init(&queue->pushed, 0);
    atomic_init(&queue->popped, 0);
    queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->event_fd < 0) {
        int code = mw_error_errno(error, errno, "eventfd");

        free(queue);
        return code;
    }
    *ret_queue = queue;
    return 0;
}

void mw_queue_free(struct mw_queue *queue)
{
    struct mw_record record;

    if (!queue)
        return;
    while (mw_queue_pop(queue, &record)) {
        if (record.kind == MW_RECORD_IMAGE)
            mw_image_free(record.image);
    }
    close(queue->event_fd);
    free(queue);
}

bool mw_queue_push(struct mw_queue *queue, const struct mw_record *record)
{
    size_t pushed = atomic_load_explicit(&queue->pushed, memory_order_relaxed);
    size_t popped = atomic_load_explicit(&queue->popped, memory_order_acquire);

    if (pushed - popped > queue->mask)
        return false;
    queue->records[pushed & queue->mask] = *record;
    atomic_store_explicit(&queue->pushed, pushed + 1, memory_order_release);
    if (pushed + 1 - popped == queue->mask / 2 + 1)
        mw_queue_wake(queue);
    return true;
}

bool mw_queue_pop(struct mw_queue *queue, struct mw_record *ret_record)
{
    size_t popped = atomic_load_explicit(&queue->popped, memory_order_relaxed);

    if (popped == atomic_load_explicit(&queue->pushed, memory_order_acquire))
        return false;
    *ret_record = queue->records[popped & queue->mask];
    atomic_store_explicit(&queue->popped, popped + 1, memory_order_release);
    return true;
}

int mw_queue_fd(const struct mw_queue *queue)
{
    return queue->event_fd;
}

void mw_queue_wake(struct mw_queue *queue)
{
    /* Fails only where the counter would overflow: then the consumer is woken already. */
    eventfd_write(queue->event_fd, 1);
}
