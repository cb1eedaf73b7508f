/*
 * Reading /proc: parsers that are pure functions over the text of a file, and readers for a
 * process.
 *
 * Parsers accept exactly what proc(5) describes, take the text with its length (no terminator is
 * needed) and return 0, or -EBADMSG for anything else, with the result untouched. They never read
 * beyond the text.
 */
#ifndef MW_CAPTURE_PROCFS_H
#define MW_CAPTURE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The fields of /proc/PID/statm that mean something, in pages. All zero for a zombie. */
struct mw_statm {
    uint64_t size_pages;     /* virtual memory */
    uint64_t resident_pages; /* RSS: anonymous, file and shmem pages */
    uint64_t shared_pages;   /* of these, file and shmem pages */
};

int mw_procfs_parse_statm(const char *text, size_t length, struct mw_statm *ret_statm);

/* Some fields of /proc/PID/stat. */
struct mw_stat {
    pid_t pid;
    char name[64]; /* comm: any bytes but NUL; at most 15 for a program, 63 for a kernel thread */
    char state;    /* 'R', 'S', 'Z' … */
    pid_t ppid;
    bool exiting; /* or a zombie */
    uint64_t threads;
    uint64_t start_ticks; /* start time of the process in clock ticks since boot */
    uint64_t stack_start; /* address: another after each exec; 0 where it may not be read */
    int wait_status;      /* of a zombie: as wait(2) will give it; 0 where it may not be read; -1
                           * where the kernel does not tell */
};

int mw_procfs_parse_stat(const char *text, size_t length, struct mw_stat *ret_stat);

/*
 * The next process id of /proc/PID/task/TID/children ("12 345 "), from *offset on, which moves
 * behind it. Returns 1 with an id, 0 at the end, -EBADMSG for anything else.
 */
int mw_procfs_next_pid(const char *text, size_t length, size_t *offset, pid_t *ret_pid);

/*
 * A field of /proc/PID/status or /proc/PID/smaps_rollup that is a number, such as "Threads", or a
 * count of kB, such as "VmHWM" (the highest RSS since the last reset) and "Pss", which a zombie
 * lacks. Not that of the first line.
 */
int mw_procfs_parse_number(const char *text, size_t length, const char *field,
                           uint64_t *ret_number);
int mw_procfs_parse_kib(const char *text, size_t length, const char *field, uint64_t *ret_kib);

/*
 * A soft limit of /proc/PID/limits that is in bytes, such as "Max address space"; -1 where there is
 * none ("unlimited").
 */
int mw_procfs_parse_limit(const char *text, size_t length, const char *name, int64_t *ret_bytes);

/* Opens /proc/PID/NAME, close-on-exec; returns the descriptor or a negative errno. */
int mw_procfs_open(pid_t pid, const char *name, int flags);

/*
 * The same for a descriptor that is to stay open: -EMFILE already when few are left, so that there
 * are always some to open a file for a moment.
 */
int mw_procfs_open_kept(pid_t pid, const char *name, int flags);

/* Reads statm through a descriptor that stays open: 0, or -ESRCH when the process has been reaped.
 */
int mw_procfs_read_statm(int fd, struct mw_statm *ret_statm);

/* Enough for the status of a process with 2,500 supplementary groups, or its smaps_rollup. */
enum { MW_PROCFS_STATUS_SIZE = 32768 };

/* Reads a small file of a process whole; returns its length or a negative errno. */
ssize_t mw_procfs_read(pid_t pid, const char *name, char *buffer, size_t size);

/* 0, or the negative errno of the file. The mark is VmHWM. */
int mw_procfs_read_stat(pid_t pid, struct mw_stat *ret_stat);
int mw_procfs_read_high_water(pid_t pid, uint64_t *ret_kib);

/*
 * Whether a process that /proc does not show is there all the same: with hidepid it shows none that
 * has another user's rights.
 */
bool mw_procfs_is_hidden(pid_t pid);

/*
 * How a process ended that nobody has reaped yet: its status as wait(2) will give it, or -1 where
 * there is no such zombie or it is another user's.
 */
int mw_procfs_read_wait_status(pid_t pid);

/* What a process runs. */
struct mw_image {
    char name[64]; /* comm */
    size_t argument_count;
    char **arguments; /* as it was started, or as it has renamed itself; cut at 128 KiB */
    char *bytes;      /* what the arguments point into */
};

/*
 * Reads the image of a process, with all its arguments or the first alone. The caller frees it with
 * mw_image_free. Returns 0 or a negative errno.
 */
int mw_procfs_read_image(pid_t pid, bool all_arguments, struct mw_image **ret_image);

/* NULL is fine. */
void mw_image_free(struct mw_image *image);

/* The same for equal images, and hardly ever for others; never 0. */
uint64_t mw_image_hash(const struct mw_image *image);

#endif
