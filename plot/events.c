/* Events: flags in a line of their own above the plot, with an upright line down from each. */
#include "plot/sheet.h"
#include "plot/words.h"

#include <math.h>
#include <string.h>

#define FLAG_COLOUR "#7b2d8e"

/* --- which events share a flag ---------------------------------------------------------------- */

static const struct mw_plot_event *event_of(const struct sheet *sheet, const struct flag *flag)
{
    return &sheet->plot->events[flag->first];
}

static bool is_of_one_kind(const struct sheet *sheet, const struct flag *flag)
{
    const struct mw_plot_event *events = event_of(sheet, flag);

    for (size_t i = 1; i < flag->count; i++) {
        if (strcmp(events[i].label, events[0].label) != 0)
            return false;
    }
    return true;
}

enum { TAIL_SIZE = 40, LABEL_COLUMNS = 24 };

/* A flag's label: the event's, and for several " ×4" behind it, or of the first " +3". */
static const char *label_of(const struct sheet *sheet, const struct flag *flag,
                            char tail[static TAIL_SIZE])
{
    *tail = '\0';
    if (!is_of_one_kind(sheet, flag))
        snprintf(tail, TAIL_SIZE, " +%zu", flag->count - 1);
    else if (flag->count > 1)
        snprintf(tail, TAIL_SIZE, " \xC3\x97%zu", flag->count);
    return event_of(sheet, flag)->label;
}

/* How much of the plot's width a label takes, with its flag and some space behind it. */
static double width_of(const struct sheet *sheet, const struct flag *flag)
{
    char tail[TAIL_SIZE];
    size_t letters = mw_sheet_letters_in(label_of(sheet, flag, tail));

    letters = (letters < LABEL_COLUMNS ? letters : LABEL_COLUMNS) + mw_sheet_letters_in(tail);
    return ((double)letters + 4) * sheet->look->cell_width / mw_sheet_plot_width(sheet);
}

static double place_of(const struct sheet *sheet, const struct mw_plot_event *event)
{
    return (event->t_s - sheet->plot->from_s) / (sheet->plot->to_s - sheet->plot->from_s);
}

static double left_end(const struct sheet *sheet, const struct flag *flag)
{
    return place_of(sheet, event_of(sheet, flag)) - (flag->left ? width_of(sheet, flag) : 0);
}

static double right_end(const struct sheet *sheet, const struct flag *flag)
{
    double place = place_of(sheet, event_of(sheet, flag));
    double last = place_of(sheet, event_of(sheet, flag) + flag->count - 1);

    return flag->left ? last : fmax(last, place + width_of(sheet, flag));
}

static void choose_side(const struct sheet *sheet, struct flag *flag)
{
    flag->left = place_of(sheet, event_of(sheet, flag)) + width_of(sheet, flag) > 1.04;
}

/* Joins a flag with the one behind it. */
static void join(struct sheet *sheet, size_t flag)
{
    struct flag *flags = sheet->flags;

    flags[flag].count += flags[flag + 1].count;
    memmove(&flags[flag + 1], &flags[flag + 2], (--sheet->flag_count - flag - 1) * sizeof *flags);
    choose_side(sheet, &flags[flag]);
}

static void join_nearest(struct sheet *sheet)
{
    size_t nearest = 0;
    double least = INFINITY;

    for (size_t i = 0; i + 1 < sheet->flag_count; i++) {
        double distance =
            event_of(sheet, &sheet->flags[i + 1])->t_s - event_of(sheet, &sheet->flags[i])->t_s;

        if (distance < least) {
            least = distance;
            nearest = i;
        }
    }
    join(sheet, nearest);
}

static bool join_overlapping(struct sheet *sheet)
{
    for (size_t i = 0; i + 1 < sheet->flag_count; i++) {
        if (right_end(sheet, &sheet->flags[i]) > left_end(sheet, &sheet->flags[i + 1])) {
            join(sheet, i);
            return true;
        }
    }
    return false;
}

void mw_sheet_plan_flags(struct sheet *sheet)
{
    for (size_t i = 0; i < sheet->plot->event_count; i++) {
        if (!mw_sheet_shows(sheet, sheet->plot->events[i].t_s))
            continue;
        if (sheet->flag_count == MOST_FLAGS)
            join_nearest(sheet);
        sheet->flags[sheet->flag_count] = (struct flag){.first = i, .count = 1};
        choose_side(sheet, &sheet->flags[sheet->flag_count++]);
    }
    while (join_overlapping(sheet))
        ;
}

/* --- writing ---------------------------------------------------------------------------------- */

void mw_sheet_write_flag_words(struct sheet *sheet)
{
    for (size_t i = 0; i < sheet->flag_count; i++) {
        char tail[TAIL_SIZE];
        const char *label = label_of(sheet, &sheet->flags[i], tail);

        mw_sheet_write_word(sheet, label, tail, LABEL_COLUMNS);
    }
}

void mw_sheet_write_flag_labels(const struct sheet *sheet)
{
    enum { FIRST_LABEL = 60 };

    for (size_t i = 0; i < sheet->flag_count; i++) {
        const struct flag *flag = &sheet->flags[i];
        double t = event_of(sheet, flag)->t_s / sheet->x.per_unit;

        if (sheet->look->characters)
            fprintf(sheet->out,
                    "set label %zu '%s'.name(%zu).'%s' at %.12g, graph 1 %s offset 0,1\n",
                    FIRST_LABEL + i, flag->left ? "" : "v ", flag_word(sheet, i),
                    flag->left ? " v" : "", t, flag->left ? "right" : "left");
        else
            fprintf(sheet->out,
                    "set label %zu name(%zu) at %.12g, graph 1 %s front offset %s,0.7 font '%s,10' "
                    "textcolor rgb '" FLAG_COLOUR "' point pointtype 11 pointsize 1.2 "
                    "linecolor rgb '" FLAG_COLOUR "'\n",
                    FIRST_LABEL + i, flag_word(sheet, i), t, flag->left ? "right" : "left",
                    flag->left ? "-1" : "1", sheet->look->font);
    }
}

/* A line down from the first event of a flag, and for several one along to the last. */
void mw_sheet_write_flag_block(const struct sheet *sheet)
{
    double top = sheet->y.high * sheet->y.per_unit;

    if (sheet->flag_count == 0 || sheet->look->characters)
        return;
    mw_block_begin(&sheet->block, "flags", 1);
    for (size_t i = 0; i < sheet->flag_count; i++) {
        const struct mw_plot_event *first = event_of(sheet, &sheet->flags[i]);

        mw_block_row(&sheet->block, first->t_s, 0);
        mw_block_row(&sheet->block, first->t_s, top);
        mw_block_row(&sheet->block, first[sheet->flags[i].count - 1].t_s, top);
        mw_block_break(&sheet->block);
    }
    mw_block_end(&sheet->block);
}

void mw_sheet_write_flag_clause(struct sheet *sheet)
{
    if (sheet->flag_count == 0 || sheet->look->characters)
        return;
    mw_sheet_begin_clause(sheet);
    fputs("$flags1 using 1:2 with lines linewidth 1 linecolor rgb '" FLAG_COLOUR
          "' dashtype (2,3) notitle",
          sheet->out);
}

void mw_sheet_write_flag_tip(struct sheet *sheet, const struct flag *flag)
{
    char tail[TAIL_SIZE] = "";

    if (flag->count > 1)
        snprintf(tail, sizeof tail, "; and %zu more", flag->count - 1);
    if (mw_words_write(sheet->out, event_of(sheet, flag)->text, tail, 120, MW_WORDS_TIP) < 0)
        sheet->failed = true;
}
