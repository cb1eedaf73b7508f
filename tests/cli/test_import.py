"""Traces from elsewhere become recordings; what is wrong with them is told."""

import json

import pytest

from conftest import assert_one_line, execute, query


def write(folder, name, *lines):
    (folder / name).write_bytes("\n".join(lines).encode() + b"\n")
    return name


def samples(folder, metric="rss", file="a.db"):
    return query(folder / file, "SELECT t_s, bytes FROM samples WHERE metric = ? ORDER BY run, t_s", metric)


def bring_in(folder, *names):
    result = folder.call("import", "-q", *names, "-o", "a.db")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), result


def test_values_and_times_are_those_of_the_file(folder):
    write(folder, "t.csv", "time_s,rss_bytes,shared_bytes,swap_bytes", "10,4096,1024,0",
          "10.5,8192,1024,2048", "11,8192,0,2048")
    bring_in(folder, "t.csv")
    assert samples(folder) == [(0, 4096), (.5, 8192)]  # a value holds until it changes
    assert samples(folder, "shared") == [(0, 1024), (1, 0)]
    assert samples(folder, "swap") == [(0, 0), (.5, 2048)]
    run = folder.last_run("a.db")
    assert (run["end"], run["duration_s"], run["interval_s"]) == ("imported", 1, .5)
    assert run["command"] == ["t.csv"]
    assert query(folder / "a.db", "PRAGMA integrity_check") == [("ok",)]


def test_what_became_a_run_is_told(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "0,4096", "1,8192")
    one = folder.call("import", "t.csv", "-o", "a.db")
    assert one.stderr == b"memwatch: 2 rows of t.csv in a.db; next: memwatch leak a.db\n"
    two = folder.call("import", "t.csv", "gone.csv", "t.csv", "-o", "a.db")
    assert two.stderr.splitlines()[1:] == [
        b"memwatch: 4 rows of 2 files in a.db; next: memwatch leak a.db"]
    assert folder.call("import", "gone.csv", "-o", "b.db").stderr.count(b"\n") == 1


def test_what_is_not_known_of_an_import_is_not_shown(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "0,4096", "1,8192")
    bring_in(folder, "t.csv")
    text = folder.call("show", "a.db").stdout.decode()
    assert "recorder" not in text
    assert text.splitlines()[-1].split()[:2] == ["-", "-"]


def test_swap_alone_beside_rss(folder):
    write(folder, "t.csv", "time_s,rss_bytes,swap_bytes", "0,4096,1024")
    bring_in(folder, "t.csv")
    assert samples(folder, "swap") == [(0, 1024)] and samples(folder, "shared") == []


def test_bad_lines_are_counted_and_named_and_the_rest_is_kept(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "0,1024", "1,NaN", "2,-5", "3", "4,5,6", "5,2048", "3,1",
          "6,abc", "7,1e30", "inf,1", "8,3072")
    result = folder.call("import", "-q", "t.csv", "-o", "a.db")
    assert result.returncode == 0
    text = assert_one_line(result.stderr)
    assert "8 lines are left out" in text
    for words in ("line 3 (not a number)", "line 4 (negative)", "line 5 (wrong number of columns)",
                  "line 6 (wrong number of columns)", "line 8 (time goes back)"):
        assert words in text, words
    assert samples(folder) == [(0, 1024), (5, 2048), (8, 3072)]


@pytest.mark.parametrize("line", ["1,0x10", "1, 5", " 1,5", "1;5", "1,", ",1", "1,5,", "1,1e", "1,--5", "1,9223372036854775808",
                                  "1e300,1", "1," + "9" * 400, "nan,1", "1,infinity", "1\0,5"])
def test_lines_that_are_nearly_right_are_left_out(folder, line):
    write(folder, "t.csv", "time_s,rss_bytes", "0,1024", line, "2,2048")
    result = folder.call("import", "-q", "t.csv", "-o", "a.db")
    assert result.returncode == 0 and "1 line is left out: line 3 (" in assert_one_line(result.stderr)
    assert samples(folder) == [(0, 1024), (2, 2048)]


@pytest.mark.parametrize("line", ["1,5e3", "1.0,5000", "+1,5000.4", "1e0,5000\r"])
def test_ways_to_write_a_number(folder, line):
    write(folder, "t.csv", "time_s,rss_bytes", "0,1024", line)
    bring_in(folder, "t.csv")
    assert samples(folder) == [(0, 1024), (1, 5120)]


def test_numbers_near_the_largest(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "0,9223372036854774784", "100,9223372036854774784")
    bring_in(folder, "t.csv")
    assert folder.call("show", "a.db").returncode == 0
    assert folder.call("leak", "a.db").returncode == 0


@pytest.mark.parametrize("text, reason", [("", "empty"), ("time,rss\n1,2\n", "line 1 must name the columns"),
                                          ("time_s,rss_bytes\n", "no line that can be used"),
                                          ("time_s,rss_bytes\nx,y\n", "no line that can be used"),
                                          ("\x7fELF\0\0\n", "line 1 must name the columns")])
