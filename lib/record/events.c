#include "record/events.h"

#include "record/confines.h"
#include "record/oom.h"
#include "util/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Crossings that wait for another thread; nobody needs to be told more at once. */
enum { MOST_CROSSINGS = 16 };

struct mw_events {
    struct mw_events_options options;
    char *on_limit;
    struct mw_limits *limits;
    struct mw_confines *confines;
    struct mw_oom *oom;
    struct mw_writer *writer;
    int64_t start_ns;
    int64_t process_count; /* that live */
    bool has_root, has_tree;
    uint32_t root_slot; /* of the first process: until the sum has a series, it is the tree */

    pthread_mutex_t mutex; /* of what follows */
    struct mw_crossing crossings[MOST_CROSSINGS];
    size_t crossing_count;
    int crossing_fd;
};

int mw_events_new(struct mw_events **ret_events, const struct mw_events_options *options,
                  struct mw_error *error)
{
    struct mw_events *events = calloc(1, sizeof *events);

    if (!events)
        return mw_error_errno(error, ENOMEM, "cannot record");
    events->options = *options;
    pthread_mutex_init(&events->mutex, NULL);
    events->crossing_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    events->on_limit = strdup(options->on_limit ? options->on_limit : "");
    events->limits = mw_limits_new(&options->limits);
    events->confines = mw_confines_new();
    events->oom = mw_oom_new();
    if (events->crossing_fd < 0 || !events->on_limit || !events->limits || !events->confines ||
        !events->oom) {
        mw_events_free(events);
        return mw_error_errno(error, ENOMEM, "cannot record");
    }
    *ret_events = events;
    return 0;
}

void mw_events_free(struct mw_events *events)
{
    if (!events)
        return;
    if (events->crossing_fd >= 0)
        close(events->crossing_fd);
    pthread_mutex_destroy(&events->mutex);
    mw_oom_free(events->oom);
    mw_confines_free(events->confines);
    mw_limits_free(events->limits);
    free(events->on_limit);
    free(events);
}

static int64_t to_us(const struct mw_events *events, int64_t t_ns)
{
    return (t_ns - events->start_ns) / 1000;
}

/* --- limits that the user set ----------------------------------------------------------------- */

static int store_limit(struct mw_events *events, enum mw_limit_kind kind, struct mw_error *error)
{
    mw_auto_free char *name = strdup(mw_limit_kind_name(kind));
    const struct mw_limits_options *options = &events->options.limits;
    const struct mw_limit limit = {
        .name = name,
        .value = options->limits[kind],
        .window_us = kind == MW_LIMIT_MAX_GROWTH ? options->growth_window_ns / 1000 : -1,
    };

    return name ? mw_writer_add_limit(events->writer, MW_SLOT_TREE, &limit, error) : 0;
}

int mw_events_begin(struct mw_events *events, struct mw_writer *writer, int64_t start_ns,
                    pid_t root, struct mw_error *error)
{
    int code = 0;

    events->writer = writer;
    events->start_ns = start_ns;
    mw_confines_begin(events->confines, writer, start_ns);
    mw_oom_begin(events->oom, root);
    for (enum mw_limit_kind kind = 0; kind < MW_LIMIT_COUNT && code == 0; kind++) {
        if (events->options.limits.limits[kind] > 0)
            code = store_limit(events, kind, error);
    }
    return code;
}

static void hand_over(struct mw_events *events, const struct mw_crossing *crossing)
{
    pthread_mutex_lock(&events->mutex);
    if (events->crossing_count < MOST_CROSSINGS)
        events->crossings[events->crossing_count++] = *crossing;
    pthread_mutex_unlock(&events->mutex);
    eventfd_write(events->crossing_fd, 1);
}

static int store_crossing(struct mw_events *events, const struct mw_crossing *crossing,
                          struct mw_error *error)
{
    mw_auto_free char *name = strdup(mw_limit_kind_name(crossing->kind));
    const struct mw_event event = {.kind = MW_EVENT_LIMIT,
                                   .t_us = crossing->t_us,
                                   .name = name,
                                   .has_value = true,
                                   .value = crossing->value,
                                   .has_limit = true,
                                   .limit_value = crossing->limit,
                                   .note = events->on_limit};

    hand_over(events, crossing);
    return name ? mw_writer_add_event(events->writer, MW_SLOT_TREE, &event, error) : 0;
}

static int follow_rss(struct mw_events *events, const struct mw_record *record,
                      struct mw_error *error)
{
    bool is_tree = record->slot == MW_RECORD_TREE;
    bool counts = is_tree || (!events->has_tree && record->slot == events->root_slot);
    struct mw_crossing crossing;
    int code = 0;

    if (record->sample.metric != MW_METRIC_RSS || !counts)
        return 0;
    events->has_tree = events->has_tree || is_tree;
    while (code == 0 && mw_limits_rss(events->limits, to_us(events, record->t_ns),
                                      record->sample.kib * 1024, &crossing))
        code = store_crossing(events, &crossing, error);
    return code;
}

