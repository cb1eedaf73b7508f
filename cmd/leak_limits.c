#include "cmd/leak_limits.h"

#include "cmd/command.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add(struct limits *limits, double bytes, double at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int add(struct limits *limits, double bytes, double at, const char *format, ...)
{
    va_list arguments;
    char *name;
    int length;

    if (!mw_array_reserve(&limits->items, limits->count, &limits->room, sizeof *limits->items))
        return -ENOMEM;
    va_start(arguments, format);
    length = vasprintf(&name, format, arguments);
    va_end(arguments);
    if (length < 0)
        return -ENOMEM;
    limits->items[limits->count++] = (struct limit){.name = name, .bytes = bytes, .at = at};
    return 0;
}

/* --- what /proc and cgroups say --------------------------------------------------------------- */

/*
 * The number behind a word at the start of a line of a file: "MemAvailable:  123 kB" times unit, or
 * the first number of the file where no word is asked for. NAN where there is none: a limit that is
 * "max" or "unlimited", too.
 */
static double read_number(const char *path, const char *word, double unit)
{
    mw_auto_file FILE *file = fopen(path, "re");
    char line[512];

    while (file && fgets(line, sizeof line, file)) {
        char *end, *number = line + strlen(word);
        double value;

        if (strncmp(line, word, strlen(word)) != 0)
            continue;
        errno = 0;
        value = strtod(number, &end);
        return end != number && isfinite(value) ? value * unit : NAN;
    }
    return NAN;
}

static double read_of_process(int pid, const char *file, const char *word, double unit)
{
    mw_auto_free char *path = cmd_words("/proc/%d/%s", pid, file);

    return path ? read_number(path, word, unit) : NAN;
}

/* When a process started, in seconds since 1970; NAN where there is none. */
static double started_s(int pid)
{
    mw_auto_free char *path = cmd_words("/proc/%d/stat", pid);
    mw_auto_file FILE *file = path ? fopen(path, "re") : NULL;
    double boot_s = read_number("/proc/stat", "btime ", 1);
    char line[1024], *field;
    uint64_t ticks;

    if (!file || !fgets(line, sizeof line, file) || !(field = strrchr(line, ')')))
        return NAN;
    /* Field 22; the name in field 2 may hold anything, and ends with the last bracket. */
    for (int i = 2; i < 22 && field; i++)
        field = strchr(field + 1, ' ');
    if (!field)
        return NAN;
    ticks = strtoull(field + 1, NULL, 10);
    return boot_s + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/*
 * Whether the process of a recording is one that lives here: a pid that was given anew belongs to a
 * process that started after the old one was seen.
 */
static bool lives(const struct recording *recording, const struct mw_process *process)
{
    static const double SLACK_S = 1;
    double seen_s = (double)recording->run->started_ns / 1e9 + (double)process->start_us / 1e6;

    return process->end_us < 0 &&
           (recording->run->outcome == MW_OUTCOME_RECORDING ||
            recording->run->outcome == MW_OUTCOME_DETACHED) &&
           started_s(process->pid) <= seen_s + SLACK_S;
}

/* --- each kind of limit ----------------------------------------------------------------------- */

/* Limits of the process alone are on other measures than the series: they leave headroom to it. */
static int add_rlimits(struct limits *limits, int pid, double last)
{
    static const struct {
        const char *word, *name, *used;
    } rlimits[] = {
        {"Max address space", "RLIMIT_AS", "VmSize:"},
        {"Max data size", "RLIMIT_DATA", "VmData:"},
    };
    int code = 0;

    for (size_t i = 0; code == 0 && i < MW_COUNT(rlimits); i++) {
        double bytes = read_of_process(pid, "limits", rlimits[i].word, 1);
        double used = read_of_process(pid, "status", rlimits[i].used, 1024);

        if (!isnan(bytes) && !isnan(used))
            code = add(limits, bytes, last + bytes - used, "%s", rlimits[i].name);
    }
    return code;
}

/* A version of cgroups: where it is mounted, and what its files are called. */
struct cgroup_version {
    const char *mount, *limit, *used, *reclaimable;
};

static int add_cgroup(struct limits *limits, const struct cgroup_version *version,
                      const char *group, double last)
{
    /* Version 1 writes that there is no limit as the largest number of pages. */
    static const double UNLIMITED = 9e18;
    mw_auto_free char *limit = cmd_words("%s%s/%s", version->mount, group, version->limit);
    mw_auto_free char *used = cmd_words("%s%s/%s", version->mount, group, version->used);
    mw_auto_free char *stat = cmd_words("%s%s/memory.stat", version->mount, group);
    double bytes, used_bytes, file_bytes;

    if (!limit || !used || !stat)
        return -ENOMEM;
    bytes = read_number(limit, "", 1);
    used_bytes = read_number(used, "", 1);
    file_bytes = read_number(stat, version->reclaimable, 1);
    if (isnan(bytes) || isnan(used_bytes) || bytes >= UNLIMITED)
        return 0;
    return add(limits, bytes, last + bytes - used_bytes + (isnan(file_bytes) ? 0 : file_bytes),
               "cgroup %s", *group ? group : "/");
}

/* The group itself, and every one that holds it. */
static int add_ancestors(struct limits *limits, const struct cgroup_version *version, char *group,
                         double last)
{
    int code;

    for (;;) {
        char *slash = strrchr(group, '/');

        if (slash && slash[1] == '\0')
            *slash = '\0';
        if ((code = add_cgroup(limits, version, group, last)) < 0 || *group == '\0')
            return code;
        slash = strrchr(group, '/');
        *(slash ? slash : group) = '\0';
    }
}

static int add_cgroups(struct limits *limits, int pid, double last)
{
    static const struct cgroup_version first = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                                "memory.usage_in_bytes", "total_inactive_file "};
    static const struct cgroup_version second = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                                 "inactive_file "};
    mw_auto_free char *path = cmd_words("/proc/%d/cgroup", pid);
    mw_auto_file FILE *file = path ? fopen(path, "re") : NULL;
    char line[4096];
    int code = 0;

    while (code == 0 && file && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':'), *group;

        line[strcspn(line, "\n")] = '\0';
        if (!controllers || !(group = strchr(controllers + 1, ':')))
            continue;
        *group++ = '\0';
        if (strcmp(controllers, ":") == 0)
            code = add_ancestors(limits, &second, group, last);
        else if (strstr(controllers, "memory"))
            code = add_ancestors(limits, &first, group, last);
    }
    return code;
}

