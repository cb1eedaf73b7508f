/*
 * A child that knows how much memory it has at every step: the truth must lie within what the
 * recording says of its peak, whatever the child does between two ticks.
 */
#include "record.h"
#include "record/session.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEEDS = 10, STEPS = 500, REGIONS = 12, PAGE = 4096, LARGEST_PAGES = (8 << 20) / PAGE };

struct region {
    char *memory; /* NULL: none */
    size_t pages, resident_pages;
};

/* Maps up to 8 MB and touches a part of it, from its beginning on. */
static void grow(struct region *region, uint64_t *seed)
{
    if (!region->memory) {
        region->pages = 1 + unit_random(seed) % LARGEST_PAGES;
        region->resident_pages = 0;
        region->memory = mmap(NULL, region->pages * PAGE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (region->memory == MAP_FAILED)
            _exit(2);
        madvise(region->memory, region->pages * PAGE, MADV_NOHUGEPAGE);
    }
    for (size_t left = unit_random(seed) % (region->pages + 1);
         left > 0 && region->resident_pages < region->pages; left--)
        *(volatile char *)(region->memory + PAGE * region->resident_pages++) = 1;
}

/* Gives back its last pages, or all of it. */
static void shrink(struct region *region, uint64_t *seed)
{
    size_t keep = unit_random(seed) % (region->pages + 1);

    if (!region->memory)
        return;
    if (unit_random(seed) % 2 == 0) {
        munmap(region->memory, region->pages * PAGE);
        *region = (struct region){0};
    } else if (keep < region->resident_pages) {
        madvise(region->memory + keep * PAGE, (region->pages - keep) * PAGE, MADV_DONTNEED);
        region->resident_pages = keep;
    }
}

/* Returns the most that was resident after any step, in pages. */
static size_t take_steps(int steps, uint64_t *seed)
{
    struct region regions[REGIONS] = {0};
    size_t most = 0;

    for (int i = 0; i < steps; i++) {
        struct region *region = &regions[unit_random(seed) % REGIONS];
        size_t sum = 0;

        if (unit_random(seed) % 2 == 0)
            grow(region, seed);
        else
            shrink(region, seed);
        for (size_t j = 0; j < REGIONS; j++)
            sum += regions[j].resident_pages;
        most = sum > most ? sum : most;
        if (unit_random(seed) % 20 == 0) /* else all at once, unseen by any tick */
            nanosleep(&(struct timespec){.tv_nsec = (long)(unit_random(seed) % 2000000)}, NULL);
    }
    for (size_t i = 0; i < REGIONS; i++) {
        if (regions[i].memory)
            munmap(regions[i].memory, regions[i].pages * PAGE);
    }
    return most;
}

/* What this process has apart from its regions, in pages. */
static size_t own_pages(void)
{
    char text[128] = "";
    char *at = text;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        _exit(3);
    close(fd);
    strtoul(text, &at, 10);
    return strtoul(at, NULL, 10);
}

/* Takes its steps when told to, and tells the truth in bytes; then waits. */
static void live(int in, int out, const void *context)
{
    uint64_t seed = *(const uint64_t *)context, warm = 1;
    int64_t truth;
    size_t own;

    take_steps(40, &warm); /* so that it has touched its own code and stack */
    own_pages();
    unit_tell(out);
    unit_await(in);
    own = own_pages();
    truth = (int64_t)(own + take_steps(STEPS, &seed)) * PAGE;
    if (write(out, &truth, sizeof truth) != sizeof truth)
        _exit(4);
    unit_await(in);
}

static struct mw_session *open_session(const char *path, int64_t interval_ns)
{
    static const char *const command[] = {"truth", NULL};
    struct mw_session_options options = {.path = path,
                                         .version = "1",
                                         .command = command,
                                         .interval_ns = interval_ns,
                                         .window_ns = -1,
                                         .tracking = MW_TRACKING_BEST,
                                         .children = MW_CHILDREN_EACH};
    struct mw_session *session = NULL;
    struct mw_error error = {0};

    if (mw_session_open(&session, &options, &error) < 0)
        fail_msg("%s", error.text);
    return session;
}

/* Ends the child and the recording, or the recording before the child. */
static void finish(struct mw_session *session, struct unit_child *child, bool detach)
{
    struct mw_session_end end = {MW_OUTCOME_DETACHED, -1, -1, -1, NULL};
    struct mw_error error = {0};
    struct rusage usage;
    int status = -1;

    if (!detach) {
        unit_tell(child->to);
        assert_int_equal(wait4(child->pid, &status, 0, &usage), child->pid);
        assert_int_equal(status, 0);
        end = (struct mw_session_end){MW_OUTCOME_EXITED, 0, -1, usage.ru_maxrss, NULL};
    }
    if (mw_session_stop(session, &end, &error) < 0)
        fail_msg("%s", error.text);
    if (detach) {
        unit_tell(child->to);
        waitpid(child->pid, &status, 0);
        assert_int_equal(status, 0);
    }
    close(child->to);
    close(child->from);
}

static int64_t record_child(const char *path, uint64_t seed, int64_t interval_ns, bool detach)
{
    struct unit_child child = unit_fork(live, &seed);
    struct mw_session *session = open_session(path, interval_ns);
    int64_t truth = 0;

    assert_true(unit_await(child.from));
    assert_int_equal(mw_session_arm(session, child.pid, NULL), 0);
    mw_session_start(session);
    unit_tell(child.to);
    assert_int_equal(read(child.from, &truth, sizeof truth), sizeof truth);
    finish(session, &child, detach);
    mw_session_free(session);
    return truth;
}

static void check_peak(const struct mw_peak *peak, int64_t truth, int64_t widest)
{
    assert_true(peak->known);
    if (truth < peak->bytes || truth > peak->upper_bytes ||
        peak->upper_bytes - peak->bytes > widest)
        fail_msg("%lld is not within %lld and %lld, or these are further apart than %lld",
                 (long long)truth, (long long)peak->bytes, (long long)peak->upper_bytes,
                 (long long)widest);
}

/* How far the bounds of a run may be apart: by what the kernel holds back, and for each microsecond
 * between reading and resetting a mark by what may have come and gone in it. */
static int64_t widest_of(const struct mw_run *run)
{
    return 2 * (run->peak_bound_bytes + run->rss_bound_bytes) + run->recorder.blind_us * 32 * 1024;
}

/* exact: its last window was closed too. */
static void check_truth(const char *path, int64_t truth, bool exact)
{
    struct mw_reader *reader = record_open(path);
    struct mw_process *processes;
    struct mw_run *runs;
    size_t run_count, process_count;
    int64_t widest;

    assert_int_equal(mw_reader_runs(reader, &runs, &run_count, NULL), 0);
    assert_int_equal(run_count, 1);
    widest = exact ? widest_of(&runs[0]) : INT64_MAX;
    assert_int_equal(mw_reader_processes(reader, runs[0].id, &processes, &process_count, NULL), 0);
    assert_int_equal(process_count, 1);
    check_peak(&runs[0].peak, truth, widest);
    check_peak(&processes[0].peak, truth, widest);
    mw_process_clear(&processes[0]);
    free(processes);
    record_clear(runs, run_count);
    mw_reader_close(reader);
}

static void check_seeds(void **state, bool detach)
{
    static const int64_t intervals_ns[] = {1000000, 100000000, INT64_C(3600000000000)};

    unit_need_no_thread_sanitizer();
    for (uint64_t i = 0; i < SEEDS / 2; i++) {
        uint64_t seed = 4711 + 2 * i + detach;
        char name[32], *path;
        int64_t truth;

        snprintf(name, sizeof name, "%d.db", (int)i);
        path = unit_path(state, name);
        print_message("# seed %d\n", (int)seed);
        truth = record_child(path, seed, intervals_ns[i % MW_COUNT(intervals_ns)], detach);
        check_truth(path, truth, detach);
        free(path);
    }
}

static void test_the_peak_of_a_child_that_ended_is_within_the_bounds(void **state)
{
    check_seeds(state, false);
}

static void test_the_peak_of_a_child_that_lives_on_is_within_the_bounds(void **state)
{
    check_seeds(state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_the_peak_of_a_child_that_ended_is_within_the_bounds),
        UNIT_TEST(test_the_peak_of_a_child_that_lives_on_is_within_the_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
