#include "cmd/summary.h"

#include "analysis/envelope.h"
#include "cmd/happenings.h"
#include "cmd/kept.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SPARKLINE_COLUMNS = 60 };

void print_outcome(FILE *out, const struct mw_run *run)
{
    char duration[MW_FORMAT_SIZE];
    const char *signal_name;

    mw_format_duration(duration, run->duration_us * 1000);
    switch (run->outcome) {
    case MW_OUTCOME_EXITED:
        if (run->exit_status >= 0)
            fprintf(out, "exited with %d after %s", run->exit_status, duration);
        else
            fprintf(out, "ended after %s, with a status that nobody told", duration);
        break;
    case MW_OUTCOME_SIGNALED:
        signal_name = sigabbrev_np(run->exit_signal);
        fprintf(out, "ended by SIG%s after %s", signal_name ? signal_name : "?", duration);
        break;
    case MW_OUTCOME_DETACHED:
        fprintf(out, "recorded for %s, then left alone", duration);
        break;
    case MW_OUTCOME_RECORDING:
        fprintf(out, "being recorded, %s so far", duration);
        break;
    case MW_OUTCOME_ABORTED:
        fprintf(out, "aborted: the recorder itself was ended after %s", duration);
        break;
    case MW_OUTCOME_IMPORTED:
        fprintf(out, "imported, %s", duration);
        break;
    }
}

static int print_peak(FILE *out, const struct recording *recording)
{
    const struct mw_run *run = recording->run;
    const struct mw_process *largest = largest_process(recording);
    mw_auto_free char *label = largest ? process_label(largest) : NULL;
    bool one_process = run->children == MW_CHILDREN_NONE || !had_children(recording);
    /* Of the sum no bound is known where other processes may have been missed. */
    const struct mw_peak *peak = one_process && largest ? &largest->peak : &run->peak;
    char bytes[MW_FORMAT_SIZE], upper[MW_FORMAT_SIZE], interval[MW_FORMAT_SIZE];
    char time[PEAK_TIME_SIZE];

    if (largest && !label)
        return -ENOMEM;
    if (!peak->known) {
        fprintf(out, "  peak       not known: it had ended before its memory was read\n");
        return 0;
    }
    fprintf(out, "  peak       %s %s in %s\n", mw_format_bytes(bytes, peak->bytes),
            peak_time(time, peak), one_process && label ? label : "all processes");
    fprintf(out, "             %s",
            peak->source == MW_PEAK_KERNEL ? "by the kernel's own mark" : "the highest sample");
    if (peak->upper_bytes >= 0)
        fprintf(out, "; certainly never above %s", mw_format_bytes(upper, peak->upper_bytes));
    else if (!one_process)
        fprintf(out, "; shared pages count once for each process");
    else
        fprintf(out, ", one every %s", mw_format_duration(interval, run->interval_us * 1000));
    fputc('\n', out);
    if (!one_process && largest)
        fprintf(out, "  largest    %s in %s\n", mw_format_bytes(bytes, largest->peak.bytes), label);
    return 0;
}

static int add_to_envelope(void *context, const struct mw_sample *sample)
{
    return mw_envelope_add_range(context, sample->from_us, sample->t_us, sample->low_bytes,
                                 sample->high_bytes, sample->bytes);
}

/* The highest value of each column; NAN where nothing is known. */
static int column_heights(struct recording *recording, double heights[SPARKLINE_COLUMNS],
                          struct mw_error *error)
{
    const struct mw_run *run = recording->run;
    int64_t end_us = run->duration_us > 0 ? run->duration_us : 1;
    struct mw_envelope *envelope = mw_envelope_new(0, end_us, SPARKLINE_COLUMNS, NULL, 0);
    const struct mw_envelope_point *points;
    size_t count;
    double held = NAN;
    size_t column = 0;
    int code;

    if (!envelope)
        return mw_error_errno(error, ENOMEM, "cannot draw");
    if ((code = mw_reader_series(recording->reader,
                                 &(struct mw_series_window){
                                     .run = run->id,
                                     .process = recording_series(recording),
                                     .metric = MW_METRIC_RSS,
                                     .to_us = end_us,
                                     .grain_us = end_us / SPARKLINE_COLUMNS,
                                 },
                                 add_to_envelope, envelope, error)) == 0)
        code = mw_envelope_finish(envelope, end_us, &points, &count);
    for (size_t i = 0; code == 0 && i <= count; i++) {
        size_t next = i < count
                          ? (size_t)((double)points[i].t_us / (double)end_us * SPARKLINE_COLUMNS)
                          : SPARKLINE_COLUMNS - 1;

        if (next >= SPARKLINE_COLUMNS)
            next = SPARKLINE_COLUMNS - 1;
        for (; column <= next && column < SPARKLINE_COLUMNS; column++)
            heights[column] = held;
        if (i == count)
            break;
        held = points[i].value;
        heights[next] = fmax(heights[next], points[i].high);
    }
    mw_envelope_free(envelope);
    return code;
}

static int print_sparkline(FILE *out, struct recording *recording, struct mw_error *error)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double heights[SPARKLINE_COLUMNS];
    double peak = (double)recording->run->peak.bytes;
    int code;

    if (!recording->run->peak.known || peak <= 0)
        return 0;
    for (size_t i = 0; i < SPARKLINE_COLUMNS; i++)
        heights[i] = NAN;
    if ((code = column_heights(recording, heights, error)) < 0)
        return code;
    fputs("  memory     ", out);
    for (size_t i = 0; i < SPARKLINE_COLUMNS; i++) {
        double share = heights[i] / peak;

        /* A damaged file may hold any value. */
        fputs(isnan(share) ? " "
                           : blocks[share >= 1  ? 7
                                    : share > 0 ? (size_t)(share * 8)
                                                : 0],
              out);
    }
    fputc('\n', out);
    return 0;
}

