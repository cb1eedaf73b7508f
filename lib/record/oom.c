#include "record/oom.h"

#include "capture/cgroup.h"
#include "util/array.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* The counts of the kernel are read at the ends of processes, and so often. */
static const int64_t look_pause_ns = 5000000000;
/* So long after an end its status may be told. */
static const int64_t longest_telling_ns = 1000000000;
/* So long after the kernel has chosen a process it may still give its memory back. */
static const int64_t longest_dying_ns = 10000000000;
/* Ends that are thought about at a time: more come only where much else dies as well. */
enum { MOST_ENDED = 256 };

/* The first process of a tree. */
struct tree {
    pid_t pid;
    uint32_t slot;
    bool ended;
    int64_t ended_ns;
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

struct mw_oom {
    int64_t due_ns;
    struct mw_cgroup_mounts mounts;
    struct tree first; /* as it was at the start */
    struct tree *trees;
    size_t tree_count, tree_room;
    struct ended ended[MOST_ENDED];
    size_t ended_count;
    int64_t all_kills; /* on the whole machine at the last look; -1: not known */
    int64_t kills;     /* of which it is not known yet whom they met, */
    int64_t kills_ns;  /* and when the last of them were seen */
};

/* --- trees ------------------------------------------------------------------------------------ */

struct mw_oom *mw_oom_new(void)
{
    struct mw_oom *oom = calloc(1, sizeof *oom);

