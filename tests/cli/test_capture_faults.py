"""What disturbs a recorder: clocks that are set, limits, rights it lacks, processes that share their
memory, and its own sudden end. The record stays true, or says what it does not know."""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time

import pytest

from conftest import Guided, assert_one_line, deny, guided, process_of, processes_of, query

MIB = 1 << 20


# --- threads and memory that is shared -------------------------------------------------------

# Its first thread ends, and another one allocates.
LEADER = """
import ctypes, threading
child = os.fork() if sys.argv[1] == "child" else 0
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
def go_on():
    first = f"/proc/self/task/{os.getpid()}/stat"
    while open(first).read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    print(os.getpid(), flush=True)
    block = hold(50)
    wait_for("end")
    os._exit(3)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.parametrize("tracking", ["best", "poll"])
@pytest.mark.parametrize("who", ["root", "child"])
def test_process_whose_first_thread_has_ended_is_recorded_to_its_end(folder, who, tracking):
    with Guided(folder, guided(LEADER, who), ["--tracking", tracking]) as recording:
        pid = int(recording.line())
        recording.see_memory(pid, 50)
        recording.allow("end")
        run = recording.finish(3)
    process = process_of(run, pid)
    assert process["peak"]["bytes"] > 50 * MIB and process["end_s"] is not None
    assert query(recording.path, "SELECT count(*) FROM samples WHERE pid = ? AND metric = 'rss'"
                 " AND bytes = 0", pid) == [(0,)]


# posix_spawn is a vfork; its child stops before exec at a fifo, until another one opens that.
SPAWN = r"""
os.mkfifo("fifo")
opener = os.fork()
if opener == 0:
    wait_for("exec")
    os.open("fifo", os.O_WRONLY)
    wait_for("end")
    os._exit(0)
block = hold(200)
print(os.getpid(), flush=True)
wait_for("spawn")
code = "import os, time\nfor _ in range(6000):\n if not os.path.exists('end'): time.sleep(0.01)"
child = os.posix_spawn(sys.executable, ["another", "-I", "-S", "-c", code], os.environ,
                       file_actions=[(os.POSIX_SPAWN_OPEN, 9, "fifo", os.O_RDONLY, 0)])