def test_files_without_a_trace_fail_and_leave_no_file(folder, text, reason):
    (folder / "t.csv").write_bytes(text.encode())
    result = folder.call("import", "-q", "t.csv", "-o", "a.db")
    assert result.returncode == 1 and reason in result.stderr.decode().splitlines()[-1]
    assert folder.files() == ["t.csv"]


def test_several_files_are_several_runs_and_one_that_fails_stops_none(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "0,1024")
    write(folder, "u.csv", "time_s,rss_bytes", "0,2048")
    result = folder.call("import", "-q", "t.csv", "gone.csv", "u.csv", "-o", "a.db")
    assert result.returncode == 1 and "gone.csv" in assert_one_line(result.stderr)
    assert [run["command"] for run in folder.show("a.db")["runs"]] == [["t.csv"], ["u.csv"]]


def test_a_stretch_much_longer_than_usual_is_a_gap(folder):
    times = [*range(100), *range(500, 600)]
    write(folder, "t.csv", "time_s,rss_bytes", *(f"{t},{1024 * t}" for t in times))
    bring_in(folder, "t.csv")
    assert query(folder / "a.db", "SELECT from_us, to_us, ticks FROM gap") == [(99_000_000, 500_000_000, 400)]
    ticks = query(folder / "a.db", "SELECT ticks_due, ticks_taken, ticks_missed FROM run")
    assert ticks == [(600, 200, 400)]


def test_times_since_1970_are_dates(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "1700000000,1024", "1700000001.5,2048")
    bring_in(folder, "t.csv")
    assert samples(folder) == [(0, 1024), (1.5, 2048)]
    assert query(folder / "a.db", "SELECT started_ns FROM run") == [(1_700_000_000_000_000_000,)]


def test_standard_input(folder):
    result = folder.call("import", "-q", "-", "-o", "a.db", input=b"time_s,rss_bytes\n0,1024\n")
    assert result.returncode == 0 and samples(folder) == [(0, 1024)]


def test_a_deep_fall_is_a_restart(folder):
    """Nobody knows when the processes of a trace ended."""
    write(folder, "t.csv", "time_s,rss_bytes",
          *(f"{t},{(20 << 20) if 2000 <= t < 2030 else (200 << 20) + t % 2000 * 50000}" for t in range(0, 4000, 2)))
    bring_in(folder, "t.csv")
    series = json.loads(folder.call("leak", "--json", "a.db").stdout)["series"]
    assert all(one["evidence"]["since_s"] > 1990 and one["verdict"] == "leak" for one in series)


def test_what_was_imported_is_judged_on_rss(folder):
    write(folder, "t.csv", "time_s,rss_bytes", *(f"{t},{(100 << 20) + (t << 14)}" for t in range(4000)))
    bring_in(folder, "t.csv")
    series = json.loads(folder.call("leak", "--json", "a.db").stdout)["series"]
    assert [(one["metric"], one["verdict"]) for one in series] == [("rss", "leak")] * 2
    assert folder.call("leak", "a.db").stdout.decode().startswith("leak        t.csv: ")


@pytest.mark.parametrize("words", [[], ["t.csv"], ["-o", "a.db"]])
def test_what_is_missing_on_the_command_line_is_told(folder, words):
    result = folder.call("import", "-q", *words)
    assert result.returncode == 2
    assert "memwatch import -h" in assert_one_line(result.stderr)


def test_an_output_that_is_no_memwatch_file_is_left_alone(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "0,1024")
    (folder / "a.db").write_bytes(b"precious" * 100)
    result = folder.call("import", "-q", "t.csv", "-o", "a.db")
    assert result.returncode == 1 and (folder / "a.db").read_bytes() == b"precious" * 100
    assert_one_line(result.stderr)


def test_a_name_that_is_made_to_harm(folder):
    name = "\x1b[31m\n.csv"
    write(folder, name, "time_s,rss_bytes", "0,1024", "x")
    result = folder.call("import", "-q", name, "-o", "a.db")
    assert result.returncode == 0 and b"\x1b" not in result.stderr
    assert_one_line(result.stderr)


def test_a_folder_is_no_file(folder):
    (folder / "t.csv").mkdir()
    result = folder.call("import", "-q", "t.csv", "-o", "a.db")
    assert result.returncode == 1
    assert "cannot read t.csv: Is a directory" in assert_one_line(result.stderr)


def test_a_file_that_is_there_gets_a_further_run(folder):
    write(folder, "t.csv", "time_s,rss_bytes", "0,1024")
    bring_in(folder, "t.csv")
    execute(folder / "a.db", "UPDATE run SET note = 'kept'")
    bring_in(folder, "t.csv")
    assert [run["note"] for run in folder.show("a.db")["runs"]] == ["kept", None]
