"""A Python program under memwatch run does what it does without: nothing but its calls is marked."""

import pytest

from conftest import PROGRAMS
from pythons import python  # noqa: F401 (a fixture)
from test_python import Calls, record, script


def test_functions_that_pause_can_be_driven_in_all_ways(folder, python):  # noqa: F811
    result = folder.call("run", "-q", "-o", "run.db", "--python", python, PROGRAMS / "alike.py")
    assert (result.returncode, result.stdout) == (0, b""), result
    calls = Calls(folder / "run.db")
    assert calls.lost == 0 and calls.all and all(call["exit_s"] is not None for call in calls.all)


def test_profile_goes_around_whatever_can_be_called(folder, python):  # noqa: F811
    result = folder.call("run", "-q", "-o", "run.db", "--python", python, PROGRAMS / "odd_targets.py")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    calls = Calls(folder / "run.db").count()
    assert calls["made.relative"] == 1 and calls["__main__.Task"] == 1
    # Machinery of the standard library that a class got, and did not write, is not marked.
    assert not [name for name in calls if name.startswith(("enum.", "typing."))]


def test_arguments_are_gone_once_the_function_gives_them_up(folder, python):  # noqa: F811
    name = script(folder, """
        import sys, weakref
        class Thing: pass
        def gives_up(thing, *, word):
            references = weakref.ref(thing), weakref.ref(word)
            del thing, word
            return [reference() is None for reference in references]
        plain = gives_up(Thing(), word=Thing())
        marked = profile(gives_up)(Thing(), word=Thing())
        # In 3.11, arguments are given up in direct calls alone; before, in none.
        assert plain == marked or sys.version_info[:2] == (3, 11), (plain, marked)
    """)
    result = folder.call("run", "-q", "--python", python, name)
    assert (result.returncode, result.stderr) == (0, b"")


def test_blocks_of_ever_new_names_take_no_more_memory(folder, python):  # noqa: F811
    name = script(folder, """
        def rss():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096
        def blocks(count):
            for number in range(count):
                with profile.timestamp(f"a block of the number {number}"): pass
        blocks(20_000)  # there is no room for more names
        before = rss()
        blocks(50_000)
        print(rss() - before)
    """)
    result = folder.call("run", "-q", "--python", python, name)
    assert int(result.stdout) < 4 << 20


INTERPRETERS = """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
def called(): pass
called()
for _ in range(2):
    other = interpreters.create()
    failure = interpreters.run_string(other, '''
def called(): return 3
assert profile(called)() == 3
with profile.timestamp("block"): pass
''')
    assert not failure, failure
    interpreters.destroy(other)
called()
print("end")
"""


@pytest.mark.parametrize("options", [[], ["--trace", "*:called"]])
def test_subinterpreters_are_left_alone(folder, python, options):  # noqa: F811
    name = script(folder, INTERPRETERS)
    result = folder.call("run", "-q", "-o", "run.db", "--python", python, *options, name)
    assert (result.returncode, result.stdout) == (0, b"end\n"), result
    assert result.stderr.count(b"memwatch: functions are not marked here") == 2
    assert Calls(folder / "run.db").count() == ({"__main__.called": 2} if options else {})


def test_python_that_cannot_load_what_marks_runs_the_program(folder, python):  # noqa: F811
    name = script(folder, """
        import sys
        sys.abiflags = "t"  # as if it had no GIL
        @profile
        def called(): return 3
        print(called())
    """)
    result = folder.call("run", "-q", "--python", python, name)
    assert (result.returncode, result.stdout) == (0, b"3\n")
    assert result.stderr.startswith(b"memwatch: functions are not marked here") and \
        result.stderr.count(b"\n") == 1


def test_profile_of_the_program_stays_its_own(folder, python):  # noqa: F811
    name = script(folder, """
        import builtins
        early = profile
        builtins.profile = own = lambda function: function
        @early
        def called(): pass
        called()
        assert profile is own
    """)
    assert record(folder, python, name).count() == {"__main__.called": 1}
