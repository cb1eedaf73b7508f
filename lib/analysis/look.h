/*
 * One look at a series in bins: what of it counts, and whether that is sustained growth.
 *
 * The steps: what was before a restart is cut off, and the start-up behind it; spikes are taken
 * out; so is a daily cycle, and below a sawtooth its floor is what counts. What is left is cut into
 * straight segments. The stretch from the start of each segment to the end, the longest first, is
 * measured (growth.h) and held against what growth must show; the first that does is the finding.
 */
#ifndef MW_ANALYSIS_LOOK_H
#define MW_ANALYSIS_LOOK_H

#include "analysis/bins.h"
#include "analysis/cycle.h"
#include "analysis/growth.h"
#include "analysis/segments.h"

/* Why a stretch that rises is not sustained growth. */
enum mw_fault {
    MW_FAULT_NONE,
    MW_FAULT_SMALL,  /* less than 1 MiB, than 2 % of the level, or than 3 deviations of the noise */
    MW_FAULT_CHANCE, /* noise that wanders may rise as much */
    MW_FAULT_SLOWING, /* it grows ever more slowly */
    MW_FAULT_STEPPED, /* one step is much of the rise */
    MW_FAULT_FALLS,   /* it falls again in between */
    MW_FAULT_OLD,     /* memory was as high before */
};

/* "small", "chance" … */
const char *mw_fault_name(enum mw_fault fault);

/* What growth must show. Shares and ratios, unless something else is said. */
struct mw_demands {
    bool cycles;       /* cycles are taken out first */
    double shortest;   /* of a stretch, in the series */
    double t;          /* of the trend */
    double deviations; /* of the noise, that it rises */
    /* It slows down: by a bend that is likelier by so much and leaves this share of the slope, … */
    double bend, late;
    double slowing, slowing_t; /* … or as a cache does, to this share, with this t, … */
    double half, third;        /* … or Sen's slope of its last part falls below this share. */
    /* A leak behind a warm-up that is over by then: t of what goes on, and how much likelier it is
     * than a cache alone. */
    double settled, lasting, beyond;
    double step, drawdown; /* of the rise, at most */
    double fresh;          /* of the rise, that is above all that was before */
    double halt;           /* Growth that halted: by so much likelier than that it slows down */
};

/* Tuned on the development half of tests/corpus. */
extern const struct mw_demands mw_demands_final;

/* Ask for less: to suspect growth, and to tell whether it was there at an earlier time as well. */
extern const struct mw_demands mw_demands_suspect, mw_demands_early;

/* Places are bins, counted from the first that counts. */
struct mw_look {
    size_t start;                /* the first bin that counts: behind a restart and a start-up */
    size_t count;                /* of places */
    double values[MW_BIN_COUNT]; /* what is judged; NAN: not known */
    double lows[MW_BIN_COUNT];
    struct mw_cycle cycle;                        /* that was taken out */
    struct mw_segment segments[MW_SEGMENTS_MOST]; /* the unit of their places is `scale` places */
    size_t segment_count;
    double scale;
    bool grows;
    struct mw_halt halt;            /* likelier than the demands ask; place 0: none */
    enum mw_fault fault;            /* of the whole: why it is no sustained growth from its start */
    struct mw_growth whole, growth; /* from the start, and of the stretch that grows or the whole */
};

/* The first bin behind the last restart among the first `count`; 0 where there was none. */
size_t mw_look_restart(const struct mw_bins *bins, size_t count);

/* How many bins there are before a program that ends gives its memory back. */
size_t mw_look_end(const struct mw_bins *bins);

/* Whether a stretch rose, and flattens without falling again. */
bool mw_look_flattens(const struct mw_growth *growth);

/* Looks at the first `count` bins. False where too few of them are known to say anything. */
bool mw_look_take(struct mw_look *ret_look, const struct mw_bins *bins, size_t count,
                  const struct mw_demands *demands);

#endif
