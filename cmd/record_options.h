/*
 * The options that every command which records has.
 */
#ifndef MW_CMD_RECORD_OPTIONS_H
#define MW_CMD_RECORD_OPTIONS_H

#include "cmd/command.h"
#include "record/session.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

/* What is done when a limit was crossed, beside the report. */
enum on_limit { ON_LIMIT_REPORT, ON_LIMIT_TERM, ON_LIMIT_KILL, ON_LIMIT_EXEC };

struct record_options {
    struct mw_session_options session; /* without path and command */
    const char *output;                /* NULL: a name of its own */
    int64_t duration_ns;               /* INT64_MAX: until the end */
    bool quiet;
    enum on_limit on_limit;
    const char *on_limit_command; /* NULL: none */
};

extern const struct option_spec record_option_specs[];

/* What holds where no option says otherwise; runs: the processes run already. */
struct record_options record_options_default(bool runs);

/* Applies one of these options: 0, or a negative errno with a message. */
int record_options_apply(struct record_options *options, int id, const char *value,
                         struct mw_error *error);

/* Whether the options fit together: 0, or a negative errno with a message. */
int record_options_check(const struct record_options *options, struct mw_error *error);

#endif
