/* The text of /proc/PID/smaps: which mapping is of which kind, and what its name is. */
#include "capture/smaps.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };

struct given {
    size_t count;
    struct mw_mapping mapping[MOST];
};

static void keep(void *context, const struct mw_mapping *mapping)
{
    struct given *given = context;

    assert_in_range(given->count, 0, MOST - 1);
    given->mapping[given->count++] = *mapping;
}

/* Feeds a text in pieces of a size. */
static int feed(const char *text, size_t piece, struct given *ret_given)
{
    struct mw_smaps *smaps = calloc(1, sizeof *smaps);
    size_t length = strlen(text);
    int code = 0;

    *ret_given = (struct given){0};
    assert_non_null(smaps);
    for (size_t at = 0; code == 0 && at < length; at += piece)
        code = mw_smaps_feed(smaps, text + at, at + piece < length ? piece : length - at, keep,
                             ret_given);
    if (code == 0)
        mw_smaps_end(smaps, keep, ret_given);
    free(smaps);
    return code;
}

static struct given given_by(const char *text)
{
    struct given given;

    assert_int_equal(feed(text, strlen(text), &given), 0);
    return given;
}

static const char libc_and_stack[] =
    "7f0e06f21000-7f0e06f47000 r--p 00000000 fe:00 332835    /usr/lib/libc.so.6\n"
    "Size:                152 kB\n"
    "KernelPageSize:        4 kB\n"
    "Rss:                 152 kB\n"
    "Pss:                  77 kB\n"
    "Private_Dirty:         8 kB\n"
    "Anonymous:            16 kB\n"
    "Swap:                 12 kB\n"
    "SwapPss:              99 kB\n"
    "THPeligible:           0\n"
    "VmFlags: rd mr mw me \n"
    "7ffec145a000-7ffec147b000 rw-p 00000000 00:00 0                          [stack]\n"
    "Rss:                  20 kB\n"
    "Anonymous:            20 kB\n"
    "Swap:                  0 kB\n"
    "VmFlags: rd wr mr mw me gd ac \n";

static void check_libc_and_stack(const struct given *given)
{
    const struct mw_mapping *libc = &given->mapping[0], *stack = &given->mapping[1];

    assert_int_equal(given->count, 2);
    assert_int_equal(libc->kind, MW_MAPPING_FILE);
    assert_string_equal(libc->name, "/usr/lib/libc.so.6");
    assert_true(libc->start == 0x7f0e06f21000 && libc->end == 0x7f0e06f47000);
    assert_int_equal(libc->resident_kib, 152);
    assert_int_equal(libc->anonymous_kib, 16);
    assert_int_equal(libc->swapped_kib, 12);
    assert_true(libc->accessible && !libc->writable && !libc->shared);
    assert_int_equal(stack->kind, MW_MAPPING_STACK);
    assert_string_equal(stack->name, "");
    assert_int_equal(stack->resident_kib, 20);
    assert_true(stack->writable);
}

static void test_a_mapping_comes_with_its_memory_in_whatever_pieces_the_text_comes(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < sizeof libc_and_stack; piece++) {
        struct given given;

        assert_int_equal(feed(libc_and_stack, piece, &given), 0);
        check_libc_and_stack(&given);
    }
    assert_int_equal(given_by("").count, 0);
}

/* A mapping with a name, on a line of its own. */
static struct mw_mapping named(const char *letters, const char *name, const char *flags)
{
    struct given given;
    char *text;

    assert_true(asprintf(&text,
                         "00400000-00401000 %s 00000000 00:00 5    %s\nRss: 4 kB\nVmFlags: %s\n",
                         letters, name, flags) > 0);
    given = given_by(text);
    free(text);
    assert_int_equal(given.count, 1);
    return given.mapping[0];
}

