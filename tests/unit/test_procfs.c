/* The parsers of /proc take what the kernel writes, whole, and nothing else. */
#include "capture/procfs.h"
#include "unit.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char statm_text[] = "21473 1408 1075 211 0 1237 0\n";

/* The fields of stat(5) behind the name, of a process that was started 123456 ticks after boot. */
#define STAT_TAIL                                                                                  \
    " S 17 42 42 34816 42 4194304 1 0 0 0 0 0 0 0 20 0 1 0 123456 4096 100 18446744073709551615 "  \
    "1 1 140723 0 0 0 0 0 0 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

static const char rollup_text[] =
    "55d0c1a2b000-7ffd6f5f1000 ---p 00000000 00:00 0                          [rollup]\n"
    "Rss:                5632 kB\n"
    "Pss:                1403 kB\n"
    "Pss_Dirty:           400 kB\n"
    "Pss_Anon:            400 kB\n"
    "Pss_File:           1003 kB\n";

/* A copy that ends where its allocation ends: the address sanitizer sees any byte read beyond. */
static char *exact_copy(const char *text, size_t length)
{
    char *copy = malloc(length ? length : 1);

    assert_non_null(copy);
    memcpy(copy, text, length);
    return copy;
}

static int parse_statm(const char *text, size_t length, struct mw_statm *ret_statm)
{
    char *copy = exact_copy(text, length);
    int code = mw_procfs_parse_statm(copy, length, ret_statm);

    free(copy);
    return code;
}

static int parse_stat(const char *text, size_t length, struct mw_stat *ret_stat)
{
    char *copy = exact_copy(text, length);
    int code = mw_procfs_parse_stat(copy, length, ret_stat);

    free(copy);
    return code;
}

static int parse_pss(const char *text, size_t length, uint64_t *ret_kib)
{
    char *copy = exact_copy(text, length);
    int code = mw_procfs_parse_kib(copy, length, "Pss", ret_kib);

    free(copy);
    return code;
}

static void test_statm_gives_its_first_three_fields_in_pages(void **state)
{
    struct mw_statm statm;

    (void)state;
    assert_int_equal(parse_statm(statm_text, strlen(statm_text), &statm), 0);
    assert_int_equal(statm.size_pages, 21473);
    assert_int_equal(statm.resident_pages, 1408);
    assert_int_equal(statm.shared_pages, 1075);
    assert_int_equal(parse_statm("0 0 0 0 0 0 0\n", 14, &statm), 0);
    assert_int_equal(statm.size_pages, 0);
    assert_int_equal(parse_statm("18446744073709551615 1 2 ", 25, &statm), 0);
    assert_true(statm.size_pages == UINT64_MAX);
}

static void test_a_statm_cut_anywhere_gives_its_true_fields_or_none(void **state)
{
    (void)state;
    for (size_t length = 0; length < strlen(statm_text); length++) {
        struct mw_statm statm = {7, 7, 7};
        int code = parse_statm(statm_text, length, &statm);

        if (code == 0)
            assert_int_equal(statm.shared_pages, 1075);
        else
            assert_int_equal(code, -EBADMSG);
        assert_true(code == 0 || (statm.size_pages == 7 && statm.shared_pages == 7));
    }
}

static void test_what_is_no_statm_is_refused_and_changes_nothing(void **state)
{
    static const char *const texts[] = {"",
                                        " 1 2 3 ",
                                        "-1 2 3 ",
                                        "1  2 3 ",
                                        "1\t2 3 ",
                                        "a b c ",
                                        "1 2 x ",
                                        "1,2,3 ",
                                        "1 2 3\n",
                                        "+1 2 3 ",
                                        "0x1 2 3 ",
                                        "18446744073709551616 1 1 ",
                                        "1 99999999999999999999 1 ",
                                        "1 2 3kB "};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(texts); i++) {
        struct mw_statm statm = {7, 7, 7};

        assert_int_equal(parse_statm(texts[i], strlen(texts[i]), &statm), -EBADMSG);
        assert_true(statm.size_pages == 7 && statm.resident_pages == 7 && statm.shared_pages == 7);
    }
}

static void check_stat_name(const char *name)
{
    char text[1024];
    struct mw_stat stat;
    int length = snprintf(text, sizeof text, "4711 (%s)%s", name, STAT_TAIL);

    assert_int_equal(parse_stat(text, (size_t)length, &stat), 0);
    assert_string_equal(stat.name, name);
    assert_int_equal(stat.pid, 4711);
    assert_int_equal(stat.ppid, 17);
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.start_ticks, 123456);
    assert_int_equal(stat.stack_start, 140723);
}

static void test_a_process_may_have_any_name(void **state)
{
    static const char *const names[] = {
        "bash",
        "",
        "a b",
        ") (",
        "(((",
        ")))",
        "x) S 1 2 3 (y",
        "new\nline",
        "\xFF\xFE",
        ") R 1 1 1",
        "123456789012345",
        "0) Z 0 0",
        " ",
        "kworker/u8:3-events_unbound_and_a_name_that_is_63_bytes_long_xxx"};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(names); i++) {
        if (strlen(names[i]) < 64)
            check_stat_name(names[i]);
    }
}

