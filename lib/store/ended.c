#include "store/ended.h"

#include "util/array.h"

#include <stdlib.h>
#include <string.h>

static const int64_t longest_memory_us = 10000000;

void ended_add(struct ended_list *list, const struct ended *ended)
{
    if (mw_array_reserve(&list->ended, list->count, &list->room, sizeof *list->ended))
        list->ended[list->count++] = *ended;
}

void ended_forget(struct ended_list *list, int64_t now_us)
{
    size_t old = 0;

    while (old < list->count && list->ended[old].end_us < now_us - longest_memory_us)
        old++;
    if (old == 0)
        return;
    list->count -= old;
    memmove(list->ended, list->ended + old, list->count * sizeof *list->ended);
}

struct ended *ended_find(const struct ended_list *list, int pid, int64_t t_us)
{
    for (size_t i = list->count; i > 0; i--) {
        if (list->ended[i - 1].pid == pid && list->ended[i - 1].start_us <= t_us)
            return &list->ended[i - 1];
    }
    return NULL;
}

void ended_clear(struct ended_list *list)
{
    free(list->ended);
    *list = (struct ended_list){0};
}
