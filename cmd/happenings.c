#include "cmd/happenings.h"

#include "analysis/leak.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a cgroup's path its end says most. */
enum { PLACE_COLUMNS = 40 };

/* --- words ------------------------------------------------------------------------------------ */

static bool is_set_by_user(const struct mw_limit *limit)
{
    return strncmp(limit->name, "max-", 4) == 0;
}

/* "memory.max 512 MiB of /system.slice/redis.service"; NULL when memory ran out. */
static char *word_limit(const struct mw_limit *limit)
{
    char value[MW_FORMAT_SIZE], window[MW_FORMAT_SIZE];
    mw_auto_free char *name = mw_text_printable(limit->name);
    mw_auto_free char *place = mw_text_shorten_left(limit->place, PLACE_COLUMNS);
    bool counts = strcmp(limit->name, "max-processes") == 0;
    char *words;

    if (counts)
        mw_format_count(value, limit->value);
    else
        mw_format_bytes(value, limit->value);
    if (!name || !place ||
        asprintf(&words, "%s %s%s%s%s%s", name, value, *place ? " of " : "", place,
                 limit->window_us > 0 ? " in " : "",
                 limit->window_us > 0 ? mw_format_duration(window, limit->window_us * 1000) : "") <
            0)
        return NULL;
    return words;
}

static bool is_same(const struct mw_limit *a, const struct mw_limit *b)
{
    return a->process == b->process && strcmp(a->name, b->name) == 0 &&
           strcmp(a->place, b->place) == 0;
}

/* Where the limit at a place of the list has changed next; NULL where it has not. */
static const struct mw_limit *next_of(const struct recording *recording, size_t limit)
{
    for (size_t i = limit + 1; i < recording->limit_count; i++) {
        if (is_same(&recording->limits[limit], &recording->limits[i]))
            return &recording->limits[i];
    }
    return NULL;
}

/* Whether another process has told the same before: those of a tree share their cgroup. */
static bool is_told(const struct recording *recording, size_t limit)
{
    const struct mw_limit *one = &recording->limits[limit];

    for (size_t i = 0; i < limit; i++) {
        const struct mw_limit *other = &recording->limits[i];

        if (other->value == one->value && strcmp(other->name, one->name) == 0 &&
            strcmp(other->place, one->place) == 0 && !next_of(recording, i))
            return true;
    }
    return false;
}

static void print_limits(FILE *out, const struct recording *recording)
{
    for (size_t i = 0; i < recording->limit_count; i++) {
        const struct mw_limit *limit = &recording->limits[i];
        mw_auto_free char *words = NULL;

        if (limit->value < 0 || next_of(recording, i) || is_told(recording, i))
            continue;
        words = word_limit(limit);
        fprintf(out, "  limit      %s%s\n", words ? words : "?",
                is_set_by_user(limit) ? " (set for this recording)" : "");
    }
}

static const struct mw_process *process_of(const struct recording *recording,
                                           const struct mw_event *event)
{
    for (size_t i = 0; i < recording->process_count; i++) {
        if (recording->processes[i].id == event->process)
            return &recording->processes[i];
    }
    return NULL;
}

static void print_crossing(FILE *out, const struct mw_event *event, const char *note)
{
    bool counts = event->name && strcmp(event->name, "max-processes") == 0;
    char value[MW_FORMAT_SIZE], limit[MW_FORMAT_SIZE];
    mw_auto_free char *name = mw_text_printable(event->name ? event->name : "a limit");

    if (counts)
        fprintf(out, "%s crossed: %s processes, more than %s", name ? name : "?",
                mw_format_count(value, event->value), mw_format_count(limit, event->limit_value));
    else
        fprintf(out, "%s crossed: %s, more than %s", name ? name : "?",
                mw_format_bytes(value, event->value), mw_format_bytes(limit, event->limit_value));
    if (*note)
        fprintf(out, " (%s)", note);
}

static void print_oom_kill(FILE *out, const struct mw_event *event, const char *process)
{
    char limit[MW_FORMAT_SIZE];
    mw_auto_free char *place =
        event->name ? mw_text_shorten_left(event->name, PLACE_COLUMNS) : NULL;

    fprintf(out, "%s was ended by the kernel, which had no memory left", process);
    if (event->has_limit && place)
        fprintf(out, " within the %s of %s", mw_format_bytes(limit, event->limit_value), place);
}

