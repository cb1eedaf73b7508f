/*
 * Reads numbers, starts that many threads for each, and answers with the bytes that glibc's
 * allocator says are in use. A thread takes blocks of many sizes and returns all but one, which
 * lives until the next thread in its place starts: as a result that somebody reads meanwhile.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 2000, MOST_THREADS = 64 };

static void *results[MOST_THREADS];
static atomic_uint started;

static void *burst(void *argument)
{
    static _Thread_local void *blocks[BLOCKS];
    void **result = argument;
    free(*result);
    unsigned state = atomic_fetch_add(&started, 1) * 2654435761u;
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = 64 + (size_t)rand_r(&state) % 2000;
        blocks[i] = malloc(size);
        if (!blocks[i])
            abort();
        memset(blocks[i], 1, size);
    }
    int kept = rand_r(&state) % BLOCKS;
    for (int i = 0; i < BLOCKS; i++)
        if (i != kept)
            free(blocks[i]);
    *result = blocks[kept];
    return NULL;
}

int main(void)
{
    long count;
    while (scanf("%ld", &count) == 1) {
        pthread_t threads[MOST_THREADS];
        if (count > MOST_THREADS)
            count = MOST_THREADS;
        for (long i = 0; i < count; i++)
            if (pthread_create(&threads[i], NULL, burst, &results[i]))
                abort();
        for (long i = 0; i < count; i++)
            pthread_join(threads[i], NULL);
        struct mallinfo2 info = mallinfo2();
        printf("%zu\n", info.uordblks + info.hblkhd);
        fflush(stdout);
    }
    return 0;
}
