/*
 * A verdict in the words of a person: what it is, and what to do next.
 */
#ifndef MW_CMD_LEAK_TEXT_H
#define MW_CMD_LEAK_TEXT_H

#include "cmd/leak_limits.h"
#include "cmd/verdict.h"

/* Lines below a verdict begin behind so many columns. */
enum { VERDICT_INDENT = 12 };

/* What the verdict says, without its name; as a phrase, to be freed. */
char *verdict_words(const struct verdict *verdict);

/* When a limit is reached, from the end of what was judged on; as a phrase, to be freed. */
char *limit_words(const struct verdict *verdict, const struct limit *limit);

/* The limit that is reached first; NULL where none is. */
const struct limit *binding_limit(const struct verdict *verdict, const struct limits *limits);

/* Prints the verdict and, if it is wanted, what it rests on. */
void print_verdict(const struct verdict *verdict, const struct limits *limits, bool evidence);

#endif
