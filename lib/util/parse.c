#include "util/parse.h"

#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit duration_units[] = {
    {"", 1e9},  {"ns", 1},   {"us", 1e3},   {"ms", 1e6},
    {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9},
};

static const struct unit size_units[] = {
    {"", 1},       {"B", 1},        {"K", 0x1p10}, {"k", 0x1p10}, {"KiB", 0x1p10}, {"M", 0x1p20},
    {"m", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30}, {"g", 0x1p30}, {"GiB", 0x1p30}, {"T", 0x1p40},
    {"t", 0x1p40}, {"TiB", 0x1p40}, {"kB", 1e3},   {"MB", 1e6},   {"GB", 1e9},     {"TB", 1e12},
};

/* strtod whatever the locale says of decimal points. */
static double to_double(const char *text)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double number = plain ? strtod_l(text, NULL, plain) : strtod(text, NULL);

    if (plain)
        freelocale(plain);
    return number;
}

/*
 * Reads an unsigned decimal number with optional fraction and exponent at text; returns the first
 * character behind it, or NULL where there is none. strtod alone would take blanks, signs,
 * hexadecimal numbers, "inf" and "nan".
 */
static const char *read_decimal(const char *text, double *ret_number)
{
    const char *end = text + strspn(text, "0123456789");
    size_t digits = (size_t)(end - text);
    char copy[64];

    if (*end == '.') {
        size_t fraction = strspn(end + 1, "0123456789");

        digits += fraction;
        end += 1 + fraction;
    }
    if (digits == 0)
        return NULL;
    if (*end == 'e' || *end == 'E') {
        const char *exponent = end + 1 + (end[1] == '-' || end[1] == '+');
        size_t exponent_digits = strspn(exponent, "0123456789");

        if (exponent_digits > 0)
            end = exponent + exponent_digits;
    }
    if ((size_t)(end - text) >= sizeof copy)
        return NULL;
    memcpy(copy, text, (size_t)(end - text));
    copy[end - text] = '\0';
    *ret_number = to_double(copy);
    return end;
}

/* A number with one of the units, as a whole multiple of the smallest; 0, -EINVAL or -ERANGE. */
static int parse_scaled(const char *text, const struct unit *units, size_t unit_count,
                        int64_t *ret_value)
{
    double number;
    const char *suffix = read_decimal(text, &number);

    if (!suffix)
        return -EINVAL;
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(suffix, units[i].name) != 0)
            continue;
        number = round(number * units[i].factor);
        if (!(number < 0x1p63))
            return -ERANGE;
        *ret_value = (int64_t)number;
        return 0;
    }
    return -EINVAL;
}

int mw_parse_duration(const char *text, int64_t *ret_ns, struct mw_error *error)
{
    int code = parse_scaled(text, duration_units, MW_COUNT(duration_units), ret_ns);

    if (code == -ERANGE)
        return mw_error_set(error, code, "'%s' is too long a time", text);
    if (code < 0)
        return mw_error_set(error, code, "'%s' is no duration: write 10ms, 0.5 (seconds), 5m or 2h",
                            text);
    return 0;
}

int mw_parse_size(const char *text, int64_t *ret_bytes, struct mw_error *error)
{
    int code = parse_scaled(text, size_units, MW_COUNT(size_units), ret_bytes);

    if (code == -ERANGE)
        return mw_error_set(error, code, "'%s' is too large a size", text);
    if (code < 0)
        return mw_error_set(error, code, "'%s' is no size: write 200M, 1.5GiB or 4096 (bytes)",
                            text);
    return 0;
}

/* No limit of memory is below a page: whoever leaves the unit out of a small one means MiB. */
static bool lacks_unit(const char *text, int64_t bytes)
{
    enum { PAGE = 4096 };
    double number;
    const char *suffix = read_decimal(text, &number);

    return bytes < PAGE && suffix && *suffix == '\0';
}

int mw_parse_memory(const char *text, int64_t *ret_bytes, struct mw_error *error)
{
    int64_t bytes;
    int code = mw_parse_size(text, &bytes, error);

    if (code < 0)
        return code;
    if (bytes == 0)
        return mw_error_set(error, -ERANGE, "the limit '%s' is nothing", text);
    if (lacks_unit(text, bytes))
        return mw_error_set(error, -ERANGE, "'%s' is %lld bytes: write %sM", text, (long long)bytes,
                            text);
    *ret_bytes = bytes;
    return 0;
}

/* A length of time, or the unit alone for one of it. */
static int parse_rate_time(const char *text, int64_t *ret_ns)
{
    char one[16] = "1";

    if (strspn(text, "0123456789.") > 0)
        return parse_scaled(text, duration_units, MW_COUNT(duration_units), ret_ns);
    if (*text == '\0' || strlen(text) >= sizeof one - 1)
        return -EINVAL;
    memcpy(one + 1, text, strlen(text) + 1);
    return parse_scaled(one, duration_units, MW_COUNT(duration_units), ret_ns);
}