print(child, flush=True)
os.waitpid(child, 0), os.wait()
"""


@pytest.mark.parametrize("tracking", ["best", "poll"])
def test_child_between_vfork_and_exec_does_not_double_its_parents_memory(folder, tracking):
    with Guided(folder, guided(SPAWN), ["--tracking", tracking]) as recording:
        parent = int(recording.line())
        recording.see_memory(parent, 200)
        recording.allow("spawn")
        recording.see("SELECT 1 FROM process LIMIT 1 OFFSET 2")
        time.sleep(0.3)  # some ticks, and a window of the high-water marks
        recording.allow("exec")
        child = int(recording.line())
        recording.see("SELECT 1 FROM processes WHERE pid = ? AND command LIKE 'another %'", child)
        time.sleep(0.3)
        recording.allow("end")
        run = recording.finish()
    last, = query(recording.path, "SELECT bytes FROM samples WHERE pid = ? AND metric = 'rss'"
                  " ORDER BY t_s DESC LIMIT 1", child)[0]
    assert last < 50 * MIB
    assert 200 * MIB < run["peak"]["bytes"] < 300 * MIB
    assert process_of(run, child)["peak"]["bytes"] < 50 * MIB


# --- clocks and limits -----------------------------------------------------------------------

# CLOCK_REALTIME jumps as soon as there is a file named jump.
SHIM = """
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int code = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && access("jump", F_OK) == 0)
        now->tv_sec += JUMP_S;
    return code;
}
"""


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_clock_that_is_set_moves_no_time_in_the_record_and_is_told(folder, jump_s):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no cc to build a clock with that jumps")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", f"-DJUMP_S={jump_s}", "-o", "shim.so", "shim.c"],
                   cwd=folder.path, check=True)
    env = {"LD_PRELOAD": str(folder / "shim.so"),
           "ASAN_OPTIONS": folder.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    with Guided(folder, guided("block = hold(5); wait_for('end')"), env=env) as recording:
        recording.see("SELECT 1 FROM sample")
        recording.allow("jump")
        recording.see("SELECT 1 FROM clock JOIN run ON run.id = run"
                      " WHERE abs(realtime_ns - started_ns - t_us * 1000) > 1000000000000")
        recording.allow("end")
        run = recording.finish()
    rows = query(recording.path, "SELECT t_us * 1000, realtime_ns FROM clock ORDER BY t_us")
    moved_ns = rows[-1][1] - rows[0][1] - (rows[-1][0] - rows[0][0])
    assert moved_ns / 1e9 == pytest.approx(jump_s, abs=1)
    first_s, last_s = query(recording.path, "SELECT min(t_s), max(t_s) FROM samples")[0]
    assert 0 <= first_s <= last_s <= run["duration_s"] < 3000
    assert all(0 <= process["start_s"] <= process["end_s"] <= run["duration_s"]
               for process in run["processes"])
    assert run["ticks_due"] == run["ticks_taken"] + run["ticks_missed"] < 300_000


@pytest.mark.parametrize("tracking", ["best", "poll"])
def test_more_processes_than_descriptors_are_all_sampled(folder, tracking):
    code = ("for _ in range(100):\n"
            "    if os.fork() == 0:\n"
            "        wait_for('end')\n"
            "        os._exit(0)\n"
            "for _ in range(100): os.wait()\n")
    with Guided(folder, guided(code), ["--tracking", tracking], preexec_fn=lambda:
                resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))) as recording:
        recording.see("SELECT 1 FROM process LIMIT 1 OFFSET 100")
        recording.see("SELECT pid FROM samples WHERE metric = 'rss' AND bytes > 0 AND pid IS NOT NULL"
                      " GROUP BY pid LIMIT 1 OFFSET 100")
        recording.allow("end")
        run = recording.finish()
    assert len(run["processes"]) == 101
    assert all(process["peak"] and process["end_s"] is not None for process in run["processes"])


@pytest.mark.parametrize("tracking", ["best", "poll"])
def test_recorder_that_is_stopped_counts_what_it_missed(folder, tracking):
    code = ("print('ready', flush=True)\n"
            "wait_for('go')\n"
            "for _ in range(20):\n"
            "    if os.fork() == 0: os._exit(0)\n"
            "    os.wait()\n"
            "print('done', flush=True)\n"
            "wait_for('end')\n")
    with Guided(folder, guided(code), ["--tracking", tracking]) as recording:
        assert recording.line() == "ready"
        recording.see("SELECT 1 FROM sample")
        recording.stop()
        recording.allow("go")
        assert recording.line() == "done"  # nobody held the program up
        time.sleep(0.5)
        recording.go_on()
        recording.see("SELECT 1 FROM gap WHERE ticks > 40")
        recording.allow("end")
        run = recording.finish()
    assert run["ticks_due"] == run["ticks_taken"] + run["ticks_missed"]
    ticks, longest_us = query(recording.path, "SELECT sum(ticks), max(to_us - from_us) FROM gap")[0]
    assert ticks == run["ticks_missed"] and longest_us >= 450_000
    if run["recorder"]["tracking"] in ("perf", "connector"):
        assert len(run["processes"]) == 21 or run["recorder"]["lost_events"] > 0
    assert all(process["end_s"] is not None for process in run["processes"])


def test_without_a_place_for_marks_everything_else_is_recorded(folder):
    result = folder.call("run", "-o", "a.db", "sh", "-c", "echo ${MEMWATCH_MARKS-none}; (sleep 0.5); exit 3",
                         preexec_fn=deny("memfd"))
    assert (result.returncode, result.stdout) == (3, b"none\n")
    assert b"cannot take marks of functions: Permission denied\n" in result.stderr
    run = folder.last_run("a.db")
    assert run["peak"]["bytes"] > 0 and len(run["processes"]) == 2


# --- processes of other users ----------------------------------------------------------------


def test_child_that_becomes_another_user_is_recorded(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    code = ("child = os.fork()\n"
            "if child == 0:\n"
            "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "    block = hold(30)\n"
            "    print(os.getpid(), flush=True)\n"
            "    wait_for('end')\n"
            "    os._exit(0)\n"
            "os.wait()\n")
    os.chmod(folder.path, 0o711)
    with Guided(folder, guided(code)) as recording:
        child = int(recording.line())
        recording.see_memory(child, 30)
        recording.allow("end")
        run = recording.finish()
    assert process_of(run, child)["end_s"] is not None
    assert process_of(run, child)["peak"]["bytes"] > 30 * MIB


@pytest.fixture
def writable_folder(open_folder):
    """A folder in which an ordinary user can record."""
    os.chmod(open_folder.path, 0o777)
    return open_folder


def make_closed(folder, how):
    """A shell whose processes the ordinary user may look at and no more."""
    shell = folder / "closed"
    shutil.copyfile("/bin/sh", shell)
    if how == "setuid":
        if os.geteuid() != 0:
            pytest.skip("only root can make a program that runs as root")
        if os.statvfs(folder.path).f_flag & os.ST_NOSUID:
            pytest.skip("the folder for tests is on a file system without setuid")
        shell.chmod(0o4755)
    else:
        shell.chmod(0o111)  # the kernel protects the memory of a program that must not be read
    return shell


# The closed shell has a child of its own, and both live until the test has seen them.
CLOSED = """
child = os.posix_spawn("./closed", ["closed", "-p", "-c",
    "echo $$; sh -c 'for i in $(seq 999); do [ -e end ] || sleep 0.05; done'; exit 0"], os.environ)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("how", ["setuid", "unreadable"])