/* An event as a sentence. */
static void write_event(FILE *out, const struct recording *recording, const struct mw_event *event)
{
    const struct mw_process *process = process_of(recording, event);
    mw_auto_free char *label = process ? process_label(process) : strdup("a process");
    mw_auto_free char *note = mw_text_shorten(event->note ? event->note : "", 120);

    switch (event->kind) {
    case MW_EVENT_LIMIT:
        print_crossing(out, event, note ? note : "");
        break;
    case MW_EVENT_OOM_KILL:
        print_oom_kill(out, event, label ? label : "?");
        break;
    case MW_EVENT_RESTARTED:
        fprintf(out, "%s took the place of the one before", label ? label : "?");
        break;
    case MW_EVENT_VERDICT:
        fprintf(out, "%s: %s",
                event->process < 0 ? "all processes"
                : label            ? label
                                   : "?",
                note ? note : "");
        break;
    case MW_EVENT_ATTACHED:
    case MW_EVENT_DETACHED:
        fprintf(out, "%s", note ? note : "");
        break;
    }
}

static void print_event(FILE *out, const struct recording *recording, const struct mw_event *event)
{
    char at[MW_FORMAT_SIZE];

    fprintf(out, "  event      %s: ", mw_format_duration(at, event->t_us * 1000));
    write_event(out, recording, event);
    fputc('\n', out);
}

/* What the summary says elsewhere is none that is told here. */
static bool is_of_interest(const struct mw_event *event)
{
    return event->kind == MW_EVENT_LIMIT || event->kind == MW_EVENT_OOM_KILL ||
           event->kind == MW_EVENT_RESTARTED || (event->kind == MW_EVENT_VERDICT && event->note);
}

void print_happenings(FILE *out, const struct recording *recording)
{
    enum { MOST = 8 };
    size_t told = 0, more = 0;

    print_limits(out, recording);
    for (size_t i = 0; i < recording->event_count; i++) {
        if (!is_of_interest(&recording->events[i]))
            continue;
        if (told++ < MOST)
            print_event(out, recording, &recording->events[i]);
        else
            more++;
    }
    if (more > 0)
        fprintf(out, "             and %zu later ones: show --json has them all\n", more);
}

