#include "store/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COLUMNS = 4 };

static const double MOST_BYTES = 0x1p63, MOST_SECONDS = 9e15;

const char *mw_csv_fault_text(enum mw_csv_fault fault)
{
    static const char *const texts[MW_CSV_FAULT_COUNT] = {
        [MW_CSV_OK] = "well",
        [MW_CSV_COLUMNS] = "wrong number of columns",
        [MW_CSV_NUMBER] = "not a number",
        [MW_CSV_NEGATIVE] = "negative",
        [MW_CSV_TOO_LARGE] = "too large",
        [MW_CSV_BACKWARDS] = "time goes back",
    };

    return texts[fault];
}

/* The length without what ends the line. */
static size_t without_end(const char *line, size_t length)
{
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    return length;
}

int mw_csv_header(const char *line, struct mw_csv *ret_csv, struct mw_error *error)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    static const struct {
        const char *text;
        struct mw_csv csv;
    } headers[] = {
        {"time_s,rss_bytes", {false, false}},
        {"time_s,rss_bytes,shared_bytes", {true, false}},
        {"time_s,rss_bytes,swap_bytes", {false, true}},
        {"time_s,rss_bytes,shared_bytes,swap_bytes", {true, true}},
    };
    size_t length;

    if (strncmp(line, byte_order_mark, sizeof byte_order_mark - 1) == 0)
        line += sizeof byte_order_mark - 1;
    length = without_end(line, strlen(line));
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        if (strlen(headers[i].text) == length && memcmp(headers[i].text, line, length) == 0) {
            *ret_csv = headers[i].csv;
            return 0;
        }
    }
    return mw_error_set(
        error, -EINVAL,
        "line 1 must name the columns: time_s,rss_bytes[,shared_bytes][,swap_bytes]");
}

/* A decimal number that ends at a comma or where the text does; *text is then there. */
static enum mw_csv_fault parse_number(const char **text, double *ret_number)
{
    static const char of_numbers[] = "0123456789.eE+-";
    size_t length = strcspn(*text, ",");
    char *end;

    if (length == 0 || strspn(*text, of_numbers) != length)
        return MW_CSV_NUMBER;
    *ret_number = strtod(*text, &end);
    if (end != *text + length)
        return MW_CSV_NUMBER;
    if (*ret_number < 0)
        return MW_CSV_NEGATIVE;
    *text = end;
    return MW_CSV_OK;
}

enum mw_csv_fault mw_csv_row(const struct mw_csv *csv, const char *line, size_t length,
                             struct mw_csv_row *ret_row)
{
    size_t columns = 2U + csv->has_shared + csv->has_swap, column = 0;
    double numbers[MOST_COLUMNS] = {0};
    char copy[256];
    const char *at = copy;

    length = without_end(line, length);
    if (length >= sizeof copy || memchr(line, '\0', length))
        return MW_CSV_NUMBER;
    memcpy(copy, line, length);
    copy[length] = '\0';
    for (;; at++) {
        enum mw_csv_fault fault;

        if (column == columns)
            return MW_CSV_COLUMNS;
        if ((fault = parse_number(&at, &numbers[column++])) != MW_CSV_OK)
            return fault;
        if (*at == '\0')
            break;
    }
    if (column < columns)
        return MW_CSV_COLUMNS;
    if (numbers[0] > MOST_SECONDS)
        return MW_CSV_TOO_LARGE;
    for (size_t i = 1; i < columns; i++) {
        if (numbers[i] >= MOST_BYTES)
            return MW_CSV_TOO_LARGE;
    }
    *ret_row = (struct mw_csv_row){.t_s = numbers[0],
                                   .rss = numbers[1],
                                   .shared = csv->has_shared ? numbers[2] : 0,
                                   .swap = csv->has_swap ? numbers[columns - 1] : 0};
    return MW_CSV_OK;
}
