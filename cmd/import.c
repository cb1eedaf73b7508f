#include "cmd/command.h"
#include "config.h"
#include "store/csv.h"
#include "store/writer.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct option_spec options[] = {
    {'o', "output", "FILE", "the memwatch file; one that is there gets further runs"},
    {'q', "quiet", NULL, "say nothing of what went well"},
    {0},
};

struct row {
    int64_t t_us;
    int64_t rss_kib, shared_kib, swap_kib;
};

enum { MOST_NAMED = 5 };

/* A file of lines on its way into a run. */
struct trace {
    const char *path;
    struct mw_csv csv;
    struct row *rows;
    size_t count, room;
    double first_s, last_s;   /* times as the file has them */
    int64_t duration_us;      /* from the first row to the last */
    int64_t started_ns;       /* since 1970 */
    int64_t interval_us;      /* the usual distance of two rows */
    size_t left_out;          /* lines */
    size_t named[MOST_NAMED]; /* the first of them */
    enum mw_csv_fault faults[MOST_NAMED];
};

/* --- reading ---------------------------------------------------------------------------------- */

static void leave_out(struct trace *trace, size_t line, enum mw_csv_fault fault)
{
    if (trace->left_out < MOST_NAMED) {
        trace->named[trace->left_out] = line;
        trace->faults[trace->left_out] = fault;
    }
    trace->left_out++;
}

static int64_t kib(double bytes)
{
    return llround(bytes / 1024);
}

static int add_row(struct trace *trace, const struct mw_csv_row *row)
{
    if (!mw_array_reserve(&trace->rows, trace->count, &trace->room, sizeof *trace->rows))
        return -ENOMEM;
    if (trace->count == 0)
        trace->first_s = row->t_s;
    trace->last_s = row->t_s;
    trace->duration_us = llround((row->t_s - trace->first_s) * 1e6);
    trace->rows[trace->count++] = (struct row){.t_us = trace->duration_us,
                                               .rss_kib = kib(row->rss),
                                               .shared_kib = kib(row->shared),
                                               .swap_kib = kib(row->swap)};
    return 0;
}

/* What is longer than this cannot be kept in microseconds together with its samples. */
static const double LONGEST_S = 100 * 366 * 86400.0;

static int read_lines(struct trace *trace, FILE *file, struct mw_error *error)
{
    mw_auto_free char *line = NULL;
    size_t size = 0, number = 1;
    ssize_t length;
    int code;

    if (getline(&line, &size, file) < 0)
        return feof(file) ? mw_error_set(error, -ENODATA, "%s is empty", trace->path)
                          : mw_error_errno(error, errno, "cannot read %s", trace->path);
    if ((code = mw_csv_header(line, &trace->csv, error)) < 0) {
        struct mw_error inner = *error;

        return mw_error_set(error, code, "%s: %s", trace->path, inner.text);
    }
    while ((length = getline(&line, &size, file)) >= 0) {
        struct mw_csv_row row;
        enum mw_csv_fault fault;

        number++;
        if (line[strspn(line, "\r\n")] == '\0' && strlen(line) == (size_t)length)
            continue;
        fault = mw_csv_row(&trace->csv, line, (size_t)length, &row);
        if (fault == MW_CSV_OK && trace->count > 0 && row.t_s < trace->last_s)
            fault = MW_CSV_BACKWARDS;
        if (fault == MW_CSV_OK && trace->count > 0 && row.t_s - trace->first_s > LONGEST_S)
            fault = MW_CSV_TOO_LARGE;
        if (fault != MW_CSV_OK)
            leave_out(trace, number, fault);
        else if (add_row(trace, &row) < 0)
            return mw_error_errno(error, ENOMEM, "cannot import %s", trace->path);
    }
    if (!feof(file))
        return mw_error_errno(error, errno, "cannot read %s", trace->path);
    if (trace->count == 0)
        return mw_error_set(error, -ENODATA, "%s holds no line that can be used", trace->path);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const int64_t *first = a, *second = b;

    return (*first > *second) - (*first < *second);
}

