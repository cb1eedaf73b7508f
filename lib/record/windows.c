#include "record/windows.h"

#include "capture/clock.h"
#include "capture/highwater.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Taking all marks may cost half a hundredth of the time until the next. */
enum { COST_RATIO = 200 };
/* At 100 Hz waking up and taking the mark of one process costs 0.5 to 0.8 % of a core. */
static const int64_t shortest_auto_ns = 10000000, longest_auto_ns = 100000000;

/* No process has as much memory. */
#define UNKNOWN UINT64_MAX

/* What is known of one process. */
struct window {
    bool used; /* the slot has a process whose marks can be taken */
    bool open; /* so has the mark its descriptors; most processes end before their first window does
                */
    struct mw_high_water mark;
    uint64_t kib;                   /* of the last row; UNKNOWN before the first */
    int64_t row_ns;                 /* when the last row's window ended */
    int64_t same_ns;                /* until when all windows since then had the same mark */
    uint64_t held_kib, highest_kib; /* the last sample, and the highest that held in this window */
    uint64_t told_kib; /* the highest mark that the process itself has reset in this window */
    int64_t told_ns;   /* and the last time it did; 0: it did not */
};

struct mw_windows {
    bool automatic;
    int64_t window_ns;
    int64_t due_ns, affordable_ns; /* when the next is wanted, and when it may be at the earliest */
    int64_t blind_ns;
    uint64_t bound_kib; /* a mark may be off by so much */
    bool revealed;      /* a mark of this round was higher than all samples */
    struct window *slots;
    size_t count;
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct mw_windows *mw_windows_new(int64_t window_ns)
{
    struct mw_windows *windows = calloc(1, sizeof *windows);

    if (!windows)
        return NULL;
    windows->bound_kib = (uint64_t)mw_high_water_bound_kib();
    windows->automatic = window_ns == MW_WINDOW_AUTO;
    windows->window_ns = windows->automatic ? shortest_auto_ns : window_ns;
    windows->due_ns = window_ns == MW_WINDOW_OFF ? INT64_MAX : 0;
    return windows;
}

static void close_slot(struct window *window)
{
    if (window->open)
        mw_high_water_close(&window->mark);
    *window = (struct window){0};
}

void mw_windows_free(struct mw_windows *windows)
{
    if (!windows)
        return;
    for (size_t slot = 0; slot < windows->count; slot++)
        close_slot(&windows->slots[slot]);
    free(windows->slots);
    free(windows);
}

void mw_windows_add(struct mw_windows *windows, uint32_t slot, pid_t pid, int64_t start_ns)
{
    if (windows->window_ns == MW_WINDOW_OFF)
        return;
    if (slot >= windows->count) {
        size_t count = (size_t)slot * 2 + 8;
        struct window *slots = reallocarray(windows->slots, count, sizeof *slots);

        if (!slots)
            return;
        memset(slots + windows->count, 0, (count - windows->count) * sizeof *slots);
        windows->slots = slots;
        windows->count = count;
    }
    windows->slots[slot] = (struct window){.used = true,
                                           .mark = {.pid = pid, .status_fd = -1, .clear_fd = -1},
                                           .kib = UNKNOWN,
                                           .row_ns = start_ns,
                                           .same_ns = start_ns};
    if (windows->automatic) {
        windows->window_ns = shortest_auto_ns;
        windows->due_ns = earlier(windows->due_ns, start_ns + shortest_auto_ns);
    }
}

void mw_windows_sample(struct mw_windows *windows, uint32_t slot, int64_t kib)
{
    if (slot >= windows->count)
        return;
    windows->slots[slot].held_kib = (uint64_t)kib;
    if ((uint64_t)kib > windows->slots[slot].highest_kib)
        windows->slots[slot].highest_kib = (uint64_t)kib;
}

void mw_windows_told(struct mw_windows *windows, uint32_t slot, int64_t t_ns, int64_t kib)
{
    struct window *window = slot < windows->count ? &windows->slots[slot] : NULL;

    if (!window || !window->used)
        return;
    if ((uint64_t)kib > window->told_kib)
        window->told_kib = (uint64_t)kib;
    if (t_ns > window->told_ns)
        window->told_ns = t_ns;
}

static int give_row(struct window *window, uint32_t slot, int64_t t_ns, uint64_t kib,
                    const struct mw_windows_sink *sink)
{
    window->kib = kib;
    window->row_ns = window->same_ns = t_ns;
    return sink->give(sink->context, &(struct mw_row){.slot = slot,
                                                      .metric = MW_METRIC_PEAK,
                                                      .t_ns = t_ns,
                                                      .kib = (int64_t)kib});
}

/* Gives the row for the windows that had the same mark as the last row. */
static int flush(struct window *window, uint32_t slot, const struct mw_windows_sink *sink)
{
    if (window->kib == UNKNOWN || window->same_ns <= window->row_ns)
        return 0;
    return give_row(window, slot, window->same_ns, window->kib, sink);
}

/* A window that ends with its process has no mark but those that the process told. */
static int give_told(struct window *window, uint32_t slot, const struct mw_windows_sink *sink)
{
    int64_t after_row_ns = window->row_ns + 1000; /* a row has a microsecond of its own */
    bool late = window->told_ns <= window->row_ns;

    if (window->told_ns == 0 || (late && window->told_kib <= window->kib && window->kib != UNKNOWN))
        return 0;
    return give_row(window, slot, window->told_ns > after_row_ns ? window->told_ns : after_row_ns,
                    window->told_kib, sink);
}

int mw_windows_end(struct mw_windows *windows, uint32_t slot, const struct mw_windows_sink *sink)
{
    struct window *window = slot < windows->count ? &windows->slots[slot] : NULL;
    int code;

    if (!window || !window->used)
        return 0;
    if ((code = flush(window, slot, sink)) == 0)
        code = give_told(window, slot, sink);
    close_slot(window);
    return code;
}

int64_t mw_windows_due_ns(const struct mw_windows *windows)
{
    return windows->due_ns > windows->affordable_ns ? windows->due_ns : windows->affordable_ns;
}

/* Tells of a mark that was just taken, and adds what the process told of the same window. */
static int close_window(struct window *window, uint32_t slot, int64_t now_ns,
                        const struct mw_high_water_reading *reading,
                        const struct mw_windows_sink *sink, uint64_t *ret_kib)
{
    int code = sink->taken(sink->context, &(struct mw_window){
                                              .slot = slot,
                                              .from_ns = window->same_ns,
                                              .taken_ns = reading->read_ns,
                                              .kib = (int64_t)reading->kib,
                                              .unseen_kib = (int64_t)reading->unseen_kib,
                                              .reset_ns = now_ns,
                                          });

    *ret_kib = reading->kib > window->told_kib ? reading->kib : window->told_kib;
    window->told_kib = 0;
    window->told_ns = 0;
    return code;
}

/* Ends the present window of a process; a process that has just ended has no mark any more. */
static int take_slot(struct mw_windows *windows, uint32_t slot, const struct mw_windows_sink *sink)
{
    struct window *window = &windows->slots[slot];
    struct mw_high_water_reading reading;
    uint64_t kib;
    int64_t now_ns;
    int code;

    if (!window->open)
        window->mark = mw_high_water_open(window->mark.pid);
    window->open = true;
    code = mw_high_water_take(&window->mark, &reading);
    if (code == -EACCES || code == -EPERM)
        close_slot(window); /* and it will not be asked again */
    if (code < 0)
        return 0;
    now_ns = mw_now_ns();
    windows->blind_ns += reading.blind_ns;
    if ((code = close_window(window, slot, now_ns, &reading, sink, &kib)) != 0)
        return code;
    windows->revealed = windows->revealed || kib > window->highest_kib + windows->bound_kib;
    window->highest_kib = window->held_kib;
    if (kib == window->kib && reading.unseen_kib == 0) {
        window->same_ns = now_ns;
        return 0;
    }
    if ((code = flush(window, slot, sink)) != 0)
        return code;
    return give_row(window, slot, now_ns, kib, sink);
}

static int take_all(struct mw_windows *windows, const struct mw_windows_sink *sink)
{
    int code = 0;

    for (size_t slot = 0; code == 0 && slot < windows->count; slot++) {
        if (windows->slots[slot].used)
            code = take_slot(windows, (uint32_t)slot, sink);
    }
    return code;
}

int mw_windows_take(struct mw_windows *windows, const struct mw_windows_sink *sink)
{
    int64_t begin_ns = mw_now_ns(), begin_cpu_ns = mw_thread_cpu_ns();
    int code;

    windows->revealed = false;
    code = take_all(windows, sink);
    if (windows->automatic) {
        windows->window_ns =
            windows->revealed ? shortest_auto_ns : earlier(windows->window_ns * 2, longest_auto_ns);
        windows->affordable_ns = begin_ns + (mw_thread_cpu_ns() - begin_cpu_ns) * COST_RATIO;
    }
    windows->due_ns = begin_ns + windows->window_ns;
    return code;
}

int mw_windows_finish(struct mw_windows *windows, const struct mw_windows_sink *sink)
{
    int code = windows->window_ns == MW_WINDOW_OFF ? 0 : take_all(windows, sink);

    for (size_t slot = 0; code == 0 && slot < windows->count; slot++)
        code = mw_windows_end(windows, (uint32_t)slot, sink);
    return code;
}

int64_t mw_windows_blind_ns(const struct mw_windows *windows)
{
    return windows->blind_ns;
}
