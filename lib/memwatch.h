/*
 * memwatch.h: marks functions and blocks of a C or C++ program, so that `memwatch run PROGRAM`
 * tells how often each was called, how long it took, and how much memory it needed.
 *
 *     void load(void)
 *     {
 *         MEMWATCH_SCOPE("load");          from here to the end of the block
 *         …
 *     }
 *
 *     MEMWATCH_ENTER("phase 1");           where blocks do not fit
 *     …
 *     MEMWATCH_EXIT("phase 1");            the same name, in the same file
 *
 *     MEMWATCH_POINT("loaded");            a moment
 *
 * Names are string literals. The memory of the process is read at entry and exit, which takes one
 * or two microseconds each (marks so close to each other that nothing can have changed share one
 * reading); MEMWATCH_TIMED_SCOPE leaves that out and takes 0.1 us. Threads, fork and C++
 * exceptions are fine; signal handlers must not mark. A program that does not run below memwatch
 * pays a comparison a mark; -DMEMWATCH_DISABLE takes them out altogether.
 *
 * Header-only: GCC or Clang on Linux, C99 or C++98 with GNU extensions; link with -pthread where
 * the C library wants it. Errors have no effect on the program: marks that find no room are counted
 * by the recorder.
 */
#ifndef MEMWATCH_H
#define MEMWATCH_H

#if !defined(_GNU_SOURCE) && !defined(MEMWATCH_DISABLE)
#error                                                                                             \
    "memwatch.h needs _GNU_SOURCE: define it before the first #include, or compile with -std=gnu11"
#endif

/* What follows the error would only bury it. */
#if !defined(_GNU_SOURCE) || defined(MEMWATCH_DISABLE)

#define MEMWATCH_SCOPE(name) ((void)0)
#define MEMWATCH_TIMED_SCOPE(name) ((void)0)
#define MEMWATCH_ENTER(name) ((void)0)
#define MEMWATCH_EXIT(name) ((void)0)
#define MEMWATCH_POINT(name) ((void)0)

#else

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __has_include
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define MEMWATCH_KNOWS_THREADS_
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- the channel ------------------------------------------------------------------------------
 *
 * A file in memory that the recorder has made, and that the variable MEMWATCH_MARKS names:
 * a head, a table of names, and a ring for each thread that marks. Whoever has a ring is the only
 * one to write into it, and the recorder the only one to read: no locks. A mark counts from the
 * moment in which the ring's head moves over it, so one that was being written when its process was
 * killed is none. Everything below ends with an underscore and may change with the version.
 */

enum {
    MEMWATCH_VERSION_ = 2,
    MEMWATCH_LANES_ = 256,       /* threads that mark at the same time */
    MEMWATCH_SLOTS_ = 8192,      /* of a ring, a power of two */
    MEMWATCH_NAMES_ = 16384,     /* places in the table of names, a power of two */
    MEMWATCH_TEXT_ = 1024 * 1024 /* bytes for names */
};

enum memwatch_kind_ {
    MEMWATCH_KIND_ENTER_,
    MEMWATCH_KIND_EXIT_,
    MEMWATCH_KIND_POINT_,
    MEMWATCH_KIND_SUSPEND_,
    MEMWATCH_KIND_RESUME_,
    MEMWATCH_KIND_EXECUTED_,
    MEMWATCH_KIND_RESET_
};

#define MEMWATCH_UNREAD_ UINT32_MAX

struct memwatch_mark_ {
    uint64_t t_ns; /* CLOCK_MONOTONIC */
    uint32_t name; /* where it stands in the text; 0: there was no room for it */
    uint32_t kind;
    uint32_t track; /* 0: of its thread; else a task or generator of the process */
    uint32_t resident_kib;
    uint32_t window_kib; /* high-water mark since the last reset */
    uint32_t blind_us;   /* after reading it, in which other threads were not seen; 0: none are */
};

