#include "cmd/command.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

char *cmd_words(const char *format, ...)
{
    va_list arguments;
    char *text;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return length < 0 ? NULL : text;
}

void cmd_message(const char *format, ...)
{
    mw_auto_free char *text = NULL;
    mw_auto_free char *line = NULL;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text = NULL;
        return;
    }
    line = mw_text_printable(text);
    fprintf(stderr, "memwatch: %s\n", line ? line : "out of memory");
}

size_t cmd_columns(size_t used)
{
    enum { LEAST = 10, ELSEWHERE = 50 };
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return ELSEWHERE;
    return size.ws_col > used + LEAST ? size.ws_col - used : LEAST;
}

int cmd_fail(const struct mw_error *error)
{
    cmd_message("%s", error->text);
    return CMD_FAILED;
}

int cmd_usage(const struct command *command, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cmd_message("%s (see 'memwatch %s -h')", text, command->name);
    return command->usage_status;
}

const struct option_spec *cmd_option(const struct command *command, size_t number)
{
    const struct option_spec *tables[] = {command->options, command->shared_options};

    for (size_t i = 0; i < MW_COUNT(tables); i++) {
        for (const struct option_spec *option = tables[i]; option && option->id; option++) {
            if (number-- == 0)
                return option;
        }
    }
    return NULL;
}

/* Every character but the ASCII ones takes several bytes: pad by hand. */
static void print_padded(const char *text, int width)
{
    int columns = 0;

    for (const char *at = text; *at; at++)
        columns += ((unsigned char)*at & 0xC0) != 0x80;
    printf("%s%*s", text, columns < width ? width - columns : 0, "");
}

static void print_option(const struct option_spec *option)
{
    enum { LEFT = 28 };
    char left[96];
    const char *help = option->help;

    snprintf(left, sizeof left, "  %c%c%s --%s%s%s", option->id < 256 ? '-' : ' ',
             option->id < 256 ? option->id : ' ', option->id < 256 ? "," : " ", option->name,
             option->argument ? " " : "", option->argument ? option->argument : "");
    print_padded(left, LEFT);
    if (strlen(left) >= LEFT)
        printf("\n%*s", LEFT, "");
    for (;;) {
        size_t length = strcspn(help, "\n");

        printf("%.*s\n", (int)length, help);
        if (!help[length])
            return;
        help += length + 1;
        printf("%*s", LEFT, "");
    }
}

static void print_help(const struct command *command)
{
    static const struct option_spec help = {'h', "help", NULL, "show this help"};

    printf("usage: memwatch %s [options]%s%s\n%s\n\n", command->name, *command->operands ? " " : "",
           command->operands, command->summary);
    if (command->details)
        printf("%s\n\n", command->details);
    printf("options:\n");
    for (size_t i = 0; cmd_option(command, i); i++)
        print_option(cmd_option(command, i));
    print_option(&help);
}

struct cmd_line cmd_line(const struct command *command, int argc, char **argv)
{
    optind = 0; /* glibc: start anew */
    opterr = 0;
    return (struct cmd_line){
        .command = command, .argc = argc, .argv = argv, .operands = argv + 1, .next = 1};
}

/* "-1" is a recording, not an option. */
static bool is_operand(const char *word)
{
    if (word[0] != '-' || word[1] == '\0')
        return true;
    return isdigit((unsigned char)word[1]) && word[1 + strspn(word + 1, "0123456789")] == '\0';
}

/* Collects operands up to the next option; returns false when there is none. */
static bool skip_operands(struct cmd_line *line)
{
    for (; line->next < line->argc; line->next++) {
        char *word = line->argv[line->next];

        if (strcmp(word, "--") == 0) {
            line->next++;
            break;
        }
        if (!is_operand(word))
            return true;
        if (line->command->stops_at_operand)
            break;
        line->operands[line->operand_count++] = word;
    }
    for (; line->next < line->argc; line->next++)
        line->operands[line->operand_count++] = line->argv[line->next];
    return false;
}

/* getopt's tables for the command's options and -h. */
static void build_tables(const struct command *command, struct option *long_options,
                         char *short_options)
{
    const struct option_spec *option;
    size_t count = 0;

    *short_options++ = '+';
    *short_options++ = ':';
    for (; (option = cmd_option(command, count)); count++) {
        long_options[count] = (struct option){
            option->name, option->argument ? required_argument : no_argument, NULL, option->id};
        if (option->id < 256) {
            *short_options++ = (char)option->id;
            if (option->argument)
                *short_options++ = ':';
        }
    }
    long_options[count] = (struct option){"help", no_argument, NULL, 'h'};
    long_options[count + 1] = (struct option){0};
    *short_options++ = 'h';
    *short_options = '\0';
}

