"""Functions that programs in C and C++ mark with memwatch.h: they are in the record as they ran."""

import json
import os
import pathlib
import signal
import sqlite3
import subprocess

import pytest

from conftest import HEADER, MEMWATCH, PROGRAMS, build, query, size_of, wait_for_rows, wait_until

def build_text(folder, text, *options):
    (folder / "marked.c").write_text("#include <memwatch.h>\n#include <stdio.h>\n"
                                     "#include <sys/wait.h>\n" + text)
    return build(folder, folder / "marked.c", *options)


def functions(folder, file="run.db"):
    run = folder.last_run(file)
    return {function["name"]: function for function in run["functions"]}


def test_c_program_has_its_functions_with_calls_times_and_peaks(folder):
    folder.record(build(folder, PROGRAMS / "phases.c"))
    found = functions(folder)
    assert {name: each["calls"] for name, each in found.items()} == {
        "round": 3, "load": 3, "sort": 3, "done": 1}
    done = found.pop("done")
    assert done["total_s"] == done["growth_bytes"] == 0 and 10_000_000 <= done["peak"]["bytes"]
    for each in found.values():
        assert each["calls_stored"] == 3 and each["file"].endswith("phases.c") and each["line"] > 0
        assert 0 < each["max_s"] <= each["total_s"]
    assert found["round"]["total_s"] >= found["load"]["total_s"] + found["sort"]["total_s"]
    assert found["load"]["growth_bytes"] >= 29_000_000  # at least the first: malloc may keep it
    assert abs(found["sort"]["growth_bytes"]) < 5_000_000
    peak = found["round"]["peak"]
    assert 29_000_000 <= peak["bytes"] <= 45_000_000
    assert folder.last_run("run.db")["recorder"]["lost_marks"] == 0


def test_cpp_program_may_leave_a_scope_by_an_exception_and_mark_from_threads(folder):
    folder.record(build(folder, PROGRAMS / "phases.cpp", compiler="c++"))
    found = functions(folder)
    assert {name: each["calls"] for name, each in found.items()} == {
        "main": 1, "work": 2, "load": 4, "fail": 2, "step": 2000}
    rows = query(folder / "run.db", "SELECT name, thread, depth, exit_s IS NULL FROM calls"
                                    " WHERE name <> 'step'")
    assert not any(row[3] for row in rows)
    assert len({row[1] for row in rows}) == 3
    assert {(row[0], row[2]) for row in rows} == {
        ("main", 0), ("work", 0), ("fail", 1), ("load", 1), ("load", 2)}


def test_point_is_a_line_with_its_memory_and_no_time(folder):
    program = build_text(folder, """
int main(void)
{
    MEMWATCH_SCOPE("main");
    for (int i = 0; i < 3; i++) {
        memset(malloc(8 << 20), 1, 8 << 20);
        MEMWATCH_POINT("here");
    }
}
""", "-O0")
    folder.record(program)
    line, = [line for line in folder.call("functions").stdout.decode().splitlines() if "here" in line]
    assert line.split()[:4] == ["3", "-", "-", "-"]
    points = query(folder / "run.db", "SELECT enter_s = exit_s, depth, enter_bytes, exit_bytes, peak_upper_bytes"
                                      " FROM calls WHERE name = 'here' ORDER BY enter_s")
    assert [(same, depth) for same, depth, *_ in points] == [(1, 1)] * 3
    assert all(enter == end <= upper for *_, enter, end, upper in points)
    for before, after in zip(points, points[1:]):
        assert abs(after[2] - before[2] - (8 << 20)) < 1 << 20
    assert folder.last_run("run.db")["recorder"]["lost_marks"] == 0


