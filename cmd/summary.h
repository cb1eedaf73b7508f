/*
 * The few lines that say what a run used: after `memwatch run`, and at the head of `memwatch show`.
 */
#ifndef MW_CMD_SUMMARY_H
#define MW_CMD_SUMMARY_H

#include "cmd/recording.h"

#include <stdio.h>

/*
 * Writes at most 12 lines. next is a command to type next, or NULL. Returns 0, or the failure to
 * read the recording.
 */
int print_summary(FILE *out, struct recording *recording, const char *next, struct mw_error *error);

#endif
