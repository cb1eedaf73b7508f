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

/* How a kind of curve is drawn. */
struct stroke {
    const char *colour; /* NULL: one of the palette */
    double width;
    const char *dashes;
    unsigned letter; /* the gnuplot line type that draws with *, #, $, %, @, & or = (1 to 7) */
};

static const struct stroke strokes[] = {
    [MW_CURVE_PROCESS] = {NULL, 1.6, "", 2},
    [MW_CURVE_TREE] = {"#222222", 2.6, "", 1},
    [MW_CURVE_PSS] = {"#222222", 1.6, " dashtype (9,5)", 7},
    [MW_CURVE_TREND] = {"#a5003c", 1.3, " dashtype (5,4)", 0},
};

#define GAP_COLOUR "#e4e4e4"
#define BAND_COLOUR "#0072b2"

void mw_sheet_begin_clause(struct sheet *sheet)
{
    fputs(sheet->clauses++ == 0 ? "plot " : ", \\\n     ", sheet->out);
}

static void write_entry(const struct sheet *sheet, bool shown, size_t word)
{
    if (shown)
        fprintf(sheet->out, " title name(%zu)", word);
    else
        fputs(" notitle", sheet->out);
}

/*
 * Colour and width. With characters the line type chooses what a line is made of: letters, or for
 * -1 the border's - and |, which read best but need colours to be told apart.
 */
static void write_stroke(const struct sheet *sheet, const struct stroke *stroke, size_t place)
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
        fputs("keyentry with boxes fillstyle transparent solid 0.25 noborder linecolor rgb "
              "'" BAND_COLOUR "' title '" BAND_ENTRY "'",
              sheet->out);
    }
    if (sheet->plot->gap_count > 0) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "keyentry with boxes %s title '" GAP_ENTRY "'", gap_style(sheet));
    }
}

static bool is_readings(const struct sheet *sheet, const struct mw_plot_curve *curve)
{
    return curve->kind == MW_CURVE_PSS || (sheet->plot->readings && curve->kind != MW_CURVE_TREND);
}

/* Readings that are far apart are dots. */
static bool has_dots(const struct sheet *sheet, const struct mw_plot_curve *curve)
{
    enum { MOST_DOTS = 100 };

    return is_readings(sheet, curve) && curve->point_count <= MOST_DOTS && !sheet->look->characters;
}

static const char *curve_style(const struct sheet *sheet, const struct mw_plot_curve *curve)
{
    if (!has_dots(sheet, curve))
        return "lines";
    return curve->kind == MW_CURVE_PSS ? "points pointtype 7 pointsize 0.7"
                                       : "linespoints pointtype 7 pointsize 0.7";
}

static void write_curve_blocks(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;

    for (size_t i = 0; i < plot->curve_count; i++) {
        const struct mw_plot_curve *curve = &plot->curves[i];
        struct mw_block_line line = {
            .straight = is_readings(sheet, curve) || curve->kind == MW_CURVE_TREND,
            .strokes = sheet->look->characters,
            .band = mw_sheet_has_band(sheet, curve),
            .dot_s = has_dots(sheet, curve) ? 0 : (plot->to_s - plot->from_s) / 300,
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

/* All bands lie below all curves. */
static void write_band_clauses(struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    size_t place = 0;

    for (size_t i = 0; i < plot->curve_count; i++) {
        const struct mw_plot_curve *curve = &plot->curves[i];
        const char *colour = strokes[curve->kind].colour;

        if (mw_sheet_has_band(sheet, curve)) {
            mw_sheet_begin_clause(sheet);
            fprintf(
                sheet->out,
                "$curve%zu using 1:3:4 with filledcurves fillstyle transparent solid 0.25 noborder "
                "linecolor rgb '%s' notitle",
                i + 1, colour ? colour : palette[place % MW_COUNT(palette)]);
        }
        place += takes_palette(curve);
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
        write_stroke(sheet, &strokes[curve->kind], place);
        write_entry(sheet, entries++ < sheet->legend.curves, curve_word(i));
        place += takes_palette(curve);
    }
    if (sheet->legend.curves < plot->curve_count) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "keyentry with lines linetype nodraw title name(%d)", WORD_MORE_CURVES);
    }
}

/* Points that cannot be seen but touched: about 100 a curve, 3000 in all. */
static void write_tip_clauses(struct sheet *sheet)
{
    static const char style[] = "with labels hypertext point pointtype 7 pointsize 0.8 "
                                "linecolor rgb '#ff000000' notitle";
    size_t count = sheet->plot->curve_count, functions = sheet->plot->function_count;
    size_t most = count > 30 ? 3000 / count + 1 : 100;

    if (!sheet->look->tooltips)
        return;
    for (size_t i = 0; i < count; i++) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "$curve%zu every |$curve%zu|/%zu+1 using 1:2:(tip(%zu, $1, $2)) %s",
                i + 1, i + 1, most, i + 1, style);
    }
    /* The middle of each bracket. */
    for (size_t i = 0; i < functions; i++) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "$function%zu every ::2::2 using 1:2:(tip(%zu, $1, $2)) %s", i + 1,
                count + i + 1, style);
    }
}

