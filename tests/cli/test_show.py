"""memwatch show, list and peak: what they print, as text and as JSON."""

import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import execute, make_recording, program, python, query, wait_for_samples

RUN_KEYS = {"id", "command", "cwd", "started", "duration_s", "interval_s", "note", "children", "metrics",
            "end", "exit_status", "exit_signal", "ticks_due", "ticks_taken", "ticks_missed",
            "longest_gap_s", "lateness_us", "recorder", "peak", "processes", "functions",
            "limits", "events", "levels", "given_up"}
RECORDER_KEYS = {"cpu_s", "max_rss_bytes", "scheduling", "tracking", "lost_events",
                 "dropped_records", "lost_marks",
                 "blind_s", "rss_bound_bytes", "peak_bound_bytes"}
PROCESS_KEYS = {"pid", "ppid", "command", "start_s", "end_s", "exit_status", "exit_signal", "peak"}
PEAK_KEYS = {"bytes", "upper_bytes", "from_s", "to_s", "source"}


def check_peak(peak, duration_s):
    assert set(peak) == PEAK_KEYS
    assert isinstance(peak["bytes"], int) and peak["bytes"] > 0
    assert peak["upper_bytes"] is None or peak["upper_bytes"] >= peak["bytes"]
    assert 0 <= peak["from_s"] <= peak["to_s"] <= duration_s
    assert peak["source"] in ("kernel", "sampled")


def test_json_has_exactly_the_promised_keys_and_types(folder):
    folder.record("sh", "-c", "sleep 0.3; exit 2", options=["--note", "n"])
    shown = folder.show("run.db")
    assert set(shown) == {"file", "file_bytes", "runs"}
    assert shown["file"] == "run.db" and shown["file_bytes"] > 4096
    run, = shown["runs"]
    assert set(run) == RUN_KEYS
    assert set(run["lateness_us"]) == {"p50", "p99", "max"}
    assert set(run["recorder"]) == RECORDER_KEYS
    assert run["command"] == ["sh", "-c", "sleep 0.3; exit 2"]
    assert run["cwd"] == str(folder.path) and run["note"] == "n" and run["functions"] == []
    assert (run["end"], run["exit_status"], run["exit_signal"]) == ("exited", 2, None)
    check_peak(run["peak"], run["duration_s"])
    for process in run["processes"]:
        assert set(process) == PROCESS_KEYS
        assert isinstance(process["pid"], int) and isinstance(process["ppid"], int)
        assert all(isinstance(word, str) for word in process["command"])
        if process["peak"]:
            check_peak(process["peak"], run["duration_s"])


def test_json_numbers_fit_together(folder):
    folder.record("sh", "-c", "sleep 0.3; true", options=["-i", "5ms"])
    run = folder.last_run("run.db")
    assert run["ticks_due"] == run["ticks_taken"] + run["ticks_missed"]
    assert abs(run["ticks_due"] - run["duration_s"] / run["interval_s"]) <= 2
    assert run["ticks_taken"] > 0 and run["interval_s"] == 0.005
    assert 0.2 <= run["duration_s"]  # it counts from exec on, as that was seen
    assert run["longest_gap_s"] <= run["duration_s"]
    late = run["lateness_us"]
    assert 0 <= late["p50"] <= late["p99"] <= late["max"]
    assert run["recorder"]["cpu_s"] > 0
    assert run["recorder"]["scheduling"] and run["recorder"]["tracking"]
    first = run["processes"][0]
    assert first["start_s"] == 0 and 0.2 <= first["end_s"] <= run["duration_s"]
    assert all(0 <= process["start_s"] <= process["end_s"] <= run["duration_s"]
               for process in run["processes"])


