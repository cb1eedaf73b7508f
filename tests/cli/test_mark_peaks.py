"""A spike that only a mark of a function has seen is in the peaks of its process and of the run.

Whoever marks resets the kernel's high-water mark, so that the recorder's own look at it comes too
late. Where its windows are as long as SELDOM, and so are the ticks, nobody but the marks sees
anything."""

import json

import pytest

from conftest import Guided, query, wait_for_rows
from test_marks import build_text

MIB = 1 << 20
SELDOM = ["-i", "10", "--peak-window", "10"]
AT_ONCE = ["-i", "1ms"]

SPIKE = """
static void spike(size_t mib)
{
    size_t size = mib << 20;
    volatile char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                 -1, 0);
    for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
    munmap((void *)memory, size);
}
static void marked(size_t mib) { MEMWATCH_SCOPE("marked"); spike(mib); }
static void wait_for(const char *name) { while (access(name, F_OK) != 0) usleep(1000); }
"""

PYTHON_SPIKES = """
import mmap
from time import sleep
def spike(mib):
    block = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, mib << 20, 4096):
        block[page] = 1
    block.close()
@profile
def marked(mib):
    spike(mib)
for mib in (40, 80, 60):
    marked(mib)
    sleep(0.02)
"""


def build_spikes(folder, text, *options):
    return build_text(folder, SPIKE + text, "-Wno-unused-function", *options)


def check(run, mib, *, closed=True):
    """All peaks say that mib was the highest; returns that of the run."""
    bound = run["recorder"]["peak_bound_bytes"]
    processes = [process["peak"] for process in run["processes"] if process["peak"]]
    functions = [function["peak"] for function in run["functions"]]
    assert run["recorder"]["lost_marks"] == 0
    for each in (run["peak"], max(processes, key=lambda peak: peak["bytes"])):
        assert all(each["bytes"] >= function["bytes"] for function in functions)
        assert (mib << 20) - 2 * bound <= each["bytes"]
        assert each["upper_bytes"] is not None or not closed
        assert each["upper_bytes"] is None or each["upper_bytes"] >= mib << 20
    for process in processes:
        assert run["peak"]["bytes"] >= process["bytes"]
        assert process["upper_bytes"] is None or process["bytes"] <= process["upper_bytes"]
    return run["peak"]


def check_band(path, run):
    """The band that is drawn above the curve is as high as the peak."""
    highest = query(path, "SELECT max(bytes) FROM samples WHERE metric = 'peak'")[0][0]
    assert highest + run["recorder"]["peak_bound_bytes"] >= run["peak"]["bytes"]


@pytest.mark.parametrize("options", [SELDOM, AT_ONCE], ids=["seldom", "at-once"])
@pytest.mark.parametrize("times", range(3))
def test_spike_of_a_marked_function(folder, options, times):
    path = folder.record(build_spikes(folder, """
int main(void) { marked(40); marked(90); usleep(30000); marked(60); }
"""), options=options)
    run = folder.last_run(path)
    check(run, 90)
    check_band(path, run)
    whole, marked = (json.loads(folder.call("peak", "--json", *words, path).stdout)[0]["peak"]
                     for words in ([], ["--func", "marked"]))
    assert whole["bytes"] >= marked["bytes"] > 89 * MIB


@pytest.mark.parametrize("options", [SELDOM, AT_ONCE], ids=["seldom", "at-once"])
def test_spike_of_a_marked_python_function(folder, options):
    (folder / "spikes.py").write_text(PYTHON_SPIKES)
    path = folder.record("spikes.py", options=options)
    run = folder.last_run(path)
    check(run, 80)
    check_band(path, run)


def test_spike_before_the_first_mark(folder):
    folder.record(build_spikes(folder, "int main(void) { spike(120); marked(40); }"),
                  options=SELDOM)
    run = folder.last_run("run.db")
    check(run, 120)
    assert run["functions"][0]["peak"]["bytes"] < 60 * MIB


def test_spike_in_the_last_moments_of_a_process(folder):
    folder.record(build_spikes(folder, """
int main(void) { marked(40); usleep(50000); marked(90); _exit(0); }
"""), options=AT_ONCE)
    check(folder.last_run("run.db"), 90)


def test_spike_of_a_child(folder):
    folder.record(build_spikes(folder, """
int main(void)
{
    marked(30);
    if (fork() == 0) { usleep(100000); marked(70); usleep(1000); _exit(0); }
    wait(NULL);
    marked(30);
}
"""), options=SELDOM)
    run = folder.last_run("run.db")
    check(run, 70, closed=False)
    parent, child = run["processes"]
    assert 69 * MIB <= child["peak"]["bytes"] < 75 * MIB and parent["peak"]["bytes"] < 40 * MIB


def test_spike_of_one_program_is_not_that_of_the_next(folder):
    program = build_spikes(folder, """
int main(int argc, char **argv)
{
    if (argc > 1) { spike(30); { MEMWATCH_SCOPE("second"); } return 0; }
    MEMWATCH_ENTER("first");
    spike(70);
    execl(argv[0], argv[0], "again", NULL);
}
""")
    folder.record(program, options=SELDOM)
    run = folder.last_run("run.db")
    peaks = {function["name"]: function["peak"]["bytes"] / MIB for function in run["functions"]}
    assert peaks["second"] < 10
    assert 29 * MIB <= run["peak"]["bytes"] and run["peak"]["upper_bytes"] >= 70 * MIB


