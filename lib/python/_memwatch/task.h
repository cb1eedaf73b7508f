/* In which track a call that pauses is marked. */
#ifndef MEMWATCH_PYTHON_TASK_H
#define MEMWATCH_PYTHON_TASK_H

#include "python/_memwatch/span.h"

/*
 * The track of the asyncio task that runs in this thread, which gets one if it has none; 0: no task
 * runs.
 */
uint32_t task_track(void);

/*
 * The track for a call that starts: that of who awaits it, or of its task, where it is a coroutine;
 * otherwise one of its own.
 */
uint32_t track_choose(struct span *span, bool is_coroutine);

#endif