def test_spike_inside_a_call_is_in_its_peak_and_in_no_other(folder):
    program = build_text(folder, """
static void spike(size_t mib)
{
    volatile char *memory = malloc(mib << 20);
    for (size_t at = 0; at < mib << 20; at += 4096) memory[at] = 1;
    free((void *)memory);
}
int main(void)
{
    spike(90);
    { MEMWATCH_SCOPE("outer"); { MEMWATCH_SCOPE("inner"); spike(40); } spike(20); }
    { MEMWATCH_SCOPE("calm"); usleep(1000); }
    { MEMWATCH_SCOPE("outer"); spike(60); }
}
""")
    folder.record(program, options=("-i", "10"))
    found = functions(folder)
    mib = {name: each["peak"]["bytes"] / 2**20 for name, each in found.items()}
    assert 39 <= mib["inner"] <= 45 and 59 <= mib["outer"] <= 65 and mib["calm"] < 5
    assert all(each["peak"]["upper_bytes"] >= each["peak"]["bytes"] for each in found.values())
    rows = query(folder / "run.db", "SELECT peak_bytes / 1048576 FROM calls WHERE name = 'outer'"
                                    " ORDER BY enter_s")
    assert 39 <= rows[0][0] <= 45 and 59 <= rows[1][0] <= 65


def test_what_short_calls_add_to_the_memory_is_theirs(folder):
    pages = 5000
    program = build_text(folder, f"""
static void grow(volatile char *page) {{ MEMWATCH_SCOPE("grow"); *page = 1; }}
static void rest(void) {{ MEMWATCH_SCOPE("rest"); }}
int main(void)
{{
    size_t size = {pages}u * 4096;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += 4096) {{ grow(memory + at); rest(); }}
    return 0;
}}
""")
    folder.record(program)
    run = folder.last_run("run.db")
    found = functions(folder)
    assert found["grow"]["calls"] == found["rest"]["calls"] == pages
    least = pages * 4096 - 2 * run["recorder"]["rss_bound_bytes"]
    assert least <= found["grow"]["growth_bytes"] <= pages * 4096 * 1.01
    assert abs(found["rest"]["growth_bytes"]) <= pages * 4096 * 0.01


def test_marks_of_forked_processes_belong_to_them(folder):
    program = build_text(folder, """
int main(void)
{
    for (int i = 0; i < 3; i++) {
        MEMWATCH_SCOPE("parent");
        if (fork() == 0) {
            { MEMWATCH_SCOPE("child"); usleep(20000); }
            _exit(0);
        }
        wait(NULL);
    }
}
""")
    folder.record(program)
    rows = query(folder / "run.db", "SELECT name, count(*), count(DISTINCT pid) FROM calls GROUP BY 1"
                                    " ORDER BY 1")
    assert rows == [("child", 3, 3), ("parent", 3, 1)]


def test_marks_made_before_a_process_was_found_belong_to_it(folder):
    """When it looks for children, the recorder finds one milliseconds after it began."""
    program = build_text(folder, """
int main(void)
{
    for (int i = 0; i < 5; i++) {
        if (fork() == 0) {
            { MEMWATCH_SCOPE("child"); }
            usleep(100000);
            _exit(0);
        }
        wait(NULL);
    }
}
""")
    folder.record(program, options=["--tracking", "poll"])
    assert query(folder / "run.db", "SELECT count(*), count(DISTINCT pid) FROM calls") == [(5, 5)]


def test_children_none_leaves_the_marks_of_children_out(folder):
    program = build_text(folder, """
int main(void)
{
    { MEMWATCH_SCOPE("parent"); }
    if (fork() == 0) { { MEMWATCH_SCOPE("child"); } _exit(0); }
    wait(NULL);
}
""")
    folder.record(program, options=("--children", "none"))
    assert list(functions(folder)) == ["parent"]


