/*
 * What confines the processes of a recording: the limits of their cgroups and their own rlimits.
 *
 * They are looked at when a tree comes into the record, and then every few seconds: for work in a
 * thread that may be late. Only the first process of each tree is asked.
 */
#ifndef MW_RECORD_CONFINES_H
#define MW_RECORD_CONFINES_H

#include "store/writer.h"
#include "util/error.h"

#include <stdint.h>
#include <sys/types.h>

struct mw_confines;

/* NULL when memory ran out. */
struct mw_confines *mw_confines_new(void);

/* NULL is fine. */
void mw_confines_free(struct mw_confines *confines);

/* The recording begins. Limits go to this writer, whose times count from start_ns. */
void mw_confines_begin(struct mw_confines *confines, struct mw_writer *writer, int64_t start_ns);

/* The first process of a tree. 0 or an error of the writer, as all that follow. */
int mw_confines_add(struct mw_confines *confines, uint32_t slot, pid_t pid, int64_t t_ns,
                    struct mw_error *error);

/* A process has ended. */
void mw_confines_ended(struct mw_confines *confines, uint32_t slot, int64_t t_ns);

/* Does what is due: to be called now and then. */
int mw_confines_look(struct mw_confines *confines, int64_t now_ns, struct mw_error *error);

/*
 * The lowest of the limits beyond which the kernel ends processes, in bytes, and the path of the
 * cgroup that sets it, which holds until the next look; -1 where there is none.
 */
int64_t mw_confines_lowest(const struct mw_confines *confines, const char **ret_place);

#endif
