/* Snapshots of real processes: what grew is found under its kind and name. */
#include "capture/mappings.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <unistd.h>

enum { GROWTH = 8 << 20, PAGE = 4096, STACK_GROWTH = 4 << 20 };

/* Whatever else a process touches meanwhile, of its libraries, say; and what of the memory that it
 * is to touch it has touched before. */
enum { SLACK_KIB = 2048, PAGES_BEFORE_KIB = 64 };

/* --- what children do ------------------------------------------------------------------------- */

static void touch(void *memory, size_t size)
{
    for (size_t at = 0; at < size; at += PAGE)
        ((volatile char *)memory)[at] = 1;
}

static void touch_mapping(int flags, int fd)
{
    void *memory = mmap(NULL, GROWTH, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (memory == MAP_FAILED)
        _exit(1);
    touch(memory, GROWTH);
}

static void grow_heap(const char *path)
{
    (void)path;
    touch(sbrk(GROWTH), GROWTH);
}

static void grow_anonymous(const char *path)
{
    (void)path;
    touch_mapping(MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void grow_shared(const char *path)
{
    (void)path;
    touch_mapping(MAP_SHARED | MAP_ANONYMOUS, -1);
}

static void grow_system_v(const char *path)
{
    int id = shmget(IPC_PRIVATE, GROWTH, IPC_CREAT | 0600);
    void *memory = shmat(id, NULL, 0);

    (void)path;
    shmctl(id, IPC_RMID, NULL);
    touch(memory, GROWTH);
}

static void grow_memfd(const char *path)
{
    int fd = memfd_create("po\nol", MFD_CLOEXEC);

    (void)path;
    if (ftruncate(fd, GROWTH) < 0)
        _exit(1);
    touch_mapping(MAP_SHARED, fd);
}

static void grow_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (ftruncate(fd, GROWTH) < 0)
        _exit(1);
    touch_mapping(MAP_SHARED, fd);
}

/* Written to, but not shared with the file: the pages are anonymous. */
static void grow_private_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (ftruncate(fd, GROWTH) < 0)
        _exit(1);
    touch_mapping(MAP_PRIVATE, fd);
}

__attribute__((noinline)) static void use_stack(void)
{
    char frame[STACK_GROWTH];

    touch(frame, sizeof frame);
}

static void grow_stack(const char *path)
{
    (void)path;
    use_stack();
}

static void *sleep_on_stack(void *argument)
{
    use_stack();
    pthread_barrier_wait(argument);
    pause();
    return NULL;
}

static void grow_thread_stacks(const char *path)
{
    static pthread_barrier_t barrier;
    pthread_t thread;

    (void)path;
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, NULL, sleep_on_stack, &barrier);
    pthread_barrier_wait(&barrier);
}

static void *malloc_little(void *argument)
{
    enum { SIZE = 64 << 10 };

    for (size_t done = 0; done < GROWTH / 2; done += SIZE) {
        char *memory = malloc(SIZE);

        touch(memory, SIZE);
    }
    pthread_barrier_wait(argument);
    pause();
    return NULL;
}

static void grow_arenas(const char *path)
{
    static pthread_barrier_t barrier;
    pthread_t thread;

    (void)path;
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, NULL, malloc_little, &barrier);
    pthread_barrier_wait(&barrier);
}

/* What a child does when it is told to, and where that is to be found. */
struct growth {
    void (*grow)(const char *path);
    const char *path; /* of a file for it */
    enum mw_mapping_kind kind;
    const char *name;
    int anonymous; /* the pages are */
};

static void grow_when_told(int in, int out, const void *context)
{
    const struct growth *growth = context;

    unit_tell(out);
    while (unit_await(in)) {
        growth->grow(growth->path);
        unit_tell(out);
    }
}

static struct unit_child child_that(unit_body *body, const void *context)
{
    struct unit_child child = unit_fork(body, context);

    assert_true(unit_await(child.from));
    return child;
}

static void let_grow(const struct unit_child *child)
{
    unit_tell(child->to);
    assert_true(unit_await(child->from));
}

