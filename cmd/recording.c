#include "cmd/recording.h"

#include "store/file.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/parse.h"
#include "util/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The size of a file, with the write-ahead log beside it. */
static int64_t size_on_disk(const char *path)
{
    mw_auto_free char *log = NULL;
    struct stat status;
    int64_t size = stat(path, &status) == 0 ? status.st_size : 0;

    if (asprintf(&log, "%s-wal", path) < 0)
        log = NULL;
    else if (stat(log, &status) == 0)
        size += status.st_size;
    return size;
}

static void look_into(struct listed_file *file)
{
    struct mw_reader *reader;
    struct mw_run *runs;
    size_t count;

    file->size_bytes = size_on_disk(file->path);
    if (mw_reader_open(&reader, file->path, &file->error) < 0)
        return;
    if (mw_reader_runs(reader, &runs, &count, &file->error) == 0) {
        file->run_count = count;
        for (size_t i = 0; i < count; i++) {
            if (i + 1 == count)
                file->last_run = runs[i];
            else
                mw_run_clear(&runs[i]);
        }
        free(runs);
    }
    mw_reader_close(reader);
}

static int compare_starts(const void *a, const void *b)
{
    const struct listed_file *first = a, *second = b;

    if (first->last_run.started_ns != second->last_run.started_ns)
        return first->last_run.started_ns < second->last_run.started_ns ? -1 : 1;
    return strcmp(first->path, second->path);
}

int list_files(struct listed_file **ret_files, size_t *ret_count, struct mw_error *error)
{
    DIR *folder = opendir(".");
    struct listed_file *files = NULL;
    struct dirent *entry;
    size_t count = 0, capacity = 0;

    if (!folder)
        return mw_error_errno(error, errno, "cannot read the current folder");
    while ((entry = readdir(folder))) {
        if (!mw_file_is_memwatch(entry->d_name))
            continue;
        if (!mw_array_reserve(&files, count, &capacity, sizeof *files))
            break;
        files[count] = (struct listed_file){.path = strdup(entry->d_name)};
        if (!files[count].path)
            break;
        look_into(&files[count++]);
    }
    closedir(folder);
    if (entry) {
        free_listed_files(files, count);
        return mw_error_errno(error, ENOMEM, "cannot list files");
    }
    if (count > 0)
        qsort(files, count, sizeof *files, compare_starts);
    *ret_files = files;
    *ret_count = count;
    return 0;
}

void free_listed_files(struct listed_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(files[i].path);
        mw_run_clear(&files[i].last_run);
    }
    free(files);
}

static bool is_index(const char *operand)
{
    const char *digits = operand + (*operand == '-');

    return *digits != '\0' && digits[strspn(digits, "0123456789")] == '\0';
}

static int find_index(const char *operand, char **ret_path, struct mw_error *error)
{
    struct listed_file *files;
    size_t count;
    int64_t distance;
    int code;

    if ((code = mw_parse_count(operand + (*operand == '-'), 0, INT32_MAX, &distance, error)) < 0 ||
        (code = list_files(&files, &count, error)) < 0)
        return code;
    if (*operand == '-')
        distance = (int64_t)count - distance;
    if (distance < 0 || distance >= (int64_t)count)
        code = count == 0
                   ? mw_error_set(error, -ENOENT,
                                  "there is no recording in this folder: "
                                  "'memwatch run PROGRAM' makes one")
                   : mw_error_set(error, -ENOENT, "there is no recording %s: this folder has %zu",
                                  operand, count);
    else if (!(*ret_path = strdup(files[distance].path)))
        code = mw_error_errno(error, ENOMEM, "%s", operand);
    free_listed_files(files, count);
    return code;
}

int find_file(const char *operand, char **ret_path, struct mw_error *error)
{
    struct stat status;

    /* A file may have a number for a name. */
    if (is_index(operand) && stat(operand, &status) < 0)
        return find_index(operand, ret_path, error);
    if (stat(operand, &status) < 0)
        return mw_error_errno(error, errno, "cannot open %s", operand);
    *ret_path = strdup(operand);
    return *ret_path ? 0 : mw_error_errno(error, ENOMEM, "%s", operand);
}

/* Splits FILE:ID where there is no file of that whole name. *ret_id is -1 for the last run. */
static int split_operand(const char *operand, char **ret_path, int64_t *ret_id,
                         struct mw_error *error)
{
    const char *colon = strrchr(operand, ':');
    mw_auto_free char *file = NULL;
    struct stat status;

    *ret_id = -1;
    if (!colon || stat(operand, &status) == 0 ||
        mw_parse_count(colon + 1, 1, INT64_MAX, ret_id, NULL) < 0)
        return find_file(operand, ret_path, error);
    file = strndup(operand, (size_t)(colon - operand));
    if (!file)
        return mw_error_errno(error, ENOMEM, "%s", operand);
    return find_file(file, ret_path, error);
}

static struct mw_run *find_run(const struct recording *recording, int64_t id)
{
    for (size_t i = 0; i < recording->run_count; i++) {
        if (recording->runs[i].id == id)
            return &recording->runs[i];
    }
    return NULL;
}

