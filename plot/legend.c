#include "plot/sheet.h"
#include "util/format.h"

#include <math.h>
#include <string.h>

size_t mw_sheet_letters_in(const char *text)
{
    size_t count = 0;

    for (; text && *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static int64_t to_ns(double s)
{
    return fabs(s) < 9e9 ? llround(s * 1e9) : 0;
}

char *mw_sheet_word_time(char buffer[static WAITED_SIZE], double total_s, double waited_s)
{
    char total[MW_FORMAT_SIZE], waited[MW_FORMAT_SIZE];
    /* Next to nothing is not worth the room. */
    bool waits = waited_s > total_s / 100;

    snprintf(buffer, WAITED_SIZE, "%s%s%s%s", mw_format_duration(total, to_ns(total_s)),
             waits ? " + " : "", waits ? mw_format_duration(waited, to_ns(waited_s)) : "",
             waits ? " waiting" : "");
    return buffer;
}

char *mw_sheet_function_tail(char buffer[static FUNCTION_TAIL_SIZE],
                             const struct mw_plot_function *function)
{
    char calls[MW_FORMAT_SIZE], total[WAITED_SIZE];
    bool ended = !isnan(function->total_s);

    snprintf(
        buffer, FUNCTION_TAIL_SIZE, ", %s %s, %s", mw_format_count(calls, (int64_t)function->calls),
        function->calls == 1 ? "call" : "calls",
        ended ? mw_sheet_word_time(total, function->total_s, function->waited_s) : "not ended");
    return buffer;
}

const char *mw_sheet_short_name(const char *name, size_t columns)
{
    while (name && mw_sheet_letters_in(name) > columns) {
        const char *dot = strchr(name, '.');

        if (!dot || dot[1] == '\0')
            break;
        name = dot + 1;
    }
    return name;
}

double mw_sheet_plot_width(const struct sheet *sheet)
{
    /* gnuplot reserves room for letters that are wider than most are. */
    double legend = sheet->legend.below ? 0 : 1.16 * sheet->legend.columns + 8;

    return fmax(sheet->width - (14 + legend) * sheet->look->cell_width, sheet->width / 4.0);
}

/* How many points of a curve have a band that can be seen, mostly above the line or below it. */
struct bands {
    size_t above, below;
};

static bool has_band_at(const struct sheet *sheet, const struct mw_plot_point *point)
{
    double pixel = sheet->y.high * sheet->y.per_unit / sheet->height;

    return fmax(point->high, point->value) - fmin(point->low, point->value) > 2 * pixel;
}

/* A band as wide as a line is hidden by the line. */
static struct bands measure_bands(const struct sheet *sheet, const struct mw_plot_curve *curve)
{
    double pixel_s = (sheet->plot->to_s - sheet->plot->from_s) / sheet->width;
    struct bands bands = {0, 0};

    for (size_t i = 0, end; i < curve->point_count; i = end + 1) {
        for (end = i; end < curve->point_count && has_band_at(sheet, &curve->points[end]);)
            end++;
        if (end == i || end == curve->point_count ||
            curve->points[end].t_s - curve->points[i].t_s < 3 * pixel_s)
            continue;
        for (const struct mw_plot_point *point = &curve->points[i]; point < &curve->points[end];
             point++) {
            bool above = point->high - point->value > point->value - point->low;

            bands.above += above;
            bands.below += !above;
        }
    }
    return bands;
}

bool mw_sheet_has_band(const struct sheet *sheet, const struct mw_plot_curve *curve)
{
    struct bands bands = measure_bands(sheet, curve);

    return !sheet->look->characters &&
           (curve->kind == MW_CURVE_GROWTH || bands.above + bands.below > 0);
}

/* Bands that lie above their lines are what was reached in between samples. */
static const char *name_bands(const struct sheet *sheet)
{
    struct bands all = {0, 0};

    for (size_t i = 0; i < sheet->plot->curve_count && !sheet->look->characters; i++) {
        struct bands bands = measure_bands(sheet, &sheet->plot->curves[i]);

        if (mw_sheet_is_drawn_over(&sheet->plot->curves[i]))
            continue;
        all.above += bands.above;
        all.below += bands.below;
    }
    if (all.above + all.below == 0)
        return NULL;
    return all.above > all.below ? BETWEEN_ENTRY : RANGE_ENTRY;
}

/* The longest name in the legend, as far as it is shown. */
static unsigned longest_entry(const struct sheet *sheet, unsigned columns)
{
    const struct mw_plot *plot = sheet->plot;
    size_t longest = sheet->legend.bands   ? strlen(sheet->legend.bands)
                     : plot->gap_count > 0 ? sizeof GAP_ENTRY - 1
                                           : 0;

    for (size_t i = 0; i < plot->curve_count; i++) {
        size_t length = mw_sheet_letters_in(plot->curves[i].label);

        longest = length > longest ? length : longest;
    }
    for (size_t i = 0; i < coloured_functions(sheet); i++) {
        char tail[FUNCTION_TAIL_SIZE];
        size_t length = mw_sheet_letters_in(plot->functions[i].name) +
                        strlen(mw_sheet_function_tail(tail, &plot->functions[i]));

        longest = length > longest ? length : longest;
    }
    return longest > columns ? columns : (unsigned)longest;
}

/* Settles where the legend stands and how wide it is; returns how many entries it has room for. */
static size_t legend_room(struct sheet *sheet, size_t entries)
{
    struct legend *legend = &sheet->legend;
    const struct look *look = sheet->look;
    unsigned letters = sheet->width / look->cell_width, lines = sheet->height / look->cell_height;
    unsigned columns;

    legend->below = look->characters || entries <= 3;
    if (legend->below)
        columns = letters / 3 > 20 ? letters / 3 - 8 : 12;
    else
        columns = letters < 60 ? 12 : letters > 170 ? 34 : letters / 5;
    /* The entries of functions say more. */
    if (!legend->below && sheet->plot->function_count > 0)
        columns += columns / 4;
    legend->columns = longest_entry(sheet, columns);
    if (!legend->below)
        return lines > 12 ? lines - 8 : 4;
    if (letters < 20)
        return 1;
    return (size_t)(look->characters ? lines / 12 + 1 : 1) *
           ((letters - 10) / (legend->columns + 9));
}

/*
 * Shares the room between curves and functions, in the order that the caller gave them. A line
 * that says how many more there are takes the place of an entry.
 */
void mw_sheet_plan_legend(struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    struct legend *legend = &sheet->legend;
    size_t functions = coloured_functions(sheet), curves = plot->curve_count;
    size_t ground, entries, room;

    legend->bands = name_bands(sheet);
    ground = (size_t)(plot->gap_count > 0) + (legend->bands != NULL) +
             (sheet->plot->lanes_left_out > 0) + (functions < plot->function_count);
    entries = curves + functions + ground;
    room = legend_room(sheet, entries);
    if (entries > room) {
        size_t rest = room > ground + 2 ? room - ground : 3;
        size_t share = rest - rest / 3 > curves ? rest - curves : rest / 3;

        if (functions > share)
            functions = share > 1 ? share - 1 : 0;
        rest -= functions + (functions < plot->function_count);
        if (curves > rest)
            curves = rest > 1 ? rest - 1 : 0;
    }
    legend->curves = curves;
    legend->functions = functions;
}

void mw_sheet_write_key(const struct sheet *sheet)
{
    if (sheet->look->characters)
        fputs("set key below left horizontal Left reverse samplen 2 width 1\n", sheet->out);
    else if (sheet->legend.below)
        fputs("set key below left horizontal Left reverse samplen 2.5 width 2\n", sheet->out);
    else
        /* gnuplot reserves room for letters that are wider than most are. */
        fprintf(sheet->out,
                "set key outside right top vertical Left reverse samplen 2 width %.1f\n",
                1 - 0.1 * sheet->legend.columns);
}
