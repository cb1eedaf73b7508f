/*
 * A highest memory as it grows, in the units of the file. Private to lib/store.
 */
#ifndef MW_STORE_HIGH_H
#define MW_STORE_HIGH_H

#include <stdbool.h>
#include <stdint.h>

/* At least kib from from_us to to_us, and never more than upper_kib. */
struct high {
    bool known, dirty;
    bool kernel;    /* kib comes from a high-water mark, not from a sample */
    bool closed;    /* high-water marks cover all the time, so that upper_kib is a bound */
    bool unbounded; /* but one of them was lost: it is none */
    int64_t kib, upper_kib;
    int64_t from_us, to_us;
};

/* A value that may be off by bound_kib, and was reached in a stretch of time. */
struct reached {
    int64_t kib, bound_kib;
    int64_t from_us, to_us;
    bool kernel;
};

/* Takes a value in. */
void high_raise(struct high *high, const struct reached *reached);

/* So much may have been reached in a moment that nobody saw. */
void high_allow(struct high *high, int64_t most_kib);

/* A mark was lost that belongs to it: nothing bounds it any more. */
void high_unbound(struct high *high);

/* What upper_kib is worth: -1 where it bounds nothing. */
int64_t high_bound(const struct high *high);

/*
 * Takes in the mark with which a process ended (ru_maxrss): with it, all of its time is covered. A
 * peak that is not known stays so.
 */
void high_close(struct high *high, int64_t max_rss_kib, int64_t bound_kib);

#endif
