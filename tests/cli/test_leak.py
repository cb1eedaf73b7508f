"""The verdict on a recording, as a person and a script get it."""

import json
import math
import os
import random
import re

import pytest

from conftest import Guided, assert_one_line, execute, guided, make_recording, query

MIB = 1 << 20
KEYS = {"pid", "command", "metric", "verdict", "confidence", "slope_bytes_per_s", "ci_low", "ci_high",
        "observed_s", "evidence", "limits"}


def course(name):
    """The memory in MiB at u, from 0 to 1."""
    return {
        "leak": lambda u: 200 + 100 * u,
        "filling": lambda u: 200 - 100 * math.expm1(-5 * u),
        "step": lambda u: 280 if u > .4 else 200,
        "stable": lambda u: 200,
        "zero": lambda u: 0,
        "falling": lambda u: 200 - 100 * u,
        "halted": lambda u: 200 + 100 * min(u / .9, 1),
        "halted-long-ago": lambda u: 200 + 100 * min(u / .8, 1),
        "once": lambda u: 200 + (u > .99),
        "wave": lambda u: 200 + 30 * u + 30 * math.sin(40 * u * u),
        "given-back": lambda u: 200 + 200 * u if u < .5 else 100 + 100 * u,
        "started-again": lambda u: 200 + 200 * (u if u < .5 else u - .5),
        "sawtooth": lambda u: 200 + 60 * u + 90 * (u * 20 % 1),
    }[name]


def record(folder, name="leak", file="a.db", *, seconds=7200, every=4, noise=2, shared=None):
    """A recording of one process whose memory takes that course."""
    chance = random.Random(1)
    samples = [(t * 1_000_000, int((course(name)(t / seconds) + chance.gauss(0, noise)) * 1024))
               for t in range(0, seconds, every)]
    path = make_recording(folder / file, samples, duration_us=seconds * 1_000_000)
    if shared:
        execute(path, *(f"INSERT OR REPLACE INTO sample VALUES (2, {t * 1_000_000}, {int(shared(t / seconds) * 1024)})"
                        for t in range(0, min(seconds, 2000), every)))
    return path


def judge(folder, *words):
    """What leak --json says of each series."""
    result = folder.call("leak", "--json", *map(str, words))
    assert (result.returncode, result.stderr) == (0, b""), result
    series = json.loads(result.stdout)["series"]
    assert all(set(one) == KEYS for one in series)
    return series


@pytest.mark.parametrize("name, verdict", [("leak", "leak"), ("filling", "filling"), ("step", "step"),
                                           ("stable", "stable"), ("sawtooth", "leak")])
def test_each_course_has_its_verdict(folder, name, verdict):
    record(folder, name)
    tree, process = judge(folder, "a.db")
    assert (tree["pid"], process["pid"]) == (None, 4711)
    assert tree["verdict"] == process["verdict"] == verdict
    result = folder.call("leak", "a.db")
    assert result.returncode == 0 and result.stderr == b""
    assert result.stdout.decode().startswith(f"{verdict} ")


def test_a_leak_in_a_sentence(folder):
    record(folder)
    text = folder.call("leak", "--limit", "400M", "a.db").stdout.decode()
    assert re.match(r"leak +program \(4711\): sustained growth of \d+ KiB/min \(\d+ to \d+ KiB/min\) for "
                    r"1 h 5\d min, consistent with a leak\n +the limit of 400 MiB is reached in "
                    r"(1 h 5\d|2 h \d+) min \(.* to .*\)\nnext +memwatch plot --leak a.db\n$", text), text


def test_slope_and_time_to_a_limit_in_json(folder):
    record(folder)
    process = judge(folder, "--limit", "400M", "a.db")[1]
    truth = 100 * MIB / 7200
    assert process["confidence"] == "high" and process["metric"] == "anon"
    assert process["slope_bytes_per_s"] == pytest.approx(truth, rel=.05)
    assert process["ci_low"] < truth < process["ci_high"]
    limit, = process["limits"]
    assert (limit["name"], limit["bytes"]) == ("limit", 400 * MIB)
    assert limit["eta_s"] == pytest.approx(7200, rel=.1)
    assert limit["eta_low_s"] <= limit["eta_s"] <= limit["eta_high_s"]


def test_a_limit_below_the_present_value_is_reached_already(folder):
    record(folder)
    assert "is reached already" in folder.call("leak", "--limit", "100M", "a.db").stdout.decode()
    assert judge(folder, "--limit", "100M", "a.db")[1]["limits"][0]["eta_s"] == 0


def test_a_limit_far_away_is_told_as_that(folder):
    record(folder)
    assert "in more than" in folder.call("leak", "--limit", "1T", "a.db").stdout.decode()


