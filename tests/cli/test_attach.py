"""memwatch attach: what runs already is found, recorded, followed and left as it was."""

import os
import pathlib
import resource
import signal
import subprocess
import sys

import pytest

from attached import WAITS, Attached, Target, events
from conftest import (GUIDED, assert_one_line, control_characters, guided, is_alive, kill_quietly,
                      process_of, python, query, wait_until)

@pytest.fixture
def target(folder):
    with Target(folder, guided(WAITS)) as running:
        assert running.line() == "ready"
        yield running


# --- recording -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_recording_and_leaves_the_target(folder, target, number):
    with Attached(folder, target.pid, options=("-i", "5ms")) as attached:
        attached.see_memory(target.pid)
        run, errors = attached.finish(number)
    assert run["end"] == "detached" and run["exit_status"] is None
    assert run["processes"][0]["end_s"] is None
    assert run["command"] == run["processes"][0]["command"] and GUIDED in run["command"][4]
    assert events(run, "attached")[0]["pid"] == target.pid
    assert events(run, "detached")[0]["note"] == number.name
    assert "then left alone" in errors and "memwatch plot a.db" in errors
    assert is_alive(target.pid)


def test_the_recording_ends_with_its_target_and_tells_how(folder, target):
    with Attached(folder, target.pid) as attached:
        attached.see_memory(target.pid)
        (folder / "end").touch()
        target.process.wait()
        run, errors = attached.finish()
    assert errors == ""
    assert run["end"] == "exited"
    process = process_of(run, target.pid)
    assert process["end_s"] is not None
    if run["recorder"]["tracking"] == "connector":
        assert run["exit_status"] == process["exit_status"] == 0


def test_a_target_that_is_killed_was_killed(folder, target):
    with Attached(folder, target.pid) as attached:
        attached.see_memory(target.pid)
        if attached.see("SELECT tracking FROM run") != [("connector",)]:
            pytest.skip("nobody tells how other people's children ended")
        target.process.kill()
        target.process.wait()
        run, _ = attached.finish()
    assert (run["end"], run["exit_signal"]) == ("signaled", 9)
    assert events(run, "oom-kill") == []


def test_descendants_from_before_and_after_are_recorded(folder):
    code = ("import subprocess\n"
            "old = subprocess.Popen(['sleep', '60'])\n"
            "print(old.pid, flush=True); wait_for('more')\n"
            "new = subprocess.Popen(['sleep', '60'])\n"
            "print(new.pid, flush=True); wait_for('end'); old.kill(); new.kill()")
    for tracking in ("best", "connector", "perf", "poll", "scan"):
        with Target(folder, guided(code)) as target:
            old = int(target.line())
            with Attached(folder, target.pid, options=("-q", "-i", "5ms", "--tracking", tracking)) \
                    as attached:
                attached.see_memory(old)
                (folder / "more").touch()
                new = int(target.line())
                attached.see_memory(new)
                run, _ = attached.finish(signal.SIGINT)
            assert process_of(run, old)["ppid"] == process_of(run, new)["ppid"] == target.pid
            assert [event["pid"] for event in events(run, "attached")] == [target.pid]
            kill_quietly(old)
            kill_quietly(new)
            (folder / "more").unlink()


def test_a_duration_ends_it(folder, target):
    with Attached(folder, "-d", "300ms", target.pid) as attached:
        run, _ = attached.finish()
    assert 0.3 <= run["duration_s"] and run["end"] == "detached"
    assert events(run, "detached")[0]["note"] == "the time was over"


def test_by_default_it_samples_ten_times_a_second_and_resets_no_mark(folder, target):
    with Attached(folder, target.pid, options=()) as attached:
        attached.see_memory(target.pid)
        run, _ = attached.finish(signal.SIGINT)
    assert run["interval_s"] == 0.1
    assert set(run["metrics"]) == {"rss", "shared"}


