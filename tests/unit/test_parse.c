/* What a person types is understood exactly or refused. */
#include "unit.h"
#include "util/cleanup.h"
#include "util/parse.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Nothing that a test expects: shows that a result was not touched. */
#define UNTOUCHED INT64_C(-4242)

typedef int parse_fn(const char *text, int64_t *ret_value, struct mw_error *error);

struct accepted {
    const char *text;
    int64_t value;
};

static void check_accepted(parse_fn *parse, const struct accepted *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mw_error error = {0};
        int64_t value = UNTOUCHED;

        if (parse(cases[i].text, &value, &error) != 0 || value != cases[i].value)
            fail_msg("'%s': %lld, %s", cases[i].text, (long long)value, error.text);
        assert_int_equal(error.code, 0);
    }
}

static void check_refused(parse_fn *parse, const char *text, int code)
{
    struct mw_error error = {0};
    int64_t value = UNTOUCHED;
    int got = parse(text, &value, &error);

    if (got != code)
        fail_msg("'%s': returned %d, not %d", text, got, code);
    assert_int_equal(value, UNTOUCHED);
    assert_int_equal(error.code, code);
    assert_true(text[strcspn(text, "\t\r\n")] != '\0' || strstr(error.text, *text ? text : "''"));
    assert_int_equal(strcspn(error.text, "\t\r\n"), strlen(error.text));
    assert_int_equal(parse(text, &value, NULL), code); /* an error is optional */
}

static void check_all_refused(parse_fn *parse, const char *const *texts, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        check_refused(parse, texts[i], code);
}

static const char *const no_numbers[] = {
    "",      "abc",      "-1",    "+1",  " 5",   "5 ",  "0x10",  "nan",   "inf",  "infinity",
    ".",     ".e5",      "e5",    "1,5", "1e",   "1e+", "1e-",   "1.2.3", "--1",  "1_000",
    "\t5",   "5\n",      "5\r",   "5s5", "5 s",  "5ss", "5xs",   "1e5e5", "5.5.", "0b1",
    "0x1p3", "\xC2\xA0", "5\xFF", "١",   "1e 5", "5;",  "1'000", "1e--5", "NaN",  "INF"};

static void test_durations_are_seconds_unless_a_unit_says_otherwise(void **state)
{
    static const struct accepted cases[] = {
        {"0", 0},
        {"1", 1000000000},
        {"0.001", 1000000},
        {"10ms", 10000000},
        {"5m", INT64_C(300000000000)},
        {"2h", INT64_C(7200000000000)},
        {"1d", INT64_C(86400000000000)},
        {"3us", 3000},
        {"7ns", 7},
        {"1.5s", 1500000000},
        {".5", 500000000},
        {"5.", INT64_C(5000000000)},
        {"1e-3", 1000000},
        {"1E3ms", 1000000000},
        {"1e+2us", 100000},
        {"0.3", 300000000},
        {"0.1us", 100},
        {"007", INT64_C(7000000000)},
        {"0.0000000004", 0},
        {"0.0000000006", 1},
        {"1e-400", 0},
        {"9223372036s", INT64_C(9223372036000000000)},
    };

    (void)state;
    check_accepted(mw_parse_duration, cases, MW_COUNT(cases));
}

static void test_what_is_no_duration_is_refused(void **state)
{
    static const char *const others[] = {"5K", "5MS", "5S", "1.5GiB", "5sec", "5us "};

    (void)state;
    check_all_refused(mw_parse_duration, no_numbers, MW_COUNT(no_numbers), -EINVAL);
    check_all_refused(mw_parse_duration, others, MW_COUNT(others), -EINVAL);
}

static void test_durations_above_292_years_are_out_of_range(void **state)
{
    static const char *const texts[] = {"1e400",   "1e19",    "9223372037",
                                        "106752d", "1e400ns", "9223372036854775808ns"};

    (void)state;
    check_all_refused(mw_parse_duration, texts, MW_COUNT(texts), -ERANGE);
}

