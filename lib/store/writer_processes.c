/* Processes as they are written: their starts, programs, samples and ends. */
#include "store/peaks.h"
#include "store/statements.h"
#include "store/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A series counts its time from its own start, so that it fits into four bytes. */
static const int64_t longest_series_us = INT32_MAX;

/* Grows the table of entities up to a slot; false when memory ran out. */
static bool reserve_slot(struct mw_writer *writer, uint32_t slot)
{
    size_t count = (size_t)slot + 1 + slot / 2;
    struct entity *entities;

    if (slot < writer->entity_count)
        return true;
    entities = reallocarray(writer->entities, count, sizeof *entities);
    if (!entities)
        return false;
    memset(entities + writer->entity_count, 0, (count - writer->entity_count) * sizeof *entities);
    writer->entities = entities;
    writer->entity_count = count;
    return true;
}

int mw_writer_start_process(struct mw_writer *writer, uint32_t slot, int pid, int ppid,
                            int64_t start_us, struct mw_error *error)
{
    struct entity *entity;
    int code;

    if (!reserve_slot(writer, slot))
        return mw_error_errno(error, ENOMEM, "%s", writer->path);
    if ((code = statements_begin(writer, error)) < 0)
        return code;
    BIND(writer, ADD_PROCESS, writer->run, pid, ppid, start_us);
    if ((code = statements_run(writer, ADD_PROCESS, error)) < 0)
        return code;
    entity = entity_at(writer, slot);
    *entity = (struct entity){
        .process = sqlite3_last_insert_rowid(writer->db),
        .pid = pid,
        .start_us = start_us,
        .live = true,
        .window_us = start_us,
    };
    writer->process_count++;
    retention_count(writer->retention, PRUNE_PROCESSES);
    writer->rows++;
    if (writer->root == 0)
        writer->root = entity->process;
    return 0;
}

int mw_writer_add_image(struct mw_writer *writer, uint32_t slot, int64_t since_us, const char *name,
                        const char *const *arguments, size_t argument_count, struct mw_error *error)
{
    int code;

    if ((code = statements_begin(writer, error)) < 0)
        return code;
    entity_at(writer, slot)->images++;
    retention_count(writer->retention, PRUNE_REST);
    BIND(writer, ADD_IMAGE, entity_at(writer, slot)->process, since_us);
    bind_text(writer->statements[ADD_IMAGE], 3, name);
    if ((code = statements_run(writer, ADD_IMAGE, error)) < 0)
        return code;
    return statements_words(writer, ADD_ARGUMENT, sqlite3_last_insert_rowid(writer->db), arguments,
                            argument_count, error);
}

/* The series to write to at t_us: begins one where there is none, or the present one is full. */
static int need_series(struct mw_writer *writer, struct entity *entity, enum mw_metric metric,
                       int64_t t_us, struct mw_error *error)
{
    int code;

    if (entity->series[metric].id != 0 &&
        t_us - entity->series[metric].since_us <= longest_series_us)
        return 0;
    BIND(writer, ADD_SERIES, writer->run);
    if (entity->process)
        sqlite3_bind_int64(writer->statements[ADD_SERIES], 2, entity->process);
    else
        sqlite3_bind_null(writer->statements[ADD_SERIES], 2);
    bind_text(writer->statements[ADD_SERIES], 3, mw_metric_name(metric));
    sqlite3_bind_int64(writer->statements[ADD_SERIES], 4, t_us);
    if ((code = statements_run(writer, ADD_SERIES, error)) < 0)
        return code;
    entity->series[metric].id = sqlite3_last_insert_rowid(writer->db);
    entity->series[metric].since_us = t_us;
    return 0;
}

int mw_writer_add_sample(struct mw_writer *writer, uint32_t slot, enum mw_metric metric,
                         int64_t t_us, int64_t kib, struct mw_error *error)
{
    struct entity *entity = entity_at(writer, slot);
    int code;

    if ((code = statements_begin(writer, error)) < 0 ||
        (code = need_series(writer, entity, metric, t_us, error)) < 0)
        return code;
    BIND(writer, ADD_SAMPLE, entity->series[metric].id, t_us - entity->series[metric].since_us,
         kib);
    if ((code = statements_run(writer, ADD_SAMPLE, error)) < 0)
        return code;
    code = rollups_add(writer->rollups, &entity->series[metric].rollup, entity->process, metric,
                       t_us, kib, error);
    if (code < 0)
        return statements_abandon(writer, code, error);
    retention_count(writer->retention, 0);
    writer->rows++;
    peaks_follow(writer, entity, metric, t_us, kib);
    return 0;
}

/* How the first process has ended, where that is told. */
static void note_root_end(struct mw_writer *writer, int64_t process, int status, int signal)
{
    if (process != writer->root || (status < 0 && signal < 0))
        return;
    writer->root_status = status;
    writer->root_signal = signal;
}

int mw_writer_end_process(struct mw_writer *writer, uint32_t slot, int64_t end_us, int exit_status,
                          int exit_signal, struct mw_error *error)
{
    struct entity *entity = entity_at(writer, slot);
    sqlite3_stmt *statement = writer->statements[END_PROCESS];
    int code;

    if ((code = statements_begin(writer, error)) < 0 ||
        (code = peaks_flush(writer, SET_PROCESS_PEAK, entity->process, &entity->peak, error)) < 0)
        return code;
    entity->live = false;
    for (size_t i = 0; i < MW_METRIC_COUNT; i++) {
        if ((code = rollups_end(writer->rollups, &entity->series[i].rollup, end_us, error)) < 0)
            return statements_abandon(writer, code, error);
    }
    ended_add(&writer->ended, &(struct ended){entity->process, entity->pid, entity->start_us,
                                              end_us, entity->peak});
    note_root_end(writer, entity->process, exit_status, exit_signal);
    BIND(writer, END_PROCESS, entity->process, end_us);
    bind_optional(statement, 3, exit_status);
    bind_optional(statement, 4, exit_signal);
    return statements_run(writer, END_PROCESS, error);
}

/* Whether the pid was given to a later process before the moment for which an exit stands. */
static bool is_live(const struct mw_writer *writer, const struct mw_exit *exit)
{
    for (size_t i = 0; i < writer->entity_count; i++) {
        const struct entity *entity = &writer->entities[i];

        if (entity->live && entity->pid == exit->pid && entity->start_us <= exit->t_us)
            return true;
    }
    return false;
}

int mw_writer_set_exit(struct mw_writer *writer, const struct mw_exit *exit, bool *ret_stored,
                       struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[SET_EXIT];
    struct ended *ended =
        is_live(writer, exit) ? NULL : ended_find(&writer->ended, exit->pid, exit->t_us);
    int code;

    *ret_stored = ended != NULL;
    if (!ended)
        return 0;
    if ((code = statements_begin(writer, error)) < 0)
        return code;
    note_root_end(writer, ended->process, exit->status, exit->signal);
    if (exit->max_rss_kib >= 0)
        high_close(&ended->peak, exit->max_rss_kib, writer->peak_bound_kib);
    BIND(writer, SET_EXIT, ended->process);
    bind_optional(statement, 2, exit->status);
    bind_optional(statement, 3, exit->signal);
    bind_optional(statement, 4, high_bound(&ended->peak));
    return statements_run(writer, SET_EXIT, error);
}
