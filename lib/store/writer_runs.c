/* A run as it is written: its beginning and end, how far it has come, its clock and its gaps. */
#include "store/peaks.h"
#include "store/statements.h"
#include "store/writer.h"

#include <string.h>

int mw_writer_begin_run(struct mw_writer *writer, const struct mw_run *run, struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[ADD_RUN];
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    bind_text(statement, 1, run->version);
    sqlite3_bind_int64(statement, 2, run->started_ns);
    sqlite3_bind_int64(statement, 3, run->interval_us);
    bind_text(statement, 4, mw_children_name(run->children));
    bind_text(statement, 5, run->cwd);
    bind_text(statement, 6, run->note);
    bind_text(statement, 7, run->scheduling);
    bind_text(statement, 8, run->tracking);
    sqlite3_bind_int64(statement, 9, run->rss_bound_bytes / 1024);
    sqlite3_bind_int64(statement, 10, run->peak_bound_bytes / 1024);
    if ((code = statements_run(writer, ADD_RUN, error)) < 0)
        return code;
    writer->run = sqlite3_last_insert_rowid(writer->db);
    writer->root = 0;
    writer->root_status = writer->root_signal = -1;
    writer->process_count = 0;
    writer->root_only = run->children == MW_CHILDREN_NONE;
    writer->knows_execs =
        strcmp(run->tracking, "perf") == 0 || strcmp(run->tracking, "connector") == 0;
    writer->rss_bound_kib = run->rss_bound_bytes / 1024;
    writer->peak_bound_kib = run->peak_bound_bytes / 1024;
    writer->run_peak = writer->root_peak = (struct high){0};
    writer->tree = (struct entity){0};
    writer->duration_us = 0;
    if ((code = rollups_begin(writer->rollups, writer->run, &writer->keep, error)) < 0 ||
        (code = retention_begin(writer->retention, writer->run, &writer->keep, error)) < 0)
        return statements_abandon(writer, code, error);
    if ((code = statements_words(writer, ADD_COMMAND, writer->run,
                                 (const char *const *)run->command, run->command_length, error)) <
            0 ||
        (code = mw_writer_add_clock(writer, 0, run->started_ns, error)) < 0)
        return code;
    code = mw_writer_commit(writer, error);
    if (code == 0)
        writer->created = false;
    return code;
}

int mw_writer_add_gap(struct mw_writer *writer, const struct mw_gap *gap, struct mw_error *error)
{
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    BIND(writer, ADD_GAP, writer->run, gap->from_us, gap->to_us, (int64_t)gap->ticks);
    return statements_run(writer, ADD_GAP, error);
}

int mw_writer_add_clock(struct mw_writer *writer, int64_t t_us, int64_t realtime_ns,
                        struct mw_error *error)
{
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    BIND(writer, ADD_CLOCK, writer->run, t_us, realtime_ns);
    return statements_run(writer, ADD_CLOCK, error);
}

int mw_writer_set_progress(struct mw_writer *writer, int64_t duration_us,
                           const struct mw_ticks *ticks, const struct mw_recorder_cost *cost,
                           struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[SET_PROGRESS];
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    writer->duration_us = duration_us;
    writer->lost_events = cost->lost_events;
    BIND(writer, SET_PROGRESS, writer->run, duration_us, (int64_t)ticks->due, (int64_t)ticks->taken,
         (int64_t)ticks->missed, ticks->longest_gap_us);
    bind_optional(statement, 7, ticks->lateness_p50_us);
    bind_optional(statement, 8, ticks->lateness_p99_us);
    bind_optional(statement, 9, ticks->lateness_max_us);
    sqlite3_bind_int64(statement, 10, cost->cpu_us);
    sqlite3_bind_int64(statement, 11, cost->max_rss_bytes / 1024);
    sqlite3_bind_int64(statement, 12, (int64_t)cost->lost_events);
    sqlite3_bind_int64(statement, 13, (int64_t)cost->dropped_records);
    sqlite3_bind_int64(statement, 14, (int64_t)cost->lost_marks);
    sqlite3_bind_int64(statement, 15, cost->blind_us);
    return statements_run(writer, SET_PROGRESS, error);
}

static int end_root(struct mw_writer *writer, int exit_status, int exit_signal, int64_t max_rss_kib,
                    struct mw_error *error)
{
    int code;

    if (max_rss_kib >= 0)
        peaks_end_root(writer, max_rss_kib);
    BIND(writer, END_ROOT, writer->root, writer->run);
    bind_optional(writer->statements[END_ROOT], 3, exit_status);
    bind_optional(writer->statements[END_ROOT], 4, exit_signal);
    if ((code = statements_run(writer, END_ROOT, error)) < 0)
        return code;
    return peaks_flush(writer, SET_PROCESS_PEAK, writer->root, &writer->root_peak, error);
}

int mw_writer_end_run(struct mw_writer *writer, enum mw_outcome outcome, int exit_status,
                      int exit_signal, int64_t max_rss_kib, struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[END_RUN];
    int code;

    if (outcome == MW_OUTCOME_EXITED && exit_status < 0) {
        exit_status = writer->root_status;
        exit_signal = writer->root_signal;
        outcome = exit_signal < 0 ? MW_OUTCOME_EXITED : MW_OUTCOME_SIGNALED;
    }
    if ((code = statements_begin(writer, error)) < 0)
        return code;
    BIND(writer, END_RUN, writer->run);
    bind_text(statement, 2, mw_outcome_name(outcome));
    bind_optional(statement, 3, exit_status);
    bind_optional(statement, 4, exit_signal);
    if ((code = statements_run(writer, END_RUN, error)) < 0)
        return code;
    if ((outcome == MW_OUTCOME_EXITED || outcome == MW_OUTCOME_SIGNALED) && writer->root != 0 &&
        (code = end_root(writer, exit_status, exit_signal, max_rss_kib, error)) < 0)
        return code;
    if (outcome == MW_OUTCOME_DETACHED)
        peaks_detach(writer);
    if ((code = rollups_finish(writer->rollups, writer->duration_us, error)) < 0)
        return statements_abandon(writer, code, error);
    return mw_writer_commit(writer, error);
}
