/*
 * Turns the marks of programs into functions and their calls: who called what for how long, and how
 * high the memory was meanwhile.
 *
 * Each thread has a stack of open calls, and so has each track (a task or a generator). An exit
 * closes the innermost open call of its function in its stack, and those above it, which were left
 * without an exit (longjmp, an exception): they end at that moment too. An exit without an entry is
 * counted and passed over. A point is a call that ends as it begins. A process that is forked
 * begins with empty stacks.
 *
 * The aggregates of a function (struct mw_function) are exact, whatever happens to its calls. Calls
 * are given one by one as long as no more than a budget of them are stored. From then on each
 * function is thinned: of its calls, in the order in which they end, it gives every one, then every
 * 2nd, 4th, 8th …, a share of the budget (1/16, divided among the functions) at each of these
 * steps; a function of which more than a share was given already begins with every 2nd. So one that
 * appears late is still seen, and twice as many calls store one share more. Beyond that each
 * function gives its longest call and that with the highest peak: at the end of its process, or of
 * the recording. Calls that are still open at the end of the recording are all given.
 *
 * The memory of a call where its marks read none is what was sampled or read last. Its peak is at
 * least what was read or sampled while it was open, and what high-water marks said whose windows
 * began and ended in it; it is at most what the windows said, where these cover all of it: that is
 * where its exit took a mark.
 *
 * What a mark says of the memory is true of the process whatever its calls are, and is told at
 * once; of a process that is not known once it is known, or has no open calls any more.
 *
 * Marks must come in the order of time, all marks of a process before its end, and a window before
 * the marks that are later than it: without it their bound would lack what it saw. Samples and
 * windows should not come before marks that are earlier, whose calls they then say nothing of. Once
 * all functions are known and no stack grows, nothing is allocated.
 */
#ifndef MW_RECORD_CALLS_H
#define MW_RECORD_CALLS_H

#include "capture/mark.h"
#include "store/writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* So many calls are stored one by one before functions are thinned. */
enum { MW_CALLS_BUDGET = 1000000 };

struct mw_calls;

struct mw_calls_options {
    int64_t start_ns; /* of the run (CLOCK_MONOTONIC): times are given from there */
    uint64_t budget;  /* MW_CALLS_BUDGET, for most */
    int64_t peak_bound_kib, rss_bound_kib; /* how far a high-water mark and an RSS may be off */
};

/* Where functions and calls go. A negative result ends the giving, and is returned by whoever
 * gives. */
struct mw_calls_sink {
    void *context;
    /* A function that was never seen before, and how it is to be called from now on. */
    int (*add_function)(void *context, const struct mw_mark_site *site, int64_t *ret_id);
    /* Its aggregates so far; the name and the place are not set. */
    int (*set_function)(void *context, const struct mw_function *function);
    /* A call that has ended, or never will. The process has this slot, or MW_CALLS_NO_SLOT; it is
     * not set in the call. 1: there is no room for it, and it counts as one that was not given. */
    int (*add_call)(void *context, uint32_t slot, const struct mw_call *call);
    /* What a mark says of the memory of its process, which has this slot, or MW_CALLS_NO_SLOT. */
    int (*reached)(void *context, uint32_t slot, const struct mw_reached *reached);
};

/* In the place of a slot: the process is not known, as marks came from it alone. */
#define MW_CALLS_NO_SLOT (UINT32_MAX - 1)

/* NULL when memory ran out. */
struct mw_calls *mw_calls_new(const struct mw_calls_options *options);

/* NULL is fine. */
void mw_calls_free(struct mw_calls *calls);

/*
 * A process that was started or first seen, also after its first marks. Where another with that pid
 * has not ended yet, it does so now.
 */
int mw_calls_process_started(struct mw_calls *calls, pid_t pid, uint32_t slot, int64_t t_ns,
                             const struct mw_calls_sink *sink);

/* Whether a process with that pid was told of, and has not ended. */
bool mw_calls_knows(struct mw_calls *calls, pid_t pid);

/*
 * A mark is what a program wrote, and may say anything. One for which there is no memory is counted
 * as lost, and so is an entry while 2^18 calls are open.
 */
int mw_calls_mark(struct mw_calls *calls, const struct mw_mark *mark,
                  const struct mw_calls_sink *sink);

/*
 * A high-water mark that the recorder itself has taken and reset: it ends the present window of all
 * open calls of the process. unseen_kib more may have been reached from then until it was reset, at
 * reset_ns, also by calls that began in between.
 */
void mw_calls_window(struct mw_calls *calls, pid_t pid, int64_t t_ns, int64_t kib,
                     int64_t unseen_kib, int64_t reset_ns);

/* An RSS that holds from now on until the next. */
void mw_calls_sample(struct mw_calls *calls, pid_t pid, int64_t t_ns, int64_t kib);

/*
 * Marks were lost up to now, and with them perhaps high-water marks: nothing bounds the peak of a
 * call that is open.
 */
void mw_calls_gap(struct mw_calls *calls, int64_t t_ns);

/* With a program that is executed, the calls of the one before it end. A pid that is not known is
 * passed over. */
int mw_calls_process_executed(struct mw_calls *calls, pid_t pid, int64_t t_ns,
                              const struct mw_calls_sink *sink);

/* The end of a process is that of its calls. A pid that is not known is passed over. */
int mw_calls_process_ended(struct mw_calls *calls, pid_t pid, int64_t t_ns,
                           const struct mw_calls_sink *sink);

/*
 * Ends the calls of processes that nobody has told of and that are gone, at their last mark: to be
 * called now and then.
 */
int mw_calls_end_unknown(struct mw_calls *calls, const struct mw_calls_sink *sink);

/* Gives the aggregates that have changed: before each commit. */
int mw_calls_flush(struct mw_calls *calls, const struct mw_calls_sink *sink);

/* At the end of the recording: gives all that is left. Calls that are open have no end. */
int mw_calls_finish(struct mw_calls *calls, const struct mw_calls_sink *sink);

/* Marks that said nothing: exits without an entry, and those for which there was no room. */
uint64_t mw_calls_lost(const struct mw_calls *calls);

#endif
