/*
 * What a wait status says of the end of a process. Private to lib/record.
 */
#ifndef MW_RECORD_EXIT_H
#define MW_RECORD_EXIT_H

#include <sys/wait.h>

/* The exit status, and the signal; -1 where it ended otherwise, or wait_status is not known (-1).
 */
static inline int mw_exit_status(int wait_status)
{
    return wait_status >= 0 && WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

static inline int mw_exit_signal(int wait_status)
{
    return wait_status >= 0 && WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : -1;
}

#endif
