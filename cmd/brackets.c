#include "cmd/brackets.h"

#include "analysis/spans.h"
#include "cmd/curves.h"
#include "cmd/lanes.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Which function an id names: its place among the functions by their size. */
struct rank {
    int64_t id;
    size_t place;
};

struct brackets {
    struct mw_function *found; /* by size, those first that were called in the window */
    struct mw_plot_function *functions;
    struct mw_plot_span *spans;
    struct lane_set lanes;
    size_t found_count, function_count, span_count, span_room;
};

/* What a function came to in the window. */
struct tally {
    uint64_t calls, ended;
    int64_t total_ns, suspended_ns; /* of those that ended */
};

/* What is at work while the calls are read. */
struct reading {
    const struct brackets_request *request;
    struct brackets *brackets;
    struct rank *ranks;       /* by id */
    struct tally *tallies;    /* by the place among the functions */
    struct mw_span_row *rows; /* of the calls of a function on a curve */
    struct flame *flame;      /* NULL: none is asked for */
};

static int out_of_memory(struct mw_error *error)
{
    return mw_error_errno(error, ENOMEM, "cannot draw");
}

/* --- the functions by size -------------------------------------------------------------------- */

static int compare_sizes(const void *a, const void *b)
{
    const struct mw_function *first = a, *second = b;
    int64_t first_peak = first->peak.known ? first->peak.bytes : -1;
    int64_t second_peak = second->peak.known ? second->peak.bytes : -1;

    if (first_peak != second_peak)
        return first_peak < second_peak ? 1 : -1;
    if (first->growth_bytes != second->growth_bytes)
        return first->growth_bytes < second->growth_bytes ? 1 : -1;
    return (first->total_ns < second->total_ns) - (first->total_ns > second->total_ns);
}

static int compare_ids(const void *a, const void *b)
{
    const struct rank *first = a, *second = b;

    return (first->id > second->id) - (first->id < second->id);
}

static void rank_functions(struct reading *reading)
{
    struct brackets *brackets = reading->brackets;

    for (size_t i = 0; i < brackets->found_count; i++)
        reading->ranks[i] = (struct rank){brackets->found[i].id, i};
    qsort(reading->ranks, brackets->found_count, sizeof *reading->ranks, compare_ids);
}

static const struct rank *find_rank(const struct reading *reading, int64_t id)
{
    return bsearch(&(struct rank){.id = id}, reading->ranks, reading->brackets->found_count,
                   sizeof *reading->ranks, compare_ids);
}

/* Times from a file may be anything. */
static void add_ns(int64_t *sum_ns, int64_t ns)
{
    if (ns > 0 && __builtin_add_overflow(*sum_ns, ns, sum_ns))
        *sum_ns = INT64_MAX;
}

static int count_call(void *context, const struct mw_call *call)
{
    struct reading *reading = context;
    const struct rank *rank = find_rank(reading, call->function);
    struct tally *tally = rank ? &reading->tallies[rank->place] : NULL;

    if (!tally)
        return 0;
    tally->calls++;
    if (call->to_us < 0)
        return 0;
    tally->ended++;
    add_ns(&tally->total_ns, call->duration_ns);
    add_ns(&tally->suspended_ns, call->suspended_ns);
    return 0;
}

static int read_calls(struct reading *reading, mw_call_fn *give, struct mw_error *error)
{
    const struct brackets_request *request = reading->request;

    return mw_reader_calls(request->recording->reader, request->recording->run->id,
                           request->from_us, request->to_us, give, reading, error);
}

static bool is_whole(const struct brackets_request *request)
{
    return request->from_us <= 0 && request->to_us >= request->recording->run->duration_us;
}

/* A picture of a part tells what was called in that part. */
static void take_tally(struct mw_function *function, const struct tally *tally)
{
    function->calls = tally->calls;
    function->ended = tally->ended;
    function->total_ns = tally->total_ns;
    function->suspended_ns = tally->suspended_ns;
}

/* Those that were not called in the window go to the end, where nothing looks for them. */
static int choose_called(struct reading *reading, struct mw_error *error)
{
    struct brackets *brackets = reading->brackets;
    size_t called = 0;
    int code;

    rank_functions(reading);
    if ((code = read_calls(reading, count_call, error)) < 0)
        return code;
    for (size_t i = 0; i < brackets->found_count; i++) {
        if (reading->tallies[i].calls > 0) {
            struct mw_function function = brackets->found[i];

            if (!is_whole(reading->request))
                take_tally(&function, &reading->tallies[i]);
            brackets->found[i] = brackets->found[called];
            brackets->found[called++] = function;
        }
    }
    brackets->function_count = called;
    rank_functions(reading);
    return 0;
}

/* --- where a call stands ---------------------------------------------------------------------- */

