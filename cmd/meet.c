#include "cmd/meet.h"

#include "util/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static int compare_points(const void *a, const void *b)
{
    const struct mw_plot_point *first = a, *second = b;

    return (first->t_s > second->t_s) - (first->t_s < second->t_s);
}

/* The ends of brackets on a curve, in the order of time. */
static size_t find_ends(struct mw_plot_point *ends, size_t curve, const struct mw_plot_span *spans,
                        size_t count)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const struct mw_plot_span *span = &spans[i];
        double from = span->from_bytes, to = span->to_bytes;

        if (span->curve != curve)
            continue;
        ends[found++] = (struct mw_plot_point){span->from_s, from, from, from};
        if (isfinite(span->to_s))
            ends[found++] = (struct mw_plot_point){span->to_s, to, to, to};
    }
    if (found > 1)
        qsort(ends, found, sizeof *ends, compare_points);
    return found;
}

/* A curve that is made of another and of ends of brackets. */
struct meeting {
    struct mw_plot_point *points; /* room for one of the curve and two of each end */
    size_t count;
    struct mw_plot_point held; /* what was sampled last */
    double interval_s, due_s;  /* when the next sample was; INFINITY: the last point was one */
};

/* Only changes are stored: the sample that followed an end said again what the one before it did.
 */
static void go_back(struct meeting *meeting, double until_s)
{
    if (meeting->due_s >= until_s)
        return;
    meeting->points[meeting->count] = meeting->held;
    meeting->points[meeting->count++].t_s = meeting->due_s;
    meeting->due_s = INFINITY;
}

/* A band becomes wider, a line makes a step to it; where nothing is known or drawn, nothing is. */
static void meet_end(struct meeting *meeting, const struct mw_plot_point *end)
{
    struct mw_plot_point *last;

    go_back(meeting, end->t_s);
    if (meeting->count == 0)
        return;
    last = &meeting->points[meeting->count - 1];
    if (last->low < last->high) {
        last->low = fmin(last->low, end->value);
        last->high = fmax(last->high, end->value);
    } else if (last->value < end->value || last->value > end->value) { /* and is no NAN */
        meeting->points[meeting->count++] = *end;
        meeting->due_s = end->t_s + meeting->interval_s;
    }
}

static bool same(double a, double b)
{
    return a <= b && a >= b;
}

static bool repeats(const struct mw_plot_point *point, const struct mw_plot_point *held)
{
    return same(point->low, held->low) && same(point->value, held->value) &&
           same(point->high, held->high);
}

/* A point of the curve that says only that a value still holds is no sample. */
static void meet_point(struct meeting *meeting, const struct mw_plot_point *point)
{
    go_back(meeting, point->t_s);
    if (isfinite(meeting->due_s) && repeats(point, &meeting->held)) {
        meeting->points[meeting->count] = meeting->points[meeting->count - 1];
        meeting->points[meeting->count++].t_s = point->t_s;
    } else {
        meeting->due_s = INFINITY;
        meeting->points[meeting->count++] = meeting->held = *point;
    }
}

static int meet(struct mw_plot_curve *curve, const struct mw_plot_point *ends, size_t end_count,
                double interval_s, struct mw_error *error)
{
    struct meeting meeting = {.interval_s = interval_s, .due_s = INFINITY};
    size_t next = 0;

    if (end_count == 0)
        return 0;
    meeting.points = calloc(curve->point_count + 2 * end_count, sizeof *meeting.points);
    if (!meeting.points)
        return mw_error_errno(error, ENOMEM, "cannot draw");
    for (size_t i = 0; i < curve->point_count; i++) {
        for (; next < end_count && ends[next].t_s < curve->points[i].t_s; next++)
            meet_end(&meeting, &ends[next]);
        meet_point(&meeting, &curve->points[i]);
    }
    free((void *)(uintptr_t)curve->points);
    curve->points = meeting.points;
    curve->point_count = meeting.count;
    return 0;
}

int curves_meet(struct curves *curves, const struct mw_plot_span *spans, size_t count,
                double interval_s, struct mw_error *error)
{
    mw_auto_free struct mw_plot_point *ends = calloc(count * 2 + 1, sizeof *ends);
    int code = 0;

    if (!ends)
        return mw_error_errno(error, ENOMEM, "cannot draw");
    for (size_t i = 0; code == 0 && i < curves->count; i++)
        code = meet(&curves->curves[i], ends, find_ends(ends, i, spans, count), interval_s, error);
    return code;
}
