/*
 * Asks a program a question, as in `gnuplot --version`: runs it without input, and takes what it
 * says. A program that hangs, fails or says too much costs a moment and gives an error.
 */
#ifndef MW_UTIL_ASK_H
#define MW_UTIL_ASK_H

#include "util/error.h"

#include <stddef.h>

/*
 * Runs the program (a path, or a name that is looked up in PATH) with the arguments (argv, NULL at
 * the end) and the environment (NULL: that of this process), and waits for its end, at most
 * timeout_ms. answer gets what it wrote to its standard output and error, terminated.
 *
 * The errors are about the program, without its name: -ENOENT when there is none, -ETIMEDOUT,
 * -EMSGSIZE when it said more than fits, -EIO when it failed; else the errno of what went wrong.
 * The program and what it started in its process group are gone on return. This process stops
 * ignoring SIGCHLD, where it did.
 */
int mw_ask(const char *program, char *const arguments[], char *const environment[], int timeout_ms,
           char *answer, size_t size, struct mw_error *error);

/*
 * The rest of the line of an answer that begins with the word and a blank, in the caller's buffer;
 * NULL where there is none or it does not fit. Warnings may stand around it.
 */
char *mw_ask_find(const char *answer, const char *word, char *buffer, size_t size);

#endif
