/*
 * An envelope keeps every extreme and makes none up: checked against the series itself, moment by
 * moment. Times in these tests are small whole numbers, so that each moment can be looked at.
 */
#include "analysis/envelope.h"
#include "analysis/trend.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>

enum { SPAN = 600, UNKNOWN = -1 };

/* A series, and what is true of it from each moment to the next. */
struct series {
    int64_t from, to, end;
    size_t columns;
    struct mw_hole holes[4];
    size_t hole_count;
    struct {
        int64_t t, value;
    } samples[SPAN];
    size_t sample_count;
    int64_t truth[SPAN + 1]; /* UNKNOWN before the first sample and in holes */
};

static double column_width(const struct series *series)
{
    return (double)(series->to - series->from) / (double)series->columns;
}

static bool is_in_hole(const struct series *series, int64_t t)
{
    for (size_t i = 0; i < series->hole_count; i++) {
        const struct mw_hole *hole = &series->holes[i];

        if (t >= hole->from_us && t < hole->to_us &&
            (double)(hole->to_us - hole->from_us) >= column_width(series))
            return true;
    }
    return false;
}

static int64_t below(uint64_t *seed, int64_t limit)
{
    return limit > 0 ? (int64_t)(unit_random(seed) % (uint64_t)limit) : 0;
}

static void add_holes(struct series *series, uint64_t *seed)
{
    int64_t t = below(seed, SPAN);

    for (size_t i = below(seed, 2) ? MW_COUNT(series->holes) : 0; i > 0 && t < SPAN; i--) {
        struct mw_hole *hole = &series->holes[series->hole_count++];

        hole->from_us = t;
        hole->to_us = t + 1 + below(seed, 80);
        t = hole->to_us + 1 + below(seed, 200);
    }
}

/* No tick is taken inside a hole: it begins at the last one before and ends at the first after. */
static bool may_be_sampled(const struct series *series, int64_t t)
{
    for (size_t i = 0; i < series->hole_count; i++) {
        if (t > series->holes[i].from_us && t < series->holes[i].to_us)
            return false;
    }
    return true;
}

static void tell_truth(struct series *series)
{
    size_t next = 0;
    int64_t value = UNKNOWN;

    for (int64_t t = 0; t <= SPAN; t++) {
        while (next < series->sample_count && series->samples[next].t <= t)
            value = series->samples[next++].value;
        series->truth[t] = is_in_hole(series, t) ? UNKNOWN : value;
    }
}

static struct series random_series(uint64_t *seed)
{
    struct series series = {.from = below(seed, SPAN / 2), .columns = 1 + (size_t)below(seed, 40)};
    int64_t pause = 1 + below(seed, 60);

    series.to = series.from + 1 + below(seed, SPAN - series.from);
    series.end = series.from + 1 + below(seed, SPAN - series.from);
    add_holes(&series, seed);
    for (int64_t t = below(seed, 100); t < series.end; t += 1 + below(seed, pause)) {
        if (!may_be_sampled(&series, t))
            continue;
        series.samples[series.sample_count].t = t;
        series.samples[series.sample_count++].value = below(seed, 1000);
    }
    tell_truth(&series);
    return series;
}

struct drawing {
    struct mw_envelope *envelope;
    const struct mw_envelope_point *points;
    size_t count;
};

static struct drawing draw(const struct series *series)
{
    struct drawing drawing = {.envelope = mw_envelope_new(series->from, series->to, series->columns,
                                                          series->holes, series->hole_count)};

    assert_non_null(drawing.envelope);
    for (size_t i = 0; i < series->sample_count; i++)
        assert_int_equal(
            mw_envelope_add(drawing.envelope, series->samples[i].t, series->samples[i].value), 0);
    assert_int_equal(
        mw_envelope_finish(drawing.envelope, series->end, &drawing.points, &drawing.count), 0);
    return drawing;
}

/* The same from buckets, of which no more is known than their extremes and their last value. */
static struct drawing draw_buckets(const struct series *series, int64_t bucket)
{
    struct drawing drawing = {.envelope = mw_envelope_new(series->from, series->to, series->columns,
                                                          series->holes, series->hole_count)};
    int64_t before = INT64_MIN, held = UNKNOWN;

