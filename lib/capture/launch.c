#include "capture/launch.h"

#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct mw_launch {
    pid_t pid;
    int go[2];    /* writing a byte lets the child execute, closing the write end makes it end */
    int error_fd; /* gives the errno of a failed execve; closed by a successful one */
    bool executed;
};

static bool is_executable(const char *path, int *ret_errno)
{
    struct stat status;

    if (stat(path, &status) < 0) {
        /* In a folder that may not be searched there is nothing to be found. */
        *ret_errno = errno == EACCES ? ENOENT : errno;
        return false;
    }
    if (access(path, X_OK) < 0) {
        *ret_errno = errno;
        return false;
    }
    if (S_ISDIR(status.st_mode))
        *ret_errno = EISDIR;
    return !S_ISDIR(status.st_mode);
}

static int not_found(const char *program, int errno_value, struct mw_error *error)
{
    if (errno_value == ENOENT || errno_value == ENOTDIR)
        return mw_error_set(error, -ENOENT, "%s: not found", program);
    mw_error_errno(error, errno_value, "cannot execute %s", program);
    return -EACCES;
}

int mw_launch_find(const char *program, char **ret_path, struct mw_error *error)
{
    const char *folders = getenv("PATH");
    int last_errno = ENOENT;
    struct stat status;

    if (!*program)
        return mw_error_set(error, -ENOENT, "'': not found");
    if (strchr(program, '/')) {
        if (!is_executable(program, &last_errno))
            return not_found(program, last_errno, error);
        *ret_path = strdup(program);
        return *ret_path ? 0 : mw_error_errno(error, ENOMEM, "%s", program);
    }
    if (!folders)
        folders = "/usr/local/bin:/usr/bin:/bin";
    for (const char *at = folders;; at++) {
        size_t length = strcspn(at, ":");
        mw_auto_free char *path = NULL;
        int this_errno = 0;

        /* An empty entry is the current folder. */
        if (asprintf(&path, "%.*s%s%s", (int)length, at, length ? "/" : "./", program) < 0)
            return mw_error_errno(error, ENOMEM, "%s", program);
        if (is_executable(path, &this_errno)) {
            *ret_path = MW_TAKE(path);
            return 0;
        }
        /* One that is there but cannot be executed explains more than the many that are not. */
        if (this_errno == EACCES)
            last_errno = EACCES;
        at += length;
        if (*at)
            continue;
        /* "." or the name of a folder here. */
        if (last_errno == ENOENT && stat(program, &status) == 0 && S_ISDIR(status.st_mode))
            last_errno = EISDIR;
        return not_found(program, last_errno, error);
    }
}

/* In the child: waits for the go, then executes. Only calls that are safe after fork. */
static _Noreturn void run_child(const char *path, char *const arguments[], const sigset_t *mask,
                                const struct sigaction *child_action, int go_fd, int error_fd)
{
    char go;
    int exec_errno;
    ssize_t written;

    if (read(go_fd, &go, 1) != 1)
        _exit(125);
    sigaction(SIGCHLD, child_action, NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(path, arguments); /* path has a slash; runs a script without #! under sh, as shells do */
    exec_errno = errno;
    written = write(error_fd, &exec_errno, sizeof exec_errno);
    _exit(written == sizeof exec_errno ? 126 : 125);
}

int mw_launch_fork(struct mw_launch **ret_launch, const char *path, char *const arguments[],
                   const sigset_t *signal_mask, struct mw_error *error)
{
    struct sigaction plain = {.sa_handler = SIG_DFL}, child_action;
    int go[2] = {-1, -1}, failure[2] = {-1, -1};
    struct mw_launch *launch = calloc(1, sizeof *launch);

    if (!launch)
        return mw_error_errno(error, ENOMEM, "cannot start %s", path);
    if (pipe2(go, O_CLOEXEC) < 0 || pipe2(failure, O_CLOEXEC) < 0)
        goto fail;
    /* Whoever ignores SIGCHLD is not told how its children ended. */
    sigaction(SIGCHLD, &plain, &child_action);
    launch->pid = fork();
    if (launch->pid < 0)
        goto fail;
    if (launch->pid == 0) {
        /* The child must not hold the end whose closing ends it. */
        close(go[1]);
        run_child(path, arguments, signal_mask, &child_action, go[0], failure[1]);
    }
    /* The read end stays open here too: writing to a child that was killed then raises no SIGPIPE.
     */
    close(failure[1]);
    launch->go[0] = go[0];
    launch->go[1] = go[1];
    launch->error_fd = failure[0];
    *ret_launch = launch;
    return 0;
fail:
    mw_error_errno(error, errno, "cannot start %s", path);
    for (int i = 0; i < 2; i++) {
        if (go[i] >= 0)
            close(go[i]);
        if (failure[i] >= 0)
            close(failure[i]);
    }
    free(launch);
    return error ? error->code : -EAGAIN;
}

pid_t mw_launch_pid(const struct mw_launch *launch)
{
    return launch->pid;
}

int mw_launch_exec(struct mw_launch *launch, struct mw_error *error)
{
    int exec_errno = 0;
    ssize_t length;

    if (write(launch->go[1], "g", 1) != 1)
        return mw_error_errno(error, errno, "cannot start the program");
    do {
        length = read(launch->error_fd, &exec_errno, sizeof exec_errno);
    } while (length < 0 && errno == EINTR);
    if (length == 0) {
        launch->executed = true;
        return 0;
    }
    if (length != sizeof exec_errno)
        exec_errno = length < 0 ? errno : EIO;
    return mw_error_errno(error, exec_errno, "cannot execute");
}

void mw_launch_free(struct mw_launch *launch)
{
    if (!launch)
        return;
    close(launch->go[1]);
    close(launch->go[0]);
    close(launch->error_fd);
    if (!launch->executed)
        waitpid(launch->pid, NULL, 0);
    free(launch);
}
