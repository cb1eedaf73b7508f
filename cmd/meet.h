/* Curves that meet the brackets which stand on them. */
#ifndef MW_CMD_MEET_H
#define MW_CMD_MEET_H

#include "cmd/curves.h"

/*
 * Takes the ends of brackets into the curves that they stand on, which then show what was read
 * between two samples, until the next one: interval_s later where nothing else is known.
 */
int curves_meet(struct curves *curves, const struct mw_plot_span *spans, size_t count,
                double interval_s, struct mw_error *error);

#endif
