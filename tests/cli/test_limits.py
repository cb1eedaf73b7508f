"""Limits: those that the user sets are kept, those of cgroups and rlimits are found and told."""

import json
import os
import re
import resource
import signal
import sqlite3
import subprocess

import pytest

from attached import WAITS, Attached, Target, events
from conftest import (GUIDED, assert_one_line, control_characters, execute, guided, is_alive,
                      make_recording, process_of, query, wait_until)

GROWS = "big = hold(50); print('ready', flush=True); wait_for('end')"


def record(folder, *options, code=GROWS, **call):
    """Records a program of which the tests say when it ends."""
    (folder / "end").touch()
    return folder.call("run", "-q", "-o", "a.db", *options, "--", *guided(code), **call)


# --- set by the user -------------------------------------------------------------------------


def test_a_limit_that_is_crossed_is_told_stored_and_the_status_is_3(folder):
    result = record(folder, "--max-rss", "40M")
    assert result.returncode == 3
    line = assert_one_line(result.stderr)
    assert re.search(r"max-rss at .*: [4-9]\d.* MiB, more than 40 MiB; reported",
                     line)
    run = folder.last_run("a.db")
    event, = events(run, "limit")
    assert set(event) == {"t_s", "kind", "pid", "name", "value", "limit", "note"}
    assert (event["name"], event["limit"], event["note"]) == ("max-rss", 40 << 20, "reported")
    assert event["value"] > 40 << 20 and event["pid"] is None
    assert 0 < event["t_s"] <= run["duration_s"]
    limit, = [limit for limit in run["limits"] if limit["name"] == "max-rss"]
    assert set(limit) == {"name", "place", "pid", "since_s", "value", "window_s"}
    assert (limit["value"], limit["place"], limit["pid"]) == (40 << 20, None, None)
    assert run["exit_status"] == 0 and b"ready" in result.stdout


def test_a_limit_that_is_not_crossed_changes_nothing(folder):
    result = record(folder, "--max-rss", "1G", "--max-growth", "1G/1m", "--max-processes", "5")
    assert (result.returncode, result.stderr) == (0, b"")
    assert events(folder.last_run("a.db"), "limit") == []


def test_the_limit_is_that_of_all_processes_together(folder):
    code = ("pid = os.fork()\nbig = hold(30)\nif pid == 0: wait_for('end'); os._exit(0)\n"
            "wait_for('end'); os.wait()")
    with Attached.__new__(Attached) as recording:
        recording.folder, recording.path = folder, folder / "a.db"
        recording.process = folder.start("run", "-q", "-o", "a.db", "--max-rss", "60M", "--",
                                         *guided(code))
        recording.see("SELECT 1 FROM event WHERE kind = 'limit'")
        (folder / "end").touch()
        run, _ = recording.finish(status=3)
    assert all(process["peak"]["bytes"] < 60 << 20 for process in run["processes"])


def test_a_spike_between_two_samples_crosses_the_limit(folder):
    code = "for _ in range(20):\n    big = hold(200); del big; time.sleep(0.05)\n"
    result = folder.call("run", "-q", "-o", "a.db", "-i", "10s", "--max-rss", "100M", "--",
                         *guided(code))
    assert result.returncode == 3, result
    assert events(folder.last_run("a.db"), "limit")[0]["value"] > 100 << 20


def test_growth_is_what_came_within_the_time(folder):
    code = ("time.sleep(0.3)\nkept = []\n"
            "for _ in range(10): kept.append(hold(5)); time.sleep(0.05)\n")
    result = record(folder, "--max-growth", "30M/1h", code=code)
    assert result.returncode == 3 and b"max-growth" in result.stderr
    event, = events(folder.last_run("a.db"), "limit")
    assert 30 << 20 < event["value"] < 60 << 20
    # In no tenth of a second it grows by so much.
    assert record(folder, "--max-growth", "30M/0.1", code=code).returncode == 0


def test_too_many_processes(folder):
    code = "import subprocess\nx = [subprocess.Popen(['sleep', '0.5']) for _ in range(4)]\n" \
           "[p.wait() for p in x]\n"
    result = record(folder, "--max-processes", "3", code=code)
    assert result.returncode == 3
    assert "max-processes" in assert_one_line(result.stderr)
    event, = events(folder.last_run("a.db"), "limit")
    assert (event["value"], event["limit"]) == (4, 3)


