#include "capture/find.h"

#include "capture/cgroup.h"
#include "capture/clock.h"
#include "capture/procfs.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* As many bytes of a command line are compared and shown. */
enum { COMMAND_SIZE = 65536 };

struct list {
    struct mw_found *items;
    size_t count, room;
};

static int add(struct list *list, pid_t pid, uint64_t start_ticks, struct mw_error *error)
{
    if (!mw_array_reserve(&list->items, list->count, &list->room, sizeof *list->items))
        return mw_error_errno(error, ENOMEM, "cannot look for processes");
    list->items[list->count++] = (struct mw_found){pid, start_ticks};
    return 0;
}

char *mw_find_command(pid_t pid, size_t *ret_length)
{
    mw_auto_free char *text = malloc(COMMAND_SIZE);
    ssize_t length = text ? mw_procfs_read(pid, "cmdline", text, COMMAND_SIZE - 1) : -ENOMEM;

    if (length < 0)
        return NULL;
    text[length] = '\0';
    *ret_length = (size_t)length;
    return MW_TAKE(text);
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_last_part(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, name) == 0;
}

/*
 * Whether a process goes by that name: as the kernel calls it, as its program is called, or as the
 * script is called that an interpreter runs.
 */
static bool goes_by(pid_t pid, const struct mw_stat *stat, const char *name)
{
    mw_auto_free char *command = NULL;
    const char *second;
    size_t length;

    if (strcmp(stat->name, name) == 0)
        return true;
    command = mw_find_command(pid, &length);
    if (!command || length == 0)
        return false;
    if (is_last_part(command, name))
        return true;
    second = command + strlen(command) + 1;
    return second < command + length && *second != '-' && is_last_part(second, name);
}

static bool has_command(pid_t pid, const struct mw_wanted *wanted)
{
    size_t length;
    mw_auto_free char *command = mw_find_command(pid, &length);

    return command && length == wanted->command_length &&
           memcmp(command, wanted->command, length) == 0;
}

/* A process of the list in /proc. */
typedef bool process_fn(void *context, pid_t pid, const struct mw_stat *stat);

/* Goes through all processes but this one, until take returns false. */
static void each_process(process_fn *take, void *context)
{
    mw_auto_folder DIR *folder = opendir("/proc");
    struct dirent *entry;
    struct mw_stat stat;

    while (folder && (entry = readdir(folder))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for what is no process */

        if (pid > 0 && pid != getpid() && mw_procfs_read_stat(pid, &stat) == 0 &&
            stat.state != 'Z' && !take(context, pid, &stat))
            return;
    }
}

struct search {
    const struct mw_wanted *wanted;
    struct list found;
    struct mw_error *error;
    int code;
};

static bool take_if_wanted(void *context, pid_t pid, const struct mw_stat *stat)
{
    struct search *search = context;
    const struct mw_wanted *wanted = search->wanted;
    bool is_wanted = wanted->kind == MW_WANTED_COMMAND
                         ? stat->start_ticks >= wanted->since_ticks && has_command(pid, wanted)
                         : goes_by(pid, stat, wanted->text);

    if (is_wanted)
        search->code = add(&search->found, pid, stat->start_ticks, search->error);
    return search->code == 0;
}

struct likeness {
    const char *name;
    char *found;
};

static bool take_if_similar(void *context, pid_t pid, const struct mw_stat *stat)
{
    struct likeness *likeness = context;
    mw_auto_free char *name =
        strcasestr(stat->name, likeness->name) ? mw_text_printable(stat->name) : NULL;

    if (name && asprintf(&likeness->found, "%s (%d)", name, (int)pid) < 0)
        likeness->found = NULL;
    return likeness->found == NULL;
}

char *mw_find_similar(const char *name)
{
    struct likeness likeness = {.name = name};

    each_process(take_if_similar, &likeness);
    return likeness.found;
}

/* --- pids ------------------------------------------------------------------------------------- */

/* A thread can be asked for in /proc as well, where nobody lists it. */
static int check_process(pid_t pid, struct mw_error *error)
{
    char text[MW_PROCFS_STATUS_SIZE];
    ssize_t length = mw_procfs_read(pid, "status", text, sizeof text);
    uint64_t process = (uint64_t)pid, size_kib;

    if (length > 0)
        mw_procfs_parse_number(text, (size_t)length, "Tgid", &process);
    if (process != (uint64_t)pid)
        return mw_error_set(error, -ESRCH, "%d is a thread of process %d", (int)pid, (int)process);
    if (length > 0 && mw_procfs_parse_kib(text, (size_t)length, "VmSize", &size_kib) < 0)
        return mw_error_set(error, -ESRCH, "process %d is a part of the kernel: it has no memory",
                            (int)pid);
    return 0;
}

