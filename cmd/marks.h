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

/* The highest mark of the window, and where to show it. */
struct marks_highest {
    struct mw_peak peak; /* 0 bytes: there is none */
    int64_t at_us;
};

/*
 * ret_highs is what was reached around each column, and the caller's to free; ret_highest is left
 * alone where there is no mark. A mark that is above the samples by no more than these may be off
 * is in no column.
 */
int marks_read(const struct marks_request *request, struct mw_envelope_high **ret_highs,
               struct marks_highest *ret_highest, struct mw_error *error);

#endif
