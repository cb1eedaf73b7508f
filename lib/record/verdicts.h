/*
 * Whether the processes of a recording leak, judged while it goes on: the engine of analysis/leak.h
 * on what is being stored. So `memwatch leak` says the same of the same samples afterwards.
 *
 * What is judged is the anonymous memory of each process, and of all of them once there are two. A
 * verdict that is reached twice in a row, and is not the one that was told last, becomes an event
 * of the file; growth, when it is first seen, makes snapshots of what the process has mapped (see
 * record/snapshots.h).
 *
 * A series costs 20 KiB. Of more than MW_VERDICTS_MOST_SERIES at a time the later ones are left to
 * `memwatch leak`.
 */
#ifndef MW_RECORD_VERDICTS_H
#define MW_RECORD_VERDICTS_H

#include "capture/queue.h"
#include "store/writer.h"
#include "util/error.h"

#include <stdint.h>

enum { MW_VERDICTS_MOST_SERIES = 256 };

struct mw_verdicts;

/* What was observed for less than least_s is not judged. NULL when memory ran out. */
struct mw_verdicts *mw_verdicts_new(double least_s);

/* NULL is fine. */
void mw_verdicts_free(struct mw_verdicts *verdicts);

/* The run has begun. False when memory ran out. */
bool mw_verdicts_begin(struct mw_verdicts *verdicts, struct mw_writer *writer, int64_t start_ns);

/* A record that has just been stored. */
void mw_verdicts_record(struct mw_verdicts *verdicts, const struct mw_record *record);

/* A value that was read beside the records; slot MW_RECORD_TREE: the sum. */
void mw_verdicts_reading(struct mw_verdicts *verdicts, uint32_t slot, enum mw_metric metric,
                         int64_t t_ns, int64_t kib);

/* When something is to be judged or read; INT64_MAX where nothing is. */
int64_t mw_verdicts_due_ns(const struct mw_verdicts *verdicts);

/*
 * Judges what is due, or reads on, for a few milliseconds at most. All records of before now_ns
 * have been told. 0 or an error of the writer.
 */
int mw_verdicts_look(struct mw_verdicts *verdicts, int64_t now_ns, struct mw_error *error);

/* At the end of the recording: snapshots that are still due. 0 or an error of the writer. */
int mw_verdicts_finish(struct mw_verdicts *verdicts, int64_t now_ns, struct mw_error *error);

#endif
