/*
 * Whether a series of a recording leaks: reads it, and has it judged.
 */
#ifndef MW_CMD_VERDICT_H
#define MW_CMD_VERDICT_H

#include "analysis/leak.h"
#include "cmd/recording.h"

/* What can be judged. */
enum leak_metric {
    LEAK_ANON, /* rss without file and shared pages, and with what is swapped out where that is
                  recorded: what a leak is made of */
    LEAK_RSS,
    LEAK_PSS,
};

/* "anon" …; and as a reader of a sentence knows it. */
const char *leak_metric_name(enum leak_metric metric);
const char *leak_metric_label(enum leak_metric metric);

/* The metric of that name, or -1. */
int leak_metric_parse(const char *name);

/* anon where a recording has it, else rss: an imported one may know of no shared pages. */
enum leak_metric leak_metric_default(const struct recording *recording);

/* What is shorter is not judged, unless the user says how short it may be. */
#define LEAK_LEAST_NS INT64_C(300000000000)

struct verdict_request {
    struct recording *recording;
    const struct mw_process *process; /* NULL: the whole tree */
    enum leak_metric metric;
    int64_t from_us, to_us; /* of the recording; to_us INT64_MAX: to the end */
    double least_s;
};

struct verdict {
    struct verdict_request request;
    struct mw_judgement judgement; /* its times are since the start of the run */
    double last;                   /* bytes, at the end; NAN: nothing was recorded */
    double shared;                 /* file and shared pages when memory was highest; 0: not known */
    double shared_growth;          /* what they grew by until then; NAN: not known */
};

/* ret_basis gets what was judged, and may be NULL. */
int verdict_reach(struct verdict *ret_verdict, struct mw_basis *ret_basis,
                  const struct verdict_request *request, struct mw_error *error);

#endif
