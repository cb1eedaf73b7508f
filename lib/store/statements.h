/*
 * A file that is written: what is known of the run that goes into it, and the statements with which
 * it goes. Shared by writer.c, writer_runs.c, writer_processes.c, writer_functions.c,
 * writer_events.c and peaks.c.
 */
#ifndef MW_STORE_STATEMENTS_H
#define MW_STORE_STATEMENTS_H

#include "store/bound.h"
#include "store/ended.h"
#include "store/high.h"
#include "store/keep.h"
#include "store/retention.h"
#include "store/rollup.h"
#include "util/error.h"
#include "util/metric.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every statement of a recording, prepared once: statements.c has their SQL. */
enum statement {
    BEGIN,
    COMMIT,
    ADD_RUN,
    ADD_COMMAND,
    ADD_PROCESS,
    ADD_IMAGE,
    ADD_ARGUMENT,
    ADD_SERIES,
    ADD_SAMPLE,
    ADD_GAP,
    ADD_CLOCK,
    ADD_FUNCTION,
    SET_FUNCTION,
    ADD_CALL,
    END_PROCESS,
    SET_EXIT,
    SET_PROCESS_PEAK,
    SET_RUN_PEAK,
    SET_PROGRESS,
    END_RUN,
    END_ROOT,
    STATEMENT_COUNT
};

/* What is being written for a slot: a process, or the tree. */
struct entity {
    int64_t process; /* row id; 0 for the tree */
    int pid;
    int64_t start_us;
    struct high peak;
    bool live;
    size_t images;     /* how many programs it was seen to run */
    int64_t window_us; /* where the last high-water mark's window ended, or the process began */
    struct {
        int64_t id; /* row id; 0: not begun */
        int64_t since_us;
        struct rollup *rollup;
    } series[MW_METRIC_COUNT];
};

struct mw_writer {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char *path;
    char notice[256];
    int lock_fd;
    bool created; /* by this writer, and nothing recorded yet */
    bool in_transaction;
    int64_t run;          /* row id; 0: none */
    size_t process_count; /* of the run, ever */
    int64_t duration_us;  /* that was last set */
    bool knows_execs;     /* every start and exec is told: no image more is no exec */
    bool root_only;       /* no other process is to be recorded */
    uint64_t lost_events;
    int64_t root;                 /* row id of the run's first process; 0: none yet */
    int root_status, root_signal; /* with which it has ended; -1: not known, or it has not */
    struct high root_peak; /* of the first process, also after its slot has gone to another */
    int64_t rss_bound_kib, peak_bound_kib;
    struct high run_peak;
    struct mw_keep keep;
    struct bound bound;
    struct rollups *rollups;
    struct retention *retention;
    int64_t rows; /* since the last commit; a long one counts as several */
    struct entity tree;
    struct entity *entities; /* by slot */
    size_t entity_count;
    struct ended_list ended; /* of processes, in the last moments */
};

/* Prepares all; they are finalized also where only some were prepared. */
int statements_prepare(struct mw_writer *writer, struct mw_error *error);
void statements_finalize(struct mw_writer *writer);

/* Begins a transaction unless one is open: everything up to the next commit belongs to it. */
int statements_begin(struct mw_writer *writer, struct mw_error *error);

/* Runs a statement that gives no rows. */
int statements_run(struct mw_writer *writer, enum statement which, struct mw_error *error);

/* Stores words with their positions under the row they belong to. */
int statements_words(struct mw_writer *writer, enum statement which, int64_t row,
                     const char *const *words, size_t count, struct mw_error *error);

/* Whatever failed, with this code or in SQLite: the file is to hold what was last committed. */
int statements_abandon(struct mw_writer *writer, int code, struct mw_error *error);
int statements_fail(struct mw_writer *writer, struct mw_error *error);

/* Binds whole numbers to the first parameters of a statement. */
#define BIND(writer, which, ...)                                                                   \
    bind_numbers((writer)->statements[which], (const int64_t[]){__VA_ARGS__},                      \
                 sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

void bind_numbers(sqlite3_stmt *statement, const int64_t *numbers, size_t count);

/* A number that is null where it is negative: -1 says "not known" in recording.h. */
void bind_optional(sqlite3_stmt *statement, int position, int64_t number);

void bind_text(sqlite3_stmt *statement, int position, const char *text);

/* What is written for a slot that was started, or for MW_SLOT_TREE. */
struct entity *entity_at(struct mw_writer *writer, uint32_t slot);

/* The row of the process in a slot; -1: not known. */
int64_t entity_row(const struct mw_writer *writer, uint32_t slot);

#endif