def test_program_is_not_held_up_when_the_recorder_has_stopped_or_was_killed(folder):
    program = build_text(folder, """
int main(void)
{
    char name[64];
    puts("ready"); fflush(stdout);
    { MEMWATCH_SCOPE("before"); }
    while (access("go on", F_OK) != 0) usleep(1000);
    for (int i = 0; i < 1000000; i++) { MEMWATCH_TIMED_SCOPE("after"); }
    snprintf(name, sizeof name, "done"); creat(name, 0644);
}
""")
    for options, ends in (["-d", "0.1"], False), ([], True):
        recorder = folder.start("run", "-q", "-o", f"{ends}.db", *options, str(program))
        assert recorder.stdout.readline() == b"ready\n"
        wait_for_rows(folder / f"{ends}.db", "SELECT 1 FROM functions WHERE name = 'before'")
        if ends:
            recorder.kill()
            recorder.wait()
        else:
            wait_for_rows(folder / f"{ends}.db", "SELECT 1 FROM run WHERE outcome = 'detached'")
        (folder / "go on").touch()
        wait_until((folder / "done").exists, "the program ends")
        recorder.stdout.close(), recorder.stderr.close()
        recorder.wait()
        (folder / "go on").unlink(), (folder / "done").unlink()


def test_marks_are_in_the_file_while_the_program_runs_and_after_it_was_killed(folder):
    program = build_text(folder, """
int main(void)
{
    { MEMWATCH_SCOPE("done"); }
    MEMWATCH_ENTER("endless");
    puts("ready"); fflush(stdout);
    pause();
}
""")
    recorder = folder.start("run", "-q", "-o", "a.db", str(program))
    assert recorder.stdout.readline() == b"ready\n"
    wait_for_rows(folder / "a.db", "SELECT 1 FROM functions WHERE name = 'done' AND ended = 1")
    wait_for_rows(folder / "a.db", "SELECT 1 FROM functions WHERE name = 'endless' AND ended = 0")
    pid, = query(folder / "a.db", "SELECT pid FROM process")[0]
    os.kill(pid, signal.SIGKILL)
    assert recorder.wait(60) == 128 + signal.SIGKILL
    found = functions(folder, "a.db")
    assert found["endless"]["calls"] == 1 and found["done"]["calls"] == 1


def test_many_calls_are_counted_exactly(folder):
    program = build_text(folder, """
int main(void) { for (int i = 0; i < 300000; i++) { MEMWATCH_TIMED_SCOPE("often"); } }
""")
    folder.record(program)
    run = folder.last_run("run.db")
    often = run["functions"][0]
    # Each is in the aggregates, or counted as lost: an entry and an exit are two marks.
    assert 2 * (300000 - often["calls"]) <= run["recorder"]["lost_marks"]
    assert often["calls"] > 0


FLOOD = """
#include <pthread.h>
#include <unistd.h>
static void *work(void *context)
{
    for (int i = 0; i < 50000; i++) {
        MEMWATCH_SCOPE("work");
    }
    return context;
}
int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
"""


@pytest.mark.parametrize("reading", [False, True])
def test_calls_beyond_the_bound_of_the_file_are_counted_and_nothing_ends(folder, reading):
    process = folder.start("run", "-q", "-o", "a.db", "--max-file", "1M", "--peak-window", "off",
                           build_text(folder, FLOOD))
    reader, largest = None, 0
    while process.poll() is None:
        largest = max(largest, size_of(folder / "a.db"))
        if reading and not reader and largest > 300_000:
            reader = sqlite3.connect(f"file:{folder / 'a.db'}?mode=ro", uri=True, isolation_level=None)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sample").fetchone()
    assert process.communicate()[1] == b"" and process.returncode == 0
    if reader:
        reader.close()
    assert largest <= 1 << 20
    work = functions(folder, "a.db")["work"]
    run = folder.last_run("a.db")
    assert run["end"] == "exited"
    assert work["calls"] + run["recorder"]["lost_marks"] >= 200_000
    assert 0 < work["calls_stored"] == query(folder / "a.db", "SELECT count(*) FROM call")[0][0]
    assert query(folder / "a.db", "PRAGMA integrity_check") == [("ok",)]