def test_what_does_not_grow_meets_no_limit(folder):
    record(folder, "stable")
    assert judge(folder, "--limit", "400M", "a.db")[1]["limits"][0]["eta_s"] is None


def test_verbose_tells_what_the_verdict_rests_on(folder):
    record(folder, "sawtooth")
    text = folder.call("leak", "-v", "--limit", "400M", "a.db").stdout.decode()
    for word in ("judged", "series", "floor below a sawtooth", "trend", "shape", "before", "limit"):
        assert word in text, word


@pytest.mark.parametrize("noise", [0, 2])
@pytest.mark.parametrize("name", ["leak", "filling", "step", "stable", "zero", "falling", "halted", "halted-long-ago",
                                  "once", "wave", "given-back"])
def test_only_what_is_known_is_told(folder, name, noise):
    record(folder, name, noise=noise if name != "zero" else 0)
    for words in (["leak", "-v", "--limit", "1G"], ["leak", "--json"], ["plot", "--leak", "--script"]):
        text = folder.call(*words, "a.db").stdout.decode()
        assert text and not re.search(r"(?i)(?<![a-z])(nan|inf)(?![a-z])|\d{12}\.\d", text), text


def test_a_series_that_does_not_move_is_told_as_that(folder):
    record(folder, "stable", noise=0)
    text = folder.call("leak", "-v", "a.db").stdout.decode()
    assert text.startswith("stable      program (4711): does not grow\n") and "does not move" in text


def test_growth_that_halted_says_since_when(folder):
    record(folder, "halted")
    process = judge(folder, "--limit", "1G", "a.db")[1]
    assert (process["verdict"], process["confidence"]) == ("leak", "low")
    assert process["evidence"]["halted_s"] == pytest.approx(720, abs=150)
    assert process["evidence"]["doubt"] == "halted"
    text = folder.call("leak", "--limit", "1G", "a.db").stdout.decode()
    assert re.search(r"leak .*sustained growth of .* consistent with a leak; level from 1 h 4\d min on, "
                     r"perhaps because the load ended\n +not certain: a cache that was full by then looks the same; .*\n +if it grows on like that, the "
                     r"limit", text), text
    script = folder.call("plot", "--leak", "--limit", "350M", "--script", "a.db").stdout.decode()
    assert "level since" in script and "met in" not in script
    record(folder, "halted-long-ago", "b.db")
    assert judge(folder, "b.db")[1]["verdict"] == "suspect"
    assert "a leak if the load ended there, a full cache if it went on" in folder.call("leak", "b.db").stdout.decode()


def test_a_leak_of_a_few_minutes_is_not_certain(folder):
    record(folder, seconds=600, every=1)
    process = judge(folder, "a.db")[1]
    assert (process["verdict"], process["confidence"]) == ("leak", "low")
    assert process["evidence"]["doubt"] == "brief"
    assert re.search(r"not certain: within 10 min 0 s, a cache .* record 30 min 0 s to tell",
                     folder.call("leak", "a.db").stdout.decode())
    record(folder, file="b.db")
    process = judge(folder, "b.db")[1]
    assert (process["confidence"], process["evidence"]["doubt"]) == ("high", None)
    assert "not certain" not in folder.call("leak", "b.db").stdout.decode()


def test_memory_that_is_given_back_is_no_restart(folder):
    """A recorded process is one and the same, however much of its memory the allocator returns."""
    path = record(folder, "started-again", seconds=4000)
    execute(path, "UPDATE sample SET kib = kib - 180 * 1024 WHERE dt_us >= 2000000000")
    for series in judge(folder, path):
        assert series["evidence"]["since_s"] < 500 and series["observed_s"] == pytest.approx(4000, abs=20)


def test_the_end_of_most_of_a_tree_is_a_restart(folder):
    """A supervisor starts its worker again: the tree is judged from there on."""
    path = record(folder, "started-again", seconds=4000)
    execute(path, "UPDATE sample SET kib = kib - 180 * 1024 WHERE dt_us BETWEEN 2000000000 AND 2040000000",
            "INSERT INTO process (id, run, pid, ppid, start_us, end_us, peak_kib, peak_from_us, peak_to_us, peak_source) "
            "VALUES (99, 1, 99, 1, 0, 2000000000, 290000, 0, 2000000000, 'sampled')")
    tree = judge(folder, path)[0]
    assert tree["evidence"]["since_s"] > 1990 and tree["observed_s"] == pytest.approx(2000, abs=40)
    execute(path, "UPDATE process SET peak_kib = 20000 WHERE id = 99")
    assert judge(folder, path)[0]["evidence"]["since_s"] < 500


