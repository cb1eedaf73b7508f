/* A program starts in two steps, and its child never outlives a recorder that died in between. */
#include "capture/launch.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *new_file(void **state, const char *name, const char *content, mode_t mode)
{
    char *path = unit_path(state, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(content, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void check_found(const char *program, const char *expected)
{
    char *path = NULL;

    assert_int_equal(mw_launch_find(program, &path, NULL), 0);
    assert_string_equal(path, expected);
    free(path);
}

static void check_not_found(const char *program, int code)
{
    struct mw_error error = {0};
    char *path = NULL;

    assert_int_equal(mw_launch_find(program, &path, &error), code);
    assert_int_equal(error.code < 0, 1);
    assert_null(path);
    assert_non_null(strstr(error.text, program));
}

static void test_a_name_is_looked_up_in_path_in_its_order(void **state)
{
    char *first = unit_path(state, "first"), *second = unit_path(state, "second");
    char *search, *wanted;

    mkdir(first, 0755);
    mkdir(second, 0755);
    free(new_file(state, "first/plain", "", 0644));
    wanted = new_file(state, "second/plain", "#!/bin/sh\n", 0755);
    assert_true(asprintf(&search, "/nonexistent:%s:%s", first, second) > 0);
    setenv("PATH", search, 1);
    check_found("plain", wanted);
    setenv("PATH", first, 1);
    check_not_found("plain", -EACCES);
    check_not_found("other", -ENOENT);
    setenv("PATH", "/usr/bin:/bin", 1);
    free(search);
    free(wanted);
    free(first);
    free(second);
}

static void test_a_name_with_a_slash_is_a_path(void **state)
{
    char *program = new_file(state, "program", "#!/bin/sh\n", 0755);
    char *text = new_file(state, "text", "", 0644);
    char *folder = unit_path(state, ""), *missing = unit_path(state, "missing");
    char *below = unit_path(state, "text/x");

    check_found(program, program);
    check_not_found(text, -EACCES);
    check_not_found(folder, -EACCES);
    check_not_found(missing, -ENOENT);
    check_not_found(below, -ENOENT);
    check_not_found("", -ENOENT);
    free(program);
    free(text);
    free(folder);
    free(missing);
    free(below);
}

/* Forks, executes, waits; returns the wait status. */
static int launch(const char *path, const char *const *arguments, const sigset_t *mask)
{
    struct mw_launch *launch = NULL;
    int status;
    pid_t pid;

    assert_int_equal(mw_launch_fork(&launch, path, (char **)(uintptr_t)arguments, mask, NULL), 0);
    pid = mw_launch_pid(launch);
    assert_int_equal(mw_launch_exec(launch, NULL), 0);
    mw_launch_free(launch);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Runs a shell command whose output goes to a file; returns what was in it. */
static char *output_of(void **state, const char *command, const sigset_t *mask)
{
    char *path = unit_path(state, "output"), *line, *content = calloc(1, 4096);
    const char *arguments[] = {"sh", "-c", NULL, NULL};
    FILE *file;

    assert_true(asprintf(&line, "%s > %s", command, path) > 0);
    arguments[2] = line;
    assert_int_equal(launch("/bin/sh", arguments, mask), 0);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(content);
    content[fread(content, 1, 4095, file)] = '\0';
    fclose(file);
    free(line);
    free(path);
    return content;
}

static const sigset_t *no_signals(void)
{
    static sigset_t mask;

    sigemptyset(&mask);
    return &mask;
}

static void test_the_program_runs_with_its_arguments_and_status(void **state)
{
    static const char *const arguments[] = {"sh",  "-c", "[ \"$1$2\" = 'a b' ] && exit 42", "x", "",
                                            "a b", NULL};
    int status = launch("/bin/sh", arguments, no_signals());

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void test_nothing_runs_before_it_may(void **state)
{
    char *marker = unit_path(state, "marker");
    const char *const arguments[] = {"touch", marker, NULL};
    struct mw_launch *launch = NULL;

    assert_int_equal(mw_launch_fork(&launch, "/usr/bin/touch", (char **)(uintptr_t)arguments,
                                    no_signals(), NULL),
                     0);
    assert_int_equal(kill(mw_launch_pid(launch), 0), 0);
    mw_launch_free(launch); /* returns when the child has ended */
    assert_int_equal(access(marker, F_OK), -1);
    free(marker);
    mw_launch_free(NULL);
}

static void check_exec_failure(const char *path, int code)
{
    const char *const arguments[] = {path, NULL};
    struct mw_launch *launch = NULL;
    struct mw_error error = {0};
    pid_t pid;

    assert_int_equal(
        mw_launch_fork(&launch, path, (char **)(uintptr_t)arguments, no_signals(), NULL), 0);
    pid = mw_launch_pid(launch);
    assert_int_equal(mw_launch_exec(launch, &error), code);
    assert_int_equal(error.code, code);
    mw_launch_free(launch);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void test_a_failed_exec_tells_its_errno_and_leaves_no_child(void **state)
{
    char *bad = new_file(state, "bad", "#!/nonexistent/interpreter\n", 0755);
    char *text = new_file(state, "text", "x", 0644);

    check_exec_failure("/nonexistent/program", -ENOENT);
    check_exec_failure(bad, -ENOENT);
    check_exec_failure(text, -EACCES);
    check_exec_failure("/proc", -EACCES);
    free(bad);
    free(text);
}

static void test_a_script_without_an_interpreter_runs_under_sh(void **state)
{
    char *script = new_file(state, "script", "exit 9\n", 0755);
    const char *const arguments[] = {script, NULL};
    int status = launch(script, arguments, no_signals());

    assert_int_equal(WEXITSTATUS(status), 9);
    free(script);
}

static void test_the_program_gets_the_signal_mask_that_it_was_given(void **state)
{
    sigset_t mask, blocked, before;
    char *got;

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigfillset(&blocked);
    sigprocmask(SIG_SETMASK, &blocked, &before); /* as a recorder that takes signals by signalfd */
    got = output_of(state, "exec grep SigBlk /proc/self/status", &mask);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(got, "SigBlk:\t0000000000000200\n");
    free(got);
}

static void test_the_program_gets_no_descriptor_of_the_recorder(void **state)
{
    char *got;

    for (int fd = 3; fd < 256; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    got = output_of(state, "exec ls /proc/self/fd", no_signals());
    assert_string_equal(got, "0\n1\n2\n3\n"); /* 3 is the folder that ls reads */
    free(got);
}

static void fork_and_wait(int in, int out, const void *context)
{
    const char *const arguments[] = {"touch", context, NULL};
    struct mw_launch *launch = NULL;
    pid_t pid;

    mw_launch_fork(&launch, "/usr/bin/touch", (char **)(uintptr_t)arguments, no_signals(), NULL);
    pid = mw_launch_pid(launch);
    if (write(out, &pid, sizeof pid) == sizeof pid)
        unit_await(in);
}

static void test_the_child_ends_when_the_recorder_dies_before_it_may_execute(void **state)
{
    char *marker = unit_path(state, "marker");
    struct unit_child recorder;
    pid_t pid = 0;
    int status;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    recorder = unit_fork(fork_and_wait, marker);
    assert_int_equal(read(recorder.from, &pid, sizeof pid), sizeof pid);
    unit_kill(&recorder);
    assert_int_equal(waitpid(pid, &status, 0), pid); /* it is ours now */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 125);
    assert_int_equal(access(marker, F_OK), -1);
    free(marker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_a_name_is_looked_up_in_path_in_its_order),
        UNIT_TEST(test_a_name_with_a_slash_is_a_path),
        UNIT_TEST(test_the_program_runs_with_its_arguments_and_status),
        UNIT_TEST(test_nothing_runs_before_it_may),
        UNIT_TEST(test_a_failed_exec_tells_its_errno_and_leaves_no_child),
        UNIT_TEST(test_a_script_without_an_interpreter_runs_under_sh),
        UNIT_TEST(test_the_program_gets_the_signal_mask_that_it_was_given),
        UNIT_TEST(test_the_program_gets_no_descriptor_of_the_recorder),
        UNIT_TEST(test_the_child_ends_when_the_recorder_dies_before_it_may_execute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
