#include "capture/process.h"

#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct mw_live_process mw_process_open(pid_t pid, pid_t ppid, int64_t start_ns)
{
    int fd = mw_procfs_open_kept(pid, "statm", O_RDONLY);
    struct mw_stat stat = {0};

    /* A descriptor that stays open cannot be mistaken; a pid may have gone to another. */
    if (fd < 0)
        mw_procfs_read_stat(pid, &stat);
    return (struct mw_live_process){
        .pid = pid,
        .ppid = ppid,
        .start_ns = start_ns,
        .statm_fd = fd < 0 ? -1 : fd,
        .thread = pid,
        .wait_status = -1,
        .start_ticks = stat.start_ticks,
        .resident_pages = MW_UNKNOWN,
        .shared_pages = MW_UNKNOWN,
    };
}

void mw_process_close(struct mw_live_process *process)
{
    if (process->statm_fd >= 0)
        close(process->statm_fd);
    process->statm_fd = -1;
}

bool mw_process_borrows(const struct mw_live_process *process)
{
    return syscall(SYS_kcmp, process->ppid, process->pid, KCMP_VM, 0UL, 0UL) == 0;
}

static int open_thread(pid_t pid, pid_t thread)
{
    char name[40];

    snprintf(name, sizeof name, "task/%d/statm", (int)thread);
    return mw_procfs_open(pid, name, O_RDONLY);
}

static int read_thread(pid_t pid, pid_t thread, struct mw_statm *ret_statm)
{
    mw_auto_fd int fd = open_thread(pid, thread);

    return fd < 0 ? fd : mw_procfs_read_statm(fd, ret_statm);
}

/* A thread that has exited has no memory, nor has a zombie; all others show that of the process. */
static bool lives(const struct mw_statm *statm)
{
    return statm->size_pages > 0;
}

/* Reads through a thread from now on, if it lives. */
static bool try_thread(struct mw_live_process *process, pid_t thread, struct mw_statm *ret_statm)
{
    if (read_thread(process->pid, thread, ret_statm) < 0 || !lives(ret_statm))
        return false;
    process->thread = thread;
    if (process->statm_fd >= 0)
        close(process->statm_fd);
    process->statm_fd = open_thread(process->pid, thread);
    return true;
}

/* Finds a thread that lives and reads through it; -ESRCH when there is none. */
static int switch_thread(struct mw_live_process *process, struct mw_statm *ret_statm)
{
    int fd = mw_procfs_open(process->pid, "task", O_RDONLY);
    DIR *threads = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool found = false;

    if (!threads) {
        if (fd >= 0)
            close(fd);
        return -ESRCH;
    }
    while (!found && (entry = readdir(threads))) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for "." and ".." */

        found = thread > 0 && try_thread(process, thread, ret_statm);
    }
    closedir(threads);
    /* One that executes a program gets the place of the first, which was looked at before. */
    return found || try_thread(process, process->pid, ret_statm) ? 0 : -ESRCH;
}

/* Reads by opening: 0, -ESRCH where the process is not there any more. */
static int read_by_pid(const struct mw_live_process *process, struct mw_statm *ret_statm)
{
    struct mw_stat stat;
    int code = read_thread(process->pid, process->thread, ret_statm);

    if (code == 0 && process->start_ticks != 0 && mw_procfs_read_stat(process->pid, &stat) == 0 &&
        stat.start_ticks != process->start_ticks)
        return -ESRCH;
    if (code == -ENOENT && mw_procfs_is_hidden(process->pid))
        return -EACCES;
    return code == -ENOENT && process->thread == process->pid ? -ESRCH : code;
}

int mw_process_read(struct mw_live_process *process, struct mw_statm *ret_statm)
{
    bool kept = process->statm_fd >= 0;
    int code =
        kept ? mw_procfs_read_statm(process->statm_fd, ret_statm) : read_by_pid(process, ret_statm);

    if (code == 0 && lives(ret_statm))
        return 0;
    /* Through its first thread: it has been reaped, and the pid may be another's already. */
    if (code == -ESRCH && process->thread == process->pid)
        return code;
    if (code == 0 || code == -ESRCH || code == -ENOENT)
        return switch_thread(process, ret_statm);
    return code;
}
