/*
 * What `memwatch doctor` looks at, and what each finding means for the figures of a recording.
 */
#ifndef MW_CMD_DOCTOR_CHECKS_H
#define MW_CMD_DOCTOR_CHECKS_H

#include "util/error.h"

#include <jansson.h>
#include <stddef.h>

enum check_status {
    CHECK_OK,
    CHECK_LIMITED, /* it works, and could be better */
    CHECK_MISSING,
};

struct check {
    const char *key;   /* in JSON: "peak_windows" */
    const char *title; /* for people: "peak windows" */
    enum check_status status;
    char *headline; /* what was found, in a few words */
    char *list;     /* further lines, or NULL */
    char *meaning;  /* sentences */
    char *improve;  /* the one command that improves it, or NULL */
    json_t *facts;  /* what was found, for scripts */
};

enum { MOST_CHECKS = 8 };

struct checks {
    struct check list[MOST_CHECKS];
    size_t count;
    char *summary; /* of all, in one line */
};

/* "ok", "limited" or "missing" */
const char *check_status_name(enum check_status status);

/*
 * Makes all checks, which takes a second and a half, and some seconds more for each program that
 * hangs. To be called while this process has one thread. Fails only when something could not be
 * tried at all.
 */
int checks_make(struct checks *ret_checks, struct mw_error *error);

void checks_clear(struct checks *checks);

#endif
