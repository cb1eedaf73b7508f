/*
 * Running gnuplot: what becomes of the file, of errors and of the child. Most tests put a small
 * shell script in gnuplot's place.
 */
#include "plot/gnuplot.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka.h wants these before itself. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static const struct mw_plot_point points[] = {{0, 1e6, 1e6, 1e6}, {4, 2e6, 2e6, 2e6}};
static const struct mw_plot_curve curve = {"curve", MW_CURVE_PROCESS, points, 2};
static const struct mw_plot plot = {
    .title = "title", .to_s = 4, .y_label = "memory", .curves = &curve, .curve_count = 1};
static const struct mw_plot_canvas png = {MW_PLOT_PNG, 0, 0}, text = {MW_PLOT_TEXT, 0, 0},
                                   window = {MW_PLOT_WINDOW, 0, 0};

/* What the tests change, to put it back. */
struct surroundings {
    char folder[64], *path;
    size_t descriptors;
};

static size_t entries_of(const char *folder)
{
    DIR *directory = opendir(folder);
    size_t count = 0;

    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static void write_file(const char *name, const char *content, mode_t mode)
{
    mw_auto_fd int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
}

static char *read_file(const char *name)
{
    mw_auto_file FILE *file = fopen(name, "r");
    char *content = calloc(1, 1 << 20);

    assert_non_null(file);
    assert_true(fread(content, 1, (1 << 20) - 1, file) < 1 << 20);
    return content;
}

/* Puts a shell script in the place of gnuplot. */
static void fake_gnuplot(const char *body)
{
    mw_auto_free char *script = NULL, *path = NULL;

    assert_true(asprintf(&script, "#!/bin/sh\n%s\n", body) > 0);
    assert_true(mkdir("bin", 0755) == 0 || errno == EEXIST);
    write_file("bin/gnuplot", script, 0755);
    assert_true(asprintf(&path, "%s/bin:/usr/bin:/bin", getcwd((char[256]){0}, 256)) > 0);
    assert_int_equal(setenv("PATH", path, 1), 0);
}

static int set_up(void **state)
{
    struct surroundings *around = calloc(1, sizeof *around);

    snprintf(around->folder, sizeof around->folder, "/tmp/mw_test_gnuplot_XXXXXX");
    if (!mkdtemp(around->folder) || chdir(around->folder) != 0)
        return -1;
    around->path = strdup(getenv("PATH"));
    around->descriptors = entries_of("/proc/self/fd");
    unsetenv("DISPLAY");
    unsetenv("WAYLAND_DISPLAY");
    umask(022);
    *state = around;
    return 0;
}

/* Whatever a test did: no descriptor and no child may be left. */
static int tear_down(void **state)
{
    struct surroundings *around = *state;
    bool clean = entries_of("/proc/self/fd") == around->descriptors &&
                 waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
    static const char *const names[] = {"out",    "link",        "pipe",        "seen",
                                        "a file", "bin/gnuplot", "|touch pwned"};

    setenv("PATH", around->path, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    rmdir("bin");
    clean = clean && chdir("/") == 0 && rmdir(around->folder) == 0;
    if (!clean)
        print_error("left over: a descriptor, a child or a file in %s\n", around->folder);
    free(around->path);
    free(around);
    return clean ? 0 : -1;
}

static void test_a_picture_appears_whole_with_the_usual_permissions(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *drawing = NULL;
    struct stat stat;

    (void)state;
    if (access("/usr/bin/gnuplot", X_OK) != 0)
        skip();
    umask(027);
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "out", &error), 0);
    drawing = read_file("out");
    assert_memory_equal(drawing, "\x89PNG", 4);
    assert_int_equal(lstat("out", &stat), 0);
    assert_int_equal(stat.st_mode & 0777, 0640);
    assert_int_equal(entries_of("."), 1);
}

static void test_a_name_that_looks_like_a_command_is_a_name(void **state)
{
    struct mw_error error = {0};

    (void)state;
    fake_gnuplot("echo drawing");
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "|touch pwned", &error), 0);
    assert_int_equal(access("|touch pwned", F_OK), 0);
    assert_int_equal(access("pwned", F_OK), -1);
}

static void test_gnuplot_gets_the_script_on_a_descriptor_and_a_plain_environment(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *seen = NULL;

    (void)state;
    setenv("GNUTERM", "x11", 1);
    setenv("GNUPLOT_LIB", "/evil", 1);
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    fake_gnuplot("echo \"$*\" ${GNUTERM-none} ${GNUPLOT_LIB-none} $LC_ALL; head -1 $2; readlink "
                 "/proc/$$/fd/0; ls -l /proc/$$/fd | grep -c memfd:");
    assert_int_equal(mw_gnuplot_draw(&plot, &text, "out", &error), 0);
    unsetenv("GNUTERM");
    unsetenv("GNUPLOT_LIB");
    unsetenv("LC_ALL");
    seen = read_file("out");
    /* Of our files in memory it has three: the script, the drawing and the messages. */
    assert_string_equal(seen, "-d /dev/fd/3 none none C.UTF-8\n"
                              "# Drawn by memwatch; gnuplot 5.4 or later runs this.\n"
                              "/dev/null\n3\n");
}

