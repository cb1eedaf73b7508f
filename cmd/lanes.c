#include "cmd/lanes.h"

#include "cmd/command.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More lanes than these would be no picture, but a wall. */
enum { MOST_LANES = 24, MOST_TRACKS = 256 };

/* --- lanes ------------------------------------------------------------------------------------ */

struct mw_plot_calls span_calls(const struct mw_span *span)
{
    return (struct mw_plot_calls){
        .count = span->calls,
        .total_s = (double)span->duration_ns / 1e9,
        .waited_s = (double)span->suspended_ns / 1e9,
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

struct track {
    int64_t process, number; /* a thread's id, or a task's or generator's with a minus sign */
    struct mw_span_row depths[MOST_LANES];
    size_t depth_count; /* that it reached, also those without a row */
    size_t shown;
};

struct flame {
    int64_t near_us;
    struct track *tracks;
    size_t count, room, last;
    bool more_tracks;
};

struct flame *flame_new(int64_t window_us, unsigned columns)
{
    struct flame *flame = calloc(1, sizeof *flame);

    if (flame)
        flame->near_us = window_us / (columns ? columns : 1) + 1;
    return flame;
}

static bool is_track(const struct track *track, const struct mw_call *call)
{
    return track->process == call->process && track->number == call->track;
}

/* NULL when there are too many, or when memory ran out. */
static struct track *find_track(struct flame *flame, const struct mw_call *call)
{
    struct track *track;

    /* Mostly it is the one of the call before. */
    if (flame->last < flame->count && is_track(&flame->tracks[flame->last], call))
        return &flame->tracks[flame->last];
    for (size_t i = 0; i < flame->count; i++) {
        if (is_track(&flame->tracks[i], call)) {
            flame->last = i;
            return &flame->tracks[i];
        }
    }
    flame->more_tracks = flame->more_tracks || flame->count == MOST_TRACKS;
    if (flame->count == MOST_TRACKS ||
        !mw_array_reserve(&flame->tracks, flame->count, &flame->room, sizeof *flame->tracks))
        return NULL;
    track = &flame->tracks[flame->count++];
    *track = (struct track){.process = call->process, .number = call->track};
    return track;
}

int flame_add(struct flame *flame, const struct mw_call *call, const struct mw_span *span)
{
    struct track *track = find_track(flame, call);
    struct mw_span_row *row;

    if (!track)
        return flame->more_tracks ? 0 : -ENOMEM;
    if (track->depth_count <= call->depth)
        track->depth_count = (size_t)call->depth + 1;
    if (call->depth >= MOST_LANES)
        return 0;
    row = &track->depths[call->depth];
    /* A box can be seen from two pixels on, and two boxes can be told apart. */
    *row = (struct mw_span_row){.rule = MW_SPAN_BY_GAP,
                                .near_us = 2 * flame->near_us,
                                .long_us = 3 * flame->near_us,
                                .spans = row->spans,
                                .count = row->count,
                                .room = row->room};
    return mw_span_row_add(row, span);
}

/* --- which lanes are drawn -------------------------------------------------------------------- */

static size_t most_depths(const struct track *track)
{
    return track->depth_count < MOST_LANES ? track->depth_count : MOST_LANES;
}

/* Shows a track down to so many depths, as far as there is room. */
static void show_depths(struct track *track, size_t depths, size_t *room)
{
    while (track->shown < depths && track->shown < most_depths(track) && *room > 0) {
        track->shown++;
        --*room;
    }
}

static bool has_function(const struct mw_span_row *row, size_t function)
{
    for (size_t i = 0; i < row->count; i++) {
        if (row->spans[i].function == function)
            return true;
    }
    return false;
}

/* The depth from 1 on at which a function is in a track; 0: it is not. */
static size_t depth_of(const struct track *track, size_t function)
{
    for (size_t depth = 0; depth < most_depths(track); depth++) {
        if (has_function(&track->depths[depth], function))
            return depth + 1;
    }
    return 0;
}

/* Shows the function in the track that needs the fewest further lanes for it. */
static void show_function(struct flame *flame, size_t function, size_t *room)
{
    struct track *best = NULL;
    size_t best_depths = 0;

    for (size_t i = 0; i < flame->count; i++) {
        struct track *track = &flame->tracks[i];
        size_t depths = depth_of(track, function);

        if (depths > 0 && depths <= track->shown)
            return;
        if (depths > 0 && (!best || depths - track->shown < best_depths - best->shown)) {
            best = track;
            best_depths = depths;
        }
    }
    if (best && best_depths - best->shown <= *room)
        show_depths(best, best_depths, room);
}

/*
 * First every function has its lane, then tracks have two each (a call, and what it calls), and at
 * last each track in turn gets one more, until there is no room or no depth.
 */
static void share_room(struct flame *flame, size_t functions, struct lane_set *lanes)
{
    size_t room = MOST_LANES, all = 0;

    for (size_t function = 0; function < functions; function++)
        show_function(flame, function, &room);
    for (size_t depths = 2; depths <= MOST_LANES && room > 0; depths++) {
        for (size_t i = 0; i < flame->count; i++)
            show_depths(&flame->tracks[i], depths, &room);
    }
    for (size_t i = 0; i < flame->count; i++)
        all += flame->tracks[i].depth_count;
    lanes->left_out = all - (MOST_LANES - room) + flame->more_tracks;
}

/* --- what tracks are called ------------------------------------------------------------------- */

enum track_kind { TRACK_THREAD, TRACK_TASK, TRACK_GENERATOR };

static enum track_kind kind_of(const struct track *track)
{
    if (track->number >= 0)
        return TRACK_THREAD;
    return -track->number >= MW_TRACK_GENERATORS ? TRACK_GENERATOR : TRACK_TASK;
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
        if (flame->tracks[i].process != flame->tracks[0].process)
            return true;
    }
    return false;
}

static bool is_alone(const struct flame *flame, const struct track *track)
{
    size_t count = 0;

    for (size_t i = 0; i < flame->count; i++)
        count += flame->tracks[i].process == track->process;
    return count == 1;
}

/* Which of its kind in its process it is, from 1 on. */
static size_t place_of(const struct flame *flame, const struct track *track)
{
    size_t place = 1;

    for (const struct track *other = flame->tracks; other < track; other++)
        place += other->process == track->process && kind_of(other) == kind_of(track);
    return place;
}

/* "main thread", "thread 2", "task 3", "generator 1". */
static char *name_track(const struct flame *flame, const struct track *track,
                        const struct mw_process *process)
{
    static const char *const kinds[] = {"thread", "task", "generator"};

    if (process && track->number == process->pid)
        return strdup("main thread");
    return cmd_words("%s %zu", kinds[kind_of(track)], place_of(flame, track));
}

/* Its name, and where there are several processes, "4711" in front; for one alone nothing. */
static int label_track(const struct flame *flame, const struct track *track,
                       const struct recording *recording, char **ret_label)
{
    const struct mw_process *process = process_of(recording, track->process);
    mw_auto_free char *name = name_track(flame, track, process);
    bool prefixed = process && has_processes(flame);

    *ret_label = NULL;
    if (!name)
        return -ENOMEM;
    if (flame->count == 1)
        return 0;
    if (!prefixed)
        *ret_label = MW_TAKE(name);
    else if (is_alone(flame, track))
        *ret_label = cmd_words("%d", process->pid);
    else
        *ret_label = cmd_words("%d %s", process->pid, name);
    return *ret_label ? 0 : -ENOMEM;
}

int flame_finish(struct flame *flame, const struct recording *recording, size_t functions,
                 struct lane_set *lanes)
{
    int code = 0;

    share_room(flame, functions, lanes);
    for (size_t i = 0; code == 0 && i < flame->count; i++) {
        const struct track *track = &flame->tracks[i];
        char *label = NULL;

        code = label_track(flame, track, recording, &label);
        for (size_t depth = 0; code == 0 && depth < track->shown; depth++) {
            code = lane_set_add(lanes, label, &track->depths[depth]);
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
            mw_span_row_clear(&flame->tracks[i].depths[depth]);
    }
    free(flame->tracks);
    free(flame);
}