def test_it_is_told_again_when_it_is_crossed_again(folder):
    code = "for _ in range(3):\n    big = hold(50); time.sleep(0.3); del big; time.sleep(0.3)\n"
    result = record(folder, "--max-rss", "40M", code=code)
    assert result.stderr.count(b"max-rss at") == 3
    assert len(events(folder.last_run("a.db"), "limit")) == 3


# --- what is done then -----------------------------------------------------------------------


def test_term_ends_the_program_which_may_clean_up(folder):
    code = ("import signal\n"
            "signal.signal(15, lambda *_: (print('cleaning', flush=True), os._exit(5)))\n"
            "big = hold(50)\nwait_for('never')")
    result = record(folder, "--max-rss", "40M", "--on-limit", "term", code=code)
    assert (result.returncode, result.stdout) == (3, b"cleaning\n")
    run = folder.last_run("a.db")
    assert (run["end"], run["exit_status"]) == ("exited", 5)
    assert "SIGTERM" in events(run, "limit")[0]["note"]


def test_kill_ends_all_of_its_processes_whatever_they_do(folder):
    code = ("import signal, subprocess\nsignal.signal(15, signal.SIG_IGN)\n"
            "x = [subprocess.Popen(['sleep', '100'], start_new_session=True) for _ in range(5)]\n"
            "print(*[p.pid for p in x], flush=True)\nbig = hold(50)\n"
            "wait_for('never')")
    result = record(folder, "--max-rss", "45M", "--on-limit", "kill", code=code)
    assert result.returncode == 3
    run = folder.last_run("a.db")
    assert (run["end"], run["exit_signal"]) == ("signaled", 9)
    children = [int(word) for word in result.stdout.split()]
    assert len(children) == 5
    wait_until(lambda: not any(map(is_alive, children)), "all of them are killed")


def test_kill_reaches_what_is_forked_meanwhile(folder):
    code = ("big = hold(50)\n"
            "while True:\n"
            "    if os.fork() == 0: os.setsid(); time.sleep(100); os._exit(0)\n"
            "    time.sleep(0.002)\n")
    result = record(folder, "--max-processes", "10", "--on-limit", "kill", code=code)
    assert result.returncode == 3
    pids = [pid for pid, in query(folder / "a.db", "SELECT pid FROM process")]
    wait_until(lambda: not any(map(is_alive, pids)), "all of them are killed")


def test_a_command_gets_the_facts_and_no_shell(folder):
    (folder / "note.py").write_text(
        "import os, sys, json\n"
        "facts = {k: v for k, v in os.environ.items() if k.startswith('MEMWATCH_')}\n"
        "json.dump([sys.argv[1:], facts, sys.stdin.read()], open('facts.json', 'w'))\n")
    result = record(folder, "--max-rss", "40M", "--on-limit", "exec",
                    "--on-limit-command", "python3 note.py 'two words' $HOME *")
    assert result.returncode == 3
    wait_until(lambda: (folder / "facts.json").exists() and (folder / "facts.json").stat().st_size,
               "the command has run")
    words, facts, given = json.loads((folder / "facts.json").read_text())
    assert words == ["two words", "$HOME", "*"] and given == ""
    run = folder.last_run("a.db")
    event, = events(run, "limit")
    assert facts == {"MEMWATCH_LIMIT": "max-rss", "MEMWATCH_VALUE": str(event["value"]),
                     "MEMWATCH_LIMIT_VALUE": str(40 << 20), "MEMWATCH_TIME_S": facts["MEMWATCH_TIME_S"],
                     "MEMWATCH_PID": str(run["processes"][0]["pid"]),
                     "MEMWATCH_FILE": str(folder / "a.db")}
    assert abs(float(facts["MEMWATCH_TIME_S"]) - event["t_s"]) < 0.001
    # It is none of the program's processes.
    assert [process["command"][0] for process in run["processes"]] == [run["command"][0]]


