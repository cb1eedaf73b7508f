/*
 * Where the memory of a suspect grows: two snapshots of what it has mapped, apart.
 *
 * The first is taken as soon as it may be, the second when a tenth of the time has passed for which
 * the process had been observed, at least a minute (or half of that time, if it is less); or at the
 * end of the recording. A process that ends before, or executes another program, has but the first.
 *
 * A snapshot may take long to read, and the process can map no memory meanwhile (see
 * capture/mappings.h). So it is read a millisecond at a time, with pauses, and never more of
 * them than make a thousandth of a core since the recording began. One whose memory is more than
 * MW_SNAPSHOTS_MOST_BYTES is left alone: a single mapping of that size would hold it up for 0.4 s.
 */
#ifndef MW_RECORD_SNAPSHOTS_H
#define MW_RECORD_SNAPSHOTS_H

#include "util/mapping.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* So many processes at a time. */
enum { MW_SNAPSHOTS_MOST_PROCESSES = 4 };

#define MW_SNAPSHOTS_MOST_BYTES (INT64_C(32) << 30)

struct mw_snapshots;

/* The recording begins at start_ns (CLOCK_MONOTONIC, as all times). NULL when memory ran out. */
struct mw_snapshots *mw_snapshots_new(int64_t start_ns);

/* NULL is fine. */
void mw_snapshots_free(struct mw_snapshots *snapshots);

/*
 * The process in a slot has become suspect at now_ns, after it was observed for observed_ns. False
 * where nothing will be done: it waits for its second snapshot, or too many others do.
 */
bool mw_snapshots_suspect(struct mw_snapshots *snapshots, uint32_t slot, pid_t pid, int64_t now_ns,
                          int64_t observed_ns);

/* When something is to be read; INT64_MAX where nothing is. */
int64_t mw_snapshots_due_ns(const struct mw_snapshots *snapshots);

/* One that has been read. When it is given, the process still lives, and has the slot. */
struct mw_taken_snapshot {
    uint32_t slot;
    int64_t from_ns, to_ns; /* when it was read */
    bool second;
    const struct mw_mapping_group *groups; /* those with the most memory first */
    size_t count;
};

/* Where they go. Anything but 0 ends the taking, and is returned. */
typedef int mw_snapshot_fn(void *context, const struct mw_taken_snapshot *snapshot);

/* Reads on with what is due at now_ns. */
int mw_snapshots_take(struct mw_snapshots *snapshots, int64_t now_ns, mw_snapshot_fn *give,
                      void *context);

/*
 * At the end of the recording: takes the second snapshot of each process that has a first, if that
 * takes no longer than a quarter of a second, all together.
 */
int mw_snapshots_finish(struct mw_snapshots *snapshots, int64_t now_ns, mw_snapshot_fn *give,
                        void *context);

#endif