static void test_names_tell_the_kind(void **state)
{
    static const struct {
        const char *text, *name;
        enum mw_mapping_kind kind;
    } cases[] = {
        {"[heap]", "", MW_MAPPING_HEAP},
        {"[stack]", "", MW_MAPPING_STACK},
        {"[vdso]", "[vdso]", MW_MAPPING_OTHER},
        {"[heap] ", "[heap] ", MW_MAPPING_OTHER},
        {"[anon:v8]", "v8", MW_MAPPING_ANONYMOUS},
        {"[anon:]", "", MW_MAPPING_ANONYMOUS},
        {"[anon: glibc: malloc arena]", "", MW_MAPPING_ARENA},
        {"[anon: glibc: pthread stack: 4711]", "", MW_MAPPING_THREAD_STACK},
        {"[anon: glibc: malloc]", " glibc: malloc", MW_MAPPING_ANONYMOUS},
        {"[anon_shmem:pool]", "pool", MW_MAPPING_SHARED},
        {"/memfd:a b (deleted)", "a b", MW_MAPPING_MEMFD},
        {"/memfd: (deleted)", "", MW_MAPPING_MEMFD},
        {"/dev/zero (deleted)", "", MW_MAPPING_SHARED},
        {"/dev/zero2 (deleted)", "/dev/zero2 (deleted)", MW_MAPPING_FILE},
        {"/dev/shm/sem.x", "/dev/shm/sem.x", MW_MAPPING_SHARED},
        {"/SYSV0000002a (deleted)", "/SYSV0000002a", MW_MAPPING_SHARED},
        {"/SYSV", "/SYSV", MW_MAPPING_FILE},
        {"/tmp/x (deleted)", "/tmp/x (deleted)", MW_MAPPING_FILE},
        {"/tmp/Rss: 99 kB", "/tmp/Rss: 99 kB", MW_MAPPING_FILE},
        {"/tmp/a\\012Rss: 99 kB", "/tmp/a\\012Rss: 99 kB", MW_MAPPING_FILE},
        {"/tmp/\x1b[31m\xff  [heap]", "/tmp/\x1b[31m\xff  [heap]", MW_MAPPING_FILE},
        {"anon_inode:[io_uring]", "anon_inode:[io_uring]", MW_MAPPING_OTHER},
        {"socket:[123]", "socket:[123]", MW_MAPPING_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++) {
        struct mw_mapping mapping = named("rw-p", cases[i].text, "rd wr");

        assert_string_equal(mapping.name, cases[i].name);
        assert_int_equal(mapping.kind, cases[i].kind);
        assert_int_equal(mapping.resident_kib, 4);
    }
}

static void test_huge_pages_are_known_by_their_flag(void **state)
{
    static const char *const names[][2] = {{"/anon_hugepage (deleted)", ""},
                                           {"/memfd:pool (deleted)", "pool"},
                                           {"/dev/hugepages/x", "/dev/hugepages/x"}};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(names); i++) {
        struct given given;
        char *text;

        assert_true(asprintf(&text,
                             "7f0000000000-7f0000400000 rw-p 00000000 00:0f 1 %s\n"
                             "Rss:                   0 kB\n"
                             "Shared_Hugetlb:     1024 kB\n"
                             "Private_Hugetlb:    2048 kB\n"
                             "VmFlags: rd wr mr mw me de ht \n",
                             names[i][0]) > 0);
        given = given_by(text);
        free(text);
        assert_int_equal(given.count, 1);
        assert_int_equal(given.mapping[0].kind, MW_MAPPING_HUGE);
        assert_string_equal(given.mapping[0].name, names[i][1]);
        assert_int_equal(given.mapping[0].resident_kib, 3072);
    }
}

static void test_of_a_long_name_the_end_is_kept(void **state)
{
    static char name[4000], line[20000];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[0] = '/';
    memcpy(name + sizeof name - 7, "/y.log", 6);
    assert_string_equal(named("rw-p", name, "").name + MW_MAPPING_NAME_SIZE - 8, "x/y.log");
    assert_int_equal(strlen(named("rw-p", name, "").name), MW_MAPPING_NAME_SIZE - 1);
    memset(line, 'z', sizeof line - 1); /* longer than any path */
    line[0] = '/';
    assert_int_equal(strlen(named("rw-p", line, "").name), MW_MAPPING_NAME_SIZE - 1);
    assert_int_equal(named("rw-p", line, "").resident_kib, 4);
}

/* Anonymous mappings without names: "START-END LETTERS FLAGS", from which the text is made. */
static struct given anonymous(const char *const *mappings, size_t count)
{
    char text[4096];
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        int range = (int)strcspn(mappings[i], " ");

        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%.*s %.4s 00000000 00:00 0 \nRss: 4 kB\nVmFlags: %s \n", range,
                                 mappings[i], mappings[i] + range + 1, mappings[i] + range + 5);
    }
    return given_by(text);
}

/* The kind of the mapping that lies between two others, which may be NULL. */
static enum mw_mapping_kind kind_between(const char *below, const char *mapping, const char *above)
{
    const char *all[3];
    size_t count = 0, place = below ? 1 : 0;
    struct given given;

    if (below)
        all[count++] = below;
    all[count++] = mapping;
    if (above)
        all[count++] = above;
    given = anonymous(all, count);
    assert_int_equal(given.count, count);
    return given.mapping[place].kind;
}

