/* The parsers of /proc: the first byte chooses one, the others are the file. */
#include "capture/cgroup.h"
#include "capture/procfs.h"
#include "capture/smaps.h"
#include "fuzz.h"

#include <errno.h>

static void check_statm(const char *text, size_t length)
{
    struct mw_statm statm = {7, 8, 9};
    int code = mw_procfs_parse_statm(text, length, &statm);

    FUZZ_CHECK(code == 0 || code == -EBADMSG);
    FUZZ_CHECK(code == 0 ||
               (statm.size_pages == 7 && statm.resident_pages == 8 && statm.shared_pages == 9));
    FUZZ_CHECK(code != 0 || (length >= 6 && text[0] >= '0' && text[0] <= '9'));
}

static void check_stat(const char *text, size_t length)
{
    struct mw_stat stat, before;
    int code;

    memset(&before, 0x5A, sizeof before);
    stat = before;
    code = mw_procfs_parse_stat(text, length, &stat);
    FUZZ_CHECK(code == 0 || code == -EBADMSG);
    FUZZ_CHECK(code == 0 || memcmp(&stat, &before, sizeof stat) == 0);
    if (code == 0) {
        FUZZ_CHECK(stat.pid >= 0 && stat.ppid >= 0);
        FUZZ_CHECK(memchr(stat.name, '\0', sizeof stat.name));
        FUZZ_CHECK(memmem(text, length, stat.name, strlen(stat.name)));
    }
}

static void check_children(const char *text, size_t length)
{
    size_t offset = 0;

    for (;;) {
        size_t before = offset;
        pid_t pid = -7;
        int code = mw_procfs_next_pid(text, length, &offset, &pid);

        FUZZ_CHECK(code == 1 || code == 0 || code == -EBADMSG);
        FUZZ_CHECK(offset <= length);
        if (code != 1) {
            FUZZ_CHECK(pid == -7 && offset == before);
            FUZZ_CHECK(code != 0 || offset == length);
            return;
        }
        FUZZ_CHECK(pid >= 0 && offset > before);
    }
}

static void check_pss(const char *text, size_t length)
{
    uint64_t kib = 7;
    int code = mw_procfs_parse_kib(text, length, "Pss", &kib);

    FUZZ_CHECK(code == 0 || (code == -EBADMSG && kib == 7));
    FUZZ_CHECK(code != 0 || memmem(text, length, "\nPss:", 5));
}

static void check_limit(const char *text, size_t length)
{
    int64_t bytes = -7;
    int code = mw_procfs_parse_limit(text, length, "Max data size", &bytes);

    FUZZ_CHECK(code == 0 ? bytes >= -1 : code == -EBADMSG && bytes == -7);
    FUZZ_CHECK(code != 0 || memmem(text, length, "Max data size", 13));
}

/* The same text as the mounts and as what a process is in: its lines may be of either. */
static void check_cgroups(const char *text, size_t length)
{
    char *copy = strndup(text, length);
    struct mw_cgroup_mounts mounts = {0};
    struct mw_cgroup *chain = NULL;
    size_t count = 0;

    if (!copy)
        abort();
    FUZZ_CHECK(mw_cgroup_find_mounts(copy, &mounts) == 0);
    FUZZ_CHECK(mw_cgroup_chain(&mounts, copy, &chain, &count) == 0);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(chain[i].path && chain[i].folder);
    mw_cgroup_free_chain(chain, count);
    mw_cgroup_clear_mounts(&mounts);
    free(copy);
}

static void check_mapping(void *context, const struct mw_mapping *mapping)
{
    FUZZ_CHECK(mapping->start < mapping->end && mapping->kind < MW_MAPPING_KIND_COUNT);
    FUZZ_CHECK(memchr(mapping->name, '\0', sizeof mapping->name));
    ++*(size_t *)context;
}

/* The mappings of a text are the same in whatever pieces it comes. */
static void check_smaps(const char *text, size_t length)
{
    size_t counts[2] = {0};
    int codes[2];

    for (size_t i = 0; i < 2; i++) {
        struct mw_smaps smaps = {0};
        size_t piece = i ? 7 : length;

        codes[i] = 0;
        for (size_t at = 0; codes[i] == 0 && at < length; at += piece)
            codes[i] = mw_smaps_feed(&smaps, text + at, at + piece < length ? piece : length - at,
                                     check_mapping, &counts[i]);
        FUZZ_CHECK(codes[i] == 0 || codes[i] == -EBADMSG);
        mw_smaps_end(&smaps, check_mapping, &counts[i]);
    }
    FUZZ_CHECK(codes[0] == codes[1] && counts[0] == counts[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(const char *, size_t) = {check_statm, check_stat,  check_children,
                                                           check_pss,   check_limit, check_cgroups,
                                                           check_smaps};
    size_t length = size ? size - 1 : 0;
    char *text;

    if (size == 0)
        return 0;
    /* A copy of its own length, without a terminator: nothing may be read behind it. */
    text = malloc(length ? length : 1);
    if (!text)
        abort();
    memcpy(text, data + 1, length);
    checks[data[0] % 7](text, length);
    free(text);
    return 0;
}
