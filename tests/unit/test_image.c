/* What a process runs, as it was started or as it calls itself: read from live children. */
#include "capture/procfs.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A child that executes this very program with other arguments; see main. */
static char *const no_environment[] = {NULL};

static void execute(int in, int out, const void *context)
{
    dup2(in, 0);
    dup2(out, 1);
    execve("/proc/self/exe", (char **)(uintptr_t)context, no_environment);
}

/* Starts a child with these arguments, and returns once it runs (and has renamed itself). */
static struct unit_child start(const char *const *arguments)
{
    struct unit_child child = unit_fork(execute, arguments);

    assert_true(unit_await(child.from));
    return child;
}

static struct mw_image *read_image(pid_t pid, bool all_arguments)
{
    struct mw_image *image = NULL;

    assert_int_equal(mw_procfs_read_image(pid, all_arguments, &image), 0);
    assert_non_null(image);
    return image;
}

static void check_arguments(const char *const *arguments, size_t count)
{
    struct unit_child child = start(arguments);
    struct mw_image *image = read_image(child.pid, true);

    unit_kill(&child);
    assert_int_equal(image->argument_count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(image->arguments[i], arguments[i]);
    mw_image_free(image);
}

static void test_arguments_are_read_as_they_were_given(void **state)
{
    const char *const plain[] = {"child", "one", "--two=3", NULL};
    const char *const odd[] = {"child", "new\nline", "\xFF\xFE", "quote'\"`", " ", NULL};

    (void)state;
    check_arguments(plain, 3);
    check_arguments(odd, 5);
}

static void test_an_empty_argument_between_others_is_one(void **state)
{
    const char *const arguments[] = {"child", "", "x", "", "", "y", NULL};

    (void)state;
    check_arguments(arguments, 6);
}

static void test_an_empty_argument_at_the_end_is_one(void **state)
{
    const char *const arguments[] = {"child", "x", "", NULL};

    (void)state;
    check_arguments(arguments, 3);
}

static void test_the_name_is_that_of_the_program(void **state)
{
    const char *const arguments[] = {"child", "x", NULL};
    struct unit_child child = start(arguments);
    struct mw_image *image = read_image(child.pid, true);

    (void)state;
    unit_kill(&child);
    assert_true(strlen(image->name) > 0 && strlen(image->name) <= 15);
    mw_image_free(image);
}

static void test_the_first_argument_alone_is_read_when_others_are_private(void **state)
{
    const char *const arguments[] = {"child", "--password=secret", NULL};
    struct unit_child child = start(arguments);
    struct mw_image *image = read_image(child.pid, false);

    (void)state;
    unit_kill(&child);
    assert_int_equal(image->argument_count, 1);
    assert_string_equal(image->arguments[0], "child");
    mw_image_free(image);
}

static void test_a_process_that_renamed_itself_has_one_argument_without_a_tail(void **state)
{
    const char *const arguments[] = {"rename-yourself",
                                     "a long argument that the new title overwrites", "more", NULL};
    struct unit_child child = start(arguments);
    struct mw_image *image = read_image(child.pid, true);

    (void)state;
    unit_kill(&child);
    assert_int_equal(image->argument_count, 1);
    assert_string_equal(image->arguments[0], "server: idle");
    assert_string_equal(image->name, "renamed");
    mw_image_free(image);
}

static void erase_arguments(int in, int out, const void *context)
{
    /* arg_start to arg_end of this process hold what /proc/self/cmdline shows. */
    char *first = (char *)(uintptr_t)context;

    memset(first, 0, strlen(first));
    unit_tell(out);
    unit_await(in);
}

static char *own_first_argument;

static void test_a_process_that_erased_its_arguments_has_none(void **state)
{
    struct unit_child child = unit_fork(erase_arguments, own_first_argument);
    struct mw_image *image;

    (void)state;
    assert_true(unit_await(child.from));
    image = read_image(child.pid, true);
    unit_kill(&child);
    assert_int_equal(image->argument_count, 0);
    assert_true(strlen(image->name) > 0);
    mw_image_free(image);
}

static void test_a_kernel_thread_or_zombie_has_a_name_and_no_arguments(void **state)
{
    const char *const arguments[] = {"end-at-once", NULL};
    struct unit_child child = start(arguments);
    struct mw_image *image;

    (void)state;
    while (unit_await(child.from))
        ;
    do { /* the pipe closes a moment before the command line goes */
        image = read_image(child.pid, true);
        if (image->argument_count == 0)
            break;
        mw_image_free(image);
    } while (true);
    assert_true(strlen(image->name) > 0);
    mw_image_free(image);
    unit_join(&child);
}

static void test_a_command_line_is_cut_at_128_kib(void **state)
{
    enum { LIMIT = 128 * 1024, EACH = 1000, ARGUMENTS = 200 };
    static char word[EACH];
    static const char *arguments[ARGUMENTS + 2];
    struct unit_child child;
    struct mw_image *image;
    size_t bytes = 0;

    (void)state;
    memset(word, 'w', sizeof word - 1);
    arguments[0] = "child";
    for (size_t i = 1; i <= ARGUMENTS; i++)
        arguments[i] = word;
    child = start(arguments);
    image = read_image(child.pid, true);
    unit_kill(&child);
    for (size_t i = 0; i < image->argument_count; i++)
        bytes += strlen(image->arguments[i]) + 1;
    assert_true(bytes == LIMIT || bytes == LIMIT + 1);
    for (size_t i = 1; i + 1 < image->argument_count; i++)
        assert_string_equal(image->arguments[i], word);
    mw_image_free(image);
}

static void test_a_process_that_is_gone_has_no_image(void **state)
{
    const char *const arguments[] = {"child", NULL};
    struct unit_child child = start(arguments);
    struct mw_image *image = NULL;

    (void)state;
    unit_kill(&child);
    assert_int_equal(mw_procfs_read_image(child.pid, true, &image), -ENOENT);
    assert_null(image);
    mw_image_free(NULL);
}

static void test_the_hash_tells_the_name_and_all_arguments(void **state)
{
    char a[] = "a", b[] = "b", c[] = "c", ab[] = "ab", empty[] = "";
    char a_again[] = "a", b_again[] = "b";
    char *one[] = {a, b}, *again[] = {a_again, b_again}, *other[] = {a, c}, *joined[] = {ab, empty};
    struct mw_image image = {.name = "x", .argument_count = 2, .arguments = one};
    struct mw_image same = image, shorter = image, changed = image, renamed = image, moved = image;
    uint64_t hash = mw_image_hash(&image);

    (void)state;
    same.arguments = again;
    shorter.argument_count = 1;
    changed.arguments = other;
    renamed.name[0] = 'y';
    moved.arguments = joined;
    assert_true(hash != 0);
    assert_true(mw_image_hash(&same) == hash);
    assert_true(mw_image_hash(&shorter) != hash);
    assert_true(mw_image_hash(&changed) != hash);
    assert_true(mw_image_hash(&renamed) != hash);
    assert_true(mw_image_hash(&moved) != hash);
}

/* What setproctitle does: writes over all arguments, and fills the rest with NULs. */
static void rename_yourself(int argc, char **argv)
{
    char *end = argv[argc - 1] + strlen(argv[argc - 1]);

    memset(argv[0], 0, (size_t)(end - argv[0]));
    memcpy(argv[0], "server: idle", 12);
    prctl(PR_SET_NAME, "renamed");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_arguments_are_read_as_they_were_given),
        UNIT_TEST(test_an_empty_argument_between_others_is_one),
        UNIT_TEST(test_an_empty_argument_at_the_end_is_one),
        UNIT_TEST(test_the_name_is_that_of_the_program),
        UNIT_TEST(test_the_first_argument_alone_is_read_when_others_are_private),
        UNIT_TEST(test_a_process_that_renamed_itself_has_one_argument_without_a_tail),
        UNIT_TEST(test_a_process_that_erased_its_arguments_has_none),
        UNIT_TEST(test_a_kernel_thread_or_zombie_has_a_name_and_no_arguments),
        UNIT_TEST(test_a_command_line_is_cut_at_128_kib),
        UNIT_TEST(test_a_process_that_is_gone_has_no_image),
        UNIT_TEST(test_the_hash_tells_the_name_and_all_arguments),
    };
    bool renames = strcmp(argv[0], "rename-yourself") == 0;

    if (renames || strcmp(argv[0], "child") == 0 || strcmp(argv[0], "end-at-once") == 0) {
        bool stays = strcmp(argv[0], "end-at-once") != 0;

        if (renames)
            rename_yourself(argc, argv);
        unit_tell(1);
        return stays ? unit_await(0) : 0;
    }
    own_first_argument = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
