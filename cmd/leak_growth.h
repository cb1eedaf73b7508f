/*
 * Where the memory of a suspect grew: in which mappings, as snapshots of it say, and in which
 * marked functions.
 */
#ifndef MW_CMD_LEAK_GROWTH_H
#define MW_CMD_LEAK_GROWTH_H

#include "cmd/json.h"
#include "cmd/recording.h"

/* What a recording knows of it. */
struct grown {
    const struct recording *recording;
    struct mw_mapping_growth *mappings;
    size_t count;
};

int grown_read(struct grown *ret_grown, const struct recording *recording, struct mw_error *error);
void grown_clear(struct grown *grown);

/*
 * Lines behind the evidence for a verdict, after `indent` columns: of a process (NULL, the tree,
 * has none), and of the recording.
 */
void print_grown_mappings(const struct grown *grown, const struct mw_process *process, int indent);
void print_grown_functions(const struct grown *grown, int indent);

/* Arrays of objects; empty where nothing is known. */
json_t *grown_mappings_to_json(const struct grown *grown, const struct mw_process *process);
json_t *grown_functions_to_json(const struct grown *grown);

#endif
