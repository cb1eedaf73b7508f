#include "plot/sheet.h"
#include "util/array.h"

#include <math.h>
#include <string.h>

#define PEAK_COLOUR "#d55e00"

/* A cross-hair: from the time axis up to the peak and from there to the memory axis. */
void mw_sheet_write_peak_block(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;

    if (plot->peak_count == 0)
        return;
    mw_block_begin(&sheet->block, "peaks", 1);
    for (size_t i = 0; i < plot->peak_count; i++) {
        const struct mw_plot_peak *peak = &plot->peaks[i];

        mw_block_row(&sheet->block, plot->from_s, peak->bytes);
        mw_block_row(&sheet->block, peak->t_s, peak->bytes);
        mw_block_row(&sheet->block, peak->t_s, 0);
        mw_block_break(&sheet->block);
    }
    mw_block_end(&sheet->block);
}

void mw_sheet_write_peak_clause(struct sheet *sheet)
{
    if (sheet->plot->peak_count == 0)
        return;
    mw_sheet_begin_clause(sheet);
    fprintf(sheet->out, "$peaks1 using 1:2 with lines %s notitle",
            sheet->look->characters ? "linetype 0"
                                    : "linewidth 1 linecolor rgb '" PEAK_COLOUR "' dashtype (3,3)");
}

/* A label's rectangle, as parts of the plot's width and height. */
struct box {
    double left, right, bottom, top;
};

static bool overlap(const struct box *one, const struct box *other)
{
    return one->left < other->right && other->left < one->right && one->bottom < other->top &&
           other->bottom < one->top;
}

/* Which side of its point a label is on. */
struct side {
    int horizontal, vertical;
};

static struct box label_box(const struct sheet *sheet, const struct mw_plot_peak *peak,
                            struct side side)
{
    const struct look *look = sheet->look;
    double letter = look->cell_width / mw_sheet_plot_width(sheet);
    double line = look->cell_height / (sheet->height - 8.0 * look->cell_height);
    double length = (double)strlen(peak->label ? peak->label : "") * letter;
    double x = (peak->t_s / sheet->x.per_unit - sheet->x.low) / (sheet->x.high - sheet->x.low);
    double y = peak->bytes / sheet->y.per_unit / sheet->y.high;

    return (struct box){
        .left = side.horizontal > 0 ? x + letter : x - letter - length,
        .right = side.horizontal > 0 ? x + letter + length : x - letter,
        .bottom = side.vertical > 0 ? y : y - 1.2 * line,
        .top = side.vertical > 0 ? y + 1.2 * line : y,
    };
}

/* --- what a label would cover ----------------------------------------------------------------- */

static double x_of(const struct sheet *sheet, double t_s)
{
    return (t_s / sheet->x.per_unit - sheet->x.low) / (sheet->x.high - sheet->x.low);
}

static double y_of(const struct sheet *sheet, double bytes)
{
    return bytes / sheet->y.per_unit / sheet->y.high;
}

/* Whether a straight line from one point to another, the second not left of the first, crosses. */
static bool crosses(const struct box *box, double x1, double y1, double x2, double y2)
{
    double from = fmax(x1, box->left), to = fmin(x2, box->right);
    double slope = x2 > x1 ? (y2 - y1) / (x2 - x1) : 0;
    double first = x2 > x1 ? y1 + slope * (from - x1) : y1;
    double last = x2 > x1 ? y1 + slope * (to - x1) : y2;

    /* What is not known is NAN, and crosses nothing. */
    return from <= to && fmin(first, last) < box->top && fmax(first, last) > box->bottom;
}

static bool covers_curve(const struct sheet *sheet, const struct box *box,
                         const struct mw_plot_curve *curve)
{
    bool straight = mw_sheet_is_drawn_over(curve);

    for (size_t i = 0; i + 1 < curve->point_count; i++) {
        const struct mw_plot_point *one = &curve->points[i], *next = one + 1;
        double x1 = x_of(sheet, one->t_s), x2 = x_of(sheet, next->t_s);
        double y1 = y_of(sheet, one->value), y2 = y_of(sheet, next->value);

        if (straight ? crosses(box, x1, y1, x2, y2)
                     : crosses(box, x1, y1, x2, y1) || crosses(box, x2, y1, x2, y2))
            return true;
    }
    return false;
}

