/* No string can do more in a gnuplot script than be shown; and gnuplot draws every picture. */
#include "picture.h"
#include "util/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each holds PWN, so that it can be found again. */
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
    "\\033PWN\\007\\",
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
    struct mw_plot_lane lane;
    struct mw_plot_box boxes[3];
};

static void make_hostile(struct hostile_picture *picture, const char *text)
{
    picture->curve = (struct mw_plot_curve){text, MW_CURVE_PROCESS, hostile_points, 2};
    picture->peak = (struct mw_plot_peak){1, MIB, text};
    picture->function = (struct mw_plot_function){text, 1, 1, 0};
    picture->span = (struct mw_plot_span){0, 0, 1, 2, MIB, MIB, 0, {1, 1, 0, MIB, MIB}};
    picture->lane = (struct mw_plot_lane){text};
    picture->boxes[0] = (struct mw_plot_box){0, 0, 0, 2, {1, 2, 0, -MIB, NAN}};
    picture->boxes[1] = (struct mw_plot_box){0, 0, 2, 3, {50, 1, 0, NAN, MIB}};
    picture->boxes[2] = (struct mw_plot_box){0, MW_PLOT_SEVERAL, 3, 4, {50, 1, 0, NAN, NAN}};
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
        .lanes = &picture->lane,
        .lane_count = 1,
        .boxes = picture->boxes,
        .box_count = MW_COUNT(picture->boxes),
    };
}

static void test_strings_only_stand_behind_a_bar_in_data_blocks(void **state)
{
    (void)state;
    for (int format = MW_PLOT_PNG; format <= MW_PLOT_WINDOW; format++) {
        for (size_t i = 0; i < MW_COUNT(hostile); i++) {
            const struct mw_plot_canvas canvas = {(enum mw_plot_format)format, 0, 0};
            struct hostile_picture picture;
            mw_auto_free char *script = NULL;
            char *rest, *line;

            make_hostile(&picture, hostile[i]);
            rest = script = picture_script(&picture.plot, &canvas);
            assert_true(picture_count(script, "PWN") >= 3);
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
    for (size_t f = 0; f < MW_COUNT(formats); f++) {
        for (size_t i = 0; i < MW_COUNT(hostile); i++) {
            const struct mw_plot_canvas canvas = {formats[f], 0, 0};
            struct hostile_picture picture;
            mw_auto_free char *script = NULL, *drawing = NULL;

            make_hostile(&picture, hostile[i]);
            script = picture_script(&picture.plot, &canvas);
            drawing = draw(script);
            if (formats[f] == MW_PLOT_TEXT)
                assert_null(strchr(drawing, '\033'));
        }
    }
}

/* Between two tags there may be no <, and an attribute ends where gnuplot ends it. */
static void check_svg(const char *svg)
{
    assert_int_equal(picture_count(svg, "<script"), 2);
    assert_int_equal(picture_count(svg, "</script>"), 2);
    assert_int_equal(picture_count(svg, "]]>"), picture_count(svg, "<![CDATA["));
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
    for (size_t i = 0; i < MW_COUNT(hostile); i++) {
        struct hostile_picture picture;
        mw_auto_free char *script = NULL, *drawing = NULL;

        make_hostile(&picture, hostile[i]);
        script = picture_script(&picture.plot, &svg);
        drawing = draw(script);
        check_svg(drawing);
        assert_true(picture_count(drawing, "showHypertext(evt,'") >= 7);
        for (const char *at = drawing; *at; at++)
            assert_true((unsigned char)*at >= ' ' || strchr("\t\n\r", *at));
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
    script = picture_script(&picture.plot, &text);
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

        for (size_t i = 0; i <= MW_COUNT(curves); i++) {
            struct mw_plot plot = picture_empty();
            mw_auto_free char *script = NULL, *drawing = NULL;

            plot.curves = &curves[i];
            plot.curve_count = i < MW_COUNT(curves); /* the last picture has none */
            script = picture_script(&plot, &canvas);
            drawing = draw(script);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_only_stand_behind_a_bar_in_data_blocks),
        cmocka_unit_test(test_gnuplot_executes_nothing_of_a_string),
        cmocka_unit_test(test_svg_shows_strings_and_holds_nothing_else_of_them),
        cmocka_unit_test(test_a_name_of_ten_thousand_letters_is_cut),
        cmocka_unit_test(test_every_kind_of_picture_is_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
