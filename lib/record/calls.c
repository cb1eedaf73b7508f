#include "record/calls.h"

#include "record/footprint.h"
#include "record/table.h"
#include "record/tally.h"
#include "util/array.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* More calls are not open at once: a program that never marks its exits would take all memory. */
enum { MOST_OPEN = 1 << 18 };

/* A call that has not ended. */
struct open_call {
    struct mw_tallied *function;
    uint64_t number;
    pid_t thread;
    int64_t enter_ns;
    int64_t enter_kib;    /* -1: not known */
    int64_t suspended_ns; /* of its stack, at the entry */
};

/* The open calls of a thread or a track; there are none of which no call is open. */
struct stack {
    struct mw_element element; /* its track: a thread's id, or a track's number with a minus sign */
    struct process *process;
    struct stack *next, **at; /* the next of the same process, and what points to this one */
    struct open_call *calls;
    size_t depth, room;
    int64_t suspended_ns;       /* since the first call; without the present suspension */
    int64_t suspended_since_ns; /* 0: it is not suspended */
};

struct process {
    struct mw_element element; /* its track is 0 */
    uint32_t slot;
    int64_t marked_ns; /* last */
    struct stack *stacks;
    struct mw_footprint footprint;
};

struct mw_calls {
    struct mw_calls_options options;
    struct mw_tally *tally;
    uint64_t lost;
    size_t open_count;
    int64_t gap_ns; /* marks were lost up to then */
    struct mw_table processes, stacks;
    struct process *last_process; /* that of the last mark, or NULL */
    struct stack *last_stack;
};

/* --- life cycle ------------------------------------------------------------------------------- */

struct mw_calls *mw_calls_new(const struct mw_calls_options *options)
{
    struct mw_calls *calls = calloc(1, sizeof *calls);

    if (!calls)
        return NULL;
    calls->options = *options;
    calls->gap_ns = INT64_MIN;
    calls->tally = mw_tally_new(options->budget);
    if (!calls->tally || !mw_table_init(&calls->processes, sizeof(struct process)) ||
        !mw_table_init(&calls->stacks, sizeof(struct stack))) {
        mw_calls_free(calls);
        return NULL;
    }
    return calls;
}

static void clear_stack(void *element)
{
    struct stack *stack = element;

    free(stack->calls);
}

static void clear_process(void *element)
{
    struct process *process = element;

    mw_footprint_clear(&process->footprint);
}

void mw_calls_free(struct mw_calls *calls)
{
    if (!calls)
        return;
    mw_table_clear(&calls->stacks, clear_stack);
    mw_table_clear(&calls->processes, clear_process);
    mw_tally_free(calls->tally);
    free(calls);
}

/* --- processes -------------------------------------------------------------------------------- */

static struct process *find_process(struct mw_calls *calls, pid_t pid)
{
    struct process *process = calls->last_process;

    if (process && process->element.key.pid == pid)
        return process;
    return mw_table_find(&calls->processes, (struct mw_key){.pid = pid});
}

/* Finds a process, and adds it where it is new; NULL when memory ran out. */
static struct process *need_process(struct mw_calls *calls, pid_t pid)
{
    struct process *process = find_process(calls, pid);

    if (process)
        return process;
    process = mw_table_add(&calls->processes, (struct mw_key){.pid = pid});
    if (!process)
        return NULL;
    process->slot = MW_CALLS_NO_SLOT;
    mw_footprint_begin(&process->footprint, &calls->options);
    return process;
}

/* Forgets a process without open calls. */
static void drop_process(struct mw_calls *calls, struct process *process)
{
    mw_table_drop(&calls->processes, process);
    if (calls->last_process == process)
        calls->last_process = NULL;
}

/* --- stacks ----------------------------------------------------------------------------------- */

static struct mw_key stack_key(const struct process *process, int64_t track)
{
    return (struct mw_key){process->element.key.pid, track};
}

static struct stack *find_stack(struct mw_calls *calls, const struct process *process,
                                int64_t track)
{
    struct stack *stack = calls->last_stack;

    if (stack && stack->process == process && stack->element.key.track == track)
        return stack;
    stack = mw_table_find(&calls->stacks, stack_key(process, track));
    if (stack)
        calls->last_stack = stack;
    return stack;
}

/* Finds a stack, and adds it where it is new; NULL when memory ran out. */
static struct stack *need_stack(struct mw_calls *calls, struct process *process, int64_t track)
{
    struct stack *stack = find_stack(calls, process, track);

