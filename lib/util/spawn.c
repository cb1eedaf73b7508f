#include "util/spawn.h"

#include <signal.h>

int mw_spawn_attributes(posix_spawnattr_t *attributes, int flags)
{
    sigset_t none, defaults;
    int code;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGCHLD);
    if ((code = posix_spawnattr_setsigmask(attributes, &none)) != 0 ||
        (code = posix_spawnattr_setsigdefault(attributes, &defaults)) != 0)
        return code;
    return posix_spawnattr_setflags(
        attributes, (short)(flags | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
}
