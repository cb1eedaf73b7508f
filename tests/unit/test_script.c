/* The gnuplot script of a picture: what it draws. */
#include "picture.h"
#include "util/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct mw_plot_canvas png = {MW_PLOT_PNG, 0, 0};
static const struct mw_plot_calls once = {.count = 1, .total_s = 1};

static struct mw_plot_point point(double t_s, double bytes)
{
    return (struct mw_plot_point){t_s, bytes, bytes, bytes};
}

/* The rows of a data block as one string. */
static char *block_of(const char *script, const char *name)
{
    mw_auto_free char *head = NULL;
    const char *begin, *end;

    assert_true(asprintf(&head, "%s << END\n", name) > 0);
    begin = strstr(script, head);
    assert_non_null(begin);
    begin += strlen(head);
    end = strstr(begin, "END\n");
    assert_non_null(end);
    return strndup(begin, (size_t)(end - begin));
}

/* Curves */

static void test_a_value_holds_until_the_next_one(void **state)
{
    const struct mw_plot_point points[] = {point(0, MIB), point(2, 3 * MIB), point(4, 3 * MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, MW_COUNT(points)};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = picture_script(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_string_equal(rows, "0.00000 1.00000\n2.00000 1.00000\n2.00000 3.00000\n"
                              "4.00000 3.00000\n");
}

static void test_a_trend_is_a_straight_line(void **state)
{
    const struct mw_plot_point points[] = {point(0, MIB), point(3, 3 * MIB), point(4, NAN)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_TREND, points, MW_COUNT(points)};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = picture_script(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_string_equal(rows, "0.00000 1.00000\n3.00000 3.00000\n\n");
}

static void test_nan_interrupts_a_curve_and_the_value_holds_until_there(void **state)
{
    const struct mw_plot_point points[] = {point(0, MIB), point(1, NAN), point(3, 2 * MIB),
                                           point(4, 2 * MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, MW_COUNT(points)};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = picture_script(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_string_equal(rows, "0.00000 1.00000\n1.00000 1.00000\n\n"
                              "3.00000 2.00000\n4.00000 2.00000\n");
}

static void test_a_single_point_is_drawn_as_a_dot(void **state)
{
    const struct mw_plot_point points[] = {point(1, MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, 1};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = picture_script(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_int_equal(picture_count(rows, "\n"), 2);
}

static void test_a_band_is_drawn_where_low_and_high_differ(void **state)
{
    const struct mw_plot_point flat[] = {point(0, MIB), point(4, MIB)};
    const struct mw_plot_point wide[] = {{0, MIB, 2 * MIB, 3 * MIB}, point(4, MIB)};
    const struct mw_plot_curve curves[] = {{"a", MW_CURVE_PROCESS, flat, MW_COUNT(flat)},
                                           {"b", MW_CURVE_PROCESS, wide, MW_COUNT(wide)}};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = curves;
    plot.curve_count = MW_COUNT(curves);
    script = picture_script(&plot, &png);
    rows = block_of(script, "$curve2");
    assert_string_equal(rows, "0.00000 2.00000 1.00000 3.00000\n4.00000 2.00000 1.00000 3.00000\n"
                              "4.00000 1.00000 1.00000 1.00000\n");
    assert_int_equal(picture_count(script, "with filledcurves"), 1);
    assert_non_null(strstr(script, "$curve2 using 1:3:4 with filledcurves"));
}

/* Letters are too coarse for a filled band: the line itself goes through low and high. */
static void test_a_spike_inside_a_point_is_seen_in_letters_too(void **state)
{
    const struct mw_plot_point points[] = {{0, MIB, MIB, 8 * MIB}, point(4, MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, MW_COUNT(points)};
    const struct mw_plot_canvas text = {MW_PLOT_TEXT, 0, 0};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = picture_script(&plot, &text);
    rows = block_of(script, "$curve1");
    assert_non_null(strstr(rows, "0.00000 8.00000\n"));
    assert_null(strstr(script, "filledcurves"));
}

/* Axes */

static void test_units_fit_the_data(void **state)
{
    static const struct {
        double to_s, bytes;
        const char *time, *memory, *tic;
    } cases[] = {
        {0.0004, 40e3, "in us", "in KiB", "\"100\" 100"},
        {0.003, 900, "in ms", "in B", "\"0.5\" 0.5"},
        {95, 40 * MIB, "in s", "in MiB", "\"20\" 20"},
        {600, 1010 * MIB, "in min:s", "in GiB", "\"2:00\" 2"},
        {5 * 3600, 300 * 1024 * MIB, "in h:min", "in GiB", "\"1:30\" 1.5"},
        {3 * 86400, 3 * 1048576 * MIB, "in days", "in TiB", "\"0.5\" 0.5"},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        const struct mw_plot_point points[] = {point(0, 0), point(cases[i].to_s, cases[i].bytes)};
        const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, MW_COUNT(points)};
        struct mw_plot plot = picture_empty();
        mw_auto_free char *script = NULL, *words = NULL;

        plot.to_s = cases[i].to_s;
        plot.curves = &curve;
        plot.curve_count = 1;
        script = picture_script(&plot, &png);
        words = block_of(script, "$words");
        assert_non_null(strstr(script, cases[i].time));
        assert_non_null(strstr(words, cases[i].memory));
        assert_non_null(strstr(script, cases[i].tic));
        assert_null(strstr(script, "-0"));
    }
}

static void test_a_short_window_far_from_the_start_keeps_readable_tics(void **state)
{
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL;

    (void)state;
    plot.from_s = 1000;
    plot.to_s = 1000.003;
    script = picture_script(&plot, &png);
    assert_non_null(strstr(script, "\"1000.0005\""));
}

static void test_memory_starts_at_zero_and_leaves_room_above(void **state)
{
    const struct mw_plot_point points[] = {point(0, 90 * MIB), point(4, 100 * MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, MW_COUNT(points)};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL;
    double low = -1, high = -1;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = picture_script(&plot, &png);
    assert_int_equal(sscanf(strstr(script, "set yrange"), "set yrange [%lf:%lf]", &low, &high), 2);
    assert_true(low == 0);
    assert_true(high >= 108 && high <= 120);
}

/* Legend */

static void fill_curves(struct mw_plot_curve *curves, size_t count, const char *label)
{
    static const struct mw_plot_point points[] = {{0, 1, 1, 1}, {4, 1, 1, 1}};

    for (size_t i = 0; i < count; i++)
        curves[i] = (struct mw_plot_curve){label, MW_CURVE_PROCESS, points, MW_COUNT(points)};
}

static void test_many_curves_are_all_drawn_and_the_legend_says_how_many_it_leaves_out(void **state)
{
    struct mw_plot_curve curves[100];
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *words = NULL;
    size_t named, more = 0;

    (void)state;
    fill_curves(curves, MW_COUNT(curves), "worker");
    plot.curves = curves;
    plot.curve_count = MW_COUNT(curves);
    script = picture_script(&plot, &png);
    words = block_of(script, "$words");
    assert_int_equal(picture_count(script, "using 1:2 with lines"), MW_COUNT(curves));
    /* One title is that of the entry that counts the rest. */
    named = picture_count(script, " title name(") - 1;
    assert_true(named >= 10 && named + 1 <= 27); /* 600 pixels have 35 lines, 8 of them margins */
    assert_int_equal(sscanf(strstr(words, "|+"), "|+%zu more", &more), 1);
    assert_int_equal(named + more, MW_COUNT(curves));
}

static void test_functions_and_gaps_keep_their_place_beside_many_curves(void **state)
{
    const struct mw_plot_function functions[] = {{"load", 12, 3.2, 0}, {"save", 1, 0.0005, 0}};
    const struct mw_plot_gap gaps[] = {{1, 2}, {2.5, 3}, {3.5, 3.50001}};
    struct mw_plot_curve curves[100];
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *words = NULL, *rows = NULL;

    (void)state;
    fill_curves(curves, MW_COUNT(curves), "worker");
    plot.curves = curves;
    plot.curve_count = MW_COUNT(curves);
    plot.functions = functions;
    plot.function_count = MW_COUNT(functions);
    plot.gaps = gaps;
    plot.gap_count = MW_COUNT(gaps);
    script = picture_script(&plot, &png);
    words = block_of(script, "$words");
    rows = block_of(script, "$gaps");
    assert_non_null(strstr(words, "|load, 12 calls, 3.20 s\n"));
    assert_non_null(strstr(words, "|save, 1 call, 500 us\n"));
    assert_int_equal(picture_count(script, "keyentry with lines linetype 1 linecolor rgb "), 2);
    assert_int_equal(picture_count(script, "title 'not recorded'"), 1);
    assert_int_equal(picture_count(rows, "\n"), MW_COUNT(gaps));
    assert_true(picture_count(script, " title name(") + 1 <= 30);
}

static void test_functions_leave_two_thirds_of_the_legend_to_the_curves(void **state)
{
    struct mw_plot_function functions[60];
    struct mw_plot_curve curves[100];
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *words = NULL;

    (void)state;
    fill_curves(curves, MW_COUNT(curves), "worker");
    for (size_t i = 0; i < MW_COUNT(functions); i++)
        functions[i] = (struct mw_plot_function){"load", 1, 1, 0};
    plot.curves = curves;
    plot.curve_count = MW_COUNT(curves);
    plot.functions = functions;
    plot.function_count = MW_COUNT(functions);
    script = picture_script(&plot, &png);
    words = block_of(script, "$words");
    assert_true(picture_count(script, " title name(") <= 27);
    assert_non_null(strstr(words, " more functions\n"));
    assert_int_equal(picture_count(script, "$function"), MW_PLOT_COLOURED_FUNCTIONS);
}

static void test_the_first_curves_given_are_the_ones_named_in_a_terminal(void **state)
{
    const struct mw_plot_canvas terminal = {MW_PLOT_TERMINAL, 80, 24};
    struct mw_plot_curve curves[40];
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL;

    (void)state;
    fill_curves(curves, MW_COUNT(curves), "a name that is much longer than a column of a terminal");
    curves[0].kind = MW_CURVE_TREE;
    plot.curves = curves;
    plot.curve_count = MW_COUNT(curves);
    script = picture_script(&plot, &terminal);
    assert_non_null(strstr(script, "$curve1 using 1:2 with lines linetype 1 title name("));
    assert_null(strstr(script, "terminal\n"));
    assert_true(picture_count(script, " title name(") <= 8);
}

/* Functions */

static void test_calls_are_brackets_and_one_that_never_ended_has_no_end(void **state)
{
    const struct mw_plot_function functions[] = {{"ended", 1, 1, 0}, {"open", 1, 1, 0}};
    const struct mw_plot_span spans[] = {{0, 0, 1, 2, MIB, 2 * MIB, 0, once},
                                         {1, 0, 3, NAN, MIB, 0, 0, once}};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL, *ended = NULL, *open = NULL;

    (void)state;
    plot.functions = functions;
    plot.function_count = MW_COUNT(functions);
    plot.spans = spans;
    plot.span_count = MW_COUNT(spans);
    script = picture_script(&plot, &png);
    ended = block_of(script, "$function1");
    open = block_of(script, "$function2");
    assert_int_equal(picture_count(ended, "\n\n"), 2);
    assert_int_equal(picture_count(open, "\n\n"), 1);
    /* Feet point inwards: right of the entry, left of the exit. */
    assert_non_null(strstr(ended, "1.02400 "));
    assert_non_null(strstr(ended, "1.97600 "));
}

/* Peaks */

static void test_labels_of_peaks_stay_inside_the_picture(void **state)
{
    const struct mw_plot_point points[] = {point(0, MIB), point(4, MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, MW_COUNT(points)};
    struct mw_plot_peak peak = {.bytes = MIB, .label = "48.7 MiB at 1.20 s"};
    static const double times[] = {0, 2, 3.9, 4};
    static const char *const sides[] = {" left ", " left ", " right ", " right "};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(times); i++) {
        struct mw_plot plot = picture_empty();
        mw_auto_free char *script = NULL;
        char *label;

        peak.t_s = times[i];
        plot.curves = &curve;
        plot.curve_count = 1;
        plot.peaks = &peak;
        plot.peak_count = 1;
        script = picture_script(&plot, &png);
        label = strstr(script, "set label 10 ");
        assert_non_null(label);
        *strchr(label, '\n') = '\0';
        assert_non_null(strstr(label, sides[i]));
    }
}

static void test_labels_of_peaks_do_not_cover_each_other(void **state)
{
    const struct mw_plot_peak peaks[] = {{2, 10 * MIB, "10 MiB at 2.00 s"},
                                         {2.01, 10 * MIB, "10 MiB at 2.01 s"}};
    struct mw_plot plot = picture_empty();
    mw_auto_free char *script = NULL;
    const char *first, *second;

    (void)state;
    plot.peaks = peaks;
    plot.peak_count = MW_COUNT(peaks);
    script = picture_script(&plot, &png);
    first = strstr(script, "set label 10 ");
    second = strstr(script, "set label 11 ");
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(memmem(first, (size_t)(second - first), " left ", 6));
    assert_non_null(memmem(second, strcspn(second, "\n"), " right ", 7));
}

/* Errors and extremes */

static void test_a_time_axis_without_length_is_refused(void **state)
{
    static const double ends[] = {0, -1, NAN, INFINITY};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(ends); i++) {
        struct mw_plot plot = picture_empty();
        struct mw_error error = {0};
        mw_auto_file FILE *out = fopen("/dev/null", "w");

        plot.to_s = ends[i];
        assert_int_equal(mw_plot_script(out, &plot, &png, NULL, &error), -EINVAL);
        assert_non_null(strstr(error.text, "time axis"));
    }
}

static void test_a_script_that_cannot_be_written_is_an_error(void **state)
{
    struct mw_plot plot = picture_empty();
    struct mw_error error = {0};
    mw_auto_file FILE *out = fopen("/dev/full", "w");

    (void)state;
    assert_int_equal(mw_plot_script(out, &plot, &png, NULL, &error), -EIO);
}

static void test_paths_are_names_and_never_commands(void **state)
{
    static const char *const refused[] = {"", "a\nset output '|id'", "a\rb"};
    struct mw_plot plot = picture_empty();
    struct mw_error error = {0};
    char *script = NULL;
    size_t size;
    FILE *out = open_memstream(&script, &size);

    (void)state;
    assert_int_equal(mw_plot_script(out, &plot, &png, "|touch x", &error), 0);
    fclose(out);
    assert_non_null(strstr(script, "$path << END\n./|touch x\nEND\n"));
    assert_non_null(strstr(script, "set output $path[1]\n"));
    free(script);
    for (size_t i = 0; i < MW_COUNT(refused); i++) {
        mw_auto_file FILE *null = fopen("/dev/null", "w");

        assert_int_equal(mw_plot_script(null, &plot, &png, refused[i], &error), -EINVAL);
    }
}

static void test_fifty_curves_of_two_thousand_points_take_no_time(void **state)
{
    enum { CURVES = 50, POINTS = 2000 };
    struct mw_plot_point *points = calloc(POINTS, sizeof *points);
    struct mw_plot_curve curves[CURVES];
    struct mw_plot plot = picture_empty();
    mw_auto_file FILE *out = fopen("/dev/null", "w");
    clock_t begin;

    (void)state;
    for (size_t i = 0; i < POINTS; i++)
        points[i] = point(4.0 * (double)i / POINTS, (double)(i * 7919 % 1000) * MIB);
    fill_curves(curves, CURVES, "worker");
    for (size_t i = 0; i < CURVES; i++) {
        curves[i].points = points;
        curves[i].point_count = POINTS;
    }
    plot.curves = curves;
    plot.curve_count = CURVES;
    begin = clock();
    assert_int_equal(mw_plot_script(out, &plot, &png, NULL, NULL), 0);
    /* Measured: 17 ms. The rest is for slow machines and sanitizers. */
    assert_true(clock() - begin < CLOCKS_PER_SEC / 4);
    free(points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_holds_until_the_next_one),
        cmocka_unit_test(test_a_trend_is_a_straight_line),
        cmocka_unit_test(test_nan_interrupts_a_curve_and_the_value_holds_until_there),
        cmocka_unit_test(test_a_single_point_is_drawn_as_a_dot),
        cmocka_unit_test(test_a_band_is_drawn_where_low_and_high_differ),
        cmocka_unit_test(test_a_spike_inside_a_point_is_seen_in_letters_too),
        cmocka_unit_test(test_units_fit_the_data),
        cmocka_unit_test(test_a_short_window_far_from_the_start_keeps_readable_tics),
        cmocka_unit_test(test_memory_starts_at_zero_and_leaves_room_above),
        cmocka_unit_test(test_many_curves_are_all_drawn_and_the_legend_says_how_many_it_leaves_out),
        cmocka_unit_test(test_functions_and_gaps_keep_their_place_beside_many_curves),
        cmocka_unit_test(test_functions_leave_two_thirds_of_the_legend_to_the_curves),
        cmocka_unit_test(test_the_first_curves_given_are_the_ones_named_in_a_terminal),
        cmocka_unit_test(test_calls_are_brackets_and_one_that_never_ended_has_no_end),
        cmocka_unit_test(test_labels_of_peaks_stay_inside_the_picture),
        cmocka_unit_test(test_labels_of_peaks_do_not_cover_each_other),
        cmocka_unit_test(test_a_time_axis_without_length_is_refused),
        cmocka_unit_test(test_a_script_that_cannot_be_written_is_an_error),
        cmocka_unit_test(test_paths_are_names_and_never_commands),
        cmocka_unit_test(test_fifty_curves_of_two_thousand_points_take_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
