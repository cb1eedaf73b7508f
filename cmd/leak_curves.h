/*
 * The verdict on a series as lines of a picture: what of it is judged, from where on, its trend
 * with how sure it is, the limit that is met first, and where.
 */
#ifndef MW_CMD_LEAK_CURVES_H
#define MW_CMD_LEAK_CURVES_H

#include "cmd/verdict.h"
#include "plot/model.h"

enum { LEAK_CURVES_MOST = 5 };

/* The labels, points and words belong to whoever takes the curves. */
struct leak_curves {
    struct mw_plot_curve curves[LEAK_CURVES_MOST];
    size_t count;
    bool crosses;
    struct mw_plot_peak crossing; /* where the trend meets the limit */
    double to_s;                  /* how far the time axis must reach to show that */
    char *why_none; /* "insufficient: known for 2 s alone …": there are no curves; NULL else */
};

/*
 * Judges and draws. The request's metric is ignored: of resident memory (drawn is MW_METRIC_RSS)
 * what belongs to no file is judged, and drawn above what does. On failure there are no curves.
 */
int leak_curves_make(struct leak_curves *ret_curves, const struct verdict_request *request,
                     enum mw_metric drawn, int64_t limit_bytes, struct mw_error *error);

void leak_curve_clear(struct mw_plot_curve *curve);

#endif
