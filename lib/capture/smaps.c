#include "capture/smaps.h"

#include "util/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What glibc maps at once for the heaps of an arena, on 64 bits. */
static const uint64_t arena_size = UINT64_C(64) << 20;
/* What a thread gets that asks for no other, and what a guard hardly exceeds. */
static const uint64_t default_stack_size = UINT64_C(8) << 20, largest_guard = 64 << 10;

static const char deleted[] = " (deleted)";

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* Cuts the end off a text, if it has it. */
static bool cut_end(char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    if (length < end_length || strcmp(text + length - end_length, end) != 0)
        return false;
    text[length - end_length] = '\0';
    return true;
}

/* Leaves of a name what stands between its begin and its end, if it has both. */
static bool unwrap(char *name, const char *begin, const char *end)
{
    size_t begin_length = strlen(begin);

    if (!begins_with(name, begin) || strlen(name) < begin_length + strlen(end) ||
        !cut_end(name, end))
        return false;
    memmove(name, name + begin_length, strlen(name + begin_length) + 1);
    return true;
}

/* Empties a name, if it is this one, of which the kind says all. */
static bool drop_name(char *name, const char *wanted)
{
    if (strcmp(name, wanted) != 0)
        return false;
    *name = '\0';
    return true;
}

/* --- kinds ------------------------------------------------------------------------------------ */

static bool is_private_anonymous(const struct mw_mapping *mapping)
{
    return mapping->end > mapping->start && *mapping->name == '\0' && !mapping->shared;
}

static bool is_out_of_bounds(const struct mw_mapping *mapping)
{
    return is_private_anonymous(mapping) && !mapping->accessible;
}

static bool is_arena(const struct mw_mapping *mapping, const struct mw_mapping *above)
{
    uint64_t used = mapping->end % arena_size;
    uint64_t rest = used ? arena_size - used : 0;

    if (!mapping->writable || !mapping->no_reserve || mapping->start % arena_size != 0)
        return false;
    return rest == 0 || (is_out_of_bounds(above) && above->no_reserve &&
                         above->start == mapping->end && above->end - above->start >= rest);
}

static bool is_thread_stack(const struct mw_mapping *below, const struct mw_mapping *mapping)
{
    if (!mapping->writable || !is_out_of_bounds(below) || below->end != mapping->start ||
        below->end - below->start > largest_guard)
        return false;
    return mapping->no_huge_pages || mapping->end - mapping->start == default_stack_size;
}

/* Of a mapping to which the program gave a name (PR_SET_VMA). glibc does so when it is told to. */
static enum mw_mapping_kind kind_of_named(char *name)
{
    if (drop_name(name, " glibc: malloc arena"))
        return MW_MAPPING_ARENA;
    if (begins_with(name, " glibc: pthread")) {
        *name = '\0'; /* each has the number of its thread */
        return MW_MAPPING_THREAD_STACK;
    }
    return MW_MAPPING_ANONYMOUS;
}

/* Of a mapping that the kernel gives a name in brackets, which is left out where the kind says it.
 */
static enum mw_mapping_kind kind_of_bracketed(char *name)
{
    if (drop_name(name, "[heap]"))
        return MW_MAPPING_HEAP;
    if (drop_name(name, "[stack]"))
        return MW_MAPPING_STACK;
    if (unwrap(name, "[anon:", "]"))
        return kind_of_named(name);
    return unwrap(name, "[anon_shmem:", "]") ? MW_MAPPING_SHARED : MW_MAPPING_OTHER;
}

/* Shortens the name to what a person would know it by. */
static enum mw_mapping_kind kind_of_path(char *name)
{
    if (unwrap(name, "/memfd:", deleted))
        return MW_MAPPING_MEMFD;
    if (drop_name(name, "/dev/zero (deleted)"))
        return MW_MAPPING_SHARED; /* mapped anonymously */
    if (begins_with(name, "/SYSV") && cut_end(name, deleted))
        return MW_MAPPING_SHARED;
    if (begins_with(name, "/dev/shm/"))
        return MW_MAPPING_SHARED;
    return *name == '/' ? MW_MAPPING_FILE : MW_MAPPING_OTHER;
}

/* Sets the kind of the mapping in the middle, and what its name then is. */
static void classify(struct mw_smaps *smaps, struct mw_mapping *mapping)
{
    if (mapping->hugetlb) {
        if (!drop_name(mapping->name, "/anon_hugepage (deleted)"))
            kind_of_path(mapping->name);
        mapping->kind = MW_MAPPING_HUGE;
    } else if (*mapping->name == '[')
        mapping->kind = kind_of_bracketed(mapping->name);
    else if (*mapping->name != '\0')
        mapping->kind = kind_of_path(mapping->name);
    else if (is_arena(mapping, &smaps->above))
        mapping->kind = MW_MAPPING_ARENA;
    else if (is_thread_stack(&smaps->below, mapping))
        mapping->kind = MW_MAPPING_THREAD_STACK;
    else
        mapping->kind = MW_MAPPING_ANONYMOUS;
}

