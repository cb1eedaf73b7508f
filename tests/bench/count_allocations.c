/*
 * Counts a program's heap allocations, thread by thread, for whoever looks on. Loaded with
 * LD_PRELOAD; the file that ALLOCATION_COUNTS names gets pairs of 64-bit numbers in the machine's
 * own order: thread id, allocations so far. Programs that the counted one starts are not counted.
 *
 * glibc alone: its __libc_ names spare us the search for the next malloc, which itself allocates.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS = 64 };

struct count {
    _Atomic uint64_t thread, allocations;
};

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static struct count *counts;
static _Atomic unsigned next_count;
static __thread struct count *mine;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("ALLOCATION_COUNTS");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    void *shared;

    if (fd < 0)
        return; /* there already: this program is one that the counted one has started */
    if (ftruncate(fd, THREADS * sizeof *counts) == 0) {
        shared = mmap(NULL, THREADS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED)
            counts = shared;
    }
    close(fd);
}

static void count(void)
{
    if (!counts)
        return;
    if (!mine) {
        unsigned index = atomic_fetch_add(&next_count, 1);

        mine = &counts[index < THREADS ? index : THREADS - 1];
        atomic_store(&mine->thread, (uint64_t)gettid());
    }
    atomic_fetch_add(&mine->allocations, 1);
}

void *malloc(size_t size)
{
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
    count();
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
    count();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    void *memory;

    count();
    memory = __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *ret_memory = memory;
    return 0;
}