static void test_a_stat_cut_anywhere_gives_its_true_fields_or_none(void **state)
{
    static const char text[] = "4711 (a) b)" STAT_TAIL;

    (void)state;
    for (size_t length = 0; length < strlen(text); length++) {
        struct mw_stat stat = {.pid = -7};
        int code = parse_stat(text, length, &stat);

        if (code == 0) {
            assert_int_equal(stat.start_ticks, 123456);
            assert_true(stat.stack_start == 140723 || stat.stack_start == 0);
            assert_string_equal(stat.name, "a) b");
        } else {
            assert_int_equal(code, -EBADMSG);
            assert_int_equal(stat.pid, -7);
        }
    }
}

static void test_what_is_no_stat_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ")",
        "()",
        "1 )" STAT_TAIL,
        "1 (a" STAT_TAIL,
        "(a)" STAT_TAIL,
        "x (a)" STAT_TAIL,
        "-1 (a)" STAT_TAIL,
        "1(a)" STAT_TAIL,
        "2147483648 (a)" STAT_TAIL,
        "99999999999999999999 (a)" STAT_TAIL,
        "1 (a)S 1" STAT_TAIL,
        "1 (a) S x 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 5 ",
        "1 (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 x ",
        "1 (a) S 4294967297 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 5 ",
        "1 (a name that is longer than the sixty-three bytes that any comm may have)" STAT_TAIL,
    };
    static const char nul[] = "1 (a\0b)" STAT_TAIL;
    struct mw_stat stat = {.pid = -7};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(texts); i++) {
        assert_int_equal(parse_stat(texts[i], strlen(texts[i]), &stat), -EBADMSG);
        assert_int_equal(stat.pid, -7);
    }
    assert_int_equal(parse_stat(nul, sizeof nul - 1, &stat), -EBADMSG);
}

static void test_children_are_given_one_by_one(void **state)
{
    static const char text[] = "12 345 2147483647 ";
    static const pid_t expected[] = {12, 345, 2147483647};
    size_t offset = 0, count = 0;
    pid_t pid;

    (void)state;
    while (mw_procfs_next_pid(text, strlen(text), &offset, &pid) > 0)
        assert_int_equal(pid, expected[count++]);
    assert_int_equal(count, 3);
    assert_int_equal(offset, strlen(text));
    assert_int_equal(mw_procfs_next_pid(text, strlen(text), &offset, &pid), 0);
}

static void test_an_id_that_is_cut_or_none_is_not_given_and_the_offset_stays(void **state)
{
    static const char *const texts[] = {"12",  "1",    " ",           "x ",
                                        "-1 ", "12\n", "2147483648 ", "99999999999999999999 "};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(texts); i++) {
        size_t offset = 0, length = strlen(texts[i]);
        char *copy = exact_copy(texts[i], length);
        pid_t pid = -7;

        assert_int_equal(mw_procfs_next_pid(copy, length, &offset, &pid), -EBADMSG);
        assert_int_equal(offset, 0);
        assert_int_equal(pid, -7);
        free(copy);
    }
}

static void test_pss_is_that_of_the_whole_process(void **state)
{
    uint64_t kib = 7;

    (void)state;
    assert_int_equal(parse_pss(rollup_text, strlen(rollup_text), &kib), 0);
    assert_int_equal(kib, 1403);
}

static void test_a_rollup_cut_anywhere_gives_its_true_pss_or_none(void **state)
{
    (void)state;
    for (size_t length = 0; length < strlen(rollup_text); length++) {
        uint64_t kib = 7;
        int code = parse_pss(rollup_text, length, &kib);

        assert_true(code == 0 || code == -EBADMSG);
        assert_int_equal(kib, code == 0 ? 1403 : 7);
    }
}

static void test_what_is_no_rollup_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "Pss: 5 kB\n",
                                        "x\nPss:\n",
                                        "x\nPss: 5\n",
                                        "x\nPss: 5 MB\n",
                                        "x\nPss: -5 kB\n",
                                        "x\nPss_Anon: 5 kB\n",
                                        "x\nPss: 18446744073709551616 kB\n",
                                        "x\nPss:                    "};
    uint64_t kib = 7;

    (void)state;
    for (size_t i = 0; i < MW_COUNT(texts); i++)
        assert_int_equal(parse_pss(texts[i], strlen(texts[i]), &kib), -EBADMSG);
    assert_int_equal(kib, 7);
}

