/*
 * Memory cgroups: which ones a process is in, what limits they set, and how often the kernel ended
 * a process in them because it had no memory left. Versions 1 and 2 of the interface, also side by
 * side.
 *
 * Parsers take the text of a file; whatever they do not understand is left out.
 */
#ifndef MW_CAPTURE_CGROUP_H
#define MW_CAPTURE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where a hierarchy can be seen. */
struct mw_cgroup_mount {
    char *folder; /* NULL: nowhere */
    char *root;   /* the path of the cgroup that the folder shows; "/" outside of containers */
};

/* Both hierarchies. */
struct mw_cgroup_mounts {
    struct mw_cgroup_mount v1, v2; /* the first: that of the memory controller */
};

/* A cgroup. */
struct mw_cgroup {
    char *path;   /* as the kernel names it, "/system.slice/redis.service" */
    char *folder; /* where its files are */
    bool v2;
};

/* Finds the mounts in /proc/self/mountinfo, or a text like it. -ENOMEM. */
int mw_cgroup_find_mounts(const char *mountinfo, struct mw_cgroup_mounts *ret_mounts);
void mw_cgroup_clear_mounts(struct mw_cgroup_mounts *mounts);

/* The same from /proc, where it can be read. */
int mw_cgroup_read_mounts(struct mw_cgroup_mounts *ret_mounts);

/*
 * The memory cgroup of a process, from the text of its /proc/PID/cgroup, and then its ancestors up
 * to where they can be seen. None where its cgroup lies outside of that. -ENOMEM.
 */
int mw_cgroup_chain(const struct mw_cgroup_mounts *mounts, const char *membership,
                    struct mw_cgroup **ret_cgroups, size_t *ret_count);
void mw_cgroup_free_chain(struct mw_cgroup *cgroups, size_t count);
void mw_cgroup_clear(struct mw_cgroup *cgroup);

/* The same for a process; NULL also where it has ended, or memory ran out. */
struct mw_cgroup *mw_cgroup_read_chain(const struct mw_cgroup_mounts *mounts, pid_t pid,
                                       size_t *ret_count);

/* A limit that a cgroup may set. */
struct mw_cgroup_limit {
    const char *name; /* of its file: "memory.max", "memory.limit_in_bytes" …; static */
    int64_t bytes;    /* -1: none is set */
};

/* The limits that this cgroup itself has files for; returns how many. */
enum { MW_CGROUP_LIMITS = 3 };
size_t mw_cgroup_read_limits(const struct mw_cgroup *cgroup,
                             struct mw_cgroup_limit ret_limits[static MW_CGROUP_LIMITS]);

/* How many of its processes the kernel has ended for lack of memory, ever; -1: not known. */
int64_t mw_cgroup_read_oom_kills(const struct mw_cgroup *cgroup);

/* The same for the whole machine: oom_kill of /proc/vmstat. */
int64_t mw_cgroup_read_all_oom_kills(void);

/*
 * The processes of the cgroup in this folder and of those below it, as many as there is room for.
 * Returns how many there are, or a negative errno: -ENOENT where it is no cgroup's.
 */
ssize_t mw_cgroup_read_processes(const char *folder, pid_t *ret_pids, size_t room);

#endif
