/* The gnuplot script of a picture with functions: their brackets, boxes, names and tooltips. */
#include "picture.h"
#include "util/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mw_plot_canvas png = {MW_PLOT_PNG, 0, 0};
static const struct mw_plot_canvas svg = {MW_PLOT_SVG, 0, 0};
static const struct mw_plot_canvas text = {MW_PLOT_TEXT, 0, 0};
static const struct mw_plot_point points[] = {{0, MIB, MIB, MIB}, {4, MIB, MIB, MIB}};
static const struct mw_plot_curve curve = {"process", MW_CURVE_PROCESS, points, MW_COUNT(points)};
static const struct mw_plot_function load = {"package.module.load", 3, 1.2, 0};
static const struct mw_plot_calls once = {1, 1, 0, MIB, 2 * MIB};
static const struct mw_plot_calls often = {12345, 1, 0, NAN, NAN};

static struct mw_plot picture(void)
{
    struct mw_plot plot = picture_empty();

    plot.curves = &curve;
    plot.curve_count = 1;
    plot.functions = &load;
    plot.function_count = 1;
    return plot;
}

static struct mw_plot picture_with_boxes(const struct mw_plot_box *boxes, size_t count,
                                         const struct mw_plot_lane *lanes, size_t lane_count)
{
    struct mw_plot plot = picture();

    plot.boxes = boxes;
    plot.box_count = count;
    plot.lanes = lanes;
    plot.lane_count = lane_count;
    return plot;
}

static unsigned height_of(const char *script)
{
    unsigned width = 0, height = 0;

    assert_int_equal(sscanf(strstr(script, " size "), " size %u,%u", &width, &height), 2);
    return height;
}

static double floor_of(const char *script)
{
    double low = 1, high = 0;

    assert_int_equal(sscanf(strstr(script, "set yrange"), "set yrange [%lf:%lf]", &low, &high), 2);
    assert_true(high > 1);
    return low;
}

static void test_an_entry_says_calls_and_time(void **state)
{
    struct mw_plot_function open = {"open", 1, NAN, 0};
    struct mw_plot plot = picture();
    mw_auto_free char *first = picture_script(&plot, &png), *second = NULL;

    (void)state;
    assert_non_null(strstr(first, "\n|package.module.load, 3 calls, 1.20 s\n"));
    plot.functions = &open;
    second = picture_script(&plot, &png);
    assert_non_null(strstr(second, "\n|open, 1 call, not ended\n"));
}

static void test_an_entry_says_what_was_waited_where_that_is_much(void **state)
{
    struct mw_plot_function waiting = {"handle", 60, 0.035, 30};
    struct mw_plot plot = picture();
    mw_auto_free char *much = NULL, *little = NULL;

    (void)state;
    plot.functions = &waiting;
    much = picture_script(&plot, &png);
    assert_non_null(strstr(much, "\n|handle, 60 calls, 35 ms + 30 s waiting\n"));
    waiting.waited_s = 0.0001;
    little = picture_script(&plot, &png);
    assert_non_null(strstr(little, "\n|handle, 60 calls, 35 ms\n"));
}

static void test_a_name_without_room_keeps_its_end(void **state)
{
    struct mw_plot_function deep = {"a_very_long_package.with.a_very_long_module.load", 3, 1.2, 0};
    struct mw_plot plot = picture();
    mw_auto_free char *script = NULL;

    (void)state;
    plot.functions = &deep;
    script = picture_script(&plot, &text);
    assert_non_null(strstr(script, "\n|load, 3 calls, 1.20 s\n"));
}

static void test_only_the_first_functions_have_brackets_and_the_rest_is_counted(void **state)
{
    struct mw_plot_function functions[30];
    struct mw_plot_span spans[30];
    struct mw_plot plot = picture();
    mw_auto_free char *script = NULL;

    (void)state;
    for (size_t i = 0; i < MW_COUNT(functions); i++) {
        functions[i] = load;
        spans[i] = (struct mw_plot_span){i, 0, 1, 2, MIB, MIB, 0, once};
    }
    plot.functions = functions;
    plot.function_count = MW_COUNT(functions);
    plot.spans = spans;
    plot.span_count = MW_COUNT(spans);
    script = picture_script(&plot, &png);
    assert_non_null(strstr(script, "$function8 using 1:2"));
    assert_null(strstr(script, "$function9"));
    assert_non_null(strstr(script, "\n|+22 more functions\n"));
}

static void test_a_bracket_outside_of_the_window_is_not_drawn(void **state)
{
    const struct mw_plot_span spans[] = {{0, 0, -1, 2, MIB, MIB, 0, once}};
    struct mw_plot plot = picture();
    mw_auto_free char *script = NULL;

    (void)state;
    plot.spans = spans;
    plot.span_count = MW_COUNT(spans);
    script = picture_script(&plot, &png);
    assert_non_null(strstr(script, "$function1 << END\n1.97600 "));
}

