/*
 * How long a recording keeps its memory over time at which resolution, and how large its file may
 * get.
 *
 * The first level is every sample. Each further one is coarser: of every stretch of time of its
 * length, its buckets, it keeps the lowest, the highest and the last value. It is a multiple of the
 * one before, and kept at least as long.
 */
#ifndef MW_STORE_KEEP_H
#define MW_STORE_KEEP_H

#include "util/error.h"

#include <stddef.h>
#include <stdint.h>

enum { MW_KEEP_MOST_LEVELS = 8 };
#define MW_KEEP_FOREVER INT64_MAX

struct mw_keep_level {
    int64_t bucket_us; /* 0: every sample */
    int64_t keep_us;   /* MW_KEEP_FOREVER, or what is older may be given up */
};

struct mw_keep {
    struct mw_keep_level levels[MW_KEEP_MOST_LEVELS]; /* every sample first, then ever coarser */
    size_t count;
    int64_t max_file_bytes; /* of the file and its log together; 0: as large as it gets */
};

/*
 * Everything forever, with levels of 1 s and 1 min from which long recordings are drawn quickly;
 * and what suits a server: raw=1h,1s=24h,1m=30d,10m=forever.
 */
extern const struct mw_keep mw_keep_all, mw_keep_server;

/*
 * Levels as a person writes them, "raw=1h,1s=24h,10m=forever" or "all", into the levels of keep.
 * -EINVAL or -ERANGE when they are not understood; then keep is untouched.
 */
int mw_keep_parse(const char *text, struct mw_keep *keep, struct mw_error *error);

/* A size of at least 1 MiB, as mw_parse_size takes it. -EINVAL or -ERANGE. */
int mw_keep_parse_max_file(const char *text, struct mw_keep *keep, struct mw_error *error);

#endif
