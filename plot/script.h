/*
 * From a picture's data to the gnuplot script that draws it: a pure function.
 *
 * The script is complete in itself (data in datablocks, no files read), so that it can be saved,
 * sent and changed by hand. Nothing that a target or a user named can execute in it: such strings
 * only ever travel as lines of a data block, with control characters replaced (see words.h).
 */
#ifndef MW_PLOT_SCRIPT_H
#define MW_PLOT_SCRIPT_H

#include "plot/model.h"
#include "util/error.h"

#include <stdio.h>

enum mw_plot_format {
    MW_PLOT_PNG,
    MW_PLOT_SVG, /* interactive: coordinates, curves toggled on the legend, names as tooltips */
    MW_PLOT_PDF,
    MW_PLOT_TEXT,     /* characters without colour, for files and pipes */
    MW_PLOT_TERMINAL, /* characters with ANSI colours */
    MW_PLOT_WINDOW,   /* a window on the display, by the first interactive terminal gnuplot has */
};

/* Pixels, or character cells for TEXT and TERMINAL; 0: the format's own size. */
struct mw_plot_canvas {
    enum mw_plot_format format;
    unsigned width, height;
};

/* The name of gnuplot's terminal that draws the format; NULL for a window, which has several. */
const char *mw_plot_terminal(enum mw_plot_format format);

/* How many different times are worth a point of their own: the canvas' width in pixels or cells. */
unsigned mw_plot_columns(const struct mw_plot_canvas *canvas);

/* Whether boxes in lanes are drawn: letters are too coarse for them. */
bool mw_plot_has_lanes(const struct mw_plot_canvas *canvas);

/*
 * Writes the script to out. A plot without curves says that nothing was recorded. output_path is
 * where gnuplot shall draw (NULL: its standard output; a window has none). Returns 0, -EIO when out
 * could not be written, -EINVAL when the path cannot be given to gnuplot or the time axis has no
 * length, -ENOMEM.
 */
int mw_plot_script(FILE *out, const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                   const char *output_path, struct mw_error *error);

#endif
