/* A hash table from pointers to pointers. */
#ifndef MEMWATCH_PYTHON_MAP_H
#define MEMWATCH_PYTHON_MAP_H

#include <stddef.h>

struct map_entry;

/* All zero: empty. */
struct map {
    struct map_entry *entries;
    size_t count, room;
};

/* NULL: there is none. */
void *map_get(const struct map *map, const void *key);

/* Neither may be NULL. 0, or -1 when memory ran out: all is as before. */
int map_set(struct map *map, const void *key, void *value);

/* Returns what it took out, or NULL. */
void *map_remove(struct map *map, const void *key);

#endif