static void free_choice(struct recording *recording)
{
    for (size_t i = 0; i < recording->process_count; i++)
        mw_process_clear(&recording->processes[i]);
    free(recording->processes);
    recording->processes = NULL;
    recording->process_count = 0;
    for (size_t i = 0; i < recording->function_count; i++)
        mw_function_clear(&recording->functions[i]);
    free(recording->functions);
    recording->functions = NULL;
    recording->function_count = 0;
    for (size_t i = 0; i < recording->event_count; i++)
        mw_event_clear(&recording->events[i]);
    free(recording->events);
    recording->events = NULL;
    recording->event_count = 0;
    for (size_t i = 0; i < recording->limit_count; i++)
        mw_limit_clear(&recording->limits[i]);
    free(recording->limits);
    recording->limits = NULL;
    recording->limit_count = 0;
}

int recording_choose(struct recording *recording, struct mw_run *run, struct mw_error *error)
{
    int code;

    free_choice(recording);
    recording->run = run;
    if ((code = mw_reader_processes(recording->reader, run->id, &recording->processes,
                                    &recording->process_count, error)) < 0 ||
        (code = mw_reader_metrics(recording->reader, run->id, &recording->metrics, error)) < 0 ||
        (code = mw_reader_events(recording->reader, run->id, &recording->events,
                                 &recording->event_count, error)) < 0 ||
        (code = mw_reader_limits(recording->reader, run->id, &recording->limits,
                                 &recording->limit_count, error)) < 0 ||
        (code = mw_reader_kept(recording->reader, run->id, &recording->kept, error)) < 0)
        return code;
    return mw_reader_functions(recording->reader, run->id, &recording->functions,
                               &recording->function_count, error);
}

int recording_open(struct recording *ret_recording, const char *operand, struct mw_error *error)
{
    struct recording recording = {0};
    struct mw_run *run;
    int64_t id;
    int code;

    if ((code = split_operand(operand ? operand : "-1", &recording.path, &id, error)) < 0 ||
        (code = mw_reader_open(&recording.reader, recording.path, error)) < 0 ||
        (code = mw_reader_runs(recording.reader, &recording.runs, &recording.run_count, error)) < 0)
        goto fail;
    if (recording.run_count == 0) {
        code = mw_error_set(error, -ENODATA, "%s holds no run", recording.path);
        goto fail;
    }
    run = id < 0 ? &recording.runs[recording.run_count - 1] : find_run(&recording, id);
    if (!run) {
        code = mw_error_set(error, -ENOENT, "%s has no run %lld", recording.path, (long long)id);
        goto fail;
    }
    if ((code = recording_choose(&recording, run, error)) < 0)
        goto fail;
    *ret_recording = recording;
    return 0;
fail:
    recording_close(&recording);
    return code;
}

void recording_close(struct recording *recording)
{
    free_choice(recording);
    for (size_t i = 0; i < recording->run_count; i++)
        mw_run_clear(&recording->runs[i]);
    free(recording->runs);
    mw_reader_close(recording->reader);
    free(recording->path);
    *recording = (struct recording){0};
}

int64_t recording_series(const struct recording *recording)
{
    return recording->run->children == MW_CHILDREN_NONE && recording->process_count
               ? recording->processes[0].id
               : MW_PROCESS_TREE;
}

bool had_children(const struct recording *recording)
{
    return recording->process_count > 1 || recording->kept.processes > 0;
}

int64_t known_since_us(const struct recording *recording)
{
    const struct mw_kept *kept = &recording->kept;

    return kept->level_count > 0 ? kept->levels[kept->level_count - 1].from_us : 0;
}

char *recording_command(const struct recording *recording)
{
    const struct mw_run *run = recording->run;

    if (run->command_length == 0)
        return strdup("?");
    return mw_text_process((const char *const *)run->command, run->command_length);
}

char *process_label(const struct mw_process *process)
{
    mw_auto_free char *name = mw_text_printable(process->name ? process->name : "?");
    char *label;

    /* An imported one has no number. */
    if (!name || process->pid == 0)
        return MW_TAKE(name);
    return asprintf(&label, "%s (%d)", name, process->pid) < 0 ? NULL : label;
}

char *peak_time(char buffer[static PEAK_TIME_SIZE], const struct mw_peak *peak)
{
    char from[MW_FORMAT_SIZE], to[MW_FORMAT_SIZE];

    mw_format_duration(from, peak->from_us * 1000);
    mw_format_duration(to, peak->to_us * 1000);
    if (strcmp(from, to) == 0)
        snprintf(buffer, PEAK_TIME_SIZE, "at %s", from);
    else
        snprintf(buffer, PEAK_TIME_SIZE, "between %s and %s", from, to);
    return buffer;
}

static int compare_peaks(const void *a, const void *b)
{
    const struct mw_process *first = *(const struct mw_process *const *)a;
    const struct mw_process *second = *(const struct mw_process *const *)b;
    int64_t first_bytes = first->peak.known ? first->peak.bytes : -1;
    int64_t second_bytes = second->peak.known ? second->peak.bytes : -1;

    return (first_bytes < second_bytes) - (first_bytes > second_bytes);
}

const struct mw_process **processes_by_peak(const struct recording *recording, size_t *ret_count)
{
    const struct mw_process **order = calloc(recording->process_count + 1, sizeof *order);

    if (!order)
        return NULL;
    for (size_t i = 0; i < recording->process_count; i++)
        order[i] = &recording->processes[i];
    qsort(order, recording->process_count, sizeof *order, compare_peaks);
    *ret_count = recording->process_count;
    return order;
}

const struct mw_process *largest_process(const struct recording *recording)
{
    const struct mw_process *largest = NULL;

    for (size_t i = 0; i < recording->process_count; i++) {
        const struct mw_process *process = &recording->processes[i];

        if (process->peak.known && (!largest || process->peak.bytes > largest->peak.bytes))
            largest = process;
    }
    return largest;
}
