#include "plot/sheet.h"
#include "plot/words.h"
#include "util/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pixels: a lane, the space above the first, and a letter of the names inside boxes. */
enum { LANE_HEIGHT = 17, LEAST_LANE_HEIGHT = 5, LANES_SPACE = 8, NAME_WIDTH = 7 };

enum { LABEL_COLUMNS = 20 };

#define SEVERAL_COLOUR "#c4c4c4"

/* --- where lanes are -------------------------------------------------------------------------- */

/* The height of the plot's memory in pixels, about: the rest is margins. */
static double memory_height(const struct sheet *sheet)
{
    return sheet->height - 8.0 * sheet->look->cell_height;
}

void mw_sheet_plan_lanes(struct sheet *sheet, unsigned asked_height)
{
    size_t count = sheet->plot->lane_count;
    size_t most = sheet->height / 2;

    if (count == 0 || sheet->look->characters)
        return;
    sheet->lane_height = LANE_HEIGHT;
    /* A picture whose size is asked for does not grow: half of it is for the memory. */
    if (asked_height > 0 && count * LANE_HEIGHT + LANES_SPACE > most) {
        sheet->lane_height = (unsigned)((most - LANES_SPACE) / count);
        if (sheet->lane_height < LEAST_LANE_HEIGHT)
            sheet->lane_height = LEAST_LANE_HEIGHT;
    }
    sheet->lanes_height = (unsigned)count * sheet->lane_height + LANES_SPACE;
    if (asked_height > 0)
        sheet->height -= sheet->lanes_height < most ? sheet->lanes_height : (unsigned)most;
    sheet->floor = -sheet->y.high * sheet->lanes_height / memory_height(sheet);
}

/* So many pixels below the memory, in its units. */
static double below(const struct sheet *sheet, double pixels)
{
    return sheet->floor * pixels / sheet->lanes_height;
}

static double lane_top(const struct sheet *sheet, size_t lane)
{
    return below(sheet, LANES_SPACE + (double)lane * sheet->lane_height);
}

double mw_sheet_lane_middle(const struct sheet *sheet, size_t lane)
{
    return lane_top(sheet, lane) + below(sheet, sheet->lane_height / 2.0);
}

static size_t longest_label(const struct mw_plot *plot)
{
    size_t longest = 0;

    for (size_t i = 0; i < plot->lane_count; i++) {
        size_t letters = mw_sheet_letters_in(plot->lanes[i].label);

        longest = letters > longest ? letters : longest;
    }
    return longest < LABEL_COLUMNS ? longest : LABEL_COLUMNS;
}

/* A line between memory and lanes, and the lanes' labels left of them. */
void mw_sheet_write_lane_axis(const struct sheet *sheet)
{
    enum { USUAL_MARGIN = 9 };
    const struct mw_plot *plot = sheet->plot;
    size_t margin = longest_label(plot) + 2;

    if (sheet->lanes_height == 0)
        return;
    /* gnuplot leaves room for the tics alone. */
    if (margin > USUAL_MARGIN)
        fprintf(sheet->out, "set lmargin %zu\n", margin);
    fputs("set xzeroaxis linetype 1 linecolor rgb '#666666' linewidth 1\n", sheet->out);
    for (size_t i = 0; i < plot->lane_count; i++) {
        if (plot->lanes[i].label)
            fprintf(sheet->out,
                    "set label %zu name(%zu) at graph 0, first %.10g right offset -0.7, 0 "
                    "font '%s,9' textcolor rgb '#333333'\n",
                    100 + i, lane_word(sheet, i), mw_sheet_lane_middle(sheet, i),
                    sheet->look->font);
    }
}

/* --- names inside boxes ----------------------------------------------------------------------- */

/* What stands in a box: a name, and how many calls it is. */
struct box_name {
    bool fits;
    const char *name;
    char tail[MW_FORMAT_SIZE + 8];
    size_t columns; /* for the name */
};

static size_t columns_of(const struct sheet *sheet, const struct mw_plot_box *box)
{
    double from = fmax(box->from_s, sheet->plot->from_s);
    double to = fmin(box->to_s, sheet->plot->to_s);
    double share = (to - from) / (sheet->plot->to_s - sheet->plot->from_s);
    double letters = (share * mw_sheet_plot_width(sheet) - 6) / NAME_WIDTH;

    return letters >= 1 ? (size_t)letters : 0;
}

/* Cuts a name to what is left beside the tail; false where too little is left to know it by. */
static bool fit_name(struct box_name *name, size_t columns)
{
    enum { LEAST_COLUMNS = 6 };
    size_t tail = mw_sheet_letters_in(name->tail);

    if (columns <= tail)
        return false;
    name->columns = columns - tail;
    name->name = mw_sheet_short_name(name->name, name->columns);
    return name->columns >= LEAST_COLUMNS || name->columns >= mw_sheet_letters_in(name->name);
}

static struct box_name name_of(const struct sheet *sheet, const struct mw_plot_box *box)
{
    const struct mw_plot *plot = sheet->plot;
    bool known = box->function < plot->function_count;
    struct box_name name = {.name = known ? plot->functions[box->function].name : "several"};
    size_t columns = sheet->lane_height < LANE_HEIGHT - 4 ? 0 : columns_of(sheet, box);
    char count[MW_FORMAT_SIZE] = "";

    if (box->calls.count > 1)
        snprintf(name.tail, sizeof name.tail, " \xC3\x97%s",
                 mw_format_count(count, (int64_t)box->calls.count));
    name.fits = fit_name(&name, columns);
    if (name.fits)
        return name;
    /* The count alone: the colour says which function it is, too. */
    name.name = "";
    memmove(name.tail, name.tail + (*name.tail != '\0'), sizeof name.tail - 1);
    name.fits = *name.tail && columns > mw_sheet_letters_in(name.tail);
    return name;
}