@pytest.mark.parametrize("tracking", ["perf", "connector", "poll", "scan"])
def test_the_command_is_no_part_of_the_record(folder, tracking):
    code = "big = hold(50); wait_for('ran'); time.sleep(0.3)"
    result = folder.call("run", "-q", "-o", "a.db", "--tracking", tracking, "--max-rss", "40M",
                         "--on-limit", "exec", "--on-limit-command",
                         "sh -c 'sleep 0.1; touch ran; sleep 0.1'", "--", *guided(code))
    assert result.returncode in (3, 125), result
    if result.returncode == 125:
        pytest.skip(f"{tracking} does not work here")
    assert len(folder.last_run("a.db")["processes"]) == 1


def test_a_command_that_is_not_there_is_told_before_the_program_starts(folder):
    result = record(folder, "--max-rss", "40M", "--on-limit", "exec", "--on-limit-command",
                    "no-such-command x")
    assert result.returncode == 125 and "no-such-command" in assert_one_line(result.stderr)
    assert folder.files() == ["end"]


def test_a_command_that_hangs_does_not_hold_up_the_end(folder):
    result = record(folder, "--max-rss", "40M", "--on-limit", "exec", "--on-limit-command",
                    "sh -c 'exec >/dev/null 2>&1; sleep 5'", stderr=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL)
    assert result.returncode == 3


@pytest.mark.parametrize("words", [["--on-limit", "exec", "--max-rss", "1M"],
                                   ["--on-limit-command", "true", "--max-rss", "1M"],
                                   ["--on-limit", "kill"], ["--max-rss", "lots"],
                                   ["--max-rss", "20"], ["--max-growth", "20/h"],
                                   ["--max-growth", "1M"], ["--max-processes", "-1"]])
def test_limits_that_make_no_sense_are_refused(folder, words):
    result = folder.call("run", *words, "--", "true")
    assert result.returncode == 125 and "memwatch run -h" in assert_one_line(result.stderr)


def test_a_limit_without_a_unit_is_told_what_it_means(folder):
    result = folder.call("run", "--max-rss", "20", "--", "true")
    assert "'20' is 20 bytes: write 20M" in assert_one_line(result.stderr)
    assert folder.call("run", "-q", "--max-rss", "900m", "--", "true").returncode == 0


@pytest.mark.parametrize("command, words", [
    ("false", "--on-limit-command: false exited with 1"),
    ("sh -c 'kill -9 $$'", "--on-limit-command: sh was ended by SIGKILL"),
    ("./broken", "--on-limit-command: cannot execute ./broken: "),
    ("true", None)])
def test_command_that_fails_is_told(folder, command, words):
    (folder / "broken").write_text("#!/no/such/interpreter\n")
    (folder / "broken").chmod(0o755)
    result = folder.call("run", "-q", "--max-rss", "4K", "--on-limit", "exec", "--on-limit-command",
                         command, "--", "sleep", "0.1")
    assert result.returncode == 3
    told = [line for line in result.stderr.decode().splitlines() if "--on-limit-command" in line]
    assert len(told) == (1 if words else 0) and all(words in line for line in told)


def test_limit_that_was_crossed_before_anybody_looked_is_so_from_the_start(folder):
    with Target(folder, ["sleep", "60"]) as target:
        with Attached(folder, "--max-rss", "4K", target.pid) as attached:
            attached.see("SELECT 1 FROM event WHERE kind = 'limit'")
            _, errors = attached.finish(signal.SIGINT, status=3)
    assert "max-rss from the start: " in errors and "all processes" not in errors


def test_attach_signals_only_when_it_is_told_to(folder):
    with Target(folder, guided(GROWS)) as target:
        assert target.line() == "ready"
        with Attached(folder, "--max-rss", "20M", target.pid) as attached:
            attached.see("SELECT 1 FROM event WHERE kind = 'limit'")
            run, errors = attached.finish(signal.SIGINT, status=3)
        assert is_alive(target.pid) and re.search("max-rss (at .*|from the start): .* MiB, more", errors)
        with Attached(folder, "--max-rss", "20M", "--on-limit", "kill", target.pid) as attached:
            run, _ = attached.finish(status=3)
        assert target.process.wait() == -signal.SIGKILL
    assert run["end"] in ("signaled", "exited")


# --- found -----------------------------------------------------------------------------------


