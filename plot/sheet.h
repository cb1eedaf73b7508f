/*
 * The script that is being written, and its parts: shared by the files that write it.
 */
#ifndef MW_PLOT_SHEET_H
#define MW_PLOT_SHEET_H

#include "plot/axis.h"
#include "plot/block.h"
#include "plot/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What a format of the picture needs to be told, and how large its letters are. */
struct look {
    const char *terminal, *options;
    const char *font, *bold;          /* NULL where a letter is a letter */
    unsigned width, height;           /* when the caller names none */
    unsigned cell_width, cell_height; /* of a letter, in the unit of width and height */
    double per_inch;                  /* where gnuplot takes inches; else 0 */
    bool characters;                  /* drawn with letters instead of lines */
    bool coloured;
    bool tooltips;
};

/* Which names the legend has room for, and where it stands. */
struct legend {
    bool below;
    unsigned columns;         /* of letters in an entry's name */
    size_t curves, functions; /* how many have an entry of their own */
    bool bands;               /* there are bands, and an entry that says what they are */
};

/* Everything that the parts of a script need to know. */
struct sheet {
    FILE *out;
    const struct mw_plot *plot;
    const struct look *look;
    unsigned width, height;
    struct mw_axis x, y;
    struct mw_block block;
    struct legend legend;
    size_t clauses; /* of the plot command, so far */
    bool failed;    /* out of memory */
};

/* The places of the strings in the block of words, which begins with 1. */
enum {
    WORD_TITLE = 1,
    WORD_SUBTITLE,
    WORD_Y_LABEL,
    WORD_MORE_CURVES,
    WORD_MORE_FUNCTIONS,
    WORD_CURVES
};

static inline size_t curve_word(size_t curve)
{
    return WORD_CURVES + curve;
}

static inline size_t function_word(const struct sheet *sheet, size_t function)
{
    return WORD_CURVES + sheet->plot->curve_count + function;
}

static inline size_t peak_word(const struct sheet *sheet, size_t peak)
{
    return WORD_CURVES + sheet->plot->curve_count + sheet->plot->function_count + peak;
}

/* The entries of what is drawn below the curves. */
#define GAP_ENTRY "not recorded"
#define BAND_ENTRY "reached in between"

/* legend.c */

/* Whether a curve is drawn with a band between its lowest and highest values. */
bool mw_sheet_has_band(const struct sheet *sheet, const struct mw_plot_curve *curve);

/* Decides which curves and functions have an entry of their own, and where the entries stand. */
void mw_sheet_plan_legend(struct sheet *sheet);
void mw_sheet_write_key(const struct sheet *sheet);

/* drawing.c */

/* The data and the plot command. */
void mw_sheet_write_drawing(struct sheet *sheet);
/* "plot " or the comma behind the clause before. */
void mw_sheet_begin_clause(struct sheet *sheet);

/* peaks.c */

void mw_sheet_write_peak_labels(const struct sheet *sheet);
void mw_sheet_write_peak_block(const struct sheet *sheet);
void mw_sheet_write_peak_clause(struct sheet *sheet);

#endif
