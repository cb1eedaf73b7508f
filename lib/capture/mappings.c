#include "capture/mappings.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "capture/smaps.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* While it is read. Those at low addresses come first, and with them what was mapped last. */
enum { MOST_NEW_NAMES = 1024 };
/* With the names of an earlier snapshot; each kind may have a group without a name, and a rest. */
enum {
    MOST_GROUPS = MOST_NEW_NAMES + 2 * MW_MAPPINGS_MOST_NAMES + 3 * MW_MAPPING_KIND_COUNT,
};

struct mw_mappings {
    pid_t pid;
    uint64_t start_ticks, stack_start; /* tell its program from any other in this pid */
    int fd;
    struct mw_smaps smaps;
    struct hsearch_data places; /* of the groups that have a name of their own, by key */
    struct mw_mapping_group *groups;
    size_t count, known_count; /* the first are those of the earlier snapshot */
    size_t new_names;
    /* The names that have no group: all together, by kind. */
    struct mw_mapping_group rest[MW_MAPPING_KIND_COUNT];
    bool closed[MW_MAPPING_KIND_COUNT]; /* new names of the kind belong to the rest */
    int code;                           /* -ENOMEM once memory has run out */
};

static void close_mappings(struct mw_mappings **mappings)
{
    mw_mappings_close(*mappings);
}

/* --- groups ----------------------------------------------------------------------------------- */

/* The name of a group follows a byte for its kind: together they are its key. */
static char *key_of(enum mw_mapping_kind kind, const char *name)
{
    size_t size = strlen(name) + 1;
    char *key = malloc(size + 1);

    if (key) {
        key[0] = (char)('a' + kind);
        memcpy(key + 1, name, size);
    }
    return key;
}

static struct mw_mapping_group *add_group(struct mw_mappings *mappings, enum mw_mapping_kind kind,
                                          char *key)
{
    struct mw_mapping_group *group = &mappings->groups[mappings->count];
    ENTRY *entry;

    if (!hsearch_r((ENTRY){.key = key, .data = group}, ENTER, &entry, &mappings->places))
        return NULL;
    *group = (struct mw_mapping_group){.kind = kind, .name = key + 1};
    mappings->count++;
    return group;
}

/* The group of a kind and name: one of its own, as long as there is room for it. */
static struct mw_mapping_group *group_of(struct mw_mappings *mappings, enum mw_mapping_kind kind,
                                         const char *name)
{
    mw_auto_free char *key = key_of(kind, name);
    struct mw_mapping_group *group = NULL;
    ENTRY *entry;

    if (!key)
        return NULL;
    if (hsearch_r((ENTRY){.key = key}, FIND, &entry, &mappings->places))
        return entry->data;
    if (*name != '\0' && (mappings->closed[kind] || mappings->new_names == MOST_NEW_NAMES))
        return &mappings->rest[kind];
    if ((group = add_group(mappings, kind, key)) != NULL) {
        mappings->new_names += *name != '\0';
        key = NULL; /* is the group's */
    }
    return group;
}

static void add_to(struct mw_mapping_group *sum, const struct mw_mapping_group *group)
{
    sum->count += group->count;
    sum->resident_kib += group->resident_kib;
    sum->anonymous_kib += group->anonymous_kib;
    sum->swapped_kib += group->swapped_kib;
}

static void take_mapping(void *context, const struct mw_mapping *mapping)
{
    const struct mw_mapping_group one = {
        .count = 1,
        .resident_kib = mapping->resident_kib,
        .anonymous_kib = mapping->anonymous_kib,
        .swapped_kib = mapping->swapped_kib,
    };
    struct mw_mappings *mappings = context;
    struct mw_mapping_group *group = group_of(mappings, mapping->kind, mapping->name);

    if (group)
        add_to(group, &one);
    else
        mappings->code = -ENOMEM;
}

static uint64_t memory_of(const struct mw_mapping_group *group)
{
    return group->resident_kib + group->swapped_kib;
}

static int compare_memory(const void *a, const void *b)
{
    uint64_t first = memory_of(a), second = memory_of(b);

    return (first < second) - (first > second);
}

/* Adds the smallest groups with new names to the rest of their kind. */
static void fold_smallest(struct mw_mappings *mappings)
{
    size_t kept = mappings->known_count, names = 0;

    qsort(mappings->groups + kept, mappings->count - kept, sizeof *mappings->groups,
          compare_memory);
    for (size_t i = kept; i < mappings->count; i++) {
        struct mw_mapping_group *group = &mappings->groups[i];

        if (*group->name != '\0' && ++names > MW_MAPPINGS_MOST_NAMES) {
            add_to(&mappings->rest[group->kind], group);
            free(group->name - 1);
        } else
            mappings->groups[kept++] = *group;
    }
    mappings->count = kept;
}

