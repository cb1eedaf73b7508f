#include "plot/sheet.h"

#include <math.h>
#include <stdlib.h>

bool mw_sheet_shows(const struct sheet *sheet, double t_s)
{
    return t_s >= sheet->plot->from_s && t_s <= sheet->plot->to_s;
}

/* The feet of a short call do not cross: it becomes a narrow box, and at last an upright I. */
double mw_sheet_bracket_s(const struct sheet *sheet, const struct mw_plot_span *span)
{
    double width = sheet->plot->to_s - sheet->plot->from_s;
    double length = isfinite(span->to_s) ? span->to_s - span->from_s : width;

    return fmin(0.006 * width, fmax(length / 2, 0.002 * width));
}

static unsigned deepest(const struct mw_plot *plot)
{
    unsigned depth = 0;

    for (size_t i = 0; i < plot->span_count; i++)
        depth = plot->spans[i].depth > depth ? plot->spans[i].depth : depth;
    return depth < 3 ? depth : 3;
}

/* Outer calls have the larger brackets, so that two at one moment can be told apart. */
double mw_sheet_bracket_bytes(const struct sheet *sheet, const struct mw_plot_span *span)
{
    unsigned depth = deepest(sheet->plot);
    double size = 0.024 + 0.008 * (span->depth < depth ? depth - span->depth : 0);

    return size * sheet->y.high * sheet->y.per_unit;
}

/* Draws one bracket as a line with two feet, which point to the right at an entry, to the left at
 * an exit. */
static void write_bracket(const struct sheet *sheet, double t_s, double bytes, double foot_s,
                          double half)
{
    double bottom = fmax(bytes - half, 0);

    if (!mw_sheet_shows(sheet, t_s))
        return;
    mw_block_row(&sheet->block, t_s + foot_s, bytes + half);
    mw_block_row(&sheet->block, t_s, bytes + half);
    mw_block_row(&sheet->block, t_s, bytes);
    mw_block_row(&sheet->block, t_s, bottom);
    mw_block_row(&sheet->block, t_s + foot_s, bottom);
    mw_block_break(&sheet->block);
}

static void write_function_block(const struct sheet *sheet, size_t function)
{
    const struct mw_plot *plot = sheet->plot;

    mw_block_begin(&sheet->block, "function", function + 1);
    for (size_t i = 0; i < plot->span_count; i++) {
        const struct mw_plot_span *span = &plot->spans[i];
        double size = mw_sheet_bracket_bytes(sheet, span);
        double foot_s = mw_sheet_bracket_s(sheet, span);

        if (span->function != function)
            continue;
        write_bracket(sheet, span->from_s, span->from_bytes, foot_s, size);
        if (isfinite(span->to_s))
            write_bracket(sheet, span->to_s, span->to_bytes, -foot_s, size);
    }
    mw_block_end(&sheet->block);
}

/*
 * Where there are several curves, each bracket has a dot in the colour of the one that it is on:
 * its own colour says which function it is of. Whether there are any.
 */
static bool has_dots(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    size_t curves = 0;

    for (size_t i = 0; i < plot->curve_count; i++)
        curves += plot->curves[i].kind == MW_CURVE_PROCESS || plot->curves[i].kind == MW_CURVE_TREE;
    for (size_t i = 0; i < plot->span_count && curves > 1 && !sheet->look->characters; i++) {
        if (plot->spans[i].curve < plot->curve_count &&
            mw_sheet_shows(sheet, plot->spans[i].from_s))
            return true;
    }
    return false;
}

static void write_dot(const struct sheet *sheet, size_t curve, double t_s, double bytes)
{
    if (mw_sheet_shows(sheet, t_s) && isfinite(bytes))
        fprintf(sheet->out, "%.10g %.10g %lu\n", t_s / sheet->x.per_unit, bytes / sheet->y.per_unit,
                strtoul(mw_sheet_curve_colour(sheet, curve) + 1, NULL, 16));
}

static void write_dot_block(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;

    if (!has_dots(sheet))
        return;
    fputs("$dots << END\n", sheet->out);
    for (size_t i = 0; i < plot->span_count; i++) {
        const struct mw_plot_span *span = &plot->spans[i];

        if (span->function >= coloured_functions(sheet) || span->curve >= plot->curve_count)
            continue;
        write_dot(sheet, span->curve, span->from_s, span->from_bytes);
        write_dot(sheet, span->curve, span->to_s, span->to_bytes);
    }
    fputs("END\n", sheet->out);
}

void mw_sheet_write_bracket_blocks(const struct sheet *sheet)
{
    for (size_t i = 0; i < coloured_functions(sheet); i++)
        write_function_block(sheet, i);
    write_dot_block(sheet);
}

static bool has_brackets(const struct sheet *sheet, size_t function)
{
    for (size_t i = 0; i < sheet->plot->span_count; i++) {
        const struct mw_plot_span *span = &sheet->plot->spans[i];

        if (span->function == function &&
            (mw_sheet_shows(sheet, span->from_s) || mw_sheet_shows(sheet, span->to_s)))
            return true;
    }
    return false;
}

static void write_more_entry(struct sheet *sheet, const char *line, int word)
{
    mw_sheet_begin_clause(sheet);
    fprintf(sheet->out, "keyentry with lines linetype %s title name(%d)", line, word);
}

/* Functions without a colour are boxes in grey, or not drawn at all. */
static bool has_grey_boxes(const struct sheet *sheet)
{
    for (size_t i = 0; i < sheet->plot->box_count && sheet->lanes_height > 0; i++) {
        size_t function = sheet->plot->boxes[i].function;

        if (function >= coloured_functions(sheet) && function < sheet->plot->function_count)
            return true;
    }
    return false;
}

static void write_more_entries(struct sheet *sheet)
{
    if (sheet->legend.functions < sheet->plot->function_count)
        write_more_entry(sheet,
                         has_grey_boxes(sheet) ? "1 linecolor rgb '" OTHER_FUNCTIONS_COLOUR
                                                 "' linewidth 2"
                                               : "nodraw",
                         WORD_MORE_FUNCTIONS);
    if (sheet->lanes_height > 0 && sheet->plot->lanes_left_out > 0)
        write_more_entry(sheet, "nodraw", WORD_MORE_LANES);
}

void mw_sheet_write_bracket_clauses(struct sheet *sheet)
{
    static const struct stroke bracket = {.width = 2, .dashes = "", .letter = 2};

    for (size_t i = 0; i < coloured_functions(sheet); i++) {
        /* Letters are few: a function that is not named would look like one that is. */
        if (sheet->look->characters && i >= sheet->legend.functions)
            continue;
        mw_sheet_begin_clause(sheet);
        /* gnuplot has no entry for a block without rows. */
        if (has_brackets(sheet, i))
            fprintf(sheet->out, "$function%zu using 1:2 with lines", i + 1);
        else
            fputs("keyentry with lines", sheet->out);
        mw_sheet_write_stroke(sheet, &bracket, mw_sheet_function_place(sheet, i));
        mw_sheet_write_entry(sheet, i < sheet->legend.functions, function_word(sheet, i));
    }
    if (has_dots(sheet)) {
        mw_sheet_begin_clause(sheet);
        fputs("$dots using 1:2:3 with points pointtype 7 pointsize 0.7 linecolor rgb variable "
              "notitle",
              sheet->out);
    }
    write_more_entries(sheet);
}
