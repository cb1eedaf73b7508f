/* Lines of traces from elsewhere: what they hold, and why one is left out. */
#include "store/csv.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

static const struct mw_csv two = {0}, four = {.has_shared = true, .has_swap = true};

static enum mw_csv_fault read_row(const struct mw_csv *csv, const char *line,
                                  struct mw_csv_row *ret)
{
    return mw_csv_row(csv, line, strlen(line), ret);
}

static void test_header_names_the_columns(void **state)
{
    static const struct {
        const char *line;
        bool shared, swap;
    } headers[] = {
        {"time_s,rss_bytes\n", false, false},
        {"time_s,rss_bytes", false, false},
        {"\xEF\xBB\xBFtime_s,rss_bytes\r\n", false, false},
        {"time_s,rss_bytes,shared_bytes\n", true, false},
        {"time_s,rss_bytes,swap_bytes\n", false, true},
        {"time_s,rss_bytes,shared_bytes,swap_bytes\n", true, true},
    };
    static const char *const others[] = {
        "",     "time_s\n", "rss_bytes,time_s\n", "time_s,rss_bytes,x\n", "time_s, rss_bytes\n",
        "0,1\n"};
    struct mw_error error;
    struct mw_csv csv;

    (void)state;
    for (size_t i = 0; i < MW_COUNT(headers); i++) {
        assert_int_equal(mw_csv_header(headers[i].line, &csv, &error), 0);
        assert_true(csv.has_shared == headers[i].shared && csv.has_swap == headers[i].swap);
    }
    for (size_t i = 0; i < MW_COUNT(others); i++)
        assert_int_equal(mw_csv_header(others[i], &csv, &error), -EINVAL);
}

static void test_rows(void **state)
{
    struct mw_csv_row row;

    (void)state;
    assert_int_equal(read_row(&two, "1.5,4096\r\n", &row), MW_CSV_OK);
    assert_true(row.t_s == 1.5 && row.rss == 4096 && row.shared == 0 && row.swap == 0);
    assert_int_equal(read_row(&four, "1e3,4096,1024,0", &row), MW_CSV_OK);
    assert_true(row.t_s == 1000 && row.shared == 1024 && row.swap == 0);
}

static void test_why_a_row_is_left_out(void **state)
{
    static const struct {
        const char *line;
        enum mw_csv_fault fault;
    } rows[] = {
        {"1,NaN", MW_CSV_NUMBER},     {"inf,1", MW_CSV_NUMBER},
        {"1,0x10", MW_CSV_NUMBER},    {"1,", MW_CSV_NUMBER},
        {"", MW_CSV_NUMBER},          {"1,1e", MW_CSV_NUMBER},
        {"1, 2", MW_CSV_NUMBER},      {"1", MW_CSV_COLUMNS},
        {"1,2,3", MW_CSV_COLUMNS},    {"1,-2", MW_CSV_NEGATIVE},
        {"-1,2", MW_CSV_NEGATIVE},    {"1,1e400", MW_CSV_TOO_LARGE},
        {"1e16,2", MW_CSV_TOO_LARGE}, {"1,9223372036854775808", MW_CSV_TOO_LARGE},
    };
    struct mw_csv_row row = {.t_s = -1};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(rows); i++) {
        assert_int_equal(read_row(&two, rows[i].line, &row), rows[i].fault);
        assert_true(row.t_s == -1);
    }
    assert_int_equal(mw_csv_row(&two, "1\0,2", 4, &row), MW_CSV_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_names_the_columns),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_why_a_row_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
