#include "analysis/envelope.h"

#include "util/array.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct mw_envelope {
    int64_t from_us, to_us;
    size_t columns;
    const struct mw_hole *holes;
    size_t hole_count, next_hole;
    const struct mw_envelope_high *column_highs; /* NULL: nothing is known but the samples */

    /* The value that holds now, and since when (inside the window). */
    bool holds;
    bool lost; /* a hole has not ended before since_us: what holds is not known */
    int64_t since_us;
    double value;

    /* The column that is being filled. */
    size_t column;
    int64_t column_since_us; /* its start, or where the value became known in it */
    int64_t column_end_us;   /* before it, a sample is still in this column */
    double low, high;
    double weighted_sum, weight_us; /* for the mean */
    size_t changes;
    int64_t change_us;   /* of the first change in this column */
    double before_value; /* what held before it */

    /* Columns with a band are joined to one, which ends here so far. */
    bool in_band;
    int64_t band_end_us;

    struct mw_envelope_point *points;
    size_t count, capacity;
    bool out_of_memory;
};

struct mw_envelope *mw_envelope_new(int64_t from_us, int64_t to_us, size_t columns,
                                    const struct mw_hole *holes, size_t hole_count)
{
    struct mw_envelope *envelope = calloc(1, sizeof *envelope);

    if (!envelope)
        return NULL;
    envelope->from_us = from_us;
    envelope->to_us = to_us;
    envelope->columns = columns;
    envelope->holes = holes;
    envelope->hole_count = hole_count;
    return envelope;
}

void mw_envelope_free(struct mw_envelope *envelope)
{
    if (!envelope)
        return;
    free(envelope->points);
    free(envelope);
}

void mw_envelope_raise(struct mw_envelope *envelope, const struct mw_envelope_high *column_highs)
{
    envelope->column_highs = column_highs;
}

static double span_us(const struct mw_envelope *envelope)
{
    return (double)envelope->to_us - (double)envelope->from_us;
}

size_t mw_envelope_column(const struct mw_envelope *envelope, int64_t t_us)
{
    double share = ((double)t_us - (double)envelope->from_us) / fmax(span_us(envelope), 1);
    double column = floor(share * (double)envelope->columns);

    if (column < 0)
        return 0;
    return column >= (double)envelope->columns ? envelope->columns - 1 : (size_t)column;
}

static int64_t column_start(const struct mw_envelope *envelope, size_t column)
{
    return envelope->from_us +
           (int64_t)(span_us(envelope) * (double)column / (double)envelope->columns);
}

static void emit(struct mw_envelope *envelope, int64_t t_us, double low, double value, double high)
{
    if (!mw_array_reserve(&envelope->points, envelope->count, &envelope->capacity,
                          sizeof *envelope->points)) {
        envelope->out_of_memory = true;
        return;
    }
    envelope->points[envelope->count++] = (struct mw_envelope_point){t_us, low, value, high};
}

static void emit_exact(struct mw_envelope *envelope, int64_t t_us, double value)
{
    emit(envelope, t_us, value, value, value);
}

static void emit_break(struct mw_envelope *envelope, int64_t t_us)
{
    emit(envelope, t_us, NAN, NAN, NAN);
}

static void begin_column(struct mw_envelope *envelope, size_t column)
{
    envelope->column = column;
    envelope->column_since_us = envelope->since_us;
    envelope->column_end_us = column_start(envelope, column + 1);
    envelope->changes = 0;
    envelope->low = envelope->high = envelope->value;
    envelope->weighted_sum = envelope->weight_us = 0;
}

/* After a band the curve goes on, from the end of its column, with the value that then held. */
static void close_band(struct mw_envelope *envelope, double value)
{
    if (envelope->in_band)
        emit_exact(envelope, envelope->band_end_us, value);
    envelope->in_band = false;
}