def test_the_mark_is_reset_when_that_is_asked_for(folder):
    code = "hold(60); print('ready', flush=True); wait_for('end')"

    def mark(pid):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10
    with Target(folder, guided(code)) as target:
        target.line()
        assert mark(target.pid) > 60
        with Attached(folder, target.pid) as attached:
            attached.see_memory(target.pid)
            attached.finish(signal.SIGINT)
        assert mark(target.pid) > 60
        with Attached(folder, "--peak-window", "5ms", target.pid) as attached:
            attached.see("SELECT 1 FROM series WHERE metric = 'peak'")
            attached.finish(signal.SIGINT)
        assert mark(target.pid) < 60


def test_the_target_has_no_tracer_and_its_signals_are_as_they_were(folder, target):
    path = pathlib.Path(f"/proc/{target.pid}/status")

    def state():  # SigQ counts what is queued for all processes of the user
        return [line for line in path.read_text().splitlines()
                if line.startswith(("SigB", "SigI", "SigC", "SigP", "Tracer"))]
    before = state()
    with Attached(folder, target.pid) as attached:
        attached.see_memory(target.pid)
        assert state() == before
        attached.finish(signal.SIGTERM)
    assert state() == before and is_alive(target.pid)


def test_metrics_are_read_that_are_asked_for(folder, target):
    with Attached(folder, "--metric", "pss,swap", target.pid) as attached:
        attached.see("SELECT 1 FROM samples WHERE metric = 'pss'")
        run, _ = attached.finish(signal.SIGINT)
    assert {"pss", "swap"} <= set(run["metrics"])


def test_a_tree_is_not_held_up_by_reading_what_nobody_asked_for(folder):
    code = ("import subprocess\nold = subprocess.Popen(['sleep', '60'])\n"
            "print(old.pid, flush=True); wait_for('end'); old.kill()")
    with Target(folder, guided(code)) as target:
        old = int(target.line())
        with Attached(folder, "-d", "500ms", target.pid) as attached:
            run, _ = attached.finish()
        kill_quietly(old)
    assert "pss" not in run["metrics"]


# --- names -----------------------------------------------------------------------------------


@pytest.fixture
def script(folder):
    """A script with a name of its own."""
    path = folder / f"server-{os.getpid()}.py"
    path.write_text(GUIDED + WAITS)
    return path


def test_a_script_is_found_by_its_name(folder, script):
    with Target(folder, [sys.executable, script]) as target:
        target.line()
        with Attached(folder, script.name) as attached:
            attached.see_memory(target.pid)
            run, _ = attached.finish(signal.SIGINT)
    assert [process["pid"] for process in run["processes"]] == [target.pid]


def test_several_of_a_name_are_listed_and_all_are_taken_when_that_is_asked_for(folder, script):
    with Target(folder, [sys.executable, script]) as one, \
            Target(folder, [sys.executable, script, "x"]) as two:
        one.line(), two.line()
        result = folder.call("attach", script.name)
        assert result.returncode == 1
        text = result.stderr.decode()
        assert text.startswith(f"memwatch: 2 processes are called '{script.name}'") and "--all" in text
        assert str(one.pid) in text and str(two.pid) in text
        assert [name for name in folder.files() if name.endswith(".db")] == []
        with Attached(folder, "--all", script.name) as attached:
            attached.see_memory(one.pid)
            attached.see_memory(two.pid)
            attached.see("SELECT 1 FROM tree")
            run, _ = attached.finish(signal.SIGINT)
    assert len(events(run, "attached")) == 2
    assert run["peak"]["bytes"] > max(process["peak"]["bytes"] for process in run["processes"])


def test_a_name_that_is_hostile_does_no_harm_in_the_list(folder):
    name = "evil\033[31m\nname"
    path = folder / name
    path.write_text(GUIDED + WAITS)
    with Target(folder, [sys.executable, path]) as one, Target(folder, [sys.executable, path]) as two:
        one.line(), two.line()
        result = folder.call("attach", name)
    assert result.returncode == 1 and control_characters(result.stderr) == []


