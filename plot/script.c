#include "plot/script.h"

#include "plot/axis.h"
#include "plot/sheet.h"
#include "plot/words.h"
#include "util/array.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const struct look looks[] = {
    [MW_PLOT_PNG] = {"pngcairo", "noenhanced background '#ffffff'", "Sans", "Sans:Bold", 1200, 600,
                     7, 17, 0, false, true, false},
    [MW_PLOT_SVG] = {"svg", "dynamic standalone mousing noenhanced background '#ffffff'",
                     "sans-serif", "sans-serif Bold", 1200, 600, 7, 17, 0, false, true, true},
    [MW_PLOT_PDF] = {"pdfcairo", "noenhanced", "Sans", "Sans:Bold", 1200, 600, 7, 17, 110, false,
                     true, false},
    [MW_PLOT_TEXT] = {"dumb", "nofeed mono noenhanced", NULL, NULL, 100, 30, 1, 1, 0, true, false,
                      false},
    [MW_PLOT_TERMINAL] = {"dumb", "nofeed ansi noenhanced", NULL, NULL, 80, 24, 1, 1, 0, true, true,
                          false},
    [MW_PLOT_WINDOW] = {NULL, "noenhanced persist", "Sans", "Sans:Bold", 1200, 600, 7, 17, 0, false,
                        true, false},
};

const char *mw_plot_terminal(enum mw_plot_format format)
{
    return looks[format].terminal;
}

bool mw_plot_has_lanes(const struct mw_plot_canvas *canvas)
{
    return !looks[canvas->format].characters;
}

unsigned mw_plot_columns(const struct mw_plot_canvas *canvas)
{
    return canvas->width ? canvas->width : looks[canvas->format].width;
}

void mw_sheet_write_word(struct sheet *sheet, const char *text, const char *tail, size_t columns)
{
    enum mw_words_use use = sheet->look->tooltips ? MW_WORDS_SVG : MW_WORDS_PLAIN;

    if (mw_words_write(sheet->out, text, tail, columns, use) < 0)
        sheet->failed = true;
}

static void write_function_word(struct sheet *sheet, const struct mw_plot_function *function)
{
    char tail[FUNCTION_TAIL_SIZE];
    size_t length = strlen(mw_sheet_function_tail(tail, function));
    size_t columns = sheet->legend.columns > length + 8 ? sheet->legend.columns - length : 8;

    mw_sheet_write_word(sheet, mw_sheet_short_name(function->name, columns), tail, columns);
}

static void write_words(struct sheet *sheet)
{
    const struct mw_plot *plot = sheet->plot;
    unsigned letters = sheet->width / sheet->look->cell_width;
    char tail[64];

    fputs("$words << END\n", sheet->out);
    mw_sheet_write_word(sheet, plot->title, "", letters * 3 / 4);
    mw_sheet_write_word(sheet, plot->subtitle, "", letters - 12);
    snprintf(tail, sizeof tail, " in %s", sheet->y.unit);
    mw_sheet_write_word(sheet, plot->y_label, tail,
                        sheet->height / sheet->look->cell_height * 3 / 2);
    snprintf(tail, sizeof tail, "+%zu more", plot->curve_count - sheet->legend.curves);
    mw_sheet_write_word(sheet, "", tail, 1);
    snprintf(tail, sizeof tail, "+%zu more functions",
             plot->function_count - sheet->legend.functions);
    mw_sheet_write_word(sheet, "", tail, 1);
    snprintf(tail, sizeof tail, "+%zu more lanes", plot->lanes_left_out);
    mw_sheet_write_word(sheet, "", tail, 1);
    for (size_t i = 0; i < plot->curve_count; i++)
        mw_sheet_write_word(sheet, plot->curves[i].label, "", sheet->legend.columns);
    for (size_t i = 0; i < coloured_functions(sheet); i++)
        write_function_word(sheet, &plot->functions[i]);
    for (size_t i = 0; i < plot->peak_count; i++)
        mw_sheet_write_word(sheet, plot->peaks[i].label, "", letters / 3);
    for (size_t i = 0; i < plot->limit_count; i++)
        mw_sheet_write_word(sheet, plot->limits[i].label, "", letters / 2);
    mw_sheet_write_flag_words(sheet);
    mw_sheet_write_lane_words(sheet);
    fputs("END\nname(i) = $words[i][2:*]\n", sheet->out);
}

/* Set-up */

