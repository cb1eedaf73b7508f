#include "plot/sheet.h"
#include "plot/words.h"
#include "util/format.h"

#include <math.h>

/* Tooltips of so many brackets, and of so many boxes: each is a line of the picture's file. */
enum { MOST_BRACKET_TIPS = 400, MOST_BOX_TIPS = 1000 };

/* A point that cannot be seen but touched. */
#define TIP_STYLE                                                                                  \
    "with labels hypertext point pointtype 7 pointsize 0.8 linecolor rgb '#ff000000' notitle"

/* --- what they say ---------------------------------------------------------------------------- */

/* ", 3 calls, 1.20 s, +12.0 MiB, peak 34.0 MiB", as far as it is known. */
static void write_tip(struct sheet *sheet, size_t function, const struct mw_plot_calls *calls)
{
    const char *name = function < sheet->plot->function_count
                           ? sheet->plot->functions[function].name
                           : "several functions";
    char tail[256], count[MW_FORMAT_SIZE], size[MW_FORMAT_SIZE], time[WAITED_SIZE];
    int length = 0;

    if (calls->count > 1)
        length = snprintf(tail, sizeof tail, ", %s calls",
                          mw_format_count(count, (int64_t)calls->count));
    length += snprintf(tail + length, sizeof tail - (size_t)length, ", %s",
                       mw_sheet_word_time(time, calls->total_s, calls->waited_s));
    if (fabs(calls->growth_bytes) < 9e18)
        length += snprintf(tail + length, sizeof tail - (size_t)length, ", %s%s",
                           calls->growth_bytes < 0 ? "" : "+",
                           mw_format_bytes(size, llround(calls->growth_bytes)));
    if (fabs(calls->peak_bytes) < 9e18)
        snprintf(tail + length, sizeof tail - (size_t)length, ", peak %s",
                 mw_format_bytes(size, llround(calls->peak_bytes)));
    if (mw_words_write(sheet->out, name, tail, 120, MW_WORDS_TIP) < 0)
        sheet->failed = true;
}

/* Whether the bracket has a tooltip, as one of the first so many; counts those before it. */
static bool has_bracket_tip(const struct sheet *sheet, const struct mw_plot_span *span,
                            size_t count)
{
    return count < MOST_BRACKET_TIPS && span->function < coloured_functions(sheet) &&
           mw_sheet_shows(sheet, span->from_s);
}

static size_t box_tips(const struct sheet *sheet)
{
    size_t count = sheet->lanes_height > 0 ? sheet->plot->box_count : 0;

    return count < MOST_BOX_TIPS ? count : MOST_BOX_TIPS;
}

/* What is told of brackets and boxes. */
static void write_call_tips(struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    size_t count = 0;

    for (size_t i = 0; i < plot->span_count; i++) {
        if (has_bracket_tip(sheet, &plot->spans[i], count)) {
            write_tip(sheet, plot->spans[i].function, &plot->spans[i].calls);
            count++;
        }
    }
    for (size_t i = 0; i < box_tips(sheet); i++)
        write_tip(sheet, plot->boxes[i].function, &plot->boxes[i].calls);
}

/* The names of curves once more, in longer form and fit for tooltips, and what is told of calls. */
void mw_sheet_write_tips(struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;

    if (!sheet->look->tooltips)
        return;
    fputs("$tips << END\n", sheet->out);
    for (size_t i = 0; i < plot->curve_count; i++) {
        if (mw_words_write(sheet->out, plot->curves[i].label, "", 120, MW_WORDS_TIP) < 0)
            sheet->failed = true;
    }
    write_call_tips(sheet);
    for (size_t i = 0; i < sheet->flag_count; i++)
        mw_sheet_write_flag_tip(sheet, &sheet->flags[i]);
    /* The number comes first: a tooltip that began with "image" would load a picture. */
    fprintf(sheet->out,
            "END\n"
            "tip(i, x, y) = sprintf(\"%%.4g %s at %%.4g %s\\n\", y, x) . $tips[i][2:*]\n"
            "lane_tip(i, x) = sprintf(\"from %%.4g %s\\n\", x) . $tips[i][2:*]\n"
            "flag_tip(i, x) = sprintf(\"at %%.4g %s\\n\", x) . $tips[i][2:*]\n",
            sheet->y.name, sheet->x.name, sheet->x.name, sheet->x.name);
}