/* Functions */

/* Draws one bracket as a line: its two feet point to the right at an entry, to the left at an exit.
 */
static void write_bracket(const struct sheet *sheet, double t_s, double bytes, double direction,
                          double size)
{
    double foot = direction * 0.006 * (sheet->plot->to_s - sheet->plot->from_s);
    double half = size * sheet->y.high * sheet->y.per_unit;
    double bottom = fmax(bytes - half, 0);

    mw_block_row(&sheet->block, t_s + foot, bytes + half);
    mw_block_row(&sheet->block, t_s, bytes + half);
    mw_block_row(&sheet->block, t_s, bytes);
    mw_block_row(&sheet->block, t_s, bottom);
    mw_block_row(&sheet->block, t_s + foot, bottom);
    mw_block_break(&sheet->block);
}

static unsigned deepest(const struct mw_plot *plot)
{
    unsigned depth = 0;

    for (size_t i = 0; i < plot->span_count; i++)
        depth = plot->spans[i].depth > depth ? plot->spans[i].depth : depth;
    return depth < 3 ? depth : 3;
}

static void write_function_block(const struct sheet *sheet, size_t function)
{
    const struct mw_plot *plot = sheet->plot;
    unsigned depth = deepest(plot);

    mw_block_begin(&sheet->block, "function", function + 1);
    for (size_t i = 0; i < plot->span_count; i++) {
        const struct mw_plot_span *span = &plot->spans[i];
        /* Outer calls have the larger brackets, so that two at one moment can be told apart. */
        double size = 0.024 + 0.008 * (span->depth < depth ? depth - span->depth : 0);

        if (span->function != function)
            continue;
        write_bracket(sheet, span->from_s, span->from_bytes, 1, size);
        if (isfinite(span->to_s))
            write_bracket(sheet, span->to_s, span->to_bytes, -1, size);
    }
    mw_block_end(&sheet->block);
}

/* Functions take the colours behind those of the curves. */
static void write_function_clauses(struct sheet *sheet)
{
    static const struct stroke bracket = {.width = 2, .dashes = "", .letter = 2};
    const struct mw_plot *plot = sheet->plot;
    size_t place = 0;

    for (size_t i = 0; i < plot->curve_count; i++)
        place += takes_palette(&plot->curves[i]);
    for (size_t i = 0; i < plot->function_count; i++) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "$function%zu using 1:2 with lines", i + 1);
        write_stroke(sheet, &bracket, place + i);
        write_entry(sheet, i < sheet->legend.functions, function_word(sheet, i));
    }
    if (sheet->legend.functions < plot->function_count) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out, "keyentry with lines linetype nodraw title name(%d)",
                WORD_MORE_FUNCTIONS);
    }
}

static void write_blocks(const struct sheet *sheet)
{
    write_gap_block(sheet);
    write_curve_blocks(sheet);
    for (size_t i = 0; i < sheet->plot->function_count; i++)
        write_function_block(sheet, i);
    mw_sheet_write_peak_block(sheet);
}

void mw_sheet_write_drawing(struct sheet *sheet)
{
    write_blocks(sheet);
    write_gap_clause(sheet);
    mw_sheet_write_peak_clause(sheet);
    write_band_clauses(sheet);
    write_curve_clauses(sheet);
    write_function_clauses(sheet);
    write_ground_entries(sheet);
    write_tip_clauses(sheet);
    if (sheet->plot->curve_count == 0) {
        mw_sheet_begin_clause(sheet);
        fputs("NaN notitle", sheet->out);
    }
    fputc('\n', sheet->out);
}