/* The curve that a call belongs to: its process's, else the total's, else the first. */
static size_t curve_of(const struct brackets_request *request, int64_t process)
{
    size_t tree = 0;

    for (size_t i = 0; i < request->curve_count; i++) {
        if (process >= 0 && request->owners[i] == process)
            return i;
        if (request->owners[i] == MW_PROCESS_TREE)
            tree = i;
    }
    return tree;
}

/* What a curve shows at a moment; before its first point and in a gap, the nearest before or
 * behind. */
static double value_at(const struct mw_plot_curve *curve, double t_s)
{
    size_t low = 0, high = curve->point_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (curve->points[middle].t_s <= t_s)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i > 0; i--) {
        if (isfinite(curve->points[i - 1].value))
            return curve->points[i - 1].value;
    }
    for (size_t i = low; i < curve->point_count; i++) {
        if (isfinite(curve->points[i].value))
            return curve->points[i].value;
    }
    return 0;
}

/* What a mark read, on the curve of the process that it read; else what the curve says. */
static double height_at(const struct brackets_request *request, size_t curve,
                        const struct mw_call *call, int64_t t_us, int64_t read_bytes)
{
    bool own = call->process >= 0 && request->owners[curve] == call->process;

    if (request->resident && own && read_bytes >= 0 && t_us >= request->from_us &&
        t_us <= request->to_us)
        return (double)read_bytes;
    return value_at(&request->curves[curve], (double)t_us / 1e6);
}

/* Where a call that did not end stops to be drawn: with its process. */
static int64_t end_of_open(const struct brackets_request *request, int64_t process)
{
    const struct recording *recording = request->recording;

    for (size_t i = 0; i < recording->process_count; i++) {
        if (recording->processes[i].id == process && recording->processes[i].end_us >= 0)
            return recording->processes[i].end_us;
    }
    return recording->run->duration_us;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static double growth(const struct mw_call *call)
{
    return call->from_bytes < 0 || call->to_bytes < 0
               ? NAN
               : (double)call->to_bytes - (double)call->from_bytes;
}

/*
 * The call as far as it lies in the window. What lies outside ends just outside: it has no bracket
 * there, and however many there are, they are at one place.
 */
static struct mw_span span_of(const struct brackets_request *request, const struct mw_call *call,
                              size_t function, size_t curve)
{
    bool open = call->to_us < 0;
    int64_t end_us = open ? end_of_open(request, call->process) : call->to_us;
    int64_t from_us = clamp(call->from_us, request->from_us - 1, request->to_us);
    int64_t to_us = clamp(end_us, from_us, request->to_us + 1);

    return (struct mw_span){
        .function = function,
        .curve = curve,
        .depth = call->depth,
        .from_us = from_us,
        .to_us = to_us,
        .open = open,
        .calls = 1,
        .duration_ns = call->duration_ns >= 0 ? call->duration_ns : (to_us - call->from_us) * 1000,
        .suspended_ns = call->duration_ns >= 0 ? call->suspended_ns : 0,
        .from_bytes = height_at(request, curve, call, from_us, call->from_bytes),
        .to_bytes = height_at(request, curve, call, to_us, call->to_bytes),
        .growth_bytes = growth(call),
        .peak_bytes = call->peak.known ? (double)call->peak.bytes : NAN,
    };
}

/* --- reading ---------------------------------------------------------------------------------- */

static size_t coloured(const struct brackets *brackets)
{
    return brackets->function_count < MW_PLOT_COLOURED_FUNCTIONS ? brackets->function_count
                                                                 : MW_PLOT_COLOURED_FUNCTIONS;
}

static int add_call(void *context, const struct mw_call *call)
{
    struct reading *reading = context;
    const struct brackets_request *request = reading->request;
    const struct rank *rank = find_rank(reading, call->function);
    size_t curve;
    struct mw_span span;
    int code = 0;

    if (!rank || rank->place >= reading->brackets->function_count)
        return 0;
    curve = curve_of(request, call->process);
    span = span_of(request, call, rank->place, curve);
    if (rank->place < coloured(reading->brackets))
        code = mw_span_row_add(&reading->rows[rank->place * request->curve_count + curve], &span);
    if (code == 0 && reading->flame)
        code = flame_add(reading->flame, call, &span);
    return code;
}

/* Brackets are about six pixels wide, or two letters: closer ones would be a smear. */
static int64_t bracket_us(const struct brackets_request *request)
{
    int64_t columns = request->columns ? request->columns : 1;

    return (request->to_us - request->from_us) * (request->letters ? 4 : 12) / columns + 1;
}

static int read_rows(struct reading *reading, struct mw_error *error)
{
    const struct brackets_request *request = reading->request;
    size_t count = coloured(reading->brackets) * request->curve_count;
    int code;

    reading->rows = calloc(count + 1, sizeof *reading->rows);
    if (!reading->rows)
        return out_of_memory(error);
    for (size_t i = 0; i < count; i++)
        reading->rows[i].near_us = bracket_us(request);
    if (request->flame && !request->letters &&
        !(reading->flame = flame_new(request->to_us - request->from_us, request->columns)))
        return out_of_memory(error);
    code = read_calls(reading, add_call, error);
    return code == -ENOMEM ? out_of_memory(error) : code;
}

/* --- what is drawn ---------------------------------------------------------------------------- */

static struct mw_plot_span plot_span(const struct mw_span *span)
{
    return (struct mw_plot_span){
        .function = span->function,
        .curve = span->curve,
        .from_s = (double)span->from_us / 1e6,
        .to_s = span->open ? NAN : (double)span->to_us / 1e6,
        .from_bytes = span->from_bytes,
        .to_bytes = span->to_bytes,
        .depth = span->depth,
        .calls = span_calls(span),
    };
}

static int compare_entries(const void *a, const void *b)
{
    const struct mw_span *first = a, *second = b;

    return (first->from_us > second->from_us) - (first->from_us < second->from_us);
}

/* All spans of a function, on whatever curve they are, in the order of entry. */
static int gather_spans(const struct reading *reading, size_t function, struct mw_span_row *ret_all)
{
    size_t curves = reading->request->curve_count;

    for (size_t curve = 0; curve < curves; curve++) {
        const struct mw_span_row *row = &reading->rows[function * curves + curve];

        for (size_t i = 0; i < row->count; i++) {
            if (!mw_array_reserve(&ret_all->spans, ret_all->count, &ret_all->room,
                                  sizeof *ret_all->spans))
                return -ENOMEM;
            ret_all->spans[ret_all->count++] = row->spans[i];
        }
    }
    if (ret_all->count > 1)
        qsort(ret_all->spans, ret_all->count, sizeof *ret_all->spans, compare_entries);
    return 0;
}

static int add_spans(struct brackets *brackets, const struct mw_span_row *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (!mw_array_reserve(&brackets->spans, brackets->span_count, &brackets->span_room,
                              sizeof *brackets->spans))
            return -ENOMEM;
        brackets->spans[brackets->span_count++] = plot_span(&all->spans[i]);
    }
    return 0;
}

