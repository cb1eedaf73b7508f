#include "cmd/command.h"
#include "cmd/json.h"
#include "cmd/recording.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <stdio.h>

enum { OPTION_JSON = 256 };

static const struct option_spec options[] = {
    {OPTION_JSON, "json", NULL, "print JSON"},
    {0},
};

static void print_peak(const struct recording *recording)
{
    char bytes[MW_FORMAT_SIZE], time[PEAK_TIME_SIZE];
    const struct mw_peak *peak = &recording->run->peak;
    mw_auto_free char *path = mw_text_printable(recording->path);

    if (!peak->known)
        printf("%s\tnever sampled\n", path ? path : "?");
    else
        printf("%s\t%s %s\n", path ? path : "?", mw_format_bytes(bytes, peak->bytes),
               peak_time(time, peak));
}

static json_t *peak_to_json(const struct recording *recording)
{
    return json_pack("{s:o, s:I, s:o}", "file", json_text(recording->path), "run",
                     (json_int_t)recording->run->id, "peak", json_peak(&recording->run->peak));
}

static int peak(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    json_t *array = NULL;
    struct mw_error error;
    int id, status = CMD_OK;

    while ((id = cmd_next(&line)) > 0) {
        if (!array)
            array = json_array();
    }
    if (id < 0)
        return command->usage_status;
    for (int i = 0; i < line.operand_count || i == 0; i++) {
        struct recording recording;

        if (recording_open(&recording, line.operand_count ? line.operands[i] : NULL, &error) < 0) {
            status = cmd_fail(&error);
            continue;
        }
        if (array)
            json_array_append_new(array, peak_to_json(&recording));
        else
            print_peak(&recording);
        recording_close(&recording);
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