    for (size_t i = 0; i < series->sample_count;) {
        int64_t start = series->samples[i].t / bucket * bucket;
        int64_t low = series->samples[i].value, high = low;
        size_t first = i;

        if (held != UNKNOWN) {
            low = held < low ? held : low;
            high = held > high ? held : high;
        }
        for (; i < series->sample_count && series->samples[i].t < start + bucket; i++) {
            held = series->samples[i].value;
            low = held < low ? held : low;
            high = held > high ? held : high;
        }
        mw_envelope_add_range(drawing.envelope,
                              i == first + 1   ? series->samples[first].t
                              : start > before ? start
                                               : before,
                              series->samples[i - 1].t, low, high, held);
        before = series->samples[i - 1].t;
    }
    assert_int_equal(
        mw_envelope_finish(drawing.envelope, series->end, &drawing.points, &drawing.count), 0);
    return drawing;
}

/* Where the point's value stops to be drawn. */
static int64_t drawn_until(const struct drawing *drawing, size_t i)
{
    return drawing->points[i + 1 < drawing->count ? i + 1 : i].t_us;
}

static bool covers(const struct mw_envelope_point *point, int64_t value)
{
    return point->low <= (double)value && (double)value <= point->high;
}

/* A point that is drawn within a moment of t and covers the value: columns end between moments. */
static bool is_drawn(const struct drawing *drawing, int64_t t, int64_t value)
{
    for (size_t i = 0; i < drawing->count; i++) {
        if (drawing->points[i].t_us <= t + 1 && drawn_until(drawing, i) >= t &&
            covers(&drawing->points[i], value))
            return true;
    }
    return false;
}

static void check_no_value_is_lost(const struct series *series, const struct drawing *drawing)
{
    int64_t last = series->end < series->to ? series->end : series->to;

    for (int64_t t = series->from; t < last; t++) {
        if (series->truth[t] != UNKNOWN && !is_drawn(drawing, t, series->truth[t]))
            fail_msg("%lld at %lld is not drawn", (long long)series->truth[t], (long long)t);
    }
}

static bool was_true(const struct series *series, int64_t from, int64_t to, double value)
{
    for (int64_t t = from < 0 ? 0 : from; t <= to && t <= SPAN; t++) {
        if (series->truth[t] != UNKNOWN && (double)series->truth[t] == value)
            return true;
    }
    /* The last tick before a hole holds for no time at all. */
    for (size_t i = 0; i < series->sample_count; i++) {
        if (series->samples[i].t >= from && series->samples[i].t <= to &&
            (double)series->samples[i].value == value)
            return true;
    }
    return false;
}

static void check_no_value_is_made_up(const struct series *series, const struct drawing *drawing)
{
    for (size_t i = 0; i < drawing->count; i++) {
        const struct mw_envelope_point *point = &drawing->points[i];
        int64_t until = drawn_until(drawing, i);

        /* A window that begins in a hole begins with a point of no length. */
        if (isnan(point->value) || (point->t_us == series->from && until == series->from))
            continue;
        if (!was_true(series, point->t_us - 1, until, point->low) ||
            !was_true(series, point->t_us - 1, until, point->high))
            fail_msg("[%g, %g] from %lld to %lld was not there", point->low, point->high,
                     (long long)point->t_us, (long long)until);
        assert_true(point->low <= point->value && point->value <= point->high);
    }
}

static void check_holes_are_empty(const struct series *series, const struct drawing *drawing)
{
    for (size_t i = 0; i + 1 < drawing->count; i++) {
        for (int64_t t = drawing->points[i].t_us; t < drawing->points[i + 1].t_us; t++)
            assert_int_equal(isnan(drawing->points[i].value) != 0, is_in_hole(series, t));
    }
}

static void check_order_and_number(const struct series *series, const struct drawing *drawing)
{
    for (size_t i = 0; i + 1 < drawing->count; i++)
        assert_true(drawing->points[i].t_us <= drawing->points[i + 1].t_us);
    if (drawing->count > 0) {
        assert_true(drawing->points[0].t_us >= series->from);
        assert_true(drawing->points[drawing->count - 1].t_us <= series->to);
    }
    assert_true(drawing->count <= 3 * series->columns + 5 * series->hole_count + 3);
}

static void for_many_series(void (*check)(const struct series *, const struct drawing *))
{
    uint64_t seed = 20260503;

    for (int round = 0; round < 4000; round++) {
        struct series series = random_series(&seed);
        struct drawing drawing = draw(&series);

        check(&series, &drawing);
        mw_envelope_free(drawing.envelope);
    }
}

static void test_no_value_of_any_series_is_lost(void **state)
{
    (void)state;
    for_many_series(check_no_value_is_lost);
}

static void test_no_value_of_any_series_is_made_up(void **state)
{
    (void)state;
    for_many_series(check_no_value_is_made_up);
}

static void test_nothing_is_drawn_in_holes_and_everything_around_them(void **state)
{
    (void)state;
    for_many_series(check_holes_are_empty);
}