/* A function in a lane of its own. Where calls overlap or touch, they are one box. */
static int add_lane(struct reading *reading, const struct mw_span_row *all)
{
    struct mw_span_row lane = {
        .rule = MW_SPAN_BY_GAP, .near_us = bracket_us(reading->request) / 4, .long_us = INT64_MAX};
    int code = 0;

    for (size_t i = 0; code == 0 && i < all->count; i++)
        code = mw_span_row_add(&lane, &all->spans[i]);
    if (code == 0)
        code = lane_set_add(&reading->brackets->lanes, NULL, &lane);
    mw_span_row_clear(&lane);
    return code;
}

static bool is_crowded(const struct mw_span_row *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->spans[i].calls > 1)
            return true;
    }
    return false;
}

/*
 * A function is either brackets, or, where any of its calls are too close for them, boxes: some of
 * both would look as if it had been called in two ways. Letters have brackets alone.
 */
static int collect_function(struct reading *reading, size_t function)
{
    struct mw_span_row all = {0};
    int code = gather_spans(reading, function, &all);

    if (code == 0)
        code = !reading->request->letters && is_crowded(&all) ? add_lane(reading, &all)
                                                              : add_spans(reading->brackets, &all);
    mw_span_row_clear(&all);
    return code;
}

/* Where a function is seen first in the lanes. */
struct place {
    size_t function, lane;
    double from_s;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *first = a, *second = b;

    if (first->lane != second->lane)
        return first->lane < second->lane ? -1 : 1;
    if (first->from_s != second->from_s)
        return first->from_s < second->from_s ? -1 : 1;
    return (first->function > second->function) - (first->function < second->function);
}

/* The first box of each function that has a colour; boxes come lane by lane, in order. */
static void find_places(const struct brackets *brackets, struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){i, SIZE_MAX, 0};
    for (size_t i = 0; i < brackets->lanes.box_count; i++) {
        const struct mw_plot_box *box = &brackets->lanes.boxes[i];

        if (box->function < count && places[box->function].lane == SIZE_MAX)
            places[box->function] = (struct place){box->function, box->lane, box->from_s};
    }
}

