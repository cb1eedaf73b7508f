#include "plot/words.h"

#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* What may not stand in some places, and what is shown instead. Sequences, because of ]]>. */
struct substitute {
    const char *from, *to;
    enum mw_words_use from_use; /* this use and those behind it */
};

static const struct substitute substitutes[] = {
    /* Two code points that XML forbids and that cairo draws as large as the picture. */
    {"\xEF\xBF\xBE", "\xEF\xBF\xBD", MW_WORDS_PLAIN},
    {"\xEF\xBF\xBF", "\xEF\xBF\xBD", MW_WORDS_PLAIN},
    /* XML forbids it in text; here it gets a zero-width space. */
    {"]]>", "]]\xE2\x80\x8B>", MW_WORDS_SVG},
    /* gnuplot 5.4 writes a tooltip as onmousemove="…showHypertext(evt,'TEXT')". */
    {"\"", "\xE2\x80\x9D", MW_WORDS_TIP},
    {"'", "\xE2\x80\x99", MW_WORDS_TIP},
    {"\\", "\xE2\xA7\xB5", MW_WORDS_TIP},
};

static const struct substitute *find_substitute(const char *text, enum mw_words_use use)
{
    for (size_t i = 0; i < sizeof substitutes / sizeof *substitutes; i++) {
        const struct substitute *candidate = &substitutes[i];

        if (use >= candidate->from_use &&
            strncmp(text, candidate->from, strlen(candidate->from)) == 0)
            return candidate;
    }
    return NULL;
}

int mw_words_write(FILE *out, const char *text, const char *tail, size_t columns,
                   enum mw_words_use use)
{
    mw_auto_free char *line = mw_text_shorten(text ? text : "", columns);

    if (!line)
        return -ENOMEM;
    fputc('|', out);
    for (const char *at = line; *at;) {
        const struct substitute *found = find_substitute(at, use);

        if (found) {
            fputs(found->to, out);
            at += strlen(found->from);
        } else {
            fputc(*at++, out);
        }
    }
    fprintf(out, "%s\n", tail);
    return 0;
}

int mw_words_write_path(FILE *out, const char *path)
{
    if (*path == '\0' || strpbrk(path, "\r\n"))
        return -EINVAL;
    /* "|command" would be run and "~" replaced; behind a "./" both are names. */
    fprintf(out, "$path << END\n%s%s\nEND\n", *path == '/' ? "" : "./", path);
    return 0;
}