static void test_sizes_count_in_powers_of_1024_or_of_1000_as_written(void **state)
{
    static const struct accepted cases[] = {
        {"0", 0},
        {"4096", 4096},
        {"1B", 1},
        {"1K", 1024},
        {"1KiB", 1024},
        {"1kB", 1000},
        {"200M", 200 * INT64_C(1048576)},
        {"1MiB", 1048576},
        {"1MB", 1000000},
        {"1.5GiB", INT64_C(1610612736)},
        {"1G", INT64_C(1073741824)},
        {"1GB", 1000000000},
        {"2T", INT64_C(2199023255552)},
        {"1TiB", INT64_C(1099511627776)},
        {"1TB", INT64_C(1000000000000)},
        {"1e3", 1000},
        {".5K", 512},
        {"10k", 10240},
        {"512m", 512 * INT64_C(1048576)},
        {"2g", 2 * INT64_C(1073741824)},
        {"1t", INT64_C(1099511627776)},
    };

    (void)state;
    check_accepted(mw_parse_size, cases, MW_COUNT(cases));
}

static void test_what_is_no_size_is_refused(void **state)
{
    static const char *const others[] = {"5b", "5mb", "5Mb", "5KB", "5s", "5P", "5iB", "M"};

    (void)state;
    check_all_refused(mw_parse_size, no_numbers, MW_COUNT(no_numbers), -EINVAL);
    check_all_refused(mw_parse_size, others, MW_COUNT(others), -EINVAL);
}

static void test_sizes_above_8_eib_are_out_of_range(void **state)
{
    static const char *const texts[] = {"1e400", "1e19", "8388608T", "9223372036854775808",
                                        "1e9TB"};

    (void)state;
    check_all_refused(mw_parse_size, texts, MW_COUNT(texts), -ERANGE);
}

static int parse_small_count(const char *text, int64_t *ret_value, struct mw_error *error)
{
    return mw_parse_count(text, 2, 100, ret_value, error);
}

static int parse_any_count(const char *text, int64_t *ret_value, struct mw_error *error)
{
    return mw_parse_count(text, 0, INT64_MAX, ret_value, error);
}

static void test_counts_are_whole_numbers_inside_their_limits(void **state)
{
    static const struct accepted small[] = {{"2", 2}, {"100", 100}, {"0050", 50}};
    static const struct accepted any[] = {{"0", 0}, {"9223372036854775807", INT64_MAX}};
    static const char *const outside[] = {"0", "1", "101", "9223372036854775808",
                                          "99999999999999999999999999"};
    static const char *const others[] = {"1.0", ".5", "5.", "1e3", "5K", "0x", "7%"};

    (void)state;
    check_accepted(parse_small_count, small, MW_COUNT(small));
    check_accepted(parse_any_count, any, MW_COUNT(any));
    check_all_refused(parse_small_count, outside, MW_COUNT(outside), -ERANGE);
    check_all_refused(parse_any_count, no_numbers, MW_COUNT(no_numbers), -EINVAL);
    check_all_refused(parse_any_count, others, MW_COUNT(others), -EINVAL);
}

static void check_window(const char *text, int64_t from, int64_t to)
{
    int64_t got_from = UNTOUCHED, got_to = UNTOUCHED;

    assert_int_equal(mw_parse_window(text, &got_from, &got_to, NULL), 0);
    assert_int_equal(got_from, from);
    assert_int_equal(got_to, to);
}

static void test_either_end_of_a_window_may_be_left_out(void **state)
{
    (void)state;
    check_window("2,5.5", 2000000000, 5500000000);
    check_window("1m,", INT64_C(60000000000), INT64_MAX);
    check_window(",10ms", 0, 10000000);
    check_window(",", 0, INT64_MAX);
    check_window("0,1ns", 0, 1);
}

static void test_what_is_no_window_is_refused_and_leaves_both_ends_alone(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"", -EINVAL},
        {"5", -EINVAL},
        {"5,2", -EINVAL},
        {"5,5", -EINVAL},
        {"0,0", -EINVAL},
        {",0", -EINVAL},
        {"1,2,3", -EINVAL},
        {"1, 2", -EINVAL},
        {" 1,2", -EINVAL},
        {"-1,2", -EINVAL},
        {"a,b", -EINVAL},
        {"1,,", -EINVAL},
        {"1e400,", -ERANGE},
        {",1e400", -ERANGE},
        {"1..2", -EINVAL},
        {"1,2 ", -EINVAL},
        {"000000000000000000000000000000000000000000000000000000000000000000001,2", -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        struct mw_error error = {0};
        int64_t from = UNTOUCHED, to = UNTOUCHED;

        if (mw_parse_window(cases[i].text, &from, &to, &error) != cases[i].code)
            fail_msg("'%s'", cases[i].text);
        assert_int_equal(from, UNTOUCHED);
        assert_int_equal(to, UNTOUCHED);
        assert_int_equal(error.code, cases[i].code);
    }
}