def test_recorders_memory_is_its_own_and_not_what_its_caller_had(folder):
    """ru_maxrss goes through vfork and exec: here it would be that of Python and 64 MiB."""
    ballast = bytearray(64 << 20)
    ballast[::4096] = bytes([1]) * (len(ballast) // 4096)
    folder.record("sleep", "0.2")
    assert 1 << 20 < folder.last_run("run.db")["recorder"]["max_rss_bytes"] < 32 << 20


def test_start_is_the_date_in_rfc_3339(folder):
    before = datetime.datetime.now(datetime.timezone.utc)
    folder.record("true")
    text = folder.last_run("run.db")["started"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    started = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert before <= started <= datetime.datetime.now(datetime.timezone.utc)


def test_peak_of_the_tree_is_the_highest_sum_and_no_less_than_any_process(folder):
    hold = " ".join(f"'{word}'" for word in program("touch.py", 20, 0.5))
    folder.record("sh", "-c", f"{hold} & {hold} & wait")
    run = folder.last_run("run.db")
    peaks = [process["peak"]["bytes"] for process in run["processes"] if process["peak"]]
    assert run["peak"]["bytes"] >= max(peaks)
    assert run["peak"]["bytes"] >= 40 << 20  # both at once
    text = folder.call("show", "run.db").stdout.decode()
    assert "shared pages count once for each process" in text


def test_peak_of_a_process_is_no_less_than_its_highest_sample(folder):
    hold = " ".join(f"'{word}'" for word in program("touch.py", 20, 0.5))
    folder.record("sh", "-c", f"{hold} & {hold} & wait")
    bound = folder.last_run("run.db")["recorder"]["rss_bound_bytes"]  # 0 where statm is exact
    highest = query(folder / "run.db", "SELECT max(bytes), peak_bytes FROM samples JOIN processes"
                    " USING (process) WHERE metric = 'rss' GROUP BY process")
    assert len(highest) >= 2
    assert all(peak >= sample - bound for sample, peak in highest), highest


def test_program_that_was_never_sampled_has_no_peak(folder):
    make_recording(folder / "a.db", [(0, 100)])
    execute(folder / "a.db", "UPDATE run SET peak_kib = NULL", "UPDATE process SET peak_kib = NULL")
    run = folder.last_run("a.db")
    assert run["peak"] is None and run["processes"][0]["peak"] is None
    text = folder.call("show", "a.db").stdout.decode()
    assert "peak       not known: it had ended before its memory was read" in text
    assert "never sampled" in folder.call("peak", "a.db").stdout.decode()


def test_processes_have_start_end_and_name(folder):
    folder.record("sh", "-c", "sleep 0.3; sleep 0.2")
    run = folder.last_run("run.db")
    sleeps = [process for process in run["processes"] if process["command"][0] == "sleep"]
    assert [process["command"][1] for process in sleeps] == ["0.3", "0.2"]
    assert sleeps[0]["end_s"] <= sleeps[1]["end_s"] and sleeps[0]["start_s"] < sleeps[1]["start_s"]
    assert all(process["ppid"] == run["processes"][0]["pid"] for process in sleeps)


def test_program_that_replaced_itself_is_shown_as_what_it_became(folder):
    folder.record("sh", "-c", "exec sleep 0.7")
    process, = folder.last_run("run.db")["processes"]
    assert process["command"] == ["sleep", "0.7"]
    assert folder.last_run("run.db")["command"] == ["sh", "-c", "exec sleep 0.7"]


def test_text_of_show_names_the_processes(folder):
    folder.record("sh", "-c", "sleep 0.3; exit 9")
    text = folder.call("show", "run.db").stdout.decode()
    assert "exited with 9" in text and "sleep 0.3" in text and "processes" in text
    pid = folder.last_run("run.db")["processes"][1]["pid"]
    assert re.search(rf"^ +{pid} ", text, re.M)


def test_show_takes_one_recording(folder):
    result = folder.call("show", "a.db", "b.db")
    assert result.returncode == 2 and b"b.db" in result.stderr


def test_show_of_a_run_that_is_not_there(folder, recording):
    result = folder.call("show", "rise.db:7")
    assert result.returncode == 1 and b"no run 7" in result.stderr


# --- list and peak ---------------------------------------------------------------------------


def three(folder):
    """Three recordings whose names are in another order than their starts."""
    for name, day in (("b.db", 1), ("c.db", 2), ("a.db", 3)):
        make_recording(folder / name, [(0, 1024 * day), (500_000, 2048 * day)],
                       started_ns=(1_700_000_000 + 86400 * day) * 10**9, command=("job", name))
    return ["b.db", "c.db", "a.db"]


def test_list_is_ordered_by_start_and_numbered_from_0(folder):
    names = three(folder)
    lines = folder.call("list").stdout.decode().splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert all(name in line for name, line in zip(names, lines))
    listed = json.loads(folder.call("list", "--json").stdout)
    assert [(each["index"], each["file"]) for each in listed] == list(enumerate(names))
    assert [each["peak"]["bytes"] >> 20 for each in listed] == [2, 4, 6]
    assert listed[0]["command"] == ["job", "b.db"] and listed[0]["runs"] == 1
    assert listed[0]["end"] == "exited" and listed[0]["duration_s"] == 0.51


def test_number_operands_are_what_list_prints(folder):
    names = three(folder)
    for number, name in [("0", 0), ("1", 1), ("2", 2), ("-1", 2), ("-2", 1), ("-3", 0)]:
        assert folder.show(number)["file"] == names[name]
    assert folder.show()["file"] == "a.db"
    for number in ("3", "-4", "99999999999999999999", "-0"):
        result = folder.call("show", number)
        assert result.returncode == 1 and result.stderr.count(b"\n") == 1, number


def test_number_may_come_before_and_after_options(folder):
    three(folder)
    for words in (["-1", "--json"], ["--json", "-1"]):
        assert json.loads(folder.call("show", *words).stdout)["file"] == "a.db"


def test_file_that_has_a_number_for_a_name_is_meant_by_it(folder):
    names = three(folder)
    (folder / names[1]).rename(folder / "2")
    assert folder.show("2")["file"] == "2"
    assert folder.show("./2")["file"] == "./2"


def test_list_of_an_empty_folder_and_no_recording_for_the_others(folder):
    assert folder.call("list").returncode == 0
    assert json.loads(folder.call("list", "--json").stdout) == []
    for command in ("show", "peak", "plot"):
        result = folder.call(command)
        assert result.returncode == 1 and b"memwatch run" in result.stderr


def test_list_leaves_out_what_is_not_memwatchs_and_tells_what_is_damaged(folder):
    three(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "folder.db").mkdir()
    whole = (folder / "c.db").read_bytes()
    (folder / "c.db").write_bytes(whole[:5000])
    result = folder.call("list")
    text = result.stdout.decode()
    assert result.returncode == 0 and len(text.splitlines()) == 4
    assert "notes" not in text and "folder.db" not in text
    assert "c.db" in text
    damaged, = (each for each in json.loads(folder.call("list", "--json").stdout) if "error" in each)
    assert damaged["file"] == "c.db"


def test_list_tells_of_further_runs(folder):
    folder.record("true")
    folder.record("sh", "-c", "exit 3")
    assert "2 runs" in folder.call("list").stdout.decode()
    listed, = json.loads(folder.call("list", "--json").stdout)
    assert listed["runs"] == 2 and listed["command"][0] == "sh"


def test_peak_prints_one_line_a_recording(folder):
    three(folder)
    assert folder.call("peak").stdout == b"a.db\t6 MiB at 500 ms\n"
    assert folder.call("peak", "0", "c.db", "-1").stdout.decode().splitlines() == [
        "b.db\t2 MiB at 500 ms", "c.db\t4 MiB at 500 ms", "a.db\t6 MiB at 500 ms"]


def test_peak_as_json(folder):
    three(folder)
    peaks = json.loads(folder.call("peak", "--json", "c.db", "0").stdout)
    assert peaks[0] == {"file": "c.db", "run": 1, "peak": {
        "bytes": 4 << 20, "upper_bytes": None, "from_s": 0.5, "to_s": 0.5, "source": "sampled"}}
    assert [each["file"] for each in peaks] == ["c.db", "b.db"]


def test_peak_goes_on_behind_a_file_that_is_none_and_fails(folder):
    three(folder)
    result = folder.call("peak", "b.db", "gone.db", "c.db")
    assert result.returncode == 1 and result.stdout.count(b"\n") == 2
    assert b"gone.db" in result.stderr
    result = folder.call("peak", "--json", "b.db", "gone.db")
    assert result.returncode == 1 and len(json.loads(result.stdout)) == 1


def test_output_that_cannot_be_written_is_a_failure(folder, recording):
    with open("/dev/full", "wb") as full:
        for words in (["show", "--json"], ["list", "--json"], ["peak", "--json"], ["show"], ["list"],
                      ["peak"], ["plot", "--script"]):
            result = folder.call(*words, stdout=full)
            assert result.returncode == 1, words


# --- any SQLite client -----------------------------------------------------------------------


def record_tree(folder):
    """A shell with two children, one after the other."""
    hold = " ".join(f"'{word}'" for word in program("touch.py", 8, 0.4))
    return folder.record("sh", "-c", f"{hold} & sleep 0.2; {hold}; wait", options=["-i", "5ms"])


def test_views_answer_plain_sql(folder):
    path = record_tree(folder)
    run = folder.last_run(path)
    row, = query(path, "SELECT outcome, exit_status, peak_bytes, ticks_taken, ticks_due FROM runs")
    assert row == ("exited", 0, run["peak"]["bytes"], run["ticks_taken"], run["ticks_due"])
    rows = query(path, "SELECT pid, ppid, start_s, end_s, peak_bytes FROM processes ORDER BY process")
    assert rows == [(p["pid"], p["ppid"], p["start_s"], p["end_s"],
                     p["peak"]["bytes"] if p["peak"] else None) for p in run["processes"]]
    assert query(path, "SELECT name FROM processes")[0] == ("sh",)
    assert query(path, "SELECT count(*) FROM samples") == query(path, "SELECT count(*) FROM sample")
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_anonymous_memory_is_rss_less_shared(folder):
    path = record_tree(folder)
    rows = query(path, "SELECT rss_bytes, shared_bytes, anon_bytes FROM memory")
    assert rows and all(rss - shared == anon >= 0 for rss, shared, anon in rows)
    assert all(None not in row for row in rows)
    anon = query(path, "SELECT pid, max(anon_bytes) FROM memory WHERE process IS NOT NULL"
                       " GROUP BY pid HAVING max(anon_bytes) > 8 * 1048576")
    assert len(anon) == 2  # the two that touched 8 MiB


def held(path, process, t_s):
    """The rss of a process at a moment: its last value before, if it still ran."""
    row = query(path, "SELECT rss_bytes FROM memory JOIN processes USING (process) WHERE process = ?"
                      " AND t_s <= ? AND (end_s IS NULL OR end_s > ?) ORDER BY t_s DESC LIMIT 1",
                process, t_s, t_s)
    return row[0][0] if row else 0


def test_tree_is_the_sum_of_its_processes_at_every_moment(folder):
    path = record_tree(folder)
    processes = [row[0] for row in query(path, "SELECT process FROM processes")]
    tree = query(path, "SELECT t_s, rss_bytes FROM tree ORDER BY t_s")
    assert len(tree) >= 5
    for t_s, rss in tree[:: max(1, len(tree) // 60)]:
        assert rss == sum(held(path, process, t_s) for process in processes), t_s


def test_sqlite3_command_reads_the_file(folder):
    if not shutil.which("sqlite3"):
        pytest.skip("there is no sqlite3 command")
    path = record_tree(folder)
    for view in ("runs", "processes", "samples", "memory", "tree"):
        result = subprocess.run(["sqlite3", "-readonly", path, f"SELECT * FROM {view} LIMIT 5"],
                                check=True, capture_output=True)
        assert result.stdout and not result.stderr, view


def test_tick_that_changes_nothing_writes_nothing(folder):
    folder.record("sleep", "0.3", file="short.db", options=["-i", "1ms"])
    folder.record("sleep", "2.5", file="long.db", options=["-i", "1ms"])
    counts = [query(folder / name, "SELECT count(*) FROM sample")[0][0]
              for name in ("short.db", "long.db")]
    assert folder.last_run("long.db")["ticks_taken"] > folder.last_run("short.db")["ticks_taken"]
    assert counts[1] <= 30  # sleep loads its libraries, and then does nothing
    sizes = [(folder / name).stat().st_size for name in ("short.db", "long.db")]
    assert sizes[1] <= sizes[0] + 8192


def test_value_that_changes_all_the_time_costs_at_most_20_bytes(folder):
    path = folder.record(*program("breathe.py", 3), options=["-i", "500us"])
    empty = make_recording(folder / "empty.db", [(0, 1)]).stat().st_size
    count = query(path, "SELECT count(*) FROM sample")[0][0]
    assert count > 500
    assert path.stat().st_size - empty <= 20 * count + 16384


def test_gap_is_a_row_of_its_own_when_the_recorder_stood_still(folder):
    process = folder.start("run", "-q", "-i", "2ms", "-o", "a.db", *program("breathe.py", 2.5))
    wait_for_samples(folder / "a.db", 5)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.6)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60) == 0
    process.communicate()
    run = folder.last_run("a.db")
    longest, = query(folder / "a.db", "SELECT max(to_us - from_us) / 1e6, sum(ticks) FROM gap")
    assert longest[0] >= 0.55 and run["longest_gap_s"] >= 0.55
    assert run["ticks_missed"] >= 200 and longest[1] == run["ticks_missed"]
    assert run["ticks_due"] == run["ticks_taken"] + run["ticks_missed"]
    assert b"missed" in folder.call("show", "a.db").stdout


def test_python_reads_while_it_is_being_recorded(folder):
    process = folder.start("run", "-q", "-o", "a.db", *python("import time; time.sleep(60)"))
    wait_for_samples(folder / "a.db")
    assert query(folder / "a.db", "SELECT outcome FROM runs") == [("recording",)]
    assert folder.last_run("a.db")["end"] == "recording"
    process.terminate()
    assert process.wait(60) == 128 + 15
    process.communicate()
    assert folder.last_run("a.db")["end"] == "signaled"


# --- titles ----------------------------------------------------------------------------------


def test_title_that_a_server_gave_itself_has_no_quotes(folder):
    """Redis and others write one string over their arguments."""
    make_recording(folder / "a.db", [(0, 1024), (10_000, 1024)], command=["redis-server *:16399"])
    make_recording(folder / "b.db", [(0, 1024), (10_000, 1024)], command=["./my program"])
    make_recording(folder / "c.db", [(0, 1024), (10_000, 1024)], command=["grep", "a b"])
    for name, title in (("a.db", "redis-server *:16399"), ("b.db", "'./my program'"),
                        ("c.db", "grep 'a b'")):
        shown = folder.call("show", name).stdout.decode()
        assert shown.startswith(f"{title}: ")
        assert f"{title}\n" in folder.call("list").stdout.decode() + "\n"
