#include "record/pss.h"

#include "capture/clock.h"
#include "capture/procfs.h"

#include <errno.h>
#include <stdlib.h>

enum { COST_RATIO = 100 };
/* Trees that live shorter than the delay are not worth a reading. */
static const int64_t first_delay_ns = 100000000, shortest_pause_ns = 100000000;

struct mw_pss {
    pid_t *pids; /* by slot; 0: none */
    size_t count;
    size_t live;
    int64_t due_ns;
};

struct mw_pss *mw_pss_new(void)
{
    struct mw_pss *pss = calloc(1, sizeof *pss);

    if (pss)
        pss->due_ns = INT64_MAX;
    return pss;
}

void mw_pss_free(struct mw_pss *pss)
{
    if (!pss)
        return;
    free(pss->pids);
    free(pss);
}

void mw_pss_add(struct mw_pss *pss, uint32_t slot, pid_t pid, int64_t now_ns)
{
    if (slot >= pss->count) {
        size_t count = (size_t)slot * 2 + 8;
        pid_t *pids = reallocarray(pss->pids, count, sizeof *pids);

        if (!pids) {
            pss->due_ns = INT64_MAX; /* a sum without this process would be none */
            return;
        }
        for (size_t i = pss->count; i < count; i++)
            pids[i] = 0;
        pss->pids = pids;
        pss->count = count;
    }
    pss->pids[slot] = pid;
    pss->live++;
    if (pss->live == 2 && pss->due_ns == INT64_MAX)
        pss->due_ns = now_ns + first_delay_ns;
}

void mw_pss_remove(struct mw_pss *pss, uint32_t slot)
{
    if (slot >= pss->count || pss->pids[slot] == 0)
        return;
    pss->pids[slot] = 0;
    pss->live--;
}

int64_t mw_pss_due_ns(const struct mw_pss *pss)
{
    return pss->due_ns;
}

bool mw_pss_read(struct mw_pss *pss, int64_t *ret_kib, int64_t *ret_t_ns)
{
    int64_t begin_ns = mw_now_ns(), begin_cpu_ns = mw_thread_cpu_ns();
    int64_t sum_kib = 0, pause_ns;
    bool complete = pss->live > 0;

    for (size_t slot = 0; slot < pss->count && complete; slot++) {
        uint64_t kib;
        int code;

        if (pss->pids[slot] == 0)
            continue;
        code = mw_procfs_read_pss(pss->pids[slot], &kib);
        if (code == 0)
            sum_kib += (int64_t)kib;
        else if (code == -EACCES || code == -EPERM || code == -EMFILE || code == -ENFILE)
            complete = false; /* any other failure: it has just ended, and has no memory */
    }
    pause_ns = (mw_thread_cpu_ns() - begin_cpu_ns) * COST_RATIO;
    *ret_t_ns = mw_now_ns();
    pss->due_ns = begin_ns + (pause_ns > shortest_pause_ns ? pause_ns : shortest_pause_ns);
    *ret_kib = sum_kib;
    return complete;
}
