/*
 * From recordings to the picture of them: chooses the curves, reads them at the resolution of the
 * canvas, and words the labels.
 */
#ifndef MW_CMD_CHART_H
#define MW_CMD_CHART_H

#include "cmd/recording.h"
#include "plot/model.h"

enum chart_curves {
    CHART_ALL,       /* the total and every process */
    CHART_TOTAL,     /* the sum over the tree alone */
    CHART_PROCESSES, /* the processes alone */
};

struct chart_options {
    int64_t from_us, to_us; /* the window; INT64_MAX: to the end */
    enum mw_metric metric;
    enum chart_curves curves;
    bool slope;          /* a least-squares line, with its value in the legend */
    bool leak;           /* the verdict of `leak`, as lines over the curve that it is about */
    int64_t limit_bytes; /* with leak: a limit that the user names; -1: none */
    int64_t least_ns;    /* with leak: what is shorter is not judged */
    bool no_functions;   /* leave the functions out that were recorded */
    bool flame;          /* their calls as boxes in lanes, by depth */
    const char *title;   /* NULL: the command */
    /* Of several recordings, in the legend. NULL: they are numbered from 1 on. */
    const char *const *names;
    unsigned columns; /* of the canvas */
    bool letters;     /* it is drawn with letters: too coarse for lanes */
};

struct chart;

/*
 * Reads the recordings into a chart: one shows its processes, several overlay their totals from t =
 * 0. -ENODATA when what is asked for was not recorded; the message says why.
 */
int chart_new(struct chart **ret_chart, struct recording *recordings, size_t count,
              const struct chart_options *options, struct mw_error *error);

/* Belongs to the chart. */
const struct mw_plot *chart_plot(const struct chart *chart);

/* Why a verdict that was asked for is not in it, "insufficient: known for 2 s alone …"; NULL: it
 * is, or none was asked for. Belongs to the chart. */
const char *chart_no_verdict(const struct chart *chart);

/* NULL is fine. */
void chart_free(struct chart *chart);

#endif