/* --- snapshots -------------------------------------------------------------------------------- */

static struct mw_mappings *snapshot_of(const struct unit_child *child,
                                       const struct mw_mappings *before)
{
    struct mw_mappings *mappings = NULL;
    int code;

    assert_int_equal(mw_mappings_open(&mappings, child->pid, before), 0);
    while ((code = mw_mappings_read(mappings, 1000000)) > 0)
        ;
    assert_int_equal(code, 0);
    return mappings;
}

static const struct mw_mapping_group *find(const struct mw_mappings *mappings,
                                           enum mw_mapping_kind kind, const char *name)
{
    size_t count;
    const struct mw_mapping_group *groups = mw_mappings_groups(mappings, &count);

    for (size_t i = 0; i < count; i++) {
        if (groups[i].kind == kind &&
            (name ? groups[i].name && strcmp(groups[i].name, name) == 0 : !groups[i].name))
            return &groups[i];
    }
    return NULL;
}

static int64_t resident_kib(const struct mw_mappings *mappings, enum mw_mapping_kind kind,
                            const char *name)
{
    const struct mw_mapping_group *group = find(mappings, kind, name);

    return group ? (int64_t)group->resident_kib : 0;
}

static struct mw_mapping_group sum_of(const struct mw_mappings *mappings)
{
    struct mw_mapping_group sum = {0};
    size_t count;
    const struct mw_mapping_group *groups = mw_mappings_groups(mappings, &count);

    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || groups[i - 1].resident_kib + groups[i - 1].swapped_kib >=
                                  groups[i].resident_kib + groups[i].swapped_kib);
        sum.count += groups[i].count;
        sum.resident_kib += groups[i].resident_kib;
    }
    return sum;
}

/* All growth is found in one group, and nowhere else. */
static void check_growth(const struct growth *growth, int64_t wanted_kib)
{
    struct unit_child child = child_that(grow_when_told, growth);
    struct mw_mappings *before = snapshot_of(&child, NULL), *after;
    const struct mw_mapping_group *group;
    int64_t grown_kib;

    let_grow(&child);
    after = snapshot_of(&child, before);
    group = find(after, growth->kind, growth->name);
    assert_non_null(group);
    grown_kib = (int64_t)group->resident_kib - resident_kib(before, growth->kind, growth->name);
    assert_in_range(grown_kib, wanted_kib - PAGES_BEFORE_KIB, wanted_kib + SLACK_KIB);
    if (growth->anonymous)
        assert_true((int64_t)group->anonymous_kib >= wanted_kib);
    else
        assert_int_equal(group->anonymous_kib, 0);
    assert_in_range((int64_t)sum_of(after).resident_kib - (int64_t)sum_of(before).resident_kib,
                    grown_kib - PAGES_BEFORE_KIB, grown_kib + SLACK_KIB);
    mw_mappings_close(before);
    mw_mappings_close(after);
    unit_kill(&child);
}

static void test_what_grows_is_found_under_its_kind_and_name(void **state)
{
    static const struct growth cases[] = {
        {grow_anonymous, "", MW_MAPPING_ANONYMOUS, "", 1},
        {grow_shared, "", MW_MAPPING_SHARED, "", 0},
        {grow_system_v, "", MW_MAPPING_SHARED, "/SYSV00000000", 0},
        {grow_memfd, "", MW_MAPPING_MEMFD, "po\\012ol", 0},
    };

    (void)state;
    unit_need_memory_of_its_own();
    unit_need_no_thread_sanitizer();
    for (size_t i = 0; i < MW_COUNT(cases); i++)
        check_growth(&cases[i], GROWTH >> 10);
}

static void test_a_file_is_known_by_its_path_whatever_is_in_that(void **state)
{
    struct growth shared = {grow_file, "", MW_MAPPING_FILE, "", 0};
    struct growth private = {grow_private_file, "", MW_MAPPING_FILE, "", 1};
    char *path, *shown;

    unit_need_no_thread_sanitizer();
    shared.path = private.path = path = unit_path(state, "a file\n[heap]");
    shared.name = private.name = shown = unit_path(state, "a file\\012[heap]");
    check_growth(&shared, GROWTH >> 10);
    check_growth(&private, GROWTH >> 10);
    free(path);
    free(shown);
}

