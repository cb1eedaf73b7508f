#include "cmd/command.h"
#include "cmd/functions.h"
#include "cmd/json.h"
#include "cmd/recording.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <stdio.h>

enum { OPTION_JSON = 256, OPTION_FUNC };

static const struct option_spec options[] = {
    {OPTION_FUNC, "func", "NAME", "of the calls of this function: its name, or the end of it"},
    {OPTION_JSON, "json", NULL, "print JSON"},
    {0},
};

static void print_peak(const struct recording *recording, const struct mw_peak *peak)
{
    char bytes[MW_FORMAT_SIZE], time[PEAK_TIME_SIZE];
    mw_auto_free char *path = mw_text_printable(recording->path);

    if (!peak->known)
        printf("%s\tnever sampled\n", path ? path : "?");
    else
        printf("%s\t%s %s\n", path ? path : "?", mw_format_bytes(bytes, peak->bytes),
               peak_time(time, peak));
}

static json_t *peak_to_json(const struct recording *recording, const struct mw_function *function)
{
    json_t *json = json_pack("{s:o, s:I}", "file", json_text(recording->path), "run",
                             (json_int_t)recording->run->id);

    if (function)
        json_object_set_new(json, "function", json_text(function->name));
    json_object_set_new(json, "peak",
                        json_peak(function ? &function->peak : &recording->run->peak));
    return json;
}

/* Tells the peak of a recording, or of one of its functions; into the array where there is one. */
static int tell(const char *operand, const char *name, json_t *array)
{
    const struct mw_function *function = NULL;
    struct recording recording;
    struct mw_error error;
    int code;

    if (recording_open(&recording, operand, &error) < 0)
        return cmd_fail(&error);
    code = name ? find_function(&recording, name, &function, &error) : 0;
    if (code == 0 && array)
        json_array_append_new(array, peak_to_json(&recording, function));
    else if (code == 0)
        print_peak(&recording, function ? &function->peak : &recording.run->peak);
    recording_close(&recording);
    return code < 0 ? cmd_fail(&error) : CMD_OK;
}

static int peak(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    const char *name = NULL;
    json_t *array = NULL;
    int id, status = CMD_OK;

    while ((id = cmd_next(&line)) > 0) {
        if (id == OPTION_FUNC)
            name = line.value;
        else if (!array)
            array = json_array();
    }
    if (id < 0)
        return command->usage_status;
    for (int i = 0; i < line.operand_count || i == 0; i++) {
        if (tell(line.operand_count ? line.operands[i] : NULL, name, array) != CMD_OK)
            status = CMD_FAILED;
    }
    if (array && json_print(array) != CMD_OK)
        return CMD_FAILED;
    return status;
}

const struct command peak_command = {
    .name = "peak",
    .operands = "[FILE[:RUN]|INDEX…]",
    .summary = "print the highest memory of recordings",
    .details = "One line a recording: file, tab, peak and its time. Without an operand the newest.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = peak,
};
