/*
 * A series as a picture needs it: about as many points as there are columns, none of its extremes
 * lost.
 *
 * A series is a step function: each sample holds until the next. The time axis is cut into columns.
 * In a column in which the value changes once, the step is kept where it was; where it changes more
 * often, the column becomes one point with the smallest, the largest and the time-weighted mean
 * value. So a short series stays exact, and a long one costs no more than a picture can show.
 */
#ifndef MW_ANALYSIS_ENVELOPE_H
#define MW_ANALYSIS_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

struct mw_envelope;

/* A stretch of time in which the value is not known, in microseconds. */
struct mw_hole {
    int64_t from_us, to_us;
};

/* Bytes; holds until the next point. One whose value is NAN interrupts the curve. */
struct mw_envelope_point {
    int64_t t_us;
    double low, value, high;
};

/*
 * An envelope over [from_us, to_us] with the given number of columns (at least 1). The holes are in
 * the order of time, do not overlap, and must stay where they are while the envelope is used; one
 * that is narrower than a column is passed over. NULL when memory ran out.
 */
struct mw_envelope *mw_envelope_new(int64_t from_us, int64_t to_us, size_t columns,
                                    const struct mw_hole *holes, size_t hole_count);

/* The column that a moment of the window falls into. */
size_t mw_envelope_column(const struct mw_envelope *envelope, int64_t t_us);

/*
 * What is known from elsewhere to have been reached, at a moment somewhere around a column. It
 * belongs to the columns whose samples come near it: those that reach `least`.
 */
struct mw_envelope_high {
    double bytes, least; /* -INFINITY: nothing is known */
};

/*
 * Before the first sample: one for each column, which widens its band where it is above all
 * samples. They must stay where they are.
 */
void mw_envelope_raise(struct mw_envelope *envelope, const struct mw_envelope_high *column_highs);

/* NULL is fine. */
void mw_envelope_free(struct mw_envelope *envelope);

/*
 * The next sample, in the order of time. One before from_us says what holds at from_us. O(1) but
 * for the columns that it steps over. Returns 0 or -ENOMEM.
 */
int mw_envelope_add(struct mw_envelope *envelope, int64_t t_us, int64_t bytes);

/*
 * The next samples, of which only so much is known: from from_us to t_us the value was between low
 * and high, and at t_us it became bytes. They widen the columns of that time to a band. Where
 * from_us is t_us, it is one sample.
 */
int mw_envelope_add_range(struct mw_envelope *envelope, int64_t from_us, int64_t t_us, int64_t low,
                          int64_t high, int64_t bytes);

/*
 * Ends the series at end_us, where its last value stops to hold. The points belong to the envelope;
 * an empty series has none. Returns 0 or -ENOMEM.
 */
int mw_envelope_finish(struct mw_envelope *envelope, int64_t end_us,
                       const struct mw_envelope_point **ret_points, size_t *ret_count);

#endif
