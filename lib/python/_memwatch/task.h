/* In which track a call that pauses is marked. */
#ifndef MEMWATCH_PYTHON_TASK_H
#define MEMWATCH_PYTHON_TASK_H

#include "python/_memwatch/span.h"

/*
 * The track of what starts now within others and may pause: that of the generator that runs in this
 * thread, else of the asyncio task, else the current one. A task may have started in the middle of
 * another, whose track is the current one still.
 */
uint32_t track_of_pausing(void);

/* The track for a call that starts: the above where it is a coroutine, otherwise one of its own. */
uint32_t track_choose(struct span *span, bool is_coroutine);

#endif