static void test_points_are_in_order_inside_the_window_and_few(void **state)
{
    (void)state;
    for_many_series(check_order_and_number);
}

/* Whether buckets are narrower than columns or wider. */
static void test_no_value_of_any_bucket_is_lost_and_holes_stay_empty(void **state)
{
    static const int64_t buckets[] = {1, 3, 10, 40, 150, SPAN};
    uint64_t seed = 20260504;

    (void)state;
    for (int round = 0; round < 4000; round++) {
        struct series series = random_series(&seed);
        struct drawing drawing = draw_buckets(&series, buckets[round % MW_COUNT(buckets)]);

        check_no_value_is_lost(&series, &drawing);
        check_holes_are_empty(&series, &drawing);
        check_order_and_number(&series, &drawing);
        mw_envelope_free(drawing.envelope);
    }
}

/* What is known of 20 to 90 is all that may be drawn there, and the rest is exact. */
static void test_a_bucket_wider_than_columns_is_a_band_over_all_of_them(void **state)
{
    struct mw_envelope *envelope = mw_envelope_new(0, 200, 20, NULL, 0);
    const struct mw_envelope_point *points;
    size_t count, bands = 0;

    (void)state;
    mw_envelope_add(envelope, 0, 500);
    mw_envelope_add_range(envelope, 20, 90, 100, 900, 300);
    mw_envelope_add(envelope, 150, 700);
    assert_int_equal(mw_envelope_finish(envelope, 200, &points, &count), 0);
    for (size_t i = 0; i < count; i++) {
        if (points[i].low == points[i].high)
            continue;
        assert_true(points[i].t_us >= 20 && points[i].t_us <= 90);
        assert_true(points[i].low == 100 && points[i].high == 900);
        bands++;
    }
    assert_in_range(bands, 7, 8);
    assert_true(points[0].value == 500 && points[count - 1].value == 700);
    mw_envelope_free(envelope);
}

static void test_a_series_with_one_change_a_column_is_drawn_exactly(void **state)
{
    uint64_t seed = 99;

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct series series = {.to = SPAN, .end = SPAN, .columns = 60};
        struct drawing drawing;

        for (int64_t t = 0; t < SPAN; t += SPAN / 60) {
            series.samples[series.sample_count].t = t ? t + below(&seed, SPAN / 60) : 0;
            series.samples[series.sample_count++].value = below(&seed, 1000);
        }
        tell_truth(&series);
        drawing = draw(&series);
        for (size_t i = 0; i + 1 < drawing.count; i++) {
            for (int64_t t = drawing.points[i].t_us; t < drawing.points[i + 1].t_us; t++) {
                assert_true(drawing.points[i].value == (double)series.truth[t]);
                assert_true(drawing.points[i].low == drawing.points[i].high);
            }
        }
        mw_envelope_free(drawing.envelope);
    }
}

static struct drawing draw_samples(const int64_t (*samples)[2], size_t count, struct series series)
{
    for (size_t i = 0; i < count; i++) {
        series.samples[i].t = samples[i][0];
        series.samples[i].value = samples[i][1];
    }
    series.sample_count = count;
    return draw(&series);
}

static void test_the_mean_of_a_column_is_weighted_with_time(void **state)
{
    static const int64_t samples[][2] = {{0, 100}, {20, 200}, {29, 1000}};
    struct series series = {.to = 50, .end = 50, .columns = 5};
    struct drawing drawing = draw_samples(samples, MW_COUNT(samples), series);
    bool seen = false;

    (void)state;
    for (size_t i = 0; i < drawing.count; i++) {
        if (drawing.points[i].low < drawing.points[i].high) {
            assert_float_equal(drawing.points[i].value, (9 * 200.0 + 1 * 1000.0) / 10, 1e-9);
            assert_float_equal(drawing.points[i].high, 1000, 0);
            seen = true;
        }
    }
    assert_true(seen);
    mw_envelope_free(drawing.envelope);
}

static void test_a_window_that_begins_in_the_middle_begins_with_what_holds_there(void **state)
{
    static const int64_t samples[][2] = {{5, 100}, {40, 700}, {150, 300}, {210, 900}};
    struct series series = {.from = 100, .to = 200, .end = 600, .columns = 10};
    struct drawing drawing = draw_samples(samples, MW_COUNT(samples), series);

    (void)state;
    assert_int_equal(drawing.points[0].t_us, 100);
    assert_float_equal(drawing.points[0].value, 700, 0);
    for (size_t i = 0; i < drawing.count; i++)
        assert_true(drawing.points[i].low >= 300 && drawing.points[i].high <= 700);
    assert_int_equal(drawing.points[drawing.count - 1].t_us, 200);
    mw_envelope_free(drawing.envelope);
}

