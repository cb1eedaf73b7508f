/*
 * Hash tables of what is known of processes, and of their tracks. Private to calls.c.
 *
 * An element is a struct that begins with a struct mw_element. Those that are dropped are kept for
 * later: a table that does not grow allocates nothing.
 */
#ifndef MW_RECORD_TABLE_H
#define MW_RECORD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an element is found by. */
struct mw_key {
    int64_t pid, track;
};

struct mw_element {
    struct mw_key key;
    struct mw_element *next; /* of the same place, or dropped as well */
};

struct mw_table {
    struct mw_element **places;
    size_t count, place_count; /* of places: a power of two */
    size_t size;               /* of an element */
    struct mw_element *dropped;
};

/* For elements of a size. False when memory ran out. */
bool mw_table_init(struct mw_table *table, size_t size);

/* Frees all elements, those that were dropped too; clear frees what one owns. All zero is fine. */
void mw_table_clear(struct mw_table *table, void (*clear)(void *element));

/* NULL where there is none. */
void *mw_table_find(const struct mw_table *table, struct mw_key key);

/*
 * Adds an element that is not in the table yet: it is as one was when it was dropped, or all zero.
 * NULL when memory ran out.
 */
void *mw_table_add(struct mw_table *table, struct mw_key key);

void mw_table_drop(struct mw_table *table, void *element);

/* The element behind another, or the first behind NULL; NULL behind the last. */
void *mw_table_next(const struct mw_table *table, const void *element);

#endif
