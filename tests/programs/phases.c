/*
 * Marks its functions for memwatch: three rounds that load 30 MB and sort them.
 *
 *     cc -O2 -D_GNU_SOURCE -o phases phases.c && memwatch run ./phases && memwatch plot
 */
#include <memwatch.h>
#include <stdlib.h>

enum { NUMBERS = 30 * 1000 * 1000 / sizeof(int) };

static int compare(const void *a, const void *b)
{
    int first = *(const int *)a, second = *(const int *)b;

    return (first > second) - (first < second);
}

static int *load(void)
{
    int *numbers = malloc(NUMBERS * sizeof *numbers);
    MEMWATCH_SCOPE("load");

    for (size_t i = 0; numbers && i < NUMBERS; i++)
        numbers[i] = rand();
    return numbers;
}

static void sort(int *numbers)
{
    MEMWATCH_SCOPE("sort");

    qsort(numbers, NUMBERS / 8, sizeof *numbers, compare);
}

int main(void)
{
    for (int i = 0; i < 3; i++) {
        MEMWATCH_SCOPE("round");
        int *numbers = load();

        if (!numbers)
            return 1;
        sort(numbers);
        free(numbers);
    }
    MEMWATCH_POINT("done");
    return 0;
}