    if (stack)
        return stack;
    stack = mw_table_add(&calls->stacks, stack_key(process, track));
    if (!stack)
        return NULL;
    stack->process = process;
    stack->suspended_ns = stack->suspended_since_ns = 0;
    stack->next = process->stacks;
    stack->at = &process->stacks;
    if (stack->next)
        stack->next->at = &stack->next;
    process->stacks = stack;
    mw_footprint_ask(&process->footprint);
    calls->last_stack = stack;
    return stack;
}

/* Forgets a stack in which no call is open. */
static void drop_stack(struct mw_calls *calls, struct stack *stack)
{
    struct process *process = stack->process;

    mw_table_drop(&calls->stacks, stack);
    *stack->at = stack->next;
    if (stack->next)
        stack->next->at = stack->at;
    if (calls->last_stack == stack)
        calls->last_stack = NULL;
    if (!process->stacks)
        mw_footprint_forget(&process->footprint);
}

/* --- memory ----------------------------------------------------------------------------------- */

void mw_calls_window(struct mw_calls *calls, pid_t pid, int64_t t_ns, int64_t kib,
                     int64_t unseen_kib, int64_t reset_ns)
{
    struct process *process = find_process(calls, pid);

    if (process && !mw_footprint_window(&process->footprint, t_ns, kib, unseen_kib, reset_ns))
        mw_calls_gap(calls, t_ns);
}

void mw_calls_sample(struct mw_calls *calls, pid_t pid, int64_t t_ns, int64_t kib)
{
    struct process *process = find_process(calls, pid);

    if (process)
        mw_footprint_sample(&process->footprint, t_ns, kib);
}

