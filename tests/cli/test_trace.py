"""Functions that are marked by their names alone: memwatch run --trace."""

import subprocess

import pytest

from conftest import MEMWATCH, PROGRAMS, query
from pythons import python  # noqa: F401 (a fixture)
from test_python import Calls, record, script

MIB = 1 << 20


@pytest.fixture(scope="module")
def traced(python, tmp_path_factory):  # noqa: F811
    """All functions of a program that marks none, under each Python."""
    path = tmp_path_factory.mktemp("traced") / "run.db"
    subprocess.run([MEMWATCH, "run", "-q", "-o", path, "--python", python, "--trace", "__main__.*",
                    PROGRAMS / "undecorated.py"], check=True, timeout=60)
    return Calls(path)


def test_every_call_is_there_under_its_qualified_name_and_has_ended(traced):
    expected = {
        "main": 1, "Loader.load": 1, "Loader.of_class": 1, "Loader.Inner.deep": 1,
        "Loader.Inner.deep.<locals>.local": 1, "Loader.Inner.deep.<locals>.local.<locals>.<lambda>": 1,
        "generator": 3, "helper": 13, "delegating": 1, "closed_early": 1, "recursive": 3, "fails": 3,
        "fails_inside": 3, "cached": 1, "Worker.run": 1, "waits": 4, "awaits": 2, "produces": 1,
        "asynchronous": 1}
    assert traced.count() == {f"__main__.{name}": count for name, count in expected.items()}
    assert all(call["exit_s"] is not None for call in traced.all)
    assert traced.lost == 0


def test_times_and_memory_are_those_of_the_program(traced):
    load, main = traced.only("Loader.load"), traced.only("main")
    assert load["duration_s"] >= 0.02
    for call in load, main:
        assert 19 * MIB <= call["growth_bytes"] <= 25 * MIB
        assert call["peak_bytes"] - call["enter_bytes"] >= 19 * MIB
    whole, delegated, closed = traced.of("generator")
    assert whole["duration_s"] >= 0.03 and delegated["duration_s"] >= 0.02
    assert closed["duration_s"] >= 0.01


def test_depth_is_that_of_thread_and_task(traced):
    assert traced.only("main")["depth"] == 0 and traced.only("Loader.load")["depth"] == 1
    assert [call["depth"] for call in traced.of("fails")] == [2, 2, 2]
    assert traced.only("Worker.run")["depth"] == 0
    assert [call["depth"] for call in traced.of("recursive")] == [1, 2, 3]
    assert {call["depth"] for call in traced.of("waits")} == {1}
    one, other = traced.of("awaits")
    assert one["track"] != other["track"] and one["depth"] == other["depth"] == 0


def test_waiting_is_told_from_working(traced):
    """A timer runs already while a task on a busy machine is on its way to wait for it."""
    for call in traced.of("awaits"):
        assert call["suspended_s"] >= 0.03 and call["duration_s"] >= 0.02
    for call in traced.of("waits"):
        assert call["suspended_s"] >= 0.015 and call["duration_s"] >= 0.01
    assert traced.only("produces")["suspended_s"] >= 0.015


@pytest.mark.parametrize("patterns, expected", [
    (["pkg.*"], {"pkg.load", "pkg.sub.Loader.load", "pkg.sub.helps"}),
    (["*:Loader.load"], {"pkg.sub.Loader.load", "__main__.Loader.load"}),
    (["pkg:*"], {"pkg.load"}),
    (["pkg.sub.helps", "__main__:main"], {"pkg.sub.helps", "__main__.main"}),
    (["*.loa[cd]"], {"pkg.load", "pkg.sub.Loader.load", "__main__.Loader.load"}),
])
def test_patterns_choose_functions(folder, python, patterns, expected):  # noqa: F811
    (folder / "pkg").mkdir()
    script(folder, "def load(): pass\n", "pkg/__init__.py")
    script(folder, """
        class Loader:
            def load(self): pass
        def helps(): pass
    """, "pkg/sub.py")
    name = script(folder, """
        import pkg, pkg.sub
        class Loader:
            def load(self): pass
        def main():
            pkg.load(); pkg.sub.Loader().load(); pkg.sub.helps(); Loader().load()
        main()
    """)
    options = [word for pattern in patterns for word in ("--trace", pattern)]
    calls = record(folder, python, name, options=options)
    assert calls.count() == dict.fromkeys(expected, 1)


def test_what_is_called_too_often_keeps_exact_figures_and_says_what_is_not_stored(folder, python):  # noqa: F811
    name = script(folder, """
        def often(): pass
        for _ in range(1_200_000): often()
    """)
    folder.record(name, options=["--python", python, "--trace", "*:often"])
    (function,) = folder.last_run("run.db")["functions"]
    lost = query(folder / "run.db", "SELECT lost_marks FROM run")[0][0]
    assert 1_200_000 - lost <= function["calls"] <= 1_200_000
    assert function["calls_stored"] < 1_100_000
    assert query(folder / "run.db", "SELECT count(*) FROM call") == [(function["calls_stored"],)]


def test_processes_of_a_pool_are_traced_too(folder, python):  # noqa: F811
    name = script(folder, """
        import multiprocessing
        def work(number): return number
        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(2) as pool:
                    pool.map(work, range(4))
                    pool.close()
                    pool.join()
    """)
    assert record(folder, python, name, options=["--trace", "*:work"]).count() == {"__main__.work": 8}


