/*
 * Recordings as JSON: the keys that scripts rely on. Times are seconds since the start of the run,
 * memory is bytes, dates are RFC 3339, commands are arrays of strings (bytes that are no UTF-8
 * become U+FFFD). What is not known is null.
 *
 * Every function returns a new reference, or NULL when memory ran out.
 */
#ifndef MW_CMD_JSON_H
#define MW_CMD_JSON_H

#include "cmd/recording.h"

#include <jansson.h>

/* Any bytes as a JSON string. */
json_t *json_text(const char *text);

/* {"bytes","upper_bytes","from_s","to_s","source"}, or null if never sampled. */
json_t *json_peak(const struct mw_peak *peak);

/* A command, as an array of strings. */
json_t *json_words(char *const *words, size_t count);

/* {"name","file","line","calls","calls_stored","total_s","max_s","growth_bytes","peak"} */
json_t *json_function(const struct mw_function *function);

/* The chosen run with everything that is known of it, for `show`. */
json_t *json_run(const struct recording *recording);

/* Prints a value to standard output and releases it; returns the command's exit status. */
int json_print(json_t *value);

#endif