int mw_parse_rate(const char *text, int64_t *ret_bytes, int64_t *ret_ns, struct mw_error *error)
{
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : 0;
    int64_t bytes = 0, ns = 0;
    char size[64];
    int code = -EINVAL;

    if (slash && length < sizeof size) {
        memcpy(size, text, length);
        size[length] = '\0';
        code = parse_scaled(size, size_units, MW_COUNT(size_units), &bytes);
        if (code == 0)
            code = parse_rate_time(slash + 1, &ns);
    }
    if (code == -EINVAL)
        return mw_error_set(error, code, "'%s' is no size in a time: write 10M/h or 1.5GiB/12h",
                            text);
    if (code < 0)
        return mw_error_set(error, code, "'%s' is too much", text);
    if (bytes == 0 || ns == 0)
        return mw_error_set(error, -ERANGE, "'%s': both must be more than zero", text);
    if (lacks_unit(size, bytes))
        return mw_error_set(error, -ERANGE, "'%s' is %lld bytes in that time: write %sM%s", text,
                            (long long)bytes, size, slash);
    *ret_bytes = bytes;
    *ret_ns = ns;
    return 0;
}

int mw_parse_percent(const char *text, double high, double *ret_percent, struct mw_error *error)
{
    double percent;
    const char *suffix = read_decimal(text, &percent);

    if (!suffix || strcmp(suffix, "%") != 0)
        return mw_error_set(error, -EINVAL, "'%s' is no percentage: write 5%% or 0.5%%", text);
    if (percent > high)
        return mw_error_set(error, -ERANGE, "'%s' is above %g%%", text, high);
    *ret_percent = percent;
    return 0;
}

int mw_parse_count(const char *text, int64_t low, int64_t high, int64_t *ret_count,
                   struct mw_error *error)
{
    size_t digits = strspn(text, "0123456789");
    long long value;

    if (digits == 0 || text[digits] != '\0')
        return mw_error_set(error, -EINVAL, "'%s' is no whole number", text);
    errno = 0;
    value = strtoll(text, NULL, 10);
    if (errno == ERANGE || value < low || value > high)
        return mw_error_set(error, -ERANGE, "'%s' is not between %lld and %lld", text,
                            (long long)low, (long long)high);
    *ret_count = value;
    return 0;
}

/* Copies a word, and returns where it ends in the text; NULL where a quotation mark is missing. */
static const char *copy_word(const char *text, char **end)
{
    while (*text && *text != ' ' && *text != '\t' && *text != '\n') {
        const char *close = NULL;

        if (*text != '\'' && *text != '"') {
            *(*end)++ = *text++;
            continue;
        }
        close = strchr(text + 1, *text);
        if (!close)
            return NULL;
        *end = mempcpy(*end, text + 1, (size_t)(close - text - 1));
        text = close + 1;
    }
    *(*end)++ = '\0';
    return text;
}

int mw_parse_words(const char *text, char ***ret_words, struct mw_error *error)
{
    size_t most_words = strlen(text) / 2 + 2, count = 0;
    mw_auto_free char **words = malloc(most_words * sizeof *words + strlen(text) + 1);
    const char *whole = text;
    char *end;

    if (!words)
        return mw_error_errno(error, ENOMEM, "cannot read a command");
    end = (char *)(words + most_words);
    for (text += strspn(text, " \t\n"); *text; text += strspn(text, " \t\n")) {
        words[count++] = end;
        text = copy_word(text, &end);
        if (!text)
            return mw_error_set(error, -EINVAL, "a quotation mark is not closed in '%s'", whole);
    }
    if (count == 0)
        return mw_error_set(error, -EINVAL, "the command is empty");
    words[count] = NULL;
    *ret_words = MW_TAKE(words);
    return 0;
}

int mw_parse_window(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns,
                    struct mw_error *error)
{
    const char *comma = strchr(text, ',');
    int64_t from = 0, to = INT64_MAX;
    char first[64];
    size_t first_length;
    int code;

    if (!comma)
        return mw_error_set(error, -EINVAL,
                            "'%s' is no window: write FROM,TO, as 2,5.5 or '1m,' or ',90s'", text);
    first_length = (size_t)(comma - text);
    if (first_length >= sizeof first)
        return mw_error_set(error, -EINVAL, "'%s' is no window", text);
    memcpy(first, text, first_length);
    first[first_length] = '\0';
    if (first_length > 0 && (code = mw_parse_duration(first, &from, error)) < 0)
        return code;
    if (comma[1] != '\0' && (code = mw_parse_duration(comma + 1, &to, error)) < 0)
        return code;
    if (from >= to)
        return mw_error_set(error, -EINVAL, "the window '%s' ends before it begins", text);
    *ret_from_ns = from;
    *ret_to_ns = to;
    return 0;
}
