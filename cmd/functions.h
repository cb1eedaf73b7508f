/*
 * The functions that a program marked, as the command line names them.
 */
#ifndef MW_CMD_FUNCTIONS_H
#define MW_CMD_FUNCTIONS_H

#include "cmd/recording.h"

/*
 * A function of the chosen run as a person knows it, with its place where another has the same
 * name: "step (mem.py:12)". Any bytes; to be freed; NULL when memory ran out.
 */
char *function_label(const struct recording *recording, const struct mw_function *function);

/*
 * The function of the chosen run that has this name or label, or whose name or label alone ends so.
 * -ENOENT where there is none, or several.
 */
int find_function(const struct recording *recording, const char *name,
                  const struct mw_function **ret_function, struct mw_error *error);

#endif
