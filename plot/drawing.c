#include "plot/sheet.h"
#include "util/array.h"

#include <math.h>

/* Blue, orange and green first; all of them differ for the colour-blind, too. */
static const char *const palette[] = {
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#332288",
    "#999933", "#44aa99", "#aa4499", "#117733", "#88ccee", "#a06000",
};

/* What gnuplot maps to an ANSI terminal's bright cyan, yellow, green, magenta, red and blue. */
static const char *const terminal_palette[] = {
    "#0055aa", "#aaaa00", "#00aa00", "#aa00aa", "#aa0000", "#0000aa",
};

static const struct stroke strokes[] = {
    [MW_CURVE_PROCESS] = {NULL, 1.6, "", 2},
    [MW_CURVE_TREE] = {"#222222", 2.6, "", 1},
    [MW_CURVE_PSS] = {"#222222", 1.6, " dashtype (9,5)", 7},
    [MW_CURVE_TREND] = {"#a5003c", 1.3, " dashtype (5,4)", 0},
    [MW_CURVE_FLOOR] = {"#009e73", 1.8, "", 4},
    [MW_CURVE_GROWTH] = {"#a5003c", 2, " dashtype (8,4)", 2},
    [MW_CURVE_CUT] = {"#666666", 1, " dashtype (2,3)", 0},
    [MW_CURVE_LIMIT] = {"#d00000", 1.6, "", 6},
};

#define GAP_COLOUR "#e4e4e4"
#define BAND_COLOUR "#0072b2"

void mw_sheet_begin_clause(struct sheet *sheet)
{
    fputs(sheet->clauses++ == 0 ? "plot " : ", \\\n     ", sheet->out);
}

void mw_sheet_write_entry(const struct sheet *sheet, bool shown, size_t word)
{
    if (shown)
        fprintf(sheet->out, " title name(%zu)", word);
    else
        fputs(" notitle", sheet->out);
}

void mw_sheet_write_stroke(const struct sheet *sheet, const struct stroke *stroke, size_t place)
{
    FILE *out = sheet->out;
    const struct look *look = sheet->look;
    bool own = stroke->colour != NULL;

    if (!look->characters)
        fprintf(out, " linetype 1 linecolor rgb '%s' linewidth %.1f%s",
                own ? stroke->colour : palette[place % MW_COUNT(palette)], stroke->width,
                stroke->dashes);
    else if (!look->coloured || own)
        fprintf(out, " linetype %zu", own ? stroke->letter : stroke->letter + place % 5);
    else
        fprintf(out, " linetype -1 linecolor rgb '%s'",
                terminal_palette[place % MW_COUNT(terminal_palette)]);
}

static const char *gap_style(const struct sheet *sheet)
{
    return sheet->look->characters ? "linetype 0"
                                   : "fillstyle solid noborder linecolor rgb '" GAP_COLOUR "'";
}

static void write_gap_block(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    /* A gap that is narrower than a column would not be seen. */
    double narrowest = (sheet->x.high - sheet->x.low) / sheet->width;

    if (plot->gap_count == 0)
        return;
    fputs("$gaps << END\n", sheet->out);
    for (size_t i = 0; i < plot->gap_count; i++) {
        double from = fmax(plot->gaps[i].from_s / sheet->x.per_unit, sheet->x.low);
        double to = fmin(plot->gaps[i].to_s / sheet->x.per_unit, sheet->x.high);

        if (!(from < to))
            continue;
        to = fmax(to, from + narrowest);
        fprintf(sheet->out, "%.10g 0 %.10g %.10g 0 %.10g\n", from, from, to, sheet->y.high);
    }
    fputs("END\n", sheet->out);
}

static void write_gap_clause(struct sheet *sheet)
{
    if (sheet->plot->gap_count == 0)
        return;
    mw_sheet_begin_clause(sheet);
    fprintf(sheet->out, "$gaps using 1:2:3:4:5:6 with boxxyerror %s notitle", gap_style(sheet));
}

/* What is drawn first, below everything, comes last in the legend. */
static void write_ground_entries(struct sheet *sheet)
{
    if (sheet->legend.bands) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out,
                "keyentry with boxes fillstyle transparent solid 0.25 noborder linecolor rgb "
                "'" BAND_COLOUR "' title '%s'",
                sheet->legend.bands);
    }
    if (sheet->plot->gap_count > 0) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "keyentry with boxes %s title '" GAP_ENTRY "'", gap_style(sheet));
    }
}

bool mw_sheet_is_drawn_over(const struct mw_plot_curve *curve)
{
    return curve->kind >= MW_CURVE_TREND;
}