def test_the_processes_below_one_of_the_name_are_no_others(folder):
    """As nginx and its workers, which all have one name."""
    code = "import os\nif os.fork() == 0: wait_for('end'); os._exit(0)\n" + WAITS
    path = folder / "forking-server.py"
    path.write_text(GUIDED + code)
    with Target(folder, [sys.executable, path]) as target:
        target.line()
        with Attached(folder, "forking-server.py") as attached:
            attached.see("SELECT 1 FROM process LIMIT 1 OFFSET 1")
            run, _ = attached.finish(signal.SIGINT)
        (folder / "end").touch()
    assert run["processes"][0]["pid"] == target.pid
    assert len(run["processes"]) == 2 and len(events(run, "attached")) == 1


def test_several_pids_are_recorded_together(folder):
    with Target(folder, guided(WAITS)) as one, Target(folder, guided(WAITS)) as two:
        one.line(), two.line()
        with Attached(folder, one.pid, two.pid, one.pid) as attached:
            attached.see_memory(one.pid)
            attached.see_memory(two.pid)
            one.process.kill()
            one.process.wait()
            attached.see("SELECT 1 FROM process WHERE pid = ? AND end_us IS NOT NULL", one.pid)
            two.process.kill()
            two.process.wait()
            run, _ = attached.finish()
    assert sorted(process["pid"] for process in run["processes"]) == sorted([one.pid, two.pid])


def test_a_pidfile_names_the_process(folder, target):
    (folder / "server.pid").write_text(f"{target.pid}\n")
    with Attached(folder, "--pidfile", "server.pid") as attached:
        attached.see_memory(target.pid)
        run, _ = attached.finish(signal.SIGINT)
    assert run["processes"][0]["pid"] == target.pid


def test_a_cgroup_is_recorded_with_what_joins_it(folder, cgroup):
    def join():
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    with Target(folder, guided(WAITS), preexec_fn=join) as one:
        one.line()
        with Attached(folder, "--cgroup", cgroup) as attached:
            attached.see_memory(one.pid)
            with Target(folder, guided(WAITS), preexec_fn=join) as two:
                two.line()
                attached.see_memory(two.pid)
            one.process.kill()
            one.process.wait()
            run, _ = attached.finish()
    assert sorted(process["pid"] for process in run["processes"]) == sorted([one.pid, two.pid])


def test_a_cgroup_is_recorded_until_its_last_process_ends(folder, cgroup):
    def join():
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    code = ("import subprocess\n"
            "if len(sys.argv) > 1: wait_for('more'); kept = hold(64); wait_for('end'); sys.exit()\n"
            f"child = subprocess.Popen([*{python('')[:-1]}, open('code').read(), 'child'])\n"
            "print(child.pid, flush=True); wait_for('end')")
    (folder / "code").write_text(GUIDED + code)
    with Target(folder, guided(code), preexec_fn=join) as target:
        child = int(target.line())
        try:
            with Attached(folder, "--cgroup", cgroup) as attached:
                attached.see_memory(child)
                target.process.kill()
                target.process.wait()
                attached.see("SELECT 1 FROM process WHERE pid = ? AND end_us IS NOT NULL",
                             target.pid)
                (folder / "more").touch()
                attached.see_memory(child, 64)
                assert attached.process.poll() is None
                (folder / "end").touch()
                run, _ = attached.finish()
        finally:
            kill_quietly(child)
    assert [process["pid"] for process in run["processes"]] == [target.pid, child]


def test_the_hierarchy_itself_is_a_cgroup(folder):
    if not any(pathlib.Path("/sys/fs/cgroup").glob("**/cgroup.procs")):
        pytest.skip("there are no cgroups here")
    for path in "/sys/fs/cgroup", "/sys/fs/cgroup/":
        result = folder.call("attach", "-d", "100ms", "-o", "a.db", "--cgroup", path)
        assert result.returncode == 0, result


