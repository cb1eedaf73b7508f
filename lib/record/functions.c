#include "record/functions.h"

#include "capture/clock.h"
#include "capture/marks.h"
#include "record/calls.h"
#include "util/array.h"

#include <errno.h>
#include <stdlib.h>

/* Marks of a process that nobody has told of yet wait so long for it, and are so many at most. */
static const int64_t early_patience_ns = 1000000000;
static const int64_t unknown_pause_ns = 1000000000;
enum { MOST_EARLY = 16384 };

struct mw_functions {
    struct mw_marks *marks;
    struct mw_calls *calls;
    struct mw_functions_sinks sinks;
    int64_t start_ns;
    bool resets;                 /* whoever marks */
    bool sum_only;               /* single processes have no peaks */
    const struct mw_mark *taken; /* and not used yet */
    size_t taken_count, next_taken;
    /* Of processes that are not known yet, in the order of time: from early_next on. */
    struct mw_mark *early;
    size_t early_next, early_count, early_room;
    bool has_started; /* one for which some wait, perhaps */
    uint64_t lost_seen;
    bool held_up;           /* a reader holds the file up: calls are not stored */
    int64_t unknown_due_ns; /* when it is looked which processes that nobody told of are gone */
    bool root_only;         /* no other process is recorded */
    pid_t root;             /* 0: not known yet */
    pid_t *pids;            /* by slot; 0: none */
    size_t pid_count;
    struct mw_error error; /* of the last failure to store */
};

/* --- where calls go --------------------------------------------------------------------------- */

static int add_function(void *context, const struct mw_mark_site *site, int64_t *ret_id)
{
    struct mw_functions *functions = context;

    return mw_writer_add_function(functions->sinks.writer, site->name, site->file, site->line,
                                  ret_id, &functions->error);
}

static int set_function(void *context, const struct mw_function *function)
{
    struct mw_functions *functions = context;

    return mw_writer_set_function(functions->sinks.writer, function, &functions->error);
}

/* Commits where the file takes no more in one transaction. */
static int make_room(struct mw_functions *functions)
{
    const struct mw_functions_sinks *sinks = &functions->sinks;
    int code;

    if (!mw_writer_is_full(sinks->writer))
        return 0;
    if ((code = sinks->commit(sinks->context, &functions->error)) == 0)
        functions->held_up = mw_writer_is_held_up(sinks->writer);
    return code;
}

static int add_call(void *context, uint32_t slot, const struct mw_call *call)
{
    struct mw_functions *functions = context;
    int code = make_room(functions);

    if (code < 0 || functions->held_up)
        return code < 0 ? code : 1;
    return mw_writer_add_call(functions->sinks.writer,
                              slot == MW_CALLS_NO_SLOT ? MW_SLOT_UNKNOWN : slot, call,
                              &functions->error);
}

static int reached(void *context, uint32_t slot, const struct mw_reached *reached)
{
    struct mw_functions *functions = context;
    const struct mw_functions_sinks *sinks = &functions->sinks;
    int64_t from_ns = functions->start_ns + reached->from_us * 1000;
    int64_t to_ns = functions->start_ns + reached->to_us * 1000;

    if (functions->sum_only)
        slot = MW_CALLS_NO_SLOT;
    mw_writer_raise_peak(sinks->writer, slot == MW_CALLS_NO_SLOT ? MW_SLOT_UNKNOWN : slot, reached);
    if (reached->source == MW_PEAK_KERNEL)
        mw_windows_told(sinks->windows, slot, to_ns, reached->kib);
    return mw_events_peak(sinks->events, from_ns, to_ns, reached->kib, &functions->error);
}

static struct mw_calls_sink sink_of(struct mw_functions *functions)
{
    return (struct mw_calls_sink){functions, add_function, set_function, add_call, reached};
}

static int result(const struct mw_functions *functions, int code, struct mw_error *error)
{
    if (code < 0 && error)
        *error = functions->error;
    return code;
}

/* --- life cycle ------------------------------------------------------------------------------- */

int mw_functions_open(struct mw_functions **ret_functions, bool resets, struct mw_error *error)
{
    struct mw_functions *functions = calloc(1, sizeof *functions);
    int code;

    if (!functions)
        return mw_error_errno(error, ENOMEM, "cannot take marks of functions");
    if ((code = mw_marks_open(&functions->marks, resets, error)) < 0) {
        free(functions);
        return code;
    }
    functions->resets = resets;
    *ret_functions = functions;
    return 0;
}

void mw_functions_close(struct mw_functions *functions)
{
    if (!functions)
        return;
    mw_calls_free(functions->calls);
    mw_marks_close(functions->marks);
    free(functions->pids);
    free(functions->early);
    free(functions);
}

const char *mw_functions_path(const struct mw_functions *functions)
{
    return functions ? mw_marks_path(functions->marks) : NULL;
}

