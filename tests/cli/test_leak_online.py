"""The verdict while a recording is made: its event, what grew, and that `leak` says the same."""

import json

import pytest

from conftest import PYTHON, Folder, query, wait_for_rows

LEAKS = """
import time
kept = []
@profile
def load():
    kept.append(bytearray(400_000))
end = time.monotonic() + 600
while time.monotonic() < end:
    load()
    time.sleep(0.05)
"""
RESTARTS = """
import os, time
def work(seconds):
    kept, parent, end = [], os.getppid(), time.monotonic() + seconds
    while time.monotonic() < end and os.getppid() == parent:
        kept.append(bytearray(400_000))
        time.sleep(0.05)
for seconds in (3, 600):
    if os.fork() == 0:
        work(seconds)
        os._exit(0)
    os.wait()
"""
STEADY = """
import time
kept = bytearray(30_000_000)
time.sleep(600)
"""


def record_until(folder, code, *awaited):
    """A recording of a program that is ended once all of these rows are in the file."""
    with folder.start("run", "-q", "-i", "10ms", "--min-duration", "3s", "-o", "a.db", PYTHON, "-c",
                      code) as process:
        for sql in awaited:
            wait_for_rows(folder / "a.db", sql)
        process.terminate()
        process.communicate()
    return folder.last_run("a.db")


def series_of(folder, pid, *options):
    result = folder.call("leak", "--json", "--min-duration", "1s", *options, "a.db")
    return next(one for one in json.loads(result.stdout)["series"] if one["pid"] == pid)


def leak_of(run, of_tree=False):
    [event] = [event for event in run["events"]
               if event["name"] == "leak" and (event["pid"] is None) == of_tree]
    return event


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("leaking"))
    return folder, record_until(folder, LEAKS, "SELECT 1 FROM event WHERE name = 'leak'",
                                "SELECT 1 FROM growth WHERE to_s IS NOT NULL")


def test_a_leak_becomes_an_event_while_it_is_recorded(leaking):
    folder, run = leaking
    event = leak_of(run)
    assert event["kind"] == "verdict" and event["t_s"] >= 4.5
    assert 4_000_000 < event["value"] < 9_000_000
    assert event["note"].startswith("sustained growth of ")
    assert b": sustained growth of " in folder.call("show", "a.db").stdout


def test_leak_says_the_same_of_the_same_samples(leaking):
    folder, run = leaking
    event = leak_of(run)
    then = series_of(folder, event["pid"], "-w", f"0,{event['t_s']}")
    assert then["verdict"] == event["name"]
    assert then["slope_bytes_per_s"] == pytest.approx(event["value"], rel=0.01)


def test_leak_says_the_same_of_a_tree_whose_worker_was_restarted(folder):
    run = record_until(folder, RESTARTS,
                       "SELECT 1 FROM event WHERE name = 'leak' AND process IS NULL")
    event = leak_of(run, of_tree=True)
    then = series_of(folder, None, "-w", f"0,{event['t_s']}")
    assert event["t_s"] > 3 + 4.5 and then["verdict"] == event["name"]
    assert then["slope_bytes_per_s"] == pytest.approx(event["value"], rel=0.01)


def test_leak_tells_the_mappings_and_the_functions_that_grew(leaking):
    folder, run = leaking
    grown = series_of(folder, leak_of(run)["pid"])["evidence"]
    assert grown["mappings"][0]["kind"] in ("heap", "anonymous")
    assert grown["mappings"][0]["growth_bytes"] > 1_000_000
    functions = series_of(folder, None)["evidence"]["functions"]
    assert [function["name"] for function in functions] == ["__main__.load"]
    words = folder.call("leak", "-v", "--min-duration", "1s", "a.db").stdout.decode()
    assert words.count("mappings ") == 1 and words.count("in __main__.load (") == 1


def test_mappings_are_in_the_file_for_any_client(leaking):
    folder, _ = leaking
    [(kind, growth)] = query(folder / "a.db", "SELECT kind, growth_bytes FROM growth"
                             " WHERE to_s IS NOT NULL ORDER BY growth_bytes DESC LIMIT 1")
    assert kind in ("heap", "anonymous") and growth > 1_000_000


def test_what_is_steady_makes_no_alarm(folder):
    run = record_until(folder, STEADY, "SELECT 1 FROM event")
    assert not {event["name"] for event in run["events"]} & {"leak", "suspect"}
    assert b"growth" not in folder.call("show", "a.db").stdout


@pytest.mark.parametrize("duration", ["0", "-1s", "soon"])
def test_a_least_time_that_is_none_is_refused(folder, duration):
    result = folder.call("run", "--min-duration", duration, "true")
    assert result.returncode == 125 and folder.files() == []
