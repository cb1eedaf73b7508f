/*
 * Small pictures, and the gnuplot script that is made of them.
 */
#ifndef MW_TESTS_PICTURE_H
#define MW_TESTS_PICTURE_H

#include "plot/script.h"
#include "unit.h"

#define MIB 1048576.0

/* A plot of four seconds without anything in it. */
struct mw_plot picture_empty(void);

/* The script of a plot. The caller frees it. */
char *picture_script(const struct mw_plot *plot, const struct mw_plot_canvas *canvas);

/* How often a word stands in a text. */
size_t picture_count(const char *text, const char *word);

#endif