    if (oom && mw_cgroup_read_mounts(&oom->mounts) < 0) {
        free(oom);
        return NULL;
    }
    return oom;
}

void mw_oom_free(struct mw_oom *oom)
{
    if (!oom)
        return;
    for (size_t i = 0; i < oom->tree_count; i++)
        mw_cgroup_clear(&oom->trees[i].own);
    mw_cgroup_clear(&oom->first.own);
    free(oom->trees);
    mw_cgroup_clear_mounts(&oom->mounts);
    free(oom);
}

/* The cgroup that a tree is in now becomes its own: whether it is another than before. */
static bool find_own(const struct mw_oom *oom, struct tree *tree)
{
    size_t count;
    struct mw_cgroup *chain = mw_cgroup_read_chain(&oom->mounts, tree->pid, &count);
    bool moved = count > 0 && (!tree->own.path || strcmp(tree->own.path, chain[0].path) != 0);

    if (moved) {
        mw_cgroup_clear(&tree->own);
        tree->own = chain[0];
        chain[0] = (struct mw_cgroup){0};
        tree->oom_kills = mw_cgroup_read_oom_kills(&tree->own);
    }
    mw_cgroup_free_chain(chain, count);
    return moved;
}

void mw_oom_begin(struct mw_oom *oom, pid_t root)
{
    oom->all_kills = mw_cgroup_read_all_oom_kills();
    oom->first = (struct tree){.pid = root, .oom_kills = -1};
    find_own(oom, &oom->first);
}

void mw_oom_add(struct mw_oom *oom, uint32_t slot, pid_t pid)
{
    struct tree *tree;

    if (!mw_array_reserve(&oom->trees, oom->tree_count, &oom->tree_room, sizeof *oom->trees))
        return;
    tree = &oom->trees[oom->tree_count++];
    *tree = (struct tree){.pid = pid, .oom_kills = -1};
    /* The record of a start waits for a moment, in which it may have lost a child already. */
    if (pid == oom->first.pid) {
        *tree = oom->first;
        oom->first = (struct tree){0};
    }
    tree->slot = slot;
    if (!tree->own.path)
        find_own(oom, tree);
}

/* --- ends ------------------------------------------------------------------------------------- */

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

void mw_oom_ended(struct mw_oom *oom, uint32_t slot, pid_t pid, int64_t t_ns, int wait_status)
{
    for (size_t i = 0; i < oom->tree_count; i++) {
        if (oom->trees[i].slot == slot && !oom->trees[i].ended)
            end_tree(&oom->trees[i], t_ns, wait_status);
    }
    if (wait_status >= 0 && !was_killed(wait_status))
        return;
    if (oom->ended_count == MOST_ENDED)
        memmove(oom->ended, oom->ended + 1, --oom->ended_count * sizeof *oom->ended);
    oom->ended[oom->ended_count++] = (struct ended){pid, t_ns, wait_status};
}

void mw_oom_told(struct mw_oom *oom, pid_t pid, int wait_status)
{
    for (size_t i = oom->ended_count; i > 0; i--) {
        if (oom->ended[i - 1].pid == pid) {
            oom->ended[i - 1].wait_status = wait_status;
            return;
        }
    }
}

/* --- kills ------------------------------------------------------------------------------------ */

static bool shares_cgroup(const struct mw_oom *oom, size_t tree)
{
    for (size_t i = 0; i < tree; i++) {
        if (oom->trees[i].own.path && oom->trees[tree].own.path &&
            strcmp(oom->trees[i].own.path, oom->trees[tree].own.path) == 0)
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
static void count_kills_of(const struct mw_oom *oom, size_t which, struct kills *kills)
{
    struct tree *tree = &oom->trees[which];
    int64_t count = tree->own.path ? mw_cgroup_read_oom_kills(&tree->own) : -1;
    int64_t since = count >= 0 && tree->oom_kills >= 0 ? count - tree->oom_kills : -1;
    bool shared = shares_cgroup(oom, which);

    if (count >= 0)
        tree->oom_kills = count;
    tree->looked_at = true;
    if (since > 0) {
        kills->certain += shared ? 0 : since;
    } else if (!tree->ended && find_own(oom, tree) && tree->oom_kills >= 0) {
        kills->perhaps += tree->oom_kills;
    } else if (since < 0 || tree->left) {
        kills->unseen = true;
    }
    tree->left = false;
}

/* Where another lives on, one that has ended for long has nothing more to tell. */
static void drop_ended(struct mw_oom *oom, int64_t now_ns)
{
    size_t kept = 0, alive = 0;

    for (size_t i = 0; i < oom->tree_count; i++)
        alive += !oom->trees[i].ended;
    for (size_t i = 0; i < oom->tree_count; i++) {
        struct tree *tree = &oom->trees[i];

        if (alive > 0 && tree->ended && now_ns - tree->ended_ns > longest_dying_ns)
            mw_cgroup_clear(&tree->own);
        else
            oom->trees[kept++] = *tree;
    }
    oom->tree_count = kept;
}

static void count_kills(struct mw_oom *oom, int64_t now_ns)
{
    struct kills kills = {0};
    int64_t all, on_machine;

    for (size_t i = 0; i < oom->tree_count; i++)
        count_kills_of(oom, i, &kills);
    all = mw_cgroup_read_all_oom_kills();
    on_machine = all >= 0 && oom->all_kills >= 0 ? all - oom->all_kills : 0;
    oom->all_kills = all;
    if (on_machine > kills.certain && (kills.unseen || kills.perhaps > on_machine - kills.certain))
        kills.certain = on_machine;
    else if (on_machine > kills.certain)
        kills.certain += kills.perhaps;
    if (kills.certain > 0)
        oom->kills_ns = now_ns;
    else if (now_ns - oom->kills_ns > longest_dying_ns)
        oom->kills = 0; /* they met others */
    oom->kills += kills.certain;
    drop_ended(oom, now_ns);
}

/* --- whom they met -----------------------------------------------------------------------------
 */

/* Whether a process that has ended is the one that the kernel chose. */
static bool is_victim(const struct ended *ended, bool only_certain, bool settled)
{
    return was_killed(ended->wait_status) || (!only_certain && settled && ended->wait_status < 0);
}

static int settle_ended(struct mw_oom *oom, int64_t now_ns, bool last, bool only_certain,
                        const struct mw_oom_sink *sink)
{
    size_t kept = 0;
    int code = 0;

    for (size_t i = 0; i < oom->ended_count; i++) {
        const struct ended ended = oom->ended[i];
        bool settled = last || now_ns - ended.t_ns > longest_telling_ns;

        if (oom->kills > 0 && code == 0 && is_victim(&ended, only_certain, settled)) {
            oom->kills--;
            code = sink->killed(sink->context, ended.pid, ended.t_ns);
        } else if (only_certain ||
                   (!settled && (ended.wait_status < 0 || was_killed(ended.wait_status)))) {
            oom->ended[kept++] = ended;
        }
    }
    oom->ended_count = kept;
    return code;
}

int mw_oom_look(struct mw_oom *oom, int64_t now_ns, bool last, const struct mw_oom_sink *sink)
{
    int code = 0;

    if (oom->ended_count == 0 && now_ns < oom->due_ns)
        return 0;
    if (now_ns >= oom->due_ns)
        oom->due_ns = now_ns + look_pause_ns;
    count_kills(oom, now_ns);
    if (oom->ended_count > 0 && (code = settle_ended(oom, now_ns, last, true, sink)) == 0)
        code = settle_ended(oom, now_ns, last, false, sink);
    return code;
}
