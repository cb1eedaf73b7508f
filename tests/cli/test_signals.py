"""Ctrl-C, kill and hangup: the target gets each signal once, and is recorded to its end."""

import json
import os
import re
import signal
import time

import pytest

from conftest import (MEMWATCH, Terminal, is_alive, kill_quietly, program, python, query,
                      wait_for_samples, wait_until)


def counts(output):
    return json.loads(output.decode().splitlines()[-1])


def start_counting(folder, *options):
    process = folder.start("run", "-q", "-o", "a.db", *options, *program("count_signals.py"))
    assert process.stdout.readline().startswith(b"ready")
    wait_for_samples(folder / "a.db")
    return process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_signal_that_a_process_sent_reaches_the_target_once(folder, name):
    process = start_counting(folder)
    os.kill(process.pid, signal.Signals[name])
    output, _ = process.communicate(timeout=60)
    assert counts(output) == {**dict.fromkeys(["SIGINT", "SIGTERM", "SIGHUP"], 0), name: 1}
    assert process.returncode == 0
    run = folder.last_run("a.db")
    assert run["end"] == "exited"
    assert run["duration_s"] >= 0.4  # recorded until the target ended, not until the signal


def test_ctrl_c_in_a_terminal_reaches_the_target_once_and_it_is_recorded_to_its_end(folder, terminal):
    screen = terminal("run", "-o", "a.db", *program("count_signals.py", 0.5))
    screen.wait_for(b"ready")
    wait_for_samples(folder / "a.db")
    screen.type(b"\x03")
    assert screen.finish() == 0
    told = re.search(rb"{.*}", screen.screen)[0]  # the terminal itself prints "^C" before it
    assert json.loads(told) == {"SIGINT": 1, "SIGTERM": 0, "SIGHUP": 0}
    run = folder.last_run("a.db")
    assert run["end"] == "exited" and run["exit_status"] == 0 and run["duration_s"] >= 0.5
    assert b"peak" in screen.screen


def test_ctrl_c_that_ends_the_target_is_told_and_its_status_is_130(folder, terminal):
    screen = terminal("run", "-o", "a.db", "sleep", "60")
    wait_until((folder / "a.db").exists, "the file")
    wait_for_samples(folder / "a.db")
    screen.type(b"\x03")
    assert screen.finish() == 130
    run = folder.last_run("a.db")
    assert (run["end"], run["exit_signal"]) == ("signaled", 2)


def test_each_ctrl_c_is_one(folder, terminal):
    screen = terminal("run", "-q", "-o", "a.db", *program("count_signals.py", 2))
    screen.wait_for(b"ready")
    for _ in range(6):
        screen.type(b"\x03")
        time.sleep(0.2)
    assert screen.finish() == 0
    assert b'"SIGINT": 6' in screen.screen


def test_terminal_that_hangs_up_ends_the_target_and_leaves_a_whole_recording(folder, terminal):
    """As `ssh -t host memwatch run …`: the kernel tells the leader of the session alone."""
    screen = terminal("run", "-o", "a.db", *python("import time; time.sleep(5)"))
    wait_until((folder / "a.db").exists, "the file")
    wait_for_samples(folder / "a.db")
    os.close(screen.master)
    try:
        assert screen.process.wait(60) == 128 + signal.SIGHUP
    finally:
        screen.master = os.open("/dev/null", os.O_RDONLY)
    run = folder.last_run("a.db")
    assert (run["end"], run["exit_signal"]) == ("signaled", 1)


def test_target_that_ignores_sigterm_is_recorded_until_it_ends(folder):
    code = ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print('ready', flush=True); time.sleep(1.2); raise SystemExit(6)")
    process = folder.start("run", "-q", "-o", "a.db", *python(code))
    process.stdout.readline()
    for _ in range(3):
        process.terminate()
        time.sleep(0.1)
    assert process.poll() is None
    assert process.wait(60) == 6
    process.communicate()
    run = folder.last_run("a.db")
    assert run["end"] == "exited" and run["duration_s"] >= 1.2


def test_signals_reach_the_target_after_the_duration_too(folder):
    process = folder.start("run", "-o", "a.db", "-d", "0.1", *program("count_signals.py"))
    process.stdout.readline()
    wait_until(lambda: process.stderr.readline().startswith(b"  next"), "the summary")
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert counts(output)["SIGTERM"] == 1 and process.returncode == 0


