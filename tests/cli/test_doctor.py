"""doctor: what recordings are worth on this machine, whatever it is like."""

import json
import os
import resource
import shutil
import subprocess
import time

import pytest

from conftest import (MEMWATCH, PYTHON, assert_one_line, control_characters, deny, fake_gnuplot, is_alive,
                      wait_until)

KEYS = ["rss", "peak_windows", "tracking", "scheduling", "timer", "gnuplot", "display", "pythons"]
# An answer that gnuplot would give; the folder's own programs come first, the shell is in /bin.
TERMINALS = "pngcairo svg pdfcairo dumb canvas"
SYSTEM = "/usr/bin:/bin"


@pytest.fixture
def folder(folder):
    """Without the Pythons of whoever runs the tests, each of which would be asked each time."""
    folder.env["PATH"] = SYSTEM
    return folder


def doctor(folder, **options):
    """What doctor --json says."""
    result = folder.call("doctor", "--json", **options)
    assert result.returncode == 0 and result.stderr == b"", result
    return json.loads(result.stdout)


def gnuplot_that_says(folder, version="5.4 4", terminals=TERMINALS):
    return fake_gnuplot(folder, f"echo 'memwatch-version  {version}' >&2\n"
                                f"echo 'memwatch-terminals  {terminals} ' >&2\n")


def fake_python(folder, script, name="python3", mode=0o755):
    """A folder for PATH with a program that calls itself a Python."""
    bin_folder = folder / "pythons"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / name).write_text("#!/bin/sh\n" + script)
    (bin_folder / name).chmod(mode)
    return str(bin_folder)


def python_that_says(version, implementation="cpython"):
    profile = "yes" if implementation == "cpython" else "none"
    return (f"echo 'memwatch-python {implementation}'; echo 'memwatch-version {version}'\n"
            f"echo 'memwatch-profile {profile}'\n")


# --- what it says ----------------------------------------------------------------------------


def test_every_check_is_told_with_its_status_on_one_screen(folder):
    result = folder.call("doctor")
    assert result.returncode == 0 and result.stderr == b""
    lines = result.stdout.decode().splitlines()
    summary = next(place for place, line in enumerate(lines) if line.startswith("Recordings here: "))
    checks = [line for line in lines[1:summary] if line and not line.startswith(" ")]
    assert len(checks) == len(KEYS)
    assert [line[14:21].strip() in ("ok", "limited", "missing") for line in checks] == [True] * 8
    assert len(lines) <= 45 and lines[summary - 1] == ""
    for line in lines:
        assert len(line) <= 90 or line.startswith("    better:"), line
    assert folder.files() == []


def test_json_has_the_facts_of_every_check(folder):
    said = doctor(folder)
    assert said["kernel"] == os.uname().release and said["memwatch"] and said["user"]
    assert list(said["checks"]) == KEYS
    for check in said["checks"].values():
        assert check["status"] in ("ok", "limited", "missing")
        assert check["meaning"] and (check["improve"] is None or check["improve"])
    timer = said["checks"]["timer"]
    assert timer["interval_s"] == 0.001
    assert timer["ticks_due"] == timer["ticks_taken"] + timer["ticks_missed"]
    assert timer["ticks_due"] >= 1000  # more when it was stopped late
    assert timer["lateness_us"]["p50"] <= timer["lateness_us"]["p99"] <= timer["lateness_us"]["max"]
    assert folder.files() == []


def check_against_a_recording(folder, **options):
    """What doctor promises is what a recording then says of itself."""
    checks = doctor(folder, **options)["checks"]
    folder.call("run", "-q", "-o", "a.db", "sleep", "0.1", **options)
    recorder = folder.last_run("a.db")["recorder"]
    assert checks["rss"]["bound_bytes"] == recorder["rss_bound_bytes"]
    assert checks["peak_windows"]["bound_bytes"] == recorder["peak_bound_bytes"]
    assert checks["tracking"]["best"] == recorder["tracking"]
    assert checks["scheduling"]["scheduling"] == recorder["scheduling"]
    return checks


def test_what_it_promises_is_what_a_recording_has(folder):
    check_against_a_recording(folder)


