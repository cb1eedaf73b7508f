/*
 * What a program finds in its environment so that its functions can be marked: where the marks go,
 * and for Python, `profile`.
 */
#ifndef MEMWATCH_MARKING_H
#define MEMWATCH_MARKING_H

#include "util/error.h"

#include <stdbool.h>

/* What is marked besides what marks itself. All zero: nothing. */
struct marking_patterns {
    char *list; /* with newlines between them */
};

/* Takes in the value of an option. 0 or a negative errno with a message. */
int marking_add_pattern(struct marking_patterns *patterns, const char *pattern,
                        struct mw_error *error);
void marking_clear_patterns(struct marking_patterns *patterns);

/*
 * Whether a pattern fits the name of a function, as MODULE.QUALNAME or, where the pattern has a
 * colon, as MODULE:QUALNAME; where the name of a module other than __main__ ends is not known, so
 * any dot may be that.
 */
bool marking_pattern_fits(const char *pattern, const char *name);

/*
 * Sets the environment of programs that are started from now on. marks_path: the channel of a
 * recording (mw_session_marks_path), or NULL: nothing is to be marked, also not for a memwatch
 * around this one. 0 or a negative errno with a message.
 */
int marking_prepare(const char *marks_path, const struct marking_patterns *patterns,
                    struct mw_error *error);

/*
 * The option that keeps a program, if it is a Python, from finding `profile`: "-I", "-E" or "-S".
 * NULL: there is none. It is looked for in the command, which ends with NULL, and in the first line
 * of the file at path.
 */
const char *marking_obstacle(const char *path, char *const *command);

/*
 * The folder of what Python programs load, where this memwatch is installed or was built; to be
 * freed. NULL: it is not there, or memory ran out.
 */
char *marking_python_folder(void);

#endif
