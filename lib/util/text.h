/*
 * Strings that come from a target: program names, arguments, folders. They may hold any byte but
 * NUL, and some are made to do harm on a terminal. The store keeps them as they are; whoever shows
 * them passes them through here first.
 *
 * Every function returns a new string that the caller frees, or NULL when memory ran out.
 */
#ifndef MW_UTIL_TEXT_H
#define MW_UTIL_TEXT_H

#include <stddef.h>

/* Valid UTF-8: each byte that belongs to no valid sequence becomes U+FFFD. For JSON. */
char *mw_text_utf8(const char *text);

/*
 * Valid UTF-8 that a terminal, gnuplot or a web page shows as one harmless line: besides the above,
 * control characters (C0, DEL, C1), line separators, bidirectional overrides and noncharacters
 * become U+FFFD.
 */
char *mw_text_printable(const char *text);

/*
 * A command as one printable line, as a shell would take it: arguments in single quotes where they
 * hold anything but letters, digits and "%+,-./:=@_".
 */
char *mw_text_command(const char *const *arguments, size_t count);

/*
 * The command line of a process: the same, but for one that has replaced its arguments by a title,
 * as servers do ("redis-server *:6379", "nginx: master process …"): that has no quotes. A single
 * argument with blanks is such a title, unless its first word is a path.
 */
char *mw_text_process(const char *const *arguments, size_t count);

/*
 * The printable text cut to at most columns characters, with "…" as the last where it was longer.
 * Counts a character a column (wide characters take two: the line is then longer than asked for).
 */
char *mw_text_shorten(const char *text, size_t columns);

/* The same with the beginning cut off, and "…" in front: the end of a qualified name says most. */
char *mw_text_shorten_left(const char *text, size_t columns);

#endif
