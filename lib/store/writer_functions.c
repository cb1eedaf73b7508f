/* Functions and their calls as they are written. */
#include "store/peaks.h"
#include "store/statements.h"
#include "store/writer.h"

int mw_writer_add_function(struct mw_writer *writer, const char *name, const char *file, int line,
                           int64_t *ret_id, struct mw_error *error)
{
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    BIND(writer, ADD_FUNCTION, writer->run);
    bind_optional(writer->statements[ADD_FUNCTION], 2, line > 0 ? line : -1);
    bind_text(writer->statements[ADD_FUNCTION], 3, name);
    bind_text(writer->statements[ADD_FUNCTION], 4, file);
    if ((code = statements_run(writer, ADD_FUNCTION, error)) < 0)
        return code;
    *ret_id = sqlite3_last_insert_rowid(writer->db);
    return 0;
}

/* Bytes as KiB; what is not known stays so. */
static int64_t to_kib(int64_t bytes)
{
    return bytes < 0 ? -1 : bytes / 1024;
}

int mw_writer_set_function(struct mw_writer *writer, const struct mw_function *function,
                           struct mw_error *error)
{
    const struct mw_peak *peak = &function->peak;
    sqlite3_stmt *statement = writer->statements[SET_FUNCTION];
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    BIND(writer, SET_FUNCTION, function->id, (int64_t)function->calls, (int64_t)function->ended,
         (int64_t)function->stored - retention_given_up_calls(writer->retention, function->id),
         function->total_ns, function->max_ns, function->suspended_ns,
         function->growth_bytes / 1024);
    bind_optional(statement, 9, peak->known ? to_kib(peak->bytes) : -1);
    bind_optional(statement, 10, peak->known ? to_kib(peak->upper_bytes) : -1);
    bind_optional(statement, 11, peak->known ? peak->from_us : -1);
    bind_optional(statement, 12, peak->known ? peak->to_us : -1);
    bind_text(statement, 13, peak->known ? peaks_source(peak->source == MW_PEAK_KERNEL) : NULL);
    return statements_run(writer, SET_FUNCTION, error);
}

int mw_writer_add_call(struct mw_writer *writer, uint32_t slot, const struct mw_call *call,
                       struct mw_error *error)
{
    const struct mw_peak *peak = &call->peak;
    sqlite3_stmt *statement = writer->statements[ADD_CALL];
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_CALLS);
    writer->rows++;
    BIND(writer, ADD_CALL, call->function, call->from_us, (int64_t)call->number, call->thread,
         call->track < 0 ? -call->track : 0, call->depth, call->suspended_ns);
    bind_optional(statement, 8, entity_row(writer, slot));
    bind_optional(statement, 9, call->duration_ns);
    bind_optional(statement, 10, to_kib(call->from_bytes));
    bind_optional(statement, 11, to_kib(call->to_bytes));
    bind_optional(statement, 12, peak->known ? to_kib(peak->bytes) : -1);
    bind_optional(statement, 13, peak->known ? to_kib(peak->upper_bytes) : -1);
    bind_optional(statement, 14, peak->known ? peak->from_us - call->from_us : -1);
    bind_optional(statement, 15, peak->known ? peak->to_us - call->from_us : -1);
    bind_optional(statement, 16, peak->known ? peak->source == MW_PEAK_KERNEL : -1);
    return statements_run(writer, ADD_CALL, error);
}
