/*
 * Writes runs into a memwatch file. A file has one writer at a time; readers may look at any
 * moment.
 *
 * Life cycle: open, begin_run, then starts, images, samples and ends of processes in the order in
 * which they happened, commit every now and then, end_run, close. What was committed survives the
 * death of the recorder. All calls come from one thread at a time.
 *
 * Processes are named by a slot, a small number that the caller chooses and may use again once the
 * process has ended. All times are microseconds since the start of the run, memory is in KiB.
 *
 * Every function returns 0 or a negative errno with a message: -ENOSPC when the disk is full, -EIO,
 * -EROFS … as the system says. After a failed call the file holds what was last committed.
 */
#ifndef MW_STORE_WRITER_H
#define MW_STORE_WRITER_H

#include "store/keep.h"
#include "store/recording.h"
#include "util/error.h"
#include "util/metric.h"

struct mw_writer;

/* The slot of the sum over the tree. */
#define MW_SLOT_TREE UINT32_MAX

/* In the place of a slot, for what is told of marks: its process is not known. */
#define MW_SLOT_UNKNOWN (UINT32_MAX - 1)

/*
 * Opens the file at path for writing, and creates it where there is none (or an empty one).
 * -EBUSY when another recorder writes it, -EBADMSG when it is no memwatch file or a damaged one,
 * -ENOTSUP when a newer memwatch wrote it.
 */
int mw_writer_open(struct mw_writer **ret_writer, const char *path, struct mw_error *error);

/*
 * How long what is kept of the runs that begin from now on, and how large the file may get; before
 * it is told so, and where there are no levels, everything is kept (mw_keep_all). -EFBIG when the
 * file is too large already for a further run; and from then on, from any function, when nothing is
 * left that could be given up.
 */
int mw_writer_keep(struct mw_writer *writer, const struct mw_keep *keep, struct mw_error *error);

/* A remark on how the file is written that its user should know, or NULL. Belongs to the writer. */
const char *mw_writer_notice(const struct mw_writer *writer);

/*
 * Starts a run from the fields version, command, started_ns, interval_us, children, cwd, note,
 * scheduling, tracking and the bounds; the others are ignored.
 */
int mw_writer_begin_run(struct mw_writer *writer, const struct mw_run *run, struct mw_error *error);

int mw_writer_start_process(struct mw_writer *writer, uint32_t slot, int pid, int ppid,
                            int64_t start_us, struct mw_error *error);

/* The program that the process in this slot runs from now on. */
int mw_writer_add_image(struct mw_writer *writer, uint32_t slot, int64_t since_us, const char *name,
                        const char *const *arguments, size_t argument_count,
                        struct mw_error *error);

/*
 * A value that holds until the next of the same slot and metric. A second one at the same
 * microsecond replaces the first. Peaks of processes and of the tree are kept along the way.
 */
int mw_writer_add_sample(struct mw_writer *writer, uint32_t slot, enum mw_metric metric,
                         int64_t t_us, int64_t kib, struct mw_error *error);

/*
 * A process may have had most_kib at a moment that no mark covers: its peak's upper bound is not
 * below that.
 */
void mw_writer_allow_peak(struct mw_writer *writer, uint32_t slot, int64_t most_kib);

/* What a process had at some moment, told by itself: no sample says so. */
struct mw_reached {
    int64_t from_us, to_us;
    int64_t kib;
    int64_t unseen_kib; /* so much more may have been reached unseen */
    enum mw_peak_source source;
};

/* Takes it into the peaks of the process and the run; with MW_SLOT_UNKNOWN that of the run alone.
 */
void mw_writer_raise_peak(struct mw_writer *writer, uint32_t slot,
                          const struct mw_reached *reached);

/* High-water marks of live processes were lost: nothing bounds their peaks, nor that of the run. */
void mw_writer_unbound_peaks(struct mw_writer *writer);

/*
 * exit_status and exit_signal: -1 where they are not known. What a process used between its last
 * high-water mark and its end is not known, and so no upper bound of its peak.
 */
int mw_writer_end_process(struct mw_writer *writer, uint32_t slot, int64_t end_us, int exit_status,
                          int exit_signal, struct mw_error *error);

