/*
 * Strict parsing of what a person types: numbers, durations, sizes, windows.
 *
 * The whole text must be understood: no leading or trailing blanks, no partial numbers, no silent
 * clamping. On failure the result is untouched and the error says what was expected. Numbers are
 * decimal ("0.001", "1e-3"), without sign, and independent of the locale.
 */
#ifndef MW_UTIL_PARSE_H
#define MW_UTIL_PARSE_H

#include "util/error.h"

#include <stdint.h>

/*
 * A length of time in nanoseconds: a number with one of ns, us, ms, s, m, h, d, or seconds where no
 * unit stands ("0.001", "10ms", "5m"). Rounded to the nearest nanosecond. -EINVAL where it is no
 * duration, -ERANGE above 292 years.
 */
int mw_parse_duration(const char *text, int64_t *ret_ns, struct mw_error *error);

/*
 * A size in bytes: a number with one of B, K, KiB, M, MiB, G, GiB, T, TiB (powers of 1024; K, M, G
 * and T also in lower case) or kB, MB, GB, TB (powers of 1000); bytes where no unit stands. -EINVAL
 * where it is no size, -ERANGE above 8 EiB.
 */
int mw_parse_size(const char *text, int64_t *ret_bytes, struct mw_error *error);

/*
 * A size that limits memory. -ERANGE also for nothing, and for a number below a page without a
 * unit, "20", which is 20 bytes.
 */
int mw_parse_memory(const char *text, int64_t *ret_bytes, struct mw_error *error);

/*
 * A size in a length of time, "10M/1h", or "10M/h" for one of a unit. Both are more than zero,
 * and the size is one of mw_parse_memory. -EINVAL or -ERANGE.
 */
int mw_parse_rate(const char *text, int64_t *ret_bytes, int64_t *ret_ns, struct mw_error *error);

/*
 * A number from 0 to high with a percent sign behind it, "5%". -EINVAL where it is none, -ERANGE
 * above high.
 */
int mw_parse_percent(const char *text, double high, double *ret_percent, struct mw_error *error);

/* A whole number from low to high, both included. -EINVAL or -ERANGE. */
int mw_parse_count(const char *text, int64_t low, int64_t high, int64_t *ret_count,
                   struct mw_error *error);

/*
 * The words of a command line, with blanks between them; what stands in '…' or "…" is taken as it
 * is. No shell: no variables, no patterns, no escapes. The array ends with NULL and is one piece of
 * memory, which the caller frees. -EINVAL where there is no word, or a quotation mark too few.
 */
int mw_parse_words(const char *text, char ***ret_words, struct mw_error *error);

/*
 * A window of a recording, "FROM,TO": two durations since its start, either of which may be left
 * out. A missing FROM is 0, a missing TO is INT64_MAX. FROM must be before TO.
 */
int mw_parse_window(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns,
                    struct mw_error *error);

#endif
