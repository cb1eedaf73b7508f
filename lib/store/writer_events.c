/* What is told of a run beside its samples, as it is written: events, limits and snapshots. */
#include "store/events.h"
#include "store/snapshots.h"
#include "store/statements.h"
#include "store/writer.h"

int mw_writer_add_event(struct mw_writer *writer, uint32_t slot, const struct mw_event *event,
                        struct mw_error *error)
{
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    return events_add(writer->db, writer->run, entity_row(writer, slot), event)
               ? 0
               : statements_fail(writer, error);
}

int mw_writer_add_last_event(struct mw_writer *writer, int pid, const struct mw_event *event,
                             struct mw_error *error)
{
    const struct ended *ended = ended_find(&writer->ended, pid, INT64_MAX);
    int code;

    if (!ended)
        return 0;
    if ((code = statements_begin(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    return events_add(writer->db, writer->run, ended->process, event)
               ? 0
               : statements_fail(writer, error);
}

int mw_writer_add_limit(struct mw_writer *writer, uint32_t slot, const struct mw_limit *limit,
                        struct mw_error *error)
{
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    return limits_add(writer->db, writer->run, entity_row(writer, slot), limit)
               ? 0
               : statements_fail(writer, error);
}

int mw_writer_add_snapshot(struct mw_writer *writer, uint32_t slot,
                           const struct mw_snapshot *snapshot, struct mw_error *error)
{
    int64_t process = entity_row(writer, slot);
    int code;

    if (process < 0)
        return 0;
    if ((code = statements_begin(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    return snapshots_add(writer->db, writer->run, process, snapshot)
               ? 0
               : statements_fail(writer, error);
}
