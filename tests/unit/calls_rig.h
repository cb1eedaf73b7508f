/*
 * A record/calls.h under test, and what it gave: for test_calls*.c. Times are microseconds since
 * the start of the run.
 */
#ifndef MW_TESTS_CALLS_RIG_H
#define MW_TESTS_CALLS_RIG_H

#include "record/calls.h"
#include "unit.h"

enum {
    MOST_CALLS = 4096,
    MOST_FUNCTIONS = 8,
    START_NS = 1000000,
    BOUND_KIB = 10,
    RSS_BOUND_KIB = 1
};

/* The functions that are marked, by number. */
extern const struct mw_mark_site calls_sites[MOST_FUNCTIONS];

/* A calls under test, and what it gave. Function n has the id 100 + n. */
struct calls_rig {
    struct mw_calls *calls;
    struct mw_calls_sink sink;
    pid_t pid, tid;
    uint32_t track;
    int64_t resident_kib, window_kib; /* of the next marks */
    struct mw_function functions[MOST_FUNCTIONS];
    size_t count;
    bool all; /* keep all calls, not only how many there were */
    struct mw_call call[MOST_CALLS];
    uint32_t slot[MOST_CALLS];
    struct mw_reached reached[2]; /* the last by its source */
    uint32_t reached_slot;
    int reached_count;
};

/* Knows one process, 50, in slot 3. Stores so many calls one by one. */
struct calls_rig *calls_rig_new(uint64_t budget);
void calls_rig_free(struct calls_rig *rig);

void calls_mark(struct calls_rig *rig, enum mw_mark_kind kind, int function, int64_t t_us);
void calls_mark_with(struct calls_rig *rig, enum mw_mark_kind kind, int function, int64_t t_us,
                     int64_t resident_kib, int64_t window_kib);
void calls_enter(struct calls_rig *rig, int function, int64_t t_us);
void calls_leave(struct calls_rig *rig, int function, int64_t t_us);
void calls_finish(struct calls_rig *rig);

void calls_check_call(const struct mw_call *call, int function, unsigned depth, int64_t from_us,
                      int64_t to_us);
void calls_check_figures(const struct mw_function *function, uint64_t calls, uint64_t ended,
                         int64_t total_us, int64_t max_us);
/* upper_kib -1: nothing bounds it. */
void calls_check_peak(const struct mw_peak *peak, int64_t kib, int64_t upper_kib, int64_t from_us,
                      int64_t to_us, enum mw_peak_source source);

#endif
