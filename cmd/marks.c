#include "cmd/marks.h"

#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* A mark, the highest sample of its time, and the first behind it. */
struct window {
    int64_t from_us, to_us;
    int64_t bytes;
    int64_t seen_bytes, seen_us; /* -1: there is no sample */
    int64_t next_bytes;
};

/* The marks of a process on their way into the columns. */
struct marks {
    const struct marks_request *request;
    struct mw_envelope_high *column_highs;
    struct marks_highest *highest;
    struct window *windows; /* in the order of time */
    size_t count, room;
    int64_t window_us;  /* where the last window ended */
    int64_t last_bytes; /* of the last mark; -1: there was none */
    size_t next;        /* the first window that samples have not passed yet */
    int64_t held_bytes; /* of the last sample */
};

/* A mark says what was reached in the time since the one before. */
static int add_mark(void *context, const struct mw_sample *sample)
{
    struct marks *marks = context;
    const struct marks_request *request = marks->request;
    struct window window = {
        .from_us = marks->window_us,
        .to_us = sample->t_us,
        .bytes = sample->high_bytes - request->recording->run->peak_bound_bytes,
        .seen_bytes = -1,
        .next_bytes = -1,
    };

    marks->window_us = sample->t_us;
    marks->last_bytes = sample->bytes;
    if (window.to_us <= request->from_us || window.from_us >= request->to_us)
        return 0;
    if (!mw_array_reserve(&marks->windows, marks->count, &marks->room, sizeof *marks->windows))
        return -ENOMEM;
    marks->windows[marks->count++] = window;
    return sample->t_us >= request->to_us;
}

/* Up to now the mark has stayed as it was last. */
static int add_last_mark(struct marks *marks)
{
    struct mw_sample last =
        mw_sample_at(marks->request->recording->run->duration_us, marks->last_bytes);

    return add_mark(marks, &last);
}

static void see(struct window *window, int64_t bytes, int64_t t_us)
{
    if (bytes <= window->seen_bytes)
        return;
    window->seen_bytes = bytes;
    window->seen_us = t_us < window->from_us ? window->from_us
                      : t_us > window->to_us ? window->to_us
                                             : t_us;
}

/* A sample holds until the next: it counts in every window of that time. */
static int add_sample(void *context, const struct mw_sample *sample)
{
    struct marks *marks = context;

    for (; marks->next < marks->count; marks->next++) {
        struct window *window = &marks->windows[marks->next];

        if (sample->t_us > window->from_us)
            see(window, marks->held_bytes, window->from_us);
        if (sample->t_us >= window->from_us && sample->from_us <= window->to_us)
            see(window, sample->high_bytes, sample->t_us);
        if (sample->t_us <= window->to_us)
            break;
        window->next_bytes = sample->low_bytes;
    }
    marks->held_bytes = sample->bytes;
    return marks->next == marks->count;
}

/*
 * What a mark says, and no sample near it: memory that grows reaches at the end of the window what
 * the first sample behind it says.
 */
static bool is_in_between(const struct marks *marks, const struct window *window)
{
    int64_t bound_bytes = marks->request->recording->run->rss_bound_bytes;
    int64_t seen_bytes =
        window->next_bytes > window->seen_bytes ? window->next_bytes : window->seen_bytes;

    return window->bytes > seen_bytes + bound_bytes;
}

static void raise_columns(struct marks *marks, const struct window *window)
{
    const struct mw_envelope *envelope = marks->request->envelope;
    struct mw_envelope_high high = {
        .bytes = (double)window->bytes,
        /* Most likely it was where the samples are highest: as near to them as they to it. */
        .least = 2.0 * (double)window->seen_bytes - (double)window->bytes,
    };

    for (size_t column = mw_envelope_column(envelope, window->from_us);
         column <= mw_envelope_column(envelope, window->to_us); column++) {
        if (high.bytes > marks->column_highs[column].bytes)
            marks->column_highs[column] = high;
    }
}

/* A mark that is not above the samples says no more than they do. */
static void take_windows(struct marks *marks)
{
    struct marks_highest *highest = marks->highest;

    for (size_t i = 0; i < marks->count; i++) {
        const struct window *window = &marks->windows[i];
        bool in_between = is_in_between(marks, window);

        if (in_between)
            raise_columns(marks, window);
        if (window->bytes <= window->seen_bytes || window->bytes <= highest->peak.bytes)
            continue;
        highest->peak = (struct mw_peak){
            .bytes = window->bytes, .from_us = window->from_us, .to_us = window->to_us};
        highest->at_us = in_between ? window->from_us + (window->to_us - window->from_us) / 2
                         : window->next_bytes > window->seen_bytes ? window->to_us
                                                                   : window->seen_us;
    }
}

/* 0, also where there was more behind the window; or a negative errno. */
static int read_process(struct marks *marks, const struct mw_process *process,
                        struct mw_error *error)
{
    const struct marks_request *request = marks->request;
    const struct recording *recording = request->recording;
    struct mw_series_window window = {
        .run = recording->run->id,
        .process = process->id,
        .metric = MW_METRIC_PEAK,
        .from_us = request->from_us,
        .to_us = INT64_MAX,
        .grain_us = (request->to_us - request->from_us) / (int64_t)request->columns,
    };
    int code;

    marks->count = marks->next = 0;
    marks->window_us = process->start_us;
    marks->last_bytes = marks->held_bytes = -1;
    code = mw_reader_series(recording->reader, &window, add_mark, marks, error);
    /* Of a process that is still being recorded, all windows since the last row had the same mark.
     */
    if (code == 0 && marks->last_bytes >= 0 && process->end_us < 0)
        code = add_last_mark(marks);
    window.metric = MW_METRIC_RSS;
    window.to_us = request->to_us;
    if (code >= 0 && marks->count > 0)
        code = mw_reader_series(recording->reader, &window, add_sample, marks, error);
    if (code < 0)
        return code;
    for (; marks->next < marks->count; marks->next++)
        see(&marks->windows[marks->next], marks->held_bytes, marks->windows[marks->next].from_us);
    take_windows(marks);
    return 0;
}

int marks_read(const struct marks_request *request, struct mw_envelope_high **ret_highs,
               struct marks_highest *ret_highest, struct mw_error *error)
{
    int64_t process = request->process;
    size_t count = 0;
    mw_auto_free const struct mw_process **order = processes_by_peak(request->recording, &count);
    struct marks marks = {.request = request,
                          .highest = ret_highest,
                          .column_highs = calloc(request->columns, sizeof *marks.column_highs)};
    int code = 0;

    *ret_highs = marks.column_highs;
    if (!marks.column_highs || !order)
        return mw_error_errno(error, ENOMEM, "cannot draw");
    for (size_t i = 0; i < request->columns; i++)
        marks.column_highs[i] = (struct mw_envelope_high){-INFINITY, -INFINITY};
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (order[i]->id == process || (process == MW_PROCESS_TREE && i < MOST_PROCESSES))
            code = read_process(&marks, order[i], error);
    }
    free(marks.windows);
    return code == -ENOMEM ? mw_error_errno(error, ENOMEM, "cannot draw") : code;
}
