#include "store/writer.h"

#include "store/bound.h"
#include "store/ended.h"
#include "store/events.h"
#include "store/file.h"
#include "store/high.h"
#include "store/migrate.h"
#include "store/retention.h"
#include "store/rollup.h"
#include "store/snapshots.h"
#include "store/sql.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every statement of a recording, prepared once. The order is that of `sql` below. */
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

static const char *const sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ADD_RUN] = "INSERT INTO run (version, started_ns, duration_us, interval_us, children, cwd, "
                "note, scheduling, tracking, rss_bound_kib, peak_bound_kib) "
                "VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [ADD_COMMAND] = "INSERT INTO command (run, position, value) VALUES (?1, ?2, ?3)",
    [ADD_PROCESS] = "INSERT INTO process (run, pid, ppid, start_us) VALUES (?1, ?2, ?3, ?4)",
    [ADD_IMAGE] = "INSERT INTO image (process, since_us, name) VALUES (?1, ?2, ?3)",
    [ADD_ARGUMENT] = "INSERT INTO argument (image, position, value) VALUES (?1, ?2, ?3)",
    [ADD_SERIES] = "INSERT INTO series (run, process, metric, since_us) VALUES (?1, ?2, ?3, ?4)",
    [ADD_SAMPLE] = "INSERT OR REPLACE INTO sample (series, dt_us, kib) VALUES (?1, ?2, ?3)",
    [ADD_GAP] = "INSERT OR REPLACE INTO gap (run, from_us, to_us, ticks) VALUES (?1, ?2, ?3, ?4)",
    [ADD_CLOCK] = "INSERT OR REPLACE INTO clock (run, t_us, realtime_ns) VALUES (?1, ?2, ?3)",
    [ADD_FUNCTION] = "INSERT INTO function (run, line, name, file) VALUES (?1, ?2, ?3, ?4)",
    [SET_FUNCTION] = "UPDATE function SET calls = ?2, ended = ?3, stored = ?4, total_ns = ?5, "
                     "max_ns = ?6, suspended_ns = ?7, growth_kib = ?8, peak_kib = ?9, "
                     "peak_upper_kib = ?10, peak_from_us = ?11, peak_to_us = ?12, "
                     "peak_source = ?13 WHERE id = ?1",
    [ADD_CALL] = "INSERT OR REPLACE INTO call (function, enter_us, number, thread, track, depth, "
                 "suspended_ns, process, duration_ns, enter_kib, exit_kib, peak_kib, "
                 "peak_upper_kib, peak_from_dt_us, peak_to_dt_us, peak_is_kernels) "
                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    [END_PROCESS] = "UPDATE process SET end_us = ?2, exit_status = coalesce(?3, exit_status), "
                    "exit_signal = coalesce(?4, exit_signal) WHERE id = ?1",
    [SET_EXIT] = "UPDATE process SET exit_status = ?2, exit_signal = ?3, "
                 "peak_upper_kib = coalesce(?4, peak_upper_kib) WHERE id = ?1",
    [SET_PROCESS_PEAK] = "UPDATE process SET peak_kib = ?2, peak_upper_kib = ?3, "
                         "peak_from_us = ?4, peak_to_us = ?5, peak_source = ?6 WHERE id = ?1",
    [SET_RUN_PEAK] = "UPDATE run SET peak_kib = ?2, peak_upper_kib = ?3, peak_from_us = ?4, "
                     "peak_to_us = ?5, peak_source = ?6 WHERE id = ?1",
    [SET_PROGRESS] =
        "UPDATE run SET duration_us = ?2, ticks_due = ?3, ticks_taken = ?4, ticks_missed = ?5, "
        "longest_gap_us = ?6, lateness_p50_us = ?7, lateness_p99_us = ?8, lateness_max_us = ?9, "
        "recorder_cpu_us = ?10, recorder_rss_kib = ?11, lost_events = ?12, dropped_records = ?13, "
        "lost_marks = ?14, blind_us = ?15 WHERE id = ?1",
    [END_RUN] = "UPDATE run SET outcome = ?2, exit_status = ?3, exit_signal = ?4 WHERE id = ?1",
    [END_ROOT] = "UPDATE process SET end_us = coalesce(end_us, "
                 "(SELECT duration_us FROM run WHERE id = ?2)), exit_status = ?3, exit_signal = ?4 "
                 "WHERE id = ?1",
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

/* Rows are smaller, but for those with long words in them. */
enum { ROW_BYTES = 64 };

/* A series counts its time from its own start, so that it fits into four bytes. */
static const int64_t longest_series_us = INT32_MAX;