/* All has been read: the groups move, and are not looked up any more. */
static void finish_groups(struct mw_mappings *mappings)
{
    struct mw_mapping_group *shorter;

    fold_smallest(mappings);
    for (int kind = 0; kind < MW_MAPPING_KIND_COUNT; kind++) {
        mappings->rest[kind].kind = (enum mw_mapping_kind)kind;
        if (mappings->rest[kind].count > 0)
            mappings->groups[mappings->count++] = mappings->rest[kind];
    }
    qsort(mappings->groups, mappings->count, sizeof *mappings->groups, compare_memory);
    hdestroy_r(&mappings->places);
    shorter = reallocarray(mappings->groups, mappings->count + 1, sizeof *mappings->groups);
    if (shorter)
        mappings->groups = shorter;
}

/* Begins with the groups of an earlier snapshot, in which there is nothing yet. */
static int take_groups_of(struct mw_mappings *mappings, const struct mw_mappings *before)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct mw_mapping_group *group = &before->groups[i];
        mw_auto_free char *key = NULL;

        if (!group->name) {
            mappings->closed[group->kind] = true;
            continue;
        }
        if (!(key = key_of(group->kind, group->name)) || !add_group(mappings, group->kind, key))
            return -ENOMEM;
        key = NULL; /* is the group's */
    }
    mappings->known_count = mappings->count;
    return 0;
}

/* --- the process ------------------------------------------------------------------------------ */

/*
 * Reading the mappings of a process just ends where it has ended or executed another program: what
 * is there is then no snapshot. -ESRCH where that has happened.
 */
static int check_program(struct mw_mappings *mappings)
{
    struct mw_stat stat;
    int code = mw_procfs_read_stat(mappings->pid, &stat);

    if (code < 0)
        return code == -ENOENT ? -ESRCH : code;
    if (mappings->start_ticks == 0) {
        mappings->start_ticks = stat.start_ticks;
        mappings->stack_start = stat.stack_start;
    }
    return stat.exiting || stat.start_ticks != mappings->start_ticks ||
                   stat.stack_start != mappings->stack_start
               ? -ESRCH
               : 0;
}

int mw_mappings_open(struct mw_mappings **ret_mappings, pid_t pid, const struct mw_mappings *before)
{
    mw_auto(close_mappings) struct mw_mappings *mappings = calloc(1, sizeof *mappings);
    int code;

    if (!mappings)
        return -ENOMEM;
    mappings->fd = -1;
    mappings->pid = pid;
    mappings->groups = calloc(MOST_GROUPS, sizeof *mappings->groups);
    if (!mappings->groups || !hcreate_r(MOST_GROUPS * 4 / 3, &mappings->places))
        return -ENOMEM;
    if (before) {
        mappings->start_ticks = before->start_ticks;
        mappings->stack_start = before->stack_start;
        if ((code = take_groups_of(mappings, before)) < 0)
            return code;
    }
    mappings->fd = mw_procfs_open_kept(pid, "smaps", O_RDONLY);
    if (mappings->fd < 0)
        return mappings->fd == -ENOENT ? -ESRCH : mappings->fd;
    if ((code = check_program(mappings)) < 0)
        return code;
    *ret_mappings = MW_TAKE(mappings);
    return 0;
}

/* The kernel gives a page at a time. 1, or 0 at the end. */
static int read_some(struct mw_mappings *mappings)
{
    char text[4096];
    ssize_t length = read(mappings->fd, text, sizeof text);
    int code;

    if (length < 0)
        return -errno;
    code = mw_smaps_feed(&mappings->smaps, text, (size_t)length, take_mapping, mappings);
    if (code == 0 && length == 0)
        mw_smaps_end(&mappings->smaps, take_mapping, mappings);
    if (code == 0)
        code = mappings->code;
    return code < 0 ? code : length > 0;
}

int mw_mappings_read(struct mw_mappings *mappings, int64_t budget_ns)
{
    int64_t begin_ns = mw_now_ns();
    int code;

    do
        code = read_some(mappings);
    while (code > 0 && mw_now_ns() - begin_ns < budget_ns);
    if (code != 0 || (code = check_program(mappings)) < 0)
        return code;
    close(mw_take_fd(&mappings->fd));
    finish_groups(mappings);
    return 0;
}

const struct mw_mapping_group *mw_mappings_groups(const struct mw_mappings *mappings,
                                                  size_t *ret_count)
{
    *ret_count = mappings->count;
    return mappings->groups;
}

void mw_mappings_close(struct mw_mappings *mappings)
{
    if (!mappings)
        return;
    if (mappings->fd >= 0)
        close(mappings->fd);
    for (size_t i = 0; i < mappings->count; i++) {
        if (mappings->groups[i].name)
            free(mappings->groups[i].name - 1);
    }
    free(mappings->groups);
    hdestroy_r(&mappings->places);
    free(mappings);
}
