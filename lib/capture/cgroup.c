#include "capture/cgroup.h"

#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- mounts ----------------------------------------------------------------------------------- */

/* A byte that is written as "\040" stands at that place. */
static bool is_escaped(const char *text)
{
    return text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && strspn(text + 1, "01234567") >= 3;
}

/* A field of mountinfo, in which blanks and the like are escaped. NULL when memory ran out. */
static char *decode(const char *text, size_t length)
{
    char *decoded = strndup(text, length), *end = decoded;

    for (const char *at = decoded; at && *at; end++) {
        if (is_escaped(at)) {
            *end = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 4;
        } else {
            *end = *at++;
        }
    }
    if (end)
        *end = '\0';
    return decoded;
}

/* A field of a line, counted from 0; its length is 0 where there is none. */
static const char *field(const char *line, size_t number, size_t *ret_length)
{
    for (;; number--) {
        line += strspn(line, " ");
        *ret_length = strcspn(line, " \n");
        if (number == 0 || *ret_length == 0)
            return line;
        line += *ret_length;
    }
}

/* Whether "memory" is among words with commas between them. */
static bool names_memory(const char *words, size_t length)
{
    while (length > 0) {
        size_t word = strcspn(words, ", \n");

        if (word > length)
            word = length;
        if (word == strlen("memory") && strncmp(words, "memory", word) == 0)
            return true;
        if (word == length)
            break;
        words += word + 1;
        length -= word + 1;
    }
    return false;
}

static int set_mount(struct mw_cgroup_mount *mount, const char *line)
{
    size_t root_length, folder_length;
    const char *root = field(line, 3, &root_length), *folder = field(line, 4, &folder_length);

    if (mount->folder) /* the same hierarchy may be seen in several places */
        return 0;
    mount->root = decode(root, root_length);
    mount->folder = decode(folder, folder_length);
    return mount->root && mount->folder ? 0 : -ENOMEM;
}

int mw_cgroup_find_mounts(const char *mountinfo, struct mw_cgroup_mounts *ret_mounts)
{
    struct mw_cgroup_mounts mounts = {0};
    int code = 0;

    for (const char *line = mountinfo; *line && code == 0;) {
        const char *end = strchrnul(line, '\n');
        const char *source = memmem(line, (size_t)(end - line), " - ", 3);
        size_t type_length = 0, options_length = 0;
        const char *type = source ? field(source + 3, 0, &type_length) : "";
        const char *options = source ? field(source + 3, 2, &options_length) : "";

        if (type_length == strlen("cgroup2") && strncmp(type, "cgroup2", type_length) == 0)
            code = set_mount(&mounts.v2, line);
        else if (type_length == strlen("cgroup") && strncmp(type, "cgroup", type_length) == 0 &&
                 names_memory(options, options_length))
            code = set_mount(&mounts.v1, line);
        line = *end ? end + 1 : end;
    }
    if (code < 0)
        mw_cgroup_clear_mounts(&mounts);
    else
        *ret_mounts = mounts;
    return code;
}

void mw_cgroup_clear_mounts(struct mw_cgroup_mounts *mounts)
{
    free(mounts->v1.folder);
    free(mounts->v1.root);
    free(mounts->v2.folder);
    free(mounts->v2.root);
    *mounts = (struct mw_cgroup_mounts){0};
}

/* --- the cgroups of a process ------------------------------------------------------------------
 */

/* The path of a process in the hierarchy of a line "4:memory:/a/b", or NULL where it is another. */
static const char *path_in(const char *line, bool v2)
{
    const char *controllers = strchr(line, ':'), *path;

    if (!controllers || !(path = strchr(++controllers, ':')))
        return NULL;
    if (v2)
        return strncmp(line, "0::", 3) == 0 ? path + 1 : NULL;
    return names_memory(controllers, (size_t)(path - controllers)) ? path + 1 : NULL;
}

