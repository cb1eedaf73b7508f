/*
 * What the sampler found, on its way to the writer: a queue with one producer and one consumer,
 * without locks. Pushing never waits, never allocates, and enters the kernel only to wake the
 * consumer once the queue is half full.
 *
 * Times are CLOCK_MONOTONIC in nanoseconds. A process is named by its slot, which another
 * may have once it has ended: records are in order, so the consumer cannot confuse the two.
 */
#ifndef MW_CAPTURE_QUEUE_H
#define MW_CAPTURE_QUEUE_H

#include "util/error.h"
#include "util/metric.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_image;

enum mw_record_kind {
    MW_RECORD_SAMPLE,
    MW_RECORD_START, /* a process was seen for the first time */
    MW_RECORD_OWN,   /* it has memory of its own from now on */
    MW_RECORD_IMAGE, /* what it runs, from t_ns on */
    MW_RECORD_END,
    MW_RECORD_STATUS, /* how a process ended whose end was told without; it has no slot any more */
    MW_RECORD_GAP,    /* nothing is known from gap.from_ns to t_ns */
};

/* How a process came into the record. */
enum mw_origin {
    MW_ORIGIN_TREE,      /* started by the recorder, or below another process */
    MW_ORIGIN_ATTACHED,  /* it ran already */
    MW_ORIGIN_RESTARTED, /* in the place of one that had ended */
};

/* In the place of a slot: the sum over the tree. */
#define MW_RECORD_TREE UINT32_MAX

struct mw_record {
    int64_t t_ns;
    enum mw_record_kind kind;
    uint32_t slot;
    union {
        struct {
            enum mw_metric metric;
            int64_t kib;
        } sample;
        struct {
            pid_t pid, ppid;
            bool borrows; /* it runs in its parent's memory so far, after vfork */
            enum mw_origin origin;
        } start;
        pid_t own_pid;
        struct {
            struct mw_image *image; /* belongs to whoever pops it */
            bool executed;          /* the process was seen to execute a program */
        };
        struct {
            pid_t pid;
            int wait_status; /* as wait(2) gives it; -1: not known */
        } status;            /* of an end too */
        struct {
            int64_t from_ns;
            uint64_t ticks;
        } gap;
    };
};

struct mw_queue;

/* A queue for at least capacity records. -ENOMEM, or the errno of eventfd(2). */
int mw_queue_new(struct mw_queue **ret_queue, size_t capacity, struct mw_error *error);

/* Frees the queue and what is left in it. NULL is fine. */
void mw_queue_free(struct mw_queue *queue);

/* Producer: false when the queue is full and the record was not taken. */
bool mw_queue_push(struct mw_queue *queue, const struct mw_record *record);

/* Consumer: false when the queue is empty. */
bool mw_queue_pop(struct mw_queue *queue, struct mw_record *ret_record);

/* Consumer: an eventfd that is readable when the queue got half full, or mw_queue_wake was called.
 */
int mw_queue_fd(const struct mw_queue *queue);

/* From any thread: wakes the consumer. */
void mw_queue_wake(struct mw_queue *queue);

#endif