static void test_without_gnuplot_the_error_says_what_to_install(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *content = NULL;

    (void)state;
    write_file("out", "before", 0600);
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "out", &error), -ENOENT);
    assert_string_equal(error.text, "gnuplot is not installed: apt install gnuplot-nox");
    content = read_file("out");
    assert_string_equal(content, "before");
    assert_int_equal(entries_of("."), 1);
}

static void test_what_gnuplot_complains_about_is_reported_and_the_old_file_stays(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *content = NULL;

    (void)state;
    write_file("out", "before", 0600);
    fake_gnuplot(
        "echo half a drawing\n"
        "printf '\\n\\nplot foo\\n     ^\\n\"/dev/fd/3\" line 7: undefined: foo\\n\\n' >&2\n"
        "echo '\"/dev/fd/3\" line 7: warning: something else' >&2\n"
        "exit 1");
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "out", &error), -EIO);
    assert_string_equal(error.text, "gnuplot could not draw: \"/dev/fd/3\" line 7: undefined: foo");
    content = read_file("out");
    assert_string_equal(content, "before");
    assert_int_equal(entries_of("."), 2);
}

static void test_a_killed_gnuplot_leaves_nothing(void **state)
{
    struct mw_error error = {0};

    (void)state;
    fake_gnuplot("echo half a drawing; kill -9 $$");
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "out", &error), -EIO);
    assert_non_null(strstr(error.text, "killed by signal 9"));
    assert_int_equal(access("out", F_OK), -1);
    assert_int_equal(entries_of("."), 1);
}

static void test_a_gnuplot_that_draws_nothing_is_an_error(void **state)
{
    struct mw_error error = {0};

    (void)state;
    fake_gnuplot("exit 0");
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "out", &error), -EIO);
    assert_int_equal(entries_of("."), 1);
}

static void test_files_that_cannot_be_written_are_named(void **state)
{
    struct mw_error error = {0};

    (void)state;
    fake_gnuplot("echo drawing");
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "no/out", &error), -ENOENT);
    assert_string_equal(error.text, "no/out: No such file or directory");
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "bin", &error), -EISDIR);
    assert_int_equal(mw_gnuplot_draw(&plot, &png, NULL, &error), -EINVAL);
    assert_int_equal(mw_gnuplot_draw(&plot, &window, "out", &error), -EINVAL);
}

/* A device of our own, because broken code would replace the system's. */
static void test_a_full_disk_is_noticed(void **state)
{
    struct mw_error error = {0};
    mw_auto_fd int fd = -1;

    (void)state;
    if (mknod("out", S_IFCHR | 0600, makedev(1, 7)) < 0 || (fd = open("out", O_WRONLY)) < 0)
        skip();
    fake_gnuplot("echo drawing");
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "out", &error), -ENOSPC);
    assert_int_equal(entries_of("."), 2);
}

