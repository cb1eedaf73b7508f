/*
 * A recording in progress, for every command that makes one: the file, the session, what ends it,
 * what it tells while it goes on, and the summary at the end.
 */
#ifndef MW_CMD_RECORDER_H
#define MW_CMD_RECORDER_H

#include "capture/find.h"
#include "cmd/on_limit.h"
#include "cmd/record_options.h"
#include "record/session.h"
#include "util/error.h"

#include <poll.h>
#include <stdbool.h>

struct recorder {
    const struct record_options *options;
    struct mw_session *session; /* NULL: nothing is recorded, or not any more */
    char *path;                 /* of the file */
    struct limit_action action;
    struct mw_found *roots; /* the first process of each tree that is recorded */
    int *pidfds;            /* of each, at the same place; -1 once it has ended */
    size_t root_count, root_room, pidfd_room;
    int timer_fd;
    bool failure_told; /* that the file could not be written any more */
    bool crossed;      /* a limit was crossed at some time */
};

/* Nothing is recorded yet. The options must outlive it. */
struct recorder recorder_new(const struct record_options *options);

/* Chooses the file, and gets ready for what is to be done at a limit: before there are threads. */
int recorder_prepare(struct recorder *recorder, struct mw_error *error);

/* Opens the file, to store this command (ends with NULL) as what was recorded. */
int recorder_open(struct recorder *recorder, const char *const *command, struct mw_error *error);

/* The first root, which the session is armed with, and any further one. */
int recorder_add_root(struct recorder *recorder, const struct mw_found *root,
                      struct mw_error *error);

/* Records from now on, for as long as the options say. */
void recorder_start(struct recorder *recorder);

/* What to wait for while it records. */
enum { RECORDER_TIMER, RECORDER_FAILURE, RECORDER_CROSSING, RECORDER_EVENTS };
void recorder_expect(const struct recorder *recorder, struct pollfd wait[static RECORDER_EVENTS]);

/* Does what those say; true when the recording has lasted as long as it should. */
bool recorder_serve(struct recorder *recorder, const struct pollfd wait[static RECORDER_EVENTS]);

/* Ends the recording; does nothing where none goes on. */
void recorder_stop(struct recorder *recorder, const struct mw_session_end *end);

/* Shows what was recorded, unless that is not wanted; a failure to do so changes nothing else. */
void recorder_summarize(const struct recorder *recorder);

/* Without having recorded, or after it. */
void recorder_clear(struct recorder *recorder);

#endif
