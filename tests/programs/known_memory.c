/*
 * Knows at every moment how much memory it has, and says so for a recording to be checked against.
 *
 *     known_memory spikes COUNT SEED
 *         has 8 MB more for 2 ms, or as long as it takes to touch them, COUNT times, 25 to 75 ms
 *         apart
 *     known_memory populated COUNT SEED
 *         the same, but grows in one call, in which the kernel holds the lock of its memory
 *     known_memory truth STEPS SEED
 *         maps, touches and gives back random amounts, STEPS times, and holds each for 0 to 4 ms
 *
 * Prints what CLOCK_MONOTONIC and CLOCK_REALTIME said at one moment; then a line for each spike or
 * step: from when, until when (ns on CLOCK_MONOTONIC), and how many bytes were resident. A spike's
 * time has its growing and shrinking in it, a step's has not. Prints when all is over, and lives on
 * for a while after the last one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, SPIKE_PAGES = 8000000 / PAGE, REGIONS = 12, LARGEST_PAGES = (8 << 20) / PAGE };

struct moment {
    int64_t from_ns, to_ns;
    size_t pages;
};

struct region {
    char *memory; /* NULL: none */
    size_t pages, resident_pages;
};

static uint64_t seed;

static uint64_t random_below(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void sleep_until(int64_t due_ns)
{
    struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static char *map(size_t pages)
{
    char *memory =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        exit(1);
    madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
    return memory;
}

static void touch(char *memory, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        *(volatile char *)(memory + i * PAGE) = 1;
}

/* All that is resident now, in pages. */
static size_t resident_pages(void)
{
    char text[128] = "";
    char *at = text;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        exit(1);
    close(fd);
    strtoul(text, &at, 10);
    return strtoul(at, NULL, 10);
}

/* --- spikes ----------------------------------------------------------------------------------- */

static void spike(struct moment *moment, bool populate)
{
    size_t own_pages = resident_pages();
    char *memory;

    moment->from_ns = now_ns();
    memory = map(SPIKE_PAGES);
    if (!populate)
        touch(memory, SPIKE_PAGES);
    else if (madvise(memory, (size_t)SPIKE_PAGES * PAGE, MADV_POPULATE_WRITE) < 0)
        exit(1);
    sleep_until(moment->from_ns + 2000000);
    munmap(memory, (size_t)SPIKE_PAGES * PAGE);
    moment->to_ns = now_ns();
    moment->pages = own_pages + SPIKE_PAGES;
}

static void make_any_spikes(struct moment *moments, size_t count, bool populate)
{
    int64_t start_ns = now_ns();

    for (size_t i = 0; i < count; i++) {
        sleep_until(start_ns + 50000000 * (int64_t)i + (int64_t)random_below(25000000));
        spike(&moments[i], populate);
    }
}

static void make_spikes(struct moment *moments, size_t count)
{
    make_any_spikes(moments, count, false);
}

static void populate_spikes(struct moment *moments, size_t count)
{
    make_any_spikes(moments, count, true);
}

/* --- steps ------------------------------------------------------------------------------------ */

/* Touches more of a region, which it maps if need be. */
static void grow(struct region *region)
{
    size_t more;

    if (!region->memory) {
        region->pages = 1 + random_below(LARGEST_PAGES);
        region->memory = map(region->pages);
    }
    more = random_below(region->pages - region->resident_pages + 1);
    touch(region->memory + region->resident_pages * PAGE, more);
    region->resident_pages += more;
}

/* Gives back its last pages, or all of it. */
static void shrink(struct region *region)
{
    size_t keep = random_below(region->resident_pages + 1);

    if (!region->memory)
        return;
    if (random_below(2) == 0) {
        munmap(region->memory, region->pages * PAGE);
        *region = (struct region){0};
    } else {
        madvise(region->memory + keep * PAGE, (region->pages - keep) * PAGE, MADV_DONTNEED);
        region->resident_pages = keep;
    }
}

static void take_steps(struct moment *moments, size_t count)
{
    struct region regions[REGIONS] = {0};
    size_t own_pages = resident_pages();

    for (size_t i = 0; i < count; i++) {
        struct region *region = &regions[random_below(REGIONS)];

        if (random_below(2) == 0)
            grow(region);
        else
            shrink(region);
        moments[i] = (struct moment){.from_ns = now_ns(), .pages = own_pages};
        for (size_t j = 0; j < REGIONS; j++)
            moments[i].pages += regions[j].resident_pages;
        sleep_until(moments[i].from_ns + (int64_t)random_below(4000000));
        moments[i].to_ns = now_ns();
    }
    for (size_t i = 0; i < REGIONS; i++) {
        if (regions[i].memory)
            munmap(regions[i].memory, regions[i].pages * PAGE);
    }
}

/* ---------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    void (*live)(struct moment *, size_t) = NULL;
    size_t count = argc == 4 ? (size_t)atol(argv[2]) : 0;
    struct moment *moments;

    if (argc == 4 && strcmp(argv[1], "spikes") == 0)
        live = make_spikes;
    else if (argc == 4 && strcmp(argv[1], "populated") == 0)
        live = populate_spikes;
    else if (argc == 4 && strcmp(argv[1], "truth") == 0)
        live = take_steps;
    if (!live || count == 0) {
        fprintf(stderr, "usage: known_memory spikes|populated COUNT SEED, or truth STEPS SEED\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    moments = (struct moment *)map((count + 40) * sizeof *moments / PAGE + 1);
    touch((char *)moments, (count + 40) * sizeof *moments / PAGE + 1);
    seed = 1;
    live(moments, live == take_steps ? 40 : 1); /* so that it has touched its own code and stack */
    sleep_until(now_ns() + 100000000);
    seed = (uint64_t)atoll(argv[3]) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    live(moments, count);
    sleep_until(now_ns() + 300000000); /* the recorder has asked for the last mark by then */
    printf("%" PRId64 " %" PRId64 "\n", now_ns(), clock_ns(CLOCK_REALTIME));
    for (size_t i = 0; i < count; i++)
        printf("%" PRId64 " %" PRId64 " %zu\n", moments[i].from_ns, moments[i].to_ns,
               moments[i].pages * PAGE);
    return 0;
}
