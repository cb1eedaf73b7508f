#include "capture/procfs.h"

#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A place in a text; every function below moves it forward and stays inside. */
struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *cursor, char expected)
{
    if (cursor->at == cursor->end || *cursor->at != expected)
        return false;
    cursor->at++;
    return true;
}

static bool take_number(struct cursor *cursor, uint64_t *ret_number)
{
    const char *start = cursor->at;
    uint64_t number = 0;

    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*cursor->at - '0'), &number))
            return false;
    }
    *ret_number = number;
    return cursor->at > start;
}

static bool take_pid(struct cursor *cursor, pid_t *ret_pid)
{
    uint64_t number;

    if (!take_number(cursor, &number) || number > INT32_MAX)
        return false;
    *ret_pid = (pid_t)number;
    return true;
}

int mw_procfs_parse_statm(const char *text, size_t length, struct mw_statm *ret_statm)
{
    struct cursor cursor = {text, text + length};
    struct mw_statm statm;

    if (!take_number(&cursor, &statm.size_pages) || !take(&cursor, ' ') ||
        !take_number(&cursor, &statm.resident_pages) || !take(&cursor, ' ') ||
        !take_number(&cursor, &statm.shared_pages) || !take(&cursor, ' '))
        return -EBADMSG;
    *ret_statm = statm;
    return 0;
}

/* Of the flags in stat: the kernel's PF_EXITING. */
enum { EXITING = 4 };

/* Skips fields of any kind, each with the blank behind it. */
static bool skip_fields(struct cursor *cursor, int count)
{
    for (; count > 0; count--) {
        const char *blank = memchr(cursor->at, ' ', (size_t)(cursor->end - cursor->at));

        if (!blank)
            return false;
        cursor->at = blank + 1;
    }
    return true;
}

int mw_procfs_parse_stat(const char *text, size_t length, struct mw_stat *ret_stat)
{
    struct cursor cursor = {text, text + length};
    /* The name may hold blanks and parentheses itself: it ends at the last one. */
    const char *close = memrchr(text, ')', length);
    struct mw_stat stat = {.wait_status = -1};
    uint64_t flags, wait_status;
    size_t name_length;

    if (!close || !take_pid(&cursor, &stat.pid) || !take(&cursor, ' ') || !take(&cursor, '(') ||
        close < cursor.at)
        return -EBADMSG;
    name_length = (size_t)(close - cursor.at);
    if (name_length >= sizeof stat.name || memchr(cursor.at, '\0', name_length))
        return -EBADMSG;
    memcpy(stat.name, cursor.at, name_length);
    cursor.at = close + 1;
    if (!take(&cursor, ' ') || cursor.at == cursor.end)
        return -EBADMSG;
    stat.state = *cursor.at++;
    if (!take(&cursor, ' ') || !take_pid(&cursor, &stat.ppid) || !take(&cursor, ' ') ||
        !skip_fields(&cursor, 4) || !take_number(&cursor, &flags) || !take(&cursor, ' ') ||
        !skip_fields(&cursor, 10) || !take_number(&cursor, &stat.threads) || !take(&cursor, ' ') ||
        !skip_fields(&cursor, 1) || !take_number(&cursor, &stat.start_ticks) || !take(&cursor, ' '))
        return -EBADMSG;
    stat.exiting = flags & EXITING;
    if (!skip_fields(&cursor, 5) || !take_number(&cursor, &stat.stack_start) || !take(&cursor, ' '))
        stat.stack_start = 0;
    if (skip_fields(&cursor, 23) && take_number(&cursor, &wait_status) && wait_status <= UINT16_MAX)
        stat.wait_status = (int)wait_status;
    *ret_stat = stat;
    return 0;
}

int mw_procfs_next_pid(const char *text, size_t length, size_t *offset, pid_t *ret_pid)
{
    struct cursor cursor = {text + *offset, text + length};
    pid_t pid;

    if (cursor.at == cursor.end)
        return 0;
    if (!take_pid(&cursor, &pid) || !take(&cursor, ' '))
        return -EBADMSG;
    *offset = (size_t)(cursor.at - text);
    *ret_pid = pid;
    return 1;
}

