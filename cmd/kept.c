#include "cmd/kept.h"

#include "util/array.h"
#include "util/format.h"

#include <inttypes.h>

static void print_levels(FILE *out, const struct mw_kept *kept)
{
    char bucket[MW_FORMAT_SIZE], from[MW_FORMAT_SIZE];

    fputs("  kept      ", out);
    for (size_t i = 0; i < kept->level_count; i++) {
        const struct mw_kept_level *level = &kept->levels[i];

        if (level->bucket_us == 0)
            fputs(" every sample", out);
        else
            fprintf(out, "%s by %s", i == 1 ? "; lowest and highest" : ",",
                    mw_format_duration(bucket, level->bucket_us * 1000));
        if (level->from_us > 0)
            fprintf(out, " since %s", mw_format_duration(from, level->from_us * 1000));
        else
            fputs(" since the start", out);
        if (level->from_us <= 0)
            break; /* coarser levels have no more */
    }
    fputc('\n', out);
}

static void print_given_up(FILE *out, const struct mw_kept *kept)
{
    const struct {
        uint64_t count;
        const char *one, *many;
    } kinds[] = {{kept->processes, "process that had ended", "processes that had ended"},
                 {kept->calls, "single call", "single calls"},
                 {kept->gaps, "gap", "gaps"},
                 {kept->events, "event", "events"}};
    const char *before = "  given up   ";
    char count[MW_FORMAT_SIZE];

    for (size_t i = 0; i < MW_COUNT(kinds); i++) {
        if (kinds[i].count == 0)
            continue;
        fprintf(out, "%s%s %s", before, mw_format_count(count, (int64_t)kinds[i].count),
                kinds[i].count == 1 ? kinds[i].one : kinds[i].many);
        before = ", ";
    }
    if (*before == ',')
        fputc('\n', out);
}

void print_kept(FILE *out, const struct recording *recording)
{
    const struct mw_kept *kept = &recording->kept;

    if (kept->level_count > 0 && kept->levels[0].from_us > 0)
        print_levels(out, kept);
    print_given_up(out, kept);
}

json_t *json_levels(const struct mw_kept *kept)
{
    json_t *array = json_array();

    for (size_t i = 0; i < kept->level_count; i++) {
        const struct mw_kept_level *level = &kept->levels[i];

        json_array_append_new(
            array,
            json_pack("{s:f, s:o, s:f}", "bucket_s", (double)level->bucket_us / 1e6, "keep_s",
                      level->keep_us < 0 ? json_null() : json_real((double)level->keep_us / 1e6),
                      "from_s", (double)level->from_us / 1e6));
    }
    return array;
}

json_t *json_given_up(const struct mw_kept *kept)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "processes", (json_int_t)kept->processes, "calls",
                     (json_int_t)kept->calls, "gaps", (json_int_t)kept->gaps, "events",
                     (json_int_t)kept->events);
}