def test_a_cgroup_is_known_by_its_path_in_the_hierarchy(folder, cgroup):
    result = folder.call("attach", "--cgroup", cgroup.name)
    assert result.returncode == 1 and "has no processes" in assert_one_line(result.stderr)


# --- following -------------------------------------------------------------------------------


def test_a_target_that_restarts_is_followed_in_the_same_run(folder, script):
    with Attached(folder, "--follow", script.name, options=("-i", "5ms")) as attached:
        assert b"waiting" in attached.process.stderr.readline()
        pids = []
        for turn in range(3):
            with Target(folder, [sys.executable, script]) as target:
                target.line()
                pids.append(target.pid)
                attached.see_memory(target.pid)
        run, errors = attached.finish(signal.SIGTERM)
    assert [process["pid"] for process in run["processes"]] == pids
    assert [event["pid"] for event in events(run, "restarted")] == pids[1:]
    assert errors.count("has ended: waiting") == 3 and errors.count("goes on with process") == 2
    assert len(folder.show("a.db")["runs"]) == 1
    # Between two of them there is nothing, where that is longer than the time between two samples.
    for earlier, later in zip(run["processes"], run["processes"][1:]):
        if later["start_s"] - earlier["end_s"] > 0.05:
            assert query(attached.path, "SELECT min(rss_bytes) FROM tree WHERE t_s BETWEEN ? AND ?",
                         earlier["end_s"], later["start_s"]) == [(0,)]


def test_restarts_leave_no_descriptors_open(folder, script):
    """Perf takes some for each thread, and the connector none."""
    if folder.call("run", "-q", "-o", "b.db", "--tracking", "perf", "true").returncode != 0:
        pytest.skip("--tracking perf does not work here")
    counts = []
    with Attached(folder, "--follow", script.name,
                  options=("-i", "5ms", "--tracking", "perf")) as attached:
        for _ in range(4):
            with Target(folder, [sys.executable, script]) as target:
                target.line()
                attached.see_memory(target.pid)
                counts.append(len(os.listdir(f"/proc/{attached.process.pid}/fd")))
        attached.finish(signal.SIGTERM)
    assert counts[3] == counts[2] == counts[1]


def test_a_pid_is_followed_by_its_command(folder, script):
    with Target(folder, [sys.executable, script, "one"]) as first:
        first.line()
        with Attached(folder, "--follow", first.pid) as attached:
            attached.see_memory(first.pid)
            first.process.kill()
            first.process.wait()
            with Target(folder, [sys.executable, script, "other"]) as other, \
                    Target(folder, [sys.executable, script, "one"]) as second:
                other.line(), second.line()
                attached.see_memory(second.pid)
                run, _ = attached.finish(signal.SIGINT)
    assert [process["pid"] for process in run["processes"]] == [first.pid, second.pid]


def test_a_process_that_ran_beside_a_pid_is_not_its_next(folder, script):
    """Workers of a server all have the same command."""
    def start():
        return Target(folder, [sys.executable, script, "worker"])
    with start() as older, start() as first, start() as younger:
        older.line(), first.line(), younger.line()
        with Attached(folder, "--follow", first.pid, options=("-i", "5ms")) as attached:
            attached.see_memory(first.pid)
            first.process.kill()
            first.process.wait()
            assert b"waiting" in attached.process.stderr.readline()
            with start() as second:
                second.line()
                attached.see_memory(second.pid)
                run, _ = attached.finish(signal.SIGINT)
    assert [process["pid"] for process in run["processes"]] == [first.pid, second.pid]


def test_waiting_for_a_target_that_never_comes_can_be_ended(folder):
    with Attached(folder, "--follow", "no-such-server", options=()) as attached:
        assert b"no process is called" in attached.process.stderr.readline()
        attached.process.send_signal(signal.SIGINT)
        attached.process.wait(60)
        assert attached.process.returncode == 0
    assert folder.files() == []


