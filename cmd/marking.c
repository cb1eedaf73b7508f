#include "cmd/marking.h"

#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- the environment ---------------------------------------------------------------------------
 */

/* From the folder of the program: as installed, and as built. */
static const char *const python_folders[] = {"../lib/memwatch/python", "../lib/python"};

char *marking_python_folder(void)
{
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

    if (length < 0)
        return NULL;
    program[length] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < MW_COUNT(python_folders); i++) {
        mw_auto_free char *folder = NULL, *module = NULL;

        if (asprintf(&folder, "%s/%s", program, python_folders[i]) < 0 ||
            asprintf(&module, "%s/sitecustomize.py", folder) < 0)
            return NULL;
        if (access(module, R_OK) == 0)
            return realpath(folder, NULL);
    }
    return NULL;
}

/* Every Python of the tree looks into our folder first, and so finds `profile`. */
static int prepare_python(struct mw_error *error)
{
    const char *before = getenv("PYTHONPATH");
    mw_auto_free char *folder = marking_python_folder();
    mw_auto_free char *path = NULL;

    if (!folder)
        return 0;
    if (asprintf(&path, "%s%s%s", folder, before && *before ? ":" : "", before ? before : "") < 0 ||
        setenv("PYTHONPATH", path, 1) < 0)
        return mw_error_errno(error, ENOMEM, "PYTHONPATH");
    return 0;
}

int marking_prepare(const char *marks_path, const struct marking_patterns *patterns,
                    struct mw_error *error)
{
    unsetenv("MEMWATCH_MARKS");
    unsetenv("MEMWATCH_TRACE");
    if (!marks_path)
        return 0;
    if (setenv("MEMWATCH_MARKS", marks_path, 1) < 0)
        return mw_error_errno(error, ENOMEM, "MEMWATCH_MARKS");
    if (patterns->list && setenv("MEMWATCH_TRACE", patterns->list, 1) < 0)
        return mw_error_errno(error, ENOMEM, "MEMWATCH_TRACE");
    return prepare_python(error);
}

/* --- patterns --------------------------------------------------------------------------------- */

int marking_add_pattern(struct marking_patterns *patterns, const char *pattern,
                        struct mw_error *error)
{
    char *list;

    if (!*pattern || strchr(pattern, '\n'))
        return mw_error_set(error, -EINVAL, "'%s' is no pattern of function names", pattern);
    if (asprintf(&list, "%s%s%s", patterns->list ? patterns->list : "", patterns->list ? "\n" : "",
                 pattern) < 0)
        return mw_error_errno(error, ENOMEM, "%s", pattern);
    free(patterns->list);
    patterns->list = list;
    return 0;
}

void marking_clear_patterns(struct marking_patterns *patterns)
{
    free(patterns->list);
    *patterns = (struct marking_patterns){0};
}

bool marking_pattern_fits(const char *pattern, const char *name)
{
    bool is_of_script = strncmp(name, "__main__.", strlen("__main__.")) == 0;
    mw_auto_free char *parted = NULL;
    bool fits = false;

    if (!strchr(pattern, ':'))
        return fnmatch(pattern, name, FNM_NOESCAPE) == 0;
    parted = strdup(name);
    for (char *dot = parted; !fits && dot && (dot = strchr(dot, '.')); dot++) {
        *dot = ':';
        fits = fnmatch(pattern, parted, FNM_NOESCAPE) == 0;
        *dot = '.';
        if (is_of_script)
            break;
    }
    return fits;
}

/* --- options of Python ------------------------------------------------------------------------ */

static bool is_python(const char *path)
{
    const char *name = strrchr(path, '/');

    return strncmp(name ? name + 1 : path, "python", strlen("python")) == 0;
}

/* The first of -I, -E and -S among the options of a Python: they end at its script. */
static const char *find_isolation(char *const *words)
{
    static const char *const isolating[] = {"-I", "-E", "-S"};

    for (; *words && (*words)[0] == '-' && (*words)[1] && (*words)[1] != '-'; words++) {
        for (const char *letter = *words + 1; *letter; letter++) {
            for (size_t i = 0; i < MW_COUNT(isolating); i++) {
                if (*letter == isolating[i][1])
                    return isolating[i];
            }
            if (strchr("cm", *letter))
                return NULL; /* what follows is the program's */
            if (strchr("WX", *letter)) {
                words += !letter[1] && words[1]; /* their value is a word of its own */
                break;
            }
        }
    }
    return NULL;
}

/* Splits a "#!" line, "/usr/bin/env -S" aside; false where the file has none. */
static bool read_interpreter(const char *path, char *line, size_t size, char **words, size_t count)
{
    mw_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, line, size - 1);
    size_t used = 0;

    if (length < 2 || line[0] != '#' || line[1] != '!')
        return false;
    line[length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    for (char *rest = line + 2, *word; used + 1 < count && (word = strsep(&rest, " \t"));) {
        bool is_env = used == 0 && strcmp(word, "/usr/bin/env") == 0;

        if (*word && !is_env && !(used == 0 && strcmp(word, "-S") == 0))
            words[used++] = word;
    }
    words[used] = NULL;
    return used > 0;
}

const char *marking_obstacle(const char *path, char *const *command)
{
    char line[256], *words[16];

    if (is_python(command[0]))
        return find_isolation(command + 1);
    if (read_interpreter(path, line, sizeof line, words, MW_COUNT(words)) && is_python(words[0]))
        return find_isolation(words + 1);
    return NULL;
}
