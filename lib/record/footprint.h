/*
 * The memory of a process while calls are open in it, as samples, readings at marks and high-water
 * marks tell it: how high it was in a stretch of time, and what is yet to be told of the process
 * itself. Private to calls.c, whose header says what a peak promises.
 */
#ifndef MW_RECORD_FOOTPRINT_H
#define MW_RECORD_FOOTPRINT_H

#include "record/calls.h"
#include "record/summits.h"

#include <stdbool.h>

/* All times are those of CLOCK_MONOTONIC. */
struct mw_footprint {
    const struct mw_calls_options *options;
    bool is_asked;     /* a call is open: what is reached from now on is kept */
    int64_t known_kib; /* the last RSS that was sampled or read, which holds; -1: there is none */
    int64_t known_ns;  /* since when */
    int64_t reset_ns;  /* when the last upper bound was, at the latest */
    int64_t window_ns; /* when the present window began; 0: before all marks */
    /* The highest that marks have read, and that is to be told yet; a kib of -1: nothing is. */
    struct mw_reached resident, window;
    /* Of what is kept: samples by their time, windows by their start, and what windows allow at
     * most by their end. */
    struct mw_summits samples, windows, uppers;
};

/* A call, as far as its memory goes. */
struct mw_stretch {
    int64_t enter_ns, enter_kib; /* -1: not known */
    int64_t end_ns;
    bool never;   /* it does not end: the recording does before */
    bool bounded; /* windows cover all of it: one was taken at its end */
};

/* A new process: in one that is all zero, or in that of another, whose room is used again. The
 * options outlive it. */
void mw_footprint_begin(struct mw_footprint *footprint, const struct mw_calls_options *options);

/* Releases what it owns. */
void mw_footprint_clear(struct mw_footprint *footprint);

/* A first call begins, and the last one has ended: nobody asks any more for what was before. */
void mw_footprint_ask(struct mw_footprint *footprint);
void mw_footprint_forget(struct mw_footprint *footprint);

/* An RSS that holds from now on until the next. */
void mw_footprint_sample(struct mw_footprint *footprint, int64_t t_ns, int64_t kib);

/* As mw_calls_window. False where memory ran out: nothing bounds the peaks of open calls. */
bool mw_footprint_window(struct mw_footprint *footprint, int64_t t_ns, int64_t kib,
                         int64_t unseen_kib, int64_t reset_ns);

/* What was read at a mark: it belongs to the calls before it, and to one that it ends. False as
 * above. */
bool mw_footprint_mark(struct mw_footprint *footprint, const struct mw_mark *mark);

/* Tells what marks have reached since the last time. 0, or what the sink returned. */
int mw_footprint_tell(struct mw_footprint *footprint, uint32_t slot,
                      const struct mw_calls_sink *sink);

/* What is known of the memory while a call was open. */
struct mw_peak mw_footprint_peak(const struct mw_footprint *footprint,
                                 const struct mw_stretch *stretch);

#endif
