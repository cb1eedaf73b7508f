"""Processes that come and go: each is in the record with its start, its end and its memory, or the
record tells that some are missing. By every method of tracking, and as every kind of user."""

import functools
import os
import shutil
import subprocess
import tempfile

import pytest

from conftest import (MEMWATCH, Folder, Guided, assert_one_line, deny, guided, is_alive,
                      process_of, processes_of, python, query, wait_until)

METHODS = ["perf", "connector", "poll", "scan"]
# These are told of every process, however short it lives; the others look for those that live.
TELLING = {"perf", "connector"}


def tells(run):
    return run["recorder"]["tracking"] in TELLING


@functools.lru_cache
def why_not(method):
    """What memwatch says where a method of tracking does not work; empty where it does."""
    with tempfile.TemporaryDirectory() as path:
        result = Folder(path).call("run", "-q", "-o", "a.db", "--tracking", method, "true")
    return result.stderr.decode().strip()


def needs(method):
    if why_not(method):
        pytest.skip(f"--tracking {method} does not work here: {why_not(method)}")


class Way:
    """A way to record: a method of tracking, a user, what is denied."""

    def __init__(self, folder, options=(), **start):
        self.folder, self.options, self.start = folder, list(options), start

    def record(self, *command):
        result = self.folder.call("run", "-q", "-o", "a.db", "-i", "1ms", *self.options, "--",
                                  *map(str, command), **self.start)
        assert (result.returncode, result.stderr) == (0, b"")
        return self.folder.last_run("a.db")

    def guide(self, code, *words, options=(), **start):
        return Guided(self.folder, guided(code, *words), [*self.options, *options],
                      **self.start, **start)


@pytest.fixture
def way(request, open_folder):
    os.chmod(open_folder.path, 0o777)
    if request.param in METHODS:
        needs(request.param)
        return Way(open_folder, ["--tracking", request.param])
    if request.param == "ordinary user":
        return Way(open_folder, **request.getfixturevalue("ordinary_user"))
    return Way(open_folder, preexec_fn=deny(*request.param.split()[0].split("+")))


each_method = pytest.mark.parametrize("way", METHODS, indirect=True)
each_way = pytest.mark.parametrize(
    "way", [*METHODS, "ordinary user", "perf denied", "perf+connector denied"], indirect=True)
each_telling_method = pytest.mark.parametrize("way", sorted(TELLING), indirect=True)


# --- which method it is -----------------------------------------------------------------------


@each_method
def test_method_that_was_asked_for_is_the_one_in_the_record(way):
    name = way.record("true")["recorder"]["tracking"]
    asked = way.options[-1]
    assert name == asked or (asked == "poll" and name in ("children", "scan"))


@pytest.mark.parametrize("denied", [["perf"], ["perf", "connector"]])
def test_method_that_is_denied_is_replaced_by_another_or_told_where_it_was_asked_for(folder, denied):
    folder.call("run", "-q", "-o", "a.db", "true", preexec_fn=deny(*denied))
    name = folder.last_run("a.db")["recorder"]["tracking"]
    assert name in {*TELLING, "children", "scan"} - {*denied}
    for method in denied:
        result = folder.call("run", "-q", "-o", "b.db", "--tracking", method, "touch", "started",
                             preexec_fn=deny(*denied))
        assert result.returncode == 125 and assert_one_line(result.stderr)
    assert "started" not in folder.files()


# --- in every way ----------------------------------------------------------------------------


@each_way
def test_short_children_are_recorded_with_start_and_end_or_it_is_told_that_some_are_not(way):
    run = way.record("sh", "-c", "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done")
    children = run["processes"][1:]
    assert len(children) <= 100
    assert len(children) == 100 or not tells(run) or run["recorder"]["lost_events"] > 0
    assert all(0 <= child["start_s"] <= child["end_s"] <= run["duration_s"] for child in children)
    assert all(child["ppid"] == run["processes"][0]["pid"] for child in children)


@each_way
def test_spike_between_two_samples_is_in_the_record(way):
    """The next sample is due in an hour."""
    code = "block = hold(60)\ndel block\nwait_for('end')\n"
    with way.guide(code, options=["-i", "1h"]) as recording:
        recording.see("SELECT 1 FROM samples WHERE metric = 'peak' AND bytes > ?", 60 << 20)
        recording.allow("end")
        run = recording.finish()
    assert run["peak"]["bytes"] > 60 << 20


# The one in between ends when it may, and the daemon has its memory only after that.
DAEMON = """
if os.fork() == 0:
    os.setsid()
    between = os.getpid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        while os.getppid() == between:
            time.sleep(0.001)
        block = hold(40)
        wait_for("end daemon")
        os._exit(0)
    if len(sys.argv) > 1:
        wait_for(sys.argv[1])
    os._exit(0)
os.wait()
wait_for("end")
"""


