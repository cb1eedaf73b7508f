/* Strings from a target are shown harmless and stay UTF-8, whatever bytes they hold. */
#include "unit.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

#define BAD "\xEF\xBF\xBD"

struct cleaned {
    const char *in, *out;
};

typedef char *text_fn(const char *text);

static void check(text_fn *clean, const struct cleaned *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *out = clean(cases[i].in);

        assert_string_equal(out, cases[i].out);
        free(out);
    }
}

static const struct cleaned invalid[] = {
    {"", ""},
    {"plain ASCII", "plain ASCII"},
    {"ä€😀", "ä€😀"},
    {"\x80", BAD},
    {"\xBF"
     "a",
     BAD "a"},
    {"\xC3", BAD},                 /* cut off after the first byte of two */
    {"\xE2\x82", BAD BAD},         /* … after two of three */
    {"\xF0\x9F\x98", BAD BAD BAD}, /* … after three of four */
    {"\xE2\x82x", BAD BAD "x"},
    {"\xC0\xAF", BAD BAD},         /* "/" in two bytes */
    {"\xC1\xBF", BAD BAD},         /* DEL in two bytes */
    {"\xE0\x80\xAF", BAD BAD BAD}, /* "/" in three */
    {"\xE0\x9F\xBF", BAD BAD BAD}, /* U+07FF in three */
    {"\xF0\x80\x80\xAF", BAD BAD BAD BAD},
    {"\xF0\x8F\xBF\xBF", BAD BAD BAD BAD},    /* U+FFFF in four */
    {"\xED\xA0\x80", BAD BAD BAD},            /* U+D800 */
    {"\xED\xBF\xBF", BAD BAD BAD},            /* U+DFFF */
    {"\xED\x9F\xBF", "\xED\x9F\xBF"},         /* U+D7FF is fine */
    {"\xEE\x80\x80", "\xEE\x80\x80"},         /* U+E000 too */
    {"\xF4\x8F\xBF\xBD", "\xF4\x8F\xBF\xBD"}, /* U+10FFFD too */
    {"\xF4\x90\x80\x80", BAD BAD BAD BAD},    /* U+110000 */
    {"\xF5\x80\x80\x80", BAD BAD BAD BAD},
    {"\xFE\xFF", BAD BAD},
    {"a\xFF"
     "b",
     "a" BAD "b"},
    {"\xC3\xC3\xA4", BAD "ä"},
};

static void test_bytes_that_are_no_utf8_become_replacement_characters(void **state)
{
    (void)state;
    check(mw_text_utf8, invalid, MW_COUNT(invalid));
    check(mw_text_printable, invalid, MW_COUNT(invalid));
}

static void test_utf8_for_json_keeps_control_characters(void **state)
{
    static const struct cleaned cases[] = {{"a\nb\x1B[0m\x7F\u202E", "a\nb\x1B[0m\x7F\u202E"}};

    (void)state;
    check(mw_text_utf8, cases, MW_COUNT(cases));
}

static void test_nothing_that_moves_a_cursor_or_reorders_text_is_printed(void **state)
{
    static const struct cleaned cases[] = {
        {"\x1B[31mred\x1B[0m", BAD "[31mred" BAD "[0m"},
        {"\x1B]0;title\x07", BAD "]0;title" BAD},
        {"a\nb\r\tc\x08", "a" BAD "b" BAD BAD "c" BAD},
        {"\x7F", BAD},
        {"\xC2\x9B"
         "31m",
         BAD "31m"}, /* U+009B starts an escape sequence as ESC [ does */
        {"\xC2\x80", BAD},
        {"\xC2\xA0", "\xC2\xA0"},
        {"a\u202Eb\u202Cc", "a" BAD "b" BAD "c"},
        {"\u2066\u2067\u2068\u2069", BAD BAD BAD BAD},
        {"\u200E\u200F\u061C", BAD BAD BAD},
        {"\u2028\u2029", BAD BAD},
        {"\uFEFFx", BAD "x"},
        {"\uFFFE\uFFFF\U0010FFFFx\uFFFD", BAD BAD BAD "x" BAD},
        {"\x01\x02\x1F ", BAD BAD BAD " "},
        {"`rm -rf` $(x) <b>&amp;", "`rm -rf` $(x) <b>&amp;"},
    };

    (void)state;
    check(mw_text_printable, cases, MW_COUNT(cases));
}