static void test_an_arena_is_known_by_its_place_and_its_rest(void **state)
{
    static const char arena[] = "7fb1f8000000-7fb1f8021000 rw-p rd wr mr mw me nr";
    static const char rest[] = "7fb1f8021000-7fb1fc000000 ---p mr mw me nr";
    static const struct {
        const char *below, *mapping, *above;
        enum mw_mapping_kind kind;
    } cases[] = {
        {NULL, arena, rest, MW_MAPPING_ARENA},
        /* Right above another's rest, which is no guard of a stack. */
        {"7fb1f4021000-7fb1f8000000 ---p mr mw me nr", arena, rest, MW_MAPPING_ARENA},
        /* Two full ones, which the kernel has made one mapping. */
        {NULL, "7fb1f8000000-7fb200000000 rw-p rd wr nr", NULL, MW_MAPPING_ARENA},
        {NULL, "7fb1f8000000-7fb1fd000000 rw-p rd wr nr", "7fb1fd000000-7fb200000000 ---p nr",
         MW_MAPPING_ARENA},
        {NULL, arena, NULL, MW_MAPPING_ANONYMOUS},
        {NULL, "7fb1f8000000-7fb1f8021000 rw-p rd wr", rest, MW_MAPPING_ANONYMOUS},
        {NULL, "7fb1f8001000-7fb1f8021000 rw-p rd wr nr", rest, MW_MAPPING_ANONYMOUS},
        {NULL, arena, "7fb1f8021000-7fb1f9000000 ---p nr", MW_MAPPING_ANONYMOUS},
        {NULL, arena, "7fb1f8021000-7fb1fc000000 rw-p rd wr nr", MW_MAPPING_ANONYMOUS},
        {NULL, arena, "7fb1f8022000-7fb1fc000000 ---p nr", MW_MAPPING_ANONYMOUS},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++)
        assert_int_equal(kind_between(cases[i].below, cases[i].mapping, cases[i].above),
                         cases[i].kind);
}

static void test_the_stack_of_a_thread_is_known_by_its_guard(void **state)
{
    static const char guard[] = "7fb20571b000-7fb20571c000 ---p mr mw me";
    static const char marked[] = "7fb20571c000-7fb205720000 rw-p rd wr mr mw me ac nh";
    static const char default_size[] = "7fb20571c000-7fb205f1c000 rw-p rd wr mr mw me ac";
    static const struct {
        const char *below, *mapping;
        enum mw_mapping_kind kind;
    } cases[] = {
        {guard, marked, MW_MAPPING_THREAD_STACK},
        {guard, default_size, MW_MAPPING_THREAD_STACK},
        {NULL, marked, MW_MAPPING_ANONYMOUS},
        {NULL, default_size, MW_MAPPING_ANONYMOUS},
        {"7fb20570b000-7fb20571c000 ---p mr nh", marked, MW_MAPPING_ANONYMOUS},
        {guard, "7fb20571c000-7fb205c1c000 rw-p rd wr", MW_MAPPING_ANONYMOUS},
        {"7fb20471c000-7fb20571c000 ---p mr", default_size, MW_MAPPING_ANONYMOUS},
        {"7fb20571a000-7fb20571b000 ---p nh", marked, MW_MAPPING_ANONYMOUS},
        {"7fb20571b000-7fb20571c000 r--p nh", marked, MW_MAPPING_ANONYMOUS},
        {guard, "7fb20571c000-7fb205720000 r--p nh", MW_MAPPING_ANONYMOUS},
    };

    (void)state;
    for (size_t i = 0; i < MW_COUNT(cases); i++)
        assert_int_equal(kind_between(cases[i].below, cases[i].mapping, NULL), cases[i].kind);
}

static void test_what_is_no_smaps_is_refused(void **state)
{
    static const char *const texts[] = {
        "Rss: 4 kB\n",
        "\n",
        "hello\n",
        "00400000 rw-p 00000000 00:00 0 \n",
        "00400000-00400000 rw-p 00000000 00:00 0 \n",
        "00401000-00400000 rw-p 00000000 00:00 0 \n",
        "00400000-00401000\n",
        "00400000-00401000 rw\n",
        "00400000-00401000 rw-pp 00000000 00:00 0 \n",
    };
    struct given given;

    (void)state;
    for (size_t i = 0; i < MW_COUNT(texts); i++)
        assert_int_equal(feed(texts[i], 3, &given), -EBADMSG);
    /* The end may be missing: a line that has not ended is none. */
    assert_int_equal(feed("00400000-00401000 rw-p 0 00:00 0 \nRss: 8 kB\nSwap: 7", 3, &given), 0);
    assert_int_equal(given.count, 1);
    assert_int_equal(given.mapping[0].resident_kib, 8);
    assert_int_equal(given.mapping[0].swapped_kib, 0);
}

static void test_names_of_kinds_are_found_again(void **state)
{
    (void)state;
    for (int kind = 0; kind < MW_MAPPING_KIND_COUNT; kind++) {
        assert_int_equal(mw_mapping_kind_parse(mw_mapping_kind_name((enum mw_mapping_kind)kind)),
                         kind);
        assert_non_null(mw_mapping_kind_label((enum mw_mapping_kind)kind));
    }
    assert_int_equal(mw_mapping_kind_parse(""), -1);
    assert_int_equal(mw_mapping_kind_parse("Heap"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_mapping_comes_with_its_memory_in_whatever_pieces_the_text_comes),
        UNIT_TEST(test_names_tell_the_kind),
        UNIT_TEST(test_huge_pages_are_known_by_their_flag),
        UNIT_TEST(test_of_a_long_name_the_end_is_kept),
        UNIT_TEST(test_an_arena_is_known_by_its_place_and_its_rest),
        UNIT_TEST(test_the_stack_of_a_thread_is_known_by_its_guard),
        UNIT_TEST(test_what_is_no_smaps_is_refused),
        UNIT_TEST(test_names_of_kinds_are_found_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
