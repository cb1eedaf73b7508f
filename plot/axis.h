/*
 * The unit, the tics and their labels for an axis: round numbers in the unit that fits the data.
 */
#ifndef MW_PLOT_AXIS_H
#define MW_PLOT_AXIS_H

#include <stdbool.h>
#include <stdio.h>

struct mw_axis {
    double per_unit;  /* seconds or bytes in one unit */
    const char *unit; /* as it stands in the axis label: "ms", "min:s", "MiB" */
    const char *name; /* of the unit behind a plain number: "ms", "min", "MiB" */
    double low, high; /* both ends, in units */
    double step;      /* between two tics, in units */
    bool clock;       /* tics are written in 60ths, "2:30" */
};

/* A time axis from from_s to to_s with at most max_tics intervals. Needs from_s < to_s. */
struct mw_axis mw_axis_time(double from_s, double to_s, unsigned max_tics);

/*
 * A memory axis from 0 to head_room times max_bytes, so that a label finds room above the highest
 * point. A maximum of 0 or below gives an axis to 1 KiB.
 */
struct mw_axis mw_axis_bytes(double max_bytes, double head_room, unsigned max_tics);

/* The tics as gnuplot's set xtics takes them: ("0:00" 0, "0:30" 0.5). */
void mw_axis_write_tics(FILE *out, const struct mw_axis *axis);

#endif
