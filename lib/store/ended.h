/*
 * Processes that have ended in the last ten seconds: what is needed should somebody tell how they
 * ended. Private to lib/store.
 */
#ifndef MW_STORE_ENDED_H
#define MW_STORE_ENDED_H

#include "store/high.h"

#include <stddef.h>
#include <stdint.h>

struct ended {
    int64_t process; /* row id */
    int pid;
    int64_t start_us, end_us;
    struct high peak;
};

/* By the time of their end. All zero: none. */
struct ended_list {
    struct ended *ended;
    size_t count, room;
};

/* One that ended after all others. Without memory it is passed over. */
void ended_add(struct ended_list *list, const struct ended *ended);

/* Forgets those that have ended more than ten seconds before a moment. */
void ended_forget(struct ended_list *list, int64_t now_us);

/* The last one with a pid that had started by then; NULL: there is none. Valid until the next add.
 */
struct ended *ended_find(const struct ended_list *list, int pid, int64_t t_us);

void ended_clear(struct ended_list *list);

#endif
