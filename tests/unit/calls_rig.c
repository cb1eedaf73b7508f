#include "calls_rig.h"

#include <stdlib.h>

const struct mw_mark_site calls_sites[MOST_FUNCTIONS] = {
    {"a", "x.c", 1}, {"b", "x.c", 2}, {"c", NULL, 0}, {"d", NULL, 0},
    {"e", NULL, 0},  {"f", NULL, 0},  {"g", NULL, 0}, {"h", NULL, 0},
};

static int add_function(void *context, const struct mw_mark_site *site, int64_t *ret_id)
{
    (void)context;
    *ret_id = 100 + (site - calls_sites);
    return 0;
}

static int set_function(void *context, const struct mw_function *function)
{
    struct calls_rig *rig = context;

    rig->functions[function->id - 100] = *function;
    return 0;
}

static int add_call(void *context, uint32_t slot, const struct mw_call *call)
{
    struct calls_rig *rig = context;

    if (rig->all) {
        assert_in_range(rig->count, 0, MOST_CALLS - 1);
        rig->call[rig->count] = *call;
        rig->slot[rig->count] = slot;
    }
    rig->count++;
    return 0;
}

static int reached(void *context, uint32_t slot, const struct mw_reached *one)
{
    struct calls_rig *rig = context;

    rig->reached[one->source] = *one;
    rig->reached_slot = slot;
    rig->reached_count++;
    return 0;
}

struct calls_rig *calls_rig_new(uint64_t budget)
{
    struct calls_rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    rig->calls = mw_calls_new(&(struct mw_calls_options){.start_ns = START_NS,
                                                         .budget = budget,
                                                         .peak_bound_kib = BOUND_KIB,
                                                         .rss_bound_kib = RSS_BOUND_KIB});
    assert_non_null(rig->calls);
    rig->sink = (struct mw_calls_sink){rig, add_function, set_function, add_call, reached};
    rig->pid = rig->tid = 50;
    rig->resident_kib = rig->window_kib = -1;
    rig->all = true;
    assert_int_equal(mw_calls_process_started(rig->calls, 50, 3, START_NS, &rig->sink), 0);
    return rig;
}

void calls_rig_free(struct calls_rig *rig)
{
    mw_calls_free(rig->calls);
    free(rig);
}

void calls_mark(struct calls_rig *rig, enum mw_mark_kind kind, int function, int64_t t_us)
{
    const struct mw_mark mark = {.kind = kind,
                                 .pid = rig->pid,
                                 .tid = rig->tid,
                                 .track = rig->track,
                                 .t_ns = START_NS + t_us * 1000,
                                 .site = &calls_sites[function],
                                 .resident_kib = rig->resident_kib,
                                 .window_kib = rig->window_kib};

    assert_int_equal(mw_calls_mark(rig->calls, &mark, &rig->sink), 0);
}

void calls_enter(struct calls_rig *rig, int function, int64_t t_us)
{
    calls_mark(rig, MW_MARK_ENTER, function, t_us);
}

void calls_leave(struct calls_rig *rig, int function, int64_t t_us)
{
    calls_mark(rig, MW_MARK_EXIT, function, t_us);
}

void calls_finish(struct calls_rig *rig)
{
    assert_int_equal(mw_calls_finish(rig->calls, &rig->sink), 0);
}

void calls_check_call(const struct mw_call *call, int function, unsigned depth, int64_t from_us,
                      int64_t to_us)
{
    assert_int_equal(call->function, 100 + function);
    assert_int_equal(call->depth, depth);
    assert_int_equal(call->from_us, from_us);
    assert_int_equal(call->to_us, to_us);
    assert_int_equal(call->process, -1);
}

void calls_check_figures(const struct mw_function *function, uint64_t calls, uint64_t ended,
                         int64_t total_us, int64_t max_us)
{
    assert_int_equal(function->calls, calls);
    assert_int_equal(function->ended, ended);
    assert_int_equal(function->total_ns, total_us * 1000);
    assert_int_equal(function->max_ns, max_us * 1000);
}

void calls_check_peak(const struct mw_peak *peak, int64_t kib, int64_t upper_kib, int64_t from_us,
                      int64_t to_us, enum mw_peak_source source)
{
    assert_true(peak->known);
    assert_int_equal(peak->bytes, kib * 1024);
    assert_int_equal(peak->upper_bytes, upper_kib < 0 ? -1 : upper_kib * 1024);
    assert_int_equal(peak->from_us, from_us);
    assert_int_equal(peak->to_us, to_us);
    assert_int_equal(peak->source, source);
}

void calls_mark_with(struct calls_rig *rig, enum mw_mark_kind kind, int function, int64_t t_us,
                     int64_t resident_kib, int64_t window_kib)
{
    rig->resident_kib = resident_kib;
    rig->window_kib = window_kib;
    calls_mark(rig, kind, function, t_us);
    rig->resident_kib = rig->window_kib = -1;
}
