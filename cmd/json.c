#include "cmd/json.h"

#include "cmd/command.h"
#include "cmd/kept.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <stdio.h>

json_t *json_text(const char *text)
{
    mw_auto_free char *valid = mw_text_utf8(text);

    return valid ? json_string(valid) : NULL;
}

/* A number that is null where it is negative: "not known" in store/recording.h. */
static json_t *optional_number(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static json_t *seconds(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e6);
}

json_t *json_peak(const struct mw_peak *peak)
{
    if (!peak->known)
        return json_null();
    return json_pack("{s:I, s:o, s:o, s:o, s:s}", "bytes", (json_int_t)peak->bytes, "upper_bytes",
                     optional_number(peak->upper_bytes), "from_s", seconds(peak->from_us), "to_s",
                     seconds(peak->to_us), "source",
                     peak->source == MW_PEAK_KERNEL ? "kernel" : "sampled");
}

json_t *json_words(char *const *words, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_text(words[i]));
    return array;
}

/* What a process ran; its name where the arguments could not be read. */
static json_t *process_command(const struct mw_process *process)
{
    if (process->argument_count == 0 && process->name)
        return json_words(&process->name, 1);
    return json_words(process->arguments, process->argument_count);
}

static json_t *process_to_json(const struct mw_process *process)
{
    return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "pid", process->pid, "ppid",
                     process->ppid, "command", process_command(process), "start_s",
                     seconds(process->start_us), "end_s", seconds(process->end_us), "exit_status",
                     optional_number(process->exit_status), "exit_signal",
                     optional_number(process->exit_signal), "peak", json_peak(&process->peak));
}

static json_t *recorder_to_json(const struct mw_run *run)
{
    const struct mw_recorder_cost *cost = &run->recorder;

    return json_pack(
        "{s:f, s:I, s:o, s:o, s:I, s:I, s:I, s:f, s:I, s:I}", "cpu_s", (double)cost->cpu_us / 1e6,
        "max_rss_bytes", (json_int_t)cost->max_rss_bytes, "scheduling",
        json_text(run->scheduling ? run->scheduling : ""), "tracking",
        json_text(run->tracking ? run->tracking : ""), "lost_events", (json_int_t)cost->lost_events,
        "dropped_records", (json_int_t)cost->dropped_records, "lost_marks",
        (json_int_t)cost->lost_marks, "blind_s", (double)cost->blind_us / 1e6, "rss_bound_bytes",
        (json_int_t)run->rss_bound_bytes, "peak_bound_bytes", (json_int_t)run->peak_bound_bytes);
}

/* The names of the metrics of which there are series. */
static json_t *metrics_to_json(mw_metric_set metrics)
{
    json_t *array = json_array();

    for (enum mw_metric metric = 0; metric < MW_METRIC_COUNT; metric++) {
        if (metrics & MW_METRIC_BIT(metric))
            json_array_append_new(array, json_string(mw_metric_name(metric)));
    }
    return array;
}

json_t *json_function(const struct mw_function *function)
{
    return json_pack(
        "{s:o, s:o, s:o, s:I, s:I, s:f, s:f, s:f, s:I, s:o}", "name", json_text(function->name),
        "file", function->file ? json_text(function->file) : json_null(), "line",
        optional_number(function->line > 0 ? function->line : -1), "calls",
        (json_int_t)function->calls, "calls_stored", (json_int_t)function->stored, "total_s",
        (double)function->total_ns / 1e9, "max_s", (double)function->max_ns / 1e9, "suspended_s",
        (double)function->suspended_ns / 1e9, "growth_bytes", (json_int_t)function->growth_bytes,
        "peak", json_peak(&function->peak));
}

/* The pid of a process of the run; null where it is none. */
static json_t *pid_of(const struct recording *recording, int64_t process)
{
    for (size_t i = 0; i < recording->process_count && process >= 0; i++) {
        if (recording->processes[i].id == process)
            return json_integer(recording->processes[i].pid);
    }
    return json_null();
}

static json_t *optional_text(const char *text)
{
    return text ? json_text(text) : json_null();
}

static json_t *event_to_json(const struct recording *recording, const struct mw_event *event)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "t_s", seconds(event->t_us), "kind",
                     mw_event_kind_name(event->kind), "pid", pid_of(recording, event->process),
                     "name", optional_text(event->name), "value",
                     event->has_value ? json_integer(event->value) : json_null(), "limit",
                     event->has_limit ? json_integer(event->limit_value) : json_null(), "note",
                     optional_text(event->note));
}

static json_t *limit_to_json(const struct recording *recording, const struct mw_limit *limit)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(limit->name), "place",
                     *limit->place ? json_text(limit->place) : json_null(), "pid",
                     pid_of(recording, limit->process), "since_s", seconds(limit->since_us),
                     "value", optional_number(limit->value), "window_s", seconds(limit->window_us));
}

json_t *json_run(const struct recording *recording)
{
    const struct mw_run *run = recording->run;
    const struct mw_ticks *ticks = &run->ticks;
    json_t *processes = json_array(), *functions = json_array();
    json_t *events = json_array(), *limits = json_array();
    char started[MW_FORMAT_SIZE];

    for (size_t i = 0; i < recording->process_count; i++)
        json_array_append_new(processes, process_to_json(&recording->processes[i]));
    for (size_t i = 0; i < recording->function_count; i++)
        json_array_append_new(functions, json_function(&recording->functions[i]));
    for (size_t i = 0; i < recording->event_count; i++)
        json_array_append_new(events, event_to_json(recording, &recording->events[i]));
    for (size_t i = 0; i < recording->limit_count; i++)
        json_array_append_new(limits, limit_to_json(recording, &recording->limits[i]));
    return json_pack(
        "{s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:o,"
        " s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "id", (json_int_t)run->id, "command", json_words(run->command, run->command_length), "cwd",
        json_text(run->cwd ? run->cwd : ""), "started", mw_format_rfc3339(started, run->started_ns),
        "duration_s", seconds(run->duration_us), "interval_s", seconds(run->interval_us), "note",
        run->note ? json_text(run->note) : json_null(), "children", mw_children_name(run->children),
        "end", mw_outcome_name(run->outcome), "exit_status", optional_number(run->exit_status),
        "exit_signal", optional_number(run->exit_signal), "ticks_due", (json_int_t)ticks->due,
        "ticks_taken", (json_int_t)ticks->taken, "ticks_missed", (json_int_t)ticks->missed,
        "longest_gap_s", seconds(ticks->longest_gap_us), "lateness_us", "p50",
        optional_number(ticks->lateness_p50_us), "p99", optional_number(ticks->lateness_p99_us),
        "max", optional_number(ticks->lateness_max_us), "recorder", recorder_to_json(run),
        "metrics", metrics_to_json(recording->metrics), "peak", json_peak(&run->peak), "processes",
        processes, "functions", functions, "limits", limits, "events", events, "levels",
        json_levels(&recording->kept), "given_up", json_given_up(&recording->kept));
}

int json_print(json_t *value)
{
    int code;

    if (!value) {
        cmd_message("out of memory");
        return CMD_FAILED;
    }
    code = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(value);
    if (code < 0 || putchar('\n') == EOF || fflush(stdout) != 0) {
        cmd_message("cannot write to standard output");
        return CMD_FAILED;
    }
    return CMD_OK;
}
