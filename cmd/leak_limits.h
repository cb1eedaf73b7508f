/*
 * The limits that the memory of a process runs into: what the user names, and where the process
 * still lives on this machine, what holds for it now; else what held when it was recorded.
 */
#ifndef MW_CMD_LEAK_LIMITS_H
#define MW_CMD_LEAK_LIMITS_H

#include "cmd/verdict.h"

struct limit {
    char *name; /* "limit", "--max-rss", "cgroup /user.slice", "RLIMIT_AS", "RLIMIT_DATA", "machine"
                 */
    double bytes; /* the limit itself */
    double at;    /* where it meets the judged series: others use of the same limit, and so do
                     pages that are not judged */
};

struct limits {
    struct limit *items;
    size_t count, room;
};

/* Finds the limits of what was judged. asked_bytes -1: the user named none. */
int limits_find(struct limits *ret_limits, const struct verdict *verdict, int64_t asked_bytes,
                struct mw_error *error);

void limits_clear(struct limits *limits);

#endif
