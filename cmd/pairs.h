/*
 * Functions that two recordings have in common, and those that one of them has alone.
 */
#ifndef MW_CMD_PAIRS_H
#define MW_CMD_PAIRS_H

#include "cmd/recording.h"

/* The same function in two recordings; NULL where one has none. */
struct function_pair {
    const struct mw_function *a, *b;
};

/*
 * Pairs the functions of two recordings by their names; those of one name by their files, wherever
 * these lie, and by their order in them: lines move from version to version. The pairs come with
 * the largest change of the peak first, and are to be freed; NULL when memory ran out.
 */
struct function_pair *pair_functions(const struct recording *a, const struct recording *b,
                                     size_t *ret_count);

#endif