def test_decorated_functions_are_marked_beside_traced_ones(folder, python):  # noqa: F811
    name = script(folder, """
        @profile
        def outer(): inner()
        def inner(): pass
        outer()
    """)
    calls = record(folder, python, name, options=["--trace", "*:inner"])
    assert {(call["name"], call["depth"]) for call in calls.all} == {
        ("__main__.outer", 0), ("__main__.inner", 1)}


def test_function_that_is_decorated_and_traced_is_marked_once(folder, python):  # noqa: F811
    name = script(folder, """
        import asyncio, functools
        @profile
        def plain(): pass
        @profile(name="other")
        def named(): pass
        @profile
        @functools.lru_cache()
        def cached(): pass
        @profile
        def generator(): yield
        @profile
        async def waits(): await asyncio.sleep(0)
        @profile
        class Loader:
            def load(self): pass
            @classmethod
            def of_class(cls): pass
        def later(): pass
        for _ in range(2):
            plain(), named(), cached(), list(generator()), asyncio.run(waits())
            Loader().load(), Loader.of_class(), later()
            later = profile(later)
    """)
    calls = record(folder, python, name, options=["--trace", "__main__.*"])
    assert not [name for name in calls.count() if name.startswith("_memwatch")]
    own = {name: count for name, count in calls.count().items() if name.startswith(("__main__.", "other"))}
    assert own.pop("other") == 2
    assert own == {f"__main__.{name}": 2 for name in (
        "plain", "cached", "generator", "waits", "Loader.load", "Loader.of_class", "later")}
    assert calls.lost == 0


def test_code_that_comes_and_goes_is_forgotten(folder, python):  # noqa: F811
    name = script(folder, """
        import gc
        for number in range(20_000):
            space = {"__name__": "made"}
            exec(f"def f{number % 7}(): pass\\nf{number % 7}()", space)
    """)
    calls = record(folder, python, name, options=["--trace", "made:f3"])
    assert set(calls.count()) == {"made.f3"}
    assert calls.count()["made.f3"] == len([n for n in range(20_000) if n % 7 == 3])


def test_tracing_everything_is_quiet_to_the_end(folder, python):  # noqa: F811
    name = script(folder, """
        import asyncio, atexit, logging, threading
        class Last:
            def __del__(self): self.leaves()
            def leaves(self): pass
        kept = Last()
        def late(): pass
        atexit.register(late)
        def generator(): yield
        left = generator()
        next(left)
    """)
    calls = record(folder, python, name, options=["--trace", "*"])
    assert calls.lost == 0 and calls.count()["__main__.generator"] == 1


def test_traced_function_that_forks_ends_once(folder, python):  # noqa: F811
    name = script(folder, """
        import os
        def inner():
            if os.fork() == 0: return
            os.wait()
        def outer(): inner()
        outer()
    """)
    calls = record(folder, python, name, options=["--trace", "__main__.*"])
    assert calls.count() == {"__main__.outer": 1, "__main__.inner": 1} and calls.lost == 0
    assert query(folder / "run.db", "SELECT count(*) FROM process") == [(2,)]


def test_call_that_ends_unseen_harms_no_other(folder, python):  # noqa: F811
    name = script(folder, """
        import gc, sys, threading
        def make(number):
            space = {"__name__": "made"}
            exec(f"def generator{number % 3}():\\n    yield\\n    yield", space)
            return space[f"generator{number % 3}"]
        def steps(number):
            started = make(number)()
            next(started)
            if number % 2:
                sys.setprofile(None)
                if hasattr(sys, "monitoring"):
                    sys.monitoring.set_events(4, 0)
        for number in range(300):
            thread = threading.Thread(target=steps, args=(number,))
            thread.start()
            thread.join()
            gc.collect()
    """)
    result = folder.call("run", "-q", "-o", "run.db", "--python", python, "--trace", "made.*", name,
                         env={"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "170"})
    assert result.returncode == 0
    assert Calls(folder / "run.db").lost == 0


def told_of(folder, *patterns):
    name = script(folder, """
        class Loader:
            def load(self): pass
        Loader().load()
    """)
    options = [word for pattern in patterns for word in ("--trace", pattern)]
    result = folder.call("run", "-q", *options, "--", name)
    assert result.returncode == 0
    return result.stderr.decode().splitlines()


def test_each_pattern_that_finds_nothing_is_told(folder):
    assert told_of(folder, "__main__.*", "*:Loader.load", "__main__:*.load", "*.l[!x]ad") == []
    lines = told_of(folder, "nothing.*", "*:load", "__main__.*", "Loader:load")
    assert lines[0] == ("memwatch: --trace 'nothing.*': no Python function of that name was called "
                        "(names are MODULE.QUALNAME; the script itself is __main__)")
    assert len(lines) == 3 and "'*:load'" in lines[1] and "'Loader:load'" in lines[2]


def test_pattern_that_the_shell_has_replaced_is_explained(folder):
    line, = told_of(folder, "mymod.py")
    assert "write 'mymod.*'" in line and "quotes" in line


@pytest.mark.parametrize("options", [["--trace", ""], ["--trace", "a\nb"],
                                     ["--trace", "a", "--no-functions"]])
def test_bad_patterns_are_refused(folder, options):
    result = folder.call("run", *options, "true")
    assert result.returncode == 125 and b"memwatch: " in result.stderr and not folder.files()
