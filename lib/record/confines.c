#include "record/confines.h"

#include "capture/cgroup.h"
#include "capture/procfs.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Limits hardly ever change. */
static const int64_t look_pause_ns = 5000000000;
/* The limits of a tree that has ended are told beside an end of that time. */
static const int64_t longest_telling_ns = 10000000000;

/* A limit as it was found last. */
struct found {
    const char *name; /* static */
    char *place;      /* path of the cgroup; "": the process's own */
    int64_t bytes;    /* -1: none */
    bool hard;        /* beyond it the kernel ends processes */
};

struct findings {
    struct found *items;
    size_t count, room;
};

/* The first process of a tree. */
struct tree {
    pid_t pid;
    uint32_t slot;
    bool ended;
    int64_t ended_ns;
    struct findings findings;
};

struct mw_confines {
    struct mw_writer *writer;
    int64_t start_ns, due_ns;
    struct mw_cgroup_mounts mounts;
    struct tree *trees;
    size_t tree_count, tree_room;
};

static const struct {
    const char *name, *line;
} rlimits[] = {{"RLIMIT_AS", "Max address space"}, {"RLIMIT_DATA", "Max data size"}};

struct mw_confines *mw_confines_new(void)
{
    struct mw_confines *confines = calloc(1, sizeof *confines);

    if (confines && mw_cgroup_read_mounts(&confines->mounts) < 0) {
        free(confines);
        return NULL;
    }
    return confines;
}

static void clear_findings(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        free(findings->items[i].place);
    free(findings->items);
    *findings = (struct findings){0};
}

