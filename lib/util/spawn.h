/*
 * What every helper program is started with.
 */
#ifndef MW_UTIL_SPAWN_H
#define MW_UTIL_SPAWN_H

#include <spawn.h>

/*
 * Sets the flags, and that no signals are blocked or ignored that are here. Returns 0 or an errno,
 * as posix_spawn(3) does.
 */
int mw_spawn_attributes(posix_spawnattr_t *attributes, int flags);

#endif
