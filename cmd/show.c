#include "cmd/command.h"
#include "cmd/json.h"
#include "cmd/recording.h"
#include "cmd/summary.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPTION_JSON = 256 };

static const struct option_spec options[] = {
    {OPTION_JSON, "json", NULL, "print JSON: all runs of the file"},
    {0},
};

static void print_end(const struct mw_process *process)
{
    char at[MW_FORMAT_SIZE];
    const char *signal_name;

    printf("  %10s", process->end_us < 0 ? "-" : mw_format_duration(at, process->end_us * 1000));
    if (process->exit_signal >= 0) {
        signal_name = sigabbrev_np(process->exit_signal);
        printf("  SIG%-4s", signal_name ? signal_name : "?");
    } else if (process->exit_status >= 0) {
        printf("  %-7d", process->exit_status);
    } else {
        printf("  %-7s", "-");
    }
}

/* An imported process has none. */
static void print_pid(int pid)
{
    if (pid > 0)
        printf(" %7d", pid);
    else
        printf(" %7s", "-");
}

/* Processes beyond these only make the table long. */
enum { MOST_PROCESSES = 30 };

static void print_process(const struct mw_process *process)
{
    char start[MW_FORMAT_SIZE], peak[MW_FORMAT_SIZE], at[MW_FORMAT_SIZE];
    mw_auto_free char *command =
        process->argument_count
            ? mw_text_process((const char *const *)process->arguments, process->argument_count)
            : mw_text_printable(process->name ? process->name : "?");
    mw_auto_free char *short_command = command ? mw_text_shorten(command, cmd_columns(76)) : NULL;

    print_pid(process->pid);
    print_pid(process->ppid);
    printf("  %10s", mw_format_duration(start, process->start_us * 1000));
    print_end(process);
    printf(" %9s  %10s  %s\n",
           process->peak.known ? mw_format_bytes(peak, process->peak.bytes) : "-",
           process->peak.known ? mw_format_duration(at, process->peak.from_us * 1000) : "-",
           short_command ? short_command : "?");
}

static int compare_bytes(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

    return (first < second) - (first > second);
}

static int64_t peak_bytes(const struct mw_process *process)
{
    return process->peak.known ? process->peak.bytes : -1;
}

/* The peak that a process must have to be among the largest; -2 where all are. 0, or -ENOMEM. */
static int smallest_shown(const struct recording *recording, int64_t *ret_bytes)
{
    size_t count = recording->process_count;
    mw_auto_free int64_t *peaks = NULL;

    *ret_bytes = -2;
    if (count <= MOST_PROCESSES)
        return 0;
    peaks = calloc(count, sizeof *peaks);
    if (!peaks)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        peaks[i] = peak_bytes(&recording->processes[i]);
    qsort(peaks, count, sizeof *peaks, compare_bytes);
    *ret_bytes = peaks[MOST_PROCESSES - 1];
    return 0;
}

static int print_as_text(struct recording *recording)
{
    struct mw_error error;
    int64_t smallest;
    size_t shown = 0;

    if (print_summary(stdout, recording, NULL, &error) < 0)
        return cmd_fail(&error);
    if (smallest_shown(recording, &smallest) < 0) {
        cmd_message("out of memory");
        return CMD_FAILED;
    }
    printf("\n %7s %7s  %10s  %10s  %-7s %9s  %10s  %s\n", "pid", "parent", "start", "end",
           "status", "peak", "at", "command");
    for (size_t i = 0; i < recording->process_count && shown < MOST_PROCESSES; i++) {
        if (peak_bytes(&recording->processes[i]) < smallest)
            continue;
        print_process(&recording->processes[i]);
        shown++;
    }
    if (shown < recording->process_count)
        printf(" … and %zu smaller ones: --json has them all\n", recording->process_count - shown);
    return CMD_OK;
}

static int print_as_json(struct recording *recording)
{
    struct mw_error error;
    struct stat status;
    json_t *runs = json_array();

    for (size_t i = 0; i < recording->run_count; i++) {
        if (recording_choose(recording, &recording->runs[i], &error) < 0) {
            json_decref(runs);
            return cmd_fail(&error);
        }
        json_array_append_new(runs, json_run(recording));
    }
    return json_print(json_pack(
        "{s:o, s:I, s:o}", "file", json_text(recording->path), "file_bytes",
        (json_int_t)(stat(recording->path, &status) == 0 ? status.st_size : 0), "runs", runs));
}

static int show(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct recording recording;
    struct mw_error error;
    int json = cmd_read_flag(&line, 1);
    int status;

    if (json < 0)
        return command->usage_status;
    if (recording_open(&recording, line.operand_count ? line.operands[0] : NULL, &error) < 0)
        return cmd_fail(&error);
    status = json ? print_as_json(&recording) : print_as_text(&recording);
    recording_close(&recording);
    return status;
}

const struct command show_command = {
    .name = "show",
    .operands = "[FILE[:RUN]|INDEX]",
    .summary = "tell what a recording holds: peak, processes, faithfulness",
    .details = "Without an operand the newest recording of this folder.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = show,
};