void mw_confines_free(struct mw_confines *confines)
{
    if (!confines)
        return;
    for (size_t i = 0; i < confines->tree_count; i++)
        clear_findings(&confines->trees[i].findings);
    free(confines->trees);
    mw_cgroup_clear_mounts(&confines->mounts);
    free(confines);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void add_finding(struct findings *findings, const char *name, const char *place,
                        int64_t bytes, bool hard)
{
    char *copy = strdup(place);

    if (copy && mw_array_reserve(&findings->items, findings->count, &findings->room,
                                 sizeof *findings->items))
        findings->items[findings->count++] = (struct found){name, copy, bytes, hard};
    else
        free(copy);
}

static void find_rlimits(pid_t pid, struct findings *findings)
{
    char text[4096];
    ssize_t length = mw_procfs_read(pid, "limits", text, sizeof text);

    for (size_t i = 0; length > 0 && i < MW_COUNT(rlimits); i++) {
        int64_t bytes;

        if (mw_procfs_parse_limit(text, (size_t)length, rlimits[i].line, &bytes) == 0)
            add_finding(findings, rlimits[i].name, "", bytes, false);
    }
}

static bool is_hard(const char *name)
{
    return strcmp(name, "memory.max") == 0 || strcmp(name, "memory.limit_in_bytes") == 0;
}

static void find_cgroup_limits(const struct mw_cgroup *cgroup, struct findings *findings)
{
    struct mw_cgroup_limit limits[MW_CGROUP_LIMITS];
    size_t count = mw_cgroup_read_limits(cgroup, limits);

    for (size_t i = 0; i < count; i++)
        add_finding(findings, limits[i].name, cgroup->path, limits[i].bytes,
                    is_hard(limits[i].name));
}

static void find_cgroups(const struct mw_confines *confines, const struct tree *tree,
                         struct findings *findings)
{
    size_t count;
    struct mw_cgroup *chain = mw_cgroup_read_chain(&confines->mounts, tree->pid, &count);

    for (size_t i = 0; i < count; i++)
        find_cgroup_limits(&chain[i], findings);
    mw_cgroup_free_chain(chain, count);
}

static const struct found *find_same(const struct findings *findings, const struct found *found)
{
    for (size_t i = 0; i < findings->count; i++) {
        if (strcmp(findings->items[i].name, found->name) == 0 &&
            strcmp(findings->items[i].place, found->place) == 0)
            return &findings->items[i];
    }
    return NULL;
}

static int store_limit(struct mw_confines *confines, const struct tree *tree,
                       const struct found *found, int64_t bytes, int64_t t_ns,
                       struct mw_error *error)
{
    mw_auto_free char *name = strdup(found->name);
    const struct mw_limit limit = {.since_us = (t_ns - confines->start_ns) / 1000,
                                   .name = name,
                                   .place = found->place,
                                   .value = bytes,
                                   .window_us = -1};

    return name ? mw_writer_add_limit(confines->writer, tree->slot, &limit, error) : 0;
}

/* Stores what is not as it was. */
static int store_changes(struct mw_confines *confines, const struct tree *tree,
                         const struct findings *now, int64_t t_ns, struct mw_error *error)
{
    int code = 0;

    for (size_t i = 0; i < now->count && code == 0; i++) {
        const struct found *before = find_same(&tree->findings, &now->items[i]);

        if (now->items[i].bytes != (before ? before->bytes : -1))
            code = store_limit(confines, tree, &now->items[i], now->items[i].bytes, t_ns, error);
    }
    for (size_t i = 0; i < tree->findings.count && code == 0; i++) {
        const struct found *before = &tree->findings.items[i];

        if (before->bytes >= 0 && !find_same(now, before))
            code = store_limit(confines, tree, before, -1, t_ns, error);
    }
    return code;
}

static int look_at_limits(struct mw_confines *confines, struct tree *tree, int64_t t_ns,
                          struct mw_error *error)
{
    struct findings now = {0};
    int code;

    find_rlimits(tree->pid, &now);
    if (now.count == 0) /* it has just ended */
        return 0;
    find_cgroups(confines, tree, &now);
    code = store_changes(confines, tree, &now, t_ns, error);
    clear_findings(&tree->findings);
    tree->findings = now;
    return code;
}

void mw_confines_begin(struct mw_confines *confines, struct mw_writer *writer, int64_t start_ns)
{
    confines->writer = writer;
    confines->start_ns = start_ns;
}

int mw_confines_add(struct mw_confines *confines, uint32_t slot, pid_t pid, int64_t t_ns,
                    struct mw_error *error)
{
    struct tree *tree;

    if (!mw_array_reserve(&confines->trees, confines->tree_count, &confines->tree_room,
                          sizeof *confines->trees))
        return 0;
    tree = &confines->trees[confines->tree_count++];
    *tree = (struct tree){.pid = pid, .slot = slot};
    return look_at_limits(confines, tree, t_ns, error);
}

void mw_confines_ended(struct mw_confines *confines, uint32_t slot, int64_t t_ns)
{
    for (size_t i = 0; i < confines->tree_count; i++) {
        struct tree *tree = &confines->trees[i];

        if (tree->slot == slot && !tree->ended) {
            tree->ended = true;
            tree->ended_ns = t_ns;
        }
    }
}

int64_t mw_confines_lowest(const struct mw_confines *confines, const char **ret_place)
{
    const struct found *lowest = NULL;

    for (size_t i = 0; i < confines->tree_count; i++) {
        const struct findings *findings = &confines->trees[i].findings;

        for (size_t j = 0; j < findings->count; j++) {
            const struct found *found = &findings->items[j];

            if (found->hard && found->bytes >= 0 && (!lowest || found->bytes < lowest->bytes))
                lowest = found;
        }
    }
    *ret_place = lowest ? lowest->place : NULL;
    return lowest ? lowest->bytes : -1;
}

/* Where another lives on, one that has ended for long has nothing more to tell. */
static void drop_ended(struct mw_confines *confines, int64_t now_ns)
{
    size_t kept = 0, alive = 0;

    for (size_t i = 0; i < confines->tree_count; i++)
        alive += !confines->trees[i].ended;
    for (size_t i = 0; i < confines->tree_count; i++) {
        struct tree *tree = &confines->trees[i];

        if (alive > 0 && tree->ended && now_ns - tree->ended_ns > longest_telling_ns)
            clear_findings(&tree->findings);
        else
            confines->trees[kept++] = *tree;
    }
    confines->tree_count = kept;
}

int mw_confines_look(struct mw_confines *confines, int64_t now_ns, struct mw_error *error)
{
    int code = 0;

    if (now_ns < confines->due_ns)
        return 0;
    confines->due_ns = now_ns + look_pause_ns;
    drop_ended(confines, now_ns);
    for (size_t i = 0; i < confines->tree_count && code == 0; i++) {
        if (!confines->trees[i].ended)
            code = look_at_limits(confines, &confines->trees[i], now_ns, error);
    }
    return code;
}