/* Takes the number of a field, which is elsewhere than in the first line. */
static bool take_field(struct cursor *cursor, const char *field, uint64_t *ret_number)
{
    char key[32];
    int key_length = snprintf(key, sizeof key, "\n%s:", field);
    const char *line =
        memmem(cursor->at, (size_t)(cursor->end - cursor->at), key, (size_t)key_length);

    if (!line)
        return false;
    cursor->at = line + key_length;
    while (take(cursor, ' ') || take(cursor, '\t'))
        ;
    return take_number(cursor, ret_number);
}

int mw_procfs_parse_number(const char *text, size_t length, const char *field, uint64_t *ret_number)
{
    struct cursor cursor = {text, text + length};
    uint64_t number;

    if (!take_field(&cursor, field, &number) || !take(&cursor, '\n'))
        return -EBADMSG;
    *ret_number = number;
    return 0;
}

int mw_procfs_parse_kib(const char *text, size_t length, const char *field, uint64_t *ret_kib)
{
    struct cursor cursor = {text, text + length};
    uint64_t kib;

    if (!take_field(&cursor, field, &kib) || !take(&cursor, ' ') || !take(&cursor, 'k') ||
        !take(&cursor, 'B'))
        return -EBADMSG;
    *ret_kib = kib;
    return 0;
}

int mw_procfs_parse_limit(const char *text, size_t length, const char *name, int64_t *ret_bytes)
{
    static const char unlimited[] = "unlimited";
    struct cursor cursor = {text, text + length};
    char key[32];
    int key_length = snprintf(key, sizeof key, "\n%s ", name);
    const char *line = memmem(text, length, key, (size_t)key_length);
    uint64_t bytes;

    if (!line)
        return -EBADMSG;
    cursor.at = line + key_length;
    while (take(&cursor, ' '))
        ;
    if ((size_t)(cursor.end - cursor.at) > strlen(unlimited) &&
        strncmp(cursor.at, unlimited, strlen(unlimited)) == 0) {
        *ret_bytes = -1;
        return 0;
    }
    if (!take_number(&cursor, &bytes) || !take(&cursor, ' '))
        return -EBADMSG;
    *ret_bytes = bytes > INT64_MAX ? -1 : (int64_t)bytes;
    return 0;
}

int mw_procfs_open(pid_t pid, const char *name, int flags)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int mw_procfs_open_kept(pid_t pid, const char *name, int flags)
{
    enum { SPARE = 16 };
    struct rlimit limit;
    int fd = mw_procfs_open(pid, name, flags);

    if (fd >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + SPARE >= limit.rlim_cur) {
        close(fd);
        return -EMFILE;
    }
    return fd;
}

int mw_procfs_read_statm(int fd, struct mw_statm *ret_statm)
{
    char text[128];
    ssize_t length = pread(fd, text, sizeof text, 0);

    if (length < 0)
        return -errno;
    return mw_procfs_parse_statm(text, (size_t)length, ret_statm);
}

ssize_t mw_procfs_read(pid_t pid, const char *name, char *buffer, size_t size)
{
    mw_auto_fd int fd = mw_procfs_open(pid, name, O_RDONLY);
    ssize_t length;

    if (fd < 0)
        return fd;
    length = read(fd, buffer, size);
    return length < 0 ? -errno : length;
}

int mw_procfs_read_stat(pid_t pid, struct mw_stat *ret_stat)
{
    char text[1024];
    ssize_t length = mw_procfs_read(pid, "stat", text, sizeof text);

    return length < 0 ? (int)length : mw_procfs_parse_stat(text, (size_t)length, ret_stat);
}

bool mw_procfs_is_hidden(pid_t pid)
{
    return kill(pid, 0) == 0 || errno == EPERM;
}

