/*
 * Variables that release what they own when they go out of scope.
 *
 *     mw_auto_free char *line = NULL;
 *     mw_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
 *
 * A variable marked so must be initialised where it is declared. To hand its content on, return
 * MW_TAKE(pointer) or mw_take_fd(&fd): the variable is emptied and releases nothing.
 */
#ifndef MW_UTIL_CLEANUP_H
#define MW_UTIL_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define mw_auto(function) __attribute__((cleanup(function)))
#define mw_auto_free mw_auto(mw_cleanup_free)
#define mw_auto_fd mw_auto(mw_cleanup_fd)
#define mw_auto_file mw_auto(mw_cleanup_file)
#define mw_auto_folder mw_auto(mw_cleanup_folder)

static inline void mw_cleanup_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static inline void mw_cleanup_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void mw_cleanup_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

static inline void mw_cleanup_folder(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

/* The pointer's value; the variable itself is left NULL. */
#define MW_TAKE(pointer)                                                                           \
    __extension__({                                                                                \
        __typeof__(pointer) mw_taken = (pointer);                                                  \
        (pointer) = NULL;                                                                          \
        mw_taken;                                                                                  \
    })

/* The descriptor's value; the variable itself is left at -1. */
static inline int mw_take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#endif