/* Gives the mapping in the middle, if there is one, and makes room for the next. */
static void advance(struct mw_smaps *smaps, mw_mapping_fn *give, void *context)
{
    struct mw_mapping mapping = smaps->current;

    if (mapping.end > mapping.start) {
        classify(smaps, &mapping);
        give(context, &mapping);
    }
    smaps->below = smaps->current;
    smaps->current = smaps->above;
    smaps->above = (struct mw_mapping){0};
}

/* --- lines ------------------------------------------------------------------------------------ */

static void copy_name(char copy[static MW_MAPPING_NAME_SIZE], const char *name)
{
    static const char cut[] = "...";
    size_t length = strlen(name);

    if (length >= MW_MAPPING_NAME_SIZE) {
        memcpy(copy, cut, sizeof cut - 1);
        copy += sizeof cut - 1;
        name += length - (MW_MAPPING_NAME_SIZE - sizeof cut);
        length = MW_MAPPING_NAME_SIZE - sizeof cut;
    }
    memcpy(copy, name, length + 1);
}

/* "START-END rwxp OFFSET DEVICE INODE     NAME", with numbers in base 16. */
static bool take_header(const char *line, struct mw_mapping *ret_mapping)
{
    struct mw_mapping mapping = {0};
    char *at;

    mapping.start = strtoull(line, &at, 16);
    if (*at != '-')
        return false;
    mapping.end = strtoull(at + 1, &at, 16);
    if (*at++ != ' ' || mapping.end <= mapping.start || strcspn(at, " ") != 4)
        return false;
    mapping.accessible = memcmp(at, "---", 3) != 0;
    mapping.writable = at[1] == 'w';
    mapping.shared = at[3] == 's';
    for (int field = 0; field < 4; field++) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    copy_name(mapping.name, at);
    *ret_mapping = mapping;
    return true;
}

static void take_flags(const char *flags, struct mw_mapping *mapping)
{
    mapping->no_reserve = strstr(flags, " nr");
    mapping->no_huge_pages = strstr(flags, " nh");
    mapping->hugetlb = strstr(flags, " ht");
}

/* "KEY:     NUMBER kB", of which only some matter. */
static void take_field(const char *line, struct mw_mapping *mapping)
{
    const struct {
        const char *key;
        uint64_t *kib;
    } fields[] = {
        {"Rss:", &mapping->resident_kib},
        {"Shared_Hugetlb:", &mapping->resident_kib},
        {"Private_Hugetlb:", &mapping->resident_kib},
        {"Anonymous:", &mapping->anonymous_kib},
        {"Swap:", &mapping->swapped_kib},
    };

    for (size_t i = 0; i < MW_COUNT(fields); i++) {
        if (begins_with(line, fields[i].key))
            *fields[i].kib += strtoull(line + strlen(fields[i].key), NULL, 10);
    }
    if (begins_with(line, "VmFlags:"))
        take_flags(line, mapping);
}

/* What begins with a small letter or a digit is a header, the rest are fields. */
static int take_line(struct mw_smaps *smaps, mw_mapping_fn *give, void *context)
{
    struct mw_mapping mapping;

    if (*smaps->line >= 'A' && *smaps->line <= 'Z') {
        if (smaps->above.end == 0)
            return -EBADMSG;
        take_field(smaps->line, &smaps->above);
        return 0;
    }
    if (!take_header(smaps->line, &mapping))
        return -EBADMSG;
    advance(smaps, give, context);
    smaps->above = mapping;
    return 0;
}

int mw_smaps_feed(struct mw_smaps *smaps, const char *text, size_t length, mw_mapping_fn *give,
                  void *context)
{
    int code = 0;

    for (const char *end = text + length; code == 0 && text < end;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t part = (size_t)((newline ? newline : end) - text);
        size_t room = sizeof smaps->line - 1 - smaps->length;

        memcpy(smaps->line + smaps->length, text, part < room ? part : room);
        smaps->length += part < room ? part : room;
        text += part + (newline ? 1 : 0);
        if (newline) {
            smaps->line[smaps->length] = '\0';
            smaps->length = 0;
            code = take_line(smaps, give, context);
        }
    }
    return code;
}

void mw_smaps_end(struct mw_smaps *smaps, mw_mapping_fn *give, void *context)
{
    advance(smaps, give, context);
    advance(smaps, give, context);
}
