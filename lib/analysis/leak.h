/*
 * Does a series of memory leak? Feed it value by value, and ask at any moment.
 *
 *     struct mw_leak leak = {0};
 *     mw_leak_feed(&leak, t_s, bytes);             for each sample
 *     mw_leak_stop(&leak, t_s);                    where nothing is known from then on
 *     mw_leak_end(&leak, t_s);                     where a process that was part of it ended
 *     mw_leak_judge(&leak, now_s, least_s, &judgement);
 *
 * A series costs sizeof (struct mw_leak), 20 KiB, whatever its length, and feeding it is O(1)
 * amortised. The judgement depends on what was fed and on now alone, not on when else it was asked
 * for: so a recording that is read afterwards gets the same one as a program that is watched. It
 * says "sustained growth, consistent with a leak": from resident memory alone, nobody can tell a
 * leak from fragmentation that grows for ever.
 */
#ifndef MW_ANALYSIS_LEAK_H
#define MW_ANALYSIS_LEAK_H

#include "analysis/bins.h"
#include "analysis/look.h"

/* X(identifier, name in files and JSON) */
#define MW_VERDICTS(X)                                                                             \
    X(INSUFFICIENT, "insufficient") /* too short, or too much of it is not known */                \
    X(STABLE, "stable")             /* no growth that matters */                                   \
    X(STEP, "step")                 /* it went up at once, and stayed up */                        \
    X(FILLING, "filling")           /* it grows ever more slowly */                                \
    X(SUSPECT, "suspect")           /* growth that is not there for long, or not clear enough */   \
    X(LEAK, "leak")                 /* sustained growth, consistent with a leak */

enum mw_verdict {
#define MW_VERDICT_ENUM(identifier, name) MW_VERDICT_##identifier,
    MW_VERDICTS(MW_VERDICT_ENUM)
#undef MW_VERDICT_ENUM
};

const char *mw_verdict_name(enum mw_verdict verdict);

/* Growth: suspect, or a leak. */
static inline bool mw_verdict_grows(enum mw_verdict verdict)
{
    return verdict == MW_VERDICT_SUSPECT || verdict == MW_VERDICT_LEAK;
}

/*
 * Starts as all zero. Of a series from elsewhere, of whose processes nobody knows when they ended,
 * set bins.may_fall: then a deep fall is taken for a restart wherever it is.
 */
struct mw_leak {
    struct mw_bins bins;
};

/* Why a leak is not certain; the first that holds. */
enum mw_doubt {
    MW_DOUBT_NONE,
    MW_DOUBT_HALTED, /* it has not grown lately */
    MW_DOUBT_BENT,   /* it may be a cache that is not full yet, by its course, … */
    MW_DOUBT_BRIEF,  /* … or because it was not watched for long */
    MW_DOUBT_WEAK,   /* noise hides much of it */
};

/* Times are in seconds on the clock of what was fed, slopes in bytes a second. */
struct mw_judgement {
    enum mw_verdict verdict;
    bool certain;            /* high confidence */
    double observed_s;       /* time of which the memory is known, since the last restart */
    double slope, low, high; /* of the trend, and its 95 % interval */
    double end;              /* bytes: where the trend is at the end */
    double since_s;          /* where the judged series begins, behind a restart and a start-up */
    double from_s, to_s;     /* the stretch that slope and growth are of */
    double halted_s;         /* how long it has been level since to_s; 0: it grows to the end */
    enum mw_doubt doubt;
    struct mw_cycle cycle;   /* that was taken out; its period in seconds */
    double rise;             /* bytes, from the begin of the stretch to its end; may be NAN */
    double step_s;           /* where the largest step upwards is */
    double step_bytes;       /* how high it is; 0: there is none */
    enum mw_fault fault;     /* why the series as a whole is no sustained growth; of a suspect, NONE
                                where it was not there before */
    bool seen_before;        /* the growth was there at four fifths of the time, too */
    struct mw_growth growth; /* what was measured of that stretch; its unit of time is bin_s */
    double bin_s;
};

/* What is judged, from its parts: memory that belongs to no file and is not shared, and what of it
 * is swapped out. In bytes. */
double mw_leak_anonymous(double resident, double shared, double swapped);

/* Whether the end of one process is to be told as that of a tree: where it had, at its highest,
 * half of what all have now. In bytes. */
bool mw_leak_ends_tree(double highest, double all);

/* As for mw_bins_add. */
void mw_leak_feed(struct mw_leak *leak, double t_s, double bytes);

/* Nothing is known from t_s on, up to the next value. */
void mw_leak_stop(struct mw_leak *leak, double t_s);

/* A process that was part of the series ended at t_s: a deep fall about there is a restart. */
void mw_leak_end(struct mw_leak *leak, double t_s);

/*
 * Judges what was fed, up to now_s, where the last value still holds. A series that is known for
 * less than least_s is insufficient, and then slope, low, high and end are NAN.
 */
void mw_leak_judge(const struct mw_leak *leak, double now_s, double least_s,
                   struct mw_judgement *ret_judgement);

/* What is judged, at the middles of the bins: in order, NAN where it is not known. */
struct mw_basis {
    size_t count;
    double t_s[MW_BIN_COUNT], bytes[MW_BIN_COUNT];
};

/* Without what was before a restart and a start-up, spikes and cycles; empty where insufficient. */
void mw_leak_basis(const struct mw_leak *leak, double now_s, struct mw_basis *ret_basis);

/* When a trend reaches a limit: seconds from the end on. INFINITY: never; 0: it has. */
struct mw_arrival {
    double at_s, low_s, high_s;
};

/*
 * `bytes` is the limit. What a sawtooth rises above its floor is headroom that is not there.
 */
struct mw_arrival mw_leak_arrival(const struct mw_judgement *judgement, double bytes);

#endif
