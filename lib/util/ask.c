#include "util/ask.h"

#include "util/cleanup.h"
#include "util/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct question {
    pid_t pid;
    int answer_fd;
    char *answer;
    size_t size, length; /* of the answer, without its terminator */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* What the program finds on its descriptors; all others close on exec. */
static int set_descriptors(posix_spawn_file_actions_t *actions, int output)
{
    int code = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
    return code;
}

/* Returns 0 or an errno. */
static int spawn(struct question *question, const char *program, char *const arguments[],
                 char *const environment[], int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code;

    signal(SIGCHLD, SIG_DFL); /* whoever ignores it is not told how the program ended */
    if ((code = posix_spawn_file_actions_init(&actions)) != 0)
        return code;
    if ((code = posix_spawnattr_init(&attributes)) == 0) {
        if ((code = set_descriptors(&actions, output)) == 0 &&
            (code = mw_spawn_attributes(&attributes, POSIX_SPAWN_SETPGROUP)) == 0)
            code = posix_spawnp(&question->pid, program, &actions, &attributes, arguments,
                                environment ? environment : environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/* Takes what there is to read without waiting. False at the end, or where there is no more room. */
static bool read_on(struct question *question)
{
    size_t room = question->size - 1 - question->length;
    ssize_t length = read(question->answer_fd, question->answer + question->length, room);

    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    question->length += (size_t)length;
    return length > 0;
}

/* Reads until the program has ended, its group may go on. Returns 0 or an errno. */
static int listen_to(struct question *question, int pidfd, int timeout_ms)
{
    int64_t deadline_ms = now_ms() + timeout_ms;
    bool open = true;

    for (;;) {
        struct pollfd wait[] = {{.fd = pidfd, .events = POLLIN},
                                {.fd = open ? question->answer_fd : -1, .events = POLLIN}};
        int64_t left_ms = deadline_ms - now_ms();

        if (left_ms <= 0)
            return ETIMEDOUT;
        if (poll(wait, 2, (int)left_ms) < 0 && errno != EINTR)
            return errno;
        if (wait[1].revents)
            open = read_on(question);
        if (question->length == question->size - 1)
            return EMSGSIZE;
        /* What it wrote last is in the pipe. */
        if (wait[0].revents && !(wait[1].revents && open))
            return 0;
    }
}

/* The first line that says something. */
static const char *first_line(char *answer)
{
    char *line = answer + strspn(answer, " \t\r\n");

    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static int judge(struct question *question, int code, int status, int timeout_ms,
                 struct mw_error *error)
{
    const char *line;

    if (code == ETIMEDOUT)
        return mw_error_set(error, -ETIMEDOUT, "no answer within %d s", timeout_ms / 1000);
    if (code == EMSGSIZE)
        return mw_error_set(error, -EMSGSIZE, "it says far more than it was asked");
    if (code != 0)
        return mw_error_errno(error, code, "cannot wait for its answer");
    if (status == 0)
        return 0;
    if (WIFSIGNALED(status))
        return mw_error_set(error, -EIO, "killed by signal %d (%s)", WTERMSIG(status),
                            strsignal(WTERMSIG(status)));
    line = first_line(question->answer);
    return mw_error_set(error, -EIO, "exit status %d%s%s", WEXITSTATUS(status), *line ? ": " : "",
                        line);
}

/* Waits for the end of the program, or ends it. Returns 0 or a negative errno. */
static int hear(struct question *question, int timeout_ms, struct mw_error *error)
{
    mw_auto_fd int pidfd = pidfd_open(question->pid, 0);
    int code = pidfd < 0 ? errno : listen_to(question, pidfd, timeout_ms);
    int status = 0;

    /* Until it is waited for, its group cannot be anybody else's. */
    kill(-question->pid, SIGKILL);
    while (waitpid(question->pid, &status, 0) < 0 && errno == EINTR)
        ;
    question->answer[question->length] = '\0';
    return judge(question, code, status, timeout_ms, error);
}

int mw_ask(const char *program, char *const arguments[], char *const environment[], int timeout_ms,
           char *answer, size_t size, struct mw_error *error)
{
    struct question question = {.answer = answer, .size = size};
    mw_auto_fd int from = -1;
    mw_auto_fd int to = -1;
    int ends[2], code;

    answer[0] = '\0';
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return mw_error_errno(error, errno, "cannot be asked");
    from = ends[0];
    /* Above those that the program gets, so that setting these cannot overwrite it. */
    to = fcntl(ends[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    code = to < 0 ? errno : 0;
    close(ends[1]);
    /* The program's end must wait as any other does. */
    if (code != 0 || fcntl(to, F_SETFL, 0) < 0)
        return mw_error_errno(error, code ? code : errno, "cannot be asked");
    question.answer_fd = from;
    code = spawn(&question, program, arguments, environment, to);
    if (code == ENOENT)
        return mw_error_set(error, -ENOENT, "not found");
    if (code != 0)
        return mw_error_errno(error, code, "cannot be executed");
    close(mw_take_fd(&to)); /* so that the program's end ends the answer */
    return hear(&question, timeout_ms, error);
}

char *mw_ask_find(const char *answer, const char *word, char *buffer, size_t size)
{
    size_t length = strlen(word);

    for (const char *line = answer; *line;) {
        size_t end = strcspn(line, "\n");

        if (end > length && strncmp(line, word, length) == 0 && line[length] == ' ') {
            const char *from = line + length + strspn(line + length, " ");
            size_t rest = end - (size_t)(from - line);

            while (rest > 0 && isspace((unsigned char)from[rest - 1]))
                rest--;
            if (rest >= size)
                return NULL;
            memcpy(buffer, from, rest);
            buffer[rest] = '\0';
            return buffer;
        }
        line += end + (line[end] == '\n');
    }
    return NULL;
}
