#include "record/table.h"

#include <stdlib.h>

enum { FIRST_PLACES = 64 };

static struct mw_element **place_of(const struct mw_table *table, struct mw_key key)
{
    uint64_t hash = ((uint64_t)key.pid << 32 ^ (uint64_t)key.track) * UINT64_C(0x9E3779B97F4A7C15);

    return &table->places[(size_t)(hash >> 32) & (table->place_count - 1)];
}

static void hash(struct mw_table *table, struct mw_element *element)
{
    struct mw_element **at = place_of(table, element->key);

    element->next = *at;
    *at = element;
}

bool mw_table_init(struct mw_table *table, size_t size)
{
    *table = (struct mw_table){.place_count = FIRST_PLACES, .size = size};
    table->places = calloc(FIRST_PLACES, sizeof(struct mw_element *));
    return table->places;
}

static void free_elements(struct mw_element *element, void (*clear)(void *element))
{
    while (element) {
        struct mw_element *next = element->next;

        clear(element);
        free(element);
        element = next;
    }
}

void mw_table_clear(struct mw_table *table, void (*clear)(void *element))
{
    for (size_t i = 0; table->places && i < table->place_count; i++)
        free_elements(table->places[i], clear);
    free_elements(table->dropped, clear);
    free(table->places);
    *table = (struct mw_table){0};
}

void *mw_table_find(const struct mw_table *table, struct mw_key key)
{
    struct mw_element *element = *place_of(table, key);

    while (element && (element->key.pid != key.pid || element->key.track != key.track))
        element = element->next;
    return element;
}

/* A table that is full is twice as large afterwards, where there is the memory. */
static void grow(struct mw_table *table)
{
    struct mw_table larger = *table;

    larger.place_count *= 2;
    larger.places = calloc(larger.place_count, sizeof(struct mw_element *));
    if (!larger.places)
        return;
    for (size_t i = 0; i < table->place_count; i++) {
        for (struct mw_element *element = table->places[i], *next; element; element = next) {
            next = element->next;
            hash(&larger, element);
        }
    }
    free(table->places);
    *table = larger;
}

void *mw_table_add(struct mw_table *table, struct mw_key key)
{
    struct mw_element *element = table->dropped;

    if (element)
        table->dropped = element->next;
    else if (!(element = calloc(1, table->size)))
        return NULL;
    element->key = key;
    if (table->count++ >= table->place_count)
        grow(table);
    hash(table, element);
    return element;
}

void mw_table_drop(struct mw_table *table, void *element)
{
    struct mw_element *dropped = element, **at = place_of(table, dropped->key);

    while (*at != dropped)
        at = &(*at)->next;
    *at = dropped->next;
    dropped->next = table->dropped;
    table->dropped = dropped;
    table->count--;
}

void *mw_table_next(const struct mw_table *table, const void *element)
{
    const struct mw_element *before = element;
    struct mw_element **place = before ? place_of(table, before->key) + 1 : table->places;

    if (before && before->next)
        return before->next;
    while (place < table->places + table->place_count && !*place)
        place++;
    return place < table->places + table->place_count ? *place : NULL;
}