/* The end of a set terminal command. */
static void write_size(const struct sheet *sheet)
{
    const struct look *look = sheet->look;
    unsigned height = sheet->height + sheet->lanes_height;

    if (look->font)
        fprintf(sheet->out, " font '%s,11'", look->font);
    if (look->per_inch > 0)
        fprintf(sheet->out, " size %.2fin,%.2fin\n", sheet->width / look->per_inch,
                height / look->per_inch);
    else
        fprintf(sheet->out, " size %u,%u\n", sheet->width, height);
}

/* A window opens on the terminal that -e "window = '...'" names, or the first that there is. */
static void write_window(const struct sheet *sheet)
{
    static const char *const terminals[] = {"qt", "wxt", "x11"};

    fputs("if (!exists('window')) window = ''\n", sheet->out);
    for (size_t i = 0; i < MW_COUNT(terminals); i++)
        fprintf(sheet->out,
                "if (window eq '' && strstrt(GPVAL_TERMINALS, ' %s ') > 0) window = '%s'\n",
                terminals[i], terminals[i]);
    fputs("if (window eq '') exit error 'no terminal of this gnuplot opens windows'\n", sheet->out);
    for (size_t i = 0; i < MW_COUNT(terminals); i++) {
        fprintf(sheet->out, "if (window eq '%s') set terminal %s %s title 'memwatch'", terminals[i],
                terminals[i], sheet->look->options);
        write_size(sheet);
    }
}

static void write_terminal(const struct sheet *sheet)
{
    if (sheet->look->terminal) {
        fprintf(sheet->out, "set terminal %s %s", sheet->look->terminal, sheet->look->options);
        write_size(sheet);
    } else {
        write_window(sheet);
    }
}

/* Title and subtitle; with letters also what is measured, because upright letters read badly. */
static void write_headings(const struct sheet *sheet)
{
    FILE *out = sheet->out;
    bool subtitle = sheet->plot->subtitle && *sheet->plot->subtitle;
    /* Flags have a line between them and the plot. */
    unsigned line = sheet->flag_count > 0 ? 2 : 1;

    if (!sheet->look->characters) {
        double flags = line - 1;

        fprintf(out, "set tmargin %g\n", (subtitle ? 4 : 3) + flags);
        fprintf(out, "set label 1 name(%d) at graph 0, graph 1 left offset 0, %g font '%s,14'\n",
                WORD_TITLE, (subtitle ? 2.2 : 1.1) + flags, sheet->look->bold);
        if (subtitle)
            fprintf(out,
                    "set label 2 name(%d) at graph 0, graph 1 left offset 0, %g font '%s,10' "
                    "textcolor rgb '#666666'\n",
                    WORD_SUBTITLE, 1 + flags, sheet->look->font);
        return;
    }
    fprintf(out, "set label 3 name(%d) at graph 0, graph 1 left offset -7, %u\n", WORD_Y_LABEL,
            line++);
    if (subtitle && sheet->height >= 30)
        fprintf(out, "set label 2 name(%d) at graph 0, graph 1 left offset -7, %u\n", WORD_SUBTITLE,
                line++);
    fprintf(out, "set label 1 name(%d) at graph 0, graph 1 left offset -7, %u\nset tmargin %u\n",
            WORD_TITLE, line, line);
}

static void write_axes(const struct sheet *sheet)
{
    FILE *out = sheet->out;
    bool characters = sheet->look->characters;

    fprintf(out, "set xrange [%.12g:%.12g]\nset yrange [%.12g:%.12g]\n", sheet->x.low,
            sheet->x.high, sheet->floor, sheet->y.high);
    fputs("set xtics nomirror out ", out);
    mw_axis_write_tics(out, &sheet->x);
    fputs("\nset ytics nomirror out ", out);
    mw_axis_write_tics(out, &sheet->y);
    fprintf(out, "\nset xlabel 'time since start in %s'\n", sheet->x.unit);
    /* gnuplot's own margin lays a legend below over the lower half of that label. */
    if (sheet->legend.below && !characters)
        fputs("set bmargin 5.5\n", out);
    if (characters) {
        fputs("set border 3\nset lmargin 9\nset rmargin 2\n", out);
        return;
    }
    fprintf(out,
            "set ylabel name(%d) offset 0, %.1f\n"
            "set border 3 linecolor rgb '#666666' linewidth 1\n"
            "set tics textcolor rgb '#333333'\n"
            "set grid xtics ytics back linetype 1 linecolor rgb '#ececec' linewidth 1\n",
            WORD_Y_LABEL, sheet->lanes_height / 2.0 / sheet->look->cell_height);
    mw_sheet_write_lane_axis(sheet);
}

static bool is_between(double t_s, const struct mw_plot *plot)
{
    return t_s >= plot->from_s && t_s <= plot->to_s;
}