static int find_pid(struct list *list, pid_t pid, struct mw_error *error)
{
    struct mw_stat stat;

    if (mw_procfs_read_stat(pid, &stat) < 0) {
        if (mw_procfs_is_hidden(pid))
            return mw_error_set(error, -EACCES,
                                "process %d belongs to another user and /proc is mounted with "
                                "hidepid: run memwatch as that user or as root",
                                (int)pid);
        return mw_error_set(error, -ESRCH, "there is no process %d", (int)pid);
    }
    if (stat.state == 'Z')
        return mw_error_set(error, -ESRCH, "process %d has ended already", (int)pid);
    if (check_process(pid, error) < 0)
        return error ? error->code : -ESRCH;
    return add(list, pid, stat.start_ticks, error);
}

static int find_in_pidfile(struct list *list, const char *path, struct mw_error *error)
{
    mw_auto_file FILE *file = fopen(path, "re");
    char line[64] = "";
    int64_t pid;

    if (!file)
        return mw_error_errno(error, errno, "cannot read %s", path);
    if (!fgets(line, sizeof line, file))
        return mw_error_set(error, -ESRCH, "%s is empty: it should hold the number of a process",
                            path);
    line[strcspn(line, " \t\r\n")] = '\0';
    if (mw_parse_count(line, 1, INT_MAX, &pid, error) < 0)
        return mw_error_set(error, -EINVAL, "%s holds no number of a process", path);
    return find_pid(list, (pid_t)pid, error);
}

/* --- cgroups ---------------------------------------------------------------------------------- */

static bool is_cgroup(const char *folder)
{
    mw_auto_free char *list = NULL;

    if (asprintf(&list, "%s/cgroup.procs", folder) < 0) {
        list = NULL;
        return false;
    }
    return access(list, F_OK) == 0;
}

static char *read_mountinfo(void)
{
    mw_auto_file FILE *file = fopen("/proc/self/mountinfo", "re");
    char *text = NULL;
    size_t size = 0;

    if (file && getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* A cgroup in one of the hierarchies; NULL where it has none of that name. */
static char *folder_in(const struct mw_cgroup_mount *mount, const char *path)
{
    char *folder;

    if (!mount->folder ||
        asprintf(&folder, "%s%s%s", mount->folder, *path == '/' ? "" : "/", path) < 0)
        return NULL;
    if (is_cgroup(folder))
        return folder;
    free(folder);
    return NULL;
}

/* The hierarchy itself, where the path is that of the folder in which those of version 1 lie. */
static char *hierarchy_in(const struct mw_cgroup_mount *mount, const char *path)
{
    mw_auto_free char *real = realpath(path, NULL);
    const char *name = mount->folder ? strrchr(mount->folder, '/') : NULL;
    size_t length = name ? (size_t)(name - mount->folder) : 0;

    if (!real || length == 0 || strlen(real) != length || memcmp(real, mount->folder, length) != 0)
        return NULL;
    return strdup(mount->folder);
}

/* The folder of a cgroup that is named by that, or by its path in the hierarchy; to be freed. */
static char *find_cgroup(const char *path)
{
    struct mw_cgroup_mounts mounts = {0};
    mw_auto_free char *mountinfo = NULL;
    char *folder;

    if (is_cgroup(path))
        return strdup(path);
    mountinfo = read_mountinfo();
    if (!mountinfo || mw_cgroup_find_mounts(mountinfo, &mounts) < 0)
        return NULL;
    folder = folder_in(&mounts.v2, path);
    if (!folder)
        folder = folder_in(&mounts.v1, path);
    if (!folder)
        folder = hierarchy_in(&mounts.v1, path);
    mw_cgroup_clear_mounts(&mounts);
    return folder;
}

static int find_in_cgroup(struct list *list, const char *path, struct mw_error *error)
{
    mw_auto_free char *folder = find_cgroup(path);
    mw_auto_free pid_t *pids = NULL;
    ssize_t count, room = 0;
    int code = 0;

    if (!folder)
        return mw_error_set(error, -ENOENT, "there is no cgroup %s", path);
    while ((count = mw_cgroup_read_processes(folder, pids, (size_t)room)) > room) {
        pid_t *larger = reallocarray(pids, (size_t)count, sizeof *pids);

        if (!larger)
            return mw_error_errno(error, ENOMEM, "cannot look for processes");
        pids = larger;
        room = count;
    }
    for (ssize_t i = 0; i < count && code == 0; i++) {
        struct mw_stat stat;

        if (pids[i] > 0 && pids[i] != getpid() && mw_procfs_read_stat(pids[i], &stat) == 0 &&
            stat.state != 'Z')
            code = add(list, pids[i], stat.start_ticks, error);
    }
    return code;
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool is_among(const struct list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].pid == pid)
            return true;
    }
    return false;
}

/* Whether a process is below another one of them. */
static bool is_below(const struct list *list, pid_t pid)
{
    struct mw_stat stat;

    while (mw_procfs_read_stat(pid, &stat) == 0 && stat.ppid > 0) {
        pid = stat.ppid;
        if (is_among(list, pid))
            return true;
    }
    return false;
}