static void test_a_bracket_above_all_curves_has_room(void **state)
{
    const struct mw_plot_span spans[] = {{0, 0, 1, 2, 50 * MIB, MIB, 0, once}};
    struct mw_plot plot = picture();
    mw_auto_free char *script = NULL;
    double high = 0;

    (void)state;
    plot.spans = spans;
    plot.span_count = MW_COUNT(spans);
    script = picture_script(&plot, &png);
    assert_int_equal(sscanf(strstr(script, "set yrange"), "set yrange [0:%lf]", &high), 1);
    assert_true(high >= 50);
}

static void test_boxes_stand_below_the_memory_and_the_picture_grows(void **state)
{
    static const struct mw_plot_lane lanes[] = {{NULL}, {NULL}};
    static const struct mw_plot_box boxes[] = {{0, 0, 0, 2, {1, 1, 0, 0, 0}},
                                               {1, 0, 1, 2, {2, 1, 0, 0, 0}}};
    struct mw_plot without = picture();
    struct mw_plot plot = picture_with_boxes(boxes, 2, lanes, 2);
    mw_auto_free char *plain = picture_script(&without, &png),
                      *script = picture_script(&plot, &png);

    (void)state;
    assert_true(floor_of(plain) == 0);
    assert_true(floor_of(script) < 0);
    assert_true(height_of(script) > height_of(plain) + 20);
    assert_non_null(strstr(script, "$boxes using 1:2:3:4:5:6:7 with boxxyerror"));
    assert_non_null(strstr(script, "$crowds using 1:2:3:4:5:6:7 with boxxyerror"));
}

static void test_a_size_that_is_asked_for_stays(void **state)
{
    enum { LANES = 24 };
    static const struct mw_plot_canvas small = {MW_PLOT_PNG, 800, 300};
    struct mw_plot_lane lanes[LANES] = {{NULL}};
    static const struct mw_plot_box boxes[] = {{LANES - 1, 0, 0, 2, {1, 1, 0, 0, 0}}};
    struct mw_plot plot = picture_with_boxes(boxes, 1, lanes, LANES);
    mw_auto_free char *script = picture_script(&plot, &small);

    (void)state;
    assert_int_equal(height_of(script), 300);
    assert_true(floor_of(script) < 0);
}

static void test_names_stand_in_boxes_where_they_fit(void **state)
{
    static const struct mw_plot_lane lanes[] = {{"task 1"}};
    static const struct mw_plot_box boxes[] = {{0, 0, 0, 1, {1, 1, 0, 0, 0}},
                                               {0, 0, 1, 1.2, {1, 1, 0, 0, 0}},
                                               {0, 0, 1.5, 1.501, {1, 1, 0, 0, 0}}};
    struct mw_plot plot = picture_with_boxes(boxes, MW_COUNT(boxes), lanes, 1);
    mw_auto_free char *script = picture_script(&plot, &png);
    const char *lane = strstr(script, "\n|task 1\n");

    (void)state;
    assert_non_null(lane);
    assert_non_null(strstr(lane, "\n|package.module.load\n|load\nEND\n"));
}

static void test_calls_that_are_one_box_are_counted_in_it(void **state)
{
    static const struct mw_plot_lane lanes[] = {{NULL}};
    const struct mw_plot_box boxes[] = {{0, 0, 0, 2, often}, {0, MW_PLOT_SEVERAL, 2, 4, often}};
    struct mw_plot plot = picture_with_boxes(boxes, MW_COUNT(boxes), lanes, 1);
    mw_auto_free char *script = picture_script(&plot, &png);

    (void)state;
    assert_non_null(strstr(script, "\n|package.module.load \xC3\x97"
                                   "12,345\n"));
    assert_non_null(strstr(script, "\n|several \xC3\x97"
                                   "12,345\n"));
}

static void test_a_narrow_box_has_the_count_alone(void **state)
{
    static const struct mw_plot_lane lanes[] = {{NULL}};
    const struct mw_plot_box boxes[] = {{0, 0, 0, 0.12, {7, 1, 0, 0, 0}}};
    struct mw_plot plot = picture_with_boxes(boxes, 1, lanes, 1);
    mw_auto_free char *script = picture_script(&plot, &png);

    (void)state;
    assert_non_null(strstr(script, "\n|\xC3\x97"
                                   "7\n"));
}

