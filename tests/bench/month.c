/*
 * Records servers that never were, on a clock that runs as fast as the disk: what a recorder would
 * write in so much time, through the writer of memwatch itself.
 *
 *     month FILE HOURS HERTZ PROCESSES CHANGES LEVELS [MAX-FILE]
 *
 * CHANGES: in how many of a hundred ticks a process has other memory than before. LEVELS as for
 * --keep; "-" for run's default. Prints one line of JSON: what it took, the highest sums of each
 * day as they were written, and this process's memory and descriptors after a tenth of the time and
 * at its end.
 */
#include "store/writer.h"
#include "util/parse.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A recorder commits five times a second: that would take hours. */
enum { MOST_PROCESSES = 1000, COMMIT_US = 5000000 };

static struct {
    int64_t kib[MOST_PROCESSES];
    int64_t processes, changes;
    uint64_t seed;
    int64_t sum_kib, samples;
} servers = {.seed = 1};

static uint64_t next_random(void)
{
    servers.seed ^= servers.seed >> 12;
    servers.seed ^= servers.seed << 25;
    servers.seed ^= servers.seed >> 27;
    return servers.seed * UINT64_C(0x2545F4914F6CDD1D);
}

static void check(int code, const struct mw_error *error)
{
    if (code >= 0)
        return;
    fprintf(stderr, "month: %s\n", error->text);
    exit(1);
}