def test_a_rise_that_is_no_growth_is_told(folder):
    record(folder, "wave")
    text = folder.call("leak", "a.db").stdout.decode()
    assert re.match(r"stable .*: rose by \d.* which is not called growth: .* record it twice as long", text), text


def test_fail_makes_a_leak_an_exit_status(folder):
    record(folder)
    record(folder, "stable", "b.db")
    assert folder.call("leak", "--fail", "a.db").returncode == 3
    assert folder.call("leak", "--fail", "b.db").returncode == 0
    assert folder.call("leak", "--fail", "b.db", "a.db").returncode == 3
    assert folder.call("leak", "--fail", "--json", "a.db").returncode == 3


def test_growth_of_shared_pages_is_no_leak(folder):
    """The resident memory grows by what is shared: that is told beside the verdict."""
    record(folder, "leak", seconds=2000, every=2, shared=lambda u: 100 * u)
    process = judge(folder, "a.db")[1]
    assert process["metric"] == "anon" and process["verdict"] == "stable"
    assert process["evidence"]["shared_growth_bytes"] == pytest.approx(100 * MIB, rel=.01)
    assert judge(folder, "--metric", "rss", "a.db")[1]["verdict"] == "leak"


def test_a_window_is_judged_alone(folder):
    record(folder, "step")
    process = judge(folder, "-w", "1h,", "a.db")[1]
    assert process["verdict"] == "stable" and process["evidence"]["from_s"] >= 3600
    result = folder.call("leak", "-w", "3h,", "a.db")
    assert result.returncode == 1 and "after the end" in assert_one_line(result.stderr)


def test_short_recordings_are_insufficient(folder):
    record(folder, seconds=100, every=1)
    tree, process = judge(folder, "a.db")
    assert process["verdict"] == "insufficient" and process["slope_bytes_per_s"] is None
    assert "5 min" in folder.call("leak", "a.db").stdout.decode()
    assert judge(folder, "--min-duration", "1m", "a.db")[1]["verdict"] != "insufficient"


@pytest.mark.parametrize("samples", [[(0, 100), (1000, 200)], [(0, 0)],
                                     [(t * 1_000_000, 0) for t in range(1000)],
                                     [(t * 1_000_000, (1 << 53) - 1) for t in range(0, 1000, 10)]])
def test_series_that_say_little_are_no_leak(folder, samples):
    make_recording(folder / "a.db", samples, duration_us=1_000_000_000)
    assert judge(folder, "a.db")[1]["verdict"] in ("insufficient", "stable")


def test_gaps_of_days_are_not_bridged(folder):
    path = record(folder, seconds=600, every=1)
    execute(path, "UPDATE run SET duration_us = 900000000000",
            "UPDATE process SET end_us = 900000000000",
            "INSERT INTO gap VALUES (1, 600000000, 899999000000, 1000)")
    process = judge(folder, path)[1]
    assert process["verdict"] == "insufficient" and process["observed_s"] < 700


def test_processes_of_a_short_life_are_counted(folder):
    path = record(folder)
    execute(path, *(f"INSERT INTO process (id, run, pid, ppid, start_us, end_us) "
                    f"VALUES ({n}, 1, {n}, 1, 0, 1000)" for n in range(10, 1010)))
    text = folder.call("leak", path).stdout.decode()
    assert "1,000 processes lived less than 5 min 0 s and are not judged" in text
    assert text.count("\n") < 6
    assert len(judge(folder, path)) == 1002


def test_one_process_or_the_total(folder):
    record(folder)
    assert [one["pid"] for one in judge(folder, "--process", "4711", "a.db")] == [4711]
    assert [one["pid"] for one in judge(folder, "--total", "a.db")] == [None]
    result = folder.call("leak", "--process", "1", "a.db")
    assert result.returncode == 1 and "no process 1" in assert_one_line(result.stderr)


@pytest.mark.parametrize("words", [["--process", "1", "--total"], ["--metric", "uss"], ["--limit", "x"],
                                   ["--process", "x"], ["-w", "2,1"], ["--min-duration", "-1"]])
def test_options_that_make_no_sense_are_told(folder, words):
    result = folder.call("leak", *words)
    assert result.returncode == 2
    assert "memwatch leak -h" in assert_one_line(result.stderr)


def test_hostile_names_are_harmless(folder):
    path = record(folder)
    execute(path, "UPDATE image SET name = char(27) || '[31m' || char(10)")
    output = folder.call("leak", "-v", path).stdout
    assert b"\x1b" not in output and output.count(b"(4711)") == 1


