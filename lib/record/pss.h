/*
 * The slow tier: the proportional memory (PSS) of a whole tree, in which pages that processes share
 * count once. Reading it makes the kernel walk every page, so it has a cadence of its own that
 * keeps it below one hundredth of a core, in a thread that may be late.
 */
#ifndef MW_RECORD_PSS_H
#define MW_RECORD_PSS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_pss;

/* NULL when memory ran out. */
struct mw_pss *mw_pss_new(void);

/* NULL is fine. */
void mw_pss_free(struct mw_pss *pss);

/* Membership of the tree, by slots as in capture/queue.h. */
void mw_pss_add(struct mw_pss *pss, uint32_t slot, pid_t pid, int64_t now_ns);
void mw_pss_remove(struct mw_pss *pss, uint32_t slot);

/* When the next reading is due (CLOCK_MONOTONIC): INT64_MAX while the tree never had two processes.
 */
int64_t mw_pss_due_ns(const struct mw_pss *pss);

/*
 * Reads every process. True with the sum in KiB and the moment for which it stands; false when one
 * of them may not be read, for a sum without it would be none.
 */
bool mw_pss_read(struct mw_pss *pss, int64_t *ret_kib, int64_t *ret_t_ns);

#endif