int mw_functions_begin(struct mw_functions *functions, const struct mw_functions_sinks *sinks,
                       const struct mw_run *run, int64_t start_ns, struct mw_error *error)
{
    if (!functions)
        return 0;
    functions->sinks = *sinks;
    functions->start_ns = start_ns;
    functions->sum_only = run->children == MW_CHILDREN_SUM;
    functions->root_only = run->children == MW_CHILDREN_NONE;
    functions->calls = mw_calls_new(&(struct mw_calls_options){
        .start_ns = start_ns,
        .budget = MW_CALLS_BUDGET,
        .peak_bound_kib = run->peak_bound_bytes / 1024,
        .rss_bound_kib = run->rss_bound_bytes / 1024,
    });
    return functions->calls ? 0 : mw_error_errno(error, ENOMEM, "cannot take marks of functions");
}

/* --- marks ------------------------------------------------------------------------------------ */

/* High-water marks may be lost with marks, those of any process and of any moment until now. */
static void look_for_losses(struct mw_functions *functions)
{
    uint64_t lost = mw_marks_lost(functions->marks);

    if (lost == functions->lost_seen)
        return;
    functions->lost_seen = lost;
    mw_calls_gap(functions->calls, mw_now_ns());
    if (functions->resets)
        mw_writer_unbound_peaks(functions->sinks.writer);
}

/* Takes more out of the channel, once all that was taken is used; false when there is nothing. */
static bool take(struct mw_functions *functions)
{
    look_for_losses(functions);
    functions->next_taken = 0;
    functions->taken_count = mw_marks_take(functions->marks, &functions->taken);
    return functions->taken_count > 0;
}

static bool have_early(const struct mw_functions *functions)
{
    return functions->early_next < functions->early_count;
}

/* Follows the first marks that wait, as far as they were made before a moment. */
static int give_up_early(struct mw_functions *functions, int64_t before_ns,
                         const struct mw_calls_sink *sink)
{
    int code = 0;

    while (code == 0 && have_early(functions) &&
           functions->early[functions->early_next].t_ns < before_ns)
        code = mw_calls_mark(functions->calls, &functions->early[functions->early_next++], sink);
    if (!have_early(functions))
        functions->early_next = functions->early_count = 0;
    return code;
}

/* Follows the marks that have waited for processes that have been told of. */
static int follow_early(struct mw_functions *functions, const struct mw_calls_sink *sink)
{
    size_t left = 0;
    int code = 0;

    for (size_t i = functions->early_next; i < functions->early_count; i++) {
        const struct mw_mark mark = functions->early[i];

        if (code != 0 || !mw_calls_knows(functions->calls, mark.pid))
            functions->early[left++] = mark;
        else
            code = mw_calls_mark(functions->calls, &mark, sink);
    }
    functions->early_next = 0;
    functions->early_count = left;
    functions->has_started = false;
    return code;
}

/* Lets a mark wait. Where there is no room, all that wait have waited long enough. */
static int keep_early(struct mw_functions *functions, const struct mw_mark *mark,
                      const struct mw_calls_sink *sink)
{
    int code = 0;

    if (functions->early_count == MOST_EARLY)
        code = give_up_early(functions, INT64_MAX, sink);
    if (code != 0)
        return code;
    if (!mw_array_reserve(&functions->early, functions->early_count, &functions->early_room,
                          sizeof *functions->early))
        return mw_calls_mark(functions->calls, mark, sink);
    functions->early[functions->early_count++] = *mark;
    return 0;
}

static int follow(struct mw_functions *functions, const struct mw_mark *mark,
                  const struct mw_calls_sink *sink)
{
    if (functions->root_only && mark->pid != functions->root)
        return 0;
    return mw_calls_knows(functions->calls, mark->pid) ? mw_calls_mark(functions->calls, mark, sink)
                                                       : keep_early(functions, mark, sink);
}

/* Follows what was taken, and what waits now: a program that never ends to mark holds up nobody. */
static int follow_taken(struct mw_functions *functions, int64_t t_ns,
                        const struct mw_calls_sink *sink)
{
    uint64_t left = functions->taken_count - functions->next_taken;
    int code = 0;

    left += mw_marks_waiting(functions->marks);
    for (; code == 0 && left > 0; left--) {
        if (functions->next_taken == functions->taken_count && !take(functions))
            break;
        if (functions->taken[functions->next_taken].t_ns > t_ns)
            break;
        code = follow(functions, &functions->taken[functions->next_taken++], sink);
    }
    return code;
}

/* Looks after those that nobody has told of. */
static int follow_unknown(struct mw_functions *functions, const struct mw_calls_sink *sink)
{
    int64_t now_ns = mw_now_ns();
    int code =
        have_early(functions) ? give_up_early(functions, now_ns - early_patience_ns, sink) : 0;

    if (code < 0 || now_ns < functions->unknown_due_ns)
        return code;
    functions->unknown_due_ns = now_ns + unknown_pause_ns;
    return mw_calls_end_unknown(functions->calls, sink);
}

