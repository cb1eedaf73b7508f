/*
 * The few lines that say what a run used: after `memwatch run`, and at the head of `memwatch show`.
 */
#ifndef MW_CMD_SUMMARY_H
#define MW_CMD_SUMMARY_H

#include "cmd/recording.h"

#include <stdio.h>

/* How a run ended, and after what time: "exited with 0 after 1.52 s". */
void print_outcome(FILE *out, const struct mw_run *run);

/*
 * Writes at most 12 lines. next is a command to type next, or NULL. Returns 0, or the failure to
 * read the recording.
 */
int print_summary(FILE *out, struct recording *recording, const char *next, struct mw_error *error);

#endif
