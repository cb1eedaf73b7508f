#include "util/mapping.h"

#include <string.h>

static const struct {
    const char *name, *label;
} kinds[] = {
#define MW_MAPPING_ROW(identifier, name, label) {name, label},
    MW_MAPPING_KINDS(MW_MAPPING_ROW)
#undef MW_MAPPING_ROW
};

const char *mw_mapping_kind_name(enum mw_mapping_kind kind)
{
    return kinds[kind].name;
}

const char *mw_mapping_kind_label(enum mw_mapping_kind kind)
{
    return kinds[kind].label;
}

int mw_mapping_kind_parse(const char *name)
{
    for (int kind = 0; kind < MW_MAPPING_KIND_COUNT; kind++) {
        if (strcmp(kinds[kind].name, name) == 0)
            return kind;
    }
    return -1;
}
