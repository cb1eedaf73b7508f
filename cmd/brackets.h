/*
 * From the functions of a recording to their brackets on the curves of a chart, and to the boxes
 * below them.
 */
#ifndef MW_CMD_BRACKETS_H
#define MW_CMD_BRACKETS_H

#include "cmd/recording.h"
#include "plot/model.h"

struct brackets_request {
    struct recording *recording;
    int64_t from_us, to_us; /* the window */
    unsigned columns;       /* of the canvas */
    bool letters;           /* it has no lanes */
    bool flame;             /* boxes for all calls by depth, instead of those that are crowded */
    bool resident;          /* the curves show what marks read: RSS */
    const struct mw_plot_curve *curves;
    const int64_t *owners; /* of each curve: a process, MW_PROCESS_TREE or CURVE_OF_NONE */
    size_t curve_count;    /* at least 1 */
};

struct brackets;

/* Reads them. ret_brackets is NULL where no function was called in the window. */
int brackets_new(struct brackets **ret_brackets, const struct brackets_request *request,
                 struct mw_error *error);

/* Puts them into the plot, which borrows them. */
void brackets_show(const struct brackets *brackets, struct mw_plot *plot);

/* NULL is fine. */
void brackets_free(struct brackets *brackets);

#endif
