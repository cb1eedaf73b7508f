#include "util/metric.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *label;
} metrics[] = {
#define MW_METRIC_ROW(identifier, name, label, source) {name, label},
    MW_METRICS(MW_METRIC_ROW)
#undef MW_METRIC_ROW
};

const char *mw_metric_name(enum mw_metric metric)
{
    return metrics[metric].name;
}

const char *mw_metric_label(enum mw_metric metric)
{
    return metrics[metric].label;
}

int mw_metric_parse(const char *name, enum mw_metric *ret_metric, struct mw_error *error)
{
    char names[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < MW_METRIC_COUNT; i++) {
        if (strcmp(name, metrics[i].name) == 0) {
            *ret_metric = (enum mw_metric)i;
            return 0;
        }
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                 metrics[i].name);
    }
    return mw_error_set(error, -EINVAL, "'%s' is no metric: there are %s", name, names);
}
