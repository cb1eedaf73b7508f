/* Numbers as people read them. */
#include "unit.h"
#include "util/format.h"
#include "util/metric.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct formatted {
    int64_t number;
    const char *text;
};

typedef char *format_fn(char buffer[static MW_FORMAT_SIZE], int64_t number);

static void check(format_fn *format, const struct formatted *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char buffer[MW_FORMAT_SIZE];

        assert_ptr_equal(format(buffer, cases[i].number), buffer);
        assert_string_equal(buffer, cases[i].text);
    }
}

static void test_bytes_have_three_digits_in_powers_of_1024(void **state)
{
    static const struct formatted cases[] = {
        {0, "0 B"},
        {1, "1 B"},
        {999, "999 B"},
        {1024, "1 KiB"},
        {1536, "1.50 KiB"},
        {10 * 1024, "10 KiB"},
        {812 * 1024, "812 KiB"},
        {999 * 1024, "999 KiB"},
        {51064980, "48.7 MiB"},
        {INT64_C(1) << 30, "1 GiB"},
        {INT64_C(1) << 40, "1 TiB"},
        {INT64_C(1) << 50, "1 PiB"},
        {INT64_MAX, "8 EiB"},
        {INT64_MIN, "-8 EiB"},
        {INT64_C(-1610612736), "-1.50 GiB"},
        {-1, "-1 B"},
    };

    (void)state;
    check(mw_format_bytes, cases, MW_COUNT(cases));
}

static void test_bytes_just_below_a_unit_keep_their_three_digits(void **state)
{
    static const struct formatted cases[] = {
        {1000, "0.977 KiB"},
        {1023, "0.999 KiB"},
        {1000 * 1024, "0.977 MiB"},
        {INT64_C(1020) << 20, "0.996 GiB"},
    };

    (void)state;
    check(mw_format_bytes, cases, MW_COUNT(cases));
}

/* Three digits cannot be further from the truth than one in two hundred. */
static void test_bytes_are_never_far_from_the_truth(void **state)
{
    static const char units[] = "BKMGTPE";
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        int64_t bytes = (int64_t)(unit_random(&seed) >> (1 + i % 60));
        char buffer[MW_FORMAT_SIZE], *unit;
        double shown = strtod(mw_format_bytes(buffer, bytes), &unit), factor = 1;

        assert_true(*unit == ' ');
        for (const char *at = units; *at != unit[1]; at++)
            factor *= 1024;
        assert_true(shown * factor <= (double)bytes * 1.0055 &&
                    shown * factor >= (double)bytes * 0.9945);
        assert_true(strlen(buffer) <= 9);
    }
}

static void test_durations_choose_the_unit_for_their_length(void **state)
{
    static const struct formatted cases[] = {
        {0, "0 s"},
        {999, "999 ns"},
        {-5, "-5 ns"},
        {12500, "12.5 us"},
        {12500000, "12.5 ms"},
        {999600000, "1.00 s"},
        {2310000000, "2.31 s"},
        {59400000000, "59.4 s"},
        {59600000000, "1 min 0 s"},
        {303 * INT64_C(1000000000), "5 min 3 s"},
        {12000 * INT64_C(1000000000), "3 h 20 min"},
        {(12 * 24 + 4) * 3600 * INT64_C(1000000000), "12 d 4 h"},
        {INT64_MAX, "106751 d 23 h"},
    };

    (void)state;
    check(mw_format_duration, cases, MW_COUNT(cases));
}

static void test_counts_have_a_comma_between_thousands(void **state)
{
    static const struct formatted cases[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {12345, "12,345"},
        {-999, "-999"},
        {-1000, "-1,000"},
        {1234567890, "1,234,567,890"},
        {INT64_MAX, "9,223,372,036,854,775,807"},
        {INT64_MIN, "-9,223,372,036,854,775,808"},
    };

    (void)state;
    check(mw_format_count, cases, MW_COUNT(cases));
}