static void test_a_pipe_is_written_to_and_not_replaced(void **state)
{
    struct mw_error error = {0};
    mw_auto_fd int reader = -1;
    char seen[16] = "";
    struct stat stat;

    (void)state;
    fake_gnuplot("echo drawing");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    reader = open("pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "pipe", &error), 0);
    assert_int_equal(lstat("pipe", &stat), 0);
    assert_true(S_ISFIFO(stat.st_mode));
    assert_int_equal(read(reader, seen, sizeof seen - 1), 8);
    assert_string_equal(seen, "drawing\n");
}

static void test_a_link_stays_and_the_file_keeps_its_permissions(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *content = NULL;
    struct stat stat;

    (void)state;
    fake_gnuplot("echo drawing");
    write_file("a file", "before", 0600);
    assert_int_equal(symlink("a file", "link"), 0);
    assert_int_equal(mw_gnuplot_draw(&plot, &png, "link", &error), 0);
    assert_int_equal(lstat("link", &stat), 0);
    assert_true(S_ISLNK(stat.st_mode));
    content = read_file("a file");
    assert_string_equal(content, "drawing\n");
    assert_int_equal(lstat("a file", &stat), 0);
    assert_int_equal(stat.st_mode & 0777, 0600);
}

/* gnuplot's letters come with a form feed and blanks up to the right edge. */
static void test_letters_come_without_form_feed_and_trailing_blanks(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *content = NULL, *coloured = NULL;

    (void)state;
    fake_gnuplot("printf '\\f    \\n a  b  \\n   \\n c \\n    '");
    assert_int_equal(mw_gnuplot_draw(&plot, &text, "out", &error), 0);
    content = read_file("out");
    assert_string_equal(content, "\n a  b\n\n c\n");
    fake_gnuplot("printf '\\f\\033[1;31m a \\033[0m  \\n\\033[0;39m  \\033[0;39;49m'");
    assert_int_equal(mw_gnuplot_draw(&plot, &text, "out", &error), 0);
    coloured = read_file("out");
    assert_string_equal(coloured, "\033[1;31m a\033[0m\n");
}

/* As after "memwatch plot --text | …", and with a parent that had closed its standard input. */
static void test_letters_go_to_standard_output_without_a_path(void **state)
{
    mw_auto_free char *content = NULL;
    int status = -1;
    pid_t pid;

    (void)state;
    fake_gnuplot("echo drawing; head -c 7 $2");
    fflush(NULL);
    if ((pid = fork()) == 0) {
        int fd = open("out", O_CREAT | O_WRONLY, 0600);

        dup2(fd, STDOUT_FILENO);
        close(fd);
        close(STDIN_FILENO);
        close(STDERR_FILENO);
        _exit(mw_gnuplot_draw(&plot, &text, NULL, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    content = read_file("out");
    assert_string_equal(content, "drawing\n# Drawn\n");
}

/* A program that ignores SIGPIPE and blocks signals does not hand that on. */
static void test_the_child_starts_with_ordinary_signals(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *seen = NULL;
    unsigned long long blocked, ignored;
    sigset_t all, before;

    (void)state;
    fake_gnuplot("grep -E 'SigBlk|SigIgn' /proc/self/status");
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    assert_int_equal(mw_gnuplot_draw(&plot, &text, "out", &error), 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    seen = read_file("out");
    assert_int_equal(sscanf(seen, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
    assert_true(blocked == 0);
    assert_true((ignored & 1ull << (SIGPIPE - 1)) == 0);
}

static void test_no_window_without_a_display(void **state)
{
    struct mw_error error = {0};

    (void)state;
    fake_gnuplot("touch seen");
    assert_int_equal(mw_gnuplot_show(&plot, &window, &error), -ENOTSUP);
    assert_int_equal(access("seen", F_OK), -1);
}

static void test_the_next_terminal_is_tried_when_one_fails(void **state)
{
    struct mw_error error = {0};
    mw_auto_free char *seen = NULL;

    (void)state;
    setenv("DISPLAY", ":99", 1);
    fake_gnuplot("echo \"$2 $3\" >> seen\n"
                 "case $3 in *qt*) echo 'long complaint of qt' >&2; exit 1;; esac\n"
                 "case $3 in *wxt*) kill -9 $$;; esac");
    assert_int_equal(mw_gnuplot_show(&plot, &window, &error), 0);
    seen = read_file("seen");
    assert_string_equal(seen, "-e window = 'qt'\n-e window = 'wxt'\n-e window = 'x11'\n");
}

static void test_no_window_when_every_terminal_fails(void **state)
{
    struct mw_error error = {0};

    (void)state;
    setenv("DISPLAY", ":99", 1);
    /* x11's helper complains while gnuplot itself ends well. */
    fake_gnuplot("case $3 in *x11*) echo \"gnuplot: unable to open display ':99'\" >&2; exit 0;; "
                 "esac\nexit 1");
    assert_int_equal(mw_gnuplot_show(&plot, &window, &error), -ENOTSUP);
    assert_non_null(strstr(error.text, "gnuplot-qt"));
}

static void test_no_window_from_a_gnuplot_that_has_no_terminal_for_it(void **state)
{
    struct mw_error error = {0};

    (void)state;
    if (access("/usr/bin/gnuplot-nox", X_OK) != 0)
        skip();
    setenv("DISPLAY", ":99", 1);
    fake_gnuplot("exec /usr/bin/gnuplot-nox \"$@\"");
    assert_int_equal(mw_gnuplot_show(&plot, &window, &error), -ENOTSUP);
}

static void test_no_window_without_gnuplot(void **state)
{
    struct mw_error error = {0};

    (void)state;
    setenv("DISPLAY", ":99", 1);
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(mw_gnuplot_show(&plot, &window, &error), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_picture_appears_whole_with_the_usual_permissions),
        TEST(test_a_name_that_looks_like_a_command_is_a_name),
        TEST(test_gnuplot_gets_the_script_on_a_descriptor_and_a_plain_environment),
        TEST(test_without_gnuplot_the_error_says_what_to_install),
        TEST(test_what_gnuplot_complains_about_is_reported_and_the_old_file_stays),
        TEST(test_a_killed_gnuplot_leaves_nothing),
        TEST(test_a_gnuplot_that_draws_nothing_is_an_error),
        TEST(test_files_that_cannot_be_written_are_named),
        TEST(test_a_full_disk_is_noticed),
        TEST(test_a_pipe_is_written_to_and_not_replaced),
        TEST(test_a_link_stays_and_the_file_keeps_its_permissions),
        TEST(test_letters_come_without_form_feed_and_trailing_blanks),
        TEST(test_letters_go_to_standard_output_without_a_path),
        TEST(test_the_child_starts_with_ordinary_signals),
        TEST(test_no_window_without_a_display),
        TEST(test_the_next_terminal_is_tried_when_one_fails),
        TEST(test_no_window_when_every_terminal_fails),
        TEST(test_no_window_from_a_gnuplot_that_has_no_terminal_for_it),
        TEST(test_no_window_without_gnuplot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
