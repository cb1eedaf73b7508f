"""How long what is kept, and how large the file may get."""

import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import (PROGRAMS, PYTHON, Guided, assert_one_line, execute, guided, program, query,
                      size_of, wait_for_rows, wait_until)
from test_faults import on_a_small_disk

SERVER_LEVELS = "raw=1h,1s=24h,1m=30d,10m=forever"


def levels_of(run):
    return [(level["bucket_s"], level["keep_s"]) for level in run["levels"]]


# --- what a user asks for ----------------------------------------------------------------------


def test_run_keeps_everything_unless_told(folder):
    folder.record("sleep", "0.2")
    run = folder.last_run("run.db")
    assert levels_of(run) == [(0, None), (1, None), (60, None)]
    assert [level["from_s"] for level in run["levels"]] == [0, 0, 0]
    assert run["given_up"] == {"processes": 0, "calls": 0, "gaps": 0, "events": 0}
    assert b"kept" not in folder.call("show", "run.db").stdout


def test_levels_are_kept_as_asked(folder):
    folder.record("true", options=["--keep", SERVER_LEVELS])
    assert levels_of(folder.last_run("run.db")) == [
        (0, 3600), (1, 86400), (60, 30 * 86400), (600, None)]


@pytest.mark.parametrize("options, levels", [
    ([], [(0, 3600), (1, 86400), (60, 30 * 86400), (600, None)]),
    (["--keep", "all"], [(0, None), (1, None), (60, None)])])
def test_attach_keeps_what_suits_a_server_unless_told(folder, options, levels):
    with subprocess.Popen(["sleep", "30"]) as sleeper:
        try:
            folder.call("attach", "-q", "-d", "0.3", "-o", "run.db", *options, str(sleeper.pid))
        finally:
            sleeper.kill()
    assert levels_of(folder.last_run("run.db")) == levels


@pytest.mark.parametrize("levels, word", [
    ("1s=1h", "raw"), ("raw", "raw=1h"), ("", "raw=1h"), ("raw=1h,1s=1m", "shorter"),
    ("raw=1h,1s=", "''"), ("raw=0", "too short"), ("raw=1h,10s=2h,1s=3h", "coarser"),
    ("raw=1h,4s=2h,10s=3h", "multiple"), ("raw=1h,1ms=2h", "10ms"), ("raw=never", "never"),
    ("raw=1h;rm", "1h;rm")])
def test_levels_that_make_no_sense_are_told_before_anything_runs(folder, levels, word):
    result = folder.call("run", "--keep", levels, "sh", "-c", "echo ran")
    assert result.returncode == 125 and result.stdout == b""
    assert word in assert_one_line(result.stderr)
    assert folder.files() == []


@pytest.mark.parametrize("size, word", [("1", "at least 1M"), ("1023K", "at least 1M"), ("0", "at least"),
                                        ("-5M", "-5M"), ("huge", "huge"), ("", "''")])
def test_size_that_is_too_small_or_none_is_told_before_anything_runs(folder, size, word):
    result = folder.call("run", "--max-file", size, "sh", "-c", "echo ran")
    assert result.returncode == 125 and result.stdout == b""
    assert word in assert_one_line(result.stderr)
    assert folder.files() == []


def test_file_that_is_larger_already_takes_no_run(folder):
    folder.record("true", file="a.db")
    execute(folder / "a.db", "CREATE TABLE ballast (x)",
            "INSERT INTO ballast VALUES (zeroblob(3000000))")
    result = folder.call("run", "--max-file", "2M", "-o", "a.db", "sh", "-c", "echo ran")
    assert result.returncode == 125 and result.stdout == b""
    assert "another file" in assert_one_line(result.stderr)
    assert len(folder.show("a.db")["runs"]) == 1


# --- giving up ---------------------------------------------------------------------------------

# A spike of 60 MB at the start, and then something that moves until the test says that it is enough.
SPIKE_THEN_MOVE = """
spike = hold(60)
wait_for("spiked")
del spike
print("small again", flush=True)
import mmap
while not os.path.exists("enough"):
    some = mmap.mmap(-1, 1 << 20)
    some.write(bytes(1 << 20))
    time.sleep(0.002)
    some.close()
    time.sleep(0.002)
"""


