"""Functions that Python programs mark with `profile`: on every Python there is, without a change."""

import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import textwrap

import pytest

from conftest import MEMWATCH, PROGRAMS, query, wait_for_rows
from find_python import find_python
from pythons import python  # noqa: F401 (a fixture)

MIB = 1 << 20
EXAMPLES = pathlib.Path("/usr/share/doc/python3-memory-profiler/examples")


class Calls:
    """The calls of a recording, as its view tells them."""

    COLUMNS = ("name", "pid", "thread", "track", "depth", "enter_s", "exit_s", "duration_s",
               "suspended_s", "growth_bytes", "enter_bytes", "peak_bytes", "peak_upper_bytes")

    def __init__(self, path):
        self.path = path
        rows = query(path, f"SELECT {', '.join(self.COLUMNS)} FROM calls ORDER BY enter_s, depth")
        self.all = [dict(zip(self.COLUMNS, row)) for row in rows]
        self.lost = query(path, "SELECT lost_marks FROM run ORDER BY id DESC LIMIT 1")[0][0]

    def of(self, name):
        return [call for call in self.all if call["name"] == f"__main__.{name}"]

    def only(self, name):
        (call,) = self.of(name)
        return call

    def count(self):
        names = [call["name"] for call in self.all]
        return {name: names.count(name) for name in names}


def record(folder, python, *words, options=(), file="run.db"):  # noqa: F811
    folder.record(*words, options=["--python", python, *options], file=file)
    return Calls(folder / file)


def script(folder, text, name="script.py"):
    (folder / name).write_text(textwrap.dedent(text))
    return name


@pytest.fixture(scope="module")
def kinds(python, tmp_path_factory):  # noqa: F811
    """The recording of all kinds of functions, under each Python."""
    path = tmp_path_factory.mktemp("kinds") / "run.db"
    subprocess.run([MEMWATCH, "run", "-q", "-o", path, "--python", python, PROGRAMS / "kinds.py"],
                   check=True, timeout=60)
    return Calls(path)


def old_python():
    """One from before 3.8, that pyenv may have."""
    found = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.[67].*/bin/python3")))
    return found[0] if found else pytest.skip("there is no Python 3.6 or 3.7")


def test_python_that_is_too_old_says_so_once_and_runs_the_program(folder):
    name = script(folder, """
        @profile
        def f(): return 3
        with profile.timestamp("block"): print(f())
    """)
    for options in [], ["--trace", "*:f"]:
        result = folder.call("run", "-q", *options, "--python", old_python(), name)
        assert (result.returncode, result.stdout) == (0, b"3\n")
        assert result.stderr.splitlines()[0] == (
            b"memwatch: functions are not marked here: memwatch marks functions from CPython 3.8 on")
        assert result.stderr.count(b"CPython 3.8") == 1
    os.symlink(old_python(), folder / "python3")
    said = folder.call("doctor", "--json", env={"PATH": str(folder.path)})
    found = json.loads(said.stdout)["checks"]["pythons"]["found"][0]
    assert not found["profile"] and found["error"] == "memwatch marks functions from CPython 3.8 on"


def test_traceback_tells_what_the_line_between_is(folder, python):  # noqa: F811
    result = folder.call("run", "-q", "--python", python, script(folder, """
        @profile
        def fails(): return 1 / 0
        fails()
    """))
    assert result.returncode == 1 and b"# the call that memwatch marks" in result.stderr


def test_marking_loads_no_module_that_takes_long(folder, python):  # noqa: F811
    name = script(folder, """
        import sys
        before = set(sys.modules)
        @profile
        def marked(): pass
        marked()
        assert not {"inspect", "ast", "dis", "re", "enum"} & (set(sys.modules) - before)
    """)
    assert record(folder, python, name).count() == {"__main__.marked": 1}


# --- every kind of function -------------------------------------------------------------------


