/*
 * Watching one series: when to judge it, and which of its verdicts are worth telling.
 *
 * A series that is judged again and again looks like a leak at some moment far more often than one
 * that is judged once. So a verdict is told when it has lasted: growth when the series has become
 * half as long again since it was first seen, anything else for one more look.
 */
#ifndef MW_ANALYSIS_WATCH_H
#define MW_ANALYSIS_WATCH_H

#include "analysis/leak.h"

/* Starts with the three times; they are in seconds on the clock of the series. */
struct mw_watch {
    double least_s;             /* what is shorter is not judged */
    double begun_s;             /* the first value */
    double due_s;               /* when to judge next: at first begun_s + least_s */
    enum mw_verdict last, told; /* INSUFFICIENT: none yet */
    double since_s;             /* since when the last one has been the same */
};

struct mw_watch mw_watch_begin(double begun_s, double least_s);

/* Takes the verdict of now_s, and sets due_s anew. True when it is to be told. */
bool mw_watch_take(struct mw_watch *watch, double now_s, enum mw_verdict verdict);

#endif