static bool covers_bracket(const struct sheet *sheet, const struct box *box,
                           const struct mw_plot_span *span, double t_s, double bytes)
{
    double reach = mw_sheet_bracket_s(sheet, span), size = mw_sheet_bracket_bytes(sheet, span);
    struct box bracket = {
        .left = x_of(sheet, t_s - reach),
        .right = x_of(sheet, t_s + reach),
        .bottom = y_of(sheet, bytes - size),
        .top = y_of(sheet, bytes + size),
    };

    return overlap(box, &bracket);
}

/* How many lines and brackets a label would lie on. */
static size_t count_covered(const struct sheet *sheet, const struct box *box)
{
    const struct mw_plot *plot = sheet->plot;
    size_t count = 0;

    for (size_t i = 0; i < plot->curve_count; i++)
        count += covers_curve(sheet, box, &plot->curves[i]);
    for (size_t i = 0; i < plot->span_count; i++) {
        const struct mw_plot_span *span = &plot->spans[i];

        count += span->function < coloured_functions(sheet) &&
                 (covers_bracket(sheet, box, span, span->from_s, span->from_bytes) ||
                  covers_bracket(sheet, box, span, span->to_s, span->to_bytes));
    }
    for (size_t i = 0; i < plot->limit_count; i++)
        count +=
            crosses(box, x_of(sheet, plot->limits[i].from_s), y_of(sheet, plot->limits[i].bytes),
                    x_of(sheet, plot->limits[i].to_s), y_of(sheet, plot->limits[i].bytes));
    return count;
}

/* --- where it stands -------------------------------------------------------------------------- */

enum { MOST_LABELS = 16 };

static bool fits(const struct box *box, const struct box *placed, size_t placed_count)
{
    for (size_t i = 0; i < placed_count; i++) {
        if (overlap(box, &placed[i]))
            return false;
    }
    return box->left >= 0 && box->right <= 1 && box->bottom >= 0 && box->top <= 1.02;
}

/* Of the sides where the label is inside the plot and covers no other label, the one where it
 * covers least of the picture. */
static bool place_label(const struct sheet *sheet, const struct mw_plot_peak *peak,
                        struct box *placed, size_t placed_count, struct side *ret_side)
{
    static const struct side sides[] = {{1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < MW_COUNT(sides); i++) {
        struct box box = label_box(sheet, peak, sides[i]);
        size_t covered = fits(&box, placed, placed_count) ? count_covered(sheet, &box) : SIZE_MAX;

        if (covered >= least)
            continue;
        least = covered;
        placed[placed_count] = box;
        *ret_side = sides[i];
    }
    return least < SIZE_MAX;
}

void mw_sheet_write_peak_labels(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    const char *style = sheet->look->characters ? ""
                                                : " boxed textcolor rgb '" PEAK_COLOUR
                                                  "' point pointtype 7 pointsize 0.6 "
                                                  "linecolor rgb '" PEAK_COLOUR "'";
    struct box placed[MOST_LABELS];
    size_t count = 0;

    if (!sheet->look->characters)
        fputs("set style textbox opaque noborder fillcolor rgb '#30ffffff' margins 0.4,0.3\n",
              sheet->out);
    for (size_t i = 0; i < plot->peak_count && count < MOST_LABELS; i++) {
        const struct mw_plot_peak *peak = &plot->peaks[i];
        struct side side;

        if (!isfinite(peak->bytes) || !(peak->t_s >= plot->from_s && peak->t_s <= plot->to_s) ||
            !place_label(sheet, peak, placed, count, &side))
            continue;
        fprintf(sheet->out, "set label %zu name(%zu) at %.12g,%.12g %s front offset %s,%s%s\n",
                10 + i, peak_word(sheet, i), peak->t_s / sheet->x.per_unit,
                peak->bytes / sheet->y.per_unit, side.horizontal > 0 ? "left" : "right",
                side.horizontal > 0 ? "1" : "-1",
                sheet->look->characters ? side.vertical > 0 ? "0.5" : "-1"
                : side.vertical > 0     ? "0.6"
                                        : "-0.7",
                style);
        count++;
    }
}