def test_rlimits_are_found(folder):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    with Target(folder, guided(WAITS), preexec_fn=limit) as target:
        target.line()
        with Attached(folder, target.pid) as attached:
            attached.see("SELECT 1 FROM limits WHERE name = 'RLIMIT_AS'")
            run, _ = attached.finish(signal.SIGINT)
    limit, = [limit for limit in run["limits"] if limit["name"] == "RLIMIT_AS"]
    assert (limit["value"], limit["pid"], limit["place"]) == (8 << 30, target.pid, None)
    text = folder.call("show", "a.db").stdout.decode()
    assert "limit      RLIMIT_AS 8 GiB\n" in text


def limit_file(cgroup):
    found = [cgroup / name for name in ("memory.max", "memory.limit_in_bytes")]
    return next(path for path in found if path.exists())


def test_limits_of_cgroups_are_found_those_of_ancestors_too(folder, cgroup):
    inner = cgroup / "inner"
    if limit_file(cgroup).name == "memory.max":
        (cgroup / "cgroup.subtree_control").write_text("+memory")
    inner.mkdir()
    try:
        limit_file(cgroup).write_text(str(3 << 30))
        limit_file(inner).write_text(str(1 << 30))

        def join():
            (inner / "cgroup.procs").write_text(str(os.getpid()))
        with Target(folder, guided(WAITS), preexec_fn=join) as target:
            target.line()
            with Attached(folder, target.pid) as attached:
                attached.see("SELECT 1 FROM run_limit LIMIT 1 OFFSET 1")
                run, _ = attached.finish(signal.SIGINT)
    finally:
        wait_until(lambda: not (inner / "cgroup.procs").read_text(), "it is empty")
        inner.rmdir()
    name = limit_file(cgroup).name
    found = {(limit["place"].rpartition("memwatch-test")[2].partition("/")[2], limit["value"])
             for limit in run["limits"] if limit["name"] == name and "memwatch-test" in limit["place"]}
    assert found == {("", 3 << 30), ("inner", 1 << 30)}


def test_an_end_by_the_oom_killer_is_told(folder, cgroup):
    limit_file(cgroup).write_text(str(60 << 20))

    def join():
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    code = "print('ready', flush=True); wait_for('go'); big = hold(500)"
    with Target(folder, guided(code), preexec_fn=join) as target:
        target.line()
        with Attached(folder, target.pid, options=("-i", "5ms")) as attached:
            attached.see_memory(target.pid)
            (folder / "go").touch()
            assert target.process.wait(60) == -signal.SIGKILL
            run, errors = attached.finish()
    event, = events(run, "oom-kill")
    assert event["pid"] == target.pid and event["limit"] == 60 << 20
    assert event["name"].endswith(cgroup.name)
    assert "ended by the kernel" in errors and "60 MiB of" in errors


def test_a_child_that_the_oom_killer_chose_is_told_and_not_another(folder, cgroup):
    limit_file(cgroup).write_text(str(60 << 20))
    (folder / "hog.py").write_text(GUIDED + "big = hold(500)")
    code = ("import subprocess\nprint('ready', flush=True); wait_for('attached')\n"
            f"open('{cgroup}/cgroup.procs', 'w').write(str(os.getpid()))\n"
            "for _ in range(5): subprocess.call(['true'])\n"
            "hog = subprocess.Popen([sys.executable, '-I', '-S', 'hog.py']); hog.wait()\n"
            "print(hog.pid, flush=True); wait_for('told')\n"
            f"open('{limit_file(cgroup)}', 'w').write('{1 << 30}')\n"
            "killed = subprocess.Popen(['sleep', '100']); killed.kill(); killed.wait()")

    def told():
        return events(folder.last_run("a.db"), "oom-kill")
    with Target(folder, guided(code)) as target:
        target.line()
        with Attached(folder, target.pid) as attached:
            attached.see_memory(target.pid)
            (folder / "attached").touch()
            hog = int(target.line())
            wait_until(told, "the kernel's choice is told")
            (folder / "told").touch()
            assert target.process.wait(60) == 0
            run, _ = attached.finish()
    assert [event["pid"] for event in events(run, "oom-kill")] == [hog]


def test_a_short_run_that_the_oom_killer_ended_in_a_cgroup_it_went_to_is_told(folder, cgroup):
    limit_file(cgroup).write_text(str(60 << 20))
    code = f"open('{cgroup}/cgroup.procs', 'w').write(str(os.getpid())); big = hold(500)"
    assert record(folder, code=code).returncode == 128 + signal.SIGKILL
    run = folder.last_run("a.db")
    assert [event["pid"] for event in events(run, "oom-kill")] == [run["processes"][0]["pid"]]


