/*
 * The limits that the user has set on a tree, and when they are crossed. Plain arithmetic over what
 * it is told: it reads nothing, and it does nothing about a crossing.
 *
 * A limit that was crossed can be crossed again once nine tenths of it were not reached.
 */
#ifndef MW_RECORD_LIMITS_H
#define MW_RECORD_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mw_limit_kind {
    MW_LIMIT_MAX_RSS,       /* the tree's RSS, in bytes */
    MW_LIMIT_MAX_GROWTH,    /* by how much it may be above its lowest in a window of time */
    MW_LIMIT_MAX_PROCESSES, /* that live at the same time */
    MW_LIMIT_COUNT
};

/* "max-rss" …: as in the file and as the option. */
const char *mw_limit_kind_name(enum mw_limit_kind kind);

/* What the user has set; a limit of 0 is none. */
struct mw_limits_options {
    int64_t limits[MW_LIMIT_COUNT];
    int64_t growth_window_ns;
};

/* That a limit was crossed. */
struct mw_crossing {
    enum mw_limit_kind kind;
    int64_t t_us;         /* since the start of the run */
    int64_t value, limit; /* bytes, or processes */
};

struct mw_limits;

/* NULL when memory ran out. */
struct mw_limits *mw_limits_new(const struct mw_limits_options *options);

/* NULL is fine. */
void mw_limits_free(struct mw_limits *limits);

/*
 * The tree's RSS, which holds until the next; and its processes. Times, since the start of the run,
 * never go back. True, and the
 * crossing, where a limit is crossed: the first of them, and then again with the same arguments for
 * the next.
 */
bool mw_limits_rss(struct mw_limits *limits, int64_t t_us, int64_t bytes,
                   struct mw_crossing *ret_crossing);
bool mw_limits_processes(struct mw_limits *limits, int64_t t_us, int64_t count,
                         struct mw_crossing *ret_crossing);

/*
 * A memory that was certainly reached at some moment between two, whatever the tree has now. It is
 * no news where the samples told of a crossing in that time.
 */
bool mw_limits_peak(struct mw_limits *limits, int64_t from_us, int64_t to_us, int64_t bytes,
                    struct mw_crossing *ret_crossing);

#endif
