/*
 * A mark that a recorded program has set: it entered or left a function, or passed a point.
 */
#ifndef MW_CAPTURE_MARK_H
#define MW_CAPTURE_MARK_H

#include <stdint.h>
#include <sys/types.h>

enum mw_mark_kind {
    MW_MARK_ENTER,
    MW_MARK_EXIT,
    MW_MARK_POINT,   /* a moment, and its memory */
    MW_MARK_SUSPEND, /* the track waits: the time up to MW_MARK_RESUME is not its functions' */
    MW_MARK_RESUME,
    MW_MARK_EXECUTED, /* the first mark after the process has executed a program; of no function */
    MW_MARK_RESET,    /* the process has reset its high-water mark for the first time; likewise */
};

/*
 * A place in a program that is marked: a function. Lives as long as the channel it came through.
 * The same site has the same pointer throughout a recording, whichever process it is marked by.
 */
struct mw_mark_site {
    const char *name; /* any bytes */
    const char *file; /* NULL: not known */
    int line;         /* 0: not known */
};

struct mw_mark {
    enum mw_mark_kind kind;
    pid_t pid, tid;
    /* 0: the thread tid itself; else a task of the process, or from 2^31 on a generator, by number
     */
    uint32_t track;
    int64_t t_ns;                    /* CLOCK_MONOTONIC */
    uint32_t order;                  /* among those that were taken at once */
    const struct mw_mark_site *site; /* of the kinds that are about a function */
    int64_t resident_kib;            /* RSS of the process at that moment; -1: was not read */
    /* The high-water mark since it was last reset, by whomever; it was read and reset at this
     * moment. -1: it was not. */
    int64_t window_kib;
    int64_t unseen_kib; /* more by so much may have been reached before it was reset, */
    int64_t reset_ns;   /* which was by this moment */
};

#endif