/* Who has a ring, and how far it is filled. Head and tail have cache lines of their own. */
struct memwatch_lane_ {
    uint64_t owner;   /* pid << 32 | tid; 0: free */
    uint64_t leaving; /* its thread has ended: it is free once it is empty */
    uint64_t lost;    /* marks that found no room */
    uint64_t stalled; /* its owner has waited in vain while tail was this less one */
    uint64_t image;   /* of the program that its owner ran */
    uint64_t pad_to_line[3];
    uint64_t head; /* marks ever written; moved by the owner */
    uint64_t pad_to_next_line[7];
    uint64_t tail; /* marks ever taken; moved by the recorder */
    uint64_t pad_to_last_line[7];
};

/* In the text: followed by the name and the file, each with its terminator. */
struct memwatch_name_ {
    uint32_t line;
    uint32_t name_length, file_length; /* without terminators */
};

struct memwatch_channel_ {
    char magic[8];
    uint32_t version;
    uint32_t size_kib;
    uint32_t reads_memory; /* marks are to read it */
    uint32_t resets;       /* and to reset the high-water mark */
    uint32_t wake;         /* a futex: moves when there is much to take */
    uint32_t names_used;   /* not much more than three quarters: none is searched for long */
    uint32_t text_used;
    uint32_t lanes_used;             /* no ring beyond these was ever claimed */
    uint32_t closed;                 /* the recorder takes no more */
    uint64_t taken;                  /* marks ever taken, of all rings */
    uint64_t lost;                   /* marks of threads that found no ring */
    uint32_t names[MEMWATCH_NAMES_]; /* a hash table of places in the text; 0: empty */
    char text[MEMWATCH_TEXT_];
    struct memwatch_lane_ lanes[MEMWATCH_LANES_];
    /* From here on there is memory only where a thread has asked for it. */
    struct memwatch_mark_ slots[MEMWATCH_LANES_][MEMWATCH_SLOTS_];
};

#define MEMWATCH_MAGIC_ "mwmarks"

/* What is marked: one a place in the source. */
struct memwatch_site_ {
    const char *name, *file;
    uint32_t line;
    uint32_t place; /* in the text; 0: not looked up yet, 1: there was no room */
};

/* An open file, and what tells that the descriptor is still ours. */
struct memwatch_file_ {
    int fd;
    struct stat file;
};

struct memwatch_state_ {
    int status; /* 0: not known yet, 1: there is a channel, -1: there is none */
    struct memwatch_channel_ *channel;
    struct memwatch_file_ statm, self_status, clear_refs;
    uint64_t floor_kib; /* ru_maxrss that stays from an earlier program */
    uint64_t open_ns;   /* when it was opened, and the high-water mark reset for the first time */
    uint32_t open_kib;  /* what that said; 0: it is told already */
    uint32_t open_blind_us;
    uint64_t image;      /* a number that is another one after each exec */
    uint32_t *is_opener; /* 0 in a child that was made without a word to us; NULL: nobody tells */
    uint32_t page_kib;
    pthread_key_t key; /* its destructor gives the ring back */
};

/* The memory that a thread has read, and used for a mark at last. */
struct memwatch_reading_ {
    uint64_t read_ns, used_ns;
    uint32_t resident_kib;
    uint32_t window_kib; /* the high-water mark from then on: what was resident, or unread */
};

/* One for the whole program, in however many files the header is included. */
__attribute__((weak, visibility("default"))) struct memwatch_state_ memwatch_state_;
__attribute__((weak, visibility("default"))) pthread_once_t memwatch_once_ = PTHREAD_ONCE_INIT;
__attribute__((weak, visibility("default"))) __thread struct memwatch_lane_ *memwatch_lane_;
__attribute__((weak, visibility("default"))) __thread struct memwatch_reading_ memwatch_reading_;

/* --- opening ---------------------------------------------------------------------------------- */