/* The highest point that is shown. */
static double highest(const struct mw_plot *plot)
{
    double max = 0;

    /* fmax passes over NAN. */
    for (size_t c = 0; c < plot->curve_count; c++) {
        const struct mw_plot_curve *curve = &plot->curves[c];

        for (size_t i = 0; i < curve->point_count; i++) {
            const struct mw_plot_point *point = &curve->points[i];

            if (is_between(point->t_s, plot) && isfinite(point->value))
                max = fmax(max, fmax(point->value, isfinite(point->high) ? point->high : 0));
        }
    }
    for (size_t i = 0; i < plot->peak_count; i++)
        max = fmax(max, isfinite(plot->peaks[i].bytes) ? plot->peaks[i].bytes : 0);
    for (size_t i = 0; i < plot->limit_count; i++)
        max = fmax(max, isfinite(plot->limits[i].bytes) ? plot->limits[i].bytes : 0);
    for (size_t i = 0; i < plot->span_count; i++) {
        const struct mw_plot_span *span = &plot->spans[i];

        if (is_between(span->from_s, plot) && isfinite(span->from_bytes))
            max = fmax(max, span->from_bytes);
        if (is_between(span->to_s, plot) && isfinite(span->to_bytes))
            max = fmax(max, span->to_bytes);
    }
    return max;
}

/* The smallest canvas, in letters: on a smaller one there would be only margins. */
enum { LEAST_COLUMNS = 32, LEAST_LINES = 10 };

static unsigned side(unsigned asked, unsigned own, unsigned least)
{
    unsigned length = asked ? asked : own;

    return length > least ? length : least;
}

static struct sheet new_sheet(FILE *out, const struct mw_plot *plot,
                              const struct mw_plot_canvas *canvas)
{
    const struct look *look = &looks[canvas->format];
    struct sheet sheet = {
        .out = out,
        .plot = plot,
        .look = look,
        .width = side(canvas->width, look->width, LEAST_COLUMNS * look->cell_width),
        .height = side(canvas->height, look->height, LEAST_LINES * look->cell_height),
    };
    unsigned letters = sheet.width / look->cell_width, lines = sheet.height / look->cell_height;

    sheet.x = mw_axis_time(plot->from_s, plot->to_s, letters / 12 < 12 ? letters / 12 : 12);
    sheet.y = mw_axis_bytes(highest(plot), look->characters ? 1.15 : 1.1,
                            lines / 3 < 10 ? lines / 3 : 10);
    mw_sheet_plan_lanes(&sheet, canvas->height);
    return sheet;
}

static void write_script(struct sheet *sheet, const char *output_path)
{
    sheet->block = (struct mw_block){sheet->out, &sheet->x, &sheet->y};
    mw_sheet_plan_legend(sheet);
    mw_sheet_plan_flags(sheet);
    fputs("# Drawn by memwatch; gnuplot 5.4 or later runs this.\nset encoding utf8\n", sheet->out);
    write_words(sheet);
    mw_sheet_write_tips(sheet);
    write_terminal(sheet);
    if (output_path)
        fputs("set output $path[1]\n", sheet->out);
    write_headings(sheet);
    write_axes(sheet);
    mw_sheet_write_key(sheet);
    mw_sheet_write_peak_labels(sheet);
    mw_sheet_write_limit_labels(sheet);
    mw_sheet_write_flag_labels(sheet);
    if (sheet->plot->curve_count == 0)
        fputs("set label 4 'nothing was recorded' at graph 0.5, graph 0.5 center\n", sheet->out);
    mw_sheet_write_drawing(sheet);
    if (output_path)
        fputs("unset output\n", sheet->out);
}

int mw_plot_script(FILE *out, const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                   const char *output_path, struct mw_error *error)
{
    struct sheet sheet;

    if (!(plot->from_s < plot->to_s) || !isfinite(plot->to_s - plot->from_s))
        return mw_error_set(error, -EINVAL,
                            "there is nothing to draw: the time axis has no length");
    if (output_path && mw_words_write_path(out, output_path) < 0)
        return mw_error_set(
            error, -EINVAL,
            "gnuplot cannot draw into a file whose name is empty or has a line break");
    sheet = new_sheet(out, plot, canvas);
    write_script(&sheet, output_path);
    if (sheet.failed)
        return mw_error_set(error, -ENOMEM, "out of memory while writing the gnuplot script");
    if (fflush(out) != 0 || ferror(out))
        return mw_error_set(error, -EIO, "the gnuplot script could not be written");
    return 0;
}