def test_limits_of_a_process_that_lives(folder):
    """While it is recorded, the limits that hold for the process are found."""
    command = guided("import resource\n"
                     "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\n"
                     "print('set', flush=True)\nwait_for('go')\n")
    with Guided(folder, command) as run:
        assert run.line() == "set"
        run.see("SELECT 1 FROM sample")
        limits = {one["name"]: one for one in judge(folder, "a.db")[1]["limits"]}
        assert limits["RLIMIT_AS"]["bytes"] == 1 << 40
        assert limits["machine"]["bytes"] >= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * .9
        run.allow("go")
        run.finish()
    afterwards = {one["name"] for one in judge(folder, "a.db")[1]["limits"]}
    assert not afterwards & {"RLIMIT_AS", "machine"}


def test_limits_that_were_recorded_hold_afterwards(folder):
    record(folder)
    execute(folder / "a.db",
            f"INSERT INTO run_limit (run, since_us, name, place, value) VALUES (1, 0, 'max-rss', '', {1 << 30}),"
            f" (1, 0, 'memory.max', '/a', {1 << 31}), (1, 5, 'memory.max', '/a', {1 << 32}),"
            " (1, 0, 'memory.max', '/b', NULL), (1, 0, 'max-processes', '', 5)")
    limits = judge(folder, "a.db")[0]["limits"]
    assert [(one["name"], one["bytes"]) for one in limits] == [
        ("--max-rss", 1 << 30), ("cgroup /a", 1 << 32)]
    assert 0 < limits[0]["eta_s"] < limits[1]["eta_s"]
    assert "--max-rss of 1 GiB is reached in" in folder.call("leak", "a.db").stdout.decode()


def test_the_plot_shows_the_verdict(folder):
    record(folder, "sawtooth")
    script = folder.call("plot", "--leak", "--limit", "400M", "--script", "a.db").stdout.decode()
    for word in ("floor", "judged from here", "leak: ", "limit 400 MiB", "met by the peaks in"):
        assert word in script, word
    # The axis reaches to where the limit is met.
    high = float(re.search(r"set xrange \[0:([\d.]+)\]", script).group(1))
    assert high > 2.5
    record(folder, "filling", "b.db")
    script = folder.call("plot", "--leak", "--script", "b.db").stdout.decode()
    assert "filling, judged from here" in script


def test_the_plot_is_drawn(folder, gnuplot):
    record(folder)
    assert folder.call("plot", "--leak", "-o", "a.png", "a.db").returncode == 0
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("words", [["--limit", "1G"], ["--leak", "--metric", "shared"],
                                   ["--min-duration", "1m"], ["--leak", "--min-duration", "-1"]])
def test_plot_options_that_make_no_sense_are_told(folder, words):
    result = folder.call("plot", *words)
    assert result.returncode == 2
    assert_one_line(result.stderr)


def subtitle(script):
    return re.search(r"^\$words << END\n.*\n.(.*)$", script.decode(), re.M)[1]


def test_the_plot_of_too_little_says_the_same_as_leak(folder):
    record(folder, seconds=100, every=1)
    words = folder.call("leak", "a.db").stdout.decode().partition(": ")[2].rstrip("\n")
    assert words.startswith("known for 1 min 40 s alone: record 5 min")
    script = folder.call("plot", "--leak", "--script", "a.db")
    assert script.returncode == 0 and f"insufficient: {words}" in subtitle(script.stdout)
    assert words in assert_one_line(script.stderr)
    for word in (b"judged from here", b"leak:", b"slope"):
        assert word not in script.stdout
    script = folder.call("plot", "--leak", "--min-duration", "1m", "--script", "a.db")
    assert b"insufficient" not in script.stdout and script.stderr == b""
    assert b"judged from here" in script.stdout


def test_the_plot_of_too_little_is_drawn(folder, gnuplot):
    make_recording(folder / "a.db", [(0, 100), (1000, 200)])
    for name in ("a.png", "a.txt"):
        result = folder.call("plot", "--leak", "-o", name, "a.db")
        assert result.returncode == 0 and "insufficient: known for" in assert_one_line(result.stderr)
    assert "program (4711)" in (folder / "a.txt").read_text()


def test_what_comes_next_shows_what_was_judged(folder):
    record(folder, seconds=250, every=1, noise=0)
    words = ["--min-duration", "1m", "-w", "10,"]
    text = folder.call("leak", *words, "a.db").stdout.decode()
    assert text.endswith("next        memwatch plot --leak -w 10, --min-duration 1m a.db\n"), text
    command = text.splitlines()[-1].split()[2:]
    script = folder.call(*command, "--script").stdout
    assert b"leak: " in script and b"insufficient" not in script


def test_judging_changes_no_file(folder):
    path = record(folder)
    before = path.read_bytes()
    judge(folder, path)
    assert path.read_bytes() == before and folder.files() == ["a.db"]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
