/*
 * Lines of numbers from elsewhere, as `memwatch import` takes them:
 *
 *     time_s,rss_bytes,shared_bytes,swap_bytes
 *     0,51064832,8192,0
 *     0.5,51130368,8192,0
 *
 * The last two columns may be missing. Numbers are decimal, and not negative.
 */
#ifndef MW_STORE_CSV_H
#define MW_STORE_CSV_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_csv {
    bool has_shared, has_swap;
};

/* Why a line is left out. */
enum mw_csv_fault {
    MW_CSV_OK,
    MW_CSV_COLUMNS,   /* too few or too many */
    MW_CSV_NUMBER,    /* something is no number: NaN, infinity and hexadecimal neither */
    MW_CSV_NEGATIVE,  /* a number is below 0 */
    MW_CSV_TOO_LARGE, /* a size above 8 EiB, a time above 9e15 s */
    MW_CSV_BACKWARDS, /* the time is before that of the line before: for the caller to tell */
    MW_CSV_FAULT_COUNT
};

/* "wrong number of columns" … */
const char *mw_csv_fault_text(enum mw_csv_fault fault);

struct mw_csv_row {
    double t_s;
    double rss, shared, swap; /* bytes; 0 where there is no such column */
};

/* Reads the first line. -EINVAL, with a message, when it names other columns. */
int mw_csv_header(const char *line, struct mw_csv *ret_csv, struct mw_error *error);

/* Reads a further line, of that length; line ends and a carriage return before them are ignored. */
enum mw_csv_fault mw_csv_row(const struct mw_csv *csv, const char *line, size_t length,
                             struct mw_csv_row *ret_row);

#endif