# --- what is refused -------------------------------------------------------------------------


def gone_pid():
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


@pytest.mark.parametrize("words, text", [
    (["no-such-server"], "no process is called 'no-such-server'"),
    (["--pidfile", "missing"], "cannot read missing"),
    (["--pidfile", "empty"], "empty is empty"),
    (["--pidfile", "words"], "holds no number"),
    (["--cgroup", "/no/such"], "no cgroup /no/such"),
    (["2"], "part of the kernel"),
])
def test_what_is_not_there_is_told_in_one_line(folder, words, text):
    (folder / "empty").touch()
    (folder / "words").write_text("hello\n")
    if words == ["2"] and not pathlib.Path("/proc/2/comm").exists():
        pytest.skip("no kernel threads here")
    result = folder.call("attach", *words)
    assert result.returncode == 1 and text in assert_one_line(result.stderr)
    assert [name for name in folder.files() if name.endswith(".db")] == []


def test_a_process_that_has_ended_is_told(folder):
    result = folder.call("attach", str(gone_pid()))
    assert result.returncode == 1 and "there is no process" in assert_one_line(result.stderr)


def test_a_zombie_has_ended(folder):
    child = subprocess.Popen(["true"])
    wait_until(lambda: not is_alive(child.pid), "it ends")
    result = folder.call("attach", str(child.pid))
    assert result.returncode == 1 and "has ended already" in assert_one_line(result.stderr)
    child.wait()


def test_a_thread_is_no_process(folder):
    code = ("import threading\nthreading.Thread(target=lambda: wait_for('end')).start()\n"
            "print([int(t) for t in os.listdir('/proc/self/task') if int(t) != os.getpid()][0],"
            " flush=True)")
    with Target(folder, guided(code)) as target:
        thread = target.line()
        result = folder.call("attach", thread)
        (folder / "end").touch()
    assert f"{thread} is a thread of process {target.pid}" in assert_one_line(result.stderr)


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(folder):
    with Target(folder, ["sleep", "60"]) as target:
        wait_until(lambda: pathlib.Path(f"/proc/{target.pid}/comm").read_text() == "sleep\n", "exec")
        result = folder.call("attach", "slee")
    assert "there is sleep (" in assert_one_line(result.stderr)


@pytest.mark.parametrize("words", [
    [], ["1", "name"], ["one", "two"], ["0"], ["99999999999999999999"], ["--pidfile", "x", "1"],
    ["--pidfile", "x", "--cgroup", "y"], [""], ["--pidfile", ""], ["-o", "", "1"], ["-i", "0", "1"],
    ["-d", "0", "1"], ["--metric", "peak", "1"], ["--max-rss", "0", "1"], ["--max-rss", "-5", "1"],
    ["--max-growth", "5M", "1"], ["--max-growth", "5M/0", "1"], ["--max-growth", "/1h", "1"],
    ["--max-processes", "0", "1"], ["--on-limit", "shout", "1"], ["--on-limit", "kill", "1"],
    ["--on-limit", "exec", "--max-rss", "1M", "1"], ["--on-limit-command", "true", "1"],
    ["--max-processes", "2", "--children", "none", "1"], ["--follow", "1", "2"], ["--nonsense"],
])
def test_a_command_line_that_makes_no_sense_is_refused(folder, words):
    result = folder.call("attach", *words)
    assert result.returncode == 2 and "memwatch attach -h" in assert_one_line(result.stderr)
    assert folder.files() == []