@each_way
def test_daemon_is_recorded_to_its_end_after_its_parent_has_gone(way):
    with way.guide(DAEMON, "end parent") as recording:
        daemon = recording.line()
        recording.see("SELECT 1 FROM process WHERE pid = ?", int(daemon))
        recording.allow("end parent")
        recording.see_memory(daemon, 40)
        recording.allow("end daemon")
        recording.see_end(daemon)
        recording.allow("end")
        run = recording.finish()
    assert process_of(run, daemon)["end_s"] < run["duration_s"]
    assert run["peak"]["bytes"] > 40 << 20


@each_telling_method
def test_daemon_whose_parent_ends_at_once_is_recorded_to_its_end(way):
    with way.guide(DAEMON) as recording:
        daemon = recording.line()
        recording.see_memory(daemon, 40)
        recording.allow("end daemon")
        recording.see_end(daemon)
        recording.allow("end")
        run = recording.finish()
    assert process_of(run, daemon)["peak"]["bytes"] > 40 << 20
    assert len(run["processes"]) == 3


EXEC = """
if sys.argv[1] == "child" and os.fork():
    os.wait()
    raise SystemExit
print(os.getpid(), flush=True)
wait_for("exec")
code = "import os, time\\nblock = b'x' * (50 << 20)\\n" \\
       "while not os.path.exists('end'): time.sleep(0.005)\\n"
os.execv(sys.executable, ["another", "-I", "-S", "-c", code, "and its arguments"])
"""


@each_way
@pytest.mark.parametrize("who", ["root", "child"])
def test_process_that_executes_another_program_is_one_process_with_two_programs(way, who):
    with way.guide(EXEC, who) as recording:
        pid = recording.line()
        recording.see("SELECT 1 FROM image JOIN process ON process.id = process WHERE pid = ?",
                      int(pid))
        recording.allow("exec")
        recording.see("SELECT 1 FROM processes WHERE pid = ? AND command LIKE 'another%arguments'",
                      int(pid))
        recording.see_memory(pid, 50)
        recording.allow("end")
        run = recording.finish()
    process = process_of(run, pid)
    assert process["command"][-1] == "and its arguments"
    assert process["peak"]["bytes"] > 50 << 20
    assert len(run["processes"]) == (2 if who == "child" else 1)
    images = query(recording.path, "SELECT count(*) FROM image JOIN process ON process.id = process"
                   " WHERE pid = ?", int(pid))
    assert images[0][0] >= 2


# --- zombies, pids that are used again, name spaces ------------------------------------------


@each_method
def test_zombie_has_ended_when_it_exited_and_has_no_sample_of_0(way):
    code = ("child = os.fork()\n"
            "if child == 0:\n"
            "    block = hold(30)\n"
            "    wait_for('exit')\n"
            "    os._exit(0)\n"
            "print(child, flush=True)\n"
            "wait_for('reap')\n"
            "os.wait()\n"
            "wait_for('end')\n")
    with way.guide(code) as recording:
        zombie = int(recording.line())
        recording.see_memory(zombie, 30)
        recording.allow("exit")
        recording.see_end(zombie)
        assert os.path.exists(f"/proc/{zombie}") and not is_alive(zombie)
        end, = query(recording.path, "SELECT end_us FROM process WHERE pid = ?", zombie)
        recording.allow("reap")
        wait_until(lambda: not os.path.exists(f"/proc/{zombie}"), "the zombie is reaped")
        recording.allow("end")
        run = recording.finish()
    assert process_of(run, zombie)["end_s"] * 1e6 == pytest.approx(end[0])
    assert query(recording.path, "SELECT count(*) FROM samples WHERE pid = ? AND metric = 'rss'"
                 " AND bytes = 0", zombie) == [(0,)]


# Two children in turn, with the same pid.
REUSE = """
def child(mib, name):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write("3999")
    pid = os.fork()
    if pid == 0:
        block = hold(mib)
        wait_for(name)
        os._exit(0)
    assert pid == 4000, pid
    os.waitpid(pid, 0)
child(20, "end first")
child(60, "end second")
"""


