/*
 * What `memwatch run PROGRAM ARGS…` executes.
 */
#ifndef MW_CMD_TARGET_H
#define MW_CMD_TARGET_H

#include "util/error.h"

struct target {
    char *path;       /* to execute */
    char **arguments; /* argv of the program, ends with NULL; the strings are borrowed */
};

/*
 * Finds what to execute for the words of a command line (ends with NULL; without any when a module
 * is named). A file NAME.py that is not executable, or has no #! line, runs under python; python is
 * "python3" unless the user named another one, which then runs whatever the program is. module,
 * where it is not NULL, runs as `python -m module`. -ENOENT when there is no such program, -EACCES
 * when it cannot be executed.
 */
int target_find(struct target *ret_target, const char *module, const char *python, char **words,
                struct mw_error *error);

void target_clear(struct target *target);

#endif