static inline uint64_t memwatch_now_ns_(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A descriptor far from those that programs count on, which exec closes. */
static inline struct memwatch_file_ memwatch_open_(const char *path, int flags)
{
    struct memwatch_file_ opened;
    int moved;

    opened.fd = open(path, flags | O_CLOEXEC);
    moved = opened.fd < 0 ? -1 : fcntl(opened.fd, F_DUPFD_CLOEXEC, 200);
    if (moved >= 0) {
        close(opened.fd);
        opened.fd = moved;
    }
    if (opened.fd >= 0 && fstat(opened.fd, &opened.file) < 0) {
        close(opened.fd);
        opened.fd = -1;
    }
    return opened;
}

static inline int memwatch_is_ours_(const struct memwatch_file_ *opened)
{
    struct stat now;

    return opened->fd >= 0 && fstat(opened->fd, &now) == 0 && now.st_dev == opened->file.st_dev &&
           now.st_ino == opened->file.st_ino;
}

static inline void memwatch_close_(struct memwatch_file_ *opened)
{
    if (memwatch_is_ours_(opened))
        close(opened->fd);
    opened->fd = -1;
}

static inline uint64_t memwatch_max_rss_kib_(void)
{
    struct rusage usage;

    /* Of the whole process as well, and with less to add up. */
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_maxrss : 0;
}

/* VmHWM, for those of whom ru_maxrss tells less. */
static inline uint32_t memwatch_high_water_kib_(struct memwatch_state_ *state)
{
    char text[4096], *line;
    ssize_t length = pread(state->self_status.fd, text, sizeof text - 1, 0);

    if (length <= 0)
        return MEMWATCH_UNREAD_;
    text[length] = '\0';
    line = strstr(text, "VmHWM:");
    return line ? (uint32_t)strtoul(line + 6, NULL, 10) : MEMWATCH_UNREAD_;
}

/* A time in which other threads may have done what nobody has seen; 0: there are none. */
static inline uint32_t memwatch_blind_us_(uint64_t from_ns, uint64_t to_ns)
{
    uint64_t us = (to_ns - from_ns) / 1000 + 1;

#ifdef MEMWATCH_KNOWS_THREADS_
    if (__libc_single_threaded)
        return 0;
#endif
    return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/*
 * Whatever a program before this one had stays in ru_maxrss, and hides smaller marks: so it is
 * reset once. What it said until then is told with the first mark.
 */
static inline void memwatch_reset_first_(struct memwatch_state_ *state)
{
    uint32_t kib = memwatch_high_water_kib_(state);

    if (kib == MEMWATCH_UNREAD_ || write(state->clear_refs.fd, "5", 1) != 1)
        return;
    state->floor_kib = memwatch_max_rss_kib_();
    state->open_blind_us = memwatch_blind_us_(state->open_ns, memwatch_now_ns_());
    __atomic_store_n(&state->open_kib, kib, __ATOMIC_RELEASE);
}

static inline void memwatch_open_self_(struct memwatch_state_ *state)
{
    state->statm = memwatch_open_("/proc/self/statm", O_RDONLY);
    state->self_status = memwatch_open_("/proc/self/status", O_RDONLY);
    state->clear_refs = memwatch_open_("/proc/self/clear_refs", O_WRONLY);
    state->floor_kib = state->open_kib = 0;
    state->open_ns = memwatch_now_ns_();
    if (state->clear_refs.fd >= 0 && state->channel->resets)
        memwatch_reset_first_(state);
}

/* In a child after fork: the rings, and the descriptors of /proc/self, are its parent's. */
static inline void memwatch_after_fork_(void)
{
    struct memwatch_state_ *state = &memwatch_state_;

    memwatch_lane_ = NULL;
    if (state->is_opener)
        *state->is_opener = 1;
    if (state->status <= 0)
        return;
    pthread_setspecific(state->key, NULL);
    memwatch_close_(&state->statm);
    memwatch_close_(&state->clear_refs);
    memwatch_close_(&state->self_status);
    memwatch_open_self_(state);
}

static inline void memwatch_leave_(void *lane)
{
    memwatch_lane_ = NULL;
    __atomic_store_n(&((struct memwatch_lane_ *)lane)->leaving, 1, __ATOMIC_RELEASE);
}

static inline int memwatch_map_(struct memwatch_state_ *state, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat file;
    void *pages = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_uid == geteuid() &&
        (uint64_t)file.st_size >= sizeof(struct memwatch_channel_))
        pages =
            mmap(NULL, sizeof(struct memwatch_channel_), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (pages == MAP_FAILED)
        return -1;
    state->channel = (struct memwatch_channel_ *)pages;
    return memcmp(state->channel->magic, MEMWATCH_MAGIC_, sizeof state->channel->magic) == 0 &&
                   state->channel->version == MEMWATCH_VERSION_
               ? 0
               : -1;
}

/* The destructor of the key must stay where it is, also when the library that has it is unloaded.
 */
static inline void memwatch_stay_loaded_(void)
{
    Dl_info library;

    if (dladdr((void *)(uintptr_t)memwatch_leave_, &library) && library.dli_fname)
        dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Memory that is zero in every child, also in one that clone(2) or _Fork has made. */
static inline uint32_t *memwatch_tell_children_(void)
{
    enum { WIPE_ON_FORK = 18 }; /* MADV_WIPEONFORK, of Linux 4.14 */
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, size, WIPE_ON_FORK) < 0) {
        munmap(page, size);
        return NULL;
    }
    *(uint32_t *)page = 1;
    return (uint32_t *)page;
}

/* Out of the random bytes that exec gives to each program. */
static inline uint64_t memwatch_image_(void)
{
    const unsigned char *random = (const unsigned char *)(uintptr_t)getauxval(AT_RANDOM);
    uint64_t hash = 14695981039346656037u;

    for (int i = 0; random && i < 16; i++)
        hash = (hash ^ random[i]) * 1099511628211u;
    return hash;
}

static inline void memwatch_start_(void)
{
    struct memwatch_state_ *state = &memwatch_state_;
    const char *path = secure_getenv("MEMWATCH_MARKS");
    int saved_errno = errno, status = -1, cancel_state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);

    state->statm.fd = state->self_status.fd = state->clear_refs.fd = -1;
    state->page_kib = (uint32_t)(sysconf(_SC_PAGESIZE) / 1024);
    state->image = memwatch_image_();
    if (path && *path && memwatch_map_(state, path) == 0 &&
        pthread_key_create(&state->key, memwatch_leave_) == 0 &&
        pthread_atfork(NULL, NULL, memwatch_after_fork_) == 0) {
        memwatch_stay_loaded_();
        state->is_opener = memwatch_tell_children_();
        memwatch_open_self_(state);
        status = 1;
    }
    __atomic_store_n(&state->status, status, __ATOMIC_RELEASE);
    pthread_setcancelstate(cancel_state, NULL);
    errno = saved_errno;
}

