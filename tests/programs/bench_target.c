/*
 * What the benchmarks record.
 *
 *     bench_target steady SECONDS     holds 64 MiB and sleeps
 *     bench_target changing SECONDS   touches one more page every 0.5 ms, up to 64 MiB and again
 *                                     from the start: each tick of 1 ms sees a value of its own
 *     bench_target work ROUNDS        faults 64 MiB in and gives them back, ROUNDS times, as fast
 *                                     as it can, and prints how many nanoseconds that took
 *     bench_target compute ROUNDS     prints its pid, waits for a line, and computes ROUNDS times
 *                                     (about 1 ms each) without a system call; prints the same
 *     bench_target spin SECONDS       keeps one CPU busy
 *     bench_target family SECONDS     is 100 processes, each of which holds 1 MiB and sleeps
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 16384, FAMILY = 100, FAMILY_PAGES = 256, WORDS = 32768 };

static char *memory;

static void touch(size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        memory[i * PAGE] = 1;
}

static void touch_all(void)
{
    touch(PAGES);
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

/* Works on 256 KiB, so that caches which a recorder has emptied are part of what it costs. */
static void compute(int64_t rounds)
{
    uint64_t *words = (uint64_t *)(void *)memory;
    uint64_t sum = 1;
    int64_t start_ns;

    touch_all();
    printf("%d\n", (int)getpid());
    fflush(stdout);
    if (getchar() == EOF)
        return;
    start_ns = now_ns();
    for (int64_t i = 0; i < rounds * 28; i++) {
        for (size_t j = 0; j < WORDS; j++)
            words[j] = sum = sum * UINT64_C(0x9e3779b97f4a7c15) + words[j];
    }
    printf("%" PRId64 "\n", now_ns() - start_ns);
}

static void spin(int64_t duration_ns)
{
    int64_t end_ns = now_ns() + duration_ns;

    while (now_ns() < end_ns)
        ;
}

static void live_as_family(int64_t duration_ns)
{
    int64_t end_ns = now_ns() + duration_ns;

    for (int i = 1; i < FAMILY; i++) {
        if (fork() != 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        touch(FAMILY_PAGES);
        sleep_until(end_ns);
        _exit(0);
    }
    touch(FAMILY_PAGES);
    sleep_until(end_ns);
    while (wait(NULL) > 0)
        ;
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
    else if (amount > 0 && strcmp(argv[1], "compute") == 0)
        compute((int64_t)amount);
    else if (amount > 0 && strcmp(argv[1], "spin") == 0)
        spin((int64_t)(amount * 1e9));
    else if (amount > 0 && strcmp(argv[1], "family") == 0)
        live_as_family((int64_t)(amount * 1e9));
    else {
        fprintf(stderr, "usage: bench_target steady|changing|spin|family SECONDS,"
                        " or work|compute ROUNDS\n");
        return 2;
    }
    return 0;
}
