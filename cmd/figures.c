#include "cmd/figures.h"

#include "util/cleanup.h"

#include <errno.h>

static int add_sample(void *context, const struct mw_sample *sample)
{
    return mw_gauge_add(context, sample->t_us, sample->bytes);
}

/* The gaps of a run, to be freed. */
static int read_holes(struct recording *recording, struct mw_hole **ret_holes, size_t *ret_count,
                      struct mw_error *error)
{
    mw_auto_free struct mw_gap *gaps = NULL;
    struct mw_hole *holes;
    size_t count;
    int code = mw_reader_gaps(recording->reader, recording->run->id, &gaps, &count, error);

    if (code < 0)
        return code;
    holes = calloc(count + 1, sizeof *holes);
    if (!holes)
        return mw_error_errno(error, ENOMEM, "%s", recording->path);
    for (size_t i = 0; i < count; i++)
        holes[i] = (struct mw_hole){gaps[i].from_us, gaps[i].to_us};
    *ret_holes = holes;
    *ret_count = count;
    return 0;
}

/* Whether its last moments are long beside the time in which a program ends. */
static bool has_final(const struct mw_run *run)
{
    enum { SECOND_US = 1000000 };
    bool ended = run->outcome == MW_OUTCOME_EXITED || run->outcome == MW_OUTCOME_SIGNALED;

    return !ended || run->duration_us >= SECOND_US;
}

int figures_read(struct recording *recording, struct figures *ret_figures, struct mw_error *error)
{
    const struct mw_run *run = recording->run;
    struct figures figures = {.peak = run->peak};
    mw_auto_free struct mw_hole *holes = NULL;
    struct mw_gauge *gauge;
    size_t hole_count = 0;
    int code = read_holes(recording, &holes, &hole_count, error);

    if (code < 0)
        return code;
    gauge = mw_gauge_new(run->duration_us, holes, hole_count);
    if (!gauge)
        return mw_error_errno(error, ENOMEM, "%s", recording->path);
    code = mw_reader_samples(recording->reader, run->id, recording_series(recording), MW_METRIC_RSS,
                             0, run->duration_us, add_sample, gauge, error);
    if (code == 0)
        code = mw_gauge_finish(gauge, &figures.series);
    mw_gauge_free(gauge);
    if (code == -ENOMEM)
        return mw_error_errno(error, ENOMEM, "%s", recording->path);
    if (code < 0)
        return code;
    figures.sampled = code > 0;
    figures.has_final = figures.sampled && has_final(run);
    *ret_figures = figures;
    return 0;
}
