/*
 * The mark channel: shared memory into which programs of the tree mark entries and exits of
 * functions (memwatch.h says how it is laid out), and out of which the recorder takes them.
 *
 * It is a file in memory, without a name and of a fixed size, that each process of the same user
 * opens through /proc when it marks for the first time. What a process writes is not trusted: it
 * may spoil the marks of the tree and the peaks that they tell of, and no more.
 */
#ifndef MW_CAPTURE_MARKS_H
#define MW_CAPTURE_MARKS_H

#include "capture/mark.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_marks;

/*
 * Makes the channel. resets: whoever marks also resets its high-water mark, so that it is known
 * what was reached within a function.
 */
int mw_marks_open(struct mw_marks **ret_marks, bool resets, struct mw_error *error);

/* NULL is fine. */
void mw_marks_close(struct mw_marks *marks);

/* What the variable MW_MARKS_VARIABLE of the target has to be. */
#define MW_MARKS_VARIABLE "MEMWATCH_MARKS"
const char *mw_marks_path(const struct mw_marks *marks);

/*
 * Takes marks that are there, in the order of time, also of a mark that one thread made after it
 * had seen that of another; the rest with the next calls, until one returns 0. They belong to the
 * channel and hold until the next call. Returns how many.
 */
enum { MW_MARKS_AT_ONCE = 8192 };
size_t mw_marks_take(struct mw_marks *marks, const struct mw_mark **ret_marks);

/* How many there are to take, at most: what is marked from now on is not among them. */
uint64_t mw_marks_waiting(const struct mw_marks *marks);

/* A process has ended: its rings are free for others once they are empty. */
void mw_marks_process_ended(struct mw_marks *marks, pid_t pid);

/* How many marks found no room. */
uint64_t mw_marks_lost(const struct mw_marks *marks);

/*
 * Waits until there is much to take, or mw_marks_wake was called, since mw_marks_wakes had the
 * value seen; at most timeout_ms (negative: for ever). From any thread.
 */
uint32_t mw_marks_wakes(const struct mw_marks *marks);
void mw_marks_wait(struct mw_marks *marks, uint32_t seen, int timeout_ms);
void mw_marks_wake(struct mw_marks *marks);

#endif
