/*
 * Recordings as the command line names them, and as commands read them.
 *
 *     -1, 0, 12        by their place in `memwatch list`: 0 the oldest, -1 the newest
 *     FILE             the last run in a file
 *     FILE:ID          another run of it
 */
#ifndef MW_CMD_RECORDING_H
#define MW_CMD_RECORDING_H

#include "store/reader.h"
#include "util/error.h"

#include <stdbool.h>

/* A memwatch file of a folder. */
struct listed_file {
    char *path;
    int64_t size_bytes;     /* with what is still in its write-ahead log */
    struct mw_run last_run; /* all zero where the file has none */
    size_t run_count;
    struct mw_error error; /* code below 0: a damaged file, of which only path and size are known */
};

/* The memwatch files of the current folder by the start of their last run, the oldest first. */
int list_files(struct listed_file **ret_files, size_t *ret_count, struct mw_error *error);

void free_listed_files(struct listed_file *files, size_t count);

/* The file that an operand names. The caller frees the path. -ENOENT when there is none. */
int find_file(const char *operand, char **ret_path, struct mw_error *error);

/* One run, open for reading. */
struct recording {
    struct mw_reader *reader;
    char *path;
    struct mw_run *runs; /* of the whole file */
    size_t run_count;
    struct mw_run *run; /* the chosen one */
    struct mw_process *processes;
    size_t process_count;
    mw_metric_set metrics; /* of which there are series */
    struct mw_function *functions;
    size_t function_count;
    struct mw_event *events;
    size_t event_count;
    struct mw_limit *limits;
    size_t limit_count;
    struct mw_kept kept;
};

/* Opens the run that an operand names; NULL is the newest of the current folder. */
int recording_open(struct recording *ret_recording, const char *operand, struct mw_error *error);

/* Makes another run of the same file the chosen one. */
int recording_choose(struct recording *recording, struct mw_run *run, struct mw_error *error);

void recording_close(struct recording *recording);

/* Whose memory stands for the run: the tree's, or the first process's where it was recorded alone.
 */
int64_t recording_series(const struct recording *recording);

/* Whether the run ever had more than one process. */
bool had_children(const struct recording *recording);

/* From when on something is known of the run: what was before is given up. */
int64_t known_since_us(const struct recording *recording);

/* The run's command as one printable line, to be freed; NULL when memory ran out. */
char *recording_command(const struct recording *recording);

/* A process as a person knows it, "python3 (4711)", to be freed; NULL when memory ran out. */
char *process_label(const struct mw_process *process);

/* When a peak was: "at 1.2 s", or the window in which the kernel saw it, "between 1.2 s and 1.3 s".
 */
enum { PEAK_TIME_SIZE = 96 };
char *peak_time(char buffer[static PEAK_TIME_SIZE], const struct mw_peak *peak);

/* The processes by their peaks, the highest first; to be freed. NULL when memory ran out. */
const struct mw_process **processes_by_peak(const struct recording *recording, size_t *ret_count);

/* The process whose own peak is the highest; NULL where none was sampled. */
const struct mw_process *largest_process(const struct recording *recording);

#endif