static void test_dates_are_local_or_rfc_3339_in_utc(void **state)
{
    static const struct formatted local[] = {
        {INT64_C(1777817251250000000), "2026-05-03 16:07:31"},
        {0, "1970-01-01 02:00:00"},
    };
    static const struct formatted utc[] = {
        {INT64_C(1777817251250000000), "2026-05-03T14:07:31.250000Z"},
        {0, "1970-01-01T00:00:00.000000Z"},
        {INT64_C(1777817251000000999), "2026-05-03T14:07:31.000000Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775Z"},
    };

    (void)state;
    setenv("TZ", "XYZ-2", 1);
    tzset();
    check(mw_format_date, local, MW_COUNT(local));
    check(mw_format_rfc3339, utc, MW_COUNT(utc));
}

static void test_a_date_before_1970_is_no_wrong_date(void **state)
{
    char buffer[MW_FORMAT_SIZE];

    (void)state;
    assert_string_equal(mw_format_rfc3339(buffer, -1500000000), "?");
    assert_string_equal(mw_format_rfc3339(buffer, INT64_MIN), "?");
}

static void test_every_metric_is_found_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < MW_METRIC_COUNT; i++) {
        enum mw_metric metric = MW_METRIC_COUNT;

        assert_int_equal(mw_metric_parse(mw_metric_name((enum mw_metric)i), &metric, NULL), 0);
        assert_int_equal(metric, i);
        assert_true(strlen(mw_metric_label(metric)) > 0);
    }
    assert_string_equal(mw_metric_name(MW_METRIC_RSS), "rss");
}

static void test_a_metric_that_does_not_exist_is_refused_with_those_that_do(void **state)
{
    static const char *const names[] = {"", "RSS", "rs", "rss ", "rsss"};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(names); i++) {
        enum mw_metric metric = MW_METRIC_COUNT;
        struct mw_error error = {0};

        assert_int_equal(mw_metric_parse(names[i], &metric, &error), -EINVAL);
        assert_int_equal(metric, MW_METRIC_COUNT);
        for (int known = 0; known < MW_METRIC_COUNT; known++)
            assert_non_null(strstr(error.text, mw_metric_name((enum mw_metric)known)));
    }
}

static void test_an_error_of_any_length_is_one_terminated_sentence(void **state)
{
    static char word[2000];
    struct mw_error error;

    (void)state;
    memset(word, 'x', sizeof word - 1);
    assert_int_equal(mw_error_set(&error, -EIO, "%s", word), -EIO);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    assert_int_equal(mw_error_errno(&error, ENOENT, "cannot open %s", "x"), -ENOENT);
    assert_string_equal(error.text, "cannot open x: No such file or directory");
    assert_int_equal(error.code, -ENOENT);
    assert_int_equal(mw_error_errno(NULL, EACCES, "x"), -EACCES);
}

static void test_rates_are_in_the_unit_of_time_that_suits_the_series(void **state)
{
    static const struct {
        double bytes_per_s, length_s;
        const char *text;
    } cases[] = {
        {1 << 20, 1, "1 MiB/s"},
        {1 << 20, 120, "1 MiB/s"},
        {1 << 20, 121, "60 MiB/min"},
        {-(1 << 20), 7200, "-60 MiB/min"},
        {1 << 20, 7201, "3.52 GiB/h"},
        {0.1, 1e6, "8.44 KiB/d"},
        {0, 1, "0 B/s"},
        {1e300, 1e9, "4 EiB/d"},
        {-1e300, 1, "-4 EiB/s"},
        {1, INFINITY, "84.4 KiB/d"},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        char buffer[MW_FORMAT_SIZE];

        assert_string_equal(mw_format_rate(buffer, cases[i].bytes_per_s, cases[i].length_s),
                            cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_rates_are_in_the_unit_of_time_that_suits_the_series),
        UNIT_TEST(test_bytes_have_three_digits_in_powers_of_1024),
        UNIT_TEST(test_bytes_just_below_a_unit_keep_their_three_digits),
        UNIT_TEST(test_bytes_are_never_far_from_the_truth),
        UNIT_TEST(test_durations_choose_the_unit_for_their_length),
        UNIT_TEST(test_counts_have_a_comma_between_thousands),
        UNIT_TEST(test_dates_are_local_or_rfc_3339_in_utc),
        UNIT_TEST(test_a_date_before_1970_is_no_wrong_date),
        UNIT_TEST(test_every_metric_is_found_by_its_name),
        UNIT_TEST(test_a_metric_that_does_not_exist_is_refused_with_those_that_do),
        UNIT_TEST(test_an_error_of_any_length_is_one_terminated_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
