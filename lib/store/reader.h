/*
 * Reads memwatch files, also while a recorder writes them: a reader never blocks or changes a file.
 *
 * Functions that return arrays hand them to the caller, who clears each element and frees the
 * array. Errors: -ENOENT and other errno of the file, -EBADMSG for a file that is none of ours or
 * damaged, -ENOTSUP for one that a newer memwatch wrote; the message names the file.
 */
#ifndef MW_STORE_READER_H
#define MW_STORE_READER_H

#include "store/recording.h"
#include "util/error.h"
#include "util/metric.h"

struct mw_reader;

int mw_reader_open(struct mw_reader **ret_reader, const char *path, struct mw_error *error);

/* NULL is fine. */
void mw_reader_close(struct mw_reader *reader);

/* All runs in the order in which they were recorded. There may be none. */
int mw_reader_runs(struct mw_reader *reader, struct mw_run **ret_runs, size_t *ret_count,
                   struct mw_error *error);

/* All processes of a run in the order in which they were first seen; the first is the target. */
int mw_reader_processes(struct mw_reader *reader, int64_t run, struct mw_process **ret_processes,
                        size_t *ret_count, struct mw_error *error);

/* The metrics of which a run has series, of any process or of the tree. */
int mw_reader_metrics(struct mw_reader *reader, int64_t run, mw_metric_set *ret_metrics,
                      struct mw_error *error);

int mw_reader_gaps(struct mw_reader *reader, int64_t run, struct mw_gap **ret_gaps,
                   size_t *ret_count, struct mw_error *error);

/*
 * The functions that the program of a run marked, in the order in which they were first entered. A
 * file from before there were marks has none.
 */
int mw_reader_functions(struct mw_reader *reader, int64_t run, struct mw_function **ret_functions,
                        size_t *ret_count, struct mw_error *error);

/* Where calls go. Anything but 0 ends the reading and is returned. */
typedef int mw_call_fn(void *context, const struct mw_call *call);

/*
 * Gives the calls that are stored and that overlap a window, both ends included, in the order of
 * entry; of those at the same microsecond the outer before the inner.
 */
int mw_reader_calls(struct mw_reader *reader, int64_t run, int64_t from_us, int64_t to_us,
                    mw_call_fn *give, void *context, struct mw_error *error);

/*
 * The events of a run, and the limits that held in it, in the order of time. Files from before
 * version 3 have neither.
 */
int mw_reader_events(struct mw_reader *reader, int64_t run, struct mw_event **ret_events,
                     size_t *ret_count, struct mw_error *error);
int mw_reader_limits(struct mw_reader *reader, int64_t run, struct mw_limit **ret_limits,
                     size_t *ret_count, struct mw_error *error);

/* What is still there of a run that gives up what is old. */
int mw_reader_kept(struct mw_reader *reader, int64_t run, struct mw_kept *ret_kept,
                   struct mw_error *error);

/*
 * Where the memory of processes grew that were suspect: pair after pair of snapshots in the order
 * of time, and of each pair what grew most first. Files from before version 3 have none.
 */
int mw_reader_growth(struct mw_reader *reader, int64_t run, struct mw_mapping_growth **ret_growth,
                     size_t *ret_count, struct mw_error *error);

/* Where samples go. Anything but 0 ends the reading and is returned. */
typedef int mw_sample_fn(void *context, const struct mw_sample *sample);

/* In the place of a process id: the sum over the tree. */
#define MW_PROCESS_TREE (-1)

/* A part of one series, and how finely it is wanted. */
struct mw_series_window {
    int64_t run, process;
    enum mw_metric metric;
    int64_t from_us, to_us; /* both included */
    int64_t grain_us;       /* the shortest time that matters: 0 for all there is */
};

/*
 * Gives the samples of one series in the order of time: the one that holds at from_us (its time may
 * lie before), then all up to to_us. Where coarser levels are no longer than the grain, they stand
 * for the samples; where finer ones are not there any more, so do coarser ones, and what is in no
 * level is left out. So single samples come in turns with those that stand for several, of which
 * the first may begin before from_us, and the last end behind to_us.
 *
 * The tree's series begins with the run's second process: before that its first process stands for
 * it, here as in the view `tree`. A series that was not recorded gives nothing.
 */
int mw_reader_series(struct mw_reader *reader, const struct mw_series_window *window,
                     mw_sample_fn *give, void *context, struct mw_error *error);

/* The same with a grain of 0. */
int mw_reader_samples(struct mw_reader *reader, int64_t run, int64_t process, enum mw_metric metric,
                      int64_t from_us, int64_t to_us, mw_sample_fn *give, void *context,
                      struct mw_error *error);

#endif
