/*
 * What the benchmarks record.
 *
 *     bench_target steady SECONDS     holds 64 MiB and sleeps
 *     bench_target changing SECONDS   touches one more page every 0.5 ms, up to 64 MiB and again
 *                                     from the start: each tick of 1 ms sees a value of its own
 *     bench_target work ROUNDS        faults 64 MiB in and gives them back, ROUNDS times, as fast
 *                                     as it can, and prints how many nanoseconds that took
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

enum { PAGE = 4096, PAGES = 16384 };

static char *memory;

static void touch_all(void)
{
    for (size_t i = 0; i < PAGES; i++)
        memory[i * PAGE] = 1;
}

static void drop_all(void)
{
    madvise(memory, (size_t)PAGES * PAGE, MADV_DONTNEED);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void sleep_until(int64_t due_ns)
{
    struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static void stay(int64_t duration_ns)
{
    touch_all();
    sleep_until(now_ns() + duration_ns);
}

static void change(int64_t duration_ns)
{
    int64_t start_ns = now_ns();

    prctl(PR_SET_TIMERSLACK, 1UL);
    for (int64_t i = 0; i * 500000 < duration_ns; i++) {
        if (i % PAGES == 0)
            drop_all();
        memory[i % PAGES * PAGE] = 1;
        sleep_until(start_ns + i * 500000);
    }
}

static void work(int64_t rounds)
{
    int64_t start_ns = now_ns();

    for (int64_t i = 0; i < rounds; i++) {
        touch_all();
        drop_all();
    }
    printf("%" PRId64 "\n", now_ns() - start_ns);
}

int main(int argc, char **argv)
{
    double amount = argc == 3 ? atof(argv[2]) : 0;

    memory = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    madvise(memory, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
    if (amount > 0 && strcmp(argv[1], "steady") == 0)
        stay((int64_t)(amount * 1e9));
    else if (amount > 0 && strcmp(argv[1], "changing") == 0)
        change((int64_t)(amount * 1e9));
    else if (amount > 0 && strcmp(argv[1], "work") == 0)
        work((int64_t)amount);
    else {
        fprintf(stderr, "usage: bench_target steady|changing SECONDS, or work ROUNDS\n");
        return 2;
    }
    return 0;
}
