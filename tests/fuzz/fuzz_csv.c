/* Traces from elsewhere, line by line. */
#include "fuzz.h"
#include "store/csv.h"

#include <errno.h>
#include <math.h>

static void check_row(const struct mw_csv *csv, const char *line, size_t length)
{
    struct mw_csv_row row = {.t_s = -1};
    enum mw_csv_fault fault = mw_csv_row(csv, line, length, &row);

    FUZZ_CHECK(fault < MW_CSV_FAULT_COUNT && fault != MW_CSV_BACKWARDS);
    FUZZ_CHECK(*mw_csv_fault_text(fault) != '\0');
    if (fault != MW_CSV_OK) {
        FUZZ_CHECK(row.t_s == -1); /* untouched */
        return;
    }
    FUZZ_CHECK(row.t_s >= 0 && row.t_s <= 9e15);
    FUZZ_CHECK(row.rss >= 0 && row.rss < 0x1p63);
    FUZZ_CHECK(row.shared >= 0 && row.shared < 0x1p63 && (csv->has_shared || row.shared == 0));
    FUZZ_CHECK(row.swap >= 0 && row.swap < 0x1p63 && (csv->has_swap || row.swap == 0));
    FUZZ_CHECK(length >= 3);
}

/* The lines of the data, each in a block of its own, so that reading past it is seen. */
static void check_lines(const struct mw_csv *csv, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) + 1 : size;
        char *line = malloc(length);

        if (!line)
            abort();
        memcpy(line, data, length);
        check_row(csv, line, length);
        free(line);
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    struct mw_csv csv = {0};
    struct mw_error error = {0};
    int code = mw_csv_header(text, &csv, &error);

    FUZZ_CHECK(code == 0 || (code == -EINVAL && error.code == code && *error.text));
    for (unsigned columns = 0; columns < 4; columns++) {
        csv = (struct mw_csv){.has_shared = columns & 1, .has_swap = columns & 2};
        check_lines(&csv, data, size);
    }
    free(text);
    return 0;
}
