/*
 * The kernel's high-water marks as a chart needs them: by column, to be shown as a band above a
 * curve.
 */
#ifndef MW_CMD_MARKS_H
#define MW_CMD_MARKS_H

#include "analysis/envelope.h"
#include "cmd/recording.h"

/* More curves than these cannot be told apart: the largest are drawn, the total holds them all. */
enum { MOST_PROCESSES = 20 };

/* The marks of a process, or of the tree those of its largest processes: what one of them had, the
 * tree had at least. */
struct marks_request {
    const struct recording *recording;
    int64_t process;
    int64_t from_us, to_us;
    const struct mw_envelope *envelope; /* whose columns they are for */
    size_t columns;
};

/*
 * ret_highs is what was reached in each column, in bytes or -INFINITY, and the caller's to free;
 * ret_highest the highest mark of the window, left alone where there is none.
 */
int marks_read(const struct marks_request *request, double **ret_highs, struct mw_peak *ret_highest,
               struct mw_error *error);

#endif
