/*
 * The Pythons of PATH, and which of them `memwatch run script.py` takes.
 */
#ifndef MW_CMD_PYTHON_H
#define MW_CMD_PYTHON_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

struct python {
    char *path;
    struct mw_error failure;              /* it does not run: why; else its code is 0 */
    char implementation[16], version[32]; /* as it says itself: "cpython", "3.11.2" */
    bool runs_scripts;                    /* the one that memwatch takes */
    bool is_shim;                         /* a script of pyenv, which looks for the Python */
    bool has_profile;                     /* its functions can be marked */
    char obstacle[128];                   /* why not, in its own words */
};

struct pythons {
    struct python *list; /* the one that runs scripts is the first, where there is one */
    size_t count, room;
};

/*
 * Finds the programs named python3 or python3.N, each once, and asks them for their version, which
 * takes up to some seconds for one that hangs. -ENOMEM.
 */
int pythons_find(struct pythons *ret_pythons, struct mw_error *error);

void pythons_clear(struct pythons *pythons);

#endif
