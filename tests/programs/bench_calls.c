/*
 * What the benchmarks of memwatch.h run; prints nanoseconds.
 *
 *     bench_calls timed CALLS    enters a scope so often, in bursts that leave the recorder time:
 *                                those of half the bursts took at most so long
 *     bench_calls memory CALLS   the same, where the scope reads the memory
 *     bench_calls apart CALLS    the same, for a scope that takes half a microsecond, and that is
 *                                half a microsecond away from the next
 *     bench_calls all CALLS      enters the first of these scopes all at once: how long one took
 *     bench_calls exec PROGRAM [ARGS…]   executes it, with the time in BENCH_EXEC_NS
 */
#include <inttypes.h>
#include <memwatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 50 };

/* Not inlined, for tools that trace whole functions. */
__attribute__((noinline)) static void timed(void)
{
    MEMWATCH_TIMED_SCOPE("timed");
    __asm__ volatile("");
}

__attribute__((noinline)) static void reads_memory(void)
{
    MEMWATCH_SCOPE("reads memory");
    __asm__ volatile("");
}

/* Longer than what lets two marks share one reading of the memory. */
__attribute__((no_instrument_function)) static void work(void)
{
    for (volatile int i = 0; i < 1500; i++)
        ;
}

__attribute__((noinline)) static void works(void)
{
    MEMWATCH_SCOPE("works");
    work();
}

__attribute__((no_instrument_function)) static void apart(void)
{
    works();
    work();
}

__attribute__((no_instrument_function)) static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

__attribute__((no_instrument_function)) static double call(void (*function)(void), unsigned calls)
{
    uint64_t begin = now_ns();

    for (unsigned i = 0; i < calls; i++)
        function();
    return (double)(now_ns() - begin) / calls;
}

__attribute__((no_instrument_function)) static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

__attribute__((no_instrument_function)) static double call_in_bursts(void (*function)(void),
                                                                     unsigned calls)
{
    static const struct timespec pause = {0, 1000000};
    size_t count = calls / BURST;
    double *bursts = calloc(count, sizeof *bursts), middle;

    if (!bursts || count == 0)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        nanosleep(&pause, NULL);
        bursts[i] = call(function, BURST);
    }
    qsort(bursts, count, sizeof *bursts, compare);
    middle = bursts[count / 2];
    free(bursts);
    return middle;
}

static int exec_timed(char **command)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, now_ns());
    setenv("BENCH_EXEC_NS", text, 1);
    execvp(command[0], command);
    perror(command[0]);
    return 127;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 2 ? argv[1] : "";
    unsigned calls = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

    if (strcmp(kind, "exec") == 0)
        return exec_timed(argv + 2);
    if (calls == 0)
        return 2;
    if (strcmp(kind, "timed") == 0)
        printf("%f\n", call_in_bursts(timed, calls));
    else if (strcmp(kind, "memory") == 0)
        printf("%f\n", call_in_bursts(reads_memory, calls));
    else if (strcmp(kind, "apart") == 0)
        printf("%f\n", call_in_bursts(apart, calls));
    else
        printf("%f\n", call(timed, calls));
    return 0;
}
