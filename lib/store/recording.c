#include "store/recording.h"

#include "util/array.h"

#include <stdlib.h>
#include <string.h>

static const char *const children_names[] = {
    [MW_CHILDREN_EACH] = "each",
    [MW_CHILDREN_SUM] = "sum",
    [MW_CHILDREN_NONE] = "none",
};

static const char *const outcome_names[] = {
    [MW_OUTCOME_RECORDING] = "recording", [MW_OUTCOME_EXITED] = "exited",
    [MW_OUTCOME_SIGNALED] = "signaled",   [MW_OUTCOME_DETACHED] = "detached",
    [MW_OUTCOME_IMPORTED] = "imported",   [MW_OUTCOME_ABORTED] = "aborted",
};

static const char *const event_names[] = {
    [MW_EVENT_ATTACHED] = "attached", [MW_EVENT_RESTARTED] = "restarted",
    [MW_EVENT_DETACHED] = "detached", [MW_EVENT_LIMIT] = "limit",
    [MW_EVENT_OOM_KILL] = "oom-kill", [MW_EVENT_VERDICT] = "verdict",
};

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return (int)i;
    }
    return -1;
}

const char *mw_children_name(enum mw_children children)
{
    return children_names[children];
}

const char *mw_outcome_name(enum mw_outcome outcome)
{
    return outcome_names[outcome];
}

int mw_children_parse(const char *name)
{
    return find_name(children_names, MW_COUNT(children_names), name);
}

int mw_outcome_parse(const char *name)
{
    return find_name(outcome_names, MW_COUNT(outcome_names), name);
}

const char *mw_event_kind_name(enum mw_event_kind kind)
{
    return event_names[kind];
}

int mw_event_kind_parse(const char *name)
{
    return find_name(event_names, MW_COUNT(event_names), name);
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(strings[i]);
    free(strings);
}

void mw_run_clear(struct mw_run *run)
{
    free_strings(run->command, run->command_length);
    free(run->version);
    free(run->cwd);
    free(run->note);
    free(run->scheduling);
    free(run->tracking);
    *run = (struct mw_run){0};
}

void mw_process_clear(struct mw_process *process)
{
    free(process->name);
    free_strings(process->arguments, process->argument_count);
    *process = (struct mw_process){0};
}

void mw_function_clear(struct mw_function *function)
{
    free(function->name);
    free(function->file);
    *function = (struct mw_function){0};
}

void mw_event_clear(struct mw_event *event)
{
    free(event->name);
    free(event->note);
    *event = (struct mw_event){0};
}

void mw_limit_clear(struct mw_limit *limit)
{
    free(limit->name);
    free(limit->place);
    *limit = (struct mw_limit){0};
}

void mw_mapping_growth_clear(struct mw_mapping_growth *growth)
{
    free(growth->name);
    *growth = (struct mw_mapping_growth){0};
}

int64_t mw_mapping_growth_bytes(const struct mw_mapping_growth *growth)
{
    if (growth->to_us < 0)
        return 0;
    return growth->to.resident_bytes + growth->to.swapped_bytes - growth->from.resident_bytes -
           growth->from.swapped_bytes;
}