/* The legend of a flame chart is read beside the lanes: its entries are in their order. */
static void order_as_lanes(struct brackets *brackets)
{
    struct place places[MW_PLOT_COLOURED_FUNCTIONS];
    struct mw_function found[MW_PLOT_COLOURED_FUNCTIONS];
    size_t now[MW_PLOT_COLOURED_FUNCTIONS], count = coloured(brackets);

    find_places(brackets, places, count);
    qsort(places, count, sizeof *places, compare_places);
    for (size_t i = 0; i < count; i++) {
        found[i] = brackets->found[places[i].function];
        now[places[i].function] = i;
    }
    for (size_t i = 0; i < count; i++)
        brackets->found[i] = found[i];
    for (size_t i = 0; i < brackets->lanes.box_count; i++) {
        if (brackets->lanes.boxes[i].function < count)
            brackets->lanes.boxes[i].function = now[brackets->lanes.boxes[i].function];
    }
}

static int collect_flame(struct reading *reading)
{
    struct brackets *brackets = reading->brackets;
    int code = flame_finish(reading->flame, reading->request->recording, coloured(brackets),
                            &brackets->lanes);

    if (code == 0)
        order_as_lanes(brackets);
    return code;
}

/* With boxes for all calls, brackets would tell the same again. */
static int collect(struct reading *reading)
{
    struct brackets *brackets = reading->brackets;
    int code = 0;

    if (reading->flame)
        return collect_flame(reading);
    for (size_t i = 0; code == 0 && i < coloured(brackets); i++)
        code = collect_function(reading, i);
    return code;
}

/* Names of a Python script all begin alike, which says nothing in a picture. */
static const char *short_name(const char *name)
{
    static const char script[] = "__main__.";

    return strncmp(name, script, strlen(script)) == 0 ? name + strlen(script) : name;
}

static int name_functions(struct brackets *brackets)
{
    brackets->functions = calloc(brackets->function_count + 1, sizeof *brackets->functions);
    if (!brackets->functions)
        return -ENOMEM;
    for (size_t i = 0; i < brackets->function_count; i++)
        brackets->functions[i] = (struct mw_plot_function){
            .name = short_name(brackets->found[i].name),
            .calls = brackets->found[i].calls,
            .total_s =
                brackets->found[i].ended > 0 ? (double)brackets->found[i].total_ns / 1e9 : NAN,
            .waited_s = (double)brackets->found[i].suspended_ns / 1e9,
        };
    return 0;
}

static int read_brackets(struct reading *reading, struct mw_error *error)
{
    struct brackets *brackets = reading->brackets;
    size_t count = brackets->found_count;
    int code;

    qsort(brackets->found, count, sizeof *brackets->found, compare_sizes);
    reading->ranks = calloc(count, sizeof *reading->ranks);
    reading->tallies = calloc(count, sizeof *reading->tallies);
    if (!reading->ranks || !reading->tallies)
        return out_of_memory(error);
    if ((code = choose_called(reading, error)) < 0 || (code = read_rows(reading, error)) < 0)
        return code;
    if (collect(reading) < 0 || name_functions(brackets) < 0)
        return out_of_memory(error);
    return 0;
}

static void end_reading(struct reading *reading)
{
    size_t rows = coloured(reading->brackets) * reading->request->curve_count;

    for (size_t i = 0; reading->rows && i < rows; i++)
        mw_span_row_clear(&reading->rows[i]);
    free(reading->rows);
    free(reading->ranks);
    free(reading->tallies);
    flame_free(reading->flame);
}

int brackets_new(struct brackets **ret_brackets, const struct brackets_request *request,
                 struct mw_error *error)
{
    mw_auto_free struct brackets *brackets = calloc(1, sizeof *brackets);
    struct reading reading = {.request = request, .brackets = brackets};
    int code;

    *ret_brackets = NULL;
    if (!brackets)
        return out_of_memory(error);
    code = mw_reader_functions(request->recording->reader, request->recording->run->id,
                               &brackets->found, &brackets->found_count, error);
    if (code < 0 || brackets->found_count == 0)
        return code;
    code = read_brackets(&reading, error);
    end_reading(&reading);
    if (code == 0 && brackets->function_count > 0)
        *ret_brackets = MW_TAKE(brackets);
    else
        brackets_free(MW_TAKE(brackets));
    return code;
}

void brackets_show(const struct brackets *brackets, struct mw_plot *plot)
{
    plot->functions = brackets->functions;
    plot->function_count = brackets->function_count;
    plot->spans = brackets->spans;
    plot->span_count = brackets->span_count;
    plot->lanes = brackets->lanes.lanes;
    plot->lane_count = brackets->lanes.lane_count;
    plot->lanes_left_out = brackets->lanes.left_out;
    plot->boxes = brackets->lanes.boxes;
    plot->box_count = brackets->lanes.box_count;
}

void brackets_free(struct brackets *brackets)
{
    if (!brackets)
        return;
    for (size_t i = 0; i < brackets->found_count; i++)
        mw_function_clear(&brackets->found[i]);
    free(brackets->found);
    free(brackets->functions);
    free(brackets->spans);
    lane_set_clear(&brackets->lanes);
    free(brackets);
}