def test_recording_that_ends_before_its_program(folder):
    program = build_spikes(folder, """
int main(int argc, char **argv)
{
    marked(90);
    puts("ready"); fflush(stdout);
    while (argc > 2 && access(argv[2], F_OK) != 0) marked(90);
    wait_for(argv[1]);
}
""")
    with Guided(folder, [program, "end"], SELDOM) as guided:
        assert guided.line() == "ready"
        guided.see("SELECT 1 FROM run WHERE peak_kib > ?", 89 << 10)  # also while it goes on
        guided.see("SELECT 1 FROM process WHERE peak_kib > ?", 89 << 10)
        guided.allow("end")
        check(guided.finish(), 90)
    with folder.start("run", "-q", "-o", "b.db", "-d", "0.5", *SELDOM, "--", str(program), "b", "b",
                      stdout=None) as recorder:
        wait_for_rows(folder / "b.db", "SELECT 1 FROM run WHERE outcome = 'detached'")
        (folder / "b").touch()
        assert recorder.wait(60) == 0
    run = folder.last_run("b.db")
    check(run, 1, closed=False)
    check_band(folder / "b.db", run)


@pytest.mark.parametrize("children", ["each", "sum", "none"])
def test_whatever_is_recorded_of_children(folder, children):
    folder.record(build_spikes(folder, "int main(void) { marked(90); }"),
                  options=[*SELDOM, "--children", children])
    run = folder.last_run("run.db")
    assert run["peak"]["bytes"] >= run["functions"][0]["peak"]["bytes"] > 89 * MIB
    process, = run["processes"]
    if children == "sum":
        assert process["peak"] is None
    else:
        check(run, 90)


def test_memory_that_was_read_at_a_mark_where_no_window_is_taken(folder):
    folder.record(build_spikes(folder, """
int main(void)
{
    volatile char *memory = malloc(50 << 20);
    for (size_t at = 0; at < 50 << 20; at += 4096) memory[at] = 1;
    { MEMWATCH_SCOPE("marked"); }
    free((void *)memory);
}
"""), options=["-i", "10", "--peak-window", "off"])
    peak = check(folder.last_run("run.db"), 50)
    assert peak["source"] == "sampled" and peak["bytes"] < 55 * MIB


def test_limit_that_only_a_mark_saw_crossed(folder):
    program = build_spikes(folder, "int main(void) { marked(90); usleep(300000); marked(20); }")
    result = folder.call("run", "-q", "-o", "a.db", *SELDOM, "--max-rss", "50M", str(program))
    assert result.returncode == 3, result
    event, = (event for event in folder.last_run("a.db")["events"] if event["kind"] == "limit")
    assert event["value"] > 50_000_000


def test_bound_of_a_program_with_one_thread_allows_for_nothing_unseen(folder):
    """No mark is blind where nobody else can use memory, however long it is held up."""
    program = build_spikes(folder, """
int main(void)
{
    puts("ready"); fflush(stdout);
    wait_for("go"); /* until the recorder has had its first look, which may be blind */
    for (int i = 0; i < 300; i++) marked(1 + i % 2);
    marked(20);
}
""")
    with Guided(folder, [program], SELDOM) as guided:
        assert guided.line() == "ready"
        guided.see("SELECT 1 FROM samples WHERE metric = 'peak'")
        guided.allow("go")
        run = guided.finish()
    bound = 2 * run["recorder"]["peak_bound_bytes"]
    for peak in (run["peak"], run["processes"][0]["peak"], run["functions"][0]["peak"]):
        assert peak["upper_bytes"] - peak["bytes"] == bound


def test_bound_of_a_program_with_threads_allows_for_what_its_marks_did_not_see(folder):
    folder.record(build_spikes(folder, """
static void *rest(void *nothing) { pause(); return nothing; }
int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, rest, NULL);
    marked(20);
    _exit(0);
}
"""), options=SELDOM)
    run = folder.last_run("run.db")
    check(run, 20)
    assert run["peak"]["upper_bytes"] - run["peak"]["bytes"] > 2 * run["recorder"]["peak_bound_bytes"]


def test_nothing_bounds_a_peak_of_which_marks_were_lost(folder):
    program = build_spikes(folder, """
int main(void)
{
    marked(20);
    puts("ready"); fflush(stdout);
    wait_for("go");
    for (int i = 0; i < 20000; i++) { MEMWATCH_SCOPE("often"); }
    marked(90);
    puts("done"); fflush(stdout);
    wait_for("end");
}
""")
    with Guided(folder, [program], SELDOM) as guided:
        assert guided.line() == "ready"
        guided.stop()
        guided.allow("go")
        assert guided.line() == "done"
        guided.go_on()
        guided.allow("end")
        run = guided.finish()
    assert run["recorder"]["lost_marks"] > 0
    assert run["peak"]["upper_bytes"] is None
    assert run["processes"][0]["peak"]["upper_bytes"] is None
    assert all(function["peak"]["upper_bytes"] is None or function["name"] != "often"
               for function in run["functions"])
