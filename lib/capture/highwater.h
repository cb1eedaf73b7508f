/*
 * The kernel's high-water mark of a process's RSS: it sees every spike, however short.
 *
 * Taking it reads VmHWM (/proc/PID/status) and resets it (5 into /proc/PID/clear_refs), so that the
 * next taking tells the highest RSS in between. Costs about 9 us. A process that has at this moment
 * as much as its mark needs no reset: the mark is then that of the time to come as well.
 *
 * The two steps are not one: what comes and goes between them is not seen. These are some
 * microseconds; but the reset takes the memory lock of the process, and waits where that holds it.
 * How much may come and go in a time is limited by how fast a thread can be given memory: 32 MiB in
 * a millisecond are allowed for (measured: 3 for small pages, 20 for huge ones).
 *
 * The kernel updates the mark from counters of which each CPU may hold back some pages, so that it
 * may be too low or too high by up to mw_high_water_bound_kib.
 */
#ifndef MW_CAPTURE_HIGHWATER_H
#define MW_CAPTURE_HIGHWATER_H

#include <stdint.h>
#include <sys/types.h>

/* The descriptors are kept open where there are enough; -1: opened for each taking. */
struct mw_high_water {
    pid_t pid;
    int status_fd, clear_fd;
};

struct mw_high_water mw_high_water_open(pid_t pid);
void mw_high_water_close(struct mw_high_water *mark);

/* A mark that was taken. */
struct mw_high_water_reading {
    uint64_t kib;
    int64_t read_ns;     /* the moment before it was read (CLOCK_MONOTONIC) */
    int64_t blind_ns;    /* between reading and resetting it; 0: it was not reset */
    uint64_t unseen_kib; /* more than kib by so much may have been reached in that time */
};

/*
 * 0; -EACCES where this user may not reset the mark (nothing is changed then); -ESRCH or -EBADMSG
 * at the process's end.
 */
int mw_high_water_take(const struct mw_high_water *mark, struct mw_high_water_reading *ret_reading);

/* How far VmHWM may be off on this machine, in KiB. */
int64_t mw_high_water_bound_kib(void);

/*
 * How far the RSS of statm may be off, in KiB: 0 on kernels that sum their counters when asked
 * (6.16, and 6.12.39 of the long-term series). Found out by touching pages and looking, not by the
 * version; no other thread of this process may be at work meanwhile.
 */
int64_t mw_resident_bound_kib(void);

#endif
