/*
 * What is done when a limit was crossed: a line on standard error, and what --on-limit says.
 *
 * A command is run by a helper process, which is forked before anything is recorded: so the command
 * is no child of the recorder, which takes in the orphans of the program that it records.
 */
#ifndef MW_CMD_ON_LIMIT_H
#define MW_CMD_ON_LIMIT_H

#include "cmd/record_options.h"
#include "cmd/target.h"
#include "record/limits.h"
#include "util/error.h"

#include <stdbool.h>

struct limit_action {
    enum on_limit what;
    char **words; /* of the command */
    struct target command;
    char *described; /* what is done, in a few words */
    int64_t
        first_look_us; /* of a process that runs already: what is before was so from the start */
    int helper_fd;     /* -1: none */
};

/* Gets ready, and starts the helper: to be called while this process has one thread. */
int limit_action_prepare(struct limit_action *action, const struct record_options *options,
                         const char *path, struct mw_error *error);

/* Where it happened. */
struct limit_place {
    struct mw_session *session;
    const int *pidfds; /* of the first process of each tree */
    size_t count;
    int pid;          /* of the first one */
    int64_t start_ns; /* of the recording, CLOCK_MONOTONIC */
};

/* Tells of a crossing, and does what is to be done. */
void limit_action_take(struct limit_action *action, const struct mw_crossing *crossing,
                       int64_t window_ns, const struct limit_place *place);

void limit_action_clear(struct limit_action *action);

#endif
