/*
 * The kinds of memory that a process maps, and how much of one it has: what capture, store and the
 * command line share.
 */
#ifndef MW_UTIL_MAPPING_H
#define MW_UTIL_MAPPING_H

#include <stdint.h>

/* X(identifier, name in files and JSON, what a person reads) */
#define MW_MAPPING_KINDS(X)                                                                        \
    X(HEAP, "heap", "heap (brk)")                                                                  \
    X(ARENA, "arena", "malloc arenas of threads")  /* glibc's: all but its first */                \
    X(ANONYMOUS, "anonymous", "anonymous mapping") /* large mallocs, and other allocators */       \
    X(STACK, "stack", "stack")                     /* of the first thread */                       \
    X(THREAD_STACK, "thread-stack", "stacks of threads")                                           \
    X(FILE, "file", "file")                                                                        \
    X(SHARED, "shared-memory", "shared memory") /* POSIX, System V, or anonymous */                \
    X(MEMFD, "memfd", "memfd")                                                                     \
    X(HUGE, "huge-pages", "huge pages (hugetlb)")                                                  \
    X(OTHER, "other", "other mapping") /* of the kernel, or of a descriptor that is no file */

enum mw_mapping_kind {
#define MW_MAPPING_ENUM(identifier, name, label) MW_MAPPING_##identifier,
    MW_MAPPING_KINDS(MW_MAPPING_ENUM)
#undef MW_MAPPING_ENUM
        MW_MAPPING_KIND_COUNT
};

/* "heap", and "heap (brk)" */
const char *mw_mapping_kind_name(enum mw_mapping_kind kind);
const char *mw_mapping_kind_label(enum mw_mapping_kind kind);

/* The kind of that name, or -1. */
int mw_mapping_kind_parse(const char *name);

/* Mappings of one kind and name, all together. What has been swapped out is not resident. */
struct mw_mapping_group {
    enum mw_mapping_kind kind;
    /*
     * A path, or what the program calls it: any bytes. "": it has none; NULL: all names of the kind
     * for which there is no group of their own.
     */
    char *name;
    uint64_t count; /* of mappings */
    uint64_t resident_kib;
    uint64_t anonymous_kib; /* of these, not from a file and not shared memory */
    uint64_t swapped_kib;
};

#endif
