/* Cgroups of both versions, in folders that look like the kernel's. */
#include "capture/cgroup.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A host with both versions, as Debian 10 had it. */
static const char hybrid[] =
    "22 1 0:20 / / rw - ext4 /dev/vda rw\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:14 - cgroup cgroup rw,memory\n"
    "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
static const char unified[] =
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
/* A container of version 1, in which its own cgroup is mounted; and a path with a blank. */
static const char container[] = "9 8 0:5 /docker/ab /sys/fs/my\\040cgroup ro - cgroup cgroup "
                                "rw,memory";

static struct mw_cgroup_mounts mounts_of(const char *mountinfo)
{
    struct mw_cgroup_mounts mounts = {0};

    assert_int_equal(mw_cgroup_find_mounts(mountinfo, &mounts), 0);
    return mounts;
}

static void test_mounts_are_found_with_their_roots(void **state)
{
    struct mw_cgroup_mounts mounts = mounts_of(hybrid);

    (void)state;
    assert_string_equal(mounts.v1.folder, "/sys/fs/cgroup/memory");
    assert_string_equal(mounts.v1.root, "/");
    assert_string_equal(mounts.v2.folder, "/sys/fs/cgroup/unified");
    mw_cgroup_clear_mounts(&mounts);
    mounts = mounts_of(unified);
    assert_null(mounts.v1.folder);
    assert_string_equal(mounts.v2.folder, "/sys/fs/cgroup");
    mw_cgroup_clear_mounts(&mounts);
    mounts = mounts_of(container);
    assert_string_equal(mounts.v1.folder, "/sys/fs/my cgroup");
    assert_string_equal(mounts.v1.root, "/docker/ab");
    assert_null(mounts.v2.folder);
    mw_cgroup_clear_mounts(&mounts);
}

static void test_what_is_no_mountinfo_has_no_mounts(void **state)
{
    static const char *const texts[] = {
        "", "\n\n", " - ", "cgroup2", "a b c - cgroup2", "1 2 3 4 5 6 - cgroup x rw,memoryless"};

    (void)state;
    for (size_t i = 0; i < MW_COUNT(texts); i++) {
        struct mw_cgroup_mounts mounts = mounts_of(texts[i]);

        assert_null(mounts.v1.folder);
        mw_cgroup_clear_mounts(&mounts);
    }
}

/* Checks the folders of a chain, from the process's own cgroup upwards. */
static void check_chain(const char *mountinfo, const char *membership, const char *const *folders,
                        const char *const *paths, size_t wanted)
{
    struct mw_cgroup_mounts mounts = mounts_of(mountinfo);
    struct mw_cgroup *chain = NULL;
    size_t count;

    assert_int_equal(mw_cgroup_chain(&mounts, membership, &chain, &count), 0);
    assert_int_equal(count, wanted);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(chain[i].folder, folders[i]);
        assert_string_equal(chain[i].path, paths[i]);
    }
    mw_cgroup_free_chain(chain, count);
    mw_cgroup_clear_mounts(&mounts);
}

static void test_a_chain_goes_up_to_the_root(void **state)
{
    static const char *const paths[] = {"/a.slice/b.service", "/a.slice", "/"};
    static const char *const folders[] = {"/sys/fs/cgroup/a.slice/b.service",
                                          "/sys/fs/cgroup/a.slice", "/sys/fs/cgroup"};

    (void)state;
    check_chain(unified, "0::/a.slice/b.service\n", folders, paths, 3);
    check_chain(unified, "0::/\n", folders + 2, paths + 2, 1);
}

static void test_where_version_1_has_the_memory_controller_it_counts(void **state)
{
    static const char *const paths[] = {"/x", "/"};
    static const char *const folders[] = {"/sys/fs/cgroup/memory/x", "/sys/fs/cgroup/memory"};

    (void)state;
    check_chain(hybrid, "5:cpu,cpuacct:/cpu\n4:memory:/x\n0::/unified\n", folders, paths, 2);
    check_chain(hybrid, "4:pids,memory:/x", folders, paths, 2);
}