static void test_heap_arenas_and_stacks_are_told_apart(void **state)
{
    static const struct growth heap = {grow_heap, "", MW_MAPPING_HEAP, "", 1};
    static const struct growth arenas = {grow_arenas, "", MW_MAPPING_ARENA, "", 1};
    static const struct growth stack = {grow_stack, "", MW_MAPPING_STACK, "", 1};
    static const struct growth stacks = {grow_thread_stacks, "", MW_MAPPING_THREAD_STACK, "", 1};

    (void)state;
    unit_need_memory_of_its_own();
    unit_need_no_thread_sanitizer();
    check_growth(&heap, GROWTH >> 10);
    check_growth(&arenas, GROWTH >> 10);
    check_growth(&stack, STACK_GROWTH >> 10);
    check_growth(&stacks, 2 * STACK_GROWTH >> 10);
}

/* --- many, and gone --------------------------------------------------------------------------- */

enum { NAMES = 1500, LARGE = NAMES - 7 };

/* Maps memory with many names, one of which has more than the others; told to, more of each. */
static void map_many_names(int in, int out, const void *context)
{
    static char *memory[NAMES];

    (void)context;
    for (int i = 0; i < NAMES; i++) {
        char name[32];
        int fd;

        snprintf(name, sizeof name, "name %d", i);
        fd = memfd_create(name, MFD_CLOEXEC);
        if (ftruncate(fd, 64 * PAGE) < 0)
            _exit(1);
        memory[i] = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        touch(memory[i], i == LARGE ? 32 * PAGE : PAGE);
        close(fd);
    }
    unit_tell(out);
    unit_await(in);
    for (int i = 0; i < NAMES; i++)
        touch(memory[i], i == LARGE ? 33 * PAGE : 2 * PAGE);
    grow_memfd(NULL);
    unit_tell(out);
    unit_await(in);
}

static size_t count_names(const struct mw_mappings *mappings)
{
    size_t count, names = 0;
    const struct mw_mapping_group *groups = mw_mappings_groups(mappings, &count);

    for (size_t i = 0; i < count; i++)
        names += groups[i].name && *groups[i].name;
    return names;
}

/* Every name that is kept grew by a page, and the rest by one for each of its own. */
static void check_each_grew_by_a_page(const struct mw_mappings *before,
                                      const struct mw_mappings *after)
{
    const struct mw_mapping_group *rest = find(before, MW_MAPPING_MEMFD, NULL);
    size_t count;
    const struct mw_mapping_group *groups = mw_mappings_groups(before, &count);

    for (size_t i = 0; i < count; i++) {
        if (groups[i].kind == MW_MAPPING_MEMFD && groups[i].name)
            assert_int_equal(resident_kib(after, MW_MAPPING_MEMFD, groups[i].name),
                             groups[i].resident_kib + PAGE / 1024);
    }
    assert_non_null(rest);
    assert_int_equal(resident_kib(after, MW_MAPPING_MEMFD, NULL),
                     rest->resident_kib + rest->count * PAGE / 1024 + GROWTH / 1024);
}

static void test_of_many_names_the_largest_are_kept_and_the_rest_is_summed(void **state)
{
    struct unit_child child;
    struct mw_mappings *before, *after;

    (void)state;
    unit_need_no_thread_sanitizer();
    child = child_that(map_many_names, NULL);
    before = snapshot_of(&child, NULL);
    assert_int_equal(count_names(before), MW_MAPPINGS_MOST_NAMES);
    assert_int_equal(resident_kib(before, MW_MAPPING_MEMFD, "name 1493"), 32 * PAGE / 1024);
    let_grow(&child);
    after = snapshot_of(&child, before);
    check_each_grew_by_a_page(before, after);
    assert_true(count_names(after) <= 2 * MW_MAPPINGS_MOST_NAMES);
    assert_int_equal(sum_of(after).count, sum_of(before).count + 1);
    mw_mappings_close(before);
    mw_mappings_close(after);
    unit_kill(&child);
}

