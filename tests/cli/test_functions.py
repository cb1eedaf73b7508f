"""memwatch functions, peak --func and the functions of show --json: files with marks, made by SQL."""

import json
import sqlite3

import pytest

from conftest import HERE, assert_one_line, control_characters, execute, make_recording, query
from test_hostile_strings import CANARY, HOSTILE

SCHEMA_1 = HERE.parent / "unit" / "schema_1.sql"
KEYS = {"name", "file", "line", "calls", "calls_stored", "total_s", "max_s", "suspended_s",
        "growth_bytes", "peak"}
COLUMNS = ("id", "run", "name", "file", "line", "calls", "ended", "stored", "total_ns", "max_ns",
           "suspended_ns", "growth_kib", "peak_kib", "peak_upper_kib", "peak_from_us", "peak_to_us",
           "peak_source")


def add_function(path, name, **values):
    """A function as a recorder writes it."""
    row = {"run": 1, "name": name, "calls": 1, "ended": 1, "stored": 1, "peak_source": "kernel", **values}
    database = sqlite3.connect(path)
    database.execute(f"INSERT INTO function ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                     list(row.values()))
    database.commit()
    database.close()


def add_call(path, function, enter_us, duration_ns, number=1):
    execute(path, "INSERT INTO call (function, enter_us, number, process, thread, track, depth,"
            f" duration_ns, suspended_ns, peak_kib) VALUES ({function}, {enter_us}, {number}, 1, 4711,"
            f" 0, 0, {'NULL' if duration_ns is None else duration_ns}, 0, 5)")


@pytest.fixture
def marked(folder):
    """A recording with three functions; returns its folder."""
    path = make_recording(folder / "a.db", [(0, 1024), (500_000, 2048)])
    add_function(path, "app.main", file="/app/a.py", line=3, calls=1, ended=1, stored=1,
                 total_ns=2_500_000_000, max_ns=2_500_000_000, growth_kib=1024, peak_kib=2048,
                 peak_upper_kib=2100, peak_from_us=400_000, peak_to_us=500_000)
    add_function(path, "app.Pool.step", calls=1_999_998, ended=1_999_998, stored=1_234_565,
                 total_ns=900_000_000, max_ns=1_200, growth_kib=-2048, peak_kib=4096,
                 peak_from_us=1000, peak_to_us=1000, peak_source="sampled")
    add_function(path, "app.idle", calls=1, ended=0, stored=1)
    return folder


def rows(folder, *words):
    """The table's lines as lists of words, without the header."""
    result = folder.call("functions", *words)
    assert result.returncode == 0 and result.stderr == b"", result
    return [line.split() for line in result.stdout.decode().splitlines()[1:]]


def names(folder, *words):
    return [row[-1] for row in rows(folder, *words)[:3]]


def test_table_has_a_line_for_each_function(marked):
    text = marked.call("functions", "a.db").stdout.decode().splitlines()
    assert text[0].split() == ["calls", "time", "longest", "growth", "peak", "function"]
    assert text[1].split() == ["1,999,998", "900", "ms", "1.20", "us", "-2", "MiB", "4", "MiB",
                               "app.Pool.step"]
    assert text[2].split() == ["1", "2.50", "s", "2.50", "s", "+1", "MiB", "2", "MiB", "app.main"]
    assert text[3].split() == ["1", "-", "-", "-", "-", "app.idle"]
    assert text[4] == "1,234,567 of 2,000,000 calls are stored one by one"
    assert len(text) == 5
    assert len({line.index("app.") for line in text[1:4]} | {text[0].index("function")}) == 1


def test_nothing_is_said_of_calls_where_all_are_stored(marked):
    execute(marked / "a.db", "UPDATE function SET stored = ended")  # one is open, as while it records
    assert len(rows(marked)) == 3


@pytest.mark.parametrize("key, order", [
    ("peak", ["app.Pool.step", "app.main", "app.idle"]),
    ("growth", ["app.main", "app.idle", "app.Pool.step"]),
    ("time", ["app.main", "app.Pool.step", "app.idle"]),
    ("calls", ["app.Pool.step", "app.main", "app.idle"])])
def test_order(marked, key, order):
    assert names(marked, "--sort", key) == order
    listed = json.loads(marked.call("functions", "--json", f"--sort={key}").stdout)["functions"]
    assert [function["name"] for function in listed] == order
    assert names(marked) == names(marked, "--sort", "peak")


@pytest.mark.parametrize("key", ["", "size", "Peak", "peak,time", "\x1b[31m"])
def test_key_that_is_none(marked, key):
    result = marked.call("functions", "--sort", key)
    assert result.returncode == 2 and result.stdout == b""
    assert "none of peak, growth, time, calls" in assert_one_line(result.stderr)


def test_json(marked):
    shown = json.loads(marked.call("functions", "--json", "a.db").stdout)
    assert set(shown) == {"file", "run", "functions"}
    assert shown["file"] == "a.db" and shown["run"] == 1
    step, main, idle = shown["functions"]
    assert all(set(function) == KEYS for function in shown["functions"])
    assert main == {"name": "app.main", "file": "/app/a.py", "line": 3, "calls": 1, "calls_stored": 1,
                    "total_s": 2.5, "max_s": 2.5, "suspended_s": 0, "growth_bytes": 1 << 20,
                    "peak": {"bytes": 2 << 20, "upper_bytes": 2100 << 10, "from_s": 0.4,
                             "to_s": 0.5, "source": "kernel"}}
    assert (step["file"], step["line"], step["calls"]) == (None, None, 1_999_998)
    assert step["growth_bytes"] == -2 << 20 and step["peak"]["source"] == "sampled"
    assert step["peak"]["upper_bytes"] is None and idle["peak"] is None
    assert marked.last_run("a.db")["functions"] == [main, step, idle]  # in the order of entry


def test_recording_without_marks(folder, recording):
    result = folder.call("functions", "rise.db")
    assert result.returncode == 1 and result.stdout == b""
    assert "rise.db: the program marked no functions" in assert_one_line(result.stderr)
    result = folder.call("functions", "--json", "rise.db")
    assert result.returncode == 0 and json.loads(result.stdout)["functions"] == []
    result = folder.call("peak", "--func", "f", "rise.db")
    assert result.returncode == 1 and "marked no functions" in assert_one_line(result.stderr)
    assert folder.last_run("rise.db")["functions"] == []


def test_words_that_are_too_many_and_recordings_that_are_not_there(marked):
    result = marked.call("functions", "a.db", "b.db")
    assert result.returncode == 2 and "b.db" in assert_one_line(result.stderr)
    result = marked.call("functions", "gone.db")
    assert result.returncode == 1 and "gone.db" in assert_one_line(result.stderr)
    result = marked.call("functions", "a.db:7")
    assert result.returncode == 1 and "no run 7" in assert_one_line(result.stderr)


def test_output_that_cannot_be_written_is_a_failure(marked):
    with open("/dev/full", "wb") as full:
        for words in (["functions"], ["functions", "--json"], ["peak", "--func", "main"]):
            assert marked.call(*words, stdout=full).returncode == 1, words


def test_completion_knows_it(folder):
    assert b"functions" in folder.call("--complete", "").stdout.split()
    assert set(folder.call("--complete", "functions", "-").stdout.split()) == {b"--sort", b"--json"}


# --- peak of a function ----------------------------------------------------------------------


def test_peak_of_a_function(marked):
    for name in ("app.main", "main", "n"):
        assert marked.call("peak", "--func", name).stdout == \
            b"a.db\t2 MiB between 400 ms and 500 ms\n", name
    assert marked.call("peak", "--func", "Pool.step", "a.db").stdout == b"a.db\t4 MiB at 1 ms\n"
    assert marked.call("peak", "--func", "idle").stdout == b"a.db\tnever sampled\n"


def test_peak_of_a_function_as_json(marked):
    peak, = json.loads(marked.call("peak", "--json", "--func=step", "a.db").stdout)
    assert set(peak) == {"file", "run", "function", "peak"}
    assert peak["function"] == "app.Pool.step" and peak["peak"]["bytes"] == 4 << 20


def test_name_that_fits_no_function_or_several(marked):
    add_function(marked / "a.db", "other.main")
    for name, words in (("gone", "no function 'gone'"), ("main", "app.main"), ("", "may be"),
                        ("app", "no function"), ("x" * 5000, "no function"), ("\x1b[2J", "no function")):
        result = marked.call("peak", "--func", name)
        assert result.returncode == 1 and result.stdout == b""
        assert words in assert_one_line(result.stderr), name
        assert control_characters(result.stderr) == []
    add_function(marked / "a.db", "main", peak_kib=1, peak_from_us=0, peak_to_us=0)  # exactly: this
    assert marked.call("peak", "--func", "main").stdout == b"a.db\t1 KiB at 0 s\n"


def test_functions_of_one_name_are_told_apart_by_their_place(marked):
    add_function(marked / "a.db", "app.main", file="/app/b.py", line=9, peak_kib=8192,
                 peak_from_us=0, peak_to_us=0)
    text = marked.call("functions").stdout.decode()
    assert "app.main (/app/a.py:3)" in text and "app.main (/app/b.py:9)" in text
    assert marked.call("peak", "--func", "app.main").returncode == 1
    assert marked.call("peak", "--func", "(/app/b.py:9)").stdout == b"a.db\t8 MiB at 0 s\n"


def test_peak_goes_on_behind_a_recording_without_the_function(marked):
    make_recording(marked / "b.db", [(0, 10)])
    result = marked.call("peak", "--func", "main", "b.db", "a.db")
    assert result.returncode == 1 and result.stdout.startswith(b"a.db\t")
    assert "b.db" in assert_one_line(result.stderr)


# --- names -----------------------------------------------------------------------------------


def test_long_name_loses_its_beginning(marked, terminal):
    add_function(marked / "a.db", "package." * 40 + "Class.method", peak_kib=1, peak_from_us=0,
                 peak_to_us=0)
    for columns in (80, 132, 200):
        screen = terminal("functions", columns=columns)
        assert screen.finish() == 0
        lines = screen.screen.decode().replace("\r", "").splitlines()
        line, = (line for line in lines if "method" in line)
        assert len(line) == columns and line.endswith("method") and "…" in line
        assert max(map(len, lines)) == columns
    screen = terminal("functions", columns=10)
    assert screen.finish() == 0


def test_long_name_is_whole_in_a_pipe(marked):
    name = "package." * 40 + "Class.method"
    add_function(marked / "a.db", name, peak_kib=1, peak_from_us=0, peak_to_us=0)
    lines = marked.call("functions").stdout.decode().splitlines()
    assert [line for line in lines if line.endswith("  " + name)]


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_names(marked, kind):
    name = HOSTILE[kind]
    add_function(marked / "a.db", name, file=name, line=1, peak_kib=1, peak_from_us=0, peak_to_us=0)
    add_function(marked / "a.db", name, file=name, line=2)
    for words in (["functions"], ["peak", "--func", name], ["show"]):
        result = marked.call(*words)
        assert control_characters(result.stdout + result.stderr) == []
        assert len(result.stderr) < 2000 and result.stderr.count(b"\n") <= 1
        if words[0] != "functions":  # of which a pipe gets whole names
            assert max(map(len, result.stdout.decode().splitlines()), default=0) < 200
    assert len(rows(marked)) == 6
    shown = json.loads(marked.call("functions", "--json").stdout)["functions"]
    assert [each["name"] for each in shown].count(name) == 2
    assert CANARY not in marked.files()


def test_name_that_is_no_utf8(marked):
    execute(marked / "a.db", "UPDATE function SET name = CAST(x'fffe612e62c328' AS TEXT),"
            " file = CAST(x'ff' AS TEXT) WHERE id = 1")
    result = marked.call("functions")
    assert result.returncode == 0 and control_characters(result.stdout) == []
    shown = json.loads(marked.call("functions", "--json").stdout.decode("utf-8"))["functions"]
    assert shown[1]["name"] == "\ufffd\ufffda.b\ufffd(" and shown[1]["file"] == "\ufffd"
    assert marked.call("peak", "--func", b".b\xc3(").stdout.startswith(b"a.db\t2 MiB")


# --- damage ----------------------------------------------------------------------------------

HUGE = [9223372036854775807, -9223372036854775808, -1, 0, 4611686018427387904]


@pytest.mark.parametrize("column", [each for each in COLUMNS if each not in
                                    ("id", "run", "name", "file", "peak_source")])
def test_numbers_that_no_recorder_writes(marked, column):
    path = marked / "a.db"
    for number in HUGE:
        execute(path, f"UPDATE function SET {column} = {number}")
        for words in (["functions"], ["functions", "--json"], ["peak", "--func", "main"],
                      ["show", "--json"]):
            result = marked.call(*words)
            assert result.returncode == 0, result
            assert control_characters(result.stdout) == []
        json.loads(marked.call("functions", "--json", "--sort=time").stdout)


@pytest.mark.parametrize("statement", [
    "UPDATE function SET peak_kib = NULL",
    "UPDATE function SET peak_source = NULL, peak_from_us = NULL, peak_to_us = NULL",
    "UPDATE function SET stored = calls + 5",
    "UPDATE function SET file = '', line = NULL",
    "UPDATE function SET calls = 9223372036854775807, ended = 9223372036854775807",
    "DELETE FROM process",
    "DELETE FROM call"])
def test_rows_that_no_recorder_writes(marked, statement):
    add_call(marked / "a.db", 1, 1000, 5000)
    execute(marked / "a.db", "PRAGMA foreign_keys = OFF", statement)
    for words in (["functions"], ["functions", "--json"], ["show"], ["show", "--json"]):
        assert marked.call(*words).returncode == 0, words


def test_functions_of_a_run_that_is_gone_are_nobodys(marked):
    execute(marked / "a.db", "UPDATE function SET run = 99")
    assert marked.call("functions").returncode == 1


def test_file_that_lacks_the_table(marked):
    execute(marked / "a.db", "DROP VIEW functions", "DROP VIEW calls", "DROP TABLE function")
    result = marked.call("functions")
    assert result.returncode == 1 and "damaged" in assert_one_line(result.stderr)


# --- any SQLite client -----------------------------------------------------------------------


def test_views(marked):
    path = marked / "a.db"
    add_call(path, 1, 1000, 2_000_000)
    add_call(path, 1, 5000, None, number=2)
    assert query(path, "SELECT name, calls, total_s, growth_bytes, peak_bytes, peak_to_s FROM functions"
                       " WHERE function = 1") == [("app.main", 1, 2.5, 1 << 20, 2 << 20, 0.5)]
    assert query(path, "SELECT name, pid, enter_s, exit_s, duration_s, peak_bytes FROM calls") == [
        ("app.main", 4711, 0.001, 0.003, 0.002, 5120), ("app.main", 4711, 0.005, None, None, 5120)]


def test_calls_of_a_function_in_a_window_are_found_by_the_key(marked):
    plan = query(marked / "a.db", "EXPLAIN QUERY PLAN SELECT * FROM call WHERE function = 1 AND"
                                  " enter_us BETWEEN 5 AND 9")
    assert "PRIMARY KEY" in plan[0][-1] and "enter_us>" in plan[0][-1]


# --- files from before -----------------------------------------------------------------------


@pytest.fixture
def old(folder):
    """A file of version 1 with a run in it."""
    return make_recording(folder / "old.db", [(0, 1024)], schema=SCHEMA_1)


def test_old_file_has_no_functions_and_stays_as_it_is(folder, old):
    before = old.read_bytes()
    assert "marked no functions" in assert_one_line(folder.call("functions").stderr)
    assert folder.last_run("old.db")["functions"] == []
    assert folder.call("show").returncode == folder.call("peak").returncode == 0
    assert old.read_bytes() == before


def test_old_file_takes_a_further_run(folder, old):
    folder.record("true", file="old.db")
    assert query(old, "PRAGMA user_version") == [(3,)]
    runs = folder.show("old.db")["runs"]
    assert len(runs) == 2 and runs[0]["peak"]["bytes"] == 1 << 20
    add_function(old, "f", run=2, peak_kib=1, peak_from_us=0, peak_to_us=0)
    assert len(rows(folder)) == 1
    assert query(old, "SELECT name FROM functions") == [("f",)]
    assert query(old, "PRAGMA integrity_check") == [("ok",)]