static void test_boxes_of_functions_without_a_colour_are_explained(void **state)
{
    enum { FUNCTIONS = MW_PLOT_COLOURED_FUNCTIONS + 1 };
    static const struct mw_plot_lane lanes[] = {{NULL}};
    const struct mw_plot_box boxes[] = {{0, FUNCTIONS - 1, 0, 2, once}};
    struct mw_plot_function functions[FUNCTIONS];
    struct mw_plot plot = picture_with_boxes(boxes, 1, lanes, 1);
    mw_auto_free char *script = NULL;

    (void)state;
    for (size_t i = 0; i < FUNCTIONS; i++)
        functions[i] = load;
    plot.functions = functions;
    plot.function_count = FUNCTIONS;
    script = picture_script(&plot, &png);
    assert_non_null(strstr(script, "\n|+1 more functions\n"));
    assert_non_null(strstr(script, "keyentry with lines linetype 1 linecolor rgb '#9a9a9a'"));
    assert_null(strstr(script, "nodraw"));
}

static void test_lanes_that_are_left_out_are_counted(void **state)
{
    static const struct mw_plot_lane lanes[] = {{NULL}};
    const struct mw_plot_box boxes[] = {{0, 0, 0, 2, once}};
    struct mw_plot plot = picture_with_boxes(boxes, 1, lanes, 1);
    mw_auto_free char *script = NULL;

    (void)state;
    plot.lanes_left_out = 7;
    script = picture_script(&plot, &png);
    assert_non_null(strstr(script, "\n|+7 more lanes\n"));
    assert_int_equal(picture_count(script, "nodraw title name("), 1);
}

static void test_letters_have_no_boxes(void **state)
{
    static const struct mw_plot_lane lanes[] = {{NULL}};
    const struct mw_plot_box boxes[] = {{0, 0, 0, 2, once}};
    struct mw_plot plot = picture_with_boxes(boxes, 1, lanes, 1);
    mw_auto_free char *script = picture_script(&plot, &text);

    (void)state;
    assert_null(strstr(script, "boxxyerror"));
    assert_true(floor_of(script) == 0);
}

static void test_tooltips_tell_what_a_call_came_to(void **state)
{
    static const struct mw_plot_lane lanes[] = {{NULL}};
    const struct mw_plot_box boxes[] = {{0, 0, 0, 2, often}};
    const struct mw_plot_span spans[] = {{0, 0, 1, 2, MIB, MIB, 0, once}};
    struct mw_plot plot = picture_with_boxes(boxes, 1, lanes, 1);
    mw_auto_free char *script = NULL;

    (void)state;
    plot.spans = spans;
    plot.span_count = 1;
    script = picture_script(&plot, &svg);
    assert_non_null(strstr(script, "\n|package.module.load, 1 s, +1 MiB, peak 2 MiB\n"));
    assert_non_null(strstr(script, "\n|package.module.load, 12,345 calls, 1 s\n"));
    assert_non_null(strstr(script, "$entries using 1:2:(tip(int($3), $1, $2))"));
    assert_non_null(strstr(script, "$touch using 1:2:(lane_tip(int($3), $4))"));
}

static void test_tooltips_are_not_without_number(void **state)
{
    enum { MANY = 20000 };
    static const struct mw_plot_lane lanes[] = {{NULL}};
    mw_auto_free struct mw_plot_box *boxes = calloc(MANY, sizeof *boxes);
    struct mw_plot plot = picture_with_boxes(boxes, MANY, lanes, 1);
    mw_auto_free char *script = NULL;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        boxes[i] = (struct mw_plot_box){0, 0, 4.0 * (double)i / MANY, 4.0 * (double)i / MANY, once};
    script = picture_script(&plot, &svg);
    assert_true(picture_count(script, "peak 2 MiB\n") <= 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_says_calls_and_time),
        cmocka_unit_test(test_an_entry_says_what_was_waited_where_that_is_much),
        cmocka_unit_test(test_a_name_without_room_keeps_its_end),
        cmocka_unit_test(test_only_the_first_functions_have_brackets_and_the_rest_is_counted),
        cmocka_unit_test(test_a_bracket_outside_of_the_window_is_not_drawn),
        cmocka_unit_test(test_a_bracket_above_all_curves_has_room),
        cmocka_unit_test(test_boxes_stand_below_the_memory_and_the_picture_grows),
        cmocka_unit_test(test_a_size_that_is_asked_for_stays),
        cmocka_unit_test(test_names_stand_in_boxes_where_they_fit),
        cmocka_unit_test(test_calls_that_are_one_box_are_counted_in_it),
        cmocka_unit_test(test_a_narrow_box_has_the_count_alone),
        cmocka_unit_test(test_boxes_of_functions_without_a_colour_are_explained),
        cmocka_unit_test(test_lanes_that_are_left_out_are_counted),
        cmocka_unit_test(test_letters_have_no_boxes),
        cmocka_unit_test(test_tooltips_tell_what_a_call_came_to),
        cmocka_unit_test(test_tooltips_are_not_without_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