static void test_this_process_is_read_as_it_is(void **state)
{
    int fd = mw_procfs_open(getpid(), "statm", O_RDONLY);
    struct mw_statm statm;
    struct mw_stat stat;
    uint64_t kib = 0;
    char text[4096];
    ssize_t length;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(mw_procfs_read_statm(fd, &statm), 0);
    assert_true(statm.size_pages >= statm.resident_pages && statm.resident_pages > 0);
    assert_true(statm.resident_pages >= statm.shared_pages);
    close(fd);
    assert_int_equal(mw_procfs_read_stat(getpid(), &stat), 0);
    assert_int_equal(stat.pid, getpid());
    assert_int_equal(stat.ppid, getppid());
    assert_string_equal(stat.name, program_invocation_short_name);
    assert_int_equal(mw_procfs_read_high_water(getpid(), &kib), 0);
    assert_true(kib > 0);
    length = mw_procfs_read(getpid(), "smaps_rollup", text, sizeof text);
    assert_true(length > 0);
    assert_int_equal(parse_pss(text, (size_t)length, &kib), 0);
    assert_true(kib > 0);
}

static void wait_for_the_end(int in, int out, const void *context)
{
    (void)out;
    (void)context;
    unit_await(in);
}

static void test_a_process_that_was_reaped_is_gone_also_for_a_kept_descriptor(void **state)
{
    struct unit_child child = unit_fork(wait_for_the_end, NULL);
    int fd = mw_procfs_open(child.pid, "statm", O_RDONLY);
    struct mw_statm statm;
    struct mw_stat stat;
    uint64_t kib;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(mw_procfs_read_statm(fd, &statm), 0);
    unit_join(&child);
    assert_int_equal(mw_procfs_read_statm(fd, &statm), -ESRCH);
    close(fd);
    assert_int_equal(mw_procfs_open(child.pid, "statm", O_RDONLY), -ENOENT);
    assert_int_equal(mw_procfs_read_stat(child.pid, &stat), -ENOENT);
    assert_int_equal(mw_procfs_read_high_water(child.pid, &kib), -ENOENT);
}

static void test_a_zombie_has_no_memory(void **state)
{
    struct unit_child child = unit_fork(wait_for_the_end, NULL);
    int fd = mw_procfs_open(child.pid, "statm", O_RDONLY);
    struct mw_statm statm;
    siginfo_t info;

    (void)state;
    unit_tell(child.to);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(mw_procfs_read_statm(fd, &statm), 0);
    assert_int_equal(statm.size_pages, 0);
    close(fd);
    unit_join(&child);
}

static const char limits[] =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max data size             unlimited            unlimited            bytes     \n"
    "Max address space         4096000000           unlimited            bytes     \n"
    "Max file locks            unlimited            unlimited            locks     \n";

static void test_soft_limits_are_read(void **state)
{
    int64_t bytes = 7;

    (void)state;
    assert_int_equal(mw_procfs_parse_limit(limits, strlen(limits), "Max address space", &bytes), 0);
    assert_int_equal(bytes, 4096000000);
    assert_int_equal(mw_procfs_parse_limit(limits, strlen(limits), "Max data size", &bytes), 0);
    assert_int_equal(bytes, -1);
    assert_int_equal(mw_procfs_parse_limit(limits, strlen(limits), "Max data", &bytes), -EBADMSG);
    assert_int_equal(mw_procfs_parse_limit(limits, strlen(limits), "Max nothing", &bytes),
                     -EBADMSG);
    assert_int_equal(bytes, -1);
}

static void test_limits_cut_anywhere_give_the_true_one_or_none(void **state)
{
    (void)state;
    for (size_t length = 0; length < strlen(limits); length++) {
        mw_auto_free char *copy = malloc(length + 1); /* no byte more can be read unseen */
        int64_t bytes = 4096000000;

        memcpy(copy, limits, length);
        mw_procfs_parse_limit(copy, length, "Max address space", &bytes);
        assert_int_equal(bytes, 4096000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_statm_gives_its_first_three_fields_in_pages),
        UNIT_TEST(test_a_statm_cut_anywhere_gives_its_true_fields_or_none),
        UNIT_TEST(test_what_is_no_statm_is_refused_and_changes_nothing),
        UNIT_TEST(test_a_process_may_have_any_name),
        UNIT_TEST(test_a_stat_cut_anywhere_gives_its_true_fields_or_none),
        UNIT_TEST(test_what_is_no_stat_is_refused),
        UNIT_TEST(test_children_are_given_one_by_one),
        UNIT_TEST(test_an_id_that_is_cut_or_none_is_not_given_and_the_offset_stays),
        UNIT_TEST(test_pss_is_that_of_the_whole_process),
        UNIT_TEST(test_a_rollup_cut_anywhere_gives_its_true_pss_or_none),
        UNIT_TEST(test_what_is_no_rollup_is_refused),
        UNIT_TEST(test_this_process_is_read_as_it_is),
        UNIT_TEST(test_a_process_that_was_reaped_is_gone_also_for_a_kept_descriptor),
        UNIT_TEST(test_a_zombie_has_no_memory),
        UNIT_TEST(test_soft_limits_are_read),
        UNIT_TEST(test_limits_cut_anywhere_give_the_true_one_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