def test_ordinary_user_is_told_of_better_scheduling(open_folder, ordinary_user):
    os.chmod(open_folder.path, 0o777)
    checks = check_against_a_recording(open_folder, env={"PATH": SYSTEM}, **ordinary_user)
    assert checks["peak_windows"]["works"] and checks["tracking"]["methods"]["poll"]["works"]
    if checks["scheduling"]["scheduling"] == "default":
        assert checks["scheduling"]["status"] == "limited"
        assert checks["scheduling"]["improve"] == "sudo prlimit --pid $$ --rtprio=1"


def test_commands_for_root_need_no_sudo(folder):
    if os.geteuid() != 0:
        pytest.skip("only root needs no sudo")
    checks = doctor(folder, env={"PATH": ""})["checks"]
    for check in checks.values():
        assert not (check["improve"] or "").startswith("sudo"), check


# --- tracking --------------------------------------------------------------------------------


def test_refused_perf_is_told_and_children_are_looked_for(folder):
    said = doctor(folder, preexec_fn=deny("perf", "connector"))
    tracking = said["checks"]["tracking"]
    assert tracking["status"] == "limited" and tracking["best"] == "children"
    assert tracking["methods"]["perf"] == {"works": False,
                                           "error": "perf_event_open: Permission denied"}
    assert not tracking["methods"]["connector"]["works"]
    assert "how it ended is known where nobody had reaped it yet" in tracking["meaning"].lower()
    assert "short-lived children" in said["summary"]
    if tracking["perf_event_paranoid"] <= 2:
        assert tracking["improve"] is None and "container" in tracking["meaning"]


def test_strict_kernel_setting_is_told_with_the_command_that_loosens_it(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can show a process another kernel setting")
    (folder / "setting").write_text("3\n")
    setting = "/proc/sys/kernel/perf_event_paranoid"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'mount --bind setting {setting} && exec "$0" doctor --json',
         MEMWATCH], cwd=folder.path, env=folder.env, stdout=subprocess.PIPE, check=False,
        preexec_fn=deny("perf"))
    if result.returncode != 0:
        pytest.skip("nothing can be mounted here")
    tracking = json.loads(result.stdout)["checks"]["tracking"]
    assert tracking["perf_event_paranoid"] == 3
    assert tracking["improve"] == "sysctl kernel.perf_event_paranoid=2"


