/* The SQL of a recording, and what all who run it share. */
#include "store/statements.h"

#include "store/sql.h"
#include "store/writer.h"

#include <errno.h>
#include <string.h>

static const char *const sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ADD_RUN] = "INSERT INTO run (version, started_ns, duration_us, interval_us, children, cwd, "
                "note, scheduling, tracking, rss_bound_kib, peak_bound_kib) "
                "VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [ADD_COMMAND] = "INSERT INTO command (run, position, value) VALUES (?1, ?2, ?3)",
    [ADD_PROCESS] = "INSERT INTO process (run, pid, ppid, start_us) VALUES (?1, ?2, ?3, ?4)",
    [ADD_IMAGE] = "INSERT INTO image (process, since_us, name) VALUES (?1, ?2, ?3)",
    [ADD_ARGUMENT] = "INSERT INTO argument (image, position, value) VALUES (?1, ?2, ?3)",
    [ADD_SERIES] = "INSERT INTO series (run, process, metric, since_us) VALUES (?1, ?2, ?3, ?4)",
    [ADD_SAMPLE] = "INSERT OR REPLACE INTO sample (series, dt_us, kib) VALUES (?1, ?2, ?3)",
    [ADD_GAP] = "INSERT OR REPLACE INTO gap (run, from_us, to_us, ticks) VALUES (?1, ?2, ?3, ?4)",
    [ADD_CLOCK] = "INSERT OR REPLACE INTO clock (run, t_us, realtime_ns) VALUES (?1, ?2, ?3)",
    [ADD_FUNCTION] = "INSERT INTO function (run, line, name, file) VALUES (?1, ?2, ?3, ?4)",
    [SET_FUNCTION] = "UPDATE function SET calls = ?2, ended = ?3, stored = ?4, total_ns = ?5, "
                     "max_ns = ?6, suspended_ns = ?7, growth_kib = ?8, peak_kib = ?9, "
                     "peak_upper_kib = ?10, peak_from_us = ?11, peak_to_us = ?12, "
                     "peak_source = ?13 WHERE id = ?1",
    [ADD_CALL] = "INSERT OR REPLACE INTO call (function, enter_us, number, thread, track, depth, "
                 "suspended_ns, process, duration_ns, enter_kib, exit_kib, peak_kib, "
                 "peak_upper_kib, peak_from_dt_us, peak_to_dt_us, peak_is_kernels) "
                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    [END_PROCESS] = "UPDATE process SET end_us = ?2, exit_status = coalesce(?3, exit_status), "
                    "exit_signal = coalesce(?4, exit_signal) WHERE id = ?1",
    [SET_EXIT] = "UPDATE process SET exit_status = ?2, exit_signal = ?3, "
                 "peak_upper_kib = coalesce(?4, peak_upper_kib) WHERE id = ?1",
    [SET_PROCESS_PEAK] = "UPDATE process SET peak_kib = ?2, peak_upper_kib = ?3, "
                         "peak_from_us = ?4, peak_to_us = ?5, peak_source = ?6 WHERE id = ?1",
    [SET_RUN_PEAK] = "UPDATE run SET peak_kib = ?2, peak_upper_kib = ?3, peak_from_us = ?4, "
                     "peak_to_us = ?5, peak_source = ?6 WHERE id = ?1",
    [SET_PROGRESS] =
        "UPDATE run SET duration_us = ?2, ticks_due = ?3, ticks_taken = ?4, ticks_missed = ?5, "
        "longest_gap_us = ?6, lateness_p50_us = ?7, lateness_p99_us = ?8, lateness_max_us = ?9, "
        "recorder_cpu_us = ?10, recorder_rss_kib = ?11, lost_events = ?12, dropped_records = ?13, "
        "lost_marks = ?14, blind_us = ?15 WHERE id = ?1",
    [END_RUN] = "UPDATE run SET outcome = ?2, exit_status = ?3, exit_signal = ?4 WHERE id = ?1",
    [END_ROOT] = "UPDATE process SET end_us = coalesce(end_us, "
                 "(SELECT duration_us FROM run WHERE id = ?2)), exit_status = ?3, exit_signal = ?4 "
                 "WHERE id = ?1",
};

/* Rows are smaller, but for those with long words in them. */
enum { ROW_BYTES = 64 };

int statements_prepare(struct mw_writer *writer, struct mw_error *error)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(writer->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &writer->statements[i], NULL) != SQLITE_OK)
            return mw_sql_error(writer->db, writer->path, error);
    }
    return 0;
}

void statements_finalize(struct mw_writer *writer)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(writer->statements[i]);
}

int statements_abandon(struct mw_writer *writer, int code, struct mw_error *error)
{
    if (!sqlite3_get_autocommit(writer->db))
        sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
    writer->in_transaction = false;
    if (code == -ENOSPC && bound_was_reached(&writer->bound, writer->path))
        return mw_error_set(error, -EFBIG,
                            "%s is as large as --max-file allows, and has nothing left to give up",
                            writer->path);
    return code;
}

int statements_fail(struct mw_writer *writer, struct mw_error *error)
{
    return statements_abandon(writer, mw_sql_error(writer->db, writer->path, error), error);
}

int statements_run(struct mw_writer *writer, enum statement which, struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[which];

    if (sqlite3_step(statement) != SQLITE_DONE) {
        int code = statements_fail(writer, error);

        sqlite3_reset(statement);
        return code;
    }
    sqlite3_reset(statement);
    return 0;
}

int statements_begin(struct mw_writer *writer, struct mw_error *error)
{
    int code;

    if (writer->in_transaction)
        return 0;
    if ((code = statements_run(writer, BEGIN, error)) < 0)
        return code;
    writer->in_transaction = true;
    return 0;
}

void bind_numbers(sqlite3_stmt *statement, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sqlite3_bind_int64(statement, (int)i + 1, numbers[i]);
}

void bind_optional(sqlite3_stmt *statement, int position, int64_t number)
{
    if (number < 0)
        sqlite3_bind_null(statement, position);
    else
        sqlite3_bind_int64(statement, position, number);
}

void bind_text(sqlite3_stmt *statement, int position, const char *text)
{
    sqlite3_bind_text(statement, position, text, -1, SQLITE_STATIC);
}

int statements_words(struct mw_writer *writer, enum statement which, int64_t row,
                     const char *const *words, size_t count, struct mw_error *error)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < count; i++) {
        writer->rows += 1 + (int64_t)strlen(words[i]) / ROW_BYTES;
        BIND(writer, which, row, (int64_t)i);
        bind_text(writer->statements[which], 3, words[i]);
        code = statements_run(writer, which, error);
    }
    return code;
}

struct entity *entity_at(struct mw_writer *writer, uint32_t slot)
{
    return slot == MW_SLOT_TREE ? &writer->tree : &writer->entities[slot];
}

int64_t entity_row(const struct mw_writer *writer, uint32_t slot)
{
    int64_t process = slot < writer->entity_count ? writer->entities[slot].process : 0;

    return process ? process : -1;
}
