/*
 * Calls of functions as a picture needs them: those that are too close to be drawn apart become one
 * span, from the first entry to the last exit.
 *
 * Calls come in the order of entry, each into a row: that of a function on one curve, or that of
 * one depth in one task. A call joins the row's last span or begins a new one, so that a row never
 * holds more spans than a picture can show, however many calls there are.
 */
#ifndef MW_ANALYSIS_SPANS_H
#define MW_ANALYSIS_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the place of a function: the calls are of several. */
#define MW_SPAN_SEVERAL SIZE_MAX

/* One call, or several. What is not known of memory is NAN. */
struct mw_span {
    size_t function;
    size_t curve;   /* that it stands on: passed on, and not looked at */
    unsigned depth; /* the least of all calls */
    int64_t from_us, to_us;
    bool open; /* a call had not ended: to_us is where the record of it ends */
    uint64_t calls;
    int64_t duration_ns;             /* of all calls together, */
    int64_t suspended_ns;            /* without the time in which they waited */
    double from_bytes, to_bytes;     /* at the first entry and at the last exit */
    double growth_bytes, peak_bytes; /* the sum and the highest */
};

enum mw_span_rule {
    MW_SPAN_BY_ENTRY, /* near: it begins soon after the call before it began; for brackets */
    MW_SPAN_BY_GAP,   /* near: it begins soon after the span ended, and both are short; for boxes */
};

/* Starts as all zero but for the first three. */
struct mw_span_row {
    enum mw_span_rule rule;
    int64_t near_us; /* what is less than this apart is joined */
    int64_t long_us; /* by gap: a call that takes this long stays alone */
    struct mw_span *spans;
    size_t count, room;
    int64_t last_entry_us;
};

/* Adds a call, or a span of another row. Returns 0 or -ENOMEM. */
int mw_span_row_add(struct mw_span_row *row, const struct mw_span *span);

/* Frees the spans. */
void mw_span_row_clear(struct mw_span_row *row);

#endif