def test_old_samples_are_given_up_and_their_peak_stays_in_a_coarser_level(folder, gnuplot):
    with Guided(folder, guided(SPIKE_THEN_MOVE),
                ["-i", "1ms", "--keep", "raw=1s,100ms=2s,1s=forever"]) as recording:
        recording.see("SELECT 1 FROM samples WHERE metric = 'rss' AND bytes > 60000000")
        recording.allow("spiked")
        assert recording.line() == "small again"
        recording.see("SELECT 1 FROM level WHERE bucket_us = 100000 AND from_us > 2000000")
        recording.allow("enough")
        run = recording.finish()
    raw, tenths, seconds = run["levels"]
    assert raw["from_s"] >= tenths["from_s"] > seconds["from_s"] == 0
    path = folder / "a.db"
    assert query(path, "SELECT max(bytes) < 40000000 FROM samples WHERE metric = 'rss' AND t_s > ?",
                 raw["from_s"]) == [(1,)]
    assert query(path, "SELECT max(max_bytes) > 60000000 FROM rollups WHERE bucket_s = 1"
                       " AND metric = 'rss'") == [(1,)]
    assert run["peak"]["bytes"] > 60_000_000
    text = folder.call("show", "a.db").stdout.decode()
    assert re.search(r"kept +every sample since .*; lowest and highest by 100 ms since .*,"
                     r" by 1 s since the start", text)
    script = folder.call("plot", "--script", "a.db").stdout.decode()
    heights = [float(word) for line in script.splitlines() for word in line.split()
               if re.fullmatch(r"[0-9.]+", word)]
    assert any(60 <= height < 90 for height in heights), "the spike is in the picture"
    assert folder.call("plot", "-o", "a.png", "a.db").returncode == 0


def test_file_never_gets_larger_than_asked_and_what_it_shows_is_whole(folder):
    process = folder.start("run", "-q", "-i", "1ms", "-o", "a.db", "--max-file", "1M", "--",
                           *program("breathe.py", 6))
    largest = 0
    while process.poll() is None:
        largest = max(largest, size_of(folder / "a.db"))
        time.sleep(0.002)
    assert process.communicate()[1] == b"" and process.returncode == 0
    assert max(largest, size_of(folder / "a.db")) <= 1 << 20
    assert query(folder / "a.db", "PRAGMA integrity_check") == [("ok",)]
    run = folder.last_run("a.db")
    assert run["ticks_taken"] > 0 and run["peak"]["bytes"] > 1 << 20


def test_reader_that_stays_does_not_make_the_file_larger(folder):
    """A log that a reader looks at cannot begin anew: what comes meanwhile has to wait, or is lost."""
    with Guided(folder, guided(SPIKE_THEN_MOVE), ["-i", "200us", "--max-file", "1M"]) as recording:
        recording.see("SELECT 1 FROM samples WHERE metric = 'rss' AND bytes > 60000000")
        reader = sqlite3.connect(f"file:{recording.path}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sample").fetchone()
        recording.allow("spiked")
        log = pathlib.Path(f"{recording.path}-wal")

        def stands_still():
            before = log.stat().st_size
            time.sleep(1)
            return before > 200_000 and log.stat().st_size == before
        wait_until(stands_still, "the log stands still")
        time.sleep(1)
        assert size_of(recording.path) <= 1 << 20
        reader.close()
        last_s = query(recording.path, "SELECT duration_us FROM run")[0][0]
        recording.see("SELECT 1 FROM run WHERE duration_us > ?", last_s + 1_000_000)
        recording.allow("enough")
        run = recording.finish()
    assert size_of(folder / "a.db") <= 1 << 20
    assert run["end"] == "exited" and run["ticks_due"] == run["ticks_taken"] + run["ticks_missed"]


def test_processes_that_were_given_up_are_counted_and_the_sum_goes_on(folder):
    code = ("import os, subprocess\n"
            "while not os.path.exists('enough'): subprocess.run(['/bin/true'])\n")
    with Guided(folder, [PYTHON, "-c", code], ["--keep", "raw=1s,1s=2s,10s=forever"]) as recording:
        recording.see("SELECT 1 FROM given_up WHERE kind = 'process' AND count > 20")
        recording.allow("enough")
        run = recording.finish()
    assert run["given_up"]["processes"] > 20
    assert run["processes"][0]["pid"] and run["processes"][0]["end_s"] is not None
    text = folder.call("show", "a.db").stdout.decode()
    assert "are left" in text and "processes that had ended" in text
    assert "all processes" in folder.call("plot", "--script", "a.db").stdout.decode()
    assert query(folder / "a.db", "SELECT count(*) FROM image WHERE process NOT IN"
                                  " (SELECT id FROM process)") == [(0,)]


