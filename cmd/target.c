#include "cmd/target.h"

#include "capture/launch.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* Whether the kernel itself can execute the file at path: it is marked so, and says by what. */
static bool runs_by_itself(const char *path)
{
    char start[2] = "";
    mw_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

    return access(path, X_OK) == 0 && fd >= 0 && read(fd, start, 2) == 2 &&
           memcmp(start, "#!", 2) == 0;
}

/* A script in the current folder is meant by its bare name, as with `python script.py`. */
static bool is_python_script(const char *program)
{
    return ends_with(program, ".py") && access(program, F_OK) == 0;
}

/* Puts up to three words in front of others. */
static char **prepend(const char *const front[3], char **words)
{
    size_t count = 0, used = 0;
    char **joined;

    while (words[count])
        count++;
    joined = calloc(count + 4, sizeof *joined);
    if (!joined)
        return NULL;
    for (size_t i = 0; i < 3 && front[i]; i++)
        joined[used++] = (char *)(uintptr_t)front[i];
    memcpy(joined + used, words, count * sizeof *words);
    return joined;
}

int target_find(struct target *ret_target, const char *module, const char *python, char **words,
                struct mw_error *error)
{
    const char *program = words[0];
    const char *front[3] = {NULL};
    struct target target = {0};
    mw_auto_free char *here = NULL;
    int code;

    if (module) {
        front[0] = python ? python : "python3";
        front[1] = "-m";
        front[2] = module;
    } else if (python || (is_python_script(program) && !runs_by_itself(program))) {
        front[0] = python ? python : "python3";
    } else if (is_python_script(program) && !strchr(program, '/')) {
        if (asprintf(&here, "./%s", program) < 0)
            return mw_error_errno(error, ENOMEM, "%s", program);
    }
    code = mw_launch_find(front[0] ? front[0] : here ? here : program, &target.path, error);
    if (code < 0)
        return code;
    target.arguments = prepend(front, words);
    if (!target.arguments) {
        target_clear(&target);
        return mw_error_errno(error, ENOMEM, "%s", program);
    }
    *ret_target = target;
    return 0;
}

void target_clear(struct target *target)
{
    free(target->path);
    free(target->arguments);
    *target = (struct target){0};
}