int mw_events_peak(struct mw_events *events, int64_t from_ns, int64_t to_ns, int64_t kib,
                   struct mw_error *error)
{
    struct mw_crossing crossing;

    if (!mw_limits_peak(events->limits, to_us(events, from_ns), to_us(events, to_ns),
                        (kib - events->options.peak_bound_kib) * 1024, &crossing))
        return 0;
    return store_crossing(events, &crossing, error);
}

/* --- processes -------------------------------------------------------------------------------- */

static int count_processes(struct mw_events *events, int64_t t_ns, int change,
                           struct mw_error *error)
{
    struct mw_crossing crossing;

    events->process_count += change;
    if (!mw_limits_processes(events->limits, to_us(events, t_ns), events->process_count, &crossing))
        return 0;
    return store_crossing(events, &crossing, error);
}

static int follow_start(struct mw_events *events, const struct mw_record *record,
                        struct mw_error *error)
{
    enum mw_origin origin = record->start.origin;
    const struct mw_event event = {.kind = origin == MW_ORIGIN_RESTARTED ? MW_EVENT_RESTARTED
                                                                         : MW_EVENT_ATTACHED,
                                   .t_us = to_us(events, record->t_ns)};
    bool is_root = !events->has_root || origin != MW_ORIGIN_TREE;
    int code = 0;

    if (!events->has_root)
        events->root_slot = record->slot;
    events->has_root = true;
    if (origin != MW_ORIGIN_TREE)
        code = mw_writer_add_event(events->writer, record->slot, &event, error);
    if (code == 0 && is_root) {
        mw_oom_add(events->oom, record->slot, record->start.pid);
        code =
            mw_confines_add(events->confines, record->slot, record->start.pid, record->t_ns, error);
    }
    return code == 0 ? count_processes(events, record->t_ns, 1, error) : code;
}

int mw_events_record(struct mw_events *events, const struct mw_record *record,
                     struct mw_error *error)
{
    switch (record->kind) {
    case MW_RECORD_START:
        return follow_start(events, record, error);
    case MW_RECORD_SAMPLE:
        return follow_rss(events, record, error);
    case MW_RECORD_END:
        mw_confines_ended(events->confines, record->slot, record->t_ns);
        mw_oom_ended(events->oom, record->slot, record->status.pid, record->t_ns,
                     record->status.wait_status);
        return count_processes(events, record->t_ns, -1, error);
    case MW_RECORD_STATUS:
        mw_oom_told(events->oom, record->status.pid, record->status.wait_status);
        return 0;
    default:
        return 0;
    }
}

void mw_events_told(struct mw_events *events, pid_t pid, int wait_status)
{
    mw_oom_told(events->oom, pid, wait_status);
}

/* What store_kill has to know. */
struct killing {
    struct mw_events *events;
    struct mw_error *error;
};

static int store_kill(void *context, pid_t pid, int64_t t_ns)
{
    const struct killing *killing = context;
    struct mw_events *events = killing->events;
    const char *place;
    int64_t bytes = mw_confines_lowest(events->confines, &place);
    mw_auto_free char *name = place ? strdup(place) : NULL;
    const struct mw_event event = {.kind = MW_EVENT_OOM_KILL,
                                   .t_us = to_us(events, t_ns),
                                   .name = name,
                                   .has_limit = bytes >= 0,
                                   .limit_value = bytes >= 0 ? bytes : 0};

    return mw_writer_add_last_event(events->writer, pid, &event, killing->error);
}

int mw_events_look(struct mw_events *events, int64_t now_ns, bool last, struct mw_error *error)
{
    struct killing killing = {events, error};
    int code = mw_oom_look(events->oom, now_ns, last, &(struct mw_oom_sink){store_kill, &killing});

    return code == 0 ? mw_confines_look(events->confines, now_ns, error) : code;
}

int mw_events_detached(struct mw_events *events, int64_t t_ns, const char *reason,
                       struct mw_error *error)
{
    mw_auto_free char *note = reason ? strdup(reason) : NULL;
    const struct mw_event event = {
        .kind = MW_EVENT_DETACHED, .t_us = to_us(events, t_ns), .note = note};

    return mw_writer_add_event(events->writer, MW_SLOT_TREE, &event, error);
}

/* --- any thread ------------------------------------------------------------------------------- */

int mw_events_fd(const struct mw_events *events)
{
    return events->crossing_fd;
}

bool mw_events_next_crossing(struct mw_events *events, struct mw_crossing *ret_crossing)
{
    eventfd_t ignored;
    bool found;

    eventfd_read(events->crossing_fd, &ignored);
    pthread_mutex_lock(&events->mutex);
    found = events->crossing_count > 0;
    if (found) {
        *ret_crossing = events->crossings[0];
        memmove(events->crossings, events->crossings + 1,
                --events->crossing_count * sizeof *events->crossings);
    }
    pthread_mutex_unlock(&events->mutex);
    return found;
}