static inline struct memwatch_mark_ *memwatch_slots_(struct memwatch_channel_ *channel,
                                                     const struct memwatch_lane_ *lane)
{
    return channel->slots[lane - channel->lanes];
}

/* Asks for the memory of a ring, so that a lack of it is an error here and kills nobody later. */
static inline int memwatch_reserve_(struct memwatch_state_ *state,
                                    const struct memwatch_lane_ *lane)
{
    enum { POPULATE_WRITE = 23 }; /* MADV_POPULATE_WRITE, of Linux 5.14 */
    uintptr_t page = (uintptr_t)state->page_kib * 1024;
    uintptr_t from = (uintptr_t)memwatch_slots_(state->channel, lane);
    uintptr_t to = from + sizeof state->channel->slots[0];
    int code;

    from &= ~(page - 1);
    do {
        code = madvise((void *)from, to - from, POPULATE_WRITE);
    } while (code < 0 && errno == EINTR);
    return code;
}

/* Process and thread as /proc calls them, which is as the recorder does, also in a container. */
static inline uint64_t memwatch_who_am_i_(void)
{
    char link[64];
    ssize_t length = readlink("/proc/thread-self", link, sizeof link - 1);
    char *rest;
    uint64_t pid, tid;

    if (length <= 0)
        return (uint64_t)getpid() << 32 | (uint64_t)(uint32_t)syscall(SYS_gettid);
    link[length] = '\0';
    pid = strtoul(link, &rest, 10);
    rest = strrchr(rest, '/');
    tid = rest ? strtoul(rest + 1, NULL, 10) : pid;
    return pid << 32 | tid;
}

/* Takes a ring: a free one, or the one that this thread had before it executed this program. */
static inline int memwatch_take_lane_(struct memwatch_state_ *state, struct memwatch_lane_ *lane,
                                      uint64_t me)
{
    uint64_t owner = __atomic_load_n(&lane->owner, __ATOMIC_ACQUIRE);

    if (owner == me) {
        __atomic_store_n(&lane->leaving, 0, __ATOMIC_RELEASE);
        return 1;
    }
    if (owner != 0 || !__atomic_compare_exchange_n(&lane->owner, &owner, me, 0, __ATOMIC_ACQ_REL,
                                                   __ATOMIC_RELAXED))
        return 0;
    lane->image = state->image;
    return 1;
}

