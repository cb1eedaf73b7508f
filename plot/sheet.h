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
    const char *bands;        /* the entry that says what they are; NULL: there are none */
};

/* Events that have one flag: from first on, so many. */
struct flag {
    size_t first, count;
    bool left; /* its label is left of it: on the right there is no room */
};

enum { MOST_FLAGS = 8 };

/* How a line is drawn. */
struct stroke {
    const char *colour; /* NULL: one of the palette */
    double width;
    const char *dashes;
    unsigned letter; /* the gnuplot line type that draws with *, #, $, %, @, & or = (1 to 7) */
};

/* Everything that the parts of a script need to know. */
struct sheet {
    FILE *out;
    const struct mw_plot *plot;
    const struct look *look;
    unsigned width, height; /* without the lanes */
    struct mw_axis x, y;
    unsigned lane_height, lanes_height; /* of one, and of all with the space above them */
    double floor;                       /* where the lanes end, in units of memory: below 0 */
    struct mw_block block;
    struct legend legend;
    struct flag flags[MOST_FLAGS];
    size_t flag_count;
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
    WORD_MORE_LANES,
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

/* The functions that have a colour, brackets and an entry. */
static inline size_t coloured_functions(const struct sheet *sheet)
{
    return sheet->plot->function_count < MW_PLOT_COLOURED_FUNCTIONS ? sheet->plot->function_count
                                                                    : MW_PLOT_COLOURED_FUNCTIONS;
}

static inline size_t peak_word(const struct sheet *sheet, size_t peak)
{
    return function_word(sheet, coloured_functions(sheet)) + peak;
}

static inline size_t limit_word(const struct sheet *sheet, size_t limit)
{
    return peak_word(sheet, sheet->plot->peak_count) + limit;
}

static inline size_t flag_word(const struct sheet *sheet, size_t flag)
{
    return limit_word(sheet, sheet->plot->limit_count) + flag;
}

/* The lanes' labels, and behind them those of the boxes that have one. */
static inline size_t lane_word(const struct sheet *sheet, size_t lane)
{
    return flag_word(sheet, sheet->flag_count) + lane;
}

/* The functions behind those that have a colour of their own. */
#define OTHER_FUNCTIONS_COLOUR "#9a9a9a"

/* The entries of what is drawn below the curves. */
#define GAP_ENTRY "not recorded"
#define RANGE_ENTRY "lowest to highest"
#define BETWEEN_ENTRY "reached in between"

/* script.c */

/* The next of the words: a text, cut to columns letters, and behind it tail. */
void mw_sheet_write_word(struct sheet *sheet, const char *text, const char *tail, size_t columns);

/* legend.c */

/* Whether a curve has a band between its lowest and highest values that can be seen. */
bool mw_sheet_has_band(const struct sheet *sheet, const struct mw_plot_curve *curve);

/* Decides which curves and functions have an entry of their own, and where the entries stand. */
void mw_sheet_plan_legend(struct sheet *sheet);
void mw_sheet_write_key(const struct sheet *sheet);

/* The width of the plot in the unit of the canvas, about: gnuplot alone knows its letters. */
double mw_sheet_plot_width(const struct sheet *sheet);

/* "1.20 s + 300 ms waiting" */
enum { WAITED_SIZE = 64 };
char *mw_sheet_word_time(char buffer[static WAITED_SIZE], double total_s, double waited_s);

/* ", 3 calls, 1.20 s + 300 ms waiting": the end of a function's entry. */
enum { FUNCTION_TAIL_SIZE = 96 };
char *mw_sheet_function_tail(char buffer[static FUNCTION_TAIL_SIZE],
                             const struct mw_plot_function *function);

/* The end of a dotted name that fits, "load" of "package.module.load": it says more than the
 * beginning. */
const char *mw_sheet_short_name(const char *name, size_t columns);

/* The letters of an UTF-8 string. */
size_t mw_sheet_letters_in(const char *text);

/* drawing.c */

/* The data and the plot command. */
void mw_sheet_write_drawing(struct sheet *sheet);
/* It is laid over what was measured, and goes straight from point to point. */
bool mw_sheet_is_drawn_over(const struct mw_plot_curve *curve);
/* Its points are readings: dots, between which nothing is known. */
bool mw_sheet_is_readings(const struct sheet *sheet, const struct mw_plot_curve *curve);
/* "plot " or the comma behind the clause before. */
void mw_sheet_begin_clause(struct sheet *sheet);
void mw_sheet_write_entry(const struct sheet *sheet, bool shown, size_t word);

/*
 * Colour and width. With characters the line type chooses what a line is made of: letters, or for
 * -1 the border's - and |, which read best but need colours to be told apart.
 */
void mw_sheet_write_stroke(const struct sheet *sheet, const struct stroke *stroke, size_t place);

/* The colour of a curve, but for letters. */
const char *mw_sheet_curve_colour(const struct sheet *sheet, size_t curve);

/* Functions take the places in the palette behind those of the curves. */
size_t mw_sheet_function_place(const struct sheet *sheet, size_t function);
const char *mw_sheet_colour(size_t place);

/* peaks.c */

void mw_sheet_write_peak_labels(const struct sheet *sheet);
void mw_sheet_write_peak_block(const struct sheet *sheet);
void mw_sheet_write_peak_clause(struct sheet *sheet);

/* limits.c */

void mw_sheet_write_limit_labels(const struct sheet *sheet);
void mw_sheet_write_limit_block(const struct sheet *sheet);
void mw_sheet_write_limit_clause(struct sheet *sheet);

/* events.c: flags above the curves */

/* Decides which events share a flag. */
void mw_sheet_plan_flags(struct sheet *sheet);
void mw_sheet_write_flag_words(struct sheet *sheet);
void mw_sheet_write_flag_labels(const struct sheet *sheet);
void mw_sheet_write_flag_block(const struct sheet *sheet);
void mw_sheet_write_flag_clause(struct sheet *sheet);

/* What happened at a flag, for its tooltip. */
void mw_sheet_write_flag_tip(struct sheet *sheet, const struct flag *flag);

/* brackets.c */

void mw_sheet_write_bracket_blocks(const struct sheet *sheet);
void mw_sheet_write_bracket_clauses(struct sheet *sheet);

/* How far a bracket reaches from its moment, in bytes up and down, and in seconds. */
double mw_sheet_bracket_bytes(const struct sheet *sheet, const struct mw_plot_span *span);
double mw_sheet_bracket_s(const struct sheet *sheet, const struct mw_plot_span *span);

/* Whether a moment is on the time axis. */
bool mw_sheet_shows(const struct sheet *sheet, double t_s);

/* tips.c: the tooltips of curves, brackets, boxes and flags */

void mw_sheet_write_tips(struct sheet *sheet);
void mw_sheet_write_tip_blocks(const struct sheet *sheet);
void mw_sheet_write_tip_clauses(struct sheet *sheet);

/* lanes.c */

/* Makes room for the lanes below the memory; asked_height is 0 where the picture may grow. */
void mw_sheet_plan_lanes(struct sheet *sheet, unsigned asked_height);
void mw_sheet_write_lane_words(struct sheet *sheet);
void mw_sheet_write_lane_axis(const struct sheet *sheet);
void mw_sheet_write_lane_blocks(const struct sheet *sheet);
void mw_sheet_write_lane_clauses(struct sheet *sheet);

/* The middle of a lane, in units of memory. */
double mw_sheet_lane_middle(const struct sheet *sheet, size_t lane);

#endif
