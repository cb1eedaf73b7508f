#include "cmd/python.h"

#include "capture/launch.h"
#include "cmd/marking.h"
#include "util/array.h"
#include "util/ask.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Who has more than this looks for another one by hand. */
enum { MOST_PYTHONS = 32, TIMEOUT_MS = 3000 };

static const char first_name[] = "python3";

/* "python3" or "python3.12", not "python3-config" or "python3.7m". */
static int is_python_name(const struct dirent *entry)
{
    const char *rest = entry->d_name + strlen(first_name);

    if (strncmp(entry->d_name, first_name, strlen(first_name)) != 0)
        return 0;
    if (*rest == '\0')
        return 1;
    return rest[0] == '.' && rest[1] && rest[1 + strspn(rest + 1, "0123456789")] == '\0';
}

/*
 * Whether both are the same Python. Links to a program that is none, as version managers have them,
 * tell by their own names which Python is meant.
 */
static bool is_same(const char *path, const char *other)
{
    mw_auto_free char *real = realpath(path, NULL);
    mw_auto_free char *other_real = realpath(other, NULL);

    if (!real || !other_real || strcmp(real, other_real) != 0)
        return false;
    return strcmp(strrchr(path, '/'), strrchr(other, '/')) == 0 ||
           strncmp(strrchr(real, '/') + 1, first_name, strlen(first_name)) == 0;
}

/* Takes the path over. 0, or -ENOMEM. */
static int add(struct pythons *pythons, char *path, bool runs_scripts)
{
    bool known = pythons->count == MOST_PYTHONS;

    for (size_t i = 0; !known && i < pythons->count; i++)
        known = is_same(pythons->list[i].path, path);
    if (known) {
        free(path);
        return 0;
    }
    if (!mw_array_reserve(&pythons->list, pythons->count, &pythons->room, sizeof *pythons->list)) {
        free(path);
        return -ENOMEM;
    }
    pythons->list[pythons->count++] = (struct python){.path = path, .runs_scripts = runs_scripts};
    return 0;
}

static int add_named(struct pythons *pythons, const char *folder, const char *name)
{
    mw_auto_free char *path = NULL;

    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return -ENOMEM;
    return access(path, X_OK) == 0 ? add(pythons, MW_TAKE(path), false) : 0;
}

/* A folder that cannot be read has none. */
static int add_folder(struct pythons *pythons, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_python_name, versionsort), code = 0;

    if (count < 0)
        return errno == ENOMEM ? -ENOMEM : 0;
    for (int i = 0; i < count; i++) {
        if (code == 0)
            code = add_named(pythons, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return code;
}

static int add_all(struct pythons *pythons)
{
    const char *folders = getenv("PATH");
    mw_auto_free char *copy = strdup(folders ? folders : "/usr/local/bin:/usr/bin:/bin");
    char *rest = copy, *chosen, *folder;
    int code = copy ? 0 : -ENOMEM;

    if (code == 0 && mw_launch_find(first_name, &chosen, NULL) == 0)
        code = add(pythons, chosen, true);
    while (code == 0 && (folder = strsep(&rest, ":")))
        code = add_folder(pythons, *folder ? folder : "."); /* an empty one is the current folder */
    return code;
}

/* Also whether it loads what `profile` needs, from the folder that is its argument. */
static char question[] = "import sys\n"
                         "print('\\nmemwatch-python', sys.implementation.name)\n"
                         "print('memwatch-version', sys.version.split()[0])\n"
                         "try:\n"
                         "    sys.path.insert(0, sys.argv[1])\n"
                         "    from _memwatch.functions import obstacle\n"
                         "    print('memwatch-profile', obstacle or 'yes')\n"
                         "except Exception as error:\n"
                         "    print('memwatch-profile', str(error).replace('\\n', ' '))\n";

static void ask(struct python *python, char *folder)
{
    static char options[] = "-ISB", command[] = "-c";
    char *const arguments[] = {python->path, options, command, question, folder, NULL};
    char answer[4096];

    if (mw_ask(python->path, arguments, NULL, TIMEOUT_MS, answer, sizeof answer, &python->failure) <
        0)
        return;
    if (!mw_ask_find(answer, "memwatch-python", python->implementation,
                     sizeof python->implementation) ||
        !mw_ask_find(answer, "memwatch-version", python->version, sizeof python->version)) {
        mw_error_set(&python->failure, -EBADMSG, "it does not answer as a Python does");
        return;
    }
    mw_ask_find(answer, "memwatch-profile", python->obstacle, sizeof python->obstacle);
    python->has_profile = strcmp(python->obstacle, "yes") == 0;
}

static bool is_shim_of_pyenv(const char *path)
{
    mw_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[1024];
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (length < 2 || memcmp(text, "#!", 2) != 0)
        return false;
    text[length] = '\0';
    return strstr(text, "pyenv") != NULL;
}

int pythons_find(struct pythons *ret_pythons, struct mw_error *error)
{
    mw_auto_free char *folder = marking_python_folder();
    struct pythons pythons = {0};
    char none[] = "";

    if (add_all(&pythons) < 0) {
        pythons_clear(&pythons);
        return mw_error_errno(error, ENOMEM, "cannot look for Pythons");
    }
    for (size_t i = 0; i < pythons.count; i++) {
        pythons.list[i].is_shim = is_shim_of_pyenv(pythons.list[i].path);
        ask(&pythons.list[i], folder ? folder : none);
    }
    *ret_pythons = pythons;
    return 0;
}

void pythons_clear(struct pythons *pythons)
{
    for (size_t i = 0; i < pythons->count; i++)
        free(pythons->list[i].path);
    free(pythons->list);
    *pythons = (struct pythons){0};
}
