/*
 * Calls as boxes in lanes below the memory, and the lanes of a flame chart: a set of them for each
 * track (a thread, or a task or generator inside one), with one lane for each depth of its calls.
 */
#ifndef MW_CMD_LANES_H
#define MW_CMD_LANES_H

#include "analysis/spans.h"
#include "cmd/recording.h"
#include "plot/model.h"

/* What is told of a span. */
struct mw_plot_calls span_calls(const struct mw_span *span);

/* Lanes with their boxes. Starts as all zero. */
struct lane_set {
    struct mw_plot_lane *lanes; /* whose labels are the set's own */
    struct mw_plot_box *boxes;
    size_t lane_count, lane_room, box_count, box_room;
    size_t left_out; /* lanes for which there was no room */
};

/* Appends a lane (its label is taken over), and the row's spans as boxes in it. 0 or -ENOMEM. */
int lane_set_add(struct lane_set *set, char *label, const struct mw_span_row *row);
void lane_set_clear(struct lane_set *set);

struct flame;

/* Short calls that are closer than about a pixel of the window become one box. NULL when memory ran
 * out. */
struct flame *flame_new(int64_t window_us, unsigned columns);

/* The next call in the order of entry, and what is drawn of it. Returns 0 or -ENOMEM. */
int flame_add(struct flame *flame, const struct mw_call *call, const struct mw_span *span);

/*
 * Fills in the lanes that there is room for, so that each of the first so many functions is in one.
 * Returns 0 or -ENOMEM.
 */
int flame_finish(struct flame *flame, const struct recording *recording, size_t functions,
                 struct lane_set *lanes);

/* NULL is fine. */
void flame_free(struct flame *flame);

#endif