static void emit_band(struct mw_envelope *envelope)
{
    double mean =
        envelope->weight_us > 0 ? envelope->weighted_sum / envelope->weight_us : envelope->value;

    emit(envelope, envelope->column_since_us, envelope->low, mean, envelope->high);
    envelope->in_band = true;
    envelope->band_end_us = column_start(envelope, envelope->column + 1);
}

/* Turns the column that is full into points: nothing, one step, or part of a band. */
static void end_column(struct mw_envelope *envelope)
{
    const struct mw_envelope_high *known =
        envelope->column_highs ? &envelope->column_highs[envelope->column] : NULL;
    bool raised = known && known->bytes > envelope->high && known->least <= envelope->high;

    if (raised)
        envelope->high = known->bytes;
    if (raised || envelope->changes > 1) {
        emit_band(envelope);
        return;
    }
    close_band(envelope, envelope->changes ? envelope->before_value : envelope->value);
    if (envelope->changes == 1) {
        emit_exact(envelope, envelope->change_us, envelope->before_value);
        emit_exact(envelope, envelope->change_us, envelope->value);
    }
}

/* The present value goes on holding until t_us; closes the columns that end before. */
static void hold_until(struct mw_envelope *envelope, int64_t t_us)
{
    /* The common case, many samples in a column, costs no division. */
    size_t target =
        t_us < envelope->column_end_us ? envelope->column : mw_envelope_column(envelope, t_us);

    while (envelope->column < target) {
        /* Columns in which nothing happens are stepped over at once. */
        bool idle = envelope->changes == 0 && !envelope->column_highs;
        size_t next = idle ? target : envelope->column + 1;
        int64_t start_us = column_start(envelope, next);

        envelope->weighted_sum += envelope->value * (double)(start_us - envelope->since_us);
        envelope->weight_us += (double)(start_us - envelope->since_us);
        envelope->since_us = start_us;
        end_column(envelope);
        begin_column(envelope, next);
    }
    envelope->weighted_sum += envelope->value * (double)(t_us - envelope->since_us);
    envelope->weight_us += (double)(t_us - envelope->since_us);
    envelope->since_us = t_us;
}

static bool is_wide(const struct mw_envelope *envelope, const struct mw_hole *hole)
{
    return (double)hole->to_us - (double)hole->from_us >=
           span_us(envelope) / (double)envelope->columns;
}

/* Lets the value hold until t_us, interrupted by the holes on the way. */
static void advance(struct mw_envelope *envelope, int64_t t_us)
{
    for (; envelope->next_hole < envelope->hole_count; envelope->next_hole++) {
        const struct mw_hole *hole = &envelope->holes[envelope->next_hole];
        int64_t resume_us = hole->to_us < t_us ? hole->to_us : t_us;

        if (hole->from_us >= t_us)
            break;
        if (!is_wide(envelope, hole) || hole->to_us <= envelope->since_us)
            continue;
        if (hole->from_us > envelope->since_us)
            hold_until(envelope, hole->from_us);
        end_column(envelope);
        envelope->in_band = false;
        emit_exact(envelope, envelope->since_us, envelope->value);
        emit_break(envelope, envelope->since_us);
        envelope->since_us = resume_us;
        begin_column(envelope, mw_envelope_column(envelope, resume_us));
        envelope->lost = hole->to_us >= t_us;
        if (envelope->lost)
            break; /* a sample at t_us says what holds; the rest is dealt with at the next */
        emit_exact(envelope, resume_us, envelope->value);
    }
    if (t_us > envelope->since_us)
        hold_until(envelope, t_us);
}

static void change(struct mw_envelope *envelope, int64_t t_us, double value)
{
    if (envelope->changes++ == 0) {
        envelope->change_us = t_us;
        envelope->before_value = envelope->value;
    }
    envelope->value = value;
    envelope->low = fmin(envelope->low, value);
    envelope->high = fmax(envelope->high, value);
}