def test_every_call_of_every_kind_is_there_and_has_ended(kinds):
    expected = {
        "sleeps": 1, "grows": 1, "spikes": 1, "nested": 1, "inner": 4, "recursive": 5, "fails": 3,
        "with_parentheses": 1, "with_options": 1, "by_memory_profiler": 1, "by_memwatch": 1,
        "cached": 2, "make_local.<locals>.local": 1, "Plain.method": 1, "Plain.class_outside": 1,
        "Plain.class_inside": 1, "Plain.static_outside": 1, "Plain.static_inside": 1,
        "Plain.value": 1, "Other.method": 1, "Whole.__init__": 1, "Whole.method": 1,
        "Whole.of_class": 1, "Whole.static": 1, "Whole.value": 1, "generator": 5,
        "inner_of_generator": 10, "echo": 1, "delegating": 1, "old_style": 1, "waits": 4,
        "in_task": 4, "awaits": 2, "is_cancelled": 1, "produces": 2, "fails_later": 1,
        "in_thread": 2}
    assert kinds.count() == {**{f"__main__.{name}": count for name, count in expected.items()},
                             "chosen": 1, "block": 1, "waiting block": 1}
    assert all(call["exit_s"] is not None for call in kinds.all)
    assert kinds.lost == 0


def test_times_are_those_of_the_program(kinds):
    assert kinds.only("sleeps")["duration_s"] >= 0.05
    assert kinds.only("nested")["duration_s"] >= 0.04
    assert all(call["duration_s"] >= 0.02 for call in kinds.of("inner"))
    assert all(call["suspended_s"] == 0 for call in kinds.of("inner"))
    (block,) = [call for call in kinds.all if call["name"] == "block"]
    assert block["duration_s"] >= 0.02


def test_memory_is_that_of_the_program(kinds):
    grows, spikes, nested = map(kinds.only, ("grows", "spikes", "nested"))
    assert 19 * MIB <= grows["growth_bytes"] <= 22 * MIB
    for call in spikes, nested:
        assert call["growth_bytes"] <= 2 * MIB
        assert 57 * MIB <= call["peak_bytes"] - call["enter_bytes"] <= 63 * MIB
    assert all(call["peak_bytes"] - call["enter_bytes"] <= 2 * MIB for call in kinds.of("inner"))
    assert kinds.only("sleeps")["peak_upper_bytes"] < spikes["peak_bytes"]


def test_depth_is_that_of_the_stack_also_after_exceptions(kinds):
    assert [call["depth"] for call in kinds.of("recursive")] == [0, 1, 2, 3, 4]
    assert [call["depth"] for call in kinds.of("fails")] == [0, 0, 0]
    assert [call["depth"] for call in kinds.of("inner")] == [1, 1, 0, 1]
    assert kinds.only("Whole.__init__")["depth"] == 1


def test_generators_last_from_their_first_step_to_their_end(kinds):
    whole, closed, *interleaved, delegated = kinds.of("generator")
    assert whole["duration_s"] >= 0.03 and closed["duration_s"] >= 0.01
    for call in interleaved:
        assert call["duration_s"] >= 0.02 and call["suspended_s"] >= 0.01
    assert interleaved[0]["track"] != interleaved[1]["track"]
    assert delegated["duration_s"] >= 0.02
    assert all(call["depth"] == 0 for call in kinds.of("generator"))
    # What a generator calls is above it, in its track.
    assert all(call["depth"] == 1 and call["track"] for call in kinds.of("inner_of_generator"))


def test_coroutines_are_told_apart_by_task_and_waiting_from_working(kinds):
    one, other = kinds.of("awaits")
    assert one["track"] != other["track"] and one["depth"] == other["depth"] == 0
    for call in one, other:
        assert call["suspended_s"] >= 0.05 and 0.02 <= call["duration_s"]  # the timer runs already
    waits = kinds.of("waits")
    assert all(call["depth"] == 1 and call["suspended_s"] >= 0.025 for call in waits)
    assert sorted(call["track"] for call in waits) == sorted([one["track"], other["track"]] * 2)
    assert all(call["depth"] == 2 for call in kinds.of("in_task"))
    assert kinds.only("is_cancelled")["suspended_s"] >= 0.02
    assert kinds.only("fails_later")["suspended_s"] >= 0.01
    assert kinds.only("old_style")["suspended_s"] >= 0.01
    assert [call["suspended_s"] >= least for call, least in
            zip(kinds.of("produces"), (0.03, 0.01))] == [True, True]


