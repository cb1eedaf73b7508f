#include "record/limits.h"

#include <stdlib.h>

/* The window of growth is kept as the lowest of each of so many parts: it is never too long, and
 * too short by at most one of them. */
enum { PARTS = 120 };

struct mw_limits {
    struct mw_limits_options options;
    bool crossed[MW_LIMIT_COUNT]; /* and not back far enough */
    bool began;                   /* there was a value of RSS */
    int64_t bytes;                /* of RSS, the last */
    int64_t below_us;             /* since when it is not above its limit */
    int64_t part;                 /* number of the present one, since the beginning of time */
    int64_t lowest[PARTS];        /* by the number of the part */
};

static const char *const names[MW_LIMIT_COUNT] = {
    [MW_LIMIT_MAX_RSS] = "max-rss",
    [MW_LIMIT_MAX_GROWTH] = "max-growth",
    [MW_LIMIT_MAX_PROCESSES] = "max-processes",
};

const char *mw_limit_kind_name(enum mw_limit_kind kind)
{
    return names[kind];
}

struct mw_limits *mw_limits_new(const struct mw_limits_options *options)
{
    struct mw_limits *limits = calloc(1, sizeof *limits);

    if (limits)
        limits->options = *options;
    return limits;
}

void mw_limits_free(struct mw_limits *limits)
{
    free(limits);
}

/* Whether a value crosses a limit, which has not been crossed already. */
static bool crosses(struct mw_limits *limits, enum mw_limit_kind kind, int64_t t_us, int64_t value,
                    struct mw_crossing *ret_crossing)
{
    int64_t limit = limits->options.limits[kind];

    if (limit == 0)
        return false;
    if (value <= limit) {
        if (value < limit - limit / 10)
            limits->crossed[kind] = false;
        return false;
    }
    if (limits->crossed[kind])
        return false;
    limits->crossed[kind] = true;
    *ret_crossing = (struct mw_crossing){kind, t_us, value, limit};
    return true;
}

/* What was held since the last value counts for every part that has begun since. */
static void begin_parts(struct mw_limits *limits, int64_t part)
{
    int64_t next = limits->part + 1;

    if (part - next >= PARTS)
        next = part - PARTS + 1;
    for (; next <= part; next++)
        limits->lowest[next % PARTS] = limits->bytes;
    if (part > limits->part)
        limits->part = part;
}

static int64_t growth(struct mw_limits *limits, int64_t t_us, int64_t bytes)
{
    int64_t length_us = limits->options.growth_window_ns / 1000 / PARTS + 1;
    int64_t lowest = bytes;

    if (!limits->began) {
        limits->part = t_us / length_us;
        for (size_t i = 0; i < PARTS; i++)
            limits->lowest[i] = bytes;
    }
    begin_parts(limits, t_us / length_us);
    if (bytes < limits->lowest[limits->part % PARTS])
        limits->lowest[limits->part % PARTS] = bytes;
    for (size_t i = 0; i < PARTS; i++) {
        if (limits->lowest[i] < lowest)
            lowest = limits->lowest[i];
    }
    return bytes - lowest;
}

bool mw_limits_rss(struct mw_limits *limits, int64_t t_us, int64_t bytes,
                   struct mw_crossing *ret_crossing)
{
    int64_t grown = 0;

    if (limits->options.limits[MW_LIMIT_MAX_GROWTH] != 0)
        grown = growth(limits, t_us, bytes);
    if (bytes <= limits->options.limits[MW_LIMIT_MAX_RSS] &&
        limits->bytes > limits->options.limits[MW_LIMIT_MAX_RSS])
        limits->below_us = t_us;
    limits->began = true;
    limits->bytes = bytes;
    return crosses(limits, MW_LIMIT_MAX_RSS, t_us, bytes, ret_crossing) ||
           crosses(limits, MW_LIMIT_MAX_GROWTH, t_us, grown, ret_crossing);
}

bool mw_limits_processes(struct mw_limits *limits, int64_t t_us, int64_t count,
                         struct mw_crossing *ret_crossing)
{
    return crosses(limits, MW_LIMIT_MAX_PROCESSES, t_us, count, ret_crossing);
}

bool mw_limits_peak(struct mw_limits *limits, int64_t from_us, int64_t to_us, int64_t bytes,
                    struct mw_crossing *ret_crossing)
{
    return bytes > limits->options.limits[MW_LIMIT_MAX_RSS] && from_us >= limits->below_us &&
           crosses(limits, MW_LIMIT_MAX_RSS, to_us, bytes, ret_crossing);
}
