/* Strings from a target: whatever comes in, valid and harmless UTF-8 comes out. */
#include "fuzz.h"
#include "util/text.h"

#include <stdbool.h>
#include <wchar.h>

/* A decoder of its own, by the table of RFC 3629: the length of the character at text, or 0. */
static size_t character_at(const unsigned char *text, uint32_t *ret_character)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        size_t length;
    } rows[] = {
        {0x01, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t length = rows[i].length;

        if (text[0] < rows[i].first_low || text[0] > rows[i].first_high)
            continue;
        if (length > 1 && (text[1] < rows[i].second_low || text[1] > rows[i].second_high))
            return 0;
        *ret_character = text[0] & masks[length];
        for (size_t j = 1; j < length; j++) {
            if ((text[j] & 0xC0) != 0x80)
                return 0;
            *ret_character = *ret_character << 6 | (text[j] & 0x3F);
        }
        return length;
    }
    return 0;
}

/* Checks a result; returns how many characters it has. */
static size_t check_valid(const char *text, bool printable)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t count = 0;

    for (; *at; count++) {
        uint32_t character = 0;
        size_t length = character_at(at, &character);

        FUZZ_CHECK(length > 0);
        if (printable) {
            FUZZ_CHECK(character >= 0x20 && !(character >= 0x7F && character <= 0x9F));
            FUZZ_CHECK(!(character >= 0x202A && character <= 0x202E));
            FUZZ_CHECK(!(character >= 0x2066 && character <= 0x2069));
            FUZZ_CHECK(character != 0x2028 && character != 0x2029);
        }
        at += length;
    }
    return count;
}

/* What was valid and harmless comes out as it went in. */
static void check_kept(const char *in, const char *out)
{
    if (in[strspn(in, "abcdefghijklmnopqrstuvwxyz0123456789 -/")] == '\0')
        FUZZ_CHECK(strcmp(in, out) == 0);
}

static void check_command(char *text)
{
    const char *words[8];
    size_t count = 0;
    char *line;

    for (char *at = text; count < 8 && at; count++) {
        char *end = strchr(at, ' ');

        words[count] = at;
        if (end)
            *end++ = '\0';
        at = end;
    }
    line = mw_text_command(words, count);
    if (!line)
        abort();
    check_valid(line, true);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    char *utf8 = mw_text_utf8(text), *printable = mw_text_printable(text);
    char *again = mw_text_printable(printable);
    size_t columns = 1 + size % 20;
    char *shortened = mw_text_shorten(text, columns);
    char *end = mw_text_shorten_left(text, columns);

    if (!utf8 || !printable || !again || !shortened || !end)
        abort();
    check_valid(utf8, false);
    check_valid(printable, true);
    check_kept(text, utf8);
    check_kept(text, printable);
    FUZZ_CHECK(strcmp(printable, again) == 0);
    FUZZ_CHECK(check_valid(shortened, true) <= columns);
    FUZZ_CHECK(check_valid(end, true) <= columns);
    free(shortened);
    free(end);
    free(again);
    free(printable);
    free(utf8);
    check_command(text);
    free(text);
    return 0;
}