int mw_procfs_read_wait_status(pid_t pid)
{
    struct mw_stat stat;

    /* To those who may not see it the kernel shows a status of 0. */
    if (mw_procfs_read_stat(pid, &stat) < 0 || stat.state != 'Z' || kill(pid, 0) < 0)
        return -1;
    return stat.wait_status;
}

int mw_procfs_read_high_water(pid_t pid, uint64_t *ret_kib)
{
    char text[MW_PROCFS_STATUS_SIZE];
    ssize_t length = mw_procfs_read(pid, "status", text, sizeof text);

    return length < 0 ? (int)length : mw_procfs_parse_kib(text, (size_t)length, "VmHWM", ret_kib);
}

/* Reads /proc/PID/cmdline up to a limit, and a terminator behind it. */
static int read_command_line(pid_t pid, char **ret_bytes, size_t *ret_length)
{
    enum { FIRST = 512, LIMIT = 128 * 1024 };
    mw_auto_fd int fd = mw_procfs_open(pid, "cmdline", O_RDONLY);
    mw_auto_free char *bytes = NULL;
    size_t size = 0, length = 0;

    if (fd < 0)
        return fd;
    while (length == size && size < LIMIT) {
        size_t larger = size ? size * 4 : FIRST;
        char *grown = realloc(bytes, larger + 1);
        ssize_t got;

        if (!grown)
            return -ENOMEM;
        bytes = grown;
        got = pread(fd, bytes + size, larger - size, (off_t)size);
        if (got < 0)
            return -errno;
        length = size + (size_t)got;
        size = larger;
    }
    bytes[length] = '\0';
    *ret_bytes = MW_TAKE(bytes);
    *ret_length = length;
    return 0;
}

/* Points the arguments into the bytes: each ends with NUL, the last may lack it. */
static int split_arguments(struct mw_image *image, size_t length, bool all_arguments)
{
    enum { MOST_EMPTY_ARGUMENTS = 4 };
    const char *end = image->bytes + length, *at = image->bytes;
    size_t count = 0, tail;

    while (end > image->bytes && end[-1] == '\0')
        end--;
    if (end == image->bytes)
        return 0;
    /*
     * NULs at the end are empty arguments, but for the last; or they are the tail of a process that
     * renamed itself, which leaves a single string, and mostly a long tail.
     */
    tail = (size_t)(image->bytes + length - end);
    if (tail > 1 && (tail <= MOST_EMPTY_ARGUMENTS + 1 ||
                     memchr(image->bytes, '\0', (size_t)(end - image->bytes))))
        end += tail - 1;
    do {
        count++;
        at += strlen(at) + 1;
    } while (at <= end && all_arguments);
    image->arguments = calloc(count, sizeof *image->arguments);
    if (!image->arguments)
        return -ENOMEM;
    for (char *word = image->bytes; image->argument_count < count; word += strlen(word) + 1)
        image->arguments[image->argument_count++] = word;
    return 0;
}

int mw_procfs_read_image(pid_t pid, bool all_arguments, struct mw_image **ret_image)
{
    struct mw_image *image;
    struct mw_stat stat;
    size_t length = 0;
    int code = mw_procfs_read_stat(pid, &stat);

    if (code < 0)
        return code;
    image = calloc(1, sizeof *image);
    if (!image)
        return -ENOMEM;
    memcpy(image->name, stat.name, sizeof image->name);
    if ((code = read_command_line(pid, &image->bytes, &length)) < 0 ||
        (code = split_arguments(image, length, all_arguments)) < 0) {
        mw_image_free(image);
        return code;
    }
    *ret_image = image;
    return 0;
}

void mw_image_free(struct mw_image *image)
{
    if (!image)
        return;
    free(image->arguments);
    free(image->bytes);
    free(image);
}

/* FNV-1a over the text and its terminator. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    } while (*text++);
    return hash;
}

uint64_t mw_image_hash(const struct mw_image *image)
{
    uint64_t hash = hash_text(UINT64_C(0xCBF29CE484222325), image->name);

    for (size_t i = 0; i < image->argument_count; i++)
        hash = hash_text(hash, image->arguments[i]);
    return hash ? hash : 1;
}
