#include "python/_memwatch/span.h"

/*
 * Marks of functions that are called often do not all read the memory: a thread may do so as often
 * in a row as this, and once more whenever so much time has passed.
 */
enum { READS_IN_A_ROW = 1000, READ_EVERY_NS = 100000 };

static __thread uint32_t current_track;
static __thread uint64_t reads_until_ns; /* what was read stands for all time up to then */
static unsigned forks;

/* Numbers of tracks of one kind. */
struct pool {
    uint32_t last;
    uint32_t *given_back; /* to be used again */
    size_t count, room;
};

static struct pool pools[] = {
    [SPAN_TASK] = {.last = 0}, [SPAN_GENERATOR] = {.last = SPAN_FIRST_GENERATOR - 1}};

static void after_fork(void)
{
    forks++;
}

int span_prepare(void)
{
    static bool is_prepared;

    if (!is_prepared && pthread_atfork(NULL, NULL, after_fork) != 0)
        return -1;
    is_prepared = true;
    return 0;
}

bool span_is_recorded(void)
{
    return memwatch_is_on_();
}

uint32_t span_current_track(void)
{
    return current_track;
}

unsigned span_process(void)
{
    return forks;
}

uint32_t span_take_track(enum span_track kind)
{
    struct pool *pool = &pools[kind];

    return pool->count > 0 ? pool->given_back[--pool->count] : ++pool->last;
}

void span_give_track(uint32_t track)
{
    struct pool *pool = &pools[track < SPAN_FIRST_GENERATOR ? SPAN_TASK : SPAN_GENERATOR];

    if (pool->count == pool->room) {
        size_t room = pool->room * 2 + 16;
        uint32_t *larger = (uint32_t *)reallocarray(pool->given_back, room, sizeof *larger);

        if (!larger)
            return; /* there are 2 billion more */
        pool->given_back = larger;
        pool->room = room;
    }
    pool->given_back[pool->count++] = track;
}

static bool shall_read(enum span_reading reading)
{
    uint64_t now_ns;

    if (reading == SPAN_READS)
        return true;
    now_ns = memwatch_now_ns_();
    if (reads_until_ns + (uint64_t)READS_IN_A_ROW * READ_EVERY_NS < now_ns)
        reads_until_ns = now_ns - (uint64_t)READS_IN_A_ROW * READ_EVERY_NS;
    if (reads_until_ns > now_ns)
        return false;
    reads_until_ns += READ_EVERY_NS;
    return true;
}

void span_mark(struct memwatch_site_ *site, enum memwatch_kind_ kind, uint32_t track,
               enum span_reading reading)
{
    if (memwatch_is_on_())
        memwatch_mark_now_(site, kind, track, shall_read(reading));
}

/* A pause needs no look at the memory: it belongs to whoever runs meanwhile. */
static void mark_pause(const struct span *span, enum memwatch_kind_ kind)
{
    if (span->track != span->outer && span->process == forks && memwatch_is_on_())
        memwatch_mark_now_(span->site, kind, span->track, 0);
}

void span_begin_step(struct span *span, uint32_t track)
{
    span->outer = current_track;
    if (span->is_open) {
        mark_pause(span, MEMWATCH_KIND_RESUME_);
    } else {
        span->is_open = true;
        span->process = forks;
        span->track = track;
        span_mark(span->site, MEMWATCH_KIND_ENTER_, track, span->reading);
    }
    current_track = span->track;
}

/* The last mark of a call, which is also the end of its track where that is its own. */
static void end(struct span *span)
{
    if (span->process == forks)
        span_mark(span->site, MEMWATCH_KIND_EXIT_, span->track, span->reading);
    if (span->owns_track)
        span_give_track(span->track);
    span->is_open = false;
}

void span_end_step(struct span *span, bool has_ended)
{
    current_track = span->outer;
    if (has_ended)
        end(span);
    else
        mark_pause(span, MEMWATCH_KIND_SUSPEND_);
}

void span_abandon(struct span *span)
{
    if (span->is_open)
        end(span);
}