static void test_a_container_sees_its_own_part(void **state)
{
    static const char *const paths[] = {"/docker/ab/c", "/docker/ab"};
    static const char *const folders[] = {"/sys/fs/my cgroup/c", "/sys/fs/my cgroup"};

    (void)state;
    check_chain(container, "4:memory:/docker/ab/c\n", folders, paths, 2);
    check_chain(container, "4:memory:/docker/abc\n", NULL, NULL, 0);
    check_chain(container, "4:memory:/\n", NULL, NULL, 0);
    check_chain(unified, "0::/../../other\n", NULL, NULL, 0);
    check_chain(unified, "", NULL, NULL, 0);
    check_chain(unified, "nonsense\n:::\n0:\n", NULL, NULL, 0);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_limits_of_version_2(void **state)
{
    char *folder = unit_path(state, ".");
    struct mw_cgroup cgroup = {.folder = folder, .v2 = true};
    struct mw_cgroup_limit limits[MW_CGROUP_LIMITS];

    assert_int_equal(mw_cgroup_read_limits(&cgroup, limits), 0); /* the topmost has no files */
    write_file(folder, "memory.max", "536870912\n");
    write_file(folder, "memory.high", "max\n");
    write_file(folder, "memory.swap.max", "0\n");
    assert_int_equal(mw_cgroup_read_limits(&cgroup, limits), 3);
    assert_string_equal(limits[0].name, "memory.max");
    assert_int_equal(limits[0].bytes, 536870912);
    assert_string_equal(limits[1].name, "memory.high");
    assert_int_equal(limits[1].bytes, -1);
    assert_string_equal(limits[2].name, "memory.swap.max");
    assert_int_equal(limits[2].bytes, 0);
    free(folder);
}

static void test_limits_of_version_1(void **state)
{
    char *folder = unit_path(state, ".");
    struct mw_cgroup cgroup = {.folder = folder};
    struct mw_cgroup_limit limits[MW_CGROUP_LIMITS];

    write_file(folder, "memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    write_file(folder, "memory.memsw.limit_in_bytes", "1073741824\n");
    assert_int_equal(mw_cgroup_read_limits(&cgroup, limits), 2);
    assert_int_equal(limits[0].bytes, -1);
    assert_string_equal(limits[1].name, "memory.memsw.limit_in_bytes");
    assert_int_equal(limits[1].bytes, 1073741824);
    free(folder);
}

static void test_what_is_no_limit_sets_none(void **state)
{
    static const char *const texts[] = {"", "\n", "-5\n", "12x\n", "99999999999999999999999\n"};
    char *folder = unit_path(state, ".");
    struct mw_cgroup cgroup = {.folder = folder, .v2 = true};
    struct mw_cgroup_limit limits[MW_CGROUP_LIMITS];

    for (size_t i = 0; i < MW_COUNT(texts); i++) {
        size_t count;

        write_file(folder, "memory.max", texts[i]);
        count = mw_cgroup_read_limits(&cgroup, limits);
        assert_true(count == 0 || limits[0].bytes == -1);
    }
    free(folder);
}

static void test_kills_are_counted(void **state)
{
    char *folder = unit_path(state, ".");
    struct mw_cgroup v1 = {.folder = folder}, v2 = {.folder = folder, .v2 = true};

    assert_int_equal(mw_cgroup_read_oom_kills(&v1), -1);
    assert_int_equal(mw_cgroup_read_oom_kills(&v2), -1);
    write_file(folder, "memory.events", "low 0\noom 7\noom_kill 3\noom_group_kill 9\n");
    write_file(folder, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
    assert_int_equal(mw_cgroup_read_oom_kills(&v1), 5);
    assert_int_equal(mw_cgroup_read_oom_kills(&v2), 3);
    write_file(folder, "memory.events", "oom_group_kill 9\n");
    assert_int_equal(mw_cgroup_read_oom_kills(&v2), -1);
    assert_true(mw_cgroup_read_all_oom_kills() >= -1);
    free(folder);
}

static void test_processes_are_those_of_the_cgroup_and_of_all_below(void **state)
{
    char *folder = unit_path(state, "."), *child = unit_path(state, "child");
    pid_t pids[3] = {0};

    assert_int_equal(mw_cgroup_read_processes(folder, pids, 3), -ENOENT);
    mkdir(child, 0755);
    write_file(folder, "cgroup.procs", "10\n11\n");
    write_file(child, "cgroup.procs", "12\n13\n");
    assert_int_equal(mw_cgroup_read_processes(folder, pids, 3), 4);
    assert_int_equal(pids[0], 10);
    assert_int_equal(pids[1], 11);
    assert_int_equal(pids[2], 12);
    free(folder);
    free(child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_TEST(test_mounts_are_found_with_their_roots),
        UNIT_TEST(test_what_is_no_mountinfo_has_no_mounts),
        UNIT_TEST(test_a_chain_goes_up_to_the_root),
        UNIT_TEST(test_where_version_1_has_the_memory_controller_it_counts),
        UNIT_TEST(test_a_container_sees_its_own_part),
        UNIT_TEST(test_limits_of_version_2),
        UNIT_TEST(test_limits_of_version_1),
        UNIT_TEST(test_what_is_no_limit_sets_none),
        UNIT_TEST(test_kills_are_counted),
        UNIT_TEST(test_processes_are_those_of_the_cgroup_and_of_all_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
