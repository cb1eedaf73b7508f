/* The gnuplot script of a picture: what it draws, and that no string can do more than be shown. */
#include "plot/script.h"
#include "util/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* cmocka.h wants these before itself. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MIB 1048576.0

static const struct mw_plot_canvas png = {MW_PLOT_PNG, 0, 0};

/* A plot of four seconds without anything in it. */
static struct mw_plot empty_plot(void)
{
    return (struct mw_plot){.title = "title", .from_s = 0, .to_s = 4, .y_label = "memory"};
}

static struct mw_plot_point point(double t_s, double bytes)
{
    return (struct mw_plot_point){t_s, bytes, bytes, bytes};
}

static char *script_of(const struct mw_plot *plot, const struct mw_plot_canvas *canvas)
{
    struct mw_error error = {0};
    char *script = NULL;
    size_t size;
    FILE *out = open_memstream(&script, &size);

    assert_non_null(out);
    assert_int_equal(mw_plot_script(out, plot, canvas, NULL, &error), 0);
    assert_int_equal(fclose(out), 0);
    return script;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
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
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, COUNT(points)};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = script_of(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_string_equal(rows, "0.00000 1.00000\n2.00000 1.00000\n2.00000 3.00000\n"
                              "4.00000 3.00000\n");
}

static void test_a_trend_is_a_straight_line(void **state)
{
    const struct mw_plot_point points[] = {point(0, MIB), point(3, 3 * MIB), point(4, NAN)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_TREND, points, COUNT(points)};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = script_of(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_string_equal(rows, "0.00000 1.00000\n3.00000 3.00000\n\n");
}

static void test_nan_interrupts_a_curve_and_the_value_holds_until_there(void **state)
{
    const struct mw_plot_point points[] = {point(0, MIB), point(1, NAN), point(3, 2 * MIB),
                                           point(4, 2 * MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, COUNT(points)};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = script_of(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_string_equal(rows, "0.00000 1.00000\n1.00000 1.00000\n\n"
                              "3.00000 2.00000\n4.00000 2.00000\n");
}

static void test_a_single_point_is_drawn_as_a_dot(void **state)
{
    const struct mw_plot_point points[] = {point(1, MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, 1};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = script_of(&plot, &png);
    rows = block_of(script, "$curve1");
    assert_int_equal(count_of(rows, "\n"), 2);
}

static void test_a_band_is_drawn_where_low_and_high_differ(void **state)
{
    const struct mw_plot_point flat[] = {point(0, MIB), point(4, MIB)};
    const struct mw_plot_point wide[] = {{0, MIB, 2 * MIB, 3 * MIB}, point(4, MIB)};
    const struct mw_plot_curve curves[] = {{"a", MW_CURVE_PROCESS, flat, COUNT(flat)},
                                           {"b", MW_CURVE_PROCESS, wide, COUNT(wide)}};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = curves;
    plot.curve_count = COUNT(curves);
    script = script_of(&plot, &png);
    rows = block_of(script, "$curve2");
    assert_string_equal(rows, "0.00000 2.00000 1.00000 3.00000\n4.00000 2.00000 1.00000 3.00000\n"
                              "4.00000 1.00000 1.00000 1.00000\n");
    assert_int_equal(count_of(script, "with filledcurves"), 1);
    assert_non_null(strstr(script, "$curve2 using 1:3:4 with filledcurves"));
}

/* Letters are too coarse for a filled band: the line itself goes through low and high. */
static void test_a_spike_inside_a_point_is_seen_in_letters_too(void **state)
{
    const struct mw_plot_point points[] = {{0, MIB, MIB, 8 * MIB}, point(4, MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, COUNT(points)};
    const struct mw_plot_canvas text = {MW_PLOT_TEXT, 0, 0};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *rows = NULL;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = script_of(&plot, &text);
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
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct mw_plot_point points[] = {point(0, 0), point(cases[i].to_s, cases[i].bytes)};
        const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, COUNT(points)};
        struct mw_plot plot = empty_plot();
        mw_auto_free char *script = NULL, *words = NULL;

        plot.to_s = cases[i].to_s;
        plot.curves = &curve;
        plot.curve_count = 1;
        script = script_of(&plot, &png);
        words = block_of(script, "$words");
        assert_non_null(strstr(script, cases[i].time));
        assert_non_null(strstr(words, cases[i].memory));
        assert_non_null(strstr(script, cases[i].tic));
        assert_null(strstr(script, "-0"));
    }
}

static void test_a_short_window_far_from_the_start_keeps_readable_tics(void **state)
{
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL;

    (void)state;
    plot.from_s = 1000;
    plot.to_s = 1000.003;
    script = script_of(&plot, &png);
    assert_non_null(strstr(script, "\"1000.0005\""));
}

static void test_memory_starts_at_zero_and_leaves_room_above(void **state)
{
    const struct mw_plot_point points[] = {point(0, 90 * MIB), point(4, 100 * MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, COUNT(points)};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL;
    double low = -1, high = -1;

    (void)state;
    plot.curves = &curve;
    plot.curve_count = 1;
    script = script_of(&plot, &png);
    assert_int_equal(sscanf(strstr(script, "set yrange"), "set yrange [%lf:%lf]", &low, &high), 2);
    assert_true(low == 0);
    assert_true(high >= 108 && high <= 120);
}

/* Legend */

static void fill_curves(struct mw_plot_curve *curves, size_t count, const char *label)
{
    static const struct mw_plot_point points[] = {{0, 1, 1, 1}, {4, 1, 1, 1}};

    for (size_t i = 0; i < count; i++)
        curves[i] = (struct mw_plot_curve){label, MW_CURVE_PROCESS, points, COUNT(points)};
}

static void test_many_curves_are_all_drawn_and_the_legend_says_how_many_it_leaves_out(void **state)
{
    struct mw_plot_curve curves[100];
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *words = NULL;
    size_t named, more = 0;

    (void)state;
    fill_curves(curves, COUNT(curves), "worker");
    plot.curves = curves;
    plot.curve_count = COUNT(curves);
    script = script_of(&plot, &png);
    words = block_of(script, "$words");
    assert_int_equal(count_of(script, "using 1:2 with lines"), COUNT(curves));
    /* One title is that of the entry that counts the rest. */
    named = count_of(script, " title name(") - 1;
    assert_true(named >= 10 && named + 1 <= 27); /* 600 pixels have 35 lines, 8 of them margins */
    assert_int_equal(sscanf(strstr(words, "|+"), "|+%zu more", &more), 1);
    assert_int_equal(named + more, COUNT(curves));
}

static void test_functions_and_gaps_keep_their_place_beside_many_curves(void **state)
{
    const struct mw_plot_function functions[] = {{"load", 12, 3.2}, {"save", 1, 0.0005}};
    const struct mw_plot_gap gaps[] = {{1, 2}, {2.5, 3}, {3.5, 3.50001}};
    struct mw_plot_curve curves[100];
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *words = NULL, *rows = NULL;

    (void)state;
    fill_curves(curves, COUNT(curves), "worker");
    plot.curves = curves;
    plot.curve_count = COUNT(curves);
    plot.functions = functions;
    plot.function_count = COUNT(functions);
    plot.gaps = gaps;
    plot.gap_count = COUNT(gaps);
    script = script_of(&plot, &png);
    words = block_of(script, "$words");
    rows = block_of(script, "$gaps");
    assert_non_null(strstr(words, "|load: 12 calls, 3.20 s\n"));
    assert_non_null(strstr(words, "|save: 1 call, 500 us\n"));
    assert_non_null(strstr(script, "$function2 using 1:2 with lines linetype 1 linecolor rgb "));
    assert_int_equal(count_of(script, "title 'not recorded'"), 1);
    assert_int_equal(count_of(rows, "\n"), COUNT(gaps));
    assert_true(count_of(script, " title name(") + 1 <= 30);
}

static void test_functions_leave_two_thirds_of_the_legend_to_the_curves(void **state)
{
    struct mw_plot_function functions[60];
    struct mw_plot_curve curves[100];
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *words = NULL;

    (void)state;
    fill_curves(curves, COUNT(curves), "worker");
    for (size_t i = 0; i < COUNT(functions); i++)
        functions[i] = (struct mw_plot_function){"load", 1, 1};
    plot.curves = curves;
    plot.curve_count = COUNT(curves);
    plot.functions = functions;
    plot.function_count = COUNT(functions);
    script = script_of(&plot, &png);
    words = block_of(script, "$words");
    assert_true(count_of(script, " title name(") <= 27);
    assert_non_null(strstr(words, " more functions\n"));
    assert_int_equal(count_of(script, "$function"), 2 * COUNT(functions));
}

static void test_the_first_curves_given_are_the_ones_named_in_a_terminal(void **state)
{
    const struct mw_plot_canvas terminal = {MW_PLOT_TERMINAL, 80, 24};
    struct mw_plot_curve curves[40];
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL;

    (void)state;
    fill_curves(curves, COUNT(curves), "a name that is much longer than a column of a terminal");
    curves[0].kind = MW_CURVE_TREE;
    plot.curves = curves;
    plot.curve_count = COUNT(curves);
    script = script_of(&plot, &terminal);
    assert_non_null(strstr(script, "$curve1 using 1:2 with lines linetype 1 title name("));
    assert_null(strstr(script, "terminal\n"));
    assert_true(count_of(script, " title name(") <= 8);
}

/* Functions */

static void test_calls_are_brackets_and_one_that_never_ended_has_no_end(void **state)
{
    const struct mw_plot_function functions[] = {{"ended", 1, 1}, {"open", 1, 1}};
    const struct mw_plot_span spans[] = {{0, 1, 2, MIB, 2 * MIB, 0}, {1, 3, NAN, MIB, 0, 0}};
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL, *ended = NULL, *open = NULL;

    (void)state;
    plot.functions = functions;
    plot.function_count = COUNT(functions);
    plot.spans = spans;
    plot.span_count = COUNT(spans);
    script = script_of(&plot, &png);
    ended = block_of(script, "$function1");
    open = block_of(script, "$function2");
    assert_int_equal(count_of(ended, "\n\n"), 2);
    assert_int_equal(count_of(open, "\n\n"), 1);
    /* Feet point inwards: right of the entry, left of the exit. */
    assert_non_null(strstr(ended, "1.02400 "));
    assert_non_null(strstr(ended, "1.97600 "));
}

/* Peaks */

static void test_labels_of_peaks_stay_inside_the_picture(void **state)
{
    const struct mw_plot_point points[] = {point(0, MIB), point(4, MIB)};
    const struct mw_plot_curve curve = {"a", MW_CURVE_PROCESS, points, COUNT(points)};
    struct mw_plot_peak peak = {.bytes = MIB, .label = "48.7 MiB at 1.20 s"};
    static const double times[] = {0, 2, 3.9, 4};
    static const char *const sides[] = {" left ", " left ", " right ", " right "};

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        struct mw_plot plot = empty_plot();
        mw_auto_free char *script = NULL;
        char *label;

        peak.t_s = times[i];
        plot.curves = &curve;
        plot.curve_count = 1;
        plot.peaks = &peak;
        plot.peak_count = 1;
        script = script_of(&plot, &png);
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
    struct mw_plot plot = empty_plot();
    mw_auto_free char *script = NULL;
    const char *first, *second;

    (void)state;
    plot.peaks = peaks;
    plot.peak_count = COUNT(peaks);
    script = script_of(&plot, &png);
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
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct mw_plot plot = empty_plot();
        struct mw_error error = {0};
        mw_auto_file FILE *out = fopen("/dev/null", "w");

        plot.to_s = ends[i];
        assert_int_equal(mw_plot_script(out, &plot, &png, NULL, &error), -EINVAL);
        assert_non_null(strstr(error.text, "time axis"));
    }
}

static void test_a_script_that_cannot_be_written_is_an_error(void **state)
{
    struct mw_plot plot = empty_plot();
    struct mw_error error = {0};
    mw_auto_file FILE *out = fopen("/dev/full", "w");

    (void)state;
    assert_int_equal(mw_plot_script(out, &plot, &png, NULL, &error), -EIO);
}

static void test_paths_are_names_and_never_commands(void **state)
{
    static const char *const refused[] = {"", "a\nset output '|id'", "a\rb"};
    struct mw_plot plot = empty_plot();
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
    for (size_t i = 0; i < COUNT(refused); i++) {
        mw_auto_file FILE *null = fopen("/dev/null", "w");

        assert_int_equal(mw_plot_script(null, &plot, &png, refused[i], &error), -EINVAL);
    }
}

static void test_fifty_curves_of_two_thousand_points_take_no_time(void **state)
{
    enum { CURVES = 50, POINTS = 2000 };
    struct mw_plot_point *points = calloc(POINTS, sizeof *points);
    struct mw_plot_curve curves[CURVES];
    struct mw_plot plot = empty_plot();
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

/* Hostile strings. Each holds PWN, so that it can be found again. */

static const char *const hostile[] = {
    "`touch PWN`",
    "'; !touch PWN; '",
    "''; !touch PWN #",
    "'''`touch PWN`'''",
    "\"; system 'touch PWN'; \"",
    "\" . system(\"touch PWN\") . \"",
    "|touch PWN",
    "PWN\nEND\n!touch PWN\n",
    "END\n!touch PWN",
    "END PWN",
    "\r\n!touch PWN\r\n",
    "PWN \\",
    "PWN \\\n!touch PWN",
    "PWN\033]0;title\007\033[31m",
    "# PWN",
    "$words PWN @words @GPVAL_TERM {/:Bold PWN}^2_3 &{PWN} ~a{.8-}",
    "PWN %s %d %n %% \\042 \\140 \\n",
    "</text><script>PWN=1</script>",
    "PWN ]]> <![CDATA[ & &lt; &#60; \"' onload='PWN'",
    "');PWN();//",
    "image:http://127.0.0.1:9/PWN",
    "PWN \xff\xfe \xc3( \xed\xa0\x80 \xef\xbf\xbe \xef\xbf\xbf",
    "{PWN",
    "}}}PWN",
    "\t \t|PWN",
};

static const struct mw_plot_point hostile_points[] = {{0, MIB, MIB, 2 * MIB}, {4, MIB, MIB, MIB}};

/* A picture in which every string that there is holds the given one. */
struct hostile_picture {
    struct mw_plot plot;
    struct mw_plot_curve curve;
    struct mw_plot_peak peak;
    struct mw_plot_function function;
    struct mw_plot_span span;
};

static void make_hostile(struct hostile_picture *picture, const char *text)
{
    picture->curve = (struct mw_plot_curve){text, MW_CURVE_PROCESS, hostile_points, 2};
    picture->peak = (struct mw_plot_peak){1, MIB, text};
    picture->function = (struct mw_plot_function){text, 1, 1};
    picture->span = (struct mw_plot_span){0, 1, 2, MIB, MIB, 0};
    picture->plot = (struct mw_plot){
        .title = text,
        .subtitle = text,
        .y_label = text,
        .to_s = 4,
        .curves = &picture->curve,
        .curve_count = 1,
        .peaks = &picture->peak,
        .peak_count = 1,
        .functions = &picture->function,
        .function_count = 1,
        .spans = &picture->span,
        .span_count = 1,
    };
}

static void test_strings_only_stand_behind_a_bar_in_data_blocks(void **state)
{
    (void)state;
    for (int format = MW_PLOT_PNG; format <= MW_PLOT_WINDOW; format++) {
        for (size_t i = 0; i < COUNT(hostile); i++) {
            const struct mw_plot_canvas canvas = {(enum mw_plot_format)format, 0, 0};
            struct hostile_picture picture;
            mw_auto_free char *script = NULL;
            char *rest, *line;

            make_hostile(&picture, hostile[i]);
            rest = script = script_of(&picture.plot, &canvas);
            assert_true(count_of(script, "PWN") >= 3);
            while ((line = strsep(&rest, "\n")))
                assert_true(line[0] == '|' || !strstr(line, "PWN"));
            rest = NULL;
        }
    }
}

/* Runs gnuplot on a script in an empty folder and returns what it drew; fails on any error. */
static char *draw(const char *script)
{
    char folder[] = "/tmp/mw_test_script_XXXXXX", *drawing = NULL;
    size_t size = 0, room = 0;
    FILE *file;
    int status;
    pid_t pid;

    assert_non_null(mkdtemp(folder));
    assert_true((pid = fork()) >= 0);
    if (pid == 0) {
        if (chdir(folder) != 0 || !freopen("script", "w+", stdin) ||
            write(STDIN_FILENO, script, strlen(script)) != (ssize_t)strlen(script) ||
            !freopen("drawing", "w", stdout))
            _exit(126);
        if (!freopen("/dev/null", "w", stderr))
            _exit(126);
        execlp("gnuplot", "gnuplot", "-d", "script", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(chdir(folder), 0);
    file = fopen("drawing", "r");
    assert_non_null(file);
    room = 1 << 22;
    drawing = calloc(1, room);
    size = fread(drawing, 1, room - 1, file);
    fclose(file);
    assert_true(size > 0);
    assert_int_equal(unlink("script"), 0);
    assert_int_equal(unlink("drawing"), 0);
    assert_int_equal(chdir("/"), 0);
    /* Anything that a string had made would still be there. */
    assert_int_equal(rmdir(folder), 0);
    return drawing;
}

static void need_gnuplot(void)
{
    if (access("/usr/bin/gnuplot", X_OK) != 0)
        skip();
}

static void test_gnuplot_executes_nothing_of_a_string(void **state)
{
    static const enum mw_plot_format formats[] = {MW_PLOT_PNG, MW_PLOT_SVG, MW_PLOT_PDF,
                                                  MW_PLOT_TEXT, MW_PLOT_TERMINAL};

    (void)state;
    need_gnuplot();
    for (size_t f = 0; f < COUNT(formats); f++) {
        for (size_t i = 0; i < COUNT(hostile); i++) {
            const struct mw_plot_canvas canvas = {formats[f], 0, 0};
            struct hostile_picture picture;
            mw_auto_free char *script = NULL, *drawing = NULL;

            make_hostile(&picture, hostile[i]);
            script = script_of(&picture.plot, &canvas);
            drawing = draw(script);
            if (formats[f] == MW_PLOT_TEXT)
                assert_null(strchr(drawing, '\033'));
        }
    }
}

/* Between two tags there may be no <, and an attribute ends where gnuplot ends it. */
static void check_svg(const char *svg)
{
    assert_int_equal(count_of(svg, "<script"), 2);
    assert_int_equal(count_of(svg, "</script>"), 2);
    assert_int_equal(count_of(svg, "]]>"), count_of(svg, "<![CDATA["));
    assert_null(strstr(svg, "\xef\xbf\xbe"));
    assert_null(strstr(svg, "\xef\xbf\xbf"));
    for (const char *at = svg; (at = strstr(at, "showHypertext(evt,'"));) {
        at += strlen("showHypertext(evt,'");
        at += strcspn(at, "'\"<\\");
        /* The only backslashes are the line breaks that gnuplot writes. */
        while (at[0] == '\\' && at[1] == 'n')
            at += 1 + strcspn(at + 1, "'\"<\\");
        assert_memory_equal(at, "')\" ", 4);
    }
}

static void test_svg_shows_strings_and_holds_nothing_else_of_them(void **state)
{
    const struct mw_plot_canvas svg = {MW_PLOT_SVG, 0, 0};

    (void)state;
    need_gnuplot();
    for (size_t i = 0; i < COUNT(hostile); i++) {
        struct hostile_picture picture;
        mw_auto_free char *script = NULL, *drawing = NULL;

        make_hostile(&picture, hostile[i]);
        script = script_of(&picture.plot, &svg);
        drawing = draw(script);
        check_svg(drawing);
        assert_true(count_of(drawing, "showHypertext(evt,'") >= 4);
        /* A tooltip that began with "image" would load it. */
        assert_null(strstr(drawing, "(evt,'image"));
    }
}

static void test_a_name_of_ten_thousand_letters_is_cut(void **state)
{
    const struct mw_plot_canvas text = {MW_PLOT_TEXT, 0, 0};
    struct hostile_picture picture;
    mw_auto_free char *name = malloc(10001), *script = NULL, *drawing = NULL;

    (void)state;
    need_gnuplot();
    memset(name, 'x', 10000);
    name[10000] = '\0';
    make_hostile(&picture, name);
    script = script_of(&picture.plot, &text);
    assert_true(strlen(script) < 5000);
    drawing = draw(script);
}

static void test_every_kind_of_picture_is_drawn(void **state)
{
    static const struct mw_plot_point single[] = {{1, MIB, MIB, MIB}};
    static const struct mw_plot_point nothing[] = {{1, NAN, NAN, NAN}};
    static const struct mw_plot_point zero[] = {{0, 0, 0, 0}, {4, 0, 0, 0}};
    static const struct mw_plot_point extreme[] = {
        {0, -1e300, -1e300, 1e300}, {INFINITY, 1, 1, 1}, {NAN, 1, 1, 1}, {2, NAN, 1, NAN}};
    static const struct mw_plot_curve curves[] = {
        {NULL, MW_CURVE_TREE, NULL, 0},    {"single", MW_CURVE_PROCESS, single, 1},
        {"", MW_CURVE_PSS, nothing, 1},    {"zero", MW_CURVE_PROCESS, zero, 2},
        {"x", MW_CURVE_TREND, extreme, 4}, {"y", MW_CURVE_PROCESS, extreme, 4},
    };

    (void)state;
    need_gnuplot();
    for (int format = MW_PLOT_PNG; format <= MW_PLOT_TERMINAL; format++) {
        const struct mw_plot_canvas canvas = {(enum mw_plot_format)format, 0, 0};

        for (size_t i = 0; i <= COUNT(curves); i++) {
            struct mw_plot plot = empty_plot();
            mw_auto_free char *script = NULL, *drawing = NULL;

            plot.curves = &curves[i];
            plot.curve_count = i < COUNT(curves); /* the last picture has none */
            script = script_of(&plot, &canvas);
            drawing = draw(script);
        }
    }
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
        cmocka_unit_test(test_strings_only_stand_behind_a_bar_in_data_blocks),
        cmocka_unit_test(test_gnuplot_executes_nothing_of_a_string),
        cmocka_unit_test(test_svg_shows_strings_and_holds_nothing_else_of_them),
        cmocka_unit_test(test_a_name_of_ten_thousand_letters_is_cut),
        cmocka_unit_test(test_every_kind_of_picture_is_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