static void test_a_text_of_any_length_is_refused_or_understood(void **state)
{
    char text[4096];

    (void)state;
    memset(text, '9', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t length = 1; length < sizeof text; length += 37) {
        int64_t value = UNTOUCHED;
        int code = mw_parse_duration(text + sizeof text - 1 - length, &value, NULL);

        assert_true(length < 10 ? code == 0 : code < 0);
        assert_true(code == 0 || value == UNTOUCHED);
    }
}

/*
 * A locale whose decimal point is a comma, in the file format of glibc (locale/localeinfo.h),
 * because the machine may have none installed.
 */
static void write_comma_locale(void **state)
{
    static const uint32_t header[] = {0x20031115 ^ LC_NUMERIC, 6, 32, 34, 36, 40, 44, 48};
    static const char strings[] = ",\0.\0\x7F\0\0\0,\0\0\0.\0\0\0UTF-8";
    char *folder = unit_path(state, "comma"), *file = unit_path(state, "comma/LC_NUMERIC");
    char *parent = unit_path(state, "");
    FILE *out;

    assert_int_equal(mkdir(folder, 0755), 0);
    out = fopen(file, "w");
    assert_non_null(out);
    fwrite(header, sizeof header, 1, out);
    fwrite(strings, sizeof strings, 1, out);
    assert_int_equal(fclose(out), 0);
    setenv("LOCPATH", parent, 1);
    free(folder);
    free(file);
    free(parent);
}

static void test_numbers_do_not_follow_the_locale(void **state)
{
    int64_t duration = UNTOUCHED, size = UNTOUCHED;

    write_comma_locale(state);
    if (!setlocale(LC_NUMERIC, "comma") || strtod("0,5", NULL) != 0.5) {
        setlocale(LC_NUMERIC, "C");
        skip();
    }
    mw_parse_duration("0.5", &duration, NULL);
    mw_parse_size("1.5K", &size, NULL);
    setlocale(LC_NUMERIC, "C");
    assert_int_equal(duration, 500000000);
    assert_int_equal(size, 1536);
}

static void test_a_rate_is_a_size_in_a_time_or_in_one_of_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes, ns;
    } cases[] = {
        {"10M/1h", 10 << 20, INT64_C(3600000000000)},
        {"10M/h", 10 << 20, INT64_C(3600000000000)},
        {"1.5K/500ms", 1536, 500000000},
        {"1e6/1", 1000000, 1000000000},
        {"2MB/.5d", 2000000, INT64_C(43200000000000)},
        {"1B/ns", 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        int64_t bytes = UNTOUCHED, ns = UNTOUCHED;

        assert_int_equal(mw_parse_rate(cases[i].text, &bytes, &ns, NULL), 0);
        assert_int_equal(bytes, cases[i].bytes);
        assert_int_equal(ns, cases[i].ns);
    }
}

static int parse_rate_bytes(const char *text, int64_t *ret_bytes, struct mw_error *error)
{
    int64_t ns = UNTOUCHED;
    int code = mw_parse_rate(text, ret_bytes, &ns, error);

    assert_int_equal(ns, UNTOUCHED);
    return code;
}

static void test_a_limit_of_memory_is_no_handful_of_bytes(void **state)
{
    static const struct accepted cases[] = {{"4096", 4096},
                                            {"20M", 20 * INT64_C(1048576)},
                                            {"20m", 20 * INT64_C(1048576)},
                                            {"1K", 1024},
                                            {"20B", 20},
                                            {"1e6", 1000000}};
    static const char *const texts[] = {"0", "0M", "20", "4095", "66.5", "1e3", "1e400"};
    struct mw_error error;
    int64_t bytes;

    (void)state;
    check_accepted(mw_parse_memory, cases, MW_COUNT(cases));
    check_all_refused(mw_parse_memory, texts, MW_COUNT(texts), -ERANGE);
    check_all_refused(mw_parse_memory, no_numbers, MW_COUNT(no_numbers), -EINVAL);
    mw_parse_memory("20", &bytes, &error);
    assert_string_equal(error.text, "'20' is 20 bytes: write 20M");
}