def unshare_pids():
    """What runs a command as the first process of a name space of pids."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare to make a name space of pids with")
    name_space = ["unshare", *(["--user", "--map-root-user"] if os.geteuid() else []),
                  "--pid", "--fork"]
    result = subprocess.run([*name_space, "true"], capture_output=True, check=False)
    if result.returncode:
        pytest.skip(f"no name space of pids can be made here: {result.stderr.decode().strip()}")
    return name_space


def new_pids():
    """The same with a /proc of its own, and a shell as the first process."""
    return [*unshare_pids(), "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh"]


@each_method
def test_two_processes_with_the_same_pid_are_two_in_the_record(way):
    """In a name space of pids, where nobody else takes one; the second starts between two samples."""
    choose = "echo 3999 > /proc/sys/kernel/ns_last_pid"
    for words in (["sh", "-c", choose], [MEMWATCH, "run", "-q", *way.options, "true"]):
        probe = subprocess.run([*new_pids(), *words], cwd=way.folder.path, capture_output=True,
                               check=False)
        if probe.returncode:
            pytest.skip(f"not possible in a name space: {probe.stderr.decode().strip()}")
    with way.guide(REUSE, options=["-i", "0.2"], before=new_pids()) as recording:
        recording.see_memory(4000, 20)
        recording.allow("end first")
        recording.see_memory(4000, 60)
        recording.allow("end second")
        run = recording.finish()
    first, second = sorted(processes_of(run, 4000), key=lambda process: process["start_s"])
    assert first["end_s"] <= second["start_s"] < second["end_s"]
    assert 20 << 20 < first["peak"]["bytes"] < 50 << 20 < 60 << 20 < second["peak"]["bytes"]


@each_method
def test_processes_in_a_name_space_of_pids_are_recorded_as_they_are_seen_from_outside(way):
    """The /proc of outside is still there, and tells a process which one it is there."""
    code = ("child = os.fork()\n"
            "if child == 0:\n"
            "    print(os.getpid(), os.readlink('/proc/self'), flush=True)\n"
            "    block = hold(30)\n"
            "    wait_for('end')\n"
            "    os._exit(0)\n"
            "os.waitpid(child, 0)\n")
    with Guided(way.folder, [*unshare_pids(), *guided(code)], way.options) as recording:
        inside, outside = recording.line().split()
        assert inside != outside
        recording.see_memory(outside, 30)
        recording.allow("end")
        run = recording.finish()
    assert len(run["processes"]) == 3 and not processes_of(run, inside)
    assert process_of(run, outside)["peak"]["bytes"] > 30 << 20


# --- many processes, and a recorder that is too slow for them --------------------------------


@each_telling_method
def test_storm_of_processes_is_recorded_or_it_is_told_how_much_is_not(way):
    code = ("import os\n"
            "for _ in range(250):\n"
            "    for _ in range(20):\n"
            "        if os.fork() == 0: os._exit(0)\n"
            "    for _ in range(20): os.wait()\n"
            "raise SystemExit(3)\n")
    result = way.folder.call("run", "-q", "-o", "a.db", *way.options, *python(code))
    assert (result.returncode, result.stderr) == (3, b"")
    assert query(way.folder / "a.db", "PRAGMA integrity_check") == [("ok",)]
    run = way.folder.last_run("a.db")
    assert len(run["processes"]) <= 5001
    ended = [process for process in run["processes"] if process["end_s"] is not None]
    assert len(ended) == 5001 or run["recorder"]["lost_events"] > 0


@each_telling_method
@pytest.mark.parametrize("then", ["nothing happens", "another child starts"])
def test_events_that_the_kernel_could_not_deliver_are_told_and_who_lives_on_is_found(way, then):
    """All on one CPU, so that one ring gets all events."""
    code = ("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
            "print('ready', flush=True)\n"
            "wait_for('storm')\n"
            "for _ in range(4000):\n"
            "    pid = os.fork()\n"
            "    if pid == 0: os._exit(0)\n"
            "    os.waitpid(pid, 0)\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    block = hold(30)\n"
            "    wait_for('end')\n"
            "    os._exit(0)\n"
            "print(child, flush=True)\n"
            "wait_for('another')\n"
            "if os.fork() == 0: os._exit(0)\n"
            "os.wait(), os.wait()\n")
    with way.guide(code) as recording:
        assert recording.line() == "ready"
        recording.see("SELECT 1 FROM sample")
        recording.stop()
        recording.allow("storm")
        child = int(recording.line())
        recording.go_on()
        if then == "another child starts":
            recording.allow("another")
        if "perf" in way.options:  # the buffer of the connector may be large enough for all
            recording.see("SELECT 1 FROM run WHERE lost_events > 0")
        recording.see_memory(child, 30)
        recording.allow("another", "end")
        run = recording.finish()
    assert run["recorder"]["lost_events"] > 0 or len(run["processes"]) == 4003
    assert process_of(run, child)["peak"]["bytes"] > 30 << 20
    assert all(process["end_s"] is not None for process in run["processes"])
