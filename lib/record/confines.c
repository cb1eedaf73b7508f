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
/* So long after an end its status may be told. */
static const int64_t longest_telling_ns = 1000000000;
/* So long after the kernel has chosen a process it may still give its memory back. */
static const int64_t longest_dying_ns = 10000000000;
/* Ends that are thought about at a time: more come only where much else dies as well. */
enum { MOST_ENDED = 256 };

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
    struct mw_cgroup own; /* its cgroup; path NULL: none can be seen */
    int64_t oom_kills;    /* so far in that; -1: not known */
    bool looked_at;       /* where it was has been asked again since it came */
    bool left;            /* it has ended since the last look, perhaps in another */
};

/* A process that may have been ended for lack of memory. */
struct ended {
    pid_t pid;
    int64_t t_ns;
    int wait_status;
};

struct mw_confines {
    struct mw_writer *writer;
    int64_t start_ns, due_ns;
    struct tree first; /* as it was at the start */
    struct mw_cgroup_mounts mounts;
    struct tree *trees;
    size_t tree_count, tree_room;
    struct ended ended[MOST_ENDED];
    size_t ended_count;
    int64_t all_kills; /* by the kernel on the whole machine at the last look; -1: not known */
    int64_t kills, kills_ns; /* by the kernel, not known yet of whom; when the last were seen */
};

static const struct {
    const char *name, *line;
} rlimits[] = {{"RLIMIT_AS", "Max address space"}, {"RLIMIT_DATA", "Max data size"}};