void mw_sheet_write_lane_words(struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;

    if (sheet->lanes_height == 0)
        return;
    for (size_t i = 0; i < plot->lane_count; i++)
        mw_sheet_write_word(sheet, plot->lanes[i].label, "", LABEL_COLUMNS);
    for (size_t i = 0; i < plot->box_count; i++) {
        struct box_name name = name_of(sheet, &plot->boxes[i]);

        /* gnuplot takes backslashes in the labels of points for escapes, as in tooltips. */
        if (name.fits &&
            mw_words_write(sheet->out, name.name, name.tail, name.columns, MW_WORDS_TIP) < 0)
            sheet->failed = true;
    }
}

/* --- boxes ------------------------------------------------------------------------------------ */

static unsigned long colour_of(const struct sheet *sheet, const struct mw_plot_box *box)
{
    const char *colour = OTHER_FUNCTIONS_COLOUR;

    if (box->function == MW_PLOT_SEVERAL)
        colour = SEVERAL_COLOUR;
    else if (box->function < coloured_functions(sheet))
        colour = mw_sheet_colour(mw_sheet_function_place(sheet, box->function));
    return strtoul(colour + 1, NULL, 16);
}

/* As bright as an eye sees it, 0 to 255. */
static double brightness(unsigned long colour)
{
    return 0.3 * (double)(colour >> 16) + 0.59 * (double)(colour >> 8 & 0xFF) +
           0.11 * (double)(colour & 0xFF);
}

/* Mixed with white. */
static unsigned long tint(unsigned long colour, double share)
{
    unsigned long result = 0;

    for (int shift = 16; shift >= 0; shift -= 8) {
        double part = (double)(colour >> shift & 0xFF);

        result |= (unsigned long)lround(255 - (255 - part) * share) << shift;
    }
    return result;
}

static void write_box(const struct sheet *sheet, const struct mw_plot_box *box)
{
    double pixel = (sheet->x.high - sheet->x.low) / mw_sheet_plot_width(sheet);
    double from = fmax(box->from_s / sheet->x.per_unit, sheet->x.low);
    double to = fmin(box->to_s / sheet->x.per_unit, sheet->x.high);
    unsigned long colour = colour_of(sheet, box);

    /* A line of white between neighbours, where there is room for it; never narrower than seen. */
    to = to - from > 4 * pixel ? to - pixel : fmax(to, from + pixel);
    fprintf(sheet->out, "%.10g %.10g %.10g %.10g %.10g %.10g %lu %lu\n", from,
            mw_sheet_lane_middle(sheet, box->lane), from, to, lane_top(sheet, box->lane),
            lane_top(sheet, box->lane) + below(sheet, sheet->lane_height - 1.0),
            box->calls.count > 1 ? tint(colour, 0.35) : colour, colour);
}

/* Single calls are full boxes, several are pale ones. */
static void write_box_block(const struct sheet *sheet, const char *name, bool several)
{
    fprintf(sheet->out, "$%s << END\n", name);
    for (size_t i = 0; i < sheet->plot->box_count; i++) {
        if ((sheet->plot->boxes[i].calls.count > 1) == several)
            write_box(sheet, &sheet->plot->boxes[i]);
    }
    fputs("END\n", sheet->out);
}

static size_t boxes_of(const struct sheet *sheet, bool several)
{
    size_t count = 0;

    for (size_t i = 0; i < sheet->plot->box_count && sheet->lanes_height > 0; i++)
        count += (sheet->plot->boxes[i].calls.count > 1) == several;
    return count;
}

/* "time lane word colour" of the names that fit; returns how many there are. */
static size_t write_names(const struct sheet *sheet, FILE *out)
{
    size_t count = 0;

    for (size_t i = 0; i < sheet->plot->box_count && sheet->lanes_height > 0; i++) {
        const struct mw_plot_box *box = &sheet->plot->boxes[i];
        bool dark = box->calls.count <= 1 && brightness(colour_of(sheet, box)) < 130;

        if (!name_of(sheet, box).fits)
            continue;
        if (out)
            fprintf(out, "%.10g %.10g %zu %d\n",
                    fmax(box->from_s / sheet->x.per_unit, sheet->x.low),
                    mw_sheet_lane_middle(sheet, box->lane),
                    lane_word(sheet, sheet->plot->lane_count) + count, dark ? 0xFFFFFF : 0x202020);
        count++;
    }
    return count;
}

void mw_sheet_write_lane_blocks(const struct sheet *sheet)
{
    if (sheet->lanes_height == 0)
        return;
    write_box_block(sheet, "boxes", false);
    write_box_block(sheet, "crowds", true);
    fputs("$names << END\n", sheet->out);
    write_names(sheet, sheet->out);
    fputs("END\n", sheet->out);
}

void mw_sheet_write_lane_clauses(struct sheet *sheet)
{
    if (boxes_of(sheet, false) > 0) {
        mw_sheet_begin_clause(sheet);
        fputs("$boxes using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder "
              "linecolor rgb variable notitle",
              sheet->out);
    }
    if (boxes_of(sheet, true) > 0) {
        mw_sheet_begin_clause(sheet);
        fputs("$crowds using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder "
              "linecolor rgb variable notitle",
              sheet->out);
    }
    if (write_names(sheet, NULL) > 0) {
        mw_sheet_begin_clause(sheet);
        fprintf(sheet->out,
                "$names using 1:2:(name(int($3))):4 with labels left offset 0.4, 0 font '%s,9' "
                "textcolor rgb variable notitle",
                sheet->look->font);
    }
}
