/*
 * One series of a recording as a curve: its points at the resolution of the canvas, its highest
 * value, and the straight line through it.
 */
#ifndef MW_CMD_TRACE_H
#define MW_CMD_TRACE_H

#include "analysis/envelope.h"
#include "analysis/trend.h"
#include "cmd/recording.h"
#include "plot/model.h"

struct trace_request {
    const struct recording *recording;
    int64_t process; /* or MW_PROCESS_TREE */
    enum mw_metric metric;
    int64_t from_us, to_us; /* the window, inside the recording */
    int64_t end_us;         /* where the series ends */
    unsigned columns;       /* of the canvas */
    const struct mw_hole *holes;
    size_t hole_count;
    bool bands; /* with what the kernel saw in between */
    bool trend; /* needed for trace_line */
};

struct trace {
    struct mw_plot_point *points; /* NULL: there is nothing in the window */
    size_t point_count;
    struct mw_peak peak;
    int64_t peak_at_us; /* where to show it */
    struct mw_trend trend;
    double from_s, to_s; /* of the trend */
};

/* The points are the caller's to free. */
int trace_read(struct trace *ret_trace, const struct trace_request *request,
               struct mw_error *error);

/* The two ends of the least-squares line, and its slope; false where there is none. */
bool trace_line(const struct trace *trace, struct mw_plot_point ret_ends[2], double *ret_slope);

#endif