/* All sequences of up to three bytes that matter: what comes out is stable when put in again. */
static void test_cleaning_twice_changes_nothing(void **state)
{
    (void)state;
    for (unsigned first = 1; first < 256; first++) {
        for (unsigned second = 1; second < 256; second++) {
            const char in[] = {(char)first, (char)second, (char)0x80, 'z', '\0'};
            char *once = mw_text_printable(in), *twice = mw_text_printable(once);

            assert_string_equal(once, twice);
            assert_true(strlen(once) >= 2 && once[strlen(once) - 1] == 'z');
            free(once);
            free(twice);
        }
    }
}

static void check_command(const char *const *arguments, size_t count, const char *line)
{
    char *out = mw_text_command(arguments, count);

    assert_string_equal(out, line);
    free(out);
}

static void check_process(const char *const *arguments, size_t count, const char *line)
{
    char *out = mw_text_process(arguments, count);

    assert_string_equal(out, line);
    free(out);
}

static void test_a_title_in_the_place_of_arguments_has_no_quotes(void **state)
{
    static const char *const title[] = {"redis-server *:6379"}, *const path[] = {"/opt/my tool"};
    static const char *const two[] = {"a b", "c"}, *const blank[] = {" x"}, *const empty[] = {""};
    static const char *const control[] = {"nginx: \x1B[2J"};

    (void)state;
    check_process(title, 1, "redis-server *:6379");
    check_process(control, 1, "nginx: " BAD "[2J");
    check_process(path, 1, "'/opt/my tool'");
    check_process(two, 2, "'a b' c");
    check_process(blank, 1, "' x'");
    check_process(empty, 1, "''");
    check_process(title, 0, "");
}

static void test_a_command_is_quoted_as_a_shell_would_take_it(void **state)
{
    static const char *const plain[] = {"./prog", "-x", "a=b:c,d%e+f@g_h-i"};
    static const char *const odd[] = {"a b", "it's", "", "$x", "`id`", "*", "~", "\"", ";", "ä"};
    static const char *const control[] = {"a\nb", "\x1B[2J", "\xFF"};

    (void)state;
    check_command(plain, MW_COUNT(plain), "./prog -x a=b:c,d%e+f@g_h-i");
    check_command(odd, MW_COUNT(odd), "'a b' 'it'\\''s' '' '$x' '`id`' '*' '~' '\"' ';' 'ä'");
    check_command(control, MW_COUNT(control), "'a" BAD "b' '" BAD "[2J' '" BAD "'");
    check_command(plain, 0, "");
}

static void test_a_long_text_is_cut_at_whole_characters(void **state)
{
    static const struct {
        const char *in;
        size_t columns;
        const char *out;
    } cases[] = {
        {"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"äöüß", 3, "äö…"}, {"äöü", 3, "äöü"},
        {"abc", 1, "…"},         {"a", 1, "a"},          {"", 5, ""},        {"\n\n\n", 2, BAD "…"},
        {"😀😀😀", 2, "😀…"},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        char *out = mw_text_shorten(cases[i].in, cases[i].columns);

        assert_string_equal(out, cases[i].out);
        free(out);
    }
}

static void test_a_long_text_may_lose_its_beginning(void **state)
{
    static const struct {
        const char *in;
        size_t columns;
        const char *out;
    } cases[] = {
        {"abcdef", 6, "abcdef"},
        {"abcdef", 5, "…cdef"},
        {"äöüß", 3, "…üß"},
        {"äöü", 3, "äöü"},
        {"abc", 1, "…"},
        {"abc", 0, ""},
        {"", 5, ""},
        {"\n\n\n", 2, "…" BAD},
        {"", 0, ""},
        {"😀😀😀", 2, "…😀"},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        char *out = mw_text_shorten_left(cases[i].in, cases[i].columns);

        assert_string_equal(out, cases[i].out);
        free(out);
    }
}

static void test_nothing_is_left_of_a_text_that_has_no_columns(void **state)
{
    char *out = mw_text_shorten("abc", 0);

    (void)state;
    assert_string_equal(out, "");
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_bytes_that_are_no_utf8_become_replacement_characters),
        UNIT_TEST(test_utf8_for_json_keeps_control_characters),
        UNIT_TEST(test_nothing_that_moves_a_cursor_or_reorders_text_is_printed),
        UNIT_TEST(test_cleaning_twice_changes_nothing),
        UNIT_TEST(test_a_command_is_quoted_as_a_shell_would_take_it),
        UNIT_TEST(test_a_title_in_the_place_of_arguments_has_no_quotes),
        UNIT_TEST(test_a_long_text_is_cut_at_whole_characters),
        UNIT_TEST(test_a_long_text_may_lose_its_beginning),
        UNIT_TEST(test_nothing_is_left_of_a_text_that_has_no_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