/* Its own path, to be freed; NULL where it has none in that hierarchy, or memory ran out. */
static char *find_path(const char *membership, bool v2)
{
    for (const char *line = membership; *line;) {
        const char *path = path_in(line, v2), *end = strchrnul(line, '\n');

        if (path && path <= end)
            return strndup(path, (size_t)(end - path));
        line = *end ? end + 1 : end;
    }
    return NULL;
}

/* What of a path lies below the mount's root: "" for the root itself; NULL where it is outside. */
static const char *below(const struct mw_cgroup_mount *mount, const char *path)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);

    if (strncmp(path, mount->root, length) != 0 || strstr(path, "/.."))
        return NULL;
    path += length;
    if (strcmp(path, "/") == 0)
        return "";
    return *path == '/' || *path == '\0' ? path : NULL;
}

static int add_cgroup(struct mw_cgroup **cgroups, size_t *count, size_t *room,
                      const struct mw_cgroup_mount *mount, const char *inside, bool v2)
{
    struct mw_cgroup cgroup = {.v2 = v2};
    const char *root = strcmp(mount->root, "/") == 0 ? "" : mount->root;

    if (!mw_array_reserve(cgroups, *count, room, sizeof **cgroups))
        return -ENOMEM;
    if (asprintf(&cgroup.path, "%s%s", root, *inside || *root ? inside : "/") < 0)
        return -ENOMEM;
    if (asprintf(&cgroup.folder, "%s%s", mount->folder, inside) < 0) {
        free(cgroup.path);
        return -ENOMEM;
    }
    (*cgroups)[(*count)++] = cgroup;
    return 0;
}

int mw_cgroup_chain(const struct mw_cgroup_mounts *mounts, const char *membership,
                    struct mw_cgroup **ret_cgroups, size_t *ret_count)
{
    mw_auto_free char *own = mounts->v1.folder ? find_path(membership, false) : NULL;
    bool v2 = !own && mounts->v2.folder;
    const struct mw_cgroup_mount *mount = v2 ? &mounts->v2 : &mounts->v1;
    mw_auto_free char *inside = NULL;
    struct mw_cgroup *cgroups = NULL;
    size_t count = 0, room = 0;
    int code = 0;

    *ret_cgroups = NULL;
    *ret_count = 0;
    if (v2)
        own = find_path(membership, true);
    if (!own || !below(mount, own))
        return 0;
    inside = strdup(below(mount, own));
    if (!inside)
        return -ENOMEM;
    while ((code = add_cgroup(&cgroups, &count, &room, mount, inside, v2)) == 0 && *inside)
        *strrchr(inside, '/') = '\0';
    if (code < 0) {
        mw_cgroup_free_chain(cgroups, count);
        return code;
    }
    *ret_cgroups = cgroups;
    *ret_count = count;
    return 0;
}

void mw_cgroup_free_chain(struct mw_cgroup *cgroups, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mw_cgroup_clear(&cgroups[i]);
    free(cgroups);
}

void mw_cgroup_clear(struct mw_cgroup *cgroup)
{
    free(cgroup->path);
    free(cgroup->folder);
    *cgroup = (struct mw_cgroup){0};
}

/* --- of a process ------------------------------------------------------------------------------
 */

