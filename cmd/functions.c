#include "cmd/functions.h"

#include "cmd/command.h"
#include "cmd/json.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_JSON = 256, OPTION_SORT };

static const struct option_spec options[] = {
    {OPTION_SORT, "sort", "KEY", "peak (the default), growth, time or calls: the largest first"},
    {OPTION_JSON, "json", NULL, "print JSON"},
    {0},
};

/* --- names ------------------------------------------------------------------------------------ */

static bool is_name_of_another(const struct recording *recording,
                               const struct mw_function *function)
{
    for (size_t i = 0; i < recording->function_count; i++) {
        const struct mw_function *other = &recording->functions[i];

        if (other != function && strcmp(other->name, function->name) == 0)
            return true;
    }
    return false;
}

char *function_label(const struct recording *recording, const struct mw_function *function)
{
    const char *name = *function->name ? function->name : "(no name)";
    char *label = NULL;
    int length;

    if (!function->file || !is_name_of_another(recording, function))
        return strdup(name);
    if (function->line > 0)
        length = asprintf(&label, "%s (%s:%d)", name, function->file, function->line);
    else
        length = asprintf(&label, "%s (%s)", name, function->file);
    return length < 0 ? NULL : label;
}

/* How well a name fits a function. */
enum fit { NOT_AT_ALL, BY_ITS_END, EXACTLY };

static enum fit fit_text(const char *text, const char *name)
{
    size_t length = strlen(text), wanted = strlen(name);

    if (wanted > length || strcmp(text + length - wanted, name) != 0)
        return NOT_AT_ALL;
    return wanted == length ? EXACTLY : BY_ITS_END;
}

static enum fit fit_function(const struct recording *recording, const struct mw_function *function,
                             const char *name)
{
    mw_auto_free char *label = function_label(recording, function);
    enum fit by_name = fit_text(function->name, name);
    enum fit by_label = label ? fit_text(label, name) : NOT_AT_ALL;

    return by_name > by_label ? by_name : by_label;
}

static int ambiguous(const struct recording *recording, const char *name,
                     const struct mw_function *first, const struct mw_function *second,
                     struct mw_error *error)
{
    mw_auto_free char *one = function_label(recording, first);
    mw_auto_free char *other = function_label(recording, second);

    return mw_error_set(error, -ENOENT, "%s: '%.100s' may be %.100s or %.100s", recording->path,
                        name, one ? one : "?", other ? other : "?");
}

static int no_functions(const struct recording *recording, struct mw_error *error)
{
    return mw_error_set(error, -ENOENT, "%s: the program marked no functions", recording->path);
}

int find_function(const struct recording *recording, const char *name,
                  const struct mw_function **ret_function, struct mw_error *error)
{
    const struct mw_function *best = NULL, *rival = NULL;
    enum fit best_fit = NOT_AT_ALL;

    if (recording->function_count == 0)
        return no_functions(recording, error);
    for (size_t i = 0; i < recording->function_count; i++) {
        enum fit fit = fit_function(recording, &recording->functions[i], name);

        if (fit == NOT_AT_ALL || fit < best_fit)
            continue;
        rival = fit == best_fit ? best : NULL;
        best = &recording->functions[i];
        best_fit = fit;
    }
    if (!best)
        return mw_error_set(error, -ENOENT, "%s: there is no function '%.100s'", recording->path,
                            name);
    if (rival)
        return ambiguous(recording, name, rival, best, error);
    *ret_function = best;
    return 0;
}

/* --- order ------------------------------------------------------------------------------------ */

static int64_t peak_of(const struct mw_function *function)
{
    return function->peak.known ? function->peak.bytes : -1;
}

static int64_t growth_of(const struct mw_function *function)
{
    return function->growth_bytes;
}

static int64_t time_of(const struct mw_function *function)
{
    return function->total_ns;
}

static int64_t calls_of(const struct mw_function *function)
{
    return (int64_t)function->calls;
}

static const struct sort_key {
    const char *name;
    int64_t (*number_of)(const struct mw_function *function);
} sort_keys[] = {{"peak", peak_of}, {"growth", growth_of}, {"time", time_of}, {"calls", calls_of}};

static const struct sort_key *find_key(const char *name)
{
    for (size_t i = 0; i < MW_COUNT(sort_keys); i++) {
        if (strcmp(sort_keys[i].name, name) == 0)
            return &sort_keys[i];
    }
    return NULL;
}

/* The largest first, and of equal ones that which was entered first. */
static int compare(const void *a, const void *b, void *key)
{
    const struct mw_function *const *first = a, *const *second = b;
    int64_t (*number_of)(const struct mw_function *) = ((const struct sort_key *)key)->number_of;
    int64_t first_number = number_of(*first), second_number = number_of(*second);

    if (first_number != second_number)
        return first_number > second_number ? -1 : 1;
    return (*first > *second) - (*first < *second);
}

/* The functions in order, to be freed; NULL when memory ran out. */
static const struct mw_function **sort(const struct recording *recording,
                                       const struct sort_key *key)
{
    size_t count = recording->function_count;
    const struct mw_function **sorted = calloc(count + 1, sizeof(struct mw_function *));

    if (!sorted)
        return NULL;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &recording->functions[i];
    qsort_r(sorted, count, sizeof *sorted, compare, (void *)(uintptr_t)key);
    return sorted;
}