def test_signal_in_the_first_moment_loses_neither_target_nor_file(folder):
    for number, pause in enumerate((0, 0.001, 0.003, 0.01, 0.02)):
        process = folder.start("run", "-q", "-o", f"{number}.db", "sleep", "60")
        time.sleep(pause)
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode in (128 + 15, -15)
    for name in folder.files():
        if name.endswith(".db"):
            assert query(folder / name, "PRAGMA integrity_check") == [("ok",)]


def test_target_that_is_stopped_and_continued_is_one_recording(folder):
    process = folder.start("run", "-q", "-o", "a.db", *program("count_signals.py", 0))
    target = int(process.stdout.readline().split()[1])
    wait_for_samples(folder / "a.db")
    os.kill(target, signal.SIGSTOP)
    time.sleep(0.3)
    assert process.poll() is None
    os.kill(target, signal.SIGCONT)
    os.kill(target, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(folder.show("a.db")["runs"]) == 1


def test_ctrl_z_stops_both_and_fg_goes_on(folder, terminal):
    """Under a shell with job control, as everybody uses it."""
    shell = Terminal(["bash", "--norc", "--noprofile", "-i"], folder.path,
                     {**folder.env, "PS1": "prompt> ", "HISTFILE": ""})
    try:
        shell.wait_for(b"prompt> ")
        shell.type(f"{MEMWATCH} run -q -o a.db sleep 1\n".encode())
        wait_until((folder / "a.db").exists, "the file")
        wait_for_samples(folder / "a.db")
        shell.type(b"\x1a")
        shell.wait_for(b"Stopped")
        shell.type(b"fg; echo status=$?\n")
        shell.wait_for(b"status=0")
    finally:
        shell.close()
    assert folder.last_run("a.db")["end"] == "exited"


# --- the recorder is killed ------------------------------------------------------------------


def kill_recorder(folder, name, after_s):
    """Starts a target that changes all the time, kills the recorder; returns what was missing."""
    process = folder.start("run", "-q", "-i", "1ms", "-o", name, *program("breathe.py", 60))
    target = int(process.stdout.readline().split()[1])
    try:
        wait_until((folder / name).exists, "the file")
        wait_for_samples(folder / name)
        time.sleep(after_s)
        killed_ns = time.time_ns()
        process.kill()
        process.wait()
        assert is_alive(target)
        started_ns, last_us = query(folder / name, "SELECT started_ns, (SELECT max(since_us + dt_us)"
                                    " FROM series JOIN sample ON series = series.id) FROM run")[0]
        time.sleep(0.1)
        assert is_alive(target)
    finally:
        kill_quietly(target)
        process.stdout.close()
        process.stderr.close()
    return (killed_ns - started_ns - last_us * 1000) / 1e9


@pytest.mark.parametrize("after_s", [0, 0.13, 0.31, 0.8])
def test_recorder_killed_with_9_leaves_a_whole_file_and_a_living_target(folder, after_s):
    missing = []
    for attempt in range(3):  # a machine that is busy elsewhere is no failure
        missing.append(kill_recorder(folder, f"{attempt}.db", after_s))
        assert query(folder / f"{attempt}.db", "PRAGMA integrity_check") == [("ok",)]
        assert query(folder / f"{attempt}.db", "PRAGMA foreign_key_check") == []
        run = folder.last_run(f"{attempt}.db")
        assert (run["end"], run["exit_status"], run["exit_signal"]) == ("aborted", None, None)
        assert run["peak"] and run["ticks_due"] == run["ticks_taken"] + run["ticks_missed"]
        if missing[-1] <= 0.5:
            break
    assert min(missing) <= 0.5, missing
    assert "aborted" in folder.call("show", "0.db").stdout.decode()


def test_file_of_a_killed_recorder_can_be_drawn_listed_and_gets_a_further_run(folder, gnuplot):
    kill_recorder(folder, "a.db", 0.3)
    assert folder.call("plot", "-o", "a.png", "a.db").returncode == 0
    assert b"aborted" in folder.call("list").stdout
    folder.record("sh", "-c", "exit 3", file="a.db")
    runs = folder.show("a.db")["runs"]
    assert [run["end"] for run in runs] == ["aborted", "exited"]


def test_recorder_killed_in_a_further_run_leaves_the_first_as_it_was(folder):
    folder.record("sh", "-c", "exit 3", file="a.db")
    before = folder.last_run("a.db")
    kill_recorder(folder, "a.db", 0.3)
    runs = folder.show("a.db")["runs"]
    assert runs[0] == before and runs[1]["end"] == "aborted"
