#include "store/keep.h"

#include "util/cleanup.h"
#include "util/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const struct mw_keep mw_keep_all = {
    .levels = {{0, MW_KEEP_FOREVER}, {SECOND, MW_KEEP_FOREVER}, {MINUTE, MW_KEEP_FOREVER}},
    .count = 3,
};

const struct mw_keep mw_keep_server = {
    .levels = {{0, HOUR}, {SECOND, DAY}, {MINUTE, 30 * DAY}, {10 * MINUTE, MW_KEEP_FOREVER}},
    .count = 4,
};

/* Below it, buckets would be more than the samples they stand for. */
static const int64_t shortest_bucket_us = 10000;
static const int64_t longest_bucket_us = DAY;
static const int64_t shortest_keep_us = SECOND;
static const int64_t smallest_file_bytes = INT64_C(1) << 20;

static int parse_bucket(const char *text, int64_t *ret_us, struct mw_error *error)
{
    int64_t ns = 0;
    int code = strcmp(text, "raw") == 0 ? 0 : mw_parse_duration(text, &ns, error);

    if (code == 0 && *text != 'r' &&
        (ns < shortest_bucket_us * 1000 || ns > longest_bucket_us * 1000))
        return mw_error_set(error, -ERANGE, "the level '%s' is not between 10ms and 1d", text);
    *ret_us = ns / 1000;
    return code;
}

static int parse_keep(const char *text, int64_t *ret_us, struct mw_error *error)
{
    int64_t ns;
    int code;

    *ret_us = MW_KEEP_FOREVER;
    if (strcmp(text, "forever") == 0)
        return 0;
    if ((code = mw_parse_duration(text, &ns, error)) < 0)
        return code;
    *ret_us = ns / 1000;
    if (*ret_us < shortest_keep_us)
        return mw_error_set(error, -ERANGE, "'%s' is too short to keep anything: at least 1s",
                            text);
    return 0;
}

/* One level, "1s=24h", behind those that are there; the word is cut in two. */
static int parse_level(char *word, struct mw_keep *keep, struct mw_error *error)
{
    const struct mw_keep_level *finer = keep->count ? &keep->levels[keep->count - 1] : NULL;
    struct mw_keep_level level;
    char *equals = strchr(word, '=');
    int code;

    if (!equals)
        return mw_error_set(error, -EINVAL,
                            "'%s' is no level to keep: write raw=1h or 1s=24h or 10m=forever",
                            word);
    *equals = '\0';
    if ((code = parse_bucket(word, &level.bucket_us, error)) < 0 ||
        (code = parse_keep(equals + 1, &level.keep_us, error)) < 0)
        return code;
    if (!finer && level.bucket_us != 0)
        return mw_error_set(error, -EINVAL, "the first level to keep is raw, not '%s'", word);
    if (finer && level.bucket_us <= finer->bucket_us)
        return mw_error_set(error, -EINVAL, "the level '%s' is not coarser than the one before it",
                            word);
    if (finer && finer->bucket_us > 0 && level.bucket_us % finer->bucket_us != 0)
        return mw_error_set(error, -EINVAL,
                            "the level '%s' is no multiple of the finer one before it", word);
    if (finer && level.keep_us < finer->keep_us)
        return mw_error_set(error, -EINVAL,
                            "the level '%s' is kept for a shorter time than the finer one before "
                            "it",
                            word);
    if (keep->count == MW_KEEP_MOST_LEVELS)
        return mw_error_set(error, -EINVAL, "there are more than %d levels to keep",
                            MW_KEEP_MOST_LEVELS);
    keep->levels[keep->count++] = level;
    return 0;
}

int mw_keep_parse(const char *text, struct mw_keep *keep, struct mw_error *error)
{
    mw_auto_free char *words = strdup(text);
    char *rest = words, *word;
    struct mw_keep parsed = {.max_file_bytes = keep->max_file_bytes};

    if (!words)
        return mw_error_errno(error, ENOMEM, "%s", text);
    if (strcmp(text, "all") == 0) {
        parsed = mw_keep_all;
        parsed.max_file_bytes = keep->max_file_bytes;
        *keep = parsed;
        return 0;
    }
    while ((word = strsep(&rest, ","))) {
        int code = parse_level(word, &parsed, error);

        if (code < 0)
            return code;
    }
    *keep = parsed;
    return 0;
}

int mw_keep_parse_max_file(const char *text, struct mw_keep *keep, struct mw_error *error)
{
    int64_t bytes;
    int code = mw_parse_size(text, &bytes, error);

    if (code < 0)
        return code;
    if (bytes < smallest_file_bytes)
        return mw_error_set(error, -ERANGE,
                            "a file of at most '%s' is too small: at least 1M is needed", text);
    keep->max_file_bytes = bytes;
    return 0;
}
