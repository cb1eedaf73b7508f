/*
 * CLOCK_MONOTONIC, the clock of everything that memwatch records.
 */
#ifndef MW_CAPTURE_CLOCK_H
#define MW_CAPTURE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t mw_clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline int64_t mw_now_ns(void)
{
    return mw_clock_ns(CLOCK_MONOTONIC);
}

/* What the calling thread has used of the CPU: waiting for a lock costs nothing. */
static inline int64_t mw_thread_cpu_ns(void)
{
    return mw_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

#endif