int cmd_read_flag(struct cmd_line *line, int most_operands)
{
    int id, given = 0;

    while ((id = cmd_next(line)) > 0)
        given = 1;
    if (id < 0)
        return -1;
    if (line->operand_count > most_operands) {
        cmd_usage(line->command, "'%s' is one word too many", line->operands[most_operands]);
        return -1;
    }
    return given;
}

void cmd_take_rest(struct cmd_line *line)
{
    for (line->next = optind; line->next < line->argc; line->next++)
        line->operands[line->operand_count++] = line->argv[line->next];
}

/* --- options of mprof ------------------------------------------------------------------------- */

/* What replaces them here. */
struct habit {
    const char *option, *instead;
};

static const struct habit recording_habits[] = {
    {"-C", "children are always recorded, each and their sum (--children)"},
    {"--include-children", "children are always recorded, each and their sum (--children)"},
    {"-M", "children are always recorded, each and their sum (--children)"},
    {"--multiprocess", "children are always recorded, each and their sum (--children)"},
    {"-T", "-i 0.01 is the time between two samples"},
    {"-t", "-d, --duration is how long to record"},
    {"--timeout", "-d, --duration is how long to record"},
    {"-E", "the program's exit status always comes through"},
    {"--exit-code", "the program's exit status always comes through"},
    {"--nopython", "what is no NAME.py is executed as it is"},
    {"--backend", "--metric pss,uss reads more than rss"},
    {"-a", "memwatch attach PID records what runs already"},
    {"--attach", "memwatch attach PID records what runs already"},
    {NULL, NULL},
};

static const struct habit plot_habits[] = {
    {"-s", "--slope draws the trend"},
    {"-f", "--flame draws the functions in lanes"},
    {NULL, NULL},
};

/* What stands for an option that is none, "--timeout=5"; NULL: nothing. */
static const char *find_instead(const struct command *command, const char *option)
{
    const struct habit *habit = strcmp(command->name, "plot") == 0 ? plot_habits
                                : command->shared_options          ? recording_habits
                                                                   : NULL;

    for (; habit && habit->option; habit++) {
        size_t length = strlen(habit->option);

        if (strncmp(option, habit->option, length) == 0 &&
            (option[length] == '\0' || option[length] == '='))
            return habit->instead;
    }
    return NULL;
}

static void tell_unknown(const struct command *command, const char *option)
{
    const char *instead = find_instead(command, option);

    cmd_usage(command, "there is no option %s%s%s", option, instead ? ": " : "",
              instead ? instead : "");
}

/* --- the walk --------------------------------------------------------------------------------- */

static bool is_option_of(const struct command *command, int id)
{
    for (size_t i = 0; cmd_option(command, i); i++) {
        if (cmd_option(command, i)->id == id)
            return true;
    }
    return id == 'h';
}

int cmd_next(struct cmd_line *line)
{
    enum { MOST_OPTIONS = 32 };
    struct option long_options[MOST_OPTIONS + 2];
    char short_options[2 * MOST_OPTIONS + 4];
    char letter[] = "-?";
    int id;

    if (optind > line->next)
        line->next = optind;
    /* In the middle of "-ab" getopt has not moved on yet, and the word is an option again. */
    if (!skip_operands(line))
        return 0;
    if (optind != 0 || line->next != 1)
        optind = line->next;
    build_tables(line->command, long_options, short_options);
    id = getopt_long(line->argc, line->argv, short_options, long_options, NULL);
    line->value = optarg;
    switch (id) {
    case 'h':
        print_help(line->command);
        exit(CMD_OK);
    case ':':
        cmd_usage(line->command, "%s needs an argument", line->argv[optind - 1]);
        return -1;
    case '?':
        if (optopt > 0 && is_option_of(line->command, optopt))
            cmd_usage(line->command, "%s takes no argument", line->argv[optind - 1]);
        else if (optopt > 0 && optopt < 256 && (letter[1] = (char)optopt))
            tell_unknown(line->command, letter);
        else
            tell_unknown(line->command, line->argv[optind - 1]);
        return -1;
    default:
        return id;
    }
}

int cmd_parse_window(const char *text, int64_t *ret_from_us, int64_t *ret_to_us,
                     struct mw_error *error)
{
    int64_t from_ns, to_ns;
    int code = mw_parse_window(text, &from_ns, &to_ns, error);

    if (code < 0)
        return code;
    *ret_from_us = from_ns / 1000;
    *ret_to_us = to_ns == INT64_MAX ? INT64_MAX : to_ns / 1000;
    if (*ret_from_us >= *ret_to_us)
        return mw_error_set(error, -EINVAL, "the window '%s' is shorter than a microsecond", text);
    return 0;
}
