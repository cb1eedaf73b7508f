/*
 * memwatch: how much memory a program uses over time.
 */
#include "cmd/command.h"
#include "config.h"
#include "util/array.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &run_command,       &attach_command, &plot_command,   &show_command,   &peak_command,
    &functions_command, &leak_command,   &diff_command,   &check_command,  &list_command,
    &rm_command,        &clean_command,  &import_command, &doctor_command,
};

enum { COMMAND_COUNT = MW_COUNT(commands) };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
    }
    return NULL;
}

static void print_overview(FILE *out)
{
    fputs("usage: memwatch COMMAND [options] …\n"
          "Shows how much memory a program uses over time.\n\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-9s  %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nStart with:  memwatch run PROGRAM, then:  memwatch plot\n"
          "'memwatch COMMAND -h' explains a command, 'man memwatch' everything.\n",
          out);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* How many letters to insert, delete or replace to turn one word into the other. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    size_t width = strlen(b), row[LONGEST + 1];

    if (strlen(a) > LONGEST || width > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t above = row[j + 1];

            row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = above;
        }
    }
    return row[width];
}

static int unknown_command(const char *name)
{
    const struct command *nearest = commands[0];

    for (size_t i = 1; i < COMMAND_COUNT; i++) {
        if (edit_distance(name, commands[i]->name) < edit_distance(name, nearest->name))
            nearest = commands[i];
    }
    if (edit_distance(name, nearest->name) <= 2)
        cmd_message("there is no command '%s'; did you mean '%s'?", name, nearest->name);
    else
        cmd_message("there is no command '%s' (see 'memwatch -h')", name);
    return CMD_USAGE;
}

static int help(int argc, char **argv)
{
    char *ask[] = {argv[1], (char[]){"-h"}, NULL};
    const struct command *command;

    if (argc < 2) {
        print_overview(stdout);
        return CMD_OK;
    }
    command = find_command(argv[1]);
    return command ? command->run(command, 2, ask) : unknown_command(argv[1]);
}

/*
 * What could stand in the place of the last word, one a line: the shell's completion asks for it
 * with the words of a command line so far, and falls back to file names.
 */
static int complete(int argc, char **argv)
{
    const struct command *command;

    if (argc <= 1) {
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            puts(commands[i]->name);
        return CMD_OK;
    }
    command = find_command(argv[0]);
    for (size_t i = 0; command && cmd_option(command, i); i++)
        printf("--%s\n", cmd_option(command, i)->name);
    return CMD_OK;
}

static int dispatch(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        print_overview(stderr);
        return CMD_USAGE;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--complete") == 0)
        return complete(argc - 2, argv + 2);
    if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0) {
        printf("memwatch %s\n", MEMWATCH_VERSION);
        return CMD_OK;
    }
    command = find_command(argv[1]);
    return command ? command->run(command, argc - 1, argv + 1) : unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
    int status = dispatch(argc, argv);

    /* A report that a full disk cut short is no success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == CMD_OK) {
        cmd_message("cannot write to standard output");
        status = CMD_FAILED;
    }
    return status;
}
