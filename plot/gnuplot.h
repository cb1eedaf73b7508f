/*
 * Runs gnuplot as a child process: without a shell, without the user's start-up files, with the
 * script on a descriptor, so that it stops at the first error and can name its line.
 */
#ifndef MW_PLOT_GNUPLOT_H
#define MW_PLOT_GNUPLOT_H

#include "plot/model.h"
#include "plot/script.h"
#include "util/error.h"

#include <stdbool.h>

/*
 * Draws the plot into the file at path, which appears whole or not at all: gnuplot draws into a
 * temporary file beside it that is renamed on success (a pipe or a device is written to). For
 * MW_PLOT_TEXT and MW_PLOT_TERMINAL path may be NULL: the drawing goes to standard output. Errors:
 * -ENOENT when there is no gnuplot (the message says what to install), -EIO when gnuplot fails
 * (with the first line of what it said), the errno of the file otherwise.
 */
int mw_gnuplot_draw(const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                    const char *path, struct mw_error *error);

/*
 * Opens a window that stays until the user closes it, and returns at once. -ENOTSUP when this
 * gnuplot has no terminal that opens windows on the display.
 */
int mw_gnuplot_show(const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                    struct mw_error *error);

/* A terminal of gnuplot's that memwatch draws with. */
struct mw_gnuplot_terminal {
    const char *name;
    enum mw_plot_format format; /* what it draws */
    bool present;               /* this gnuplot has it */
};

enum { MW_GNUPLOT_TERMINALS = 7 };

struct mw_gnuplot {
    char version[32]; /* "5.4.4" */
    bool too_old;     /* for the scripts that memwatch writes */
    struct mw_gnuplot_terminal terminals[MW_GNUPLOT_TERMINALS];
};

/*
 * Asks gnuplot what it can draw, and waits a few seconds for the answer at most. -ENOENT when there
 * is no gnuplot; the other errors say what is wrong with it.
 */
int mw_gnuplot_ask(struct mw_gnuplot *ret_gnuplot, struct mw_error *error);

/* Whether the environment names a display to open a window on. */
bool mw_gnuplot_has_display(void);

#endif
