/*
 * Processes that run already: finding them as a person names them, and what one has to know of them
 * before they are recorded.
 */
#ifndef MW_CAPTURE_FIND_H
#define MW_CAPTURE_FIND_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process. */
struct mw_found {
    pid_t pid;
    uint64_t start_ticks; /* tells it from a later one with the same pid: field 22 of stat */
};

enum mw_wanted_kind {
    MW_WANTED_PIDS,
    MW_WANTED_NAME,    /* of the program, or of the script that an interpreter runs */
    MW_WANTED_COMMAND, /* the whole command line */
    MW_WANTED_PIDFILE,
    MW_WANTED_CGROUP, /* and those below it */
};

/* Which processes are meant. The strings belong to whoever fills it. */
struct mw_wanted {
    enum mw_wanted_kind kind;
    const pid_t *pids;
    size_t pid_count;
    const char *text;    /* the name, or the path of the file or of the cgroup */
    const char *command; /* arguments, each with its NUL */
    size_t command_length;
    uint64_t since_ticks; /* of a command: who began before is not meant */
};

/*
 * Finds the processes that are wanted, in the order of their start, without those that are below
 * another of them. The caller frees the array, which is NULL where there are none: that is no error
 * for a name, a command or a cgroup. -ESRCH when a pid is nobody's, -EACCES when /proc hides it,
 * -ENOENT when there is no such file or cgroup, -EINVAL when the file holds no pid.
 */
int mw_find_processes(const struct mw_wanted *wanted, struct mw_found **ret_found,
                      size_t *ret_count, struct mw_error *error);

/* A process whose name contains this one, "redis-server (4711)", to be freed; NULL: none. */
char *mw_find_similar(const char *name);

/* The command line as the kernel has it, to be freed; NULL when the process has ended. */
char *mw_find_command(pid_t pid, size_t *ret_length);

/* Its arguments, which end with NULL, as one piece to be freed; NULL when the process has ended. */
char **mw_find_arguments(pid_t pid);

/* The present as start_ticks of what begins now. */
uint64_t mw_find_ticks(void);

/* Its resident memory in bytes, and for how long it has run; -1 where it has ended. */
int64_t mw_find_memory(pid_t pid);
int64_t mw_find_age_ns(const struct mw_found *found);

/* Who it belongs to, "postgres"; to be freed. NULL when memory ran out. */
char *mw_find_owner(pid_t pid);

/* What this user may do with a process, beside reading its resident memory. */
enum mw_right {
    MW_RIGHT_ROLLUP, /* read smaps_rollup */
    MW_RIGHT_RESET,  /* reset its high-water mark */
    MW_RIGHT_SIGNAL,
};

bool mw_find_allows(pid_t pid, enum mw_right right);

#endif