def test_file_capabilities_that_cost_the_tracking_are_told(open_folder, ordinary_user):
    copy = open_folder / "memwatch"
    shutil.copy(MEMWATCH, copy)
    copy.chmod(0o755)
    if not ordinary_user or not shutil.which("setcap") or subprocess.run(
            ["setcap", "cap_sys_nice+ep", copy], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no file can be given a capability here")
    result = subprocess.run([copy, "doctor", "--json"], cwd=open_folder.path, check=True,
                            env={"PATH": SYSTEM}, stdout=subprocess.PIPE, **ordinary_user)
    checks = json.loads(result.stdout)["checks"]
    if checks["scheduling"]["scheduling"] == "default":
        pytest.skip("file capabilities have no effect here")
    assert checks["tracking"]["best"] in ("connector", "children")
    assert checks["tracking"]["improve"] == 'sudo setcap -r "$(command -v memwatch)"'


# --- gnuplot and the display -----------------------------------------------------------------


def test_without_any_program_on_path(folder):
    (folder / "empty").mkdir()
    for path in (str(folder / "empty"), str(folder / "nowhere"), ""):
        checks = doctor(folder, env={"PATH": path})["checks"]
        assert checks["gnuplot"]["status"] == "missing" and checks["gnuplot"]["path"] is None
        there = os.access("/usr/bin/gnuplot", os.X_OK)
        wanted = 'export PATH="${PATH:+$PATH:}/usr/bin"' if there else "apt install gnuplot-nox"
        assert checks["gnuplot"]["improve"].endswith(wanted)
        assert checks["pythons"]["status"] == "missing" and checks["pythons"]["found"] == []
        assert checks["tracking"]["methods"]["poll"]["works"]


def test_gnuplot_says_what_it_draws(folder, gnuplot):
    said = doctor(folder)["checks"]["gnuplot"]
    assert said["path"] == shutil.which("gnuplot", path=folder.env["PATH"]) and "dumb" in said["terminals"]
    version = subprocess.run([gnuplot, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert version.split()[1] == ".".join(said["version"].split(".")[:2])


def test_gnuplot_that_lacks_formats_or_is_old_is_limited(folder):
    said = doctor(folder, env=gnuplot_that_says(folder, terminals="dumb svg png"))["checks"]["gnuplot"]
    assert said["status"] == "limited" and said["terminals"] == ["svg", "dumb"]
    assert "cannot draw .png, .pdf." in said["meaning"]
    said = doctor(folder, env=gnuplot_that_says(folder, version="5.2 8"))["checks"]["gnuplot"]
    assert said["status"] == "limited" and "5.4 or later" in said["meaning"]
    said = doctor(folder, env=gnuplot_that_says(folder, version="6.0 rc1"))["checks"]["gnuplot"]
    assert said["status"] == "ok" and said["version"] == "6.0.rc1"


@pytest.mark.parametrize("script, error", [
    ("echo; echo 'gnuplot: no library'; exit 3\n", "exit status 3: gnuplot: no library"),
    ("kill -SEGV $$\n", "signal 11"),
    ("exit 0\n", "does not answer as gnuplot does"),
    ("echo 'memwatch-version x'; echo memwatch-terminals\n", "does not answer as gnuplot does"),
    ("while :; do echo memwatch-version 5.4; done\n", "far more"),
])
def test_gnuplot_that_fails_is_told(folder, script, error):
    env = fake_gnuplot(folder, script)
    said = doctor(folder, env=env)["checks"]["gnuplot"]
    assert said["status"] == "missing" and error in said["error"] and said["version"] is None


def test_programs_that_hang_are_ended(folder):
    script = f"sleep 600 & echo $! >>{folder / 'pids'}; echo $$ >>{folder / 'pids'}; wait\n"
    env = fake_gnuplot(folder, script)
    env["PATH"] = fake_python(folder, script) + os.pathsep + env["PATH"]
    begin = time.monotonic()
    checks = doctor(folder, env=env)["checks"]
    assert time.monotonic() - begin < 30
    assert checks["gnuplot"]["error"] == checks["pythons"]["found"][0]["error"] == "no answer within 3 s"
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert len(pids) == 4
    wait_until(lambda: not any(map(is_alive, pids)), f"the end of {pids}")


def test_window_needs_a_display_and_a_terminal(folder):
    display = {"DISPLAY": ":77"}
    env = gnuplot_that_says(folder)
    said = doctor(folder, env=env)["checks"]["display"]
    assert said["status"] == "ok" and not said["display"] and not said["window"]
    said = doctor(folder, env={**env, **display})["checks"]["display"]
    assert said["status"] == "limited" and said["improve"].endswith("apt install gnuplot-qt")
    env = gnuplot_that_says(folder, terminals=TERMINALS + " wxt x11")
    said = doctor(folder, env={**env, **display})["checks"]["display"]
    assert said["status"] == "ok" and said["window"] and said["terminal"] == "wxt"


# --- Pythons ---------------------------------------------------------------------------------


def test_pythons_are_found_each_once_and_the_one_for_scripts_is_first(folder):
    first = fake_python(folder, python_that_says("3.12.1"), name="python3.12")
    os.symlink("python3.12", os.path.join(first, "python3"))
    for name in ("python3-config", "python3.12m", "python3.", "python2", "python3.x"):
        fake_python(folder, "exit 1\n", name=name)
    fake_python(folder, python_that_says("3.10.14", "pypy"), name="python3.10")
    fake_python(folder, "echo 'pyenv: python3.9: command not found'; exit 127\n", name="python3.9")
    fake_python(folder, python_that_says("3.8.0"), name="python3.8", mode=0o644)
    env = {"PATH": os.pathsep.join([first, first, str(folder / "nowhere")])}
    said = doctor(folder, env=env)["checks"]["pythons"]
    assert said["status"] == "ok"
    found = [(os.path.basename(each["path"]), each["version"], each["implementation"],
              each["used_for_scripts"]) for each in said["found"]]
    assert found == [("python3", "3.12.1", "cpython", True), ("python3.9", None, None, False),
                     ("python3.10", "3.10.14", "pypy", False)]
    assert said["found"][1]["error"] == "exit status 127: pyenv: python3.9: command not found"
    text = folder.call("doctor", env=env).stdout.decode()
    assert f"{first}/python3: 3.12.1\n" in text
    assert f"{first}/python3.10: pypy 3.10.14, without `profile`\n" in text
    assert "1 more in PATH does not start" in said["meaning"]


def test_first_python_that_does_not_run_is_told_with_another(folder):
    path = fake_python(folder, "exit 1\n")
    env = {"PATH": os.pathsep.join([path, os.path.dirname(PYTHON)])}
    said = doctor(folder, env=env)["checks"]["pythons"]
    assert said["status"] == "limited" and said["found"][0]["error"] == "exit status 1"
    assert said["improve"].startswith("memwatch run --python /")


def test_shim_of_pyenv_is_told(folder):
    path = fake_python(folder, "program=pyenv\n" + python_that_says("3.12.1"))
    said = doctor(folder, env={"PATH": os.pathsep.join([path, os.path.dirname(PYTHON)])})["checks"]["pythons"]
    assert said["status"] == "limited" and "shim of pyenv" in said["meaning"]
    assert said["improve"] == 'memwatch run --python "$(pyenv which python3)" SCRIPT'


def test_python_that_may_not_be_executed_is_none(folder):
    path = fake_python(folder, python_that_says("3.8.0"), mode=0o644)
    said = doctor(folder, env={"PATH": path})["checks"]["pythons"]
    assert said["status"] == "missing" and said["found"] == []


HOSTILE = [
    "printf 'memwatch-python \\033[2J\\377\\nmemwatch-version 3\\n\\033]0;x\\a\\n'\n",
    "printf 'memwatch-python cpython\\nmemwatch-version \\342\\200\\256\\302\\233\\n'\n",
    "printf '\\033[31mbad\\377\\n'; exit 1\n",
    "printf 'memwatch-python\\0\\n'\n",
    "echo 'memwatch-python a-name-that-is-longer-than-any'; echo memwatch-version 3\n",
]


def test_hostile_answers_and_names_reach_no_terminal(folder):
    hostile = folder / "a\033[31m\nfolder"
    hostile.mkdir()
    names = ["python3"] + [f"python3.{number}" for number in range(1, len(HOSTILE))]
    for name, script in zip(names, HOSTILE):
        shutil.copy(os.path.join(fake_python(folder, script), "python3"), hostile / name)
    env = fake_gnuplot(folder, HOSTILE[2])
    env["PATH"] = env["PATH"].replace(SYSTEM, f"{hostile}{os.pathsep}{SYSTEM}")
    text = folder.call("doctor", env=env)
    assert text.returncode == 0 and control_characters(text.stdout) == []
    assert b"does not work: exit status 1" in text.stdout
    found = doctor(folder, env=env)["checks"]["pythons"]["found"]
    assert [each["path"] for each in found[:len(names)]] == [str(hostile / name) for name in names]


# --- what goes wrong -------------------------------------------------------------------------


def test_no_place_to_write_to_is_a_failure(folder):
    result = folder.call("doctor", stdout=subprocess.DEVNULL, preexec_fn=lambda: os.close(1))
    assert result.returncode == 1
    assert "standard output" in assert_one_line(result.stderr)
    with open("/dev/full", "wb") as full:
        result = folder.call("doctor", "--json", stdout=full)
    assert result.returncode == 1
    assert "standard output" in assert_one_line(result.stderr)


def test_closed_descriptors_and_ignored_signals_change_nothing(folder):
    def close_all():
        os.close(0)
        os.close(2)
    checks = doctor(folder, preexec_fn=close_all)["checks"]
    assert checks["tracking"]["methods"]["poll"]["works"] and checks["pythons"]["status"] == "ok"
    result = subprocess.run(["sh", "-c", 'trap "" CHLD PIPE INT; exec "$0" doctor --json', MEMWATCH],
                            cwd=folder.path, env=folder.env, stdout=subprocess.PIPE, check=True)
    assert json.loads(result.stdout)["checks"]["pythons"]["status"] == "ok"


def test_what_cannot_be_tried_is_one_clear_line(open_folder, ordinary_user):
    env = {"ASAN_OPTIONS": "detect_leaks=0"}  # that starts a process of its own at the end
    result = open_folder.call("doctor", env=env, **ordinary_user,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)))
    assert result.returncode == 1 and result.stdout == b""
    assert "cannot start a process" in assert_one_line(result.stderr)


def test_a_word_too_many_is_a_usage_error(folder):
    result = folder.call("doctor", "mem.py")
    assert result.returncode == 2
    assert "mem.py" in assert_one_line(result.stderr)
