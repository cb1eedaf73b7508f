/* Limits: dashed lines across the picture, with their labels above them. */
#include "plot/sheet.h"

#define LIMIT_COLOUR "#c1121f"

void mw_sheet_write_limit_block(const struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;

    if (plot->limit_count == 0)
        return;
    mw_block_begin(&sheet->block, "limits", 1);
    for (size_t i = 0; i < plot->limit_count; i++) {
        const struct mw_plot_limit *limit = &plot->limits[i];

        mw_block_row(&sheet->block, limit->from_s, limit->bytes);
        mw_block_row(&sheet->block, limit->to_s, limit->bytes);
        mw_block_break(&sheet->block);
    }
    mw_block_end(&sheet->block);
}

void mw_sheet_write_limit_clause(struct sheet *sheet)
{
    if (sheet->plot->limit_count == 0)
        return;
    mw_sheet_begin_clause(sheet);
    fprintf(sheet->out, "$limits1 using 1:2 with lines %s notitle",
            sheet->look->characters ? "linetype 0"
                                    : "linewidth 1.5 linecolor rgb '" LIMIT_COLOUR
                                      "' dashtype (10,5)");
}

/* Where the highest memory is not: its label stands beside it. */
static bool stands_left(const struct mw_plot *plot)
{
    return plot->peak_count > 0 && plot->peaks[0].t_s > (plot->from_s + plot->to_s) / 2;
}

void mw_sheet_write_limit_labels(const struct sheet *sheet)
{
    enum { FIRST_LABEL = 40, MOST_LABELS = 8 };
    const struct mw_plot *plot = sheet->plot;
    bool left = stands_left(plot);

    for (size_t i = 0; i < plot->limit_count && i < MOST_LABELS; i++) {
        const struct mw_plot_limit *limit = &plot->limits[i];

        fprintf(sheet->out, "set label %zu name(%zu) at %.12g,%.12g %s front offset %s,0.6%s\n",
                FIRST_LABEL + i, limit_word(sheet, i),
                (left ? limit->from_s : limit->to_s) / sheet->x.per_unit,
                limit->bytes / sheet->y.per_unit, left ? "left" : "right", left ? "0.5" : "-0.5",
                sheet->look->characters ? "" : " textcolor rgb '" LIMIT_COLOUR "'");
    }
}
