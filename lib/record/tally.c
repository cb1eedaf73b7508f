#include "record/tally.h"

#include "util/array.h"

#include <stdlib.h>

/* A share of the budget is 1/16 of it, divided among the functions, and at least so many calls. */
enum { SHARES = 16, LEAST_SHARE = 16 };

struct mw_tally {
    uint64_t budget, stored;
    struct mw_tallied **functions;
    size_t count, room;
    struct mw_tallied **table; /* by site, with open addressing; at most half full */
    size_t table_size;         /* a power of two, or 0 */
    size_t spares;             /* extreme calls that were not kept */
};

struct mw_tally *mw_tally_new(uint64_t budget)
{
    struct mw_tally *tally = calloc(1, sizeof *tally);

    if (tally)
        tally->budget = budget;
    return tally;
}

void mw_tally_free(struct mw_tally *tally)
{
    if (!tally)
        return;
    for (size_t i = 0; i < tally->count; i++)
        free(tally->functions[i]);
    free(tally->functions);
    free(tally->table);
    free(tally);
}

/* --- finding functions ------------------------------------------------------------------------ */

/* The place of a site in the table: where it is, or where it belongs. */
static size_t place_of(const struct mw_tally *tally, const struct mw_mark_site *site)
{
    uint64_t hash = (uint64_t)(uintptr_t)site * UINT64_C(0x9E3779B97F4A7C15);
    size_t mask = tally->table_size - 1, place = (size_t)(hash >> 32) & mask;

    while (tally->table[place] && tally->table[place]->site != site)
        place = (place + 1) & mask;
    return place;
}

struct mw_tallied *mw_tally_find(const struct mw_tally *tally, const struct mw_mark_site *site)
{
    return tally->table_size ? tally->table[place_of(tally, site)] : NULL;
}

/* Makes room for one more function; false when memory ran out. */
static bool reserve(struct mw_tally *tally)
{
    size_t size = tally->table_size ? tally->table_size * 2 : 64;
    struct mw_tallied **table;

    if (!mw_array_reserve(&tally->functions, tally->count, &tally->room, sizeof *tally->functions))
        return false;
    if (tally->count * 2 < tally->table_size)
        return true;
    table = calloc(size, sizeof(struct mw_tallied *));
    if (!table)
        return false;
    free(tally->table);
    tally->table = table;
    tally->table_size = size;
    for (size_t i = 0; i < tally->count; i++)
        table[place_of(tally, tally->functions[i]->site)] = tally->functions[i];
    return true;
}

int mw_tally_need(struct mw_tally *tally, const struct mw_mark_site *site,
                  const struct mw_calls_sink *sink, struct mw_tallied **ret_function)
{
    struct mw_tallied *function = mw_tally_find(tally, site);
    int code;

    *ret_function = NULL;
    if (!function) {
        function = reserve(tally) ? calloc(1, sizeof *function) : NULL;
        if (!function)
            return 0;
        function->site = site;
        function->bounded = true;
        function->highest_bytes = -1;
        code = sink->add_function(sink->context, site, &function->figures.id);
        if (code != 0) {
            free(function);
            return code;
        }
        tally->functions[tally->count++] = function;
        tally->table[place_of(tally, site)] = function;
    }
    *ret_function = function;
    return 0;
}

/* --- aggregates ------------------------------------------------------------------------------- */

uint64_t mw_tally_enter(struct mw_tallied *function)
{
    function->changed = true;
    function->open++;
    return ++function->figures.calls;
}

/* Takes the peak of a call into that of its function. */
static void raise_peak(struct mw_tallied *function, const struct mw_peak *peak)
{
    struct mw_peak *highest = &function->figures.peak;
    int64_t upper_bytes = highest->known ? highest->upper_bytes : -1;

    if (!peak->known || peak->upper_bytes < 0)
        function->bounded = false;
    if (peak->known && (!highest->known || peak->bytes > highest->bytes))
        *highest = *peak;
    if (peak->known && peak->upper_bytes > upper_bytes)
        upper_bytes = peak->upper_bytes;
    highest->upper_bytes = function->bounded ? upper_bytes : -1;
}

static void count(struct mw_tallied *function, const struct mw_call *call)
{
    struct mw_function *figures = &function->figures;

    function->changed = true;
    function->open--;
    raise_peak(function, &call->peak);
    if (call->to_us < 0)
        return;
    figures->ended++;
    figures->total_ns = mw_tally_sum(figures->total_ns, call->duration_ns);
    figures->suspended_ns = mw_tally_sum(figures->suspended_ns, call->suspended_ns);
    if (call->duration_ns > figures->max_ns)
        figures->max_ns = call->duration_ns;
    if (call->from_bytes >= 0 && call->to_bytes >= 0)
        figures->growth_bytes =
            mw_tally_sum(figures->growth_bytes, call->to_bytes - call->from_bytes);
}