# --- shown -----------------------------------------------------------------------------------


@pytest.fixture
def limited(folder):
    """A second that rises from 10 to 20 MiB, with limits at 25 MiB and 1 GiB."""
    path = make_recording(folder / "rise.db",
                          [(10_000 * tick, 10_240 + 1024 * (tick // 10)) for tick in range(101)])
    execute(path, "INSERT INTO run_limit (run, process, since_us, name, place, value) VALUES"
                  f" (1, NULL, 0, 'max-rss', '', {25 << 20}),"
                  f" (1, 1, 0, 'memory.max', '/a/b', {1 << 30}),"
                  f" (1, 1, 0, 'RLIMIT_AS', '', {22 << 20})")
    return path


def test_a_limit_near_the_curve_is_drawn_and_one_far_above_is_told(folder, limited):
    script = folder.call("plot", "--script", "rise.db").stdout.decode()
    assert "max-rss 25 MiB" in script and "$limits1" in script
    assert "far above: memory.max 1 GiB of /a/b" in script
    assert "RLIMIT_AS" not in script  # it bounds what was not drawn
    top = float(re.search(r"set yrange \[[^:]*:([0-9.]+)\]", script).group(1))
    assert 25 <= top < 40


def test_a_limit_that_changes_is_drawn_as_long_as_it_held(folder, limited):
    execute(limited, "INSERT INTO run_limit (run, process, since_us, name, place, value) VALUES"
                     f" (1, 1, 500000, 'memory.max', '/a/b', {30 << 20})")
    script = folder.call("plot", "--script", "rise.db").stdout.decode()
    block = re.search(r"\$limits1 << END\n(.*?)END", script, re.S).group(1).split("\n")
    rows = [tuple(map(float, row.split())) for row in block if row]
    assert (0.5, 30.0) in rows and (0.0, 25.0) in rows and (0.0, 30.0) not in rows
    assert "far above" not in script


def test_the_picture_is_drawn_with_limits(folder, limited, gnuplot):
    for name in ("a.png", "a.svg", "a.txt"):
        result = folder.call("plot", "-o", name, "rise.db")
        assert (result.returncode, result.stderr) == (0, b"")
    assert "max-rss 25 MiB" in (folder / "a.txt").read_text()


def test_hostile_limits_and_events_do_no_harm(folder, limited, gnuplot):
    evil = "x\033[31m\n`touch pwned`\u202e'\"; END\n"
    connection = sqlite3.connect(limited)
    connection.execute("INSERT INTO run_limit (run, process, since_us, name, place, value) VALUES"
                       " (1, 1, -5, 'memory.max', ?, ?)", (evil, 21 << 20))
    for kind in ("limit", "oom-kill", "restarted", "verdict"):
        connection.execute("INSERT INTO event (run, process, t_us, kind, name, value, limit_value,"
                           " note) VALUES (1, 1, ?, ?, ?, ?, ?, ?)",
                           (2**62, kind, evil, -(2**62), 2**62, evil))
        connection.execute("INSERT INTO event (run, process, t_us, kind, name, note)"
                           " VALUES (1, 1, 500000, ?, ?, ?)", (kind, evil, evil))
    connection.commit()
    connection.close()
    for words in (["show"], ["show", "--json"], ["plot", "-o", "a.png"], ["plot", "-o", "a.txt"],
                  ["plot", "-o", "a.svg"]):
        result = folder.call(*words, "rise.db")
        assert result.returncode == 0, result
        assert "--json" in words or control_characters(result.stdout + result.stderr) == []
    assert not (folder / "pwned").exists()
    run = folder.last_run("rise.db")
    assert len(run["events"]) == 8 and run["events"][-1]["value"] == -(2**62)


@pytest.mark.usefixtures("recording")
def test_without_limits_and_events_nothing_is_said_of_them(folder):
    text = folder.call("show", "rise.db").stdout.decode()
    assert "limit" not in text and "event" not in text
    run = folder.last_run("rise.db")
    assert run["limits"] == [] and run["events"] == []
