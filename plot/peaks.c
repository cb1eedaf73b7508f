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

enum { MOST_LABELS = 16 };

/* Looks for a side where the label is inside the plot and covers none of those before it. */
static bool place_label(const struct sheet *sheet, const struct mw_plot_peak *peak,
                        struct box *placed, size_t placed_count, struct side *ret_side)
{
    static const struct side sides[] = {{1, 1}, {-1, 1}, {1, -1}, {-1, -1}};

    for (size_t i = 0; i < MW_COUNT(sides); i++) {
        struct box box = label_box(sheet, peak, sides[i]);
        bool fits = box.left >= 0 && box.right <= 1 && box.bottom >= 0 && box.top <= 1.02;

        for (size_t j = 0; j < placed_count && fits; j++)
            fits = !overlap(&box, &placed[j]);
        if (!fits)
            continue;
        placed[placed_count] = box;
        *ret_side = sides[i];
        return true;
    }
    return false;
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
        fputs("set style textbox opaque noborder fillcolor rgb '#50ffffff' margins 0.4,0.3\n",
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
