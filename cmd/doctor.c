#include "cmd/command.h"
#include "cmd/doctor_checks.h"
#include "cmd/json.h"
#include "config.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { OPTION_JSON = 256 };

static const struct option_spec options[] = {
    {OPTION_JSON, "json", NULL, "print JSON: what was found, what it means, what improves it"},
    {0},
};

/* Where lines are broken, and how far what belongs to a check is indented. */
enum { WIDTH = 79, INDENT = 4 };

static size_t columns_of(const char *text, size_t length)
{
    size_t columns = 0;

    for (size_t i = 0; i < length; i++)
        columns += ((unsigned char)text[i] & 0xC0) != 0x80;
    return columns;
}

/* Prints words in indented lines. What programs say and files are called may hold anything. */
static void print_wrapped(const char *words, int indent)
{
    mw_auto_free char *printable = mw_text_printable(words);
    const char *text = printable ? printable : "?";
    size_t column = 0;

    while (*text) {
        size_t length = strcspn(text, " "), columns = columns_of(text, length);

        if (column > 0 && column + 1 + columns > WIDTH) {
            putchar('\n');
            column = 0;
        }
        printf("%*s%.*s", column ? 1 : indent, "", (int)length, text);
        column += columns + (column ? 1 : (size_t)indent);
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_line(const char *text)
{
    mw_auto_free char *line = mw_text_printable(text);

    printf("%s\n", line ? line : "?");
}

static void print_list(const char *list)
{
    mw_auto_free char *copy = strdup(list);
    char *rest = copy, *line;

    while ((line = strsep(&rest, "\n"))) {
        printf("%*s", INDENT, "");
        print_line(line);
    }
}

static void print_check(const struct check *check)
{
    printf("%-12s  %-7s  ", check->title, check_status_name(check->status));
    print_line(check->headline);
    if (check->list)
        print_list(check->list);
    print_wrapped(check->meaning, INDENT);
    if (check->improve) {
        printf("%*sbetter: ", INDENT, "");
        print_line(check->improve);
    }
}

static int print_as_text(const struct checks *checks, const char *kernel, const char *user)
{
    mw_auto_free char *name = mw_text_printable(user);

    printf("memwatch %s on Linux %s, as %s\n\n", MEMWATCH_VERSION, kernel, name ? name : "?");
    for (size_t i = 0; i < checks->count; i++)
        print_check(&checks->list[i]);
    putchar('\n');
    print_wrapped(checks->summary, 0);
    return CMD_OK;
}

/* The facts of a check with what they mean. */
static json_t *check_to_json(const struct check *check)
{
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:o}", "status", check_status_name(check->status), "headline",
                  json_text(check->headline), "meaning", json_text(check->meaning), "improve",
                  check->improve ? json_text(check->improve) : json_null());

    if (object)
        json_object_update(object, check->facts);
    return object;
}

static int print_as_json(const struct checks *checks, const char *kernel, const char *user)
{
    json_t *all = json_object();

    for (size_t i = 0; i < checks->count; i++)
        json_object_set_new(all, checks->list[i].key, check_to_json(&checks->list[i]));
    return json_print(json_pack("{s:s, s:o, s:o, s:o, s:o}", "memwatch", MEMWATCH_VERSION, "kernel",
                                json_text(kernel), "user", json_text(user), "summary",
                                json_text(checks->summary), "checks", all));
}

static int doctor(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    struct checks checks;
    struct mw_error error;
    struct utsname name;
    const struct passwd *user;
    char number[16];
    int json = cmd_read_flag(&line, 0);
    int status;

    if (json < 0)
        return command->usage_status;
    if (checks_make(&checks, &error) < 0)
        return cmd_fail(&error);
    uname(&name);
    snprintf(number, sizeof number, "%u", geteuid());
    user = getpwuid(geteuid());
    status = (json ? print_as_json : print_as_text)(&checks, name.release,
                                                    user ? user->pw_name : number);
    checks_clear(&checks);
    return status;
}

const struct command doctor_command = {
    .name = "doctor",
    .operands = "",
    .summary = "tell how good recordings are on this machine, and what improves them",
    .details = "Tries out what a recording needs, in some seconds. It changes nothing: the "
               "commands that it\n"
               "names are for you to run. The exit status is 0 whatever it finds.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = doctor,
};