/* Takes a free ring for this thread; NULL when there is none. */
static inline struct memwatch_lane_ *memwatch_claim_(struct memwatch_state_ *state)
{
    uint64_t me = memwatch_who_am_i_();

    for (uint32_t i = 0; i < MEMWATCH_LANES_; i++) {
        struct memwatch_lane_ *lane = &state->channel->lanes[i];

        if (!memwatch_take_lane_(state, lane, me))
            continue;
        if (memwatch_reserve_(state, lane) < 0 || pthread_setspecific(state->key, lane) != 0) {
            __atomic_store_n(&lane->owner, 0, __ATOMIC_RELEASE);
            return NULL;
        }
        for (uint32_t used = __atomic_load_n(&state->channel->lanes_used, __ATOMIC_RELAXED);
             used <= i && !__atomic_compare_exchange_n(&state->channel->lanes_used, &used, i + 1, 0,
                                                       __ATOMIC_RELEASE, __ATOMIC_RELAXED);)
            ;
        memwatch_lane_ = lane;
        return lane;
    }
    return NULL;
}

/* --- names ------------------------------------------------------------------------------------ */

static inline uint32_t memwatch_hash_(const struct memwatch_site_ *site)
{
    uint32_t hash = 2166136261u;

    for (const char *at = site->name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    for (const char *at = site->file; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return hash;
}

static inline int memwatch_is_name_(const struct memwatch_channel_ *channel, uint32_t place,
                                    const struct memwatch_site_ *site)
{
    const struct memwatch_name_ *entry = (const struct memwatch_name_ *)(channel->text + place);
    const char *text = (const char *)(entry + 1);

    return strcmp(text, site->name) == 0 && strcmp(text + entry->name_length + 1, site->file) == 0;
}

/* Writes a name behind the others; returns its place, or 0 when there is no room. */
static inline uint32_t memwatch_write_name_(struct memwatch_channel_ *channel,
                                            const struct memwatch_site_ *site)
{
    size_t name_length = strlen(site->name), file_length = strlen(site->file);
    size_t size = sizeof(struct memwatch_name_) + name_length + file_length + 2;
    struct memwatch_name_ *entry;
    uint32_t place;

    size = (size + 7) & ~(size_t)7;
    if (size > MEMWATCH_TEXT_ / 16 ||
        __atomic_load_n(&channel->names_used, __ATOMIC_RELAXED) >= MEMWATCH_NAMES_ / 4 * 3)
        return 0;
    place = __atomic_fetch_add(&channel->text_used, (uint32_t)size, __ATOMIC_RELAXED);
    if (place + size > MEMWATCH_TEXT_) {
        __atomic_fetch_sub(&channel->text_used, (uint32_t)size, __ATOMIC_RELAXED);
        return 0;
    }
    __atomic_fetch_add(&channel->names_used, 1, __ATOMIC_RELAXED);
    entry = (struct memwatch_name_ *)(channel->text + place);
    entry->line = site->line;
    entry->name_length = (uint32_t)name_length;
    entry->file_length = (uint32_t)file_length;
    memcpy(entry + 1, site->name, name_length + 1);
    memcpy((char *)(entry + 1) + name_length + 1, site->file, file_length + 1);
    return place;
}

/* The place of a name, which all processes share; 0 when there is no room. */
static inline uint32_t memwatch_find_name_(struct memwatch_channel_ *channel,
                                           const struct memwatch_site_ *site)
{
    uint32_t written = 0, hash = memwatch_hash_(site);

    for (uint32_t i = 0; i < MEMWATCH_NAMES_; i++) {
        uint32_t *slot = &channel->names[(hash + i) % MEMWATCH_NAMES_];
        uint32_t place = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

        if (place == 0) {
            if (written == 0 && (written = memwatch_write_name_(channel, site)) == 0)
                return 0;
            if (__atomic_compare_exchange_n(slot, &place, written, 0, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE))
                return written;
        }
        if (memwatch_is_name_(channel, place, site))
            return place;
    }
    return 0;
}

/* --- reading memory --------------------------------------------------------------------------- */

/* The second number of statm, in KiB. */
static inline uint32_t memwatch_resident_kib_(struct memwatch_state_ *state)
{
    char text[128];
    ssize_t length = pread(state->statm.fd, text, sizeof text - 1, 0);
    char *rest;
    unsigned long pages;

    if (length <= 0) /* the program has closed it, with all its descriptors perhaps */
        return MEMWATCH_UNREAD_;
    text[length] = '\0';
    strtoul(text, &rest, 10);
    pages = strtoul(rest, &rest, 10);
    /* Of a process whose first thread has ended it says 0. */
    return *rest == ' ' && pages > 0 ? (uint32_t)(pages * state->page_kib) : MEMWATCH_UNREAD_;
}

/* The high-water mark since it was last reset, and resets it where that is of use. */
static inline void memwatch_take_window_(struct memwatch_state_ *state, struct memwatch_mark_ *mark)
{
    uint64_t max_kib, read_ns = memwatch_now_ns_();

    max_kib = memwatch_max_rss_kib_();
    mark->window_kib = max_kib > state->floor_kib || max_kib <= mark->resident_kib
                           ? (uint32_t)max_kib
                           : memwatch_high_water_kib_(state);
    /* Where the process has as much as its mark, that is the mark of the time to come as well. */
    if (mark->window_kib == MEMWATCH_UNREAD_ || mark->window_kib <= mark->resident_kib)
        return;
    if (!memwatch_is_ours_(&state->clear_refs) || write(state->clear_refs.fd, "5", 1) != 1) {
        mark->window_kib = MEMWATCH_UNREAD_;
        return;
    }
    mark->blind_us = memwatch_blind_us_(read_ns, memwatch_now_ns_());
}

/*
 * A page fault takes longer than QUICK: between two marks so close to each other a thread has not
 * changed its memory. For so long as FRESH nobody asks what other threads do.
 */
enum { MEMWATCH_QUICK_NS_ = 250, MEMWATCH_FRESH_NS_ = 10000 };

/*
 * Reads the memory, or repeats what the thread has read for its mark just before. The mark has the
 * time of now; returns that of the end.
 */
static inline uint64_t memwatch_read_memory_(struct memwatch_state_ *state,
                                             struct memwatch_mark_ *mark)
{
    struct memwatch_reading_ *last = &memwatch_reading_;
    uint64_t now_ns = mark->t_ns;

    if (now_ns - last->used_ns < MEMWATCH_QUICK_NS_ &&
        now_ns - last->read_ns < MEMWATCH_FRESH_NS_) {
        mark->resident_kib = last->resident_kib;
        mark->window_kib = last->window_kib;
        mark->blind_us = memwatch_blind_us_(last->read_ns, now_ns);
        last->used_ns = now_ns;
        return now_ns;
    }
    mark->resident_kib = memwatch_resident_kib_(state);
    if (mark->resident_kib == MEMWATCH_UNREAD_)
        return memwatch_now_ns_();
    if (state->channel->resets)
        memwatch_take_window_(state, mark);
    last->read_ns = now_ns;
    last->used_ns = memwatch_now_ns_();
    last->resident_kib = mark->resident_kib;
    last->window_kib = mark->window_kib == MEMWATCH_UNREAD_ ? MEMWATCH_UNREAD_ : mark->resident_kib;
    return last->used_ns;
}

/* --- marking ---------------------------------------------------------------------------------- */

static inline void memwatch_wake_(struct memwatch_channel_ *channel)
{
    __atomic_fetch_add(&channel->wake, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &channel->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/*
 * Waits for the recorder to take marks out of a full ring: a tenth of a second, in which it also
 * gets on with a slow disk, and as long as it takes any, for those of other rings that are older
 * come first. Once in vain: should the recorder be gone, the program is not held up at every mark.
 */
static inline int memwatch_wait_for_room_(struct memwatch_state_ *state,
                                          struct memwatch_lane_ *lane)
{
    enum { PATIENCE = 500, MOST_PATIENCE = 5000 };
    uint64_t tail = __atomic_load_n(&lane->tail, __ATOMIC_ACQUIRE);
    uint64_t taken = __atomic_load_n(&state->channel->taken, __ATOMIC_RELAXED);
    int until = PATIENCE;

    for (int i = 0; i < until && lane->stalled != tail + 1; i++) {
        struct timespec pause = {0, 200000};

        memwatch_wake_(state->channel);
        nanosleep(&pause, NULL);
        if (lane->head - __atomic_load_n(&lane->tail, __ATOMIC_ACQUIRE) < MEMWATCH_SLOTS_)
            return 1;
        if (taken != __atomic_load_n(&state->channel->taken, __ATOMIC_RELAXED)) {
            taken = __atomic_load_n(&state->channel->taken, __ATOMIC_RELAXED);
            until = i + PATIENCE < MOST_PATIENCE ? i + PATIENCE : MOST_PATIENCE;
        }
    }
    lane->stalled = tail + 1;
    return 0;
}

static inline void memwatch_push_(struct memwatch_state_ *state, struct memwatch_lane_ *lane,
                                  const struct memwatch_mark_ *mark)
{
    uint64_t used = lane->head - __atomic_load_n(&lane->tail, __ATOMIC_ACQUIRE);

    if (used >= MEMWATCH_SLOTS_ && !memwatch_wait_for_room_(state, lane)) {
        __atomic_fetch_add(&lane->lost, 1, __ATOMIC_RELAXED);
        return;
    }
    memwatch_slots_(state->channel, lane)[lane->head % MEMWATCH_SLOTS_] = *mark;
    __atomic_store_n(&lane->head, lane->head + 1, __ATOMIC_RELEASE);
    if (used + 1 == MEMWATCH_SLOTS_ / 2)
        memwatch_wake_(state->channel);
}

/* The place of a site's name, which is looked up once; 0: there was no room for it. */
static inline uint32_t memwatch_place_(struct memwatch_state_ *state, struct memwatch_site_ *site)
{
    uint32_t place = __atomic_load_n(&site->place, __ATOMIC_RELAXED);

    if (place == 0) {
        place = memwatch_find_name_(state->channel, site);
        __atomic_store_n(&site->place, place ? place : 1, __ATOMIC_RELAXED);
    }
    return place == 1 ? 0 : place;
}

/* The program before this one has left calls open. */
static inline void memwatch_tell_of_exec_(struct memwatch_state_ *state,
                                          struct memwatch_lane_ *lane)
{
    struct memwatch_mark_ mark = {state->open_ns,   0, MEMWATCH_KIND_EXECUTED_, 0, MEMWATCH_UNREAD_,
                                  MEMWATCH_UNREAD_, 0};

    lane->image = state->image;
    memwatch_push_(state, lane, &mark);
}

/* What the high-water mark said when this process reset it for the first time. */
static inline void memwatch_tell_of_reset_(struct memwatch_state_ *state,
                                           struct memwatch_lane_ *lane)
{
    struct memwatch_mark_ mark = {state->open_ns,   0, MEMWATCH_KIND_RESET_, 0,
                                  MEMWATCH_UNREAD_, 0, state->open_blind_us};

    mark.window_kib = __atomic_exchange_n(&state->open_kib, 0, __ATOMIC_ACQ_REL);
    if (mark.window_kib != 0) /* or else another thread has told it */
        memwatch_push_(state, lane, &mark);
}

static inline void memwatch_write_mark_(struct memwatch_state_ *state, struct memwatch_site_ *site,
                                        enum memwatch_kind_ kind, uint32_t track, int reads_memory)
{
    struct memwatch_mark_ mark = {0, 0, 0, track, MEMWATCH_UNREAD_, MEMWATCH_UNREAD_, 0};
    /* First of all: its memory is not the function's. */
    struct memwatch_lane_ *lane = memwatch_lane_ ? memwatch_lane_ : memwatch_claim_(state);

    if (!lane) {
        __atomic_fetch_add(&state->channel->lost, 1, __ATOMIC_RELAXED);
        return;
    }
    if (lane->image != state->image)
        memwatch_tell_of_exec_(state, lane);
    if (__atomic_load_n(&state->open_kib, __ATOMIC_ACQUIRE) != 0)
        memwatch_tell_of_reset_(state, lane);
    mark.kind = (uint32_t)kind;
    mark.name = memwatch_place_(state, site);
    mark.t_ns = memwatch_now_ns_();
    if (reads_memory && state->channel->reads_memory) {
        uint64_t end_ns = memwatch_read_memory_(state, &mark);

        /* What reading costs belongs to neither side of a bracket. */
        if (kind == MEMWATCH_KIND_ENTER_)
            mark.t_ns = end_ns;
    }
    memwatch_push_(state, lane, &mark);
}

static inline void memwatch_mark_now_(struct memwatch_site_ *site, enum memwatch_kind_ kind,
                                      uint32_t track, int reads_memory)
{
    struct memwatch_state_ *state = &memwatch_state_;
    int saved_errno = errno, cancel_state;

    if (state->is_opener && __builtin_expect(*state->is_opener == 0, 0))
        memwatch_after_fork_();
    if (__atomic_load_n(&state->channel->closed, __ATOMIC_RELAXED)) {
        __atomic_store_n(&state->status, -1, __ATOMIC_RELEASE);
        return;
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    memwatch_write_mark_(state, site, kind, track, reads_memory);
    pthread_setcancelstate(cancel_state, NULL);
    errno = saved_errno;
}

static inline int memwatch_is_on_(void)
{
    int status = __atomic_load_n(&memwatch_state_.status, __ATOMIC_ACQUIRE);

    if (__builtin_expect(status == 0, 0)) {
        pthread_once(&memwatch_once_, memwatch_start_);
        status = memwatch_state_.status;
    }
    return __builtin_expect(status > 0, 0);
}

static inline void memwatch_mark_(struct memwatch_site_ *site, enum memwatch_kind_ kind,
                                  int reads_memory)
{
    if (memwatch_is_on_())
        memwatch_mark_now_(site, kind, 0, reads_memory);
}

/* --- what programs use ------------------------------------------------------------------------ */

#define MEMWATCH_SITE_(name)                                                                       \
    __extension__({                                                                                \
        static struct memwatch_site_ memwatch_here_ = {"" name "", __FILE__, __LINE__, 0};         \
        &memwatch_here_;                                                                           \
    })

#define MEMWATCH_ENTER(name) memwatch_mark_(MEMWATCH_SITE_(name), MEMWATCH_KIND_ENTER_, 1)
#define MEMWATCH_EXIT(name) memwatch_mark_(MEMWATCH_SITE_(name), MEMWATCH_KIND_EXIT_, 1)
#define MEMWATCH_POINT(name) memwatch_mark_(MEMWATCH_SITE_(name), MEMWATCH_KIND_POINT_, 1)

#define MEMWATCH_JOIN2_(a, b) a##b
#define MEMWATCH_JOIN_(a, b) MEMWATCH_JOIN2_(a, b)

/* A block that is being measured; its end is marked however the block is left. */
struct memwatch_scope_ {
    struct memwatch_site_ *site;
    int reads_memory;
};

static inline struct memwatch_scope_ memwatch_begin_(struct memwatch_site_ *site, int reads_memory)
{
    struct memwatch_scope_ scope = {site, reads_memory};

    memwatch_mark_(site, MEMWATCH_KIND_ENTER_, reads_memory);
    return scope;
}

static inline void memwatch_end_(struct memwatch_scope_ *scope)
{
    memwatch_mark_(scope->site, MEMWATCH_KIND_EXIT_, scope->reads_memory);
}

#define MEMWATCH_SCOPE_AS_(name, reads_memory)                                                     \
    __attribute__((cleanup(memwatch_end_), unused)) struct memwatch_scope_ MEMWATCH_JOIN_(         \
        memwatch_scope_at_, __LINE__) = memwatch_begin_(MEMWATCH_SITE_(name), reads_memory)

#define MEMWATCH_SCOPE(name) MEMWATCH_SCOPE_AS_(name, 1)
#define MEMWATCH_TIMED_SCOPE(name) MEMWATCH_SCOPE_AS_(name, 0)

#ifdef __cplusplus
}
#endif

#endif /* !MEMWATCH_DISABLE */

#endif
