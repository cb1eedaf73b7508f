/* What samples, marks and ends say of the highest memory, until it is stored. */
#include "store/peaks.h"

#include "store/writer.h"

/* Until the tree has a series of its own, its first process stands for it. */
static bool counts_for_run(const struct mw_writer *writer, const struct entity *entity)
{
    if (entity == &writer->tree)
        return true;
    return entity->process == writer->root && writer->tree.series[MW_METRIC_RSS].id == 0;
}

static int64_t bound_of(const struct mw_writer *writer, enum mw_peak_source source)
{
    return source == MW_PEAK_KERNEL ? writer->peak_bound_kib : writer->rss_bound_kib;
}

static void raise_peak(struct mw_writer *writer, struct entity *entity,
                       const struct reached *reached)
{
    high_raise(&entity->peak, reached);
    if (entity->process != 0 && entity->process == writer->root)
        writer->root_peak = entity->peak;
}

void peaks_follow(struct mw_writer *writer, struct entity *entity, enum mw_metric metric,
                  int64_t t_us, int64_t kib)
{
    bool kernel = metric == MW_METRIC_PEAK;
    const struct reached reached = {
        .kib = kib,
        .bound_kib = bound_of(writer, kernel ? MW_PEAK_KERNEL : MW_PEAK_SAMPLED),
        .from_us = kernel ? entity->window_us : t_us,
        .to_us = t_us,
        .kernel = kernel,
    };

    if (metric != MW_METRIC_RSS && !kernel)
        return;
    if (kernel)
        entity->window_us = t_us;
    raise_peak(writer, entity, &reached);
    /* What one process had at a moment, the tree had at least: no sweep need have seen it. */
    if (kernel || counts_for_run(writer, entity))
        high_raise(&writer->run_peak, &reached);
}

void mw_writer_allow_peak(struct mw_writer *writer, uint32_t slot, int64_t most_kib)
{
    struct entity *entity = entity_at(writer, slot);

    most_kib += writer->peak_bound_kib;
    high_allow(&entity->peak, most_kib);
    high_allow(&writer->run_peak, most_kib);
    if (entity->process == writer->root)
        writer->root_peak = entity->peak;
}

void mw_writer_raise_peak(struct mw_writer *writer, uint32_t slot, const struct mw_reached *reached)
{
    struct entity *entity = slot < writer->entity_count ? &writer->entities[slot] : NULL;
    const struct reached known = {
        .kib = reached->kib,
        .bound_kib = bound_of(writer, reached->source),
        .from_us = reached->from_us,
        .to_us = reached->to_us,
        .kernel = reached->source == MW_PEAK_KERNEL,
    };
    int64_t most_kib = known.kib + known.bound_kib + reached->unseen_kib;

    if (entity) {
        struct reached own = known;

        /* It may have marked before it was seen. */
        own.from_us = known.from_us < entity->start_us ? entity->start_us : known.from_us;
        own.to_us = known.to_us < own.from_us ? own.from_us : known.to_us;
        high_allow(&entity->peak, most_kib);
        raise_peak(writer, entity, &own);
    }
    high_allow(&writer->run_peak, most_kib);
    high_raise(&writer->run_peak, &known);
}

void mw_writer_unbound_peaks(struct mw_writer *writer)
{
    for (size_t i = 0; i < writer->entity_count; i++) {
        struct entity *entity = &writer->entities[i];

        if (entity->live)
            high_unbound(&entity->peak);
        if (entity->live && entity->process == writer->root)
            high_unbound(&writer->root_peak);
    }
    high_unbound(&writer->run_peak);
}

/* Whether the tree certainly never was more than its first process. */
static bool root_was_alone(const struct mw_writer *writer)
{
    return writer->process_count == 1 && writer->tree.series[MW_METRIC_RSS].id == 0 &&
           (writer->root_only || (writer->knows_execs && writer->lost_events == 0));
}

void peaks_end_root(struct mw_writer *writer, int64_t max_rss_kib)
{
    high_close(&writer->root_peak, max_rss_kib, writer->peak_bound_kib);
    if (root_was_alone(writer))
        high_close(&writer->run_peak, max_rss_kib, writer->peak_bound_kib);
}

void peaks_detach(struct mw_writer *writer)
{
    for (size_t i = 0; i < writer->entity_count && writer->knows_execs; i++) {
        struct entity *entity = &writer->entities[i];

        if (!entity->live || entity->images > 1 || entity->window_us < writer->duration_us)
            continue;
        entity->peak.closed = entity->peak.dirty = true;
        if (entity->process == writer->root && root_was_alone(writer))
            writer->run_peak.closed = writer->run_peak.dirty = true;
    }
}

const char *peaks_source(bool kernel)
{
    return kernel ? "kernel" : "sampled";
}

int peaks_flush(struct mw_writer *writer, enum statement which, int64_t row, struct high *high,
                struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[which];

    if (!high->dirty)
        return 0;
    high->dirty = false;
    sqlite3_bind_int64(statement, 1, row);
    sqlite3_bind_int64(statement, 2, high->kib);
    bind_optional(statement, 3, high_bound(high));
    sqlite3_bind_int64(statement, 4, high->from_us);
    sqlite3_bind_int64(statement, 5, high->to_us);
    bind_text(statement, 6, peaks_source(high->kernel));
    return statements_run(writer, which, error);
}

int peaks_flush_all(struct mw_writer *writer, struct mw_error *error)
{
    int code;

    for (size_t i = 0; i < writer->entity_count; i++) {
        struct entity *entity = &writer->entities[i];

        if ((code = peaks_flush(writer, SET_PROCESS_PEAK, entity->process, &entity->peak, error)) <
            0)
            return code;
    }
    return peaks_flush(writer, SET_RUN_PEAK, writer->run, &writer->run_peak, error);
}