void mw_calls_gap(struct mw_calls *calls, int64_t t_ns)
{
    calls->gap_ns = t_ns;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* How a call ends. */
struct end {
    int64_t t_ns;
    int64_t kib;  /* -1: not known */
    bool never;   /* it does not: the recording ends before */
    bool covered; /* a high-water mark was taken at that moment */
};

static int64_t at_least_0(int64_t number)
{
    return number > 0 ? number : 0;
}

static int64_t to_us(const struct mw_calls *calls, int64_t t_ns)
{
    return at_least_0(t_ns - calls->options.start_ns) / 1000;
}

static int64_t bytes_of(int64_t kib)
{
    return kib < 0 ? -1 : kib * 1024;
}

static void resume(struct stack *stack, int64_t t_ns)
{
    if (stack->suspended_since_ns != 0)
        stack->suspended_ns =
            mw_tally_sum(stack->suspended_ns, at_least_0(t_ns - stack->suspended_since_ns));
    stack->suspended_since_ns = 0;
}

/* What is known of the memory of a process while a call was open. */
static struct mw_peak peak_of(const struct mw_calls *calls, const struct process *process,
                              const struct open_call *open, const struct end *end)
{
    const struct mw_stretch stretch = {.enter_ns = open->enter_ns,
                                       .enter_kib = open->enter_kib,
                                       .end_ns = end->t_ns,
                                       .never = end->never,
                                       .bounded = end->covered && open->enter_ns > calls->gap_ns};

    return mw_footprint_peak(&process->footprint, &stretch);
}

/* Ends the innermost call of a stack. */
static int pop(struct mw_calls *calls, struct stack *stack, const struct end *end,
               const struct mw_calls_sink *sink)
{
    const struct open_call *open = &stack->calls[--stack->depth];
    struct mw_call call = {
        .function = open->function->figures.id,
        .process = -1,
        .number = open->number,
        .track = stack->element.key.track,
        .thread = open->thread,
        .depth = (unsigned)stack->depth,
        .from_us = to_us(calls, open->enter_ns),
        .to_us = -1,
        .duration_ns = -1,
        .suspended_ns = stack->suspended_ns - open->suspended_ns,
        .from_bytes = bytes_of(open->enter_kib),
        .to_bytes = -1,
        .peak = peak_of(calls, stack->process, open, end),
    };

    if (!end->never) {
        call.to_us = to_us(calls, end->t_ns);
        call.duration_ns = at_least_0(at_least_0(end->t_ns - open->enter_ns) - call.suspended_ns);
        call.to_bytes = bytes_of(end->kib);
    }
    calls->open_count--;
    return mw_tally_end(calls->tally, open->function, stack->process->slot, &call, sink);
}

/* Ends calls until only depth of them are left. */
static int unwind(struct mw_calls *calls, struct stack *stack, size_t depth, const struct end *end,
                  const struct mw_calls_sink *sink)
{
    int code = 0;

    resume(stack, end->t_ns);
    while (code == 0 && stack->depth > depth)
        code = pop(calls, stack, end, sink);
    if (stack->depth == 0)
        drop_stack(calls, stack);
    return code;
}

static int unwind_all(struct mw_calls *calls, struct process *process, const struct end *end,
                      const struct mw_calls_sink *sink)
{
    int code = 0;

    while (code == 0 && process->stacks)
        code = unwind(calls, process->stacks, 0, end, sink);
    return code;
}

/* --- marks ------------------------------------------------------------------------------------ */

/* The memory of the process at a mark: what it read, or what is known, which holds. */
static int64_t memory_at(const struct process *process, const struct mw_mark *mark)
{
    return mark->resident_kib >= 0 ? mark->resident_kib : process->footprint.known_kib;
}

static int64_t track_of(const struct mw_mark *mark)
{
    return mark->track == 0 ? mark->tid : -(int64_t)mark->track;
}

static int enter(struct mw_calls *calls, struct process *process, const struct mw_mark *mark,
                 const struct mw_calls_sink *sink)
{
    struct mw_tallied *function;
    struct stack *stack;
    int code = mw_tally_need(calls->tally, mark->site, sink, &function);

    if (code != 0)
        return code;
    stack = function ? need_stack(calls, process, track_of(mark)) : NULL;
    if (!stack || calls->open_count >= MOST_OPEN ||
        !mw_array_reserve(&stack->calls, stack->depth, &stack->room, sizeof *stack->calls)) {
        calls->lost++;
        if (stack && stack->depth == 0)
            drop_stack(calls, stack);
        return 0;
    }
    resume(stack, mark->t_ns);
    calls->open_count++;
    stack->calls[stack->depth++] = (struct open_call){.function = function,
                                                      .number = mw_tally_enter(function),
                                                      .thread = mark->tid,
                                                      .enter_ns = mark->t_ns,
                                                      .enter_kib = memory_at(process, mark),
                                                      .suspended_ns = stack->suspended_ns};
    return 0;
}

/* The place of the innermost open call of a function in a stack; its depth where there is none. */
static size_t find_open(const struct stack *stack, const struct mw_tallied *function)
{
    size_t place = stack->depth;

    /* A function without open calls is not looked for in a deep stack. */
    while (function->open > 0 && place > 0) {
        if (stack->calls[--place].function == function)
            return place;
    }
    return stack->depth;
}

static int leave(struct mw_calls *calls, struct process *process, const struct mw_mark *mark,
                 const struct mw_calls_sink *sink)
{
    const struct mw_tallied *function = mw_tally_find(calls->tally, mark->site);
    struct stack *stack = find_stack(calls, process, track_of(mark));
    const struct end end = {
        .t_ns = mark->t_ns, .kib = memory_at(process, mark), .covered = mark->window_kib >= 0};
    size_t depth;

    if (!function || !stack || (depth = find_open(stack, function)) == stack->depth) {
        calls->lost++;
        return 0;
    }
    return unwind(calls, stack, depth, &end, sink);
}

/* A moment is a call that ends as it begins. */
static int point(struct mw_calls *calls, struct process *process, const struct mw_mark *mark,
                 const struct mw_calls_sink *sink)
{
    int code = enter(calls, process, mark, sink);

    return code == 0 ? leave(calls, process, mark, sink) : code;
}

static void suspend(struct mw_calls *calls, struct process *process, const struct mw_mark *mark)
{
    struct stack *stack = find_stack(calls, process, track_of(mark));

    if (!stack)
        return;
    if (mark->kind == MW_MARK_RESUME)
        resume(stack, mark->t_ns);
    else if (stack->suspended_since_ns == 0)
        stack->suspended_since_ns = mark->t_ns;
}

static int take_mark(struct mw_calls *calls, struct process *process, const struct mw_mark *mark,
                     const struct mw_calls_sink *sink)
{
    switch (mark->kind) {
    case MW_MARK_ENTER:
        return enter(calls, process, mark, sink);
    case MW_MARK_EXIT:
        return leave(calls, process, mark, sink);
    case MW_MARK_SUSPEND:
    case MW_MARK_RESUME:
        suspend(calls, process, mark);
        return 0;
    case MW_MARK_POINT:
        return point(calls, process, mark, sink);
    case MW_MARK_RESET:
        return 0; /* its reading is all that it has to tell */
    case MW_MARK_EXECUTED:
        return unwind_all(calls, process, &(struct end){.t_ns = mark->t_ns, .kib = -1}, sink);
    }
    return 0;
}

static int64_t within(int64_t low, int64_t number, int64_t high)
{
    return number < low ? low : number > high ? high : number;
}

/* Brings what a program wrote to where it can be reckoned with: 36 years, and 4 EiB. */
static struct mw_mark bounded(const struct mw_calls *calls, const struct mw_mark *mark)
{
    static const int64_t most_ns = INT64_MAX / 8, most_kib = INT64_MAX / 2048;
    struct mw_mark copy = *mark;

    copy.t_ns = within(calls->options.start_ns, mark->t_ns, most_ns);
    copy.resident_kib = within(-1, mark->resident_kib, most_kib);
    copy.window_kib = within(-1, mark->window_kib, most_kib);
    copy.unseen_kib = within(0, mark->unseen_kib, most_kib);
    return copy;
}

int mw_calls_mark(struct mw_calls *calls, const struct mw_mark *mark,
                  const struct mw_calls_sink *sink)
{
    struct process *process = need_process(calls, mark->pid);
    const struct mw_mark copy = bounded(calls, mark);
    int code;

    if (!process) {
        calls->lost++;
        return 0;
    }
    calls->last_process = process;
    process->marked_ns = copy.t_ns;
    if (!mw_footprint_mark(&process->footprint, &copy))
        mw_calls_gap(calls, copy.t_ns);
    code = take_mark(calls, process, &copy, sink);
    if (code == 0 && (process->slot != MW_CALLS_NO_SLOT || !process->stacks))
        code = mw_footprint_tell(&process->footprint, process->slot, sink);
    /* Nobody will tell the end of a process that is not known. */
    if (!process->stacks && process->slot == MW_CALLS_NO_SLOT)
        drop_process(calls, process);
    return code;
}

bool mw_calls_knows(struct mw_calls *calls, pid_t pid)
{
    const struct process *process = find_process(calls, pid);

    return process && process->slot != MW_CALLS_NO_SLOT;
}

int mw_calls_process_started(struct mw_calls *calls, pid_t pid, uint32_t slot, int64_t t_ns,
                             const struct mw_calls_sink *sink)
{
    struct process *process = find_process(calls, pid);
    int code;

    if (process && process->slot != MW_CALLS_NO_SLOT &&
        (code = mw_calls_process_ended(calls, pid, t_ns, sink)) != 0)
        return code;
    process = need_process(calls, pid);
    if (process)
        process->slot = slot;
    return 0;
}

int mw_calls_process_executed(struct mw_calls *calls, pid_t pid, int64_t t_ns,
                              const struct mw_calls_sink *sink)
{
    struct process *process = find_process(calls, pid);
    const struct end end = {.t_ns = t_ns, .kib = -1};
    int code = 0;

    for (struct stack *stack = process ? process->stacks : NULL, *next; code == 0 && stack;
         stack = next) {
        next = stack->next;
        if (stack->calls[0].enter_ns < t_ns) /* or else it is one of the new program */
            code = unwind(calls, stack, 0, &end, sink);
    }
    return code;
}

int mw_calls_process_ended(struct mw_calls *calls, pid_t pid, int64_t t_ns,
                           const struct mw_calls_sink *sink)
{
    struct process *process = find_process(calls, pid);
    const struct end end = {.t_ns = t_ns, .kib = -1};
    int code;

    if (!process)
        return 0;
    if ((code = unwind_all(calls, process, &end, sink)) == 0)
        code = mw_footprint_tell(&process->footprint, process->slot, sink);
    if (code == 0 && process->slot != MW_CALLS_NO_SLOT)
        code = mw_tally_end_process(calls->tally, process->slot, sink);
    if (code == 0)
        drop_process(calls, process);
    return code;
}

int mw_calls_end_unknown(struct mw_calls *calls, const struct mw_calls_sink *sink)
{
    int code = 0;

    for (struct process *process = mw_table_next(&calls->processes, NULL), *next;
         code == 0 && process; process = next) {
        pid_t pid = (pid_t)process->element.key.pid;

        next = mw_table_next(&calls->processes, process);
        if (process->slot == MW_CALLS_NO_SLOT && kill(pid, 0) < 0 && errno == ESRCH)
            code = mw_calls_process_ended(calls, pid, process->marked_ns, sink);
    }
    return code;
}

int mw_calls_flush(struct mw_calls *calls, const struct mw_calls_sink *sink)
{
    return mw_tally_flush(calls->tally, sink);
}

int mw_calls_finish(struct mw_calls *calls, const struct mw_calls_sink *sink)
{
    static const struct end never = {.never = true, .kib = -1};
    int code = 0;

    for (struct process *process = NULL;
         code == 0 && (process = mw_table_next(&calls->processes, process));) {
        if ((code = unwind_all(calls, process, &never, sink)) == 0)
            code = mw_footprint_tell(&process->footprint, process->slot, sink);
    }
    return code == 0 ? mw_tally_finish(calls->tally, sink) : code;
}

uint64_t mw_calls_lost(const struct mw_calls *calls)
{
    return calls->lost;
}