def test_call_of_a_process_that_was_never_seen_ends_with_it(folder):
    """One that lives for a millisecond while the recorder looks for processes now and then."""
    program = build_text(folder, """
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
    for (int i = 0; i < 20; i++) {
        if (fork() == 0) {
            MEMWATCH_SCOPE("left");
            exit(0);
        }
        wait(NULL);
    }
    sleep(4);
    return 0;
}
""")
    folder.record(program, options=["--tracking", "poll", "-i", "100ms"])
    left = functions(folder)["left"]
    assert left["calls"] == 20
    unknown, ended = query(folder / "run.db", "SELECT count(*), count(duration_ns) FROM call"
                           " WHERE process IS NULL")[0]
    if unknown == 0:
        pytest.skip("every process was seen")
    assert unknown == ended


def test_without_memwatch_around_it_the_program_just_runs(folder):
    program = build(folder, PROGRAMS / "phases.c")
    assert subprocess.run([program], check=False, env={"MEMWATCH_MARKS": "/nowhere"}).returncode == 0
    disabled = build(folder, PROGRAMS / "phases.cpp", "-DMEMWATCH_DISABLE", compiler="c++")
    folder.record(disabled, file="none.db")
    assert folder.last_run("none.db")["functions"] == []


def test_header_compiles_in_every_dialect_it_promises(folder):
    for compiler, options in [("cc", ["-std=gnu99"]), ("cc", ["-std=gnu17", "-pedantic"]),
                              ("c++", ["-std=c++98", "-pedantic", "-x", "c++"]),
                              ("c++", ["-std=gnu++11", "-x", "c++"]),
                              ("c++", ["-std=gnu++20", "-x", "c++"])]:
        (folder / "dialect.c").write_text(
            "#include <memwatch.h>\nint main(void) { MEMWATCH_SCOPE(\"a\"); MEMWATCH_POINT(\"b\"); }\n")
        build(folder, folder / "dialect.c", *options, compiler=compiler)


def test_missing_extensions_are_one_error(folder):
    (folder / "strict.c").write_text("#include <memwatch.h>\n"
                                     "int main(void) { MEMWATCH_SCOPE(\"a\"); MEMWATCH_POINT(\"b\"); }\n")
    result = subprocess.run(["cc", "-std=c99", f"-I{HEADER}", "-c", folder / "strict.c"], check=False,
                            stderr=subprocess.PIPE)
    assert result.returncode != 0 and result.stderr.count(b"error:") == 1
    assert b"-std=gnu11" in result.stderr


def test_two_files_of_a_program_share_one_channel(folder):
    (folder / "other.c").write_text("#include <memwatch.h>\nvoid other(void);\n"
                                    "void other(void) { MEMWATCH_SCOPE(\"other\"); }\n")
    program = build_text(folder, "void other(void);\n"
                                 "int main(void) { MEMWATCH_SCOPE(\"main\"); other(); }\n",
                         str(folder / "other.c"))
    folder.record(program)
    assert query(folder / "run.db", "SELECT name, depth FROM calls ORDER BY depth") == [
        ("main", 0), ("other", 1)]


def test_recorder_below_a_recorder_takes_its_own_marks(folder):
    program = build_text(folder, 'int main(void) { MEMWATCH_SCOPE("inner"); }\n')
    folder.record(MEMWATCH, "run", "-q", "-o", "inner.db", program, file="outer.db")
    assert [each for each in functions(folder, "inner.db")] == ["inner"]
    assert functions(folder, "outer.db") == {}


def test_plot_and_table_show_the_functions(folder, gnuplot):
    folder.record(build(folder, PROGRAMS / "phases.c"))
    table = folder.call("functions").stdout.decode()
    assert "load" in table and "round" in table
    assert json.loads(folder.call("functions", "--json").stdout)
    script = folder.call("plot", "--script").stdout.decode()
    assert "round, 3 calls" in script
    assert folder.call("plot", "--flame", "-o", "a.svg").returncode == 0
    assert "load" in (folder / "a.svg").read_text()


def test_channel_is_gone_with_the_recording(folder):
    program = build_text(folder, 'int main(void) { MEMWATCH_POINT("here");'
                                 ' puts(getenv("MEMWATCH_MARKS")); }\n')
    path = pathlib.Path(folder.call("run", "-q", "-o", "a.db", program).stdout.decode().strip())
    assert path.is_absolute() and not path.exists()