static int compare_starts(const void *a, const void *b)
{
    const struct mw_found *first = a, *second = b;

    if (first->start_ticks != second->start_ticks)
        return first->start_ticks < second->start_ticks ? -1 : 1;
    return (first->pid > second->pid) - (first->pid < second->pid);
}

/* Leaves those at the top of their trees, each once, the oldest first. */
static void keep_topmost(struct list *list)
{
    struct list kept = {.items = list->items};

    qsort(list->items, list->count, sizeof *list->items, compare_starts);
    for (size_t i = 0; i < list->count; i++) {
        struct mw_found root = list->items[i];

        /* Those kept so far stand in front, and all others behind are still as they were. */
        if (!is_below(list, root.pid) && !is_among(&kept, root.pid))
            kept.items[kept.count++] = root;
    }
    list->count = kept.count;
}

static int find_wanted(struct search *search)
{
    const struct mw_wanted *wanted = search->wanted;
    int code = 0;

    switch (wanted->kind) {
    case MW_WANTED_PIDS:
        for (size_t i = 0; i < wanted->pid_count && code == 0; i++)
            code = find_pid(&search->found, wanted->pids[i], search->error);
        return code;
    case MW_WANTED_NAME:
    case MW_WANTED_COMMAND:
        each_process(take_if_wanted, search);
        return search->code;
    case MW_WANTED_PIDFILE:
        return find_in_pidfile(&search->found, wanted->text, search->error);
    case MW_WANTED_CGROUP:
        return find_in_cgroup(&search->found, wanted->text, search->error);
    }
    return 0;
}

int mw_find_processes(const struct mw_wanted *wanted, struct mw_found **ret_found,
                      size_t *ret_count, struct mw_error *error)
{
    struct search search = {.wanted = wanted, .error = error};
    int code = find_wanted(&search);

    if (code < 0) {
        free(search.found.items);
        return code;
    }
    if (search.found.count > 1)
        keep_topmost(&search.found);
    *ret_found = search.found.items; /* NULL while it is empty */
    *ret_count = search.found.count;
    return 0;
}

char **mw_find_arguments(pid_t pid)
{
    size_t length, count = 0;
    mw_auto_free char *command = mw_find_command(pid, &length);
    char **arguments, *text;

    if (!command)
        return NULL;
    /* What renames itself leaves its old arguments empty. */
    while (length > 1 && command[length - 2] == '\0')
        length--;
    for (size_t i = 0; i < length; i += strlen(command + i) + 1)
        count++;
    arguments = malloc((count + 1) * sizeof *arguments + length + 1);
    if (!arguments)
        return NULL;
    text = memcpy((char *)(arguments + count + 1), command, length + 1);
    for (size_t i = 0; i < count; i++, text += strlen(text) + 1)
        arguments[i] = text;
    arguments[count] = NULL;
    return arguments;
}

int64_t mw_find_memory(pid_t pid)
{
    mw_auto_fd int fd = mw_procfs_open(pid, "statm", O_RDONLY);
    struct mw_statm statm;

    if (fd < 0 || mw_procfs_read_statm(fd, &statm) < 0)
        return -1;
    return (int64_t)statm.resident_pages * sysconf(_SC_PAGESIZE);
}

static int64_t tick_ns(void)
{
    return 1000000000 / sysconf(_SC_CLK_TCK);
}

uint64_t mw_find_ticks(void)
{
    return (uint64_t)(mw_clock_ns(CLOCK_BOOTTIME) / tick_ns());
}

int64_t mw_find_age_ns(const struct mw_found *found)
{
    return mw_clock_ns(CLOCK_BOOTTIME) - (int64_t)found->start_ticks * tick_ns();
}

char *mw_find_owner(pid_t pid)
{
    char path[40], buffer[1024];
    struct stat status;
    struct passwd user, *found = NULL;
    char *owner;

    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (stat(path, &status) < 0)
        return strdup("another user");
    if (getpwuid_r(status.st_uid, &user, buffer, sizeof buffer, &found) == 0 && found)
        return strdup(found->pw_name);
    return asprintf(&owner, "user %u", status.st_uid) < 0 ? NULL : owner;
}

static bool may_open(pid_t pid, const char *name, int flags)
{
    mw_auto_fd int fd = mw_procfs_open(pid, name, flags);

    return fd != -EACCES && fd != -EPERM;
}

static bool may_signal(pid_t pid)
{
    mw_auto_fd int fd = pidfd_open(pid, 0);

    return fd < 0 || pidfd_send_signal(fd, 0, NULL, 0) == 0 || errno != EPERM;
}

bool mw_find_allows(pid_t pid, enum mw_right right)
{
    switch (right) {
    case MW_RIGHT_ROLLUP:
        return may_open(pid, "smaps_rollup", O_RDONLY);
    case MW_RIGHT_RESET:
        return may_open(pid, "clear_refs", O_WRONLY);
    case MW_RIGHT_SIGNAL:
        return may_signal(pid);
    }
    return false;
}
