"""The target must not notice that it is recorded: what it sees is what it would see alone."""

import os
import re
import resource
import signal
import subprocess

import pytest

from conftest import MEMWATCH, PATIENCE_S, python, wait_until


def both(folder, *words, **options):
    """Output of a command alone, and under memwatch."""
    options = {"cwd": folder.path, "env": folder.env, "stdin": subprocess.DEVNULL,
               "capture_output": True, "check": True, "timeout": PATIENCE_S, **options}
    alone = subprocess.run(words, **options).stdout.decode()
    watched = subprocess.run([MEMWATCH, "run", "-q", "-o", "a.db", *words], **options)
    assert watched.stderr == b""
    return alone, watched.stdout.decode()


def lines(text, pattern):
    found = [line for line in text.splitlines() if re.match(pattern, line)]
    assert found, text
    return found


def test_signal_dispositions_and_mask_are_the_callers(folder):
    alone, watched = both(folder, "cat", "/proc/self/status")
    pattern = "Sig(Blk|Ign|Cgt)|ShdPnd|NoNewPrivs|Seccomp:|Umask|Groups|Cap"
    assert lines(watched, pattern) == lines(alone, pattern)


def test_signals_that_the_caller_ignores_and_blocks_stay_so(folder):
    def prepare():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
    alone, watched = both(folder, "cat", "/proc/self/status", preexec_fn=prepare)
    assert lines(watched, "Sig(Blk|Ign)") == lines(alone, "Sig(Blk|Ign)")
    assert "0000000000004200" in "".join(lines(watched, "SigBlk"))


def test_target_has_the_descriptors_0_to_2_only(folder):
    alone, watched = both(folder, "ls", "/proc/self/fd")
    assert watched == alone
    assert alone.split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def test_descriptors_that_the_caller_handed_down_are_handed_down(folder):
    read_end, write_end = os.pipe()
    os.write(write_end, b"handed down")
    os.close(write_end)
    _, watched = both(folder, "sh", "-c", f"[ -e /proc/self/fd/{read_end} ] && echo there",
                      pass_fds=[read_end])
    os.close(read_end)
    assert watched == "there\n"


def test_nice_and_scheduling_are_the_callers(folder):
    code = ("import os; print(os.nice(0), os.sched_getscheduler(0), os.sched_getparam(0),"
            " sorted(os.sched_getaffinity(0)), open('/proc/self/timerslack_ns').read())")
    alone, watched = both(folder, *python(code))
    assert watched == alone
    alone, watched = both(folder, *python(code), preexec_fn=lambda: os.nice(3))
    assert watched == alone and watched.startswith("3 ")


def test_resource_limits_are_the_callers(folder):
    alone, watched = both(folder, "cat", "/proc/self/limits")
    assert watched == alone

    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (77, 88))
    alone, watched = both(folder, "cat", "/proc/self/limits", preexec_fn=lower)
    assert watched == alone and re.search(r"Max open files +77 +88", watched)


def test_environment_folder_and_session_are_the_callers(folder):
    alone, watched = both(folder, "env")
    own = [line for line in watched.splitlines()
           if line.startswith(("MEMWATCH_MARKS=", "PYTHONPATH="))]
    assert len(own) == 2
    assert sorted({*watched.splitlines()} - {*own}) == sorted(alone.splitlines())
    unmarked = folder.call("run", "-q", "--no-functions", "env").stdout.decode()
    assert sorted(unmarked.splitlines()) == sorted(alone.splitlines())
    code = "import os; print(os.getcwd(), os.getsid(0), os.getpgid(0), os.umask(0), os.getuid())"
    alone, watched = both(folder, *python(code))
    assert watched == alone


def test_parent_of_the_target_is_memwatch_and_it_has_no_other_child(folder):
    code = ("import os; print(os.readlink(f'/proc/{os.getppid()}/exe'));"
            " print(open(f'/proc/{os.getppid()}/task/{os.getppid()}/children').read().split()"
            " == [str(os.getpid())])")
    if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        pytest.skip("this kernel has no list of children in /proc")
    watched = folder.call("run", "-q", *python(code)).stdout.decode()
    assert watched.splitlines() == [os.path.realpath(MEMWATCH), "True"]


def test_standard_streams_that_are_closed_stay_closed(folder):
    """Otherwise a file of the recorder would become the target's standard output."""
    words = [MEMWATCH, "run", "-q", "-o", "a.db", "sh", "-c",
             "ls -l /proc/self/fd > seen 2>&1; [ -e /proc/$$/fd/0 ] || echo closed >> seen"]
    result = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *words], cwd=folder.path,
                            env=folder.env, check=False, timeout=PATIENCE_S)
    assert result.returncode == 0
    seen = (folder / "seen").read_text()
    assert "a.db" not in seen and seen.endswith("closed\n"), seen
    assert folder.last_run("a.db")["end"] == "exited"


def test_child_that_outlives_the_target_goes_on(folder):
    code = ("import os, time\n"
            "if os.fork() == 0:\n"
            "    os.close(1); os.close(2); time.sleep(0.5); open('child', 'w').close()\n")
    folder.record(*python(code))
    wait_until((folder / "child").exists, "the child's file")