def test_window_of_which_nothing_is_left_is_told(folder):
    with Guided(folder, guided(SPIKE_THEN_MOVE), ["-i", "1ms", "--keep", "raw=1s"]) as recording:
        recording.allow("spiked")
        recording.see("SELECT 1 FROM level WHERE from_us > 1000000")
        recording.allow("enough")
        recording.finish()
    result = folder.call("plot", "-w", "0,0.5", "--script", "a.db")
    assert result.returncode == 1 and "given up" in assert_one_line(result.stderr)
    assert folder.call("plot", "--script", "a.db").returncode == 0


def test_second_run_in_a_file_leaves_the_first_alone(folder):
    folder.record(*program("breathe.py", 1), file="a.db", options=["-i", "1ms"])
    before = query(folder / "a.db", "SELECT count(*), max(dt_us) FROM sample")
    with Guided(folder, guided(SPIKE_THEN_MOVE), ["-i", "1ms", "--keep", "raw=1s"]) as recording:
        recording.allow("spiked")
        recording.see("SELECT 1 FROM level WHERE run = 2 AND from_us > 0")
        recording.allow("enough")
        recording.finish()
    assert query(folder / "a.db", "SELECT count(*), max(dt_us) FROM sample JOIN series ON id = series"
                                  " WHERE run = 1") == before


# --- trouble -----------------------------------------------------------------------------------


def test_disk_that_is_full_while_old_rows_go_keeps_what_was_recorded(folder):
    status, output, errors = on_a_small_disk(
        folder, "400k", "run", "-q", "-i", "100us", "-o", "a.db", "--keep", "raw=1s,100ms=1s,1s=forever",
        PYTHON, "-I", "-S", str(PROGRAMS / "breathe.py"), "6")
    assert status == 0 and output.startswith(b"ready")
    assert "disk is full" in assert_one_line(errors)
    assert (folder / "show.status").read_text() == "0\n", (folder / "show.stderr").read_text()
    assert query(folder / "a.db", "PRAGMA integrity_check") == [("ok",)]


def test_kill_of_the_recorder_while_old_rows_go_leaves_a_whole_file(folder):
    for round_number in range(5):
        name = f"{round_number}.db"
        process = folder.start("run", "-q", "-i", "1ms", "-o", name, "--keep",
                               "raw=1s,100ms=2s,1s=forever", "--", *program("breathe.py", 60))
        wait_for_rows(folder / name, "SELECT 1 FROM level WHERE bucket_us = 0 AND from_us > 0")
        time.sleep(0.037 * round_number)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        assert query(folder / name, "PRAGMA integrity_check") == [("ok",)]
        run = folder.last_run(name)
        assert run["end"] == "aborted"
        # From its start to its end there is no second of which nothing is known.
        (raw_from,), = query(folder / name, "SELECT from_us / 1e6 FROM level WHERE bucket_us = 0")
        seconds = {round(second) for second, in query(
            folder / name, "SELECT from_s FROM rollups WHERE bucket_s = 1 AND metric = 'rss'"
                           " AND process IS NOT NULL")}
        assert seconds >= set(range(int(raw_from)))


def test_bound_that_cannot_be_kept_stops_the_recording_and_not_the_program(folder):
    code = ("import subprocess\n"
            "held = [subprocess.Popen(['sh', '-c', 'read line', *['x' * 1000] * 20], stdin=subprocess.PIPE) for _ in range(60)]\n"
            "import time; time.sleep(1)\n"
            "[child.kill() for child in held]\n"
            "print('done')")
    result = folder.call("run", "-q", "-o", "a.db", "--max-file", "1M", PYTHON, "-c", code)
    assert result.returncode == 0 and result.stdout == b"done\n"
    assert "--max-file" in assert_one_line(result.stderr) and b"goes on" in result.stderr
    assert size_of(folder / "a.db") <= 1 << 20
    assert folder.last_run("a.db")["end"] == "aborted"