/* Whatever failed, the file is to hold what was last committed. */
static int abandon(struct mw_writer *writer, int code, struct mw_error *error)
{
    if (!sqlite3_get_autocommit(writer->db))
        sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
    writer->in_transaction = false;
    if (code == -ENOSPC && bound_was_reached(&writer->bound, writer->path))
        return mw_error_set(error, -EFBIG,
                            "%s is as large as --max-file allows, and has nothing left to give up",
                            writer->path);
    return code;
}

static int fail(struct mw_writer *writer, struct mw_error *error)
{
    return abandon(writer, mw_sql_error(writer->db, writer->path, error), error);
}

static int run_statement(struct mw_writer *writer, enum statement which, struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[which];

    if (sqlite3_step(statement) != SQLITE_DONE) {
        int code = fail(writer, error);

        sqlite3_reset(statement);
        return code;
    }
    sqlite3_reset(statement);
    return 0;
}

/* Begins a transaction unless one is open: everything up to the next commit belongs to it. */
static int need_transaction(struct mw_writer *writer, struct mw_error *error)
{
    int code;

    if (writer->in_transaction)
        return 0;
    if ((code = run_statement(writer, BEGIN, error)) < 0)
        return code;
    writer->in_transaction = true;
    return 0;
}

/* Binds whole numbers to the first parameters of a statement. */
#define BIND(writer, which, ...)                                                                   \
    bind_numbers((writer)->statements[which], (const int64_t[]){__VA_ARGS__},                      \
                 sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void bind_numbers(sqlite3_stmt *statement, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sqlite3_bind_int64(statement, (int)i + 1, numbers[i]);
}

/* A number that is null where it is negative: -1 says "not known" in recording.h. */
static void bind_optional(sqlite3_stmt *statement, int position, int64_t number)
{
    if (number < 0)
        sqlite3_bind_null(statement, position);
    else
        sqlite3_bind_int64(statement, position, number);
}

static void bind_text(sqlite3_stmt *statement, int position, const char *text)
{
    sqlite3_bind_text(statement, position, text, -1, SQLITE_STATIC);
}

/* Opens the file itself and takes the recorder's lock, before SQLite touches it. */
static int lock_file(struct mw_writer *writer, struct mw_error *error)
{
    struct stat status;
    int code;

    writer->lock_fd = open(writer->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (writer->lock_fd < 0)
        return mw_error_errno(error, errno, "cannot write %s", writer->path);
    if (fstat(writer->lock_fd, &status) < 0 || !S_ISREG(status.st_mode))
        return mw_error_set(error, -EBADMSG, "%s is no regular file", writer->path);
    code = mw_file_lock(writer->lock_fd);
    if (code == -EBUSY)
        return mw_error_set(error, code, "%s is being recorded by another memwatch", writer->path);
    if (code < 0)
        return mw_error_errno(error, -code, "cannot lock %s", writer->path);
    writer->created = status.st_size == 0;
    /* SQLite would take a file of some bytes for an empty database. */
    if (!writer->created && !mw_file_is_memwatch(writer->path))
        return mw_error_set(error, -EBADMSG, "%s is no memwatch file", writer->path);
    return 0;
}

static int open_database(struct mw_writer *writer, struct mw_error *error)
{
    bool network = mw_file_is_remote(writer->lock_fd);
    int code;

    /* Without statistics SQLite takes no lock at each allocation. Fails once it is in use: no
     * matter. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (sqlite3_open_v2(writer->path, &writer->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return mw_sql_error(writer->db, writer->path, error);
    sqlite3_extended_result_codes(writer->db, 1);
    sqlite3_busy_timeout(writer->db, MW_SQL_PATIENCE_MS);
    /*
     * The schema goes in without fsync and before write-ahead logging is on: a new file has nothing
     * to lose yet, and its header then says from the start that it is a memwatch file.
     */
    if (writer->created)
        sqlite3_exec(writer->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    if ((code = mw_migrate(writer->db, writer->path, error)) < 0)
        return code;
    if (sqlite3_exec(writer->db,
                     network ? "PRAGMA journal_mode = TRUNCATE" : "PRAGMA journal_mode = WAL", NULL,
                     NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(writer->db,
                     "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512;"
                     "PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;"
                     "PRAGMA secure_delete = OFF",
                     NULL, NULL, NULL) != SQLITE_OK)
        return mw_sql_error(writer->db, writer->path, error);
    if (network)
        snprintf(writer->notice, sizeof writer->notice,
                 "%s is on a network file system: written with a rollback journal, so a reader "
                 "may hold up the recording for a moment",
                 writer->path);
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(writer->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &writer->statements[i], NULL) != SQLITE_OK)
            return mw_sql_error(writer->db, writer->path, error);
    }
    if ((code = rollups_new(&writer->rollups, writer->db, writer->path, error)) < 0)
        return code;
    return retention_new(&writer->retention, writer->db, writer->path, &writer->bound,
                         writer->rollups, error);
}

int mw_writer_open(struct mw_writer **ret_writer, const char *path, struct mw_error *error)
{
    struct mw_writer *writer = calloc(1, sizeof *writer);
    int code;

    if (!writer)
        return mw_error_errno(error, ENOMEM, "%s", path);
    writer->lock_fd = -1;
    writer->keep = mw_keep_all;
    writer->path = strdup(path);
    if (!writer->path)
        code = mw_error_errno(error, ENOMEM, "%s", path);
    else if ((code = lock_file(writer, error)) == 0)
        code = open_database(writer, error);
    if (code < 0) {
        mw_writer_close(writer);
        return code;
    }
    *ret_writer = writer;
    return 0;
}

int mw_writer_keep(struct mw_writer *writer, const struct mw_keep *keep, struct mw_error *error)
{
    if (keep->count > 0)
        writer->keep = *keep;
    if (keep->max_file_bytes == 0)
        return 0;
    return bound_set(&writer->bound, writer->db, writer->path, keep->max_file_bytes, error);
}

const char *mw_writer_notice(const struct mw_writer *writer)
{
    return *writer->notice ? writer->notice : NULL;
}

void mw_writer_close(struct mw_writer *writer)
{
    if (!writer)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(writer->statements[i]);
    retention_free(writer->retention);
    rollups_free(writer->rollups);
    bound_clear(&writer->bound);
    if (writer->db) {
        if (!sqlite3_get_autocommit(writer->db))
            sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
        /* One plain file that opens read-only anywhere. Not while somebody reads it: then it stays
         * as it is, which is whole as well. */
        sqlite3_busy_timeout(writer->db, 0);
        sqlite3_exec(writer->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(writer->db);
    if (writer->created && writer->lock_fd >= 0)
        unlink(writer->path);
    if (writer->lock_fd >= 0)
        close(writer->lock_fd);
    free(writer->entities);
    ended_clear(&writer->ended);
    free(writer->path);
    free(writer);
}

/* Stores words with their positions under the row they belong to. */
static int add_words(struct mw_writer *writer, enum statement which, int64_t row,
                     const char *const *words, size_t count, struct mw_error *error)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < count; i++) {
        writer->rows += 1 + (int64_t)strlen(words[i]) / ROW_BYTES;
        BIND(writer, which, row, (int64_t)i);
        bind_text(writer->statements[which], 3, words[i]);
        code = run_statement(writer, which, error);
    }
    return code;
}

int mw_writer_begin_run(struct mw_writer *writer, const struct mw_run *run, struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[ADD_RUN];
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    bind_text(statement, 1, run->version);
    sqlite3_bind_int64(statement, 2, run->started_ns);
    sqlite3_bind_int64(statement, 3, run->interval_us);
    bind_text(statement, 4, mw_children_name(run->children));
    bind_text(statement, 5, run->cwd);
    bind_text(statement, 6, run->note);
    bind_text(statement, 7, run->scheduling);
    bind_text(statement, 8, run->tracking);
    sqlite3_bind_int64(statement, 9, run->rss_bound_bytes / 1024);
    sqlite3_bind_int64(statement, 10, run->peak_bound_bytes / 1024);
    if ((code = run_statement(writer, ADD_RUN, error)) < 0)
        return code;
    writer->run = sqlite3_last_insert_rowid(writer->db);
    writer->root = 0;
    writer->root_status = writer->root_signal = -1;
    writer->process_count = 0;
    writer->root_only = run->children == MW_CHILDREN_NONE;
    writer->knows_execs =
        strcmp(run->tracking, "perf") == 0 || strcmp(run->tracking, "connector") == 0;
    writer->rss_bound_kib = run->rss_bound_bytes / 1024;
    writer->peak_bound_kib = run->peak_bound_bytes / 1024;
    writer->run_peak = writer->root_peak = (struct high){0};
    writer->tree = (struct entity){0};
    writer->duration_us = 0;
    if ((code = rollups_begin(writer->rollups, writer->run, &writer->keep, error)) < 0 ||
        (code = retention_begin(writer->retention, writer->run, &writer->keep, error)) < 0)
        return abandon(writer, code, error);
    if ((code = add_words(writer, ADD_COMMAND, writer->run, (const char *const *)run->command,
                          run->command_length, error)) < 0 ||
        (code = mw_writer_add_clock(writer, 0, run->started_ns, error)) < 0)
        return code;
    code = mw_writer_commit(writer, error);
    if (code == 0)
        writer->created = false;
    return code;
}

/* Grows the table of entities up to a slot; false when memory ran out. */
static bool reserve_slot(struct mw_writer *writer, uint32_t slot)
{
    size_t count = (size_t)slot + 1 + slot / 2;
    struct entity *entities;

    if (slot < writer->entity_count)
        return true;
    entities = reallocarray(writer->entities, count, sizeof *entities);
    if (!entities)
        return false;
    memset(entities + writer->entity_count, 0, (count - writer->entity_count) * sizeof *entities);
    writer->entities = entities;
    writer->entity_count = count;
    return true;
}

static struct entity *entity_at(struct mw_writer *writer, uint32_t slot)
{
    return slot == MW_SLOT_TREE ? &writer->tree : &writer->entities[slot];
}

int mw_writer_start_process(struct mw_writer *writer, uint32_t slot, int pid, int ppid,
                            int64_t start_us, struct mw_error *error)
{
    struct entity *entity;
    int code;

    if (!reserve_slot(writer, slot))
        return mw_error_errno(error, ENOMEM, "%s", writer->path);
    if ((code = need_transaction(writer, error)) < 0)
        return code;
    BIND(writer, ADD_PROCESS, writer->run, pid, ppid, start_us);
    if ((code = run_statement(writer, ADD_PROCESS, error)) < 0)
        return code;
    entity = entity_at(writer, slot);
    *entity = (struct entity){
        .process = sqlite3_last_insert_rowid(writer->db),
        .pid = pid,
        .start_us = start_us,
        .live = true,
        .window_us = start_us,
    };
    writer->process_count++;
    retention_count(writer->retention, PRUNE_PROCESSES);
    writer->rows++;
    if (writer->root == 0)
        writer->root = entity->process;
    return 0;
}

int mw_writer_add_image(struct mw_writer *writer, uint32_t slot, int64_t since_us, const char *name,
                        const char *const *arguments, size_t argument_count, struct mw_error *error)
{
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    entity_at(writer, slot)->images++;
    retention_count(writer->retention, PRUNE_REST);
    BIND(writer, ADD_IMAGE, entity_at(writer, slot)->process, since_us);
    bind_text(writer->statements[ADD_IMAGE], 3, name);
    if ((code = run_statement(writer, ADD_IMAGE, error)) < 0)
        return code;
    return add_words(writer, ADD_ARGUMENT, sqlite3_last_insert_rowid(writer->db), arguments,
                     argument_count, error);
}

/* Until the tree has a series of its own, its first process stands for it. */
static bool counts_for_run(const struct mw_writer *writer, const struct entity *entity)
{
    if (entity == &writer->tree)
        return true;
    return entity->process == writer->root && writer->tree.series[MW_METRIC_RSS].id == 0;
}

static int64_t bound_of(const struct mw_writer *writer, enum mw_peak_source source)
{
    return source == MW_PEAK_KERNEL ? writer->peak_bound_kib : writer->rss_bound_kib;
}

static void raise_peak(struct mw_writer *writer, struct entity *entity,
                       const struct reached *reached)
{
    high_raise(&entity->peak, reached);
    if (entity->process != 0 && entity->process == writer->root)
        writer->root_peak = entity->peak;
}

/* Keeps the peaks of a process and of the run, from samples and from high-water marks. */
static void follow_peak(struct mw_writer *writer, struct entity *entity, enum mw_metric metric,
                        int64_t t_us, int64_t kib)
{
    bool kernel = metric == MW_METRIC_PEAK;
    const struct reached reached = {
        .kib = kib,
        .bound_kib = bound_of(writer, kernel ? MW_PEAK_KERNEL : MW_PEAK_SAMPLED),
        .from_us = kernel ? entity->window_us : t_us,
        .to_us = t_us,
        .kernel = kernel,
    };

    if (metric != MW_METRIC_RSS && !kernel)
        return;
    if (kernel)
        entity->window_us = t_us;
    raise_peak(writer, entity, &reached);
    /* What one process had at a moment, the tree had at least: no sweep need have seen it. */
    if (kernel || counts_for_run(writer, entity))
        high_raise(&writer->run_peak, &reached);
}

/* The series to write to at t_us: begins one where there is none, or the present one is full. */
static int need_series(struct mw_writer *writer, struct entity *entity, enum mw_metric metric,
                       int64_t t_us, struct mw_error *error)
{
    int code;

    if (entity->series[metric].id != 0 &&
        t_us - entity->series[metric].since_us <= longest_series_us)
        return 0;
    BIND(writer, ADD_SERIES, writer->run);
    if (entity->process)
        sqlite3_bind_int64(writer->statements[ADD_SERIES], 2, entity->process);
    else
        sqlite3_bind_null(writer->statements[ADD_SERIES], 2);
    bind_text(writer->statements[ADD_SERIES], 3, mw_metric_name(metric));
    sqlite3_bind_int64(writer->statements[ADD_SERIES], 4, t_us);
    if ((code = run_statement(writer, ADD_SERIES, error)) < 0)
        return code;
    entity->series[metric].id = sqlite3_last_insert_rowid(writer->db);
    entity->series[metric].since_us = t_us;
    return 0;
}

int mw_writer_add_sample(struct mw_writer *writer, uint32_t slot, enum mw_metric metric,
                         int64_t t_us, int64_t kib, struct mw_error *error)
{
    struct entity *entity = entity_at(writer, slot);
    int code;

    if ((code = need_transaction(writer, error)) < 0 ||
        (code = need_series(writer, entity, metric, t_us, error)) < 0)
        return code;
    BIND(writer, ADD_SAMPLE, entity->series[metric].id, t_us - entity->series[metric].since_us,
         kib);
    if ((code = run_statement(writer, ADD_SAMPLE, error)) < 0)
        return code;
    code = rollups_add(writer->rollups, &entity->series[metric].rollup, entity->process, metric,
                       t_us, kib, error);
    if (code < 0)
        return abandon(writer, code, error);
    retention_count(writer->retention, 0);
    writer->rows++;
    follow_peak(writer, entity, metric, t_us, kib);
    return 0;
}

void mw_writer_allow_peak(struct mw_writer *writer, uint32_t slot, int64_t most_kib)
{
    struct entity *entity = entity_at(writer, slot);

    most_kib += writer->peak_bound_kib;
    high_allow(&entity->peak, most_kib);
    high_allow(&writer->run_peak, most_kib);
    if (entity->process == writer->root)
        writer->root_peak = entity->peak;
}

void mw_writer_raise_peak(struct mw_writer *writer, uint32_t slot, const struct mw_reached *reached)
{
    struct entity *entity = slot < writer->entity_count ? &writer->entities[slot] : NULL;
    struct reached known = {
        .kib = reached->kib,
        .bound_kib = bound_of(writer, reached->source),
        .from_us = reached->from_us,
        .to_us = reached->to_us,
        .kernel = reached->source == MW_PEAK_KERNEL,
    };
    int64_t most_kib = known.kib + known.bound_kib + reached->unseen_kib;

    if (entity) {
        if (known.from_us < entity->start_us)
            known.from_us = entity->start_us;
        high_allow(&entity->peak, most_kib);
        raise_peak(writer, entity, &known);
    }
    high_allow(&writer->run_peak, most_kib);
    high_raise(&writer->run_peak, &known);
}

void mw_writer_unbound_peaks(struct mw_writer *writer)
{
    for (size_t i = 0; i < writer->entity_count; i++) {
        struct entity *entity = &writer->entities[i];

        if (entity->live)
            high_unbound(&entity->peak);
        if (entity->live && entity->process == writer->root)
            high_unbound(&writer->root_peak);
    }
    high_unbound(&writer->run_peak);
}

static const char *peak_source(bool kernel)
{
    return kernel ? "kernel" : "sampled";
}

/* Stores a peak that has grown since it was last stored. */
static int flush_peak(struct mw_writer *writer, enum statement which, int64_t row,
                      struct high *high, struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[which];

    if (!high->dirty)
        return 0;
    high->dirty = false;
    sqlite3_bind_int64(statement, 1, row);
    sqlite3_bind_int64(statement, 2, high->kib);
    bind_optional(statement, 3, high_bound(high));
    sqlite3_bind_int64(statement, 4, high->from_us);
    sqlite3_bind_int64(statement, 5, high->to_us);
    bind_text(statement, 6, peak_source(high->kernel));
    return run_statement(writer, which, error);
}

/* How the first process has ended, where that is told. */
static void note_root_end(struct mw_writer *writer, int64_t process, int status, int signal)
{
    if (process != writer->root || (status < 0 && signal < 0))
        return;
    writer->root_status = status;
    writer->root_signal = signal;
}

int mw_writer_end_process(struct mw_writer *writer, uint32_t slot, int64_t end_us, int exit_status,
                          int exit_signal, struct mw_error *error)
{
    struct entity *entity = entity_at(writer, slot);
    sqlite3_stmt *statement = writer->statements[END_PROCESS];
    int code;

    if ((code = need_transaction(writer, error)) < 0 ||
        (code = flush_peak(writer, SET_PROCESS_PEAK, entity->process, &entity->peak, error)) < 0)
        return code;
    entity->live = false;
    for (size_t i = 0; i < MW_METRIC_COUNT; i++) {
        if ((code = rollups_end(writer->rollups, &entity->series[i].rollup, end_us, error)) < 0)
            return abandon(writer, code, error);
    }
    ended_add(&writer->ended, &(struct ended){entity->process, entity->pid, entity->start_us,
                                              end_us, entity->peak});
    note_root_end(writer, entity->process, exit_status, exit_signal);
    BIND(writer, END_PROCESS, entity->process, end_us);
    bind_optional(statement, 3, exit_status);
    bind_optional(statement, 4, exit_signal);
    return run_statement(writer, END_PROCESS, error);
}

/* Whether the pid was given to a later process before the moment for which an exit stands. */
static bool is_live(const struct mw_writer *writer, const struct mw_exit *exit)
{
    for (size_t i = 0; i < writer->entity_count; i++) {
        const struct entity *entity = &writer->entities[i];

        if (entity->live && entity->pid == exit->pid && entity->start_us <= exit->t_us)
            return true;
    }
    return false;
}

int mw_writer_set_exit(struct mw_writer *writer, const struct mw_exit *exit, bool *ret_stored,
                       struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[SET_EXIT];
    struct ended *ended =
        is_live(writer, exit) ? NULL : ended_find(&writer->ended, exit->pid, exit->t_us);
    int code;

    *ret_stored = ended != NULL;
    if (!ended)
        return 0;
    if ((code = need_transaction(writer, error)) < 0)
        return code;
    note_root_end(writer, ended->process, exit->status, exit->signal);
    if (exit->max_rss_kib >= 0)
        high_close(&ended->peak, exit->max_rss_kib, writer->peak_bound_kib);
    BIND(writer, SET_EXIT, ended->process);
    bind_optional(statement, 2, exit->status);
    bind_optional(statement, 3, exit->signal);
    bind_optional(statement, 4, high_bound(&ended->peak));
    return run_statement(writer, SET_EXIT, error);
}

int mw_writer_add_gap(struct mw_writer *writer, const struct mw_gap *gap, struct mw_error *error)
{
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    BIND(writer, ADD_GAP, writer->run, gap->from_us, gap->to_us, (int64_t)gap->ticks);
    return run_statement(writer, ADD_GAP, error);
}

int mw_writer_add_function(struct mw_writer *writer, const char *name, const char *file, int line,
                           int64_t *ret_id, struct mw_error *error)
{
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    BIND(writer, ADD_FUNCTION, writer->run);
    bind_optional(writer->statements[ADD_FUNCTION], 2, line > 0 ? line : -1);
    bind_text(writer->statements[ADD_FUNCTION], 3, name);
    bind_text(writer->statements[ADD_FUNCTION], 4, file);
    if ((code = run_statement(writer, ADD_FUNCTION, error)) < 0)
        return code;
    *ret_id = sqlite3_last_insert_rowid(writer->db);
    return 0;
}

/* Bytes as KiB; what is not known stays so. */
static int64_t to_kib(int64_t bytes)
{
    return bytes < 0 ? -1 : bytes / 1024;
}

int mw_writer_set_function(struct mw_writer *writer, const struct mw_function *function,
                           struct mw_error *error)
{
    const struct mw_peak *peak = &function->peak;
    sqlite3_stmt *statement = writer->statements[SET_FUNCTION];
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    BIND(writer, SET_FUNCTION, function->id, (int64_t)function->calls, (int64_t)function->ended,
         (int64_t)function->stored - retention_given_up_calls(writer->retention, function->id),
         function->total_ns, function->max_ns, function->suspended_ns,
         function->growth_bytes / 1024);
    bind_optional(statement, 9, peak->known ? to_kib(peak->bytes) : -1);
    bind_optional(statement, 10, peak->known ? to_kib(peak->upper_bytes) : -1);
    bind_optional(statement, 11, peak->known ? peak->from_us : -1);
    bind_optional(statement, 12, peak->known ? peak->to_us : -1);
    bind_text(statement, 13, peak->known ? peak_source(peak->source == MW_PEAK_KERNEL) : NULL);
    return run_statement(writer, SET_FUNCTION, error);
}

/* The row of the process in a slot; -1: not known. */
static int64_t process_in(const struct mw_writer *writer, uint32_t slot)
{
    int64_t process = slot < writer->entity_count ? writer->entities[slot].process : 0;

    return process ? process : -1;
}

int mw_writer_add_call(struct mw_writer *writer, uint32_t slot, const struct mw_call *call,
                       struct mw_error *error)
{
    const struct mw_peak *peak = &call->peak;
    sqlite3_stmt *statement = writer->statements[ADD_CALL];
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_CALLS);
    writer->rows++;
    BIND(writer, ADD_CALL, call->function, call->from_us, (int64_t)call->number, call->thread,
         call->track < 0 ? -call->track : 0, call->depth, call->suspended_ns);
    bind_optional(statement, 8, process_in(writer, slot));
    bind_optional(statement, 9, call->duration_ns);
    bind_optional(statement, 10, to_kib(call->from_bytes));
    bind_optional(statement, 11, to_kib(call->to_bytes));
    bind_optional(statement, 12, peak->known ? to_kib(peak->bytes) : -1);
    bind_optional(statement, 13, peak->known ? to_kib(peak->upper_bytes) : -1);
    bind_optional(statement, 14, peak->known ? peak->from_us - call->from_us : -1);
    bind_optional(statement, 15, peak->known ? peak->to_us - call->from_us : -1);
    bind_optional(statement, 16, peak->known ? peak->source == MW_PEAK_KERNEL : -1);
    return run_statement(writer, ADD_CALL, error);
}

int mw_writer_add_event(struct mw_writer *writer, uint32_t slot, const struct mw_event *event,
                        struct mw_error *error)
{
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    return events_add(writer->db, writer->run, process_in(writer, slot), event)
               ? 0
               : fail(writer, error);
}

int mw_writer_add_last_event(struct mw_writer *writer, int pid, const struct mw_event *event,
                             struct mw_error *error)
{
    const struct ended *ended = ended_find(&writer->ended, pid, INT64_MAX);
    int code;

    if (!ended)
        return 0;
    if ((code = need_transaction(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    return events_add(writer->db, writer->run, ended->process, event) ? 0 : fail(writer, error);
}

int mw_writer_add_limit(struct mw_writer *writer, uint32_t slot, const struct mw_limit *limit,
                        struct mw_error *error)
{
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    return limits_add(writer->db, writer->run, process_in(writer, slot), limit)
               ? 0
               : fail(writer, error);
}

int mw_writer_add_snapshot(struct mw_writer *writer, uint32_t slot,
                           const struct mw_snapshot *snapshot, struct mw_error *error)
{
    int64_t process = process_in(writer, slot);
    int code;

    if (process < 0)
        return 0;
    if ((code = need_transaction(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    return snapshots_add(writer->db, writer->run, process, snapshot) ? 0 : fail(writer, error);
}

int mw_writer_add_clock(struct mw_writer *writer, int64_t t_us, int64_t realtime_ns,
                        struct mw_error *error)
{
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    retention_count(writer->retention, PRUNE_REST);
    BIND(writer, ADD_CLOCK, writer->run, t_us, realtime_ns);
    return run_statement(writer, ADD_CLOCK, error);
}

int mw_writer_set_progress(struct mw_writer *writer, int64_t duration_us,
                           const struct mw_ticks *ticks, const struct mw_recorder_cost *cost,
                           struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[SET_PROGRESS];
    int code;

    if ((code = need_transaction(writer, error)) < 0)
        return code;
    writer->duration_us = duration_us;
    writer->lost_events = cost->lost_events;
    BIND(writer, SET_PROGRESS, writer->run, duration_us, (int64_t)ticks->due, (int64_t)ticks->taken,
         (int64_t)ticks->missed, ticks->longest_gap_us);
    bind_optional(statement, 7, ticks->lateness_p50_us);
    bind_optional(statement, 8, ticks->lateness_p99_us);
    bind_optional(statement, 9, ticks->lateness_max_us);
    sqlite3_bind_int64(statement, 10, cost->cpu_us);
    sqlite3_bind_int64(statement, 11, cost->max_rss_bytes / 1024);
    sqlite3_bind_int64(statement, 12, (int64_t)cost->lost_events);
    sqlite3_bind_int64(statement, 13, (int64_t)cost->dropped_records);
    sqlite3_bind_int64(statement, 14, (int64_t)cost->lost_marks);
    sqlite3_bind_int64(statement, 15, cost->blind_us);
    return run_statement(writer, SET_PROGRESS, error);
}

int mw_writer_commit(struct mw_writer *writer, struct mw_error *error)
{
    int code;

    if (!writer->in_transaction)
        return 0;
    ended_forget(&writer->ended, writer->duration_us);
    for (size_t i = 0; i < writer->entity_count; i++) {
        struct entity *entity = &writer->entities[i];

        if ((code = flush_peak(writer, SET_PROCESS_PEAK, entity->process, &entity->peak, error)) <
            0)
            return code;
    }
    if ((code = flush_peak(writer, SET_RUN_PEAK, writer->run, &writer->run_peak, error)) < 0)
        return code;
    if ((code = rollups_advance(writer->rollups, writer->duration_us, error)) < 0)
        return abandon(writer, code, error);
    if ((code = run_statement(writer, COMMIT, error)) < 0)
        return code;
    writer->in_transaction = false;
    writer->rows = 0;
    code = retention_work(writer->retention, writer->duration_us, error);
    return code < 0 ? abandon(writer, code, error) : 0;
}

bool mw_writer_is_full(const struct mw_writer *writer)
{
    return bound_is_full(&writer->bound, writer->rows, rollups_series(writer->rollups));
}

bool mw_writer_is_held_up(struct mw_writer *writer)
{
    return !writer->in_transaction && bound_is_held_up(&writer->bound);
}

/* Whether the tree certainly never was more than its first process. */
static bool root_was_alone(const struct mw_writer *writer)
{
    return writer->process_count == 1 && writer->tree.series[MW_METRIC_RSS].id == 0 &&
           (writer->root_only || (writer->knows_execs && writer->lost_events == 0));
}

/*
 * The end of the first process: the mark that wait4 told covers what was used since its last
 * window. Where it was alone it was the tree.
 */
static int end_root(struct mw_writer *writer, int exit_status, int exit_signal, int64_t max_rss_kib,
                    struct mw_error *error)
{
    int code;

    if (max_rss_kib >= 0) {
        high_close(&writer->root_peak, max_rss_kib, writer->peak_bound_kib);
        if (root_was_alone(writer))
            high_close(&writer->run_peak, max_rss_kib, writer->peak_bound_kib);
    }
    BIND(writer, END_ROOT, writer->root, writer->run);
    bind_optional(writer->statements[END_ROOT], 3, exit_status);
    bind_optional(writer->statements[END_ROOT], 4, exit_signal);
    if ((code = run_statement(writer, END_ROOT, error)) < 0)
        return code;
    return flush_peak(writer, SET_PROCESS_PEAK, writer->root, &writer->root_peak, error);
}

/*
 * A recording that ends before its processes has just closed their last windows, at duration_us or
 * later, where it could. Only a process that ran one program throughout had no window cut off by an
 * exec.
 */
static void close_highs(struct mw_writer *writer)
{
    for (size_t i = 0; i < writer->entity_count && writer->knows_execs; i++) {
        struct entity *entity = &writer->entities[i];

        if (!entity->live || entity->images > 1 || entity->window_us < writer->duration_us)
            continue;
        entity->peak.closed = entity->peak.dirty = true;
        if (entity->process == writer->root && root_was_alone(writer))
            writer->run_peak.closed = writer->run_peak.dirty = true;
    }
}

int mw_writer_end_run(struct mw_writer *writer, enum mw_outcome outcome, int exit_status,
                      int exit_signal, int64_t max_rss_kib, struct mw_error *error)
{
    sqlite3_stmt *statement = writer->statements[END_RUN];
    int code;

    if (outcome == MW_OUTCOME_EXITED && exit_status < 0) {
        exit_status = writer->root_status;
        exit_signal = writer->root_signal;
        outcome = exit_signal < 0 ? MW_OUTCOME_EXITED : MW_OUTCOME_SIGNALED;
    }
    if ((code = need_transaction(writer, error)) < 0)
        return code;
    BIND(writer, END_RUN, writer->run);
    bind_text(statement, 2, mw_outcome_name(outcome));
    bind_optional(statement, 3, exit_status);
    bind_optional(statement, 4, exit_signal);
    if ((code = run_statement(writer, END_RUN, error)) < 0)
        return code;
    if ((outcome == MW_OUTCOME_EXITED || outcome == MW_OUTCOME_SIGNALED) && writer->root != 0 &&
        (code = end_root(writer, exit_status, exit_signal, max_rss_kib, error)) < 0)
        return code;
    if (outcome == MW_OUTCOME_DETACHED)
        close_highs(writer);
    if ((code = rollups_finish(writer->rollups, writer->duration_us, error)) < 0)
        return abandon(writer, code, error);
    return mw_writer_commit(writer, error);
}