int mw_functions_advance(struct mw_functions *functions, int64_t t_ns, struct mw_error *error)
{
    const struct mw_calls_sink sink = sink_of(functions);
    int code = 0;

    if (!functions)
        return 0;
    if (functions->root == 0)
        return 0; /* nobody knows yet whose marks they are */
    if (functions->has_started)
        code = follow_early(functions, &sink);
    if (code == 0)
        code = follow_taken(functions, t_ns, &sink);
    if (code == 0)
        code = follow_unknown(functions, &sink);
    return result(functions, code, error);
}

bool mw_functions_were_held_up(struct mw_functions *functions)
{
    bool held_up = functions && functions->held_up;

    if (functions)
        functions->held_up = false;
    return held_up;
}

uint64_t mw_functions_lost(const struct mw_functions *functions)
{
    if (!functions)
        return 0;
    return mw_marks_lost(functions->marks) +
           (functions->calls ? mw_calls_lost(functions->calls) : 0);
}

/* --- processes -------------------------------------------------------------------------------- */

static bool remember_pid(struct mw_functions *functions, uint32_t slot, pid_t pid)
{
    if (slot >= functions->pid_count) {
        size_t count = (size_t)slot * 2 + 8;
        pid_t *pids = reallocarray(functions->pids, count, sizeof *pids);

        if (!pids)
            return false;
        for (size_t i = functions->pid_count; i < count; i++)
            pids[i] = 0;
        functions->pids = pids;
        functions->pid_count = count;
    }
    functions->pids[slot] = pid;
    return true;
}

static pid_t pid_of(const struct mw_functions *functions, uint32_t slot)
{
    return functions && slot < functions->pid_count ? functions->pids[slot] : 0;
}

int mw_functions_process_started(struct mw_functions *functions, pid_t pid, uint32_t slot,
                                 int64_t t_ns, struct mw_error *error)
{
    const struct mw_calls_sink sink = sink_of(functions);

    if (!functions)
        return 0;
    if (functions->root == 0)
        functions->root = pid;
    if (!remember_pid(functions, slot, pid))
        return 0; /* its calls are those of a process that is not known */
    functions->has_started = have_early(functions);
    return result(functions, mw_calls_process_started(functions->calls, pid, slot, t_ns, &sink),
                  error);
}

int mw_functions_process_executed(struct mw_functions *functions, uint32_t slot, int64_t t_ns,
                                  struct mw_error *error)
{
    const struct mw_calls_sink sink = sink_of(functions);
    pid_t pid = pid_of(functions, slot);

    if (pid == 0)
        return 0;
    return result(functions, mw_calls_process_executed(functions->calls, pid, t_ns, &sink), error);
}

int mw_functions_process_ended(struct mw_functions *functions, uint32_t slot, int64_t t_ns,
                               struct mw_error *error)
{
    const struct mw_calls_sink sink = sink_of(functions);
    pid_t pid = pid_of(functions, slot);
    int code;

    if (pid == 0)
        return 0;
    functions->pids[slot] = 0;
    mw_marks_process_ended(functions->marks, pid);
    /* All that it has marked comes before its end. */
    if ((code = mw_functions_advance(functions, mw_now_ns(), error)) < 0)
        return code;
    return result(functions, mw_calls_process_ended(functions->calls, pid, t_ns, &sink), error);
}

void mw_functions_sample(struct mw_functions *functions, uint32_t slot, int64_t t_ns, int64_t kib)
{
    if (pid_of(functions, slot) != 0)
        mw_calls_sample(functions->calls, functions->pids[slot], t_ns, kib);
}

void mw_functions_window(struct mw_functions *functions, uint32_t slot, int64_t t_ns, int64_t kib,
                         int64_t unseen_kib, int64_t reset_ns)
{
    if (pid_of(functions, slot) != 0)
        mw_calls_window(functions->calls, functions->pids[slot], t_ns, kib, unseen_kib, reset_ns);
}

/* --- storing ---------------------------------------------------------------------------------- */

int mw_functions_flush(struct mw_functions *functions, struct mw_error *error)
{
    const struct mw_calls_sink sink = sink_of(functions);

    return functions ? result(functions, mw_calls_flush(functions->calls, &sink), error) : 0;
}

int mw_functions_finish(struct mw_functions *functions, struct mw_error *error)
{
    const struct mw_calls_sink sink = sink_of(functions);
    int code;

    if (!functions)
        return 0;
    if ((code = mw_functions_advance(functions, mw_now_ns(), error)) < 0)
        return code;
    if ((code = give_up_early(functions, INT64_MAX, &sink)) == 0)
        code = mw_calls_finish(functions->calls, &sink);
    return result(functions, code, error);
}

/* --- waiting ---------------------------------------------------------------------------------- */

uint32_t mw_functions_wakes(const struct mw_functions *functions)
{
    return mw_marks_wakes(functions->marks);
}

void mw_functions_wait(struct mw_functions *functions, uint32_t seen)
{
    mw_marks_wait(functions->marks, seen, -1);
}

void mw_functions_wake(struct mw_functions *functions)
{
    mw_marks_wake(functions->marks);
}
