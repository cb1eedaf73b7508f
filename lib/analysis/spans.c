#include "analysis/spans.h"

#include "util/array.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static bool is_short(const struct mw_span_row *row, const struct mw_span *span)
{
    /* What is joined already was short. */
    return span->calls > 1 || span->to_us - span->from_us < row->long_us;
}

static bool joins(const struct mw_span_row *row, const struct mw_span *span)
{
    const struct mw_span *last = &row->spans[row->count - 1];

    if (row->rule == MW_SPAN_BY_ENTRY)
        return span->from_us - row->last_entry_us < row->near_us;
    return span->from_us - last->to_us < row->near_us && is_short(row, last) && is_short(row, span);
}

/* Times from a file may be anything: a sum of them is held at the end of the range. */
static int64_t add_ns(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* What is not known adds nothing; where neither is known, neither is the sum. */
static double add_bytes(double a, double b)
{
    return isnan(a) ? b : isnan(b) ? a : a + b;
}

static void join(struct mw_span *last, const struct mw_span *span)
{
    if (last->function != span->function)
        last->function = MW_SPAN_SEVERAL;
    if (span->depth < last->depth)
        last->depth = span->depth;
    if (span->from_us < last->from_us) {
        last->from_us = span->from_us;
        last->from_bytes = span->from_bytes;
    }
    if (span->to_us >= last->to_us) {
        last->to_us = span->to_us;
        last->to_bytes = span->to_bytes;
    }
    last->open = last->open || span->open;
    last->calls += span->calls;
    last->duration_ns = add_ns(last->duration_ns, span->duration_ns);
    last->suspended_ns = add_ns(last->suspended_ns, span->suspended_ns);
    last->growth_bytes = add_bytes(last->growth_bytes, span->growth_bytes);
    last->peak_bytes = fmax(last->peak_bytes, span->peak_bytes); /* passes over NAN */
}

int mw_span_row_add(struct mw_span_row *row, const struct mw_span *span)
{
    if (row->count > 0 && joins(row, span)) {
        join(&row->spans[row->count - 1], span);
    } else {
        if (!mw_array_reserve(&row->spans, row->count, &row->room, sizeof *row->spans))
            return -ENOMEM;
        row->spans[row->count++] = *span;
    }
    row->last_entry_us = span->from_us;
    return 0;
}

void mw_span_row_clear(struct mw_span_row *row)
{
    free(row->spans);
    row->spans = NULL;
    row->count = row->room = 0;
}
