/*
 * The text of /proc/PID/smaps, piece by piece, as mappings with their kinds: a pure function over
 * the text. No line of it is kept but the last.
 *
 * The kinds are those of which the kernel's text leaves no doubt. It does not name the arenas and
 * the stacks of threads; they are known by how glibc maps them, and where that leaves a doubt, they
 * are "anonymous":
 *
 *   * an arena is a part that may be written, without reserve of swap ("nr"), of a stretch of
 *     64 MiB at a multiple of 64 MiB, whose rest may not be accessed;
 *   * the stack of a thread lies directly above a guard of at most 64 KiB that may not be accessed,
 *     and is marked as a stack (MAP_STACK, shown as "nh" since Linux 6.7), or has the default size
 *     of 8 MiB.
 */
#ifndef MW_CAPTURE_SMAPS_H
#define MW_CAPTURE_SMAPS_H

#include "util/mapping.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of longer names the end is kept. */
enum { MW_MAPPING_NAME_SIZE = 256 };

struct mw_mapping {
    uint64_t start, end;                               /* addresses */
    bool accessible, writable, shared;                 /* the letters behind the addresses */
    bool no_reserve, no_huge_pages, hugetlb;           /* VmFlags: nr, nh, ht */
    uint64_t resident_kib, anonymous_kib, swapped_kib; /* Rss, or *_Hugetlb; Anonymous; Swap */
    enum mw_mapping_kind kind;
    char name[MW_MAPPING_NAME_SIZE];
};

typedef void mw_mapping_fn(void *context, const struct mw_mapping *mapping);

/* A text that is being read; all zero at its begin. */
struct mw_smaps {
    char line[4608]; /* as much as has come of it; what is longer is cut */
    size_t length;
    /* The last three: the kind of one shows only beside its neighbours. */
    struct mw_mapping below, current, above;
};

/* The next piece of the text. Gives the mappings that are known by now, or returns -EBADMSG. */
int mw_smaps_feed(struct mw_smaps *smaps, const char *text, size_t length, mw_mapping_fn *give,
                  void *context);

/* The text has ended: gives the rest. */
void mw_smaps_end(struct mw_smaps *smaps, mw_mapping_fn *give, void *context);

#endif
