/*
 * Strings from outside in a gnuplot script.
 *
 * They stand as the lines of a data block, each behind a bar, and the script takes them from there
 * as values: name(3) is $words[3][2:*]. gnuplot reads the lines of a data block as they are: no
 * quotes, no backslashes, no macros, no back quotes, and the bar keeps any of them from being the
 * end mark. So nothing has to be quoted, and nothing can be quoted wrongly.
 */
#ifndef MW_PLOT_WORDS_H
#define MW_PLOT_WORDS_H

#include <stdbool.h>
#include <stdio.h>

enum mw_words_use {
    MW_WORDS_PLAIN, /* shown as it is */
    MW_WORDS_SVG,   /* shown in an SVG file: gnuplot escapes & and < there, and nothing else */
    MW_WORDS_TIP,   /* a point's label, where gnuplot undoes escapes; in an SVG file's tooltips it
                     * stands in single quotes inside double quotes */
};

/*
 * Writes a text (NULL counts as empty) and behind it tail, which is not shortened, as one line. The
 * text is cut to at most columns characters. Returns 0 or -ENOMEM.
 */
int mw_words_write(FILE *out, const char *text, const char *tail, size_t columns,
                   enum mw_words_use use);

/*
 * The data block that names the file to draw into. Returns 0, or -EINVAL for a path that no line
 * can hold: one with a line break, or none at all.
 */
int mw_words_write_path(FILE *out, const char *path);

#endif