bool ended_by_kernel(const struct recording *recording)
{
    for (size_t i = 0; i < recording->event_count; i++) {
        const struct mw_event *event = &recording->events[i];

        if (event->kind == MW_EVENT_OOM_KILL && recording->process_count > 0 &&
            event->process == recording->processes[0].id)
            return true;
    }
    return false;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Which limits bound which metric. */
static bool bounds(const struct mw_limit *limit, enum mw_metric metric)
{
    static const char *const of_memory[] = {"max-rss", "memory.max", "memory.high",
                                            "memory.limit_in_bytes"};

    switch (metric) {
    case MW_METRIC_RSS:
    case MW_METRIC_PSS:
    case MW_METRIC_PEAK:
        for (size_t i = 0; i < MW_COUNT(of_memory); i++) {
            if (strcmp(limit->name, of_memory[i]) == 0)
                return true;
        }
        return false;
    case MW_METRIC_VMS:
        return strcmp(limit->name, "RLIMIT_AS") == 0;
    case MW_METRIC_SWAP:
        return strcmp(limit->name, "memory.swap.max") == 0;
    default:
        return false;
    }
}

/* Higher than so many times the curves, a line would take their room. */
static const double highest_share = 2.0;

static int add_line(struct limit_lines *lines, const struct mw_limit *limit, int64_t from_us,
                    int64_t to_us)
{
    char *label;

    if (!mw_array_reserve(&lines->lines, lines->count, &lines->room, sizeof *lines->lines) ||
        !(label = word_limit(limit)))
        return -ENOMEM;
    lines->lines[lines->count++] = (struct mw_plot_limit){
        .from_s = (double)from_us / 1e6,
        .to_s = (double)to_us / 1e6,
        .bytes = (double)limit->value,
        .label = label,
    };
    return 0;
}

int limit_lines_make(struct limit_lines *ret_lines, const struct recording *recording,
                     enum mw_metric metric, int64_t from_us, int64_t to_us, double highest_bytes)
{
    struct limit_lines lines = {0};
    const struct mw_limit *far = NULL;
    int code = 0;

    for (size_t i = 0; i < recording->limit_count && code == 0; i++) {
        const struct mw_limit *limit = &recording->limits[i], *next = next_of(recording, i);
        int64_t begin_us = limit->since_us > from_us ? limit->since_us : from_us;
        int64_t end_us = next && next->since_us < to_us ? next->since_us : to_us;

        if (limit->value < 0 || !bounds(limit, metric) || begin_us >= end_us ||
            is_told(recording, i))
            continue;
        if ((double)limit->value <= highest_share * highest_bytes)
            code = add_line(&lines, limit, begin_us, end_us);
        else if (!next && (!far || limit->value < far->value))
            far = limit;
    }
    if (code == 0 && far && !(lines.far = word_limit(far)))
        code = -ENOMEM;
    if (code < 0)
        limit_lines_clear(&lines);
    else
        *ret_lines = lines;
    return code;
}

void limit_lines_clear(struct limit_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free((void *)(uintptr_t)lines->lines[i].label);
    free(lines->lines);
    free(lines->far);
    *lines = (struct limit_lines){0};
}

/* --- flags ------------------------------------------------------------------------------------ */

/* Of an event worth a flag what it is, in a word or two, to be freed. */
static int name_event(const struct mw_event *event, char **ret_name)
{
    mw_auto_free char *limit = NULL;
    const char *verdict = event->name ? event->name : "";
    int length = 0;

    *ret_name = NULL;
    switch (event->kind) {
    case MW_EVENT_LIMIT:
        limit = mw_text_printable(event->name ? event->name : "limit");
        length = limit ? asprintf(ret_name, "%s crossed", limit) : -1;
        break;
    case MW_EVENT_OOM_KILL:
        length = asprintf(ret_name, "oom-kill");
        break;
    case MW_EVENT_RESTARTED:
        length = asprintf(ret_name, "restarted");
        break;
    case MW_EVENT_VERDICT:
        if (strcmp(verdict, mw_verdict_name(MW_VERDICT_LEAK)) == 0)
            length = asprintf(ret_name, "leak");
        else if (strcmp(verdict, mw_verdict_name(MW_VERDICT_SUSPECT)) == 0)
            length = asprintf(ret_name, "leak suspected");
        break;
    case MW_EVENT_ATTACHED:
    case MW_EVENT_DETACHED:
        break;
    }
    return length < 0 ? -ENOMEM : 0;
}

/* The event as a sentence, to be freed; NULL when memory ran out. */
static char *word_event(const struct recording *recording, const struct mw_event *event)
{
    char *words = NULL;
    size_t size;
    FILE *out = open_memstream(&words, &size);

    if (!out)
        return NULL;
    write_event(out, recording, event);
    if (fclose(out) != 0) {
        free(words);
        return NULL;
    }
    return words;
}

static int add_flag(struct event_flags *flags, const struct recording *recording,
                    const struct mw_event *event)
{
    struct mw_plot_event flag = {.t_s = (double)event->t_us / 1e6};
    char *label;
    int code = name_event(event, &label);

    if (code < 0 || !label)
        return code;
    flag.label = label;
    flag.text = word_event(recording, event);
    if (!flag.text || !mw_array_reserve(&flags->events, flags->count, &flags->room, sizeof flag)) {
        free(label);
        free((void *)(uintptr_t)flag.text);
        return -ENOMEM;
    }
    flags->events[flags->count++] = flag;
    return 0;
}

int event_flags_make(struct event_flags *ret_flags, const struct recording *recording,
                     int64_t from_us, int64_t to_us)
{
    struct event_flags flags = {0};
    int code = 0;

    for (size_t i = 0; i < recording->event_count && code == 0; i++) {
        const struct mw_event *event = &recording->events[i];

        if (event->t_us >= from_us && event->t_us <= to_us)
            code = add_flag(&flags, recording, event);
    }
    if (code < 0)
        event_flags_clear(&flags);
    else
        *ret_flags = flags;
    return code;
}

void event_flags_clear(struct event_flags *flags)
{
    for (size_t i = 0; i < flags->count; i++) {
        free((void *)(uintptr_t)flags->events[i].label);
        free((void *)(uintptr_t)flags->events[i].text);
    }
    free(flags->events);
    *flags = (struct event_flags){0};
}
