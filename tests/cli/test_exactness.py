"""What polling tools miss: spikes between samples, short children, programs that exec from a thread."""

import signal

import pytest
from conftest import python, query

SPIKE_MIB = 40
SPIKES = f"""
import mmap, time
for _ in range(4):
    block = mmap.mmap(-1, {SPIKE_MIB} << 20)
    for page in range(0, {SPIKE_MIB} << 20, 4096):
        block[page] = 1
    block.close()
    time.sleep(0.15)
"""


def tracks_every_process(folder):
    return folder.last_run(folder.record("true", file="probe.db"))["recorder"]["tracking"] == "perf"


def test_spike_between_two_samples_is_in_the_record_within_its_bounds(folder):
    folder.record(*python(SPIKES), options=("-i", "10"))
    peak = folder.last_run("run.db")["peak"]
    assert peak["source"] == "kernel"
    assert peak["bytes"] > SPIKE_MIB << 20
    assert peak["upper_bytes"] is None or peak["bytes"] <= peak["upper_bytes"]


def test_spikes_of_the_same_height_are_known_until_the_process_ends(folder):
    path = folder.record(*python(SPIKES), options=("-i", "10", "--peak-window", "0.05"))
    last_s = query(path, "SELECT max(t_s) FROM samples WHERE metric = 'peak'")[0][0]
    assert last_s >= folder.last_run(path)["duration_s"] - 0.3


def test_spike_of_a_child_is_in_the_peak_of_the_run(folder):
    hold = " ".join(f"'{word}'" for word in python(SPIKES.replace("'", '"')))
    folder.record("sh", "-c", f"{hold}; true", options=("-i", "10"))
    run = folder.last_run("run.db")
    assert run["peak"]["bytes"] > SPIKE_MIB << 20
    assert run["peak"]["upper_bytes"] is None  # nobody knows how high both were together


def test_peak_window_off_leaves_the_mark_of_the_kernel_alone(folder):
    path = folder.record(*python(SPIKES), options=("-i", "10", "--peak-window", "off"))
    assert query(path, "SELECT count(*) FROM samples WHERE metric = 'peak'") == [(0,)]


def test_every_short_child_is_recorded_with_its_start_and_end(folder):
    if not tracks_every_process(folder):
        pytest.skip("the kernel does not tell of processes here (perf_event_paranoid)")
    folder.record("sh", "-c", "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done",
                  options=("-i", "1"))
    run = folder.last_run("run.db")
    assert len(run["processes"]) == 101 and run["recorder"]["lost_events"] == 0
    assert all(process["end_s"] is not None for process in run["processes"])


def test_program_that_execs_from_a_thread_stays_recorded(folder):
    code = ("import os, sys, threading, time\n"
            "if len(sys.argv) == 1:\n"
            "    threading.Thread(target=lambda: os.execv(sys.executable, [sys.executable, *again]))"
            ".start()\n"
            "    time.sleep(10)\n"
            "for _ in range(20):\n"
            "    thread = threading.Thread(target=time.sleep, args=(0.001,)); thread.start()"
            "; thread.join()\n"
            "block = bytearray(60 << 20); time.sleep(0.2)\n")
    (folder / "again.py").write_text("again = ['again.py', 'x']\n" + code)
    folder.record(*python("")[:1], "again.py")
    run = folder.last_run("run.db")
    assert run["duration_s"] > 0.2 and run["peak"]["bytes"] > 60 << 20


def test_status_comes_through_where_sigchld_is_ignored(folder):
    result = folder.call("run", "-q", "-o", "a.db", "sh", "-c", "exit 7",
                         preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert result.returncode == 7
    assert folder.last_run("a.db")["exit_status"] == 7


@pytest.mark.parametrize("window", ["0", "0.5ms", "-1", "abc", "2h", "9223372036s"])
def test_peak_window_out_of_range_is_refused(folder, window):
    result = folder.call("run", "--peak-window", window, "true")
    assert result.returncode == 125 and len(result.stderr.splitlines()) == 1
