#include "cmd/command.h"
#include "cmd/json.h"
#include "cmd/recording.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <stdio.h>
#include <string.h>

enum { OPTION_JSON = 256 };

static const struct option_spec options[] = {
    {OPTION_JSON, "json", NULL, "print JSON"},
    {0},
};

static void print_file(const struct listed_file *file, size_t index)
{
    char date[MW_FORMAT_SIZE], duration[MW_FORMAT_SIZE], peak[MW_FORMAT_SIZE], size[MW_FORMAT_SIZE];
    const struct mw_run *run = &file->last_run;
    mw_auto_free char *path = mw_text_printable(file->path);
    mw_auto_free char *command = NULL;
    mw_auto_free char *short_command = NULL;

    if (file->error.code < 0 || file->run_count == 0) {
        mw_auto_free char *why =
            mw_text_printable(file->error.code < 0 ? file->error.text : "holds no run");

        printf("%3zu %-19s %s: %s\n", index, "-", path ? path : "?", why ? why : "");
        return;
    }
    command = mw_text_process((const char *const *)run->command, run->command_length);
    short_command = command ? mw_text_shorten(command, cmd_columns(67 + strlen(file->path))) : NULL;
    printf("%3zu %s %10s %9s %9s %-9s %s  %s", index, mw_format_date(date, run->started_ns),
           mw_format_duration(duration, run->duration_us * 1000),
           run->peak.known ? mw_format_bytes(peak, run->peak.bytes) : "-",
           mw_format_bytes(size, file->size_bytes), mw_outcome_name(run->outcome),
           path ? path : "?", short_command ? short_command : "?");
    if (file->run_count > 1)
        printf("  (last of %zu runs)", file->run_count);
    putchar('\n');
}

static json_t *file_to_json(const struct listed_file *file, size_t index)
{
    json_t *json =
        json_pack("{s:i, s:o, s:I, s:i}", "index", (int)index, "file", json_text(file->path),
                  "file_bytes", (json_int_t)file->size_bytes, "runs", (int)file->run_count);
    const struct mw_run *run = &file->last_run;
    char started[MW_FORMAT_SIZE];

    if (!json)
        return NULL;
    if (file->error.code < 0)
        json_object_set_new(json, "error", json_text(file->error.text));
    if (file->run_count == 0)
        return json;
    json_object_set_new(json, "started", json_string(mw_format_rfc3339(started, run->started_ns)));
    json_object_set_new(json, "duration_s", json_real((double)run->duration_us / 1e6));
    json_object_set_new(json, "end", json_string(mw_outcome_name(run->outcome)));
    json_object_set_new(json, "peak", json_peak(&run->peak));
    json_object_set_new(json, "command", json_words(run->command, run->command_length));
    return json;
}

static int print_as_json(const struct listed_file *files, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, file_to_json(&files[i], i));
    return json_print(array);
}

static int list(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct listed_file *files;
    struct mw_error error;
    int json = cmd_read_flag(&line, 0);
    size_t count;
    int status = CMD_OK;

    if (json < 0)
        return command->usage_status;
    if (list_files(&files, &count, &error) < 0)
        return cmd_fail(&error);
    if (json)
        status = print_as_json(files, count);
    else if (count > 0)
        printf("%3s %-19s %10s %9s %9s %-9s %s\n", "#", "started", "duration", "peak", "size",
               "end", "file, command");
    else
        fprintf(stderr, "no recording in this folder: 'memwatch run PROGRAM' makes one\n");
    for (size_t i = 0; !json && i < count; i++)
        print_file(&files[i], i);
    free_listed_files(files, count);
    return status;
}

const struct command list_command = {
    .name = "list",
    .operands = "",
    .summary = "list the recordings of this folder",
    .details =
        "Other commands take a recording by its number here: 0 is the oldest, -1 the newest.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = list,
};
