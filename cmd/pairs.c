#include "cmd/pairs.h"

#include "util/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The functions of one recording in order, of which `next` is the first without a pair. */
struct row {
    const struct mw_function **functions;
    size_t count, next;
};

static const char *file_name(const struct mw_function *function)
{
    const char *file = function->file ? function->file : "", *slash = strrchr(file, '/');

    return slash ? slash + 1 : file;
}

static int compare_places(const void *a, const void *b)
{
    const struct mw_function *first = *(const struct mw_function *const *)a;
    const struct mw_function *second = *(const struct mw_function *const *)b;
    int order = strcmp(first->name, second->name);

    if (order == 0)
        order = strcmp(file_name(first), file_name(second));
    if (order == 0)
        order = (first->line > second->line) - (first->line < second->line);
    return order != 0 ? order : (first->id > second->id) - (first->id < second->id);
}

/* False when memory ran out. */
static bool sort_row(const struct recording *recording, struct row *ret_row)
{
    size_t count = recording->function_count;

    *ret_row = (struct row){calloc(count + 1, sizeof *ret_row->functions), count, 0};
    if (!ret_row->functions)
        return false;
    for (size_t i = 0; i < count; i++)
        ret_row->functions[i] = &recording->functions[i];
    qsort(ret_row->functions, count, sizeof *ret_row->functions, compare_places);
    return true;
}

static const struct mw_function *peek(const struct row *row)
{
    return row->next < row->count ? row->functions[row->next] : NULL;
}

/* Whether the next function is the only one of its name. */
static bool is_only(const struct row *row)
{
    const struct mw_function **at = &row->functions[row->next];

    return (row->next == 0 || strcmp(at[-1]->name, at[0]->name) != 0) &&
           (row->next + 1 == row->count || strcmp(at[1]->name, at[0]->name) != 0);
}

/* Which comes first: below 0 that of a, above 0 that of b; 0 where they are the same function. */
static int compare_next(const struct row *a, const struct row *b)
{
    const struct mw_function *first = peek(a), *second = peek(b);
    int order;

    if (!first || !second)
        return first ? -1 : 1;
    order = strcmp(first->name, second->name);
    if (order != 0 || (is_only(a) && is_only(b)))
        return order;
    return strcmp(file_name(first), file_name(second));
}

static double peak_of(const struct mw_function *function)
{
    return function && function->peak.known ? (double)function->peak.bytes : 0;
}

static int compare_changes(const void *a, const void *b)
{
    const struct function_pair *first = a, *second = b;
    double first_change = fabs(peak_of(first->b) - peak_of(first->a));
    double second_change = fabs(peak_of(second->b) - peak_of(second->a));

    if (first_change != second_change)
        return first_change > second_change ? -1 : 1;
    return strcmp((first->a ? first->a : first->b)->name,
                  (second->a ? second->a : second->b)->name);
}

struct function_pair *pair_functions(const struct recording *a, const struct recording *b,
                                     size_t *ret_count)
{
    struct function_pair *pairs = calloc(a->function_count + b->function_count + 1, sizeof *pairs);
    struct row row_a = {0}, row_b = {0};
    bool sorted = pairs && sort_row(a, &row_a) && sort_row(b, &row_b);
    size_t count = 0;

    while (sorted && (peek(&row_a) || peek(&row_b))) {
        int order = compare_next(&row_a, &row_b);

        if (order <= 0)
            pairs[count].a = row_a.functions[row_a.next++];
        if (order >= 0)
            pairs[count].b = row_b.functions[row_b.next++];
        count++;
    }
    free(row_a.functions);
    free(row_b.functions);
    if (!sorted) {
        free(pairs);
        return NULL;
    }
    qsort(pairs, count, sizeof *pairs, compare_changes);
    *ret_count = count;
    return pairs;
}
