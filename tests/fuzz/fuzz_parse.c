/* What a person types: durations, sizes, rates, percentages, counts, windows,
 * commands and metrics. */
#include "fuzz.h"
#include "util/metric.h"
#include "util/parse.h"

#include <errno.h>

#define UNTOUCHED INT64_C(-4242)

static void check_error(const struct mw_error *error, int code)
{
    FUZZ_CHECK(code == -EINVAL || code == -ERANGE);
    FUZZ_CHECK(error->code == code);
    FUZZ_CHECK(memchr(error->text, '\0', sizeof error->text));
    FUZZ_CHECK(*error->text != '\0' && !strchr(error->text, '\n'));
}

static void check_one(int (*parse)(const char *, int64_t *, struct mw_error *), const char *text)
{
    struct mw_error error = {0};
    int64_t value = UNTOUCHED;
    int code = parse(text, &value, &error);

    if (code < 0) {
        check_error(&error, code);
        FUZZ_CHECK(value == UNTOUCHED);
    } else {
        FUZZ_CHECK(code == 0 && value >= 0 && error.code == 0);
        /* A number begins with a digit or a point, and holds neither sign nor blank. */
        FUZZ_CHECK(strchr("0123456789.", *text) && *text);
        FUZZ_CHECK(text[strcspn(text, " \t\r\n,xX")] == '\0');
    }
}

static int parse_count(const char *text, int64_t *ret_count, struct mw_error *error)
{
    return mw_parse_count(text, 5, 1000, ret_count, error);
}

static void check_window(const char *text)
{
    struct mw_error error = {0};
    int64_t from = UNTOUCHED, to = UNTOUCHED;
    int code = mw_parse_window(text, &from, &to, &error);

    if (code < 0) {
        check_error(&error, code);
        FUZZ_CHECK(from == UNTOUCHED && to == UNTOUCHED);
    } else {
        FUZZ_CHECK(from >= 0 && from < to && strchr(text, ','));
    }
}

static void check_rate(const char *text)
{
    struct mw_error error = {0};
    int64_t bytes = UNTOUCHED, ns = UNTOUCHED;
    int code = mw_parse_rate(text, &bytes, &ns, &error);

    if (code < 0) {
        check_error(&error, code);
        FUZZ_CHECK(bytes == UNTOUCHED && ns == UNTOUCHED);
    } else {
        FUZZ_CHECK(bytes > 0 && ns > 0 && strchr(text, '/'));
    }
}

static void check_percent(const char *text)
{
    struct mw_error error = {0};
    double percent = UNTOUCHED;
    int code = mw_parse_percent(text, 100, &percent, &error);

    if (code < 0)
        check_error(&error, code);
    FUZZ_CHECK(code < 0 ? percent == UNTOUCHED : percent >= 0 && percent <= 100);
}

static void check_words(const char *text)
{
    struct mw_error error = {0};
    char **words = NULL;
    int code = mw_parse_words(text, &words, &error);
    size_t length = 0;

    FUZZ_CHECK(code < 0 ? !words : words && words[0]);
    if (code < 0)
        check_error(&error, code);
    for (size_t i = 0; words && words[i]; i++)
        length += strlen(words[i]);
    FUZZ_CHECK(length <= strlen(text));
    free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    enum mw_metric metric = MW_METRIC_COUNT;
    int64_t count = UNTOUCHED;

    check_one(mw_parse_duration, text);
    check_one(mw_parse_size, text);
    check_one(mw_parse_memory, text);
    check_one(parse_count, text);
    check_window(text);
    check_rate(text);
    check_percent(text);
    check_words(text);
    if (parse_count(text, &count, NULL) == 0)
        FUZZ_CHECK(count >= 5 && count <= 1000);
    if (mw_metric_parse(text, &metric, NULL) == 0)
        FUZZ_CHECK(strcmp(mw_metric_name(metric), text) == 0);
    free(text);
    return 0;
}
