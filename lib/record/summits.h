/*
 * "What was the highest since then?", for values that keep coming.
 *
 * Of two values the newer is the answer wherever the older is, if it is no lower: so only those
 * are kept that are higher than all after them, in the order of time and so of falling height.
 * Taking a value in costs amortised constant time, asking the logarithm of what is kept.
 */
#ifndef MW_RECORD_SUMMITS_H
#define MW_RECORD_SUMMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value that was reached in a stretch of time. */
struct mw_summit {
    int64_t key_ns; /* what is asked for: its place in time */
    int64_t from_ns, to_ns;
    int64_t kib;
};

/* All zero is an empty one. */
struct mw_summits {
    struct mw_summit *summits;
    size_t count, room;
};

/* Takes in a value; one that comes late costs more. False when memory ran out. */
bool mw_summits_add(struct mw_summits *summits, const struct mw_summit *summit);

/* The highest of those whose key is since_ns or later; NULL where there is none. */
const struct mw_summit *mw_summits_since(const struct mw_summits *summits, int64_t since_ns);

/* Releases what it owns, and leaves it empty. */
void mw_summits_clear(struct mw_summits *summits);

#endif
