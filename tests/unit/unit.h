/*
 * What the unit tests share: cmocka, a temporary folder and a check for descriptors that leaked
 * around each test, and child processes that do as they are told.
 */
#ifndef MW_TESTS_UNIT_H
#define MW_TESTS_UNIT_H

#include "util/array.h"

/* cmocka.h wants these before itself. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdbool.h>
#include <sys/types.h>

/* A test with a folder of its own, which fails if it leaves a descriptor open. */
#define UNIT_TEST(function) cmocka_unit_test_setup_teardown(function, unit_setup, unit_teardown)

int unit_setup(void **state);
int unit_teardown(void **state);

/* The path of a name in the test's folder. The caller frees it. */
char *unit_path(void **state, const char *name);

/* Skip the test, with the reason, where this process is not root or may not use perf events. To be
 * called before the test opens anything. */
void unit_need_root(void);
void unit_need_perf(void);

/* Skips a test that counts threads or memory, to which the thread sanitizer adds its own. */
void unit_need_no_thread_sanitizer(void);

/* Skips the test, with the reason, where the address sanitizer would touch pages beside the test's.
 */
void unit_need_memory_of_its_own(void);

/* In a child: gives up being root; false when that is refused. */
bool unit_become_nobody(void);

/* Numbers that are the same in every run. */
uint64_t unit_random(uint64_t *seed);

/* A child process, connected by two pipes. It is killed when this process dies. */
struct unit_child {
    pid_t pid;
    int to, from; /* what the child reads, and what it writes */
};

typedef void unit_body(int in, int out, const void *context);

/* Forks a child that runs body and ends with status 0. Nothing in it may use cmocka. */
struct unit_child unit_fork(unit_body *body, const void *context);

/* In a child of a child: ends with its parent, whose id it knows from before the fork. */
void unit_end_with(pid_t parent);

/* The child's side and the parent's: a byte as a signal, and waiting for one; false at the end. */
bool unit_tell(int fd);
bool unit_await(int fd);

/* Waits for the child's end, without or with killing it; returns its wait status. */
int unit_join(struct unit_child *child);
int unit_kill(struct unit_child *child);

/* A child that touches 50 MB for 5 ms whenever unit_spike tells it to, which waits until they are
 * gone again. */
enum { UNIT_SPIKE_KIB = 50 << 10 };
void unit_spikes(int in, int out, const void *context);
void unit_spike(const struct unit_child *child);

#endif
