/*
 * Arrays: their length, and growing ones.
 */
#ifndef MW_UTIL_ARRAY_H
#define MW_UTIL_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* The number of elements of an array (not of a pointer). */
#define MW_COUNT(array) (sizeof(array) / sizeof *(array))

/*
 * Makes room for one more element behind `count` in an array that doubles when it is full. array
 * points to the pointer to the first element, which may move. False when memory ran out: then
 * nothing has changed.
 */
static inline bool mw_array_reserve(void *array, size_t count, size_t *capacity, size_t size)
{
    size_t larger = *capacity ? *capacity * 2 : 16;
    void **elements = array;
    void *grown;

    if (count < *capacity)
        return true;
    grown = reallocarray(*elements, larger, size);
    if (!grown)
        return false;
    *elements = grown;
    *capacity = larger;
    return true;
}

#endif
