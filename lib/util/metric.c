#include "util/metric.h"

#include "util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *label;
    enum mw_cadence cadence;
} metrics[] = {
#define MW_METRIC_ROW(identifier, name, label, cadence, source) {name, label, MW_CADENCE_##cadence},
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

enum mw_cadence mw_metric_cadence(enum mw_metric metric)
{
    return metrics[metric].cadence;
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

int mw_metric_parse_set(const char *names, mw_metric_set *ret_metrics, struct mw_error *error)
{
    mw_auto_free char *words = strdup(names);
    char *rest = words, *word;
    mw_metric_set set = 0;

    if (!words)
        return mw_error_errno(error, ENOMEM, "%s", names);
    while ((word = strsep(&rest, ","))) {
        enum mw_metric metric;
        int code = mw_metric_parse(word, &metric, error);

        if (code < 0)
            return code;
        set |= MW_METRIC_BIT(metric);
    }
    *ret_metrics = set;
    return 0;
}
