/*
 * Calls that this project does not use: they overrun buffers, hide state or start a shell.
 *
 * meson.build puts this header in front of every C file, so that a use of one of them does not
 * compile. The system headers that declare them come first, because a poisoned name may not even
 * be declared afterwards.
 */
#ifndef MW_UTIL_BANNED_H
#define MW_UTIL_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With clang, glibc's fortified headers make macros of these. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok system popen tmpnam

#endif
