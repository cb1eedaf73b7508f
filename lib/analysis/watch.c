#include "analysis/watch.h"

#include <math.h>

/* A look comes when a quarter more has been seen than at the last one, and so often at least. */
static const double MORE = .25, LONGEST_PAUSE_S = 600;
/* Growth that is still seen when the series has become so much longer, lasts. */
static const double LASTS = 1.5;

struct mw_watch mw_watch_begin(double begun_s, double least_s)
{
    return (struct mw_watch){.least_s = least_s, .begun_s = begun_s, .due_s = begun_s + least_s};
}

bool mw_watch_take(struct mw_watch *watch, double now_s, enum mw_verdict verdict)
{
    double age_s = now_s - watch->begun_s;
    bool lasts;

    watch->due_s = now_s + fmin(fmax(MORE * age_s, MORE * watch->least_s), LONGEST_PAUSE_S);
    lasts = verdict == watch->last;
    if (!lasts)
        watch->since_s = now_s;
    watch->last = verdict;
    if (mw_verdict_grows(verdict))
        lasts = age_s >= LASTS * (watch->since_s - watch->begun_s);
    if (!lasts || verdict == watch->told || verdict == MW_VERDICT_INSUFFICIENT)
        return false;
    watch->told = verdict;
    return true;
}
