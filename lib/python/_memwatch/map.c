#include "python/_memwatch/map.h"

#include <stdint.h>
#include <stdlib.h>

struct map_entry {
    const void *key; /* NULL: free */
    void *value;
};

static size_t home(const struct map *map, const void *key)
{
    return (size_t)((uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (map->room - 1);
}

/* Where a key is, or where it would be. There is always a free place. */
static size_t find(const struct map *map, const void *key)
{
    size_t at = home(map, key);

    while (map->entries[at].key && map->entries[at].key != key)
        at = (at + 1) & (map->room - 1);
    return at;
}

void *map_get(const struct map *map, const void *key)
{
    return map->room > 0 ? map->entries[find(map, key)].value : NULL;
}

/* Makes room for twice as many. */
static int grow(struct map *map)
{
    struct map larger = {.count = map->count, .room = map->room > 0 ? map->room * 2 : 64};

    larger.entries = (struct map_entry *)calloc(larger.room, sizeof *larger.entries);
    if (!larger.entries)
        return -1;
    for (size_t i = 0; i < map->room; i++) {
        if (map->entries[i].key)
            larger.entries[find(&larger, map->entries[i].key)] = map->entries[i];
    }
    free(map->entries);
    *map = larger;
    return 0;
}

int map_set(struct map *map, const void *key, void *value)
{
    size_t at;

    if (map->count * 2 >= map->room && grow(map) < 0)
        return -1;
    at = find(map, key);
    if (!map->entries[at].key)
        map->count++;
    map->entries[at] = (struct map_entry){key, value};
    return 0;
}

void *map_remove(struct map *map, const void *key)
{
    size_t hole = map->room > 0 ? find(map, key) : 0;
    void *value = map->room > 0 ? map->entries[hole].value : NULL;

    if (!value)
        return NULL;
    map->count--;
    /* Those behind it that were pushed away from their home come nearer again. */
    for (size_t at = (hole + 1) & (map->room - 1); map->entries[at].key;
         at = (at + 1) & (map->room - 1)) {
        size_t distance = (at - home(map, map->entries[at].key)) & (map->room - 1);

        if (distance >= ((at - hole) & (map->room - 1))) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole] = (struct map_entry){NULL, NULL};
    return value;
}