bool mw_sheet_is_readings(const struct sheet *sheet, const struct mw_plot_curve *curve)
{
    return curve->kind == MW_CURVE_PSS || (sheet->plot->readings && !mw_sheet_is_drawn_over(curve));
}

static const char *curve_style(const struct sheet *sheet, const struct mw_plot_curve *curve)
{
    enum { MOST_LARGE_DOTS = 100 };

    if (!mw_sheet_is_readings(sheet, curve))
        return "lines";
    if (sheet->look->characters)
        return "points";
    return curve->point_count > MOST_LARGE_DOTS ? "points pointtype 7 pointsize 0.35"
                                                : "points pointtype 7 pointsize 0.7";
}

static void write_curve_blocks(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;

    for (size_t i = 0; i < plot->curve_count; i++) {
        const struct mw_plot_curve *curve = &plot->curves[i];
        struct mw_block_line line = {
            .straight = mw_sheet_is_readings(sheet, curve) || mw_sheet_is_drawn_over(curve),
            .strokes = sheet->look->characters,
            .band = mw_sheet_has_band(sheet, curve),
            .dot_s = mw_sheet_is_readings(sheet, curve) ? 0 : (plot->to_s - plot->from_s) / 300,
        };

        mw_block_begin(&sheet->block, "curve", i + 1);
        mw_block_curve(&sheet->block, curve, &line);
        mw_block_end(&sheet->block);
    }
}

static bool takes_palette(const struct mw_plot_curve *curve)
{
    return strokes[curve->kind].colour == NULL;
}

size_t mw_sheet_function_place(const struct sheet *sheet, size_t function)
{
    size_t place = function;

    for (size_t i = 0; i < sheet->plot->curve_count; i++)
        place += takes_palette(&sheet->plot->curves[i]);
    return place;
}

const char *mw_sheet_colour(size_t place)
{
    return palette[place % MW_COUNT(palette)];
}

const char *mw_sheet_curve_colour(const struct sheet *sheet, size_t curve)
{
    const struct mw_plot_curve *curves = sheet->plot->curves;
    size_t place = 0;

    if (strokes[curves[curve].kind].colour)
        return strokes[curves[curve].kind].colour;
    for (size_t i = 0; i < curve; i++)
        place += takes_palette(&curves[i]);
    return mw_sheet_colour(place);
}

/* All bands lie below all curves. */
static void write_band_clauses(struct sheet *sheet)
{
    for (size_t i = 0; i < sheet->plot->curve_count; i++) {
        if (!mw_sheet_has_band(sheet, &sheet->plot->curves[i]))
            continue;
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out,
                "$curve%zu using 1:3:4 with filledcurves fillstyle transparent solid 0.25 noborder "
                "linecolor rgb '%s' notitle",
                i + 1, mw_sheet_curve_colour(sheet, i));
    }
}

static void write_curve_clauses(struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    size_t place = 0, entries = 0;

    for (size_t i = 0; i < plot->curve_count; i++) {
        const struct mw_plot_curve *curve = &plot->curves[i];

        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "$curve%zu using 1:2 with %s", i + 1, curve_style(sheet, curve));
        mw_sheet_write_stroke(sheet, &strokes[curve->kind], place);
        mw_sheet_write_entry(sheet, entries++ < sheet->legend.curves, curve_word(i));
        place += takes_palette(curve);
    }
    if (sheet->legend.curves < plot->curve_count) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "keyentry with lines linetype nodraw title name(%d)", WORD_MORE_CURVES);
    }
}

static void write_blocks(const struct sheet *sheet)
{
    write_gap_block(sheet);
    write_curve_blocks(sheet);
    mw_sheet_write_bracket_blocks(sheet);
    mw_sheet_write_lane_blocks(sheet);
    mw_sheet_write_peak_block(sheet);
    mw_sheet_write_limit_block(sheet);
    mw_sheet_write_flag_block(sheet);
    mw_sheet_write_tip_blocks(sheet);
}

void mw_sheet_write_drawing(struct sheet *sheet)
{
    write_blocks(sheet);
    write_gap_clause(sheet);
    mw_sheet_write_flag_clause(sheet);
    mw_sheet_write_limit_clause(sheet);
    mw_sheet_write_peak_clause(sheet);
    write_band_clauses(sheet);
    write_curve_clauses(sheet);
    mw_sheet_write_lane_clauses(sheet);
    mw_sheet_write_bracket_clauses(sheet);
    write_ground_entries(sheet);
    mw_sheet_write_tip_clauses(sheet);
    if (sheet->plot->curve_count == 0) {
        mw_sheet_begin_clause(sheet);
        fputs("NaN notitle", sheet->out);
    }
    fputc('\n', sheet->out);
}