/* How many there were, and how many went on when the first had ended. */
static void print_processes(FILE *out, const struct recording *recording)
{
    bool ended = recording->run->outcome == MW_OUTCOME_EXITED ||
                 recording->run->outcome == MW_OUTCOME_SIGNALED;
    int64_t left = 0;
    char count[MW_FORMAT_SIZE];

    for (size_t i = 0; i < recording->process_count; i++)
        left += recording->processes[i].end_us < 0;
    fprintf(out, "  processes  %s", mw_format_count(count, (int64_t)recording->process_count));
    if (recording->kept.processes > 0)
        fputs(" are left", out);
    if (ended && left > 0)
        fprintf(out, "; %s went on, and were not recorded any more", mw_format_count(count, left));
    fputc('\n', out);
}

/* The metrics beside those that are always there. */
static void print_metrics(FILE *out, const struct recording *recording)
{
    static const mw_metric_set usual = MW_METRIC_BIT(MW_METRIC_RSS) |
                                       MW_METRIC_BIT(MW_METRIC_SHARED) |
                                       MW_METRIC_BIT(MW_METRIC_PEAK);
    const char *before = "  also       ";

    for (enum mw_metric metric = 0; metric < MW_METRIC_COUNT; metric++) {
        if (recording->metrics & ~usual & MW_METRIC_BIT(metric)) {
            fprintf(out, "%s%s", before, mw_metric_name(metric));
            before = ", ";
        }
    }
    if (recording->metrics & ~usual)
        fputs(" (plot --metric)\n", out);
}

static void print_functions(FILE *out, const struct recording *recording)
{
    uint64_t calls = 0, lost = recording->run->recorder.lost_marks;
    char count[MW_FORMAT_SIZE], call_count[MW_FORMAT_SIZE];

    for (size_t i = 0; i < recording->function_count; i++)
        calls += recording->functions[i].calls;
    fprintf(out, "  functions  %s, %s calls",
            mw_format_count(count, (int64_t)recording->function_count),
            mw_format_count(call_count, (int64_t)calls));
    if (lost > 0)
        fprintf(out, "; %s marks lost", mw_format_count(count, (int64_t)lost));
    fputs(" (memwatch functions)\n", out);
}

static void print_ticks(FILE *out, const struct mw_run *run)
{
    char taken[MW_FORMAT_SIZE], due[MW_FORMAT_SIZE], late[MW_FORMAT_SIZE], gap[MW_FORMAT_SIZE];
    const struct mw_ticks *ticks = &run->ticks;

    fprintf(out, "  samples    %s of %s ticks", mw_format_count(taken, (int64_t)ticks->taken),
            mw_format_count(due, (int64_t)ticks->due));
    if (ticks->missed > 0)
        fprintf(out, ", %s missed (longest gap %s)", mw_format_count(due, (int64_t)ticks->missed),
                mw_format_duration(gap, ticks->longest_gap_us * 1000));
    if (ticks->lateness_p99_us >= 0)
        fprintf(out, "; 99 %% at most %s late",
                mw_format_duration(late, ticks->lateness_p99_us * 1000));
    if (run->recorder.dropped_records > 0)
        fprintf(out, "; %s values dropped, the disk was too slow",
                mw_format_count(due, (int64_t)run->recorder.dropped_records));
    fputc('\n', out);
}

static void print_recorder(FILE *out, const struct mw_run *run)
{
    char memory[MW_FORMAT_SIZE], cpu[MW_FORMAT_SIZE];

    fprintf(out, "  recorder   %s of CPU time",
            mw_format_duration(cpu, run->recorder.cpu_us * 1000));
    /* A share of a moment would say more of starting up than of recording. */
    if (run->duration_us >= 1000000)
        fprintf(out, " (%.1f %% of a core)",
                100.0 * (double)run->recorder.cpu_us / (double)run->duration_us);
    fprintf(out, ", %s of memory\n", mw_format_bytes(memory, run->recorder.max_rss_bytes));
}

int print_summary(FILE *out, struct recording *recording, const char *next, struct mw_error *error)
{
    mw_auto_free char *command = recording_command(recording);
    mw_auto_free char *short_command = command ? mw_text_shorten(command, 60) : NULL;
    mw_auto_free char *path = mw_text_printable(recording->path);
    char size[MW_FORMAT_SIZE];
    struct stat status;
    int code;

    if (!short_command || !path)
        return mw_error_errno(error, ENOMEM, "cannot print");
    fprintf(out, "%s: ", short_command);
    print_outcome(out, recording->run);
    if (ended_by_kernel(recording))
        fputs(" by the kernel: out of memory", out);
    fputc('\n', out);
    if (recording->run->note) {
        mw_auto_free char *note = mw_text_shorten(recording->run->note, 65);

        fprintf(out, "  note       %s\n", note ? note : "");
    }
    if (print_peak(out, recording) < 0)
        return mw_error_errno(error, ENOMEM, "cannot print");
    if ((code = print_sparkline(out, recording, error)) < 0)
        return code;
    if (had_children(recording))
        print_processes(out, recording);
    print_happenings(out, recording);
    print_metrics(out, recording);
    if (recording->function_count > 0)
        print_functions(out, recording);
    print_ticks(out, recording->run);
    if (recording->run->outcome != MW_OUTCOME_IMPORTED)
        print_recorder(out, recording->run);
    print_kept(out, recording);
    fprintf(out, "  file       %s (%s)\n", path,
            mw_format_bytes(size, stat(recording->path, &status) == 0 ? status.st_size : 0));
    if (next)
        fprintf(out, "  next       %s\n", next);
    return 0;
}
