/*
 * What confines the processes of a recording: the limits of their cgroups and their own rlimits,
 * and whether the kernel ended one of them because memory ran out.
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

/*
 * The recording of root begins. Limits and events go to this writer, whose times count from
 * start_ns.
 */
void mw_confines_begin(struct mw_confines *confines, struct mw_writer *writer, int64_t start_ns,
                       pid_t root);

/* The first process of a tree. 0 or an error of the writer, as all that follow. */
int mw_confines_add(struct mw_confines *confines, uint32_t slot, pid_t pid, int64_t t_ns,
                    struct mw_error *error);

/*
 * A process has ended: wait_status is as wait(2) gives it, or -1 where that is not known, and may
 * then be told later.
 */
void mw_confines_ended(struct mw_confines *confines, uint32_t slot, pid_t pid, int64_t t_ns,
                       int wait_status);
void mw_confines_told(struct mw_confines *confines, pid_t pid, int wait_status);

/* Does what is due: to be called now and then, and with last at the end of the recording. */
int mw_confines_look(struct mw_confines *confines, int64_t now_ns, bool last,
                     struct mw_error *error);

#endif
