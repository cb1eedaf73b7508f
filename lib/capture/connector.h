/*
 * Task events of the whole machine, from the kernel's proc connector: every fork, exec and exit
 * with its time, and how it ended.
 *
 * Linux 6.6 allows this to everybody, an older one to root; it works in the machine's own pid, user
 * and network namespaces alone, not in a container.
 */
#ifndef MW_CAPTURE_CONNECTOR_H
#define MW_CAPTURE_CONNECTOR_H

#include "capture/task.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_connector;

/*
 * Listens to all task events, or to exits alone. -EPERM when this user may not, -ENOTSUP in a
 * namespace to which the kernel tells nothing, -EPROTONOSUPPORT, -ECONNREFUSED.
 */
int mw_connector_open(struct mw_connector **ret_connector, bool exits_only, struct mw_error *error);

/* NULL is fine. */
void mw_connector_close(struct mw_connector *connector);

/* A descriptor that is readable when there are events to take. */
int mw_connector_fd(const struct mw_connector *connector);

/*
 * Takes the events that are there, as they came. They belong to the connector and hold until the
 * next call. Returns how many.
 */
size_t mw_connector_take(struct mw_connector *connector, const struct mw_task_event **ret_events);

/* How often events were lost because nobody took them in time. */
uint64_t mw_connector_lost(const struct mw_connector *connector);

#endif
