/*
 * The limits and events of a recording, in words, and as lines and flags of a picture.
 */
#ifndef MW_CMD_HAPPENINGS_H
#define MW_CMD_HAPPENINGS_H

#include "cmd/recording.h"
#include "plot/model.h"
#include "util/metric.h"

#include <stdio.h>

/* The limits that held at the end, and what happened, a line each; none where there is nothing. */
void print_happenings(FILE *out, const struct recording *recording);

/* Whether the kernel ended the run's first process because memory ran out. */
bool ended_by_kernel(const struct recording *recording);

/* The limits of a metric as lines. */
struct limit_lines {
    struct mw_plot_limit *lines; /* their labels are owned */
    size_t count, room;
    char *far; /* the lowest limit that is too high to be drawn, in words; NULL: none */
};

/*
 * Those that held in a part of the recording (in microseconds); a limit that is far above the
 * highest memory in the picture is no line, for it would press the curves to the ground. -ENOMEM.
 */
int limit_lines_make(struct limit_lines *ret_lines, const struct recording *recording,
                     enum mw_metric metric, int64_t from_us, int64_t to_us, double highest_bytes);

void limit_lines_clear(struct limit_lines *lines);

/* Events as flags. Labels and texts are their own. */
struct event_flags {
    struct mw_plot_event *events; /* in the order of time */
    size_t count, room;
};

/*
 * What happened in a part of the recording (in microseconds) that its memory does not tell: limits
 * that were crossed, restarts, ends by the kernel, and verdicts that became worse. -ENOMEM.
 */
int event_flags_make(struct event_flags *ret_flags, const struct recording *recording,
                     int64_t from_us, int64_t to_us);

void event_flags_clear(struct event_flags *flags);

#endif