enum { MAPPINGS = 20000 };

static void map_much(int in, int out, const void *context)
{
    (void)context;
    for (int i = 0; i < MAPPINGS; i++) /* neighbours with the same rights would become one */
        mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    unit_tell(out);
    unit_await(in);
}

static void test_many_mappings_are_read_piece_by_piece(void **state)
{
    struct unit_child child = child_that(map_much, NULL);
    struct mw_mappings *mappings = NULL;
    int pieces = 0, code;

    (void)state;
    assert_int_equal(mw_mappings_open(&mappings, child.pid, NULL), 0);
    while ((code = mw_mappings_read(mappings, 0)) > 0)
        pieces++;
    assert_int_equal(code, 0);
    assert_true(pieces > MAPPINGS / 10);
    assert_true(find(mappings, MW_MAPPING_ANONYMOUS, "")->count >= MAPPINGS);
    mw_mappings_close(mappings);
    mw_mappings_close(NULL);
    unit_kill(&child);
}

static void execute_when_told(int in, int out, const void *context)
{
    static char name[] = "sleep", time[] = "1000";

    (void)context;
    unit_tell(out);
    unit_await(in);
    fcntl(out, F_SETFD, FD_CLOEXEC);
    execv("/bin/sleep", (char *[]){name, time, NULL});
}

/* Between the opening of a snapshot and its end, and between two of them. */
static void check_no_snapshot_after(struct unit_child *child, bool execute)
{
    struct mw_mappings *before = snapshot_of(child, NULL), *open = NULL, *after = NULL;
    int code;

    assert_int_equal(mw_mappings_open(&open, child->pid, NULL), 0);
    assert_int_equal(mw_mappings_read(open, 0), 1);
    if (execute) {
        unit_tell(child->to);
        assert_false(unit_await(child->from)); /* closed by exec */
    } else {
        kill(child->pid, SIGKILL);
        assert_false(unit_await(child->from));
    }
    while ((code = mw_mappings_read(open, 1000000)) > 0)
        ;
    assert_int_equal(code, -ESRCH);
    assert_int_equal(mw_mappings_open(&after, child->pid, before), -ESRCH);
    assert_null(after);
    mw_mappings_close(open);
    mw_mappings_close(before);
}

static void test_a_process_that_ended_or_runs_another_program_gives_none(void **state)
{
    struct mw_mappings *mappings = NULL;
    struct unit_child child;

    (void)state;
    for (int execute = 0; execute < 2; execute++) {
        pid_t pid;

        child = child_that(execute_when_told, NULL);
        pid = child.pid;
        check_no_snapshot_after(&child, execute);
        unit_kill(&child);
        assert_int_equal(mw_mappings_open(&mappings, pid, NULL), -ESRCH);
    }
}

static void open_as_nobody(int in, int out, const void *context)
{
    struct mw_mappings *mappings = NULL;

    (void)in;
    if (unit_become_nobody() &&
        mw_mappings_open(&mappings, *(const pid_t *)context, NULL) == -EACCES)
        unit_tell(out);
}

static void test_a_process_of_somebody_else_is_refused(void **state)
{
    struct unit_child child;
    pid_t pid = getpid();

    (void)state;
    unit_need_root();
    child = unit_fork(open_as_nobody, &pid);
    assert_true(unit_await(child.from));
    unit_join(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_what_grows_is_found_under_its_kind_and_name),
        UNIT_TEST(test_a_file_is_known_by_its_path_whatever_is_in_that),
        UNIT_TEST(test_heap_arenas_and_stacks_are_told_apart),
        UNIT_TEST(test_of_many_names_the_largest_are_kept_and_the_rest_is_summed),
        UNIT_TEST(test_many_mappings_are_read_piece_by_piece),
        UNIT_TEST(test_a_process_that_ended_or_runs_another_program_gives_none),
        UNIT_TEST(test_a_process_of_somebody_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
