#include "store/rows.h"

#include "store/sql.h"

#include <string.h>

int rows_prepare(struct mw_reader *reader, const char *sql, sqlite3_stmt **ret_statement,
                 struct mw_error *error)
{
    if (sqlite3_prepare_v2(reader->db, sql, -1, ret_statement, NULL) != SQLITE_OK)
        return mw_sql_error(reader->db, reader->path, error);
    return 0;
}

int rows_end(struct mw_reader *reader, int step, struct mw_error *error)
{
    return step == SQLITE_DONE ? 0 : mw_sql_error(reader->db, reader->path, error);
}

char *column_text(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);

    return text ? strdup((const char *)text) : NULL;
}

char *column_required(sqlite3_stmt *row, int column)
{
    char *text = column_text(row, column);

    return text ? text : strdup("");
}

int64_t column_optional(sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return -1;
    return sqlite3_column_int64(row, column);
}

int64_t column_us(sqlite3_stmt *row, int column)
{
    int64_t us = column_optional(row, column);

    return us < -1 ? 0 : us > longest_us ? longest_us : us;
}

struct mw_peak column_peak(sqlite3_stmt *row, int column)
{
    int64_t upper_kib = column_optional(row, column + 1);
    const char *source = (const char *)sqlite3_column_text(row, column + 4);

    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return (struct mw_peak){.known = false};
    return (struct mw_peak){
        .known = true,
        .bytes = kib_to_bytes(sqlite3_column_int64(row, column)),
        .upper_bytes = upper_kib < 0 ? -1 : kib_to_bytes(upper_kib),
        .from_us = column_us(row, column + 2),
        .to_us = column_us(row, column + 3),
        .source = source && strcmp(source, "kernel") == 0 ? MW_PEAK_KERNEL : MW_PEAK_SAMPLED,
    };
}

int64_t kib_to_bytes(int64_t kib)
{
    int64_t bytes;

    return __builtin_mul_overflow(kib, 1024, &bytes) ? (kib < 0 ? INT64_MIN : INT64_MAX) : bytes;
}
