/*
 * Data blocks: the numbers of a picture as rows of text in the units of its axes, written fast and
 * without regard to the locale. Only numbers go through here, never a string.
 */
#ifndef MW_PLOT_BLOCK_H
#define MW_PLOT_BLOCK_H

#include "plot/axis.h"
#include "plot/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct mw_block {
    FILE *out;
    const struct mw_axis *x, *y;
};

/* How a curve becomes a line. */
struct mw_block_line {
    bool straight; /* from point to point; else a value holds until the next point */
    bool strokes;  /* the range from low to high as a vertical stroke of the line itself */
    bool band;     /* the range as columns 3 and 4 */
    double dot_s;  /* how far a point that stands alone is drawn; 0: it is a dot by itself */
};

/* "$name << END" and its end. A block's rows begin with a digit, a minus or a dot. */
void mw_block_begin(const struct mw_block *block, const char *name, size_t number);
void mw_block_end(const struct mw_block *block);

/* One row from a time and a memory size. Values that are not finite make the row a break. */
void mw_block_row(const struct mw_block *block, double t_s, double bytes);

/* An empty line: what follows is not connected with what was before. */
void mw_block_break(const struct mw_block *block);

/* The rows "time value" or "time value low high" of a curve. */
void mw_block_curve(const struct mw_block *block, const struct mw_plot_curve *curve,
                    const struct mw_block_line *line);

#endif
