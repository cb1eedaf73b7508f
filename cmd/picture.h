/*
 * Pictures in files: the end of the file's name says what is drawn.
 */
#ifndef MW_CMD_PICTURE_H
#define MW_CMD_PICTURE_H

#include "cmd/chart.h"
#include "plot/script.h"

#include <stdbool.h>
#include <stdio.h>

/* What to draw into a file. */
struct picture {
    struct mw_plot_canvas canvas;
    bool script; /* the file is to be the gnuplot script itself */
};

/* Tells from the path what to draw. CMD_OK, or CMD_USAGE after a message. */
int picture_choose(const char *path, struct picture *ret_picture);

/* What the chart must know of the canvas. */
void picture_set_options(const struct mw_plot_canvas *canvas, struct chart_options *options);

/*
 * Draws into the file at path; with letters also to standard output, for NULL. Returns the
 * command's exit status, after a message if need be.
 */
int picture_draw(const struct picture *picture, const struct mw_plot *plot, const char *path);

/* Writes the script that draws into output; the same exit status. */
int picture_write_script(FILE *out, const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                         const char *output);

/* The name of a file with another extension, to be freed; NULL when memory ran out. */
char *picture_beside(const char *path, const char *extension);

#endif
