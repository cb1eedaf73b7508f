/*
 * A recording in the few figures by which recordings are compared: for `diff` and `check`.
 */
#ifndef MW_CMD_FIGURES_H
#define MW_CMD_FIGURES_H

#include "analysis/gauge.h"
#include "cmd/recording.h"

/* Of the whole tree, or of its first process where no other was recorded. */
struct figures {
    struct mw_peak peak;
    bool sampled; /* series has something to tell */
    struct mw_figures series;
    /* Of a shorter one that has ended, the last samples tell of its end rather than of what it held
     * before. */
    bool has_final;
};

/* Reads the figures of the chosen run. */
int figures_read(struct recording *recording, struct figures *ret_figures, struct mw_error *error);

#endif