static double now_s(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long resident_kib(void)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    long size = 0, resident = 0;

    if (statm && fscanf(statm, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (statm)
        fclose(statm);
    return resident * 4;
}

static int descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static void add(struct mw_writer *writer, uint32_t slot, enum mw_metric metric, int64_t t_us,
                int64_t kib)
{
    struct mw_error error;

    check(mw_writer_add_sample(writer, slot, metric, t_us, kib, &error), &error);
    servers.samples++;
}

/* Memory that comes and goes by a megabyte, and by a hundred for a tick now and then. */
static void take_tick(struct mw_writer *writer, int64_t tick, int64_t t_us, int64_t hertz)
{
    int64_t before_kib = servers.sum_kib;

    for (uint32_t slot = 0; slot < servers.processes; slot++) {
        uint64_t random = next_random();
        int64_t kib = servers.kib[slot];

        if (random % 100 < (uint64_t)servers.changes) {
            kib += (int64_t)(random >> 32) % 2049 - 1024;
            kib = kib < 50000 ? 50000 : kib > 500000 ? 500000 : kib;
        }
        if (kib != servers.kib[slot] || tick == 0)
            add(writer, slot, MW_METRIC_RSS, t_us, kib);
        if (tick % (10 * hertz) == slot)
            add(writer, slot, MW_METRIC_SHARED, t_us, 8000 + (int64_t)(random >> 40) % 100);
        servers.sum_kib += kib - servers.kib[slot];
        servers.kib[slot] = kib;
    }
    if (tick % 700001 == 700000)
        servers.sum_kib += 100000;
    if (servers.sum_kib != before_kib)
        add(writer, MW_SLOT_TREE, MW_METRIC_RSS, t_us, servers.sum_kib);
    if (tick % 700001 == 700000)
        servers.sum_kib -= 100000;
}

static void commit(struct mw_writer *writer, int64_t now_us, int64_t ticks)
{
    const struct mw_ticks kept = {.due = (uint64_t)ticks, .taken = (uint64_t)ticks};
    struct mw_error error;

    check(mw_writer_set_progress(writer, now_us, &kept, &(struct mw_recorder_cost){0}, &error),
          &error);
    check(mw_writer_commit(writer, &error), &error);
}

static struct mw_writer *begin(const char *path, int64_t interval_us, const char *levels,
                               const char *most)
{
    static char version[] = "bench", cwd[] = "/", name[] = "servers", none[] = "none";
    static char *command[] = {name};
    const char *const words[] = {name};
    struct mw_run run = {.version = version,
                         .command = command,
                         .command_length = 1,
                         .started_ns = INT64_C(1700000000000000000),
                         .interval_us = interval_us,
                         .children = MW_CHILDREN_EACH,
                         .cwd = cwd,
                         .scheduling = none,
                         .tracking = none};
    struct mw_keep keep = mw_keep_all;
    struct mw_writer *writer = NULL;
    struct mw_error error;

    if (strcmp(levels, "-") != 0)
        check(mw_keep_parse(levels, &keep, &error), &error);
    if (most)
        check(mw_keep_parse_max_file(most, &keep, &error), &error);
    check(mw_writer_open(&writer, path, &error), &error);
    check(mw_writer_keep(writer, &keep, &error), &error);
    check(mw_writer_begin_run(writer, &run, &error), &error);
    for (uint32_t slot = 0; slot < servers.processes; slot++) {
        check(mw_writer_start_process(writer, slot, 1000 + (int)slot, 1, 0, &error), &error);
        check(mw_writer_add_image(writer, slot, 0, name, words, 1, &error), &error);
    }
    return writer;
}

static int64_t count_of(const char *word, int64_t most)
{
    struct mw_error error;
    int64_t count = 0;

    check(mw_parse_count(word, 1, most, &count, &error), &error);
    return count;
}

int main(int argc, char **argv)
{
    double began_s = now_s(CLOCK_MONOTONIC);
    int64_t hours, hertz, ticks, next_commit_us = COMMIT_US, highest_kib = 0;
    long early_kib = 0;
    int early_descriptors = 0;
    struct mw_writer *writer;
    struct mw_error error;

    if (argc < 7 || argc > 8) {
        fprintf(stderr, "usage: month FILE HOURS HERTZ PROCESSES CHANGES LEVELS [MAX-FILE]\n");
        return 2;
    }
    hours = count_of(argv[2], 24 * 366);
    hertz = count_of(argv[3], 1000);
    servers.processes = count_of(argv[4], MOST_PROCESSES);
    servers.changes = count_of(argv[5], 100);
    ticks = hours * 3600 * hertz;
    writer = begin(argv[1], 1000000 / hertz, argv[6], argc > 7 ? argv[7] : NULL);
    printf("{\"highest_kib_of_days\": [");
    for (int64_t tick = 0; tick < ticks; tick++) {
        int64_t t_us = tick * 1000000 / hertz;

        take_tick(writer, tick, t_us, hertz);
        highest_kib = servers.sum_kib > highest_kib ? servers.sum_kib : highest_kib;
        if (tick % 700001 == 700000 && servers.sum_kib + 100000 > highest_kib)
            highest_kib = servers.sum_kib + 100000;
        if (t_us >= next_commit_us || mw_writer_is_full(writer)) {
            commit(writer, t_us, tick + 1);
            next_commit_us = t_us + COMMIT_US;
        }
        if (tick + 1 == ticks || (tick + 1) % (24 * 3600 * hertz) == 0) {
            printf("%s%lld", tick + 1 > 24 * 3600 * hertz ? ", " : "", (long long)highest_kib);
            highest_kib = 0;
        }
        if (tick == ticks / 10) {
            early_kib = resident_kib();
            early_descriptors = descriptors();
        }
    }
    commit(writer, hours * INT64_C(3600000000), ticks);
    printf("], \"early_kib\": %ld, \"late_kib\": %ld, \"early_descriptors\": %d,"
           " \"late_descriptors\": %d",
           early_kib, resident_kib(), early_descriptors, descriptors());
    check(mw_writer_end_run(writer, MW_OUTCOME_DETACHED, -1, -1, -1, &error), &error);
    mw_writer_close(writer);
    printf(", \"samples\": %lld, \"seconds\": %.1f, \"cpu_seconds\": %.1f}\n",
           (long long)servers.samples, now_s(CLOCK_MONOTONIC) - began_s,
           now_s(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
