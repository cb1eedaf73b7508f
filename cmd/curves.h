/*
 * The curves of a chart: which series of a recording are drawn, in what order, with the peak, the
 * trend and the verdict of the one that stands for all.
 */
#ifndef MW_CMD_CURVES_H
#define MW_CMD_CURVES_H

#include "analysis/envelope.h"
#include "cmd/chart.h"

/* In the place of a process: a curve that is nobody's memory, on which no bracket stands. */
#define CURVE_OF_NONE (-2)

/* Starts as all zero. Labels and points are its own. */
struct curves {
    struct mw_plot_curve *curves;
    int64_t *owners; /* of each curve: a process, MW_PROCESS_TREE or CURVE_OF_NONE */
    struct mw_plot_peak *peaks;
    size_t count, room, owner_room, peak_count, peak_room;
    size_t drawn_processes; /* that have a curve, of a single recording */
    double to_s;            /* how far the time axis must reach for them; 0: not at all */
    char *no_verdict;       /* why there is none that was asked for; NULL: there is, or was not */
};

/* What is drawn of one recording. */
struct source {
    struct recording *recording;
    const struct chart_options *options;
    size_t place;  /* among several, from 1; 0: it is alone */
    int64_t to_us; /* end of the window, inside the recording */
    struct mw_hole *holes;
    size_t hole_count;
};

/*
 * Adds its curves: of one alone the total, the processes, and the proportional memory where that
 * was read; of several that are laid over each other the total alone. There may be none.
 */
int curves_add(struct curves *curves, const struct source *source, struct mw_error *error);

void curves_clear(struct curves *curves);

#endif