/* A whole file, however long; to be freed. */
static char *read_whole(const char *path)
{
    mw_auto_file FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;

    if (!file || getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

struct mw_confines *mw_confines_new(void)
{
    struct mw_confines *confines = calloc(1, sizeof *confines);
    mw_auto_free char *mountinfo = read_whole("/proc/self/mountinfo");

    if (confines && mountinfo && mw_cgroup_find_mounts(mountinfo, &confines->mounts) < 0) {
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

static void clear_cgroup(struct mw_cgroup *cgroup)
{
    free(cgroup->path);
    free(cgroup->folder);
    *cgroup = (struct mw_cgroup){0};
}

static void clear_tree(struct tree *tree)
{
    clear_findings(&tree->findings);
    clear_cgroup(&tree->own);
}

void mw_confines_free(struct mw_confines *confines)
{
    if (!confines)
        return;
    for (size_t i = 0; i < confines->tree_count; i++)
        clear_tree(&confines->trees[i]);
    clear_cgroup(&confines->first.own);
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

/* The cgroups of a process, its own first; none where it has ended, or none can be seen. */
static struct mw_cgroup *read_chain(const struct mw_confines *confines, pid_t pid,
                                    size_t *ret_count)
{
    char path[40];
    mw_auto_free char *membership = NULL;
    struct mw_cgroup *chain = NULL;

    *ret_count = 0;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    membership = read_whole(path);
    if (!membership || mw_cgroup_chain(&confines->mounts, membership, &chain, ret_count) < 0)
        return NULL;
    return chain;
}

/* The cgroup that a tree is in now becomes its own: whether it is another than before. */
static bool find_own(const struct mw_confines *confines, struct tree *tree)
{
    size_t count;
    struct mw_cgroup *chain = read_chain(confines, tree->pid, &count);
    bool moved = count > 0 && (!tree->own.path || strcmp(tree->own.path, chain[0].path) != 0);

    if (moved) {
        clear_cgroup(&tree->own);
        tree->own = chain[0];
        chain[0] = (struct mw_cgroup){0};
        tree->oom_kills = mw_cgroup_read_oom_kills(&tree->own);
    }
    mw_cgroup_free_chain(chain, count);
    return moved;
}

static void find_cgroups(const struct mw_confines *confines, const struct tree *tree,
                         struct findings *findings)
{
    size_t count;
    struct mw_cgroup *chain = read_chain(confines, tree->pid, &count);

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

void mw_confines_begin(struct mw_confines *confines, struct mw_writer *writer, int64_t start_ns,
                       pid_t root)
{
    confines->writer = writer;
    confines->start_ns = start_ns;
    confines->all_kills = mw_cgroup_read_all_oom_kills();
    confines->first = (struct tree){.pid = root, .oom_kills = -1};
    find_own(confines, &confines->first);
}

int mw_confines_add(struct mw_confines *confines, uint32_t slot, pid_t pid, int64_t t_ns,
                    struct mw_error *error)
{
    struct tree *tree;

    if (!mw_array_reserve(&confines->trees, confines->tree_count, &confines->tree_room,
                          sizeof *confines->trees))
        return 0;
    tree = &confines->trees[confines->tree_count++];
    *tree = (struct tree){.pid = pid, .oom_kills = -1};
    /* The record of a start waits for a moment, in which it may have lost a child already. */
    if (pid == confines->first.pid) {
        *tree = confines->first;
        confines->first = (struct tree){0};
    }
    tree->slot = slot;
    if (!tree->own.path)
        find_own(confines, tree);
    return look_at_limits(confines, tree, t_ns, error);
}

/* --- the OOM killer --------------------------------------------------------------------------- */

static bool was_killed(int wait_status)
{
    return wait_status >= 0 && WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
}

static void end_tree(struct tree *tree, int64_t t_ns, int wait_status)
{
    tree->ended = true;
    tree->ended_ns = t_ns;
    tree->left = !tree->looked_at || was_killed(wait_status);
}

void mw_confines_ended(struct mw_confines *confines, uint32_t slot, pid_t pid, int64_t t_ns,
                       int wait_status)
{
    for (size_t i = 0; i < confines->tree_count; i++) {
        if (confines->trees[i].slot == slot && !confines->trees[i].ended)
            end_tree(&confines->trees[i], t_ns, wait_status);
    }
    if (wait_status >= 0 && !was_killed(wait_status))
        return;
    if (confines->ended_count == MOST_ENDED)
        memmove(confines->ended, confines->ended + 1,
                --confines->ended_count * sizeof *confines->ended);
    confines->ended[confines->ended_count++] = (struct ended){pid, t_ns, wait_status};
}

void mw_confines_told(struct mw_confines *confines, pid_t pid, int wait_status)
{
    for (size_t i = confines->ended_count; i > 0; i--) {
        if (confines->ended[i - 1].pid == pid) {
            confines->ended[i - 1].wait_status = wait_status;
            return;
        }
    }
}

static bool shares_cgroup(const struct mw_confines *confines, size_t tree)
{
    for (size_t i = 0; i < tree; i++) {
        if (confines->trees[i].own.path && confines->trees[tree].own.path &&
            strcmp(confines->trees[i].own.path, confines->trees[tree].own.path) == 0)
            return true;
    }
    return false;
}

/* What the kernel has done since the last look. */
struct kills {
    int64_t certain; /* in the cgroups of trees */
    int64_t perhaps; /* in those that they have just come to: some may be of earlier days */
    bool unseen;     /* or in one that counts nothing, or is not known */
};

/*
 * Counts in the cgroup of a tree. It may have been removed with its last process, the topmost one
 * counts nothing, and a tree that was short or was killed may have been in another by then.
 */
static void count_kills_of(const struct mw_confines *confines, size_t which, struct kills *kills)
{
    struct tree *tree = &confines->trees[which];
    int64_t count = tree->own.path ? mw_cgroup_read_oom_kills(&tree->own) : -1;
    int64_t since = count >= 0 && tree->oom_kills >= 0 ? count - tree->oom_kills : -1;
    bool shared = shares_cgroup(confines, which);

    if (count >= 0)
        tree->oom_kills = count;
    tree->looked_at = true;
    if (since > 0) {
        kills->certain += shared ? 0 : since;
    } else if (!tree->ended && find_own(confines, tree) && tree->oom_kills >= 0) {
        kills->perhaps += tree->oom_kills;
    } else if (since < 0 || tree->left) {
        kills->unseen = true;
    }
    tree->left = false;
}

/* Where another lives on, one that has ended for long has nothing more to tell. */
static void drop_ended(struct mw_confines *confines, int64_t now_ns)
{
    size_t kept = 0, alive = 0;

    for (size_t i = 0; i < confines->tree_count; i++)
        alive += !confines->trees[i].ended;
    for (size_t i = 0; i < confines->tree_count; i++) {
        struct tree *tree = &confines->trees[i];

        if (alive > 0 && tree->ended && now_ns - tree->ended_ns > longest_dying_ns)
            clear_tree(tree);
        else
            confines->trees[kept++] = *tree;
    }
    confines->tree_count = kept;
}

static void count_kills(struct mw_confines *confines, int64_t now_ns)
{
    struct kills kills = {0};
    int64_t all, on_machine;

    for (size_t i = 0; i < confines->tree_count; i++)
        count_kills_of(confines, i, &kills);
    all = mw_cgroup_read_all_oom_kills();
    on_machine = all >= 0 && confines->all_kills >= 0 ? all - confines->all_kills : 0;
    confines->all_kills = all;
    if (on_machine > kills.certain && (kills.unseen || kills.perhaps > on_machine - kills.certain))
        kills.certain = on_machine;
    else if (on_machine > kills.certain)
        kills.certain += kills.perhaps;
    if (kills.certain > 0)
        confines->kills_ns = now_ns;
    else if (now_ns - confines->kills_ns > longest_dying_ns)
        confines->kills = 0; /* they met others */
    confines->kills += kills.certain;
    drop_ended(confines, now_ns);
}

/* The lowest of the limits beyond which the kernel ends processes; NULL where there is none. */
static const struct found *lowest_limit(const struct mw_confines *confines)
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
    return lowest;
}

static int store_kill(struct mw_confines *confines, const struct ended *ended,
                      struct mw_error *error)
{
    const struct found *limit = lowest_limit(confines);
    int64_t t_us = (ended->t_ns - confines->start_ns) / 1000;
    const struct mw_event event = {.kind = MW_EVENT_OOM_KILL,
                                   .t_us = t_us,
                                   .name = limit ? limit->place : NULL,
                                   .has_limit = limit != NULL,
                                   .limit_value = limit ? limit->bytes : 0};

    return mw_writer_add_last_event(confines->writer, ended->pid, &event, error);
}

/* Whether a process that has ended is the one that the kernel chose. */
static bool is_victim(const struct ended *ended, bool only_certain, bool settled)
{
    return was_killed(ended->wait_status) || (!only_certain && settled && ended->wait_status < 0);
}

static int settle_ended(struct mw_confines *confines, int64_t now_ns, bool last, bool only_certain,
                        struct mw_error *error)
{
    size_t kept = 0;
    int code = 0;

    for (size_t i = 0; i < confines->ended_count; i++) {
        const struct ended ended = confines->ended[i];
        bool settled = last || now_ns - ended.t_ns > longest_telling_ns;

        if (confines->kills > 0 && code == 0 && is_victim(&ended, only_certain, settled)) {
            confines->kills--;
            code = store_kill(confines, &ended, error);
        } else if (only_certain ||
                   (!settled && (ended.wait_status < 0 || was_killed(ended.wait_status)))) {
            confines->ended[kept++] = ended;
        }
    }
    confines->ended_count = kept;
    return code;
}

int mw_confines_look(struct mw_confines *confines, int64_t now_ns, bool last,
                     struct mw_error *error)
{
    int code = 0;

    if (confines->ended_count > 0 || now_ns >= confines->due_ns)
        count_kills(confines, now_ns);
    if (confines->ended_count > 0) {
        if ((code = settle_ended(confines, now_ns, last, true, error)) == 0)
            code = settle_ended(confines, now_ns, last, false, error);
    }
    if (code < 0 || now_ns < confines->due_ns)
        return code;
    confines->due_ns = now_ns + look_pause_ns;
    for (size_t i = 0; i < confines->tree_count && code == 0; i++) {
        if (!confines->trees[i].ended)
            code = look_at_limits(confines, &confines->trees[i], now_ns, error);
    }
    return code;
}