/* The first value that is known, in the window or behind a hole. */
static void begin(struct mw_envelope *envelope, int64_t t_us, double value)
{
    envelope->holds = true;
    envelope->lost = false;
    envelope->value = value;
    envelope->since_us = t_us > envelope->from_us ? t_us : envelope->from_us;
    emit_exact(envelope, envelope->since_us, value);
    begin_column(envelope, mw_envelope_column(envelope, envelope->since_us));
}

int mw_envelope_add(struct mw_envelope *envelope, int64_t t_us, int64_t bytes)
{
    if (t_us > envelope->to_us)
        return 0;
    if (!envelope->holds || t_us <= envelope->from_us) {
        envelope->count = 0; /* of several values before the window only the last holds in it */
        begin(envelope, t_us, (double)bytes);
    } else {
        advance(envelope, t_us);
        if (envelope->lost)
            begin(envelope, t_us, (double)bytes);
        else
            change(envelope, t_us, (double)bytes);
    }
    return envelope->out_of_memory ? -ENOMEM : 0;
}

/* Behind the hole that a value was lost in, but not behind t_us, it is known again. */
static void resume(struct mw_envelope *envelope, int64_t t_us, double value)
{
    int64_t end_us = envelope->holes[envelope->next_hole].to_us;

    begin(envelope, end_us < t_us ? end_us : t_us, value);
}

/* Where the present column ends, or a hole does: behind either a band has to be begun anew. */
static int64_t next_stop(const struct mw_envelope *envelope, int64_t t_us)
{
    int64_t since_us = envelope->since_us;
    int64_t stop_us = envelope->column_end_us > since_us ? envelope->column_end_us : since_us + 1;
    size_t next = envelope->next_hole;

    while (next < envelope->hole_count && envelope->holes[next].to_us <= since_us)
        next++;
    if (next < envelope->hole_count && envelope->holes[next].to_us < stop_us)
        stop_us = envelope->holes[next].to_us;
    return stop_us < t_us ? stop_us : t_us;
}

/* Up to t_us the value is somewhere between low and high; what it then becomes stands for it. */
static void fill_band(struct mw_envelope *envelope, int64_t t_us, double low, double high,
                      double value)
{
    for (;;) {
        change(envelope, envelope->since_us, low);
        change(envelope, envelope->since_us, high);
        change(envelope, envelope->since_us, value);
        if (envelope->since_us >= t_us)
            return;
        advance(envelope, next_stop(envelope, t_us));
        if (envelope->lost)
            resume(envelope, t_us, value);
    }
}

int mw_envelope_add_range(struct mw_envelope *envelope, int64_t from_us, int64_t t_us, int64_t low,
                          int64_t high, int64_t bytes)
{
    int64_t last_us = t_us < envelope->to_us ? t_us : envelope->to_us;

    if (from_us >= t_us || t_us <= envelope->from_us)
        return mw_envelope_add(envelope, t_us, bytes);
    if (from_us > envelope->to_us)
        return 0;
    from_us = from_us > envelope->from_us ? from_us : envelope->from_us;
    if (envelope->holds) {
        advance(envelope, from_us);
        if (envelope->lost)
            resume(envelope, last_us, (double)bytes);
    } else {
        begin(envelope, from_us, (double)bytes);
    }
    fill_band(envelope, last_us, (double)low, (double)high, (double)bytes);
    return envelope->out_of_memory ? -ENOMEM : 0;
}

int mw_envelope_finish(struct mw_envelope *envelope, int64_t end_us,
                       const struct mw_envelope_point **ret_points, size_t *ret_count)
{
    int64_t last_us = end_us < envelope->to_us ? end_us : envelope->to_us;

    if (envelope->holds) {
        advance(envelope, last_us);
        if (!envelope->lost) {
            end_column(envelope);
            emit_exact(envelope, envelope->since_us, envelope->value);
        }
        envelope->in_band = envelope->holds = false;
    }
    *ret_points = envelope->points;
    *ret_count = envelope->count;
    return envelope->out_of_memory ? -ENOMEM : 0;
}
