/*
 * Calls that are marked, and the tracks they belong to.
 *
 * A function that runs to its end without a pause is marked on the stack of its thread. One that
 * pauses (a generator, a coroutine) has a track: a number under which the recorder keeps a stack
 * of its own. While such a one runs, its track is the current one of the thread, so that what it
 * calls is marked there; when it pauses, the time until it goes on is not its own.
 *
 * Everything here needs the GIL, or belongs to one thread.
 */
#ifndef MEMWATCH_PYTHON_SPAN_H
#define MEMWATCH_PYTHON_SPAN_H

#include "memwatch.h"

#include <stdbool.h>

/* How the marks of a call get the memory of the process. */
enum span_reading {
    SPAN_READS,       /* at entry and exit */
    SPAN_READS_SELDOM /* there too, unless that was done just now: costs little */
};

/* One call of a function that may pause. */
struct span {
    struct memwatch_site_ *site;
    enum span_reading reading;
    bool owns_track; /* it is given back at the end */
    /* All zero at first. */
    bool is_open; /* entered, and not ended */
    uint32_t track;
    uint32_t outer;   /* the track that was current before the present step */
    unsigned process; /* in which it was entered */
};

/* To be called once, before all others. */
int span_prepare(void);

/* Whether this program runs below memwatch: all marks are for nothing otherwise. */
bool span_is_recorded(void);

/* The track in which this thread marks; 0: its own stack. */
uint32_t span_current_track(void);

/* What a track is of; the numbers of generators begin where a recording expects them. */
enum span_track { SPAN_TASK, SPAN_GENERATOR };

#define SPAN_FIRST_GENERATOR (UINT32_C(1) << 31)

/* A number that no other call has: never 0, and used again once it was given back. */
uint32_t span_take_track(enum span_track kind);
void span_give_track(uint32_t track);

/* How many forks led to this process: what was entered in another is not left in this one. */
unsigned span_process(void);

/* Entry and exit of a call that does not pause. */
void span_mark(struct memwatch_site_ *site, enum memwatch_kind_ kind, uint32_t track,
               enum span_reading reading);

/*
 * A step of a call that may pause: from its start, or from where it paused, to the next pause or
 * its end. track: the one it is to have if this is its first step.
 */
void span_begin_step(struct span *span, uint32_t track);
void span_end_step(struct span *span, bool has_ended);

/* It will never be stepped again. */
void span_abandon(struct span *span);

#endif