static int add_machine(struct limits *limits, double last)
{
    double available = read_number("/proc/meminfo", "MemAvailable:", 1024);
    double swap = read_number("/proc/meminfo", "SwapFree:", 1024);
    double total = read_number("/proc/meminfo", "MemTotal:", 1024);
    double swap_total = read_number("/proc/meminfo", "SwapTotal:", 1024);

    if (isnan(available) || isnan(total))
        return 0;
    return add(limits, total + (isnan(swap_total) ? 0 : swap_total),
               last + available + (isnan(swap) ? 0 : swap), "machine");
}

/* --- what was recorded ------------------------------------------------------------------------ */

/* Whether a later row says the same limit anew. */
static bool is_replaced(const struct recording *recording, size_t index)
{
    const struct mw_limit *limit = &recording->limits[index];

    for (size_t i = index + 1; i < recording->limit_count; i++) {
        const struct mw_limit *later = &recording->limits[i];

        if (later->process == limit->process && strcmp(later->name, limit->name) == 0 &&
            strcmp(later->place, limit->place) == 0)
            return true;
    }
    return false;
}

static bool has(const struct limits *limits, const char *name)
{
    for (size_t i = 0; i < limits->count; i++) {
        if (strcmp(limits->items[i].name, name) == 0)
            return true;
    }
    return false;
}

/* The limit of a cgroup, as it was last seen: a process may have told it that is not judged. */
static int add_recorded_cgroup(struct limits *limits, const struct mw_limit *limit)
{
    mw_auto_free char *name = cmd_words("cgroup %s", limit->place);

    if (!name)
        return -ENOMEM;
    /* Pages of files do not fill it up: the kernel takes them back. */
    return has(limits, name) ? 0
                             : add(limits, (double)limit->value, (double)limit->value, "%s", name);
}

/*
 * Limits that were found or set while it was recorded: on all processes together. What others use
 * of a cgroup is not known, nor what a single process has mapped.
 */
static int add_recorded(struct limits *limits, const struct verdict *verdict, bool cgroups)
{
    const struct recording *recording = verdict->request.recording;
    int code = 0;

    for (size_t i = 0; code == 0 && i < recording->limit_count; i++) {
        const struct mw_limit *limit = &recording->limits[i];

        if (limit->value < 0 || is_replaced(recording, i))
            continue;
        if (strcmp(limit->name, "max-rss") == 0)
            code = add(limits, (double)limit->value, (double)limit->value - verdict->shared,
                       "--max-rss");
        else if (cgroups && (strcmp(limit->name, "memory.max") == 0 ||
                             strcmp(limit->name, "memory.limit_in_bytes") == 0))
            code = add_recorded_cgroup(limits, limit);
    }
    return code;
}

/* --- all of them ------------------------------------------------------------------------------ */

static int find(struct limits *limits, const struct verdict *verdict, int64_t asked_bytes)
{
    struct recording *recording = verdict->request.recording;
    const struct mw_process *process = verdict->request.process;
    bool alone = !process || recording->process_count == 1, is_alive;
    int code = 0;

    if (asked_bytes >= 0)
        code = add(limits, (double)asked_bytes, (double)asked_bytes - verdict->shared, "limit");
    /* The tree lives where its first process does; a limit of a single process is not its own. */
    if (!process && recording->process_count > 0)
        process = &recording->processes[0];
    is_alive = process && lives(recording, process);
    if (code == 0 && alone)
        code = add_recorded(limits, verdict, !is_alive);
    if (code < 0 || !is_alive)
        return code;
    if (verdict->request.process || recording->process_count == 1)
        code = add_rlimits(limits, process->pid, verdict->last);
    if (code == 0)
        code = add_cgroups(limits, process->pid, verdict->last);
    return code == 0 ? add_machine(limits, verdict->last) : code;
}

int limits_find(struct limits *ret_limits, const struct verdict *verdict, int64_t asked_bytes,
                struct mw_error *error)
{
    *ret_limits = (struct limits){0};
    if (find(ret_limits, verdict, asked_bytes) == 0)
        return 0;
    limits_clear(ret_limits);
    return mw_error_errno(error, ENOMEM, "cannot find limits");
}

void limits_clear(struct limits *limits)
{
    for (size_t i = 0; i < limits->count; i++)
        free(limits->items[i].name);
    free(limits->items);
    *limits = (struct limits){0};
}
