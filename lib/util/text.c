#include "util/text.h"

#include "util/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/*
 * Decodes the character at text; returns its length in bytes, or 0 where the bytes there are no
 * valid UTF-8 (overlong forms, surrogates and values above U+10FFFF are not).
 */
static size_t decode(const unsigned char *text, uint32_t *ret_character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xC0 ? 0
                    : text[0] < 0xE0 ? 2
                    : text[0] < 0xF0 ? 3
                                     : 4;
    uint32_t character;

    if (length == 0 || text[0] > 0xF4)
        return 0;
    character = length == 1 ? text[0] : text[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        character = character << 6 | (text[i] & 0x3Fu);
    }
    if (character < smallest[length] || character > 0x10FFFF ||
        (character >= 0xD800 && character <= 0xDFFF))
        return 0;
    *ret_character = character;
    return length;
}

/* Characters that move the cursor, break the line, start an escape sequence or reorder the text,
 * and those that are none (U+FFFE, U+FFFF and their like). */
static bool is_harmful(uint32_t character)
{
    return character < 0x20 || (character >= 0x7F && character <= 0x9F) || character == 0x61C ||
           character == 0x200E || character == 0x200F ||
           (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069) || character == 0xFEFF ||
           (character & 0xFFFE) == 0xFFFE;
}

static char *clean(const char *text, bool printable)
{
    const unsigned char *in = (const unsigned char *)text;
    /* The worst byte grows to three. */
    char *result = malloc(strlen(text) * (sizeof replacement - 1) + 1);
    char *out = result;

    if (!result)
        return NULL;
    while (*in) {
        uint32_t character;
        size_t length = decode(in, &character);

        if (length == 0 || (printable && is_harmful(character))) {
            memcpy(out, replacement, sizeof replacement - 1);
            out += sizeof replacement - 1;
            in += length ? length : 1;
        } else {
            memcpy(out, in, length);
            out += length;
            in += length;
        }
    }
    *out = '\0';
    return result;
}

char *mw_text_utf8(const char *text)
{
    return clean(text, false);
}

char *mw_text_printable(const char *text)
{
    return clean(text, true);
}

static bool needs_quotes(const char *argument)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "%+,-./:=@_";

    return *argument == '\0' || argument[strspn(argument, safe)] != '\0';
}

static void put_quoted(FILE *out, const char *argument)
{
    fputc('\'', out);
    for (; *argument; argument++) {
        if (*argument == '\'')
            fputs("'\\''", out);
        else
            fputc(*argument, out);
    }
    fputc('\'', out);
}

char *mw_text_command(const char *const *arguments, size_t count)
{
    mw_auto_free char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);

    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fputc(' ', out);
        if (needs_quotes(arguments[i]))
            put_quoted(out, arguments[i]);
        else
            fputs(arguments[i], out);
    }
    if (fclose(out) != 0)
        return NULL;
    return mw_text_printable(line);
}

static bool is_title(const char *argument)
{
    size_t word = strcspn(argument, " ");

    return word > 0 && argument[word] == ' ' && !memchr(argument, '/', word);
}

char *mw_text_process(const char *const *arguments, size_t count)
{
    return count == 1 && is_title(arguments[0]) ? mw_text_printable(arguments[0])
                                                : mw_text_command(arguments, count);
}

char *mw_text_shorten(const char *text, size_t columns)
{
    mw_auto_free char *line = mw_text_printable(text);
    size_t seen = 0;

    if (!line)
        return NULL;
    if (columns == 0)
        *line = '\0';
    for (char *at = line, *last = line; *at; at++) {
        if (((unsigned char)*at & 0xC0) == 0x80)
            continue; /* inside a character */
        if (seen++ == columns) {
            char *shortened = NULL;

            *last = '\0';
            return asprintf(&shortened, "%s…", line) < 0 ? NULL : shortened;
        }
        last = at;
    }
    return MW_TAKE(line);
}

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

char *mw_text_shorten_left(const char *text, size_t columns)
{
    mw_auto_free char *line = mw_text_printable(text);
    size_t characters = 0;
    char *at = line, *shortened = NULL;

    if (!line)
        return NULL;
    for (const char *byte = line; *byte; byte++)
        characters += begins_character(*byte);
    if (characters <= columns)
        return MW_TAKE(line);
    /* Passes over what is too much, and over one more for the ellipsis. */
    for (size_t cut = characters - columns + 1; *at; at++) {
        if (begins_character(*at) && cut-- == 0)
            break;
    }
    return asprintf(&shortened, "%s%s", columns ? "…" : "", at) < 0 ? NULL : shortened;
}