static void test_a_value_from_before_a_hole_is_not_drawn_behind_it(void **state)
{
    static const int64_t samples[][2] = {{0, 5000}, {300, 10}, {302, 20}, {304, 30}};
    struct series series = {
        .to = 600, .end = 600, .columns = 6, .holes = {{100, 300}}, .hole_count = 1};
    struct drawing drawing = draw_samples(samples, MW_COUNT(samples), series);

    (void)state;
    for (size_t i = 0; i < drawing.count; i++)
        assert_true(!(drawing.points[i].t_us >= 300 && drawing.points[i].high > 30));
    mw_envelope_free(drawing.envelope);
}

static void test_an_empty_series_has_no_points(void **state)
{
    struct series series = {.to = 600, .end = 600, .columns = 6};
    struct drawing drawing = draw(&series);

    (void)state;
    assert_int_equal(drawing.count, 0);
    mw_envelope_free(drawing.envelope);
    mw_envelope_free(NULL);
}

/* Times from a hostile file. */
static void test_what_was_reached_widens_the_columns_whose_samples_come_near(void **state)
{
    struct mw_envelope *envelope = mw_envelope_new(0, 100, 10, NULL, 0);
    struct mw_envelope_high highs[10];
    const struct mw_envelope_point *points;
    size_t count, raised = 0;

    (void)state;
    for (size_t i = 0; i < MW_COUNT(highs); i++)
        highs[i] = (struct mw_envelope_high){-INFINITY, -INFINITY};
    for (size_t i = 2; i < 8; i++)
        highs[i] = (struct mw_envelope_high){.bytes = 60, .least = 40};
    mw_envelope_raise(envelope, highs);
    assert_int_equal(mw_envelope_add(envelope, 0, 10), 0);
    assert_int_equal(mw_envelope_add(envelope, 50, 50), 0);
    assert_int_equal(mw_envelope_finish(envelope, 100, &points, &count), 0);
    for (size_t i = 0; i < count; i++) {
        if (!(points[i].high > points[i].value))
            continue;
        raised++;
        assert_true(points[i].high == 60);
        assert_in_range(points[i].t_us, 50, 79);
    }
    assert_int_equal(raised, 3);
    mw_envelope_free(envelope);
}

static void test_times_at_the_end_of_the_range_stay_in_order(void **state)
{
    static const int64_t windows[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, INT64_C(1) << 53};

    (void)state;
    for (size_t w = 0; w < MW_COUNT(windows); w++) {
        struct mw_envelope *envelope = mw_envelope_new(0, windows[w], 7, NULL, 0);
        const struct mw_envelope_point *points;
        size_t count;

        mw_envelope_add(envelope, 0, INT64_MAX);
        for (int64_t i = 60; i > 0; i--)
            mw_envelope_add(envelope, windows[w] - (INT64_C(1) << i) / 2, INT64_MIN + i);
        mw_envelope_add(envelope, windows[w], 0);
        assert_int_equal(mw_envelope_finish(envelope, INT64_MAX, &points, &count), 0);
        for (size_t i = 0; i + 1 < count; i++)
            assert_true(points[i].t_us <= points[i + 1].t_us);
        assert_true(points[0].t_us == 0 && points[count - 1].t_us == windows[w]);
        mw_envelope_free(envelope);
    }
}

static void test_a_million_samples_become_as_many_points_as_a_picture_can_show(void **state)
{
    struct mw_envelope *envelope = mw_envelope_new(0, 1000000, 1000, NULL, 0);
    const struct mw_envelope_point *points;
    size_t count;
    double high = 0;

    (void)state;
    for (int64_t t = 0; t < 1000000; t++)
        mw_envelope_add(envelope, t, t == 654321 ? 1000000 : t % 1000);
    assert_int_equal(mw_envelope_finish(envelope, 1000000, &points, &count), 0);
    for (size_t i = 0; i < count; i++)
        high = fmax(high, points[i].high);
    assert_true(count <= 2003);
    assert_float_equal(high, 1000000, 0);
    mw_envelope_free(envelope);
}

static void check_line(const struct mw_trend *trend, double at_origin, double slope)
{
    double got_origin, got_slope;

    assert_true(mw_trend_line(trend, &got_origin, &got_slope));
    assert_true(fabs(got_slope - slope) <= 1e-6 * fmax(1, fabs(slope)));
    assert_true(fabs(got_origin - at_origin) <= 1e-6 * fmax(1, fabs(at_origin)));
}

