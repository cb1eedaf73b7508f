/* Asking a program: its answer comes back, and whatever it does instead costs a moment. */
#include "unit.h"
#include "util/ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char shell[] = "/bin/sh", execute[] = "-c";

static int ask(const char *script, int timeout_ms, char *answer, size_t size,
               struct mw_error *error)
{
    char *copy = strdup(script);
    char *const arguments[] = {shell, execute, copy, NULL};
    int code = mw_ask(shell, arguments, NULL, timeout_ms, answer, size, error);

    free(copy);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie is left */
    return code;
}

static void test_the_answer_is_what_the_program_says_to_both(void **state)
{
    char answer[64];
    struct mw_error error = {0};

    (void)state;
    assert_int_equal(ask("echo a; echo b >&2", 60000, answer, sizeof answer, &error), 0);
    assert_string_equal(answer, "a\nb\n");
    assert_int_equal(ask(":", 60000, answer, sizeof answer, &error), 0);
    assert_string_equal(answer, "");
    /* It has no input to wait for, and its environment is the one given. */
    assert_int_equal(ask("cat", 60000, answer, sizeof answer, &error), 0);
}

static void test_the_environment_can_be_another(void **state)
{
    static char word[] = "WORD=x", script[] = "echo $WORD$HOME";
    char *const environment[] = {word, NULL}, *const arguments[] = {shell, execute, script, NULL};
    char answer[64];

    (void)state;
    assert_int_equal(mw_ask(shell, arguments, environment, 60000, answer, sizeof answer, NULL), 0);
    assert_string_equal(answer, "x\n");
}

static void test_a_program_that_hangs_is_ended_with_what_it_has_started(void **state)
{
    char answer[64];
    struct mw_error error = {0};
    pid_t background;

    (void)state;
    assert_int_equal(ask("sleep 600 & echo $!; wait", 300, answer, sizeof answer, &error),
                     -ETIMEDOUT);
    background = (pid_t)strtol(answer, NULL, 10);
    assert_true(background > 0);
    for (int i = 0; i < 6000 && kill(background, 0) == 0; i++) {
        char path[64], stat[256] = "";
        FILE *file;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)background);
        if ((file = fopen(path, "r"))) {
            if (!fgets(stat, sizeof stat, file))
                stat[0] = '\0';
            fclose(file);
        }
        if (strstr(stat, ") Z "))
            return; /* whoever has adopted it has not looked yet */
        poll(NULL, 0, 10);
    }
    assert_int_equal(kill(background, 0), -1);
}

static void test_a_program_whose_child_keeps_its_output_open_has_answered(void **state)
{
    char answer[64];

    (void)state;
    assert_int_equal(ask("sleep 600 & echo yes", 60000, answer, sizeof answer, NULL), 0);
    assert_string_equal(answer, "yes\n");
    assert_int_equal(ask("echo yes; exec >&- 2>&-; sleep 0.2", 60000, answer, sizeof answer, NULL),
                     0);
    assert_string_equal(answer, "yes\n");
}

static void test_a_program_that_says_too_much_is_ended(void **state)
{
    char answer[64];

    (void)state;
    assert_int_equal(ask("yes", 60000, answer, sizeof answer, NULL), -EMSGSIZE);
    assert_int_equal(strlen(answer), sizeof answer - 1);
}

static void test_a_failure_is_told_with_the_first_thing_said(void **state)
{
    char answer[64];
    struct mw_error error = {0};

    (void)state;
    assert_int_equal(
        ask("echo; echo ' no such thing'; echo more; exit 3", 60000, answer, sizeof answer, &error),
        -EIO);
    assert_string_equal(error.text, "exit status 3: no such thing");
    assert_int_equal(ask("exit 3", 60000, answer, sizeof answer, &error), -EIO);
    assert_string_equal(error.text, "exit status 3");
    assert_int_equal(ask("kill -SEGV $$", 60000, answer, sizeof answer, &error), -EIO);
    assert_non_null(strstr(error.text, "killed by signal 11"));
}

static void test_a_program_that_is_not_there_is_told(void **state)
{
    static char name[] = "no-such-program", folder[] = "/";
    char *const arguments[] = {name, NULL};
    char answer[64];
    struct mw_error error = {0};

    (void)state;
    assert_int_equal(mw_ask(name, arguments, NULL, 60000, answer, sizeof answer, &error), -ENOENT);
    assert_int_equal(mw_ask(folder, arguments, NULL, 60000, answer, sizeof answer, &error),
                     -EACCES);
    assert_string_equal(answer, "");
}

static void test_ignored_and_blocked_signals_change_nothing(void **state)
{
    char answer[64];
    sigset_t all, before;

    (void)state;
    signal(SIGCHLD, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    assert_int_equal(ask("kill -TERM $$; echo on", 60000, answer, sizeof answer, NULL), -EIO);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void test_a_line_is_found_by_its_first_word(void **state)
{
    char buffer[8];

    (void)state;
    assert_string_equal(mw_ask_find("warning\nword  a b \nword c", "word", buffer, sizeof buffer),
                        "a b");
    assert_string_equal(mw_ask_find("word x", "word", buffer, sizeof buffer), "x");
    assert_string_equal(mw_ask_find("word  \r\n", "word", buffer, sizeof buffer), "");
    assert_null(mw_ask_find("", "word", buffer, sizeof buffer));
    assert_null(mw_ask_find("word", "word", buffer, sizeof buffer));
    assert_null(mw_ask_find("words x\nno word x\n", "word", buffer, sizeof buffer));
    assert_null(mw_ask_find("word 12345678", "word", buffer, sizeof buffer)); /* does not fit */
    assert_string_equal(mw_ask_find("word 1234567", "word", buffer, sizeof buffer), "1234567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_the_answer_is_what_the_program_says_to_both),
        UNIT_TEST(test_the_environment_can_be_another),
        UNIT_TEST(test_a_program_that_hangs_is_ended_with_what_it_has_started),
        UNIT_TEST(test_a_program_whose_child_keeps_its_output_open_has_answered),
        UNIT_TEST(test_a_program_that_says_too_much_is_ended),
        UNIT_TEST(test_a_failure_is_told_with_the_first_thing_said),
        UNIT_TEST(test_a_program_that_is_not_there_is_told),
        UNIT_TEST(test_ignored_and_blocked_signals_change_nothing),
        UNIT_TEST(test_a_line_is_found_by_its_first_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
