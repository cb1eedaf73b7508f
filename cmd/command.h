/*
 * The commands of memwatch, and how each reads its options.
 *
 * One table in main.c lists the commands; it drives dispatch, help and completion. To add a
 * command: write a file with its struct command (its options, its help, its function), declare it
 * below, and name it in the table and in memwatch.1.
 */
#ifndef MW_CMD_COMMAND_H
#define MW_CMD_COMMAND_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses. A recorded program's own status stands beside them. */
enum {
    CMD_OK = 0,
    CMD_FAILED = 1,       /* a file is missing or damaged, gnuplot failed … */
    CMD_USAGE = 2,        /* the command line was not understood */
    CMD_LIMIT = 3,        /* a limit that the user has set was crossed */
    CMD_RUN_FAILED = 125, /* run: memwatch failed before the program started */
    CMD_CANNOT_EXECUTE = 126,
    CMD_NOT_FOUND = 127,
};

struct option_spec {
    int id;               /* the short option's letter, or a number above 255 */
    const char *name;     /* the long option, without dashes */
    const char *argument; /* what the help calls its argument; NULL: it takes none */
    const char *help;     /* one line, or several separated by \n */
};

struct command {
    const char *name;
    const char *operands;              /* as the synopsis shows them: "[FILE|INDEX…]" */
    const char *summary;               /* one line, for the list of commands */
    const char *details;               /* further lines for its own help, or NULL */
    const struct option_spec *options; /* ends with an id of 0; -h is understood everywhere */
    const struct option_spec
        *shared_options;   /* further ones, that other commands have too; or NULL */
    bool stops_at_operand; /* everything from the first operand on belongs to a program */
    int usage_status;      /* exit status for a command line that is not understood */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command run_command, attach_command, plot_command, list_command, show_command,
    peak_command, functions_command, rm_command, clean_command, doctor_command, diff_command,
    check_command, leak_command, import_command;

/* --- reading options -------------------------------------------------------------------------- */

/*
 * A walk over a command line. After cmd_next has returned 0, operands and operand_count hold what
 * is not an option, in order. "-1" and the like are operands: they count recordings from the
 * newest.
 */
struct cmd_line {
    const struct command *command;
    int argc;
    char **argv;
    char **operands;
    int operand_count;
    const char *value; /* the argument of the option that cmd_next returned */
    int next;
};

/* An option of a command, counted from 0; NULL behind the last. */
const struct option_spec *cmd_option(const struct command *command, size_t number);

struct cmd_line cmd_line(const struct command *command, int argc, char **argv);

/*
 * The id of the next option, 0 at the end, -1 after a message about a line that is not understood
 * (return command->usage_status then). Prints the help and exits for -h.
 */
int cmd_next(struct cmd_line *line);

/*
 * The whole walk for a command whose only option is a flag: 1 when it was given, 0 when not; -1
 * after a message about the line, also where it has more operands than most_operands.
 */
int cmd_read_flag(struct cmd_line *line, int most_operands);

/* Ends the walk: everything behind the last option is an operand. */
void cmd_take_rest(struct cmd_line *line);

/*
 * How many columns of the terminal are left behind `used`; 50 where standard output is no terminal,
 * and at least 10.
 */
size_t cmd_columns(size_t used);

/* A window of a recording, as mw_parse_window takes it, in microseconds; to_us INT64_MAX: to the
 * end. */
int cmd_parse_window(const char *text, int64_t *ret_from_us, int64_t *ret_to_us,
                     struct mw_error *error);

/* --- messages --------------------------------------------------------------------------------- */

/* A text as printf would print it, to be freed; NULL when memory ran out. */
char *cmd_words(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "memwatch: …" on standard error, as one line whatever the text holds. */
void cmd_message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same with an error's text; returns CMD_FAILED. */
int cmd_fail(const struct mw_error *error);

/* A message about the command line, and where to find help; returns the command's usage_status. */
int cmd_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