/* --- printing --------------------------------------------------------------------------------- */

enum { COLUMNS_BEFORE_NAME = 64, COLUMNS_OF_WAITED = 13 };

/* Whether there is a column for it: only generators and tasks wait. */
static bool any_waited(const struct recording *recording)
{
    for (size_t i = 0; i < recording->function_count; i++) {
        if (recording->functions[i].suspended_ns > 0)
            return true;
    }
    return false;
}

static void print_function(const struct recording *recording, const struct mw_function *function,
                           bool with_waited)
{
    int before_name = COLUMNS_BEFORE_NAME + (with_waited ? COLUMNS_OF_WAITED : 0);
    char calls[MW_FORMAT_SIZE], total[MW_FORMAT_SIZE], longest[MW_FORMAT_SIZE];
    char waited[MW_FORMAT_SIZE], growth[MW_FORMAT_SIZE], peak[MW_FORMAT_SIZE];
    mw_auto_free char *label = function_label(recording, function);
    size_t columns = isatty(STDOUT_FILENO) ? cmd_columns((size_t)before_name) : SIZE_MAX;
    mw_auto_free char *name = label ? mw_text_shorten_left(label, columns) : NULL;
    bool took_time = function->max_ns > 0; /* a point takes none */

    printf("%13s  %11s  ", mw_format_count(calls, (int64_t)function->calls),
           took_time ? mw_format_duration(total, function->total_ns) : "-");
    if (with_waited)
        printf("%11s  ", took_time ? mw_format_duration(waited, function->suspended_ns) : "-");
    printf("%11s  %10s  %9s  %s\n", took_time ? mw_format_duration(longest, function->max_ns) : "-",
           took_time ? mw_format_change(growth, function->growth_bytes) : "-",
           function->peak.known ? mw_format_bytes(peak, function->peak.bytes) : "-",
           name ? name : "?");
}

/* Says it where single calls are not in the file; those that are open are not there yet. */
static void print_stored(const struct recording *recording)
{
    char stored[MW_FORMAT_SIZE], calls[MW_FORMAT_SIZE];
    uint64_t stored_count = 0, ended_count = 0, call_count = 0;

    for (size_t i = 0; i < recording->function_count; i++) {
        stored_count += recording->functions[i].stored;
        ended_count += recording->functions[i].ended;
        call_count += recording->functions[i].calls;
    }
    if (stored_count < ended_count)
        printf("%s of %s calls are stored one by one\n",
               mw_format_count(stored, (int64_t)stored_count),
               mw_format_count(calls, (int64_t)call_count));
}

static void print_as_text(const struct recording *recording, const struct mw_function **functions)
{
    bool with_waited = any_waited(recording);

    printf("%13s  %11s  ", "calls", "time");
    if (with_waited)
        printf("%11s  ", "waited");
    printf("%11s  %10s  %9s  %s\n", "longest", "growth", "peak", "function");
    for (size_t i = 0; i < recording->function_count; i++)
        print_function(recording, functions[i], with_waited);
    print_stored(recording);
}

static int print_as_json(const struct recording *recording, const struct mw_function **functions)
{
    json_t *array = json_array();

    for (size_t i = 0; i < recording->function_count; i++)
        json_array_append_new(array, json_function(functions[i]));
    return json_print(json_pack("{s:o, s:I, s:o}", "file", json_text(recording->path), "run",
                                (json_int_t)recording->run->id, "functions", array));
}

static int print(const struct recording *recording, const struct sort_key *key, bool json)
{
    mw_auto_free const struct mw_function **functions = sort(recording, key);
    struct mw_error error;

    if (!functions) {
        cmd_message("out of memory");
        return CMD_FAILED;
    }
    if (json)
        return print_as_json(recording, functions);
    if (recording->function_count == 0) {
        no_functions(recording, &error);
        return cmd_fail(&error);
    }
    print_as_text(recording, functions);
    return CMD_OK;
}

static int functions(const struct command *command, int argc, char **argv)
{
    struct cmd_line line = cmd_line(command, argc, argv);
    const struct sort_key *key = &sort_keys[0];
    struct recording recording;
    struct mw_error error;
    bool json = false;
    int id, status;

    while ((id = cmd_next(&line)) > 0) {
        if (id == OPTION_JSON)
            json = true;
        else if (!(key = find_key(line.value)))
            return cmd_usage(command, "'%s' is none of peak, growth, time, calls", line.value);
    }
    if (id < 0)
        return command->usage_status;
    if (line.operand_count > 1)
        return cmd_usage(command, "'%s' is one word too many", line.operands[1]);
    if (recording_open(&recording, line.operand_count ? line.operands[0] : NULL, &error) < 0)
        return cmd_fail(&error);
    status = print(&recording, key, json);
    recording_close(&recording);
    return status;
}

const struct command functions_command = {
    .name = "functions",
    .operands = "[FILE[:RUN]|INDEX]",
    .summary = "tell what the functions used that the program marked",
    .details =
        "A line a function, over all of its calls: how many, their time together, the longest of\n"
        "them, by how much the memory grew in them together, and the highest memory in one of "
        "them.\n"
        "Without an operand the newest recording of this folder.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = functions,
};