def test_another_user_may_read_memory_and_is_told_what_it_may_not(open_folder, ordinary_user):
    if not ordinary_user:
        pytest.skip("only root has processes of another user")
    with Target(open_folder, guided(WAITS)) as target:
        target.line()
        for words, what in ((["--metric", "pss"], "pss"), (["--peak-window", "auto"], "high-water"),
                            (["--max-rss", "1G", "--on-limit", "term"], "signal it")):
            result = open_folder.call("attach", *words, str(target.pid), **ordinary_user)
            text = assert_one_line(result.stderr)
            assert result.returncode == 1 and "belongs to root" in text and what in text
        os.chmod(open_folder.path, 0o777)
        with Attached(open_folder, target.pid, **ordinary_user) as attached:
            attached.see_memory(target.pid)
            run, _ = attached.finish(signal.SIGINT)
        assert run["processes"][0]["pid"] == target.pid


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_recorded(folder, target):
    result = folder.call("attach", "-o", "/nonexistent/a.db", str(target.pid))
    assert result.returncode == 1 and "/nonexistent/a.db" in assert_one_line(result.stderr)
    assert is_alive(target.pid)


def test_kill_9_leaves_a_file_that_can_be_read_and_the_target_alone(folder, target):
    with Attached(folder, target.pid) as attached:
        attached.see_memory(target.pid)
        attached.process.kill()
        attached.process.wait()
    assert folder.last_run("a.db")["end"] == "aborted"
    assert is_alive(target.pid)


def test_many_short_children_are_listed_with_their_statuses(folder):
    code = ("import subprocess\nprint('ready', flush=True); wait_for('go')\n"
            "for i in range(200): subprocess.call(['sh', '-c', f'exit {i % 7}'])\n"
            "print('done', flush=True); wait_for('end')")
    with Target(folder, guided(code)) as target:
        target.line()
        with Attached(folder, target.pid) as attached:
            attached.see_memory(target.pid)
            if attached.see("SELECT tracking FROM run") != [("connector",)]:
                pytest.skip("short lives and their statuses need the connector")
            (folder / "go").touch()
            assert target.line() == "done"
            attached.see("SELECT 1 FROM process WHERE exit_status IS NOT NULL LIMIT 1 OFFSET 199")
            run, _ = attached.finish(signal.SIGINT)
    children = [process["exit_status"] for process in run["processes"][1:]]
    assert children == [i % 7 for i in range(200)]


def test_with_few_descriptors_the_children_of_many_threads_are_found_all_the_same(folder):
    code = ("import subprocess, threading\n"
            "for _ in range(300): threading.Thread(target=wait_for, args=('end',)).start()\n"
            "def work():\n"
            "    wait_for('go')\n"
            "    child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True)\n"
            "    wait_for('end'); child.kill()\n"
            "threading.Thread(target=work).start(); print('ready', flush=True)")

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    with Target(folder, guided(code)) as target:
        target.line()
        with Attached(folder, target.pid, options=("-q", "-i", "5ms", "--tracking", "perf"),
                      preexec_fn=limit) as attached:
            attached.see_memory(target.pid)
            (folder / "go").touch()
            child = int(target.line())
            attached.see_memory(child)
            run, errors = attached.finish(signal.SIGINT)
        kill_quietly(child)
    assert errors == "" and run["recorder"]["tracking"] == "perf"


def test_threads_that_come_and_go_do_not_end_the_record(folder):
    code = ("import threading\nprint('ready', flush=True); wait_for('go')\n"
            "for _ in range(300):\n"
            "    t = threading.Thread(target=lambda: None); t.start(); t.join()\n"
            "big = hold(50); print('done', flush=True); wait_for('end')")
    for tracking in ("best", "perf"):
        with Target(folder, guided(code)) as target:
            target.line()
            with Attached(folder, target.pid, options=("-q", "-i", "2ms", "--tracking", tracking)) \
                    as attached:
                attached.see_memory(target.pid)
                (folder / "go").touch()
                assert target.line() == "done"
                attached.see_memory(target.pid, 50)
                run, _ = attached.finish(signal.SIGINT)
        assert len(run["processes"]) == 1 and run["processes"][0]["end_s"] is None
        (folder / "go").unlink()