@pytest.mark.parametrize("way", ["decorated", "traced"])
def test_eager_task_is_told_apart_from_the_one_that_creates_it(folder, python, way):  # noqa: F811
    """Its first step runs in the middle of the other, as if it were called there."""
    probe = "import asyncio; asyncio.eager_task_factory"
    if subprocess.run([python, "-c", probe], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("tasks do not start eagerly before Python 3.12")
    text = """
        import asyncio
        @profile
        async def awaited(): await asyncio.sleep(0.01)
        @profile
        async def eager(gate):
            with BLOCK:
                await gate.wait()
            await awaited()
        @profile
        async def creates():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            gate = asyncio.Event()
            task = asyncio.create_task(eager(gate))
            await awaited()
            gate.set()
            await task
        asyncio.run(creates())
    """
    if way == "traced":
        text = text.replace("@profile", "").replace("BLOCK", "open('/dev/null')")
    name = script(folder, text.replace("BLOCK", "profile.timestamp('block')"))
    calls = record(folder, python, name, options=["--trace", "__main__.*"] if way == "traced" else [])
    creates, eager = calls.only("creates"), calls.only("eager")
    assert creates["depth"] == eager["depth"] == 0 and creates["track"] != eager["track"]
    assert eager["suspended_s"] >= 0.015  # twice 10 ms
    assert [(call["track"], call["depth"]) for call in calls.of("awaited")] == [
        (creates["track"], 1), (eager["track"], 1)]
    assert {(call["track"], call["depth"]) for call in calls.all if call["name"] == "block"} <= {
        (eager["track"], 1)}
    assert all(call["exit_s"] is not None for call in calls.all) and calls.lost == 0


def test_table_and_picture_are_made_for_python(kinds):
    table = subprocess.run([MEMWATCH, "functions", kinds.path], check=True, capture_output=True,
                           text=True).stdout
    header, *lines = table.splitlines()
    assert header.split() == ["calls", "time", "waited", "longest", "growth", "peak", "function"]
    assert any(line.endswith("  __main__.awaits") for line in lines)
    picture = kinds.path.with_suffix(".gp")
    subprocess.run([MEMWATCH, "plot", "-o", picture, kinds.path], check=True)
    assert "nested, 1 call" in picture.read_text() and "__main__" not in picture.read_text()


def test_threads_have_stacks_of_their_own(kinds):
    one, other = kinds.of("in_thread")
    assert one["thread"] != other["thread"]
    assert one["depth"] == other["depth"] == 0
    assert max(one["enter_s"], other["enter_s"]) < min(one["exit_s"], other["exit_s"])


# --- processes --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_pool_mark_too(folder, python, method):  # noqa: F811
    calls = record(folder, python, PROGRAMS / "processes.py", method)
    assert calls.count() == {"__main__.size": 4, "__main__.work": 4}
    assert {call["depth"] for call in calls.of("work")} == {1}
    assert query(folder / "run.db", "SELECT count(*) FROM functions") == [(2,)]
    (root,) = query(folder / "run.db", "SELECT pid FROM process ORDER BY id LIMIT 1")[0]
    assert root not in {call["pid"] for call in calls.all}
    assert calls.lost == 0


def test_child_is_not_in_the_calls_of_its_parent(folder, python):  # noqa: F811
    calls = record(folder, python, PROGRAMS / "processes.py", "raw")
    around, twice = calls.only("around"), calls.only("returns_twice")
    assert around["exit_s"] is not None and twice["exit_s"] is not None
    assert [call["depth"] for call in calls.of("work")] == [0, 0]
    assert around["pid"] not in {call["pid"] for call in calls.of("work")}
    assert calls.lost == 0


def test_call_that_never_returns_ends_with_its_process(folder, python):  # noqa: F811
    result = folder.call("run", "-q", "-o", "run.db", "--python", python,
                         PROGRAMS / "processes.py", "exit")
    assert result.returncode == 3
    calls = Calls(folder / "run.db")
    assert calls.only("work")["exit_s"] is not None
    assert calls.only("never_returns")["depth"] == 0


EXECUTES = """
    import os, sys
    @profile
    def second(): pass
    @profile
    def first():
        {}
    second() if sys.argv[1:] else first()
"""


@pytest.mark.parametrize("method", ["perf", "connector", "poll"])
def test_calls_end_where_their_process_executes_a_program_that_marks(folder, python, method):  # noqa: F811
    name = script(folder, EXECUTES.format(
        "os.execv(sys.executable, [sys.executable, 'script.py', 'again'])"))
    result = folder.call("run", "-q", "-o", "run.db", "--tracking", method, "--python", python, name)
    if result.returncode == 125:
        pytest.skip(f"--tracking {method} does not work here")
    calls = Calls(folder / "run.db")
    assert calls.lost == 0
    assert calls.only("second")["depth"] == 0
    assert calls.only("first")["exit_s"] <= calls.only("second")["enter_s"] + 2e-6  # as it is stored


@pytest.mark.parametrize("method", ["perf", "connector"])
def test_calls_end_where_their_process_executes_any_program(folder, python, method):  # noqa: F811
    name = script(folder, EXECUTES.format("os.execv('/bin/sleep', ['sleep', '0.3'])"))
    result = folder.call("run", "-q", "-o", "run.db", "--tracking", method, "--python", python, name)
    if result.returncode == 125:
        pytest.skip(f"--tracking {method} does not work here")
    ((end_s,),) = query(folder / "run.db", "SELECT end_us / 1e6 FROM process")
    assert Calls(folder / "run.db").only("first")["exit_s"] <= end_s - 0.3


def test_python_below_the_program_has_profile_too(folder, python):  # noqa: F811
    calls = record(folder, python, PROGRAMS / "processes.py", "subprocess")
    assert list(calls.count().values()) == [1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_marks_are_in_the_file_while_the_program_runs_and_stay_when_it_is_killed(
        folder, python, number):  # noqa: F811
    name = script(folder, """
        import time
        @profile
        def step(): pass
        @profile
        def forever():
            while True:
                step()
                time.sleep(0.01)
        forever()
    """)
    with folder.start("run", "-q", "-o", "run.db", "--python", python, name) as memwatch:
        wait_for_rows(folder / "run.db", "SELECT 1 FROM calls WHERE name = '__main__.step'")
        (pid,) = query(folder / "run.db", "SELECT pid FROM process")[0]
        os.kill(pid, number)
        assert memwatch.wait(60) == 128 + number
    calls = Calls(folder / "run.db")
    assert calls.only("forever")["depth"] == 0
    assert all(call["depth"] == 1 for call in calls.of("step"))


# --- the script is as ever --------------------------------------------------------------------


def test_module_runs_as_main_and_its_package_is_marked(folder, python):  # noqa: F811
    (folder / "pkg").mkdir()
    (folder / "pkg/__init__.py").write_text("")
    script(folder, "@profile\ndef helps(): pass\n", "pkg/helper.py")
    script(folder, """
        from pkg import helper
        @profile
        def main(): helper.helps()
        main()
    """, "pkg/mod.py")
    result = folder.call("run", "-q", "-o", "run.db", "--python", python, "-m", "pkg.mod")
    assert result.returncode == 0, result
    assert Calls(folder / "run.db").count() == {"__main__.main": 1, "pkg.helper.helps": 1}


def test_program_finds_the_world_as_without_memwatch(folder, python):  # noqa: F811
    name = script(folder, """
        import inspect, os, pickle, sys
        def bare(number, *, word="x") -> int:
            "What it does."
            return number
        marked = profile(bare)
        assert marked(3) == 3 and inspect.signature(marked) == inspect.signature(bare)
        assert (marked.__name__, marked.__doc__, marked.__module__) == ("bare", "What it does.", "__main__")
        bare = marked
        assert pickle.loads(pickle.dumps(marked)) is marked
        @profile
        class Thing:
            "A class."
        assert isinstance(Thing, type) and Thing.__doc__ == "A class."
        @profile
        def generator(): yield
        @profile
        async def coroutine(): pass
        @profile
        async def async_generator(): yield
        assert inspect.isgeneratorfunction(generator)
        assert inspect.iscoroutinefunction(coroutine)
        assert inspect.isasyncgenfunction(async_generator)
        try:
            profile(5)
        except TypeError as error:
            assert "int" in str(error)
        else:
            raise AssertionError
        assert sys.argv == ["script.py", "word"], sys.argv
        assert os.path.samefile(sys.path[0], "."), sys.path
        assert sys.modules["__main__"].__file__.endswith("script.py")
        assert os.environ["PYTHONPATH"].endswith("/theirs"), os.environ["PYTHONPATH"]
    """)
    result = folder.call("run", "-q", "--python", python, name, "word",
                         env={"PYTHONPATH": "/theirs"})
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_sitecustomize_of_the_user_still_runs(folder, python):  # noqa: F811
    theirs = folder / "theirs"
    theirs.mkdir()
    script(folder, "print('theirs', __name__, __file__)", "theirs/sitecustomize.py")
    name = script(folder, "import sitecustomize; print(sitecustomize.__file__)")
    result = folder.call("run", "-q", "--python", python, name, env={"PYTHONPATH": str(theirs)})
    path = theirs / "sitecustomize.py"
    assert result.stdout.decode() == f"theirs sitecustomize {path}\n{path}\n"


def test_virtual_environment_has_profile(folder, python):  # noqa: F811
    made = subprocess.run([python, "-m", "venv", "--without-pip", folder / "env"], check=False,
                          capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"{python} makes no virtual environments")
    name = script(folder, "@profile\ndef f(): pass\nf()\n")
    assert record(folder, str(folder / "env/bin/python"), name).count() == {"__main__.f": 1}


def test_pytest_runs_marked_code(folder):
    script(folder, """
        @profile
        def load(): return 3
        def test_load(): assert load() == 3
    """, "test_marked.py")
    result = folder.call("run", "-q", "-o", "run.db", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert result.returncode == 0, result.stdout
    assert Calls(folder / "run.db").count() == {"test_marked.load": 1}


def test_marks_leave_no_trace_without_memwatch(python):  # noqa: F811
    folder = pathlib.Path(MEMWATCH).parent.parent / "lib/python"
    if not folder.exists():
        folder = pathlib.Path(MEMWATCH).parent.parent / "lib/memwatch/python"
    program = """if True:
        import memwatch
        def f(): return 3
        assert memwatch.profile(f) is f and memwatch.profile(precision=4)(f) is f
        assert memwatch.profile(name="g")(f) is f
        with memwatch.profile.timestamp("block"):
            pass
        from memory_profiler import profile
        assert profile(f) is f
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("MEMWATCH")}
    subprocess.run([python, "-c", program], check=True, env={**env, "PYTHONPATH": str(folder)})


def test_program_can_be_left_without_profile(folder, python):  # noqa: F811
    name = script(folder, """
        import os
        try:
            profile
        except NameError:
            print("none", "MEMWATCH_MARKS" in os.environ, "PYTHONPATH" in os.environ)
    """)
    result = folder.call("run", "-q", "--no-functions", "--python", python, name)
    assert result.stdout == b"none False False\n"


@pytest.mark.parametrize("words, option", [
    (["-I", "script.py"], b"-I"), (["-bEs", "script.py"], b"-E"), (["-W", "ignore", "-S", "script.py"], b"-S"),
    (["-c", "pass", "-I"], None), (["-X", "dev", "script.py", "-E"], None), (["script.py"], None)])
def test_options_that_hide_profile_are_told(folder, words, option):
    script(folder, "pass")
    result = folder.call("run", "--", "python3", *words)
    assert result.returncode == 0
    told = [line for line in result.stderr.splitlines() if b"hides `profile`" in line]
    assert len(told) == (option is not None) and all(option in line for line in told)
    assert folder.call("run", "-q", "--", "python3", *words).stderr == b""
    asked = folder.call("run", "-q", "--trace", "x", "--", "python3", *words)
    assert (option or b"--trace") in asked.stderr


def test_option_that_hides_profile_is_found_in_a_script_too(folder):
    (folder / "script").write_text("#!/usr/bin/env -S python3 -E\nprint(1)\n")
    (folder / "script").chmod(0o755)
    result = folder.call("run", "./script")
    assert result.stdout == b"1\n" and b"-E hides" in result.stderr


# --- memory_profiler --------------------------------------------------------------------------


def installed_memory_profiler():
    found = find_python("3.11")
    if found != "/usr/bin/python3" or not EXAMPLES.exists():
        pytest.skip("python3-memory-profiler is not installed for Debian's Python")
    return found


def test_rest_of_memory_profiler_is_the_package_where_it_is_installed(folder):
    name = script(folder, """
        from memory_profiler import memory_usage, profile
        import memory_profiler
        @profile
        def f(): return 7
        assert memory_usage((f,), retval=True, max_usage=True)[1] == 7
        assert memory_profiler.__version__
    """)
    calls = record(folder, installed_memory_profiler(), name)
    assert set(calls.count()) == {"__main__.f"}


@pytest.mark.parametrize("line", ["", "from memory_profiler import profile"])
def test_memory_profiler_as_a_module_prints_its_table(folder, line):
    name = script(folder, f"{line}\n@profile\ndef f():\n    return [0] * 1000\nf()\n")
    result = folder.call("run", "-q", "--python", installed_memory_profiler(), "-m", "memory_profiler", name)
    assert result.returncode == 0 and b"Line Contents" in result.stdout
    assert b"return [0] * 1000" in result.stdout


def test_rest_of_memory_profiler_is_missed_clearly(folder, python):  # noqa: F811
    name = script(folder, """
        try:
            from memory_profiler import memory_usage
        except ImportError as error:
            print("memory_usage" in str(error))
        from memory_profiler import *
        assert profile(len)([1]) == 1
    """)
    probe = subprocess.run([python, "-c", "import memory_profiler"], capture_output=True, check=False)
    if probe.returncode == 0:
        pytest.skip("memory_profiler is installed")
    result = folder.call("run", "-q", "--python", python, name)
    assert (result.stdout, result.stderr) == (b"True\n", b"")


@pytest.mark.parametrize("example, expected", [
    ("example.py", {"my_func"}), ("reporting_file.py", {"my_func", "my_func1"}),
    ("async_decorator.py", {"foo"})])
def test_examples_of_memory_profiler_run_unchanged(folder, python, example, expected):  # noqa: F811
    if not EXAMPLES.exists():
        pytest.skip("the examples of python3-memory-profiler are not installed")
    shutil.copy(EXAMPLES / example, folder / example)
    probe = "import asyncio; asyncio.coroutine"
    if "async" in example and subprocess.run([python, "-W", "ignore", "-c", probe], check=False,
                                             stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("asyncio.coroutine, which the example uses, is not in Python 3.11 and later")
    result = folder.call("run", "-q", "-o", "run.db", "--python", python, example,
                         env={"PYTHONWARNINGS": "ignore"})
    assert result.returncode == 0, result
    calls = Calls(folder / "run.db")
    assert calls.count() == {f"__main__.{name}": 1 for name in expected}
    for call in calls.all:  # [1] * 10**6 and [2] * 2 * 10**7
        assert 7 * MIB <= call["growth_bytes"] <= 9 * MIB
        assert 158 * MIB <= call["peak_bytes"] - call["enter_bytes"] <= 164 * MIB