/* A whole file, however long; to be freed. */
static char *read_whole(const char *path)
{
    mw_auto_file FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;

    if (!file || getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

int mw_cgroup_read_mounts(struct mw_cgroup_mounts *ret_mounts)
{
    mw_auto_free char *mountinfo = read_whole("/proc/self/mountinfo");

    *ret_mounts = (struct mw_cgroup_mounts){0};
    return mountinfo ? mw_cgroup_find_mounts(mountinfo, ret_mounts) : 0;
}

struct mw_cgroup *mw_cgroup_read_chain(const struct mw_cgroup_mounts *mounts, pid_t pid,
                                       size_t *ret_count)
{
    char path[40];
    mw_auto_free char *membership = NULL;
    struct mw_cgroup *chain = NULL;

    *ret_count = 0;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    membership = read_whole(path);
    if (!membership || mw_cgroup_chain(mounts, membership, &chain, ret_count) < 0)
        return NULL;
    return chain;
}

/* --- files -------------------------------------------------------------------------------------
 */

/* Reads a small file; its length, or a negative errno. */
static ssize_t read_text(const char *folder, const char *name, char *buffer, size_t size)
{
    mw_auto_free char *path = NULL;
    mw_auto_fd int fd = -1;
    ssize_t length;

    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -1 : read(fd, buffer, size - 1);
    if (length < 0)
        return -errno;
    buffer[length] = '\0';
    return length;
}

/* Version 1 has no word for "no limit" but the largest number of pages. */
static const int64_t least_no_limit = INT64_MAX / 65536 * 65536 - 65536;

static int64_t parse_limit(const char *text)
{
    char *end;
    long long bytes = strtoll(text, &end, 10);

    if (end == text || (*end != '\n' && *end != '\0') || bytes < 0 || bytes >= least_no_limit)
        return -1; /* "max" */
    return bytes;
}

size_t mw_cgroup_read_limits(const struct mw_cgroup *cgroup,
                             struct mw_cgroup_limit ret_limits[static MW_CGROUP_LIMITS])
{
    static const char *const names[2][MW_CGROUP_LIMITS] = {
        {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", NULL},
        {"memory.max", "memory.high", "memory.swap.max"},
    };
    size_t count = 0;

    for (size_t i = 0; i < MW_CGROUP_LIMITS && names[cgroup->v2][i]; i++) {
        char text[64];

        if (read_text(cgroup->folder, names[cgroup->v2][i], text, sizeof text) > 0)
            ret_limits[count++] = (struct mw_cgroup_limit){names[cgroup->v2][i], parse_limit(text)};
    }
    return count;
}

/* The number behind a word at the beginning of a line; -1 where there is none. */
static int64_t find_number(const char *text, const char *word)
{
    size_t length = strlen(word);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, length) == 0 && line[length] == ' ')
            return strtoll(line + length, NULL, 10);
    }
    return -1;
}

int64_t mw_cgroup_read_oom_kills(const struct mw_cgroup *cgroup)
{
    char text[1024];

    if (read_text(cgroup->folder, cgroup->v2 ? "memory.events" : "memory.oom_control", text,
                  sizeof text) < 0)
        return -1;
    return find_number(text, "oom_kill");
}

int64_t mw_cgroup_read_all_oom_kills(void)
{
    char text[16384];

    return read_text("/proc", "vmstat", text, sizeof text) < 0 ? -1 : find_number(text, "oom_kill");
}

/* Adds those of one cgroup; how many there are by now. */
static ssize_t read_own_processes(const char *folder, pid_t *pids, size_t count, size_t room)
{
    mw_auto_free char *path = NULL;
    mw_auto_file FILE *file = NULL;
    char line[32];

    if (asprintf(&path, "%s/cgroup.procs", folder) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    file = fopen(path, "re");
    if (!file)
        return -errno;
    for (; fgets(line, sizeof line, file); count++) {
        if (count < room)
            pids[count] = (pid_t)strtol(line, NULL, 10);
    }
    return (ssize_t)count;
}

/* Deeper than that nobody nests them; the kernel's own limit may be higher. */
enum { DEEPEST = 32 };

static ssize_t read_processes(const char *folder, pid_t *pids, size_t count, size_t room,
                              size_t depth)
{
    ssize_t total = read_own_processes(folder, pids, count, room);
    mw_auto_folder DIR *children = total < 0 || depth == DEEPEST ? NULL : opendir(folder);
    struct dirent *entry;

    while (children && (entry = readdir(children))) {
        mw_auto_free char *child = NULL;
        ssize_t more;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        if (asprintf(&child, "%s/%s", folder, entry->d_name) < 0) {
            child = NULL;
            return -ENOMEM;
        }
        more = read_processes(child, pids, (size_t)total, room, depth + 1);
        if (more >= 0) /* else it has just been removed */
            total = more;
    }
    return total;
}

ssize_t mw_cgroup_read_processes(const char *folder, pid_t *ret_pids, size_t room)
{
    return read_processes(folder, ret_pids, 0, room, 0);
}
