#include "cmd/leak_growth.h"

#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <stdlib.h>

/* What is shown of each, to a person. */
enum { MOST_LINES = 4, NAME_COLUMNS = 60 };

int grown_read(struct grown *ret_grown, const struct recording *recording, struct mw_error *error)
{
    *ret_grown = (struct grown){.recording = recording};
    return mw_reader_growth(recording->reader, recording->run->id, &ret_grown->mappings,
                            &ret_grown->count, error);
}

void grown_clear(struct grown *grown)
{
    for (size_t i = 0; i < grown->count; i++)
        mw_mapping_growth_clear(&grown->mappings[i]);
    free(grown->mappings);
    *grown = (struct grown){0};
}

/* When the last two snapshots of a process begin that are known both; -1: there are none. */
static int64_t last_pair_us(const struct grown *grown, const struct mw_process *process)
{
    int64_t last_us = -1;

    for (size_t i = 0; process && i < grown->count; i++) {
        const struct mw_mapping_growth *one = &grown->mappings[i];

        if (one->process == process->id && one->to_us >= 0 && one->from_us > last_us)
            last_us = one->from_us;
    }
    return last_us;
}

static bool is_of(const struct mw_mapping_growth *growth, const struct mw_process *process,
                  int64_t pair_us)
{
    return growth->process == process->id && growth->to_us >= 0 && growth->from_us == pair_us;
}

/* --- a person --------------------------------------------------------------------------------- */

/* The name of a group: "heap (brk)", "file /lib/x.so". NULL when memory ran out. */
static char *group_words(const struct mw_mapping_growth *growth)
{
    const char *label = mw_mapping_kind_label(growth->kind);
    mw_auto_free char *name = mw_text_shorten_left(growth->name ? growth->name : "", NAME_COLUMNS);
    char *words;
    int length = !growth->name   ? asprintf(&words, "%s, all others", label)
                 : *growth->name ? asprintf(&words, "%s %s", label, name ? name : "?")
                                 : asprintf(&words, "%s", label);

    return length < 0 ? NULL : words;
}

static void print_mapping(const struct mw_mapping_growth *growth, const char *title, int indent)
{
    char change[MW_FORMAT_SIZE], to[MW_FORMAT_SIZE];
    mw_auto_free char *words = group_words(growth);

    printf("%*s%-10s %s in %s, which has %s now\n", indent, "", title,
           mw_format_change(change, mw_mapping_growth_bytes(growth)), words ? words : "?",
           mw_format_bytes(to, growth->to.resident_bytes + growth->to.swapped_bytes));
}

void print_grown_mappings(const struct grown *grown, const struct mw_process *process, int indent)
{
    int64_t pair_us = last_pair_us(grown, process);
    char from[MW_FORMAT_SIZE], to[MW_FORMAT_SIZE];
    size_t lines = 0;

    for (size_t i = 0; pair_us >= 0 && i < grown->count && lines < MOST_LINES; i++) {
        const struct mw_mapping_growth *growth = &grown->mappings[i];

        if (!is_of(growth, process, pair_us) || mw_mapping_growth_bytes(growth) <= 0)
            continue;
        if (lines++ == 0)
            printf("%*s%-10s looked at after %s and %s:\n", indent, "", "mappings",
                   mw_format_duration(from, growth->from_us * 1000),
                   mw_format_duration(to, growth->to_us * 1000));
        print_mapping(growth, "", indent);
    }
}

static int by_growth(const void *a, const void *b)
{
    const struct mw_function *const *one = a, *const *other = b;
    int64_t first = (*one)->growth_bytes, second = (*other)->growth_bytes;

    return (first < second) - (first > second);
}

/* The functions that memory grew in, most first; the caller frees the array. */
static const struct mw_function **grown_functions(const struct recording *recording,
                                                  size_t *ret_count)
{
    const struct mw_function **functions = calloc(recording->function_count + 1, sizeof *functions);

    *ret_count = 0;
    for (size_t i = 0; functions && i < recording->function_count; i++) {
        if (recording->functions[i].growth_bytes > 0)
            functions[(*ret_count)++] = &recording->functions[i];
    }
    if (functions)
        qsort(functions, *ret_count, sizeof(const struct mw_function *), by_growth);
    return functions;
}

void print_grown_functions(const struct grown *grown, int indent)
{
    size_t count;
    mw_auto_free const struct mw_function **functions = grown_functions(grown->recording, &count);

    for (size_t i = 0; i < count && i < MOST_LINES; i++) {
        char change[MW_FORMAT_SIZE], calls[MW_FORMAT_SIZE];
        mw_auto_free char *name = mw_text_shorten(functions[i]->name, NAME_COLUMNS);

        printf("%*s%-10s %s in %s (%s %s)\n", indent, "", i == 0 ? "functions" : "",
               mw_format_change(change, functions[i]->growth_bytes), name ? name : "?",
               mw_format_count(calls, (int64_t)functions[i]->calls),
               functions[i]->calls == 1 ? "call" : "calls");
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *use_to_json(const struct mw_mapping_use *use)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "mappings", (json_int_t)use->count, "resident_bytes",
                     (json_int_t)use->resident_bytes, "anonymous_bytes",
                     (json_int_t)use->anonymous_bytes, "swapped_bytes",
                     (json_int_t)use->swapped_bytes);
}

json_t *grown_mappings_to_json(const struct grown *grown, const struct mw_process *process)
{
    int64_t pair_us = last_pair_us(grown, process);
    json_t *array = json_array();

    for (size_t i = 0; pair_us >= 0 && i < grown->count; i++) {
        const struct mw_mapping_growth *growth = &grown->mappings[i];

        if (!is_of(growth, process, pair_us))
            continue;
        json_array_append_new(
            array, json_pack("{s:s, s:o, s:f, s:f, s:I, s:o, s:o}", "kind",
                             mw_mapping_kind_name(growth->kind), "name",
                             growth->name ? json_text(growth->name) : json_null(), "from_s",
                             (double)growth->from_us / 1e6, "to_s", (double)growth->to_us / 1e6,
                             "growth_bytes", (json_int_t)mw_mapping_growth_bytes(growth), "before",
                             use_to_json(&growth->from), "after", use_to_json(&growth->to)));
    }
    return array;
}

json_t *grown_functions_to_json(const struct grown *grown)
{
    size_t count;
    mw_auto_free const struct mw_function **functions = grown_functions(grown->recording, &count);
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_function(functions[i]));
    return array;
}
