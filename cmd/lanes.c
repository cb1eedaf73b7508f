#include "cmd/lanes.h"

#include "util/array.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* More lanes than these would be no picture, but a wall. */
enum { MOST_LANES = 24, MOST_TASKS = 64 };

/* --- lanes ------------------------------------------------------------------------------------ */

struct mw_plot_calls span_calls(const struct mw_span *span)
{
    return (struct mw_plot_calls){
        .count = span->calls,
        .total_s = (double)span->duration_ns / 1e9,
        .growth_bytes = span->growth_bytes,
        .peak_bytes = span->peak_bytes,
    };
}

static int add_box(struct lane_set *set, size_t lane, const struct mw_span *span)
{
    if (!mw_array_reserve(&set->boxes, set->box_count, &set->box_room, sizeof *set->boxes))
        return -ENOMEM;
    set->boxes[set->box_count++] = (struct mw_plot_box){
        .lane = lane,
        .function = span->function == MW_SPAN_SEVERAL ? MW_PLOT_SEVERAL : span->function,
        .from_s = (double)span->from_us / 1e6,
        .to_s = (double)span->to_us / 1e6,
        .calls = span_calls(span),
    };
    return 0;
}

int lane_set_add(struct lane_set *set, char *label, const struct mw_span_row *row)
{
    size_t lane = set->lane_count;
    int code = 0;

    if (!mw_array_reserve(&set->lanes, lane, &set->lane_room, sizeof *set->lanes)) {
        free(label);
        return -ENOMEM;
    }
    set->lanes[set->lane_count++] = (struct mw_plot_lane){label};
    for (size_t i = 0; code == 0 && i < row->count; i++)
        code = add_box(set, lane, &row->spans[i]);
    return code;
}

void lane_set_clear(struct lane_set *set)
{
    for (size_t i = 0; i < set->lane_count; i++)
        free((void *)(uintptr_t)set->lanes[i].label);
    free(set->lanes);
    free(set->boxes);
    *set = (struct lane_set){0};
}

/* --- the flame chart -------------------------------------------------------------------------- */

/* A thread, or a task in one. */
struct task {
    int64_t process, track;
    struct mw_span_row depths[MOST_LANES];
    size_t depth_count; /* that it reached, also those without a row */
    size_t shown;
};

struct flame {
    int64_t near_us;
    struct task *tasks;
    size_t count, room, last;
    bool more_tasks;
};

struct flame *flame_new(int64_t window_us, unsigned columns)
{
    struct flame *flame = calloc(1, sizeof *flame);

    if (flame)
        flame->near_us = window_us / (columns ? columns : 1) + 1;
    return flame;
}

static bool is_task(const struct task *task, const struct mw_call *call)
{
    return task->process == call->process && task->track == call->track;
}

/* NULL when there are too many, or when memory ran out. */
static struct task *find_task(struct flame *flame, const struct mw_call *call)
{
    struct task *task;

    /* Mostly it is the one of the call before. */
    if (flame->last < flame->count && is_task(&flame->tasks[flame->last], call))
        return &flame->tasks[flame->last];
    for (size_t i = 0; i < flame->count; i++) {
        if (is_task(&flame->tasks[i], call)) {
            flame->last = i;
            return &flame->tasks[i];
        }
    }
    flame->more_tasks = flame->more_tasks || flame->count == MOST_TASKS;
    if (flame->count == MOST_TASKS ||
        !mw_array_reserve(&flame->tasks, flame->count, &flame->room, sizeof *flame->tasks))
        return NULL;
    task = &flame->tasks[flame->count++];
    *task = (struct task){.process = call->process, .track = call->track};
    return task;
}

int flame_add(struct flame *flame, const struct mw_call *call, const struct mw_span *span)
{
    struct task *task = find_task(flame, call);
    struct mw_span_row *row;

    if (!task)
        return flame->more_tasks ? 0 : -ENOMEM;
    if (task->depth_count <= call->depth)
        task->depth_count = (size_t)call->depth + 1;
    if (call->depth >= MOST_LANES)
        return 0;
    row = &task->depths[call->depth];
    /* A box can be seen from two pixels on, and two boxes can be told apart. */
    *row = (struct mw_span_row){.rule = MW_SPAN_BY_GAP,
                                .near_us = 2 * flame->near_us,
                                .long_us = 3 * flame->near_us,
                                .spans = row->spans,
                                .count = row->count,
                                .room = row->room};
    return mw_span_row_add(row, span);
}

/* Deals the room out: each task in turn gets one more depth, until there is no room or no depth. */
static void share_room(struct flame *flame, struct lane_set *lanes)
{
    size_t shown = 0, all = 0;
    bool any = true;

    while (any) {
        any = false;
        for (size_t i = 0; i < flame->count && shown < MOST_LANES; i++) {
            struct task *task = &flame->tasks[i];

            if (task->shown < task->depth_count && task->shown < MOST_LANES) {
                task->shown++;
                shown++;
                any = true;
            }
        }
    }
    for (size_t i = 0; i < flame->count; i++)
        all += flame->tasks[i].depth_count;
    lanes->left_out = all - shown + flame->more_tasks;
}

static const struct mw_process *process_of(const struct recording *recording, int64_t id)
{
    for (size_t i = 0; i < recording->process_count; i++) {
        if (recording->processes[i].id == id)
            return &recording->processes[i];
    }
    return NULL;
}

static bool has_processes(const struct flame *flame)
{
    for (size_t i = 1; i < flame->count; i++) {
        if (flame->tasks[i].process != flame->tasks[0].process)
            return true;
    }
    return false;
}

/* How many tasks a task's process has, and which of them it is. */
static size_t tasks_of_process(const struct flame *flame, size_t task, size_t *ret_place)
{
    size_t count = 0;

    for (size_t i = 0; i < flame->count; i++) {
        count += flame->tasks[i].process == flame->tasks[task].process;
        if (i == task)
            *ret_place = count;
    }
    return count;
}

/* "task 2"; where there are several processes "4711", or "4711: 2" for one of its tasks; nothing
 * for one task alone. */
static int label_task(const struct flame *flame, size_t task, const struct recording *recording,
                      char **ret_label)
{
    const struct mw_process *process = process_of(recording, flame->tasks[task].process);
    size_t place = 0, count = tasks_of_process(flame, task, &place);
    int length;

    *ret_label = NULL;
    if (flame->count == 1)
        return 0;
    if (!process || !has_processes(flame))
        length = asprintf(ret_label, "task %zu", place);
    else if (count == 1)
        length = asprintf(ret_label, "%d", process->pid);
    else
        length = asprintf(ret_label, "%d: %zu", process->pid, place);
    return length < 0 ? -ENOMEM : 0;
}

int flame_finish(struct flame *flame, const struct recording *recording, struct lane_set *lanes)
{
    int code = 0;

    share_room(flame, lanes);
    for (size_t i = 0; code == 0 && i < flame->count; i++) {
        const struct task *task = &flame->tasks[i];
        char *label = NULL;

        code = label_task(flame, i, recording, &label);
        for (size_t depth = 0; code == 0 && depth < task->shown; depth++) {
            code = lane_set_add(lanes, label, &task->depths[depth]);
            label = NULL;
        }
        free(label);
    }
    return code;
}

void flame_free(struct flame *flame)
{
    if (!flame)
        return;
    for (size_t i = 0; i < flame->count; i++) {
        for (size_t depth = 0; depth < MOST_LANES; depth++)
            mw_span_row_clear(&flame->tasks[i].depths[depth]);
    }
    free(flame->tasks);
    free(flame);
}