/* A staircase of a thousand steps of a second: the line through their middles. */
static struct mw_trend staircase(double from_s, double first, double rise)
{
    struct mw_trend trend = {0};

    for (int i = 0; i < 1000; i++)
        mw_trend_hold(&trend, from_s + i, from_s + i + 1, first + rise * (i + 0.5));
    return trend;
}

static void test_a_staircase_has_the_slope_of_its_steps(void **state)
{
    struct mw_trend up = staircase(0, 5000, 3), down = staircase(0, 5000, -2);
    struct mw_trend flat = staircase(0, 5000, 0);

    (void)state;
    /* The least-squares line through steps lies off the middles by a millionth of the rise. */
    check_line(&flat, 5000, 0);
    assert_true(up.origin_s == 0);
    {
        double origin, slope;

        assert_true(mw_trend_line(&up, &origin, &slope));
        assert_float_equal(slope, 3, 1e-4);
        assert_float_equal(origin, 5000, 0.01);
        assert_true(mw_trend_line(&down, &origin, &slope));
        assert_float_equal(slope, -2, 1e-4);
    }
}

static void test_a_trend_does_not_depend_on_when_the_series_began(void **state)
{
    struct mw_trend near = staircase(0, 1e9, 1), far = staircase(1e7, 1e9, 1);
    double near_origin, near_slope, far_origin, far_slope;

    (void)state;
    assert_true(mw_trend_line(&near, &near_origin, &near_slope));
    assert_true(mw_trend_line(&far, &far_origin, &far_slope));
    assert_float_equal(far_slope, near_slope, 1e-4);
    assert_float_equal(far_origin, near_origin, 1);
    assert_float_equal(far.origin_s, 1e7, 0);
}

static void test_a_value_counts_as_long_as_it_held(void **state)
{
    struct mw_trend whole = {0}, pieces = {0};

    (void)state;
    mw_trend_hold(&whole, 0, 10, 1);
    mw_trend_hold(&whole, 10, 100, 2);
    for (int i = 0; i < 10; i++)
        mw_trend_hold(&pieces, i, i + 1, 1);
    for (int i = 10; i < 100; i++)
        mw_trend_hold(&pieces, i, i + 1, 2);
    {
        double origin, slope;

        assert_true(mw_trend_line(&whole, &origin, &slope));
        check_line(&pieces, origin, slope);
    }
}

static void test_no_time_gives_no_line(void **state)
{
    struct mw_trend trend = {0};
    double origin = 7, slope = 7;

    (void)state;
    assert_false(mw_trend_line(&trend, &origin, &slope));
    mw_trend_hold(&trend, 5, 5, 100);
    mw_trend_hold(&trend, 5, 4, 100);
    mw_trend_hold(&trend, NAN, 4, 100);
    assert_false(mw_trend_line(&trend, &origin, &slope));
    assert_true(origin == 7 && slope == 7);
    mw_trend_hold(&trend, 5, 6, 100);
    check_line(&trend, 100, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_no_value_of_any_series_is_lost),
        UNIT_TEST(test_no_value_of_any_series_is_made_up),
        UNIT_TEST(test_nothing_is_drawn_in_holes_and_everything_around_them),
        UNIT_TEST(test_points_are_in_order_inside_the_window_and_few),
        UNIT_TEST(test_no_value_of_any_bucket_is_lost_and_holes_stay_empty),
        UNIT_TEST(test_a_bucket_wider_than_columns_is_a_band_over_all_of_them),
        UNIT_TEST(test_a_series_with_one_change_a_column_is_drawn_exactly),
        UNIT_TEST(test_the_mean_of_a_column_is_weighted_with_time),
        UNIT_TEST(test_a_window_that_begins_in_the_middle_begins_with_what_holds_there),
        UNIT_TEST(test_a_value_from_before_a_hole_is_not_drawn_behind_it),
        UNIT_TEST(test_an_empty_series_has_no_points),
        UNIT_TEST(test_what_was_reached_widens_the_columns_whose_samples_come_near),
        UNIT_TEST(test_times_at_the_end_of_the_range_stay_in_order),
        UNIT_TEST(test_a_million_samples_become_as_many_points_as_a_picture_can_show),
        UNIT_TEST(test_a_staircase_has_the_slope_of_its_steps),
        UNIT_TEST(test_a_trend_does_not_depend_on_when_the_series_began),
        UNIT_TEST(test_a_value_counts_as_long_as_it_held),
        UNIT_TEST(test_no_time_gives_no_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