/* How a process ended, as somebody tells after its end. */
struct mw_exit {
    int pid;
    int64_t t_us;        /* a moment after it had started, and before its pid was used again */
    int status, signal;  /* one of them -1 */
    int64_t max_rss_kib; /* its ru_maxrss, as for mw_writer_end_run; -1: not known */
};

/*
 * Stores an exit. ret_stored is false, and nothing is done, where no process with that pid has
 * ended in the last ten seconds.
 */
int mw_writer_set_exit(struct mw_writer *writer, const struct mw_exit *exit, bool *ret_stored,
                       struct mw_error *error);

int mw_writer_add_gap(struct mw_writer *writer, const struct mw_gap *gap, struct mw_error *error);

/* A function of the run: file may be NULL, and line 0. ret_id is how it is called from then on. */
int mw_writer_add_function(struct mw_writer *writer, const char *name, const char *file, int line,
                           int64_t *ret_id, struct mw_error *error);

/* The aggregates of the function with that id. Its name, file and line are ignored. */
int mw_writer_set_function(struct mw_writer *writer, const struct mw_function *function,
                           struct mw_error *error);

/*
 * A call of a function that was added. Its process is the one that has the slot, or had it last;
 * the field of the call is ignored. Readers expect that the aggregates of the same commit or of one
 * before count it: its duration within those of max_ns and suspended_ns, and one that has not ended
 * among the calls but not among the ended.
 */
int mw_writer_add_call(struct mw_writer *writer, uint32_t slot, const struct mw_call *call,
                       struct mw_error *error);

/*
 * Something that happened to the process that has the slot, or had it last, or with MW_SLOT_TREE to
 * all of them. The field process of the struct is ignored, here and below.
 */
int mw_writer_add_event(struct mw_writer *writer, uint32_t slot, const struct mw_event *event,
                        struct mw_error *error);
/* Something that happened at the end of the process with that pid: it has ended in the last ten
 * seconds, or nothing is done. */
int mw_writer_add_last_event(struct mw_writer *writer, int pid, const struct mw_event *event,
                             struct mw_error *error);

/* A limit of the process that has the slot, or with MW_SLOT_TREE of all of them. */
int mw_writer_add_limit(struct mw_writer *writer, uint32_t slot, const struct mw_limit *limit,
                        struct mw_error *error);

/* What a process had mapped. */
struct mw_snapshot {
    int64_t from_us, to_us; /* when it was read */
    bool second;            /* to be compared with the one before it of the same process */
    const struct mw_mapping_group *groups; /* those with the most memory first */
    size_t count;
};

/* A snapshot of the process that has the slot; nothing is stored where that is not known. */
int mw_writer_add_snapshot(struct mw_writer *writer, uint32_t slot,
                           const struct mw_snapshot *snapshot, struct mw_error *error);

/* What CLOCK_REALTIME said at a moment of the run, in nanoseconds since 1970. */
int mw_writer_add_clock(struct mw_writer *writer, int64_t t_us, int64_t realtime_ns,
                        struct mw_error *error);

/* How far the run has come. Takes part in the next commit. */
int mw_writer_set_progress(struct mw_writer *writer, int64_t duration_us,
                           const struct mw_ticks *ticks, const struct mw_recorder_cost *cost,
                           struct mw_error *error);

int mw_writer_commit(struct mw_writer *writer, struct mw_error *error);

/*
 * Where the size of the file is bounded: whether so much was written that it is time to commit; and
 * whether a reader that looks for long keeps the file's log from beginning anew, so that nothing
 * should be written until it has ended.
 */
bool mw_writer_is_full(const struct mw_writer *writer);
bool mw_writer_is_held_up(struct mw_writer *writer);

/*
 * Ends the run, and with it its first process unless the outcome is detached; commits. With neither
 * exit_status nor exit_signal they are those of the first process, where its end told them. The end
 * is the duration that was last set. max_rss_kib is the high-water mark with which the first
 * process ended, as wait4 tells (ru_maxrss): it bounds its last window. -1: not known.
 */
int mw_writer_end_run(struct mw_writer *writer, enum mw_outcome outcome, int exit_status,
                      int exit_signal, int64_t max_rss_kib, struct mw_error *error);

/*
 * Closes the file, without what was not committed; it is then one plain database file, unless a
 * reader has it open. A file that was created but never got a run is removed again. NULL is fine.
 */
void mw_writer_close(struct mw_writer *writer);

#endif
