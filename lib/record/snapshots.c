#include "record/snapshots.h"

#include "capture/clock.h"
#include "capture/mappings.h"
#include "capture/procfs.h"

#include <stdlib.h>
#include <unistd.h>

/* All of it may cost a thousandth of the time, and a piece a twentieth of that until the next. */
enum { COST_RATIO = 1000, PIECE_RATIO = 20 };
static const int64_t piece_ns = 1000000;
static const int64_t shortest_pause_ns = INT64_C(60) * 1000000000;
static const int64_t longest_finish_ns = 250000000;

struct suspect {
    bool used;
    uint32_t slot;
    pid_t pid;
    int64_t pause_ns;            /* between its two snapshots */
    int64_t due_ns;              /* when the next may begin */
    int64_t from_ns;             /* when the one that is being read began */
    struct mw_mappings *first;   /* NULL: is still to be taken */
    struct mw_mappings *reading; /* NULL: none is being read */
};

struct mw_snapshots {
    int64_t start_ns;
    int64_t spent_ns;      /* of the CPU */
    int64_t affordable_ns; /* when the next piece may be read at the earliest */
    struct suspect suspects[MW_SNAPSHOTS_MOST_PROCESSES];
};

struct mw_snapshots *mw_snapshots_new(int64_t start_ns)
{
    struct mw_snapshots *snapshots = calloc(1, sizeof *snapshots);

    if (snapshots)
        snapshots->start_ns = start_ns;
    return snapshots;
}

static void drop(struct suspect *suspect)
{
    mw_mappings_close(suspect->first);
    mw_mappings_close(suspect->reading);
    *suspect = (struct suspect){0};
}

void mw_snapshots_free(struct mw_snapshots *snapshots)
{
    if (!snapshots)
        return;
    for (size_t i = 0; i < MW_SNAPSHOTS_MOST_PROCESSES; i++)
        drop(&snapshots->suspects[i]);
    free(snapshots);
}

bool mw_snapshots_suspect(struct mw_snapshots *snapshots, uint32_t slot, pid_t pid, int64_t now_ns,
                          int64_t observed_ns)
{
    struct suspect *place = NULL;
    int64_t shortest_ns = observed_ns / 2 < shortest_pause_ns ? observed_ns / 2 : shortest_pause_ns;
    int64_t pause_ns = observed_ns / 10;

    for (size_t i = 0; i < MW_SNAPSHOTS_MOST_PROCESSES; i++) {
        struct suspect *suspect = &snapshots->suspects[i];

        if (suspect->used && suspect->slot == slot) {
            if (suspect->pid == pid)
                return false;
            drop(suspect); /* an earlier process, which has ended */
        }
        if (!suspect->used)
            place = suspect;
    }
    if (!place)
        return false;
    *place = (struct suspect){
        .used = true,
        .slot = slot,
        .pid = pid,
        .pause_ns = pause_ns > shortest_ns ? pause_ns : shortest_ns,
        .due_ns = now_ns,
    };
    return true;
}

/* The one that is being read, or else the one that is due first. NULL: there is none. */
static const struct suspect *next_suspect(const struct mw_snapshots *snapshots)
{
    const struct suspect *next = NULL;

    for (size_t i = 0; i < MW_SNAPSHOTS_MOST_PROCESSES; i++) {
        const struct suspect *suspect = &snapshots->suspects[i];

        if (suspect->used && suspect->reading)
            return suspect;
        if (suspect->used && (!next || suspect->due_ns < next->due_ns))
            next = suspect;
    }
    return next;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t mw_snapshots_due_ns(const struct mw_snapshots *snapshots)
{
    const struct suspect *next = next_suspect(snapshots);

    return next ? later(next->due_ns, snapshots->affordable_ns) : INT64_MAX;
}

static bool is_too_large(pid_t pid)
{
    char text[128];
    ssize_t length = mw_procfs_read(pid, "statm", text, sizeof text);
    struct mw_statm statm;

    return length >= 0 && mw_procfs_parse_statm(text, (size_t)length, &statm) == 0 &&
           statm.resident_pages > (uint64_t)(MW_SNAPSHOTS_MOST_BYTES / sysconf(_SC_PAGESIZE));
}

/* Hands on a snapshot that has been read. What comes after the first is the second. */
static int finish_reading(struct suspect *suspect, int64_t now_ns, mw_snapshot_fn *give,
                          void *context)
{
    struct mw_taken_snapshot taken = {
        .slot = suspect->slot,
        .from_ns = suspect->from_ns,
        .to_ns = now_ns,
        .second = suspect->first,
    };
    int code;

    taken.groups = mw_mappings_groups(suspect->reading, &taken.count);
    code = give(context, &taken);
    if (taken.second) {
        drop(suspect);
        return code;
    }
    suspect->first = suspect->reading;
    suspect->reading = NULL;
    suspect->due_ns = suspect->from_ns + suspect->pause_ns;
    return code;
}

/*
 * Reads on for a while. A process that cannot be read, mostly because it has ended, is no suspect
 * any more: that must not end the recording.
 */
static int read_on(struct suspect *suspect, int64_t now_ns, int64_t budget_ns, mw_snapshot_fn *give,
                   void *context)
{
    int64_t begin_ns = mw_now_ns();
    int code = 0;

    if (!suspect->reading) {
        suspect->from_ns = now_ns;
        if (is_too_large(suspect->pid) ||
            mw_mappings_open(&suspect->reading, suspect->pid, suspect->first) < 0) {
            drop(suspect);
            return 0;
        }
    }
    code = mw_mappings_read(suspect->reading, budget_ns);
    if (code == 0)
        return finish_reading(suspect, now_ns + (mw_now_ns() - begin_ns), give, context);
    if (code < 0)
        drop(suspect);
    return 0;
}

int mw_snapshots_take(struct mw_snapshots *snapshots, int64_t now_ns, mw_snapshot_fn *give,
                      void *context)
{
    const struct suspect *next = next_suspect(snapshots);
    int64_t begin_ns, begin_cpu_ns;
    int code;

    if (!next || now_ns < mw_snapshots_due_ns(snapshots))
        return 0;
    begin_ns = mw_now_ns();
    begin_cpu_ns = mw_thread_cpu_ns();
    code =
        read_on(&snapshots->suspects[next - snapshots->suspects], now_ns, piece_ns, give, context);
    snapshots->spent_ns += mw_thread_cpu_ns() - begin_cpu_ns;
    snapshots->affordable_ns = later(now_ns + (mw_now_ns() - begin_ns) * PIECE_RATIO,
                                     snapshots->start_ns + snapshots->spent_ns * COST_RATIO);
    return code;
}

int mw_snapshots_finish(struct mw_snapshots *snapshots, int64_t now_ns, mw_snapshot_fn *give,
                        void *context)
{
    int64_t begin_ns = mw_now_ns(), passed_ns = 0;
    int code = 0;

    for (size_t i = 0; code == 0 && i < MW_SNAPSHOTS_MOST_PROCESSES; i++) {
        struct suspect *suspect = &snapshots->suspects[i];

        while (code == 0 && suspect->first && passed_ns < longest_finish_ns) {
            code =
                read_on(suspect, now_ns + passed_ns, longest_finish_ns - passed_ns, give, context);
            passed_ns = mw_now_ns() - begin_ns;
        }
        drop(suspect);
    }
    return code;
}
