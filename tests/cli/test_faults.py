"""Folders that cannot be written and disks that are full: the target's status comes through."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from conftest import MEMWATCH, PATIENCE_S, PYTHON, PROGRAMS, Folder, assert_one_line, python


def test_folder_that_is_not_writable_costs_the_recording_alone(open_folder, ordinary_user):
    os.chmod(open_folder.path, 0o555)
    for options in ([], ["-o", "a.db"]):
        result = open_folder.call("run", *options, "sh", "-c", "echo ran; exit 7", **ordinary_user)
        assert result.returncode == 7 and result.stdout == b"ran\n"
        assert "unrecorded" in assert_one_line(result.stderr)
    assert open_folder.files() == []


def test_file_that_is_not_writable_costs_the_recording_alone(open_folder, ordinary_user):
    open_folder.record("true", file="a.db")
    os.chmod(open_folder / "a.db", 0o444)
    result = open_folder.call("run", "-o", "a.db", "sh", "-c", "exit 7", **ordinary_user)
    assert result.returncode == 7 and assert_one_line(result.stderr)
    assert len(open_folder.show("a.db")["runs"]) == 1


def test_target_that_runs_unrecorded_gets_its_signals(open_folder, ordinary_user):
    os.chmod(open_folder.path, 0o555)
    process = open_folder.start("run", *python("import time; print(1, flush=True); time.sleep(60)"),
                                **ordinary_user)
    process.stdout.readline()
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    process.communicate()


def test_program_that_is_nowhere_is_127_though_a_folder_of_path_is_closed(open_folder, ordinary_user):
    """As a shell says it: a folder that cannot be searched holds nothing that could be executed."""
    (open_folder / "closed").mkdir(mode=0)
    env = {"PATH": str(open_folder / "closed") + os.pathsep + open_folder.env["PATH"]}
    result = open_folder.call("run", "no-such-program", env=env, **ordinary_user)
    os.chmod(open_folder / "closed", 0o755)
    assert result.returncode == 127 and "not found" in assert_one_line(result.stderr)


def test_picture_in_a_folder_that_is_not_writable_is_told(open_folder, ordinary_user, gnuplot):
    open_folder.record("sleep", "0.1", file="a.db")
    os.chmod(open_folder.path, 0o555)
    for words in ([], ["-o", "b.png"], ["-o", "b.gp"]):
        result = open_folder.call("plot", *words, **ordinary_user)
        assert result.returncode == 1
        assert "Permission denied" in assert_one_line(result.stderr)


def test_recording_that_must_not_be_removed_is_told(open_folder, ordinary_user):
    open_folder.record("true", file="a.db")
    os.chmod(open_folder.path, 0o555)
    for words in (["rm", "a.db"], ["clean"]):
        result = open_folder.call(*words, **ordinary_user)
        assert result.returncode == 1
        assert "cannot remove a.db" in assert_one_line(result.stderr)
    assert (open_folder / "a.db").exists()


def test_current_folder_that_is_gone_is_told_or_borne(folder):
    gone = folder / "gone"
    gone.mkdir()
    words = 'cd gone && rmdir ../gone && "$@"'
    for command, expected in ((["list"], (0, 1)), (["show"], (1,)), (["clean"], (0, 1)),
                              (["run", "-q", "sh", "-c", "exit 7"], (7, 125))):
        gone.mkdir(exist_ok=True)
        result = subprocess.run(["sh", "-c", words, "sh", MEMWATCH, *command], cwd=folder.path,
                                env=folder.env, capture_output=True, check=False, timeout=PATIENCE_S)
        assert result.returncode in expected, (command, result)


# --- a disk that is full ---------------------------------------------------------------------

# Runs in a mount name space of its own, so that nothing is left behind whatever happens.
ON_A_SMALL_DISK = """
mkdir disk && mount -t tmpfs -o size=$SIZE memwatch-test disk || exit 99
cd disk || exit 98
[ -z "$FILL" ] || head -c "$FILL" /dev/zero > ballast
"$@" > ../stdout 2> ../stderr
echo $? > ../status
for command in show list peak; do
    "$MEMWATCH" $command > ../$command 2> ../$command.stderr
    echo $? > ../$command.status
done
"$MEMWATCH" show --json > ../show.json 2> /dev/null
ls > ../files
cp *.db* .. 2> /dev/null
exit 0
"""


def on_a_small_disk(folder, size, *words, fill=""):
    """Calls memwatch on a tmpfs of that size; returns its status, stdout and stderr."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare to make a small disk with")
    name_space = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    env = {**folder.env, "SIZE": size, "FILL": fill, "MEMWATCH": MEMWATCH}
    result = subprocess.run([*name_space, "sh", "-c", ON_A_SMALL_DISK, "sh", MEMWATCH, *words],
                            cwd=folder.path, env=env, check=False, capture_output=True,
                            timeout=PATIENCE_S)
    if result.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {result.stderr.decode().strip()}")
    return (int((folder / "status").read_text()), (folder / "stdout").read_bytes(),
            (folder / "stderr").read_bytes())


@pytest.mark.parametrize("size, fill", [("4k", ""), ("16k", ""), ("128k", "131072"), ("64k", "40960"),
                                        ("100k", "")])
def test_disk_that_is_full_from_the_start_costs_the_recording_alone(folder, size, fill):
    status, output, errors = on_a_small_disk(
        folder, size, "run", "-q", "-o", "a.db", "sh", "-c", "echo ran; sleep 0.5; exit 7", fill=fill)
    assert status == 7 and output == b"ran\n"
    assert "disk is full" in assert_one_line(errors)


def test_disk_that_fills_up_while_recording_keeps_what_was_recorded(folder):
    status, output, errors = on_a_small_disk(
        folder, "240k", "run", "-q", "-i", "200us", "-o", "a.db", PYTHON, "-I", "-S",
        str(PROGRAMS / "breathe.py"), "4")
    assert status == 0 and output.startswith(b"ready")
    assert "disk is full" in assert_one_line(errors)
    assert "goes on" in errors.decode()
    assert (folder / "show.status").read_text() == "0\n", (folder / "show.stderr").read_text()
    run, = json.loads((folder / "show.json").read_text())["runs"]
    assert run["end"] == "aborted" and run["duration_s"] > 0 and run["peak"]["bytes"] > 1 << 20
    assert (folder / "peak.status").read_text() == "0\n"
    assert Folder(folder.path).last_run("a.db")["ticks_taken"] == run["ticks_taken"]


def test_disk_that_fills_up_and_the_target_ends_badly(folder):
    code = ("import runpy, sys; sys.argv = ['x', '3']\n"
            f"runpy.run_path({str(PROGRAMS / 'breathe.py')!r}); raise SystemExit(9)")
    status, _, errors = on_a_small_disk(folder, "200k", "run", "-i", "200us", "-o", "a.db",
                                        *python(code))
    assert status == 9
    assert errors.count(b"memwatch: ") == 1 and errors.startswith(b"memwatch: ")


def test_picture_on_a_full_disk_leaves_nothing_half_drawn(folder, gnuplot, recording):
    status, _, errors = on_a_small_disk(folder, "8k", "plot", "-o", "a.png", str(recording))
    assert status == 1 and assert_one_line(errors)
    assert (folder / "files").read_text() == ""