/* --- where they are --------------------------------------------------------------------------- */

/* "time memory tip" for the entry of each bracket; returns how many there are. */
static size_t write_bracket_points(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    size_t count = 0;

    fputs("$entries << END\n", sheet->out);
    for (size_t i = 0; i < plot->span_count; i++) {
        const struct mw_plot_span *span = &plot->spans[i];

        if (!has_bracket_tip(sheet, span, count))
            continue;
        count++;
        if (isfinite(span->from_bytes))
            fprintf(sheet->out, "%.10g %.10g %zu\n", span->from_s / sheet->x.per_unit,
                    span->from_bytes / sheet->y.per_unit, plot->curve_count + count);
    }
    fputs("END\n", sheet->out);
    return count;
}

/* Wide boxes have a point every so many pixels, wherever the mouse goes in them. */
static void write_box_points(const struct sheet *sheet, size_t first_tip)
{
    double step = 40 * (sheet->x.high - sheet->x.low) / mw_sheet_plot_width(sheet);

    fputs("$touch << END\n", sheet->out);
    for (size_t i = 0; i < box_tips(sheet); i++) {
        const struct mw_plot_box *box = &sheet->plot->boxes[i];
        double from = box->from_s / sheet->x.per_unit;
        double length = box->to_s / sheet->x.per_unit - from;
        unsigned points = (unsigned)fmin(length / step, 100) + 1;

        for (unsigned n = 0; n < points; n++)
            fprintf(sheet->out, "%.10g %.10g %zu %.10g\n", from + length * (n + 0.5) / points,
                    mw_sheet_lane_middle(sheet, box->lane), first_tip + i, from);
    }
    fputs("END\n", sheet->out);
}

static void write_flag_points(const struct sheet *sheet, size_t first_tip)
{
    /* A hair inside the plot: what is rounded out of it has no tooltip. */
    double top = 0.998 * sheet->y.high;

    fputs("$raised << END\n", sheet->out);
    for (size_t i = 0; i < sheet->flag_count; i++)
        fprintf(sheet->out, "%.10g %.10g %zu\n",
                sheet->plot->events[sheet->flags[i].first].t_s / sheet->x.per_unit, top,
                first_tip + i);
    fputs("END\n", sheet->out);
}

void mw_sheet_write_tip_blocks(const struct sheet *sheet)
{
    size_t tips = sheet->plot->curve_count + 1;

    if (!sheet->look->tooltips)
        return;
    tips += write_bracket_points(sheet);
    write_box_points(sheet, tips);
    write_flag_points(sheet, tips + box_tips(sheet));
}

/* About 100 points a curve, 3000 in all. */
static void write_curve_clauses(struct sheet *sheet)
{
    size_t count = sheet->plot->curve_count;
    size_t most = count > 30 ? 3000 / count + 1 : 100;

    for (size_t i = 0; i < count; i++) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out,
                "$curve%zu every |$curve%zu|/%zu+1 using 1:2:(tip(%zu, $1, $2)) " TIP_STYLE, i + 1,
                i + 1, most, i + 1);
    }
}

/* A block without rows would be an error of the script. */
static void write_clause(struct sheet *sheet, bool any, const char *block, const char *tip)
{
    if (!any)
        return;
    mw_sheet_begin_clause(sheet);
    fprintf(sheet->out, "%s using 1:2:(%s) " TIP_STYLE, block, tip);
}

void mw_sheet_write_tip_clauses(struct sheet *sheet)
{
    size_t brackets = 0;

    if (!sheet->look->tooltips)
        return;
    write_curve_clauses(sheet);
    for (size_t i = 0; i < sheet->plot->span_count; i++)
        brackets += has_bracket_tip(sheet, &sheet->plot->spans[i], brackets);
    write_clause(sheet, brackets > 0, "$entries", "tip(int($3), $1, $2)");
    write_clause(sheet, box_tips(sheet) > 0, "$touch", "lane_tip(int($3), $4)");
    write_clause(sheet, sheet->flag_count > 0, "$raised", "flag_tip(int($3), $1)");
}
