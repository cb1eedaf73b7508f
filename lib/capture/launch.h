/*
 * Starts a program in two steps, so that its recorder is ready before its first instruction.
 *
 *     mw_launch_fork     the child exists, and waits
 *     mw_launch_exec     the child executes the program; returns when that has succeeded or failed
 *
 * This process stops ignoring SIGCHLD, where it did. The child gets the signal mask, the
 * dispositions and the limits that this process had when it started, none of its descriptors beyond
 * 0 to 2, and no priority of the recorder's. If the recorder dies between the two steps the child
 * ends without having executed anything.
 */
#ifndef MW_CAPTURE_LAUNCH_H
#define MW_CAPTURE_LAUNCH_H

#include "util/error.h"

#include <signal.h>
#include <sys/types.h>

struct mw_launch;

/*
 * Finds what to execute for a program as a shell would: a name with a slash is a path, any other is
 * looked up in PATH. Returns the path (to be freed) in ret_path, -ENOENT when there is none,
 * -EACCES when it is there but cannot be executed.
 */
int mw_launch_find(const char *program, char **ret_path, struct mw_error *error);

/*
 * Forks the child that will execute path with the arguments (NULL at the end) and the signal mask
 * given. The arguments are copied by the fork.
 */
int mw_launch_fork(struct mw_launch **ret_launch, const char *path, char *const arguments[],
                   const sigset_t *signal_mask, struct mw_error *error);

pid_t mw_launch_pid(const struct mw_launch *launch);

/*
 * Lets the child execute. Returns 0 when the program runs; the negative errno of execve when it
 * does not, and then the child is gone.
 */
int mw_launch_exec(struct mw_launch *launch, struct mw_error *error);

/* Forgets the child; one that still waits ends. NULL is fine. */
void mw_launch_free(struct mw_launch *launch);

#endif