/* The median distance of two rows. */
static int find_interval(struct trace *trace, struct mw_error *error)
{
    mw_auto_free int64_t *distances = calloc(trace->count, sizeof *distances);

    if (!distances)
        return mw_error_errno(error, ENOMEM, "cannot import %s", trace->path);
    for (size_t i = 1; i < trace->count; i++)
        distances[i - 1] = trace->rows[i].t_us - trace->rows[i - 1].t_us;
    qsort(distances, trace->count - 1, sizeof *distances, compare);
    trace->interval_us = trace->count > 1 ? distances[(trace->count - 1) / 2] : 0;
    if (trace->interval_us <= 0)
        trace->interval_us = 1;
    return 0;
}

/* When it began: as its times say where they count from 1970, else when the file was written. */
static void find_start(struct trace *trace, FILE *file)
{
    static const double FIRST_DATE_S = 1e9; /* in 2001 */
    struct stat status;

    if (trace->first_s >= FIRST_DATE_S && trace->first_s < 1e10)
        trace->started_ns = llround(trace->first_s * 1e9);
    else if (fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode))
        trace->started_ns = status.st_mtim.tv_sec * INT64_C(1000000000);
    else
        trace->started_ns = time(NULL) * INT64_C(1000000000);
}

static int read_trace(struct trace *trace, struct mw_error *error)
{
    bool is_input = strcmp(trace->path, "-") == 0;
    mw_auto_file FILE *file = is_input ? fdopen(dup(STDIN_FILENO), "r") : fopen(trace->path, "re");
    int code;

    if (!file)
        return mw_error_errno(error, errno, "cannot open %s", trace->path);
    if (is_input)
        trace->path = "standard input";
    if ((code = read_lines(trace, file, error)) < 0 || (code = find_interval(trace, error)) < 0)
        return code;
    find_start(trace, file);
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

enum { SLOT = 0 };

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int begin(struct mw_writer *writer, const struct trace *trace, struct mw_error *error)
{
    mw_auto_free char *folder = getcwd(NULL, 0);
    char *command[] = {(char *)(uintptr_t)trace->path, NULL};
    const char *const arguments[] = {trace->path, NULL};
    struct mw_run run = {
        .version = (char[]){MEMWATCH_VERSION},
        .command = command,
        .command_length = 1,
        .started_ns = trace->started_ns,
        .interval_us = trace->interval_us,
        .children = MW_CHILDREN_NONE,
        .cwd = folder ? folder : (char[]){"?"},
        .scheduling = (char[]){"default"},
        .tracking = (char[]){"none"},
    };
    int code;

    if ((code = mw_writer_begin_run(writer, &run, error)) < 0 ||
        (code = mw_writer_start_process(writer, SLOT, 0, 0, 0, error)) < 0)
        return code;
    return mw_writer_add_image(writer, SLOT, 0, base_name(trace->path), arguments, 1, error);
}

/* A stretch so many times as long as usual is one of which nothing is known. */
enum { GAP = 10 };

static int add_gap(struct mw_writer *writer, const struct trace *trace, const struct row *row,
                   struct mw_ticks *ticks, struct mw_error *error)
{
    struct mw_gap gap = {.from_us = row[-1].t_us, .to_us = row->t_us};

    if (gap.to_us - gap.from_us > ticks->longest_gap_us)
        ticks->longest_gap_us = gap.to_us - gap.from_us;
    if ((gap.to_us - gap.from_us) / GAP <= trace->interval_us)
        return 0;
    gap.ticks = (uint64_t)((gap.to_us - gap.from_us) / trace->interval_us - 1);
    ticks->missed += gap.ticks;
    return mw_writer_add_gap(writer, &gap, error);
}

/* A value that did not change has no sample, as in every recording. */
static int add_values(struct mw_writer *writer, const struct trace *trace, const struct row *row,
                      struct mw_error *error)
{
    bool first = row == trace->rows;
    int code = 0;

    if (first || row->rss_kib != row[-1].rss_kib)
        code = mw_writer_add_sample(writer, SLOT, MW_METRIC_RSS, row->t_us, row->rss_kib, error);
    if (code == 0 && trace->csv.has_shared && (first || row->shared_kib != row[-1].shared_kib))
        code =
            mw_writer_add_sample(writer, SLOT, MW_METRIC_SHARED, row->t_us, row->shared_kib, error);
    if (code == 0 && trace->csv.has_swap && (first || row->swap_kib != row[-1].swap_kib))
        code = mw_writer_add_sample(writer, SLOT, MW_METRIC_SWAP, row->t_us, row->swap_kib, error);
    return code;
}

static int write_trace(struct mw_writer *writer, const struct trace *trace, struct mw_error *error)
{
    struct mw_ticks ticks = {
        .taken = trace->count, .lateness_p50_us = -1, .lateness_p99_us = -1, .lateness_max_us = -1};
    struct mw_recorder_cost cost = {0};
    int code = begin(writer, trace, error);

    for (size_t i = 0; code == 0 && i < trace->count; i++) {
        code = add_values(writer, trace, &trace->rows[i], error);
        if (code == 0 && i > 0)
            code = add_gap(writer, trace, &trace->rows[i], &ticks, error);
    }
    ticks.due = ticks.taken + ticks.missed;
    if (code < 0 ||
        (code = mw_writer_set_progress(writer, trace->duration_us, &ticks, &cost, error)) < 0)
        return code;
    return mw_writer_end_run(writer, MW_OUTCOME_IMPORTED, -1, -1, -1, error);
}

/* --- the command ------------------------------------------------------------------------------ */

static void tell_left_out(const struct trace *trace)
{
    char count[MW_FORMAT_SIZE], list[MOST_NAMED * 64] = "";
    size_t length = 0;

    for (size_t i = 0; i < trace->left_out && i < MOST_NAMED; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s line %zu (%s)",
                                   i > 0 ? "," : "", trace->named[i],
                                   mw_csv_fault_text(trace->faults[i]));
    if (trace->left_out > 0)
        cmd_message("%s: %s %s left out:%s%s", trace->path,
                    mw_format_count(count, (int64_t)trace->left_out),
                    trace->left_out == 1 ? "line is" : "lines are", list,
                    trace->left_out > MOST_NAMED ? " …" : "");
}

/* What has become runs. */
struct imported {
    size_t files, rows;
    const char *path; /* of the last file */
};

static void tell_imported(const struct imported *imported, const char *output)
{
    mw_auto_free char *word = mw_text_command(&output, 1);
    mw_auto_free char *files = cmd_words("%zu files", imported->files);
    char rows[MW_FORMAT_SIZE];

    cmd_message(
        "%s %s of %s in %s; next: memwatch leak %s", mw_format_count(rows, (int64_t)imported->rows),
        imported->rows == 1 ? "row" : "rows", imported->files > 1 && files ? files : imported->path,
        output, word ? word : output);
}

static int import_file(struct mw_writer *writer, const char *path, struct imported *imported,
                       struct mw_error *error)
{
    struct trace trace = {.path = path};
    int code = read_trace(&trace, error);

    tell_left_out(&trace);
    if (code == 0)
        code = write_trace(writer, &trace, error);
    if (code == 0) {
        imported->files++;
        imported->rows += trace.count;
        imported->path = trace.path;
    }
    free(trace.rows);
    return code;
}

static int import(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct mw_writer *writer;
    struct imported imported = {0};
    const char *output = NULL;
    struct mw_error error;
    bool quiet = false;
    int id, status = CMD_OK;

    while ((id = cmd_next(&line)) > 0) {
        if (id == 'q')
            quiet = true;
        else
            output = line.value;
    }
    if (id < 0)
        return command->usage_status;
    if (line.operand_count == 0)
        return cmd_usage(command, "name a file to import");
    if (!output)
        return cmd_usage(command, "name the memwatch file to write: -o FILE");
    if (mw_writer_open(&writer, output, &error) < 0)
        return cmd_fail(&error);
    if (mw_writer_notice(writer))
        cmd_message("%s", mw_writer_notice(writer));
    for (int i = 0; i < line.operand_count; i++) {
        if (import_file(writer, line.operands[i], &imported, &error) < 0)
            status = cmd_fail(&error);
    }
    mw_writer_close(writer);
    if (imported.files > 0 && !quiet)
        tell_imported(&imported, output);
    return status;
}

const struct command import_command = {
    .name = "import",
    .operands = "FILE.csv…",
    .summary = "make recordings of traces from elsewhere",
    .details =
        "The first line of a file names its columns: "
        "time_s,rss_bytes[,shared_bytes][,swap_bytes].\n"
        "Times are seconds from any moment on, and do not go back. Lines that cannot be used are\n"
        "left out and named; a stretch ten times as long as usual counts as not recorded. - is "
        "the\n"
        "standard input.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = import,
};