/* --- single calls ----------------------------------------------------------------------------- */

static uint64_t share(const struct mw_tally *tally)
{
    uint64_t calls = tally->budget / SHARES / tally->count;

    return calls > LEAST_SHARE ? calls : LEAST_SHARE;
}

/* Whether the next call of a function is one of those to keep. */
static bool is_kept(struct mw_tally *tally, struct mw_tallied *function)
{
    if (tally->stored < tally->budget)
        return true;
    if (function->stride == 0) {
        function->left = share(tally);
        function->stride = function->figures.stored > function->left ? 2 : 1;
    }
    if (++function->passed < function->stride)
        return false;
    function->passed = 0;
    if (--function->left == 0) {
        function->stride *= 2;
        function->left = share(tally);
    }
    return true;
}

static int give(struct mw_tally *tally, struct mw_tallied *function, uint32_t slot,
                const struct mw_call *call, const struct mw_calls_sink *sink)
{
    int code = sink->add_call(sink->context, slot, call);

    if (code != 0)
        return code < 0 ? code : 0;
    tally->stored++;
    function->figures.stored++;
    function->changed = true;
    return 0;
}

/* Puts a call aside, or forgets the one that was there where it was kept itself. */
static void put_aside(struct mw_tally *tally, struct mw_spare *spare, uint32_t slot,
                      const struct mw_call *call, bool kept)
{
    if (spare->call.number != 0)
        tally->spares--;
    spare->call.number = 0;
    if (kept)
        return;
    *spare = (struct mw_spare){slot, *call};
    tally->spares++;
}

int mw_tally_end(struct mw_tally *tally, struct mw_tallied *function, uint32_t slot,
                 const struct mw_call *call, const struct mw_calls_sink *sink)
{
    bool kept = call->to_us < 0 || is_kept(tally, function);

    if (call->duration_ns > function->figures.max_ns)
        put_aside(tally, &function->longest, slot, call, kept);
    if (call->peak.known && call->peak.bytes > function->highest_bytes) {
        function->highest_bytes = call->peak.bytes;
        put_aside(tally, &function->highest, slot, call, kept);
    }
    count(function, call);
    return kept ? give(tally, function, slot, call, sink) : 0;
}

/* Gives a call that was put aside. */
static int give_spare(struct mw_tally *tally, struct mw_tallied *function, struct mw_spare *spare,
                      const struct mw_calls_sink *sink)
{
    struct mw_call call = spare->call;

    /* One call may be both: it is given once. */
    if (function->longest.call.number == call.number)
        put_aside(tally, &function->longest, spare->slot, &call, true);
    if (function->highest.call.number == call.number)
        put_aside(tally, &function->highest, spare->slot, &call, true);
    return give(tally, function, spare->slot, &call, sink);
}

/* Gives the calls of a function that were put aside, of one process or of all. */
static int give_spares(struct mw_tally *tally, struct mw_tallied *function, bool all, uint32_t slot,
                       const struct mw_calls_sink *sink)
{
    struct mw_spare *spares[] = {&function->longest, &function->highest};
    int code = 0;

    for (size_t i = 0; code == 0 && i < MW_COUNT(spares); i++) {
        if (spares[i]->call.number != 0 && (all || spares[i]->slot == slot))
            code = give_spare(tally, function, spares[i], sink);
    }
    return code;
}

int mw_tally_end_process(struct mw_tally *tally, uint32_t slot, const struct mw_calls_sink *sink)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < tally->count && tally->spares > 0; i++)
        code = give_spares(tally, tally->functions[i], false, slot, sink);
    return code;
}

int mw_tally_flush(struct mw_tally *tally, const struct mw_calls_sink *sink)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < tally->count; i++) {
        struct mw_tallied *function = tally->functions[i];

        if (function->changed)
            code = sink->set_function(sink->context, &function->figures);
        function->changed = false;
    }
    return code;
}

int mw_tally_finish(struct mw_tally *tally, const struct mw_calls_sink *sink)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < tally->count; i++)
        code = give_spares(tally, tally->functions[i], true, 0, sink);
    return code == 0 ? mw_tally_flush(tally, sink) : code;
}