static void test_what_is_no_rate_is_refused_and_leaves_both_alone(void **state)
{
    static const char *const none[] = {"",       "/",      "10M",     "10M/",   "/1h",
                                       "10M/1x", "10M//h", "-1M/h",   "1M/-1h", "1M/1h/1h",
                                       "1M/ h",  "1M /h",  "1M/1h ",  "h/1M",   "nan/1h",
                                       "1M/x",   "1M/inf", "1M/hour", "1M/.h"};
    static const char *const out_of_range[] = {"0/1h",        "1M/0",     "1M/0h",
                                               "8388608T/1h", "1M/1e99d", "20/h"};

    (void)state;
    check_all_refused(parse_rate_bytes, none, MW_COUNT(none), -EINVAL);
    check_all_refused(parse_rate_bytes, out_of_range, MW_COUNT(out_of_range), -ERANGE);
}

static void test_percentages_have_their_sign(void **state)
{
    static const char *const none[] = {"",    "%",   "5",   "0.05", "-5%",  "+5%",
                                       "5 %", "5%%", "5%5", "nan%", "inf%", "five%"};
    static const struct {
        const char *text;
        double percent;
    } cases[] = {{"0%", 0}, {"5%", 5}, {"0.5%", 0.5}, {"1e1%", 10}, {"100%", 100}};
    double percent = -1;

    (void)state;
    for (size_t i = 0; i < MW_COUNT(none); i++)
        assert_int_equal(mw_parse_percent(none[i], 100, &percent, NULL), -EINVAL);
    assert_int_equal(mw_parse_percent("100.1%", 100, &percent, NULL), -ERANGE);
    assert_int_equal(mw_parse_percent("1e300%", 100, &percent, NULL), -ERANGE);
    assert_true(percent == -1);
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        assert_int_equal(mw_parse_percent(cases[i].text, 100, &percent, NULL), 0);
        assert_true(percent == cases[i].percent);
    }
}

static void check_words(const char *text, const char *const *wanted)
{
    mw_auto_free char **words = NULL;
    size_t i = 0;

    assert_int_equal(mw_parse_words(text, &words, NULL), 0);
    for (; wanted[i]; i++)
        assert_string_equal(words[i], wanted[i]);
    assert_null(words[i]);
}

static void test_words_are_divided_at_blanks_and_kept_together_by_quotation_marks(void **state)
{
    (void)state;
    check_words("a", (const char *const[]){"a", NULL});
    check_words("  a\tb c \n", (const char *const[]){"a", "b", "c", NULL});
    check_words("sh -c 'echo \"$X\" *'", (const char *const[]){"sh", "-c", "echo \"$X\" *", NULL});
    check_words("a\"b c\"'d'e '' \\n", (const char *const[]){"ab cde", "", "\\n", NULL});
}

static void test_what_is_no_command_is_refused(void **state)
{
    static const char *const texts[] = {"", "  ", "'", "a 'b", "a \"b'"};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(texts); i++) {
        struct mw_error error = {0};
        char **words = NULL;

        assert_int_equal(mw_parse_words(texts[i], &words, &error), -EINVAL);
        assert_null(words);
        assert_true(strlen(error.text) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_durations_are_seconds_unless_a_unit_says_otherwise),
        UNIT_TEST(test_what_is_no_duration_is_refused),
        UNIT_TEST(test_durations_above_292_years_are_out_of_range),
        UNIT_TEST(test_sizes_count_in_powers_of_1024_or_of_1000_as_written),
        UNIT_TEST(test_what_is_no_size_is_refused),
        UNIT_TEST(test_sizes_above_8_eib_are_out_of_range),
        UNIT_TEST(test_counts_are_whole_numbers_inside_their_limits),
        UNIT_TEST(test_either_end_of_a_window_may_be_left_out),
        UNIT_TEST(test_what_is_no_window_is_refused_and_leaves_both_ends_alone),
        UNIT_TEST(test_a_rate_is_a_size_in_a_time_or_in_one_of_a_unit),
        UNIT_TEST(test_a_limit_of_memory_is_no_handful_of_bytes),
        UNIT_TEST(test_what_is_no_rate_is_refused_and_leaves_both_alone),
        UNIT_TEST(test_percentages_have_their_sign),
        UNIT_TEST(test_a_text_of_any_length_is_refused_or_understood),
        UNIT_TEST(test_numbers_do_not_follow_the_locale),
        UNIT_TEST(test_words_are_divided_at_blanks_and_kept_together_by_quotation_marks),
        UNIT_TEST(test_what_is_no_command_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