@pytest.mark.parametrize("tracking", ["best", "poll"])
def test_process_that_must_not_be_asked_for_its_mark_is_sampled_all_the_same(
        writable_folder, ordinary_user, how, tracking):
    make_closed(writable_folder, how)
    with Guided(writable_folder, guided(CLOSED), ["--tracking", tracking],
                **ordinary_user) as recording:
        pid = int(recording.line())
        recording.see("SELECT 1 FROM samples WHERE pid = ? AND metric = 'rss'", pid)
        time.sleep(0.5)  # it lives at least as long
        recording.allow("end")
        run = recording.finish()
    closed = process_of(run, pid)
    assert closed["command"][0] == "closed"
    assert closed["end_s"] - closed["start_s"] >= 0.5
    assert (closed["peak"]["source"], closed["peak"]["upper_bytes"]) == ("sampled", None)
    assert run["peak"]["upper_bytes"] is None
    assert any(process["ppid"] == pid for process in run["processes"])


@pytest.fixture
def hidden(writable_folder, ordinary_user):
    """Options to record as an ordinary user where /proc shows each user his own processes alone."""
    if not ordinary_user or not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("/proc can be mounted by root alone, with unshare and setpriv")
    before = ["unshare", "--mount", "sh", "-c", "mount -t proc -o hidepid=2 proc /proc &&"
              " exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"", "sh"]
    probe = subprocess.run([*before, "true"], env=writable_folder.env, capture_output=True,
                           check=False)
    if probe.returncode:
        pytest.skip(f"no /proc can be mounted here: {probe.stderr.decode().strip()}")
    return {"before": before}


@pytest.mark.parametrize("tracking", ["best", "poll"])
def test_where_proc_shows_own_processes_alone_these_are_recorded(writable_folder, hidden, tracking):
    code = ("child = os.fork()\n"
            "if child == 0:\n"
            "    block = hold(30)\n"
            "    print(os.getpid(), flush=True)\n"
            "    wait_for('end')\n"
            "    os._exit(0)\n"
            "os.wait()\n")
    with Guided(writable_folder, guided(code), ["--tracking", tracking], **hidden) as recording:
        child = int(recording.line())
        recording.see_memory(child, 30)
        recording.allow("end")
        run = recording.finish()
    assert process_of(run, child)["peak"]["bytes"] > 30 * MIB
    assert process_of(run, child)["end_s"] is not None


@pytest.mark.parametrize("tracking", ["best", "poll"])
def test_process_that_proc_does_not_show_is_not_made_up(writable_folder, hidden, tracking):
    """It may be missing; but it has not ended while it lives, and it is not many."""
    make_closed(writable_folder, "setuid")
    with Guided(writable_folder, guided(CLOSED), ["--tracking", tracking], **hidden) as recording:
        pid = int(recording.line())
        recording.see("SELECT 1 FROM sample")
        time.sleep(0.5)
        recording.allow("end")
        run = recording.finish()
    shown = processes_of(run, pid)
    assert len(shown) <= 1
    assert all(process["end_s"] is None or process["end_s"] - process["start_s"] >= 0.5
               for process in shown)


# --- the recorder is killed ------------------------------------------------------------------


def test_recorder_killed_with_9_at_any_moment_leaves_a_file_that_is_whole(folder):
    """A hundred times. Killed before it wrote the run: the file is not there, or told in one line."""
    begin = time.monotonic()
    folder.record("true", file="first.db")
    longest_s = 0.1 + 2 * (time.monotonic() - begin)
    readable = 0
    for number in range(100):
        process = folder.start("run", "-q", "-i", "1ms", "-o", f"{number}.db", "sh", "-c",
                               "while :; do /bin/true; done", stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(random.uniform(0, longest_s))
        process.kill()
        process.wait()
        with contextlib.suppress(ProcessLookupError):  # killed before it had started anything
            os.killpg(process.pid, signal.SIGKILL)
    for number in range(100):
        if not (folder / f"{number}.db").exists():
            continue
        result = folder.call("show", f"{number}.db")
        if result.returncode == 0:
            assert b"aborted" in result.stdout, result
            assert query(folder / f"{number}.db", "PRAGMA integrity_check") == [("ok",)]
            readable += 1
        else:
            assert result.returncode == 1 and assert_one_line(result.stderr)
    assert readable > 0
