/*
 * What of a recording is still there, and what was given up for --keep and --max-file.
 */
#ifndef MW_CMD_KEPT_H
#define MW_CMD_KEPT_H

#include "cmd/recording.h"

#include <jansson.h>
#include <stdio.h>

/* Lines of the summary; none where all is there. */
void print_kept(FILE *out, const struct recording *recording);

/* [{"bucket_s","keep_s","from_s"}]: bucket_s is 0 for every sample, keep_s null for forever. */
json_t *json_levels(const struct mw_kept *kept);

/* {"processes","calls","gaps","events"} */
json_t *json_given_up(const struct mw_kept *kept);

#endif
