"""Files that are none, are damaged, foreign, from the future or in use: one clear line each."""

import os
import random
import sqlite3

import pytest

from conftest import (MEMWATCH, assert_one_line, execute, make_recording, program, python, query,
                      reachable_by_all, wait_for_samples)

READERS = [["show"], ["show", "--json"], ["peak"], ["functions", "--json"], ["plot", "--script"],
           ["plot", "-o", "a.txt"]]


def assert_judged(folder, name):
    """diff and check come to an end, with figures or with lines that say why not."""
    for words in (["diff", name, name], ["diff", "--json", name, name],
                  ["check", "--max-peak", "1G", "--max-growth", "1G/s", name],
                  ["check", "--json", "--max-peak", "1G", "--baseline", "good.db", name],
                  ["check", "--baseline", name, "good.db"]):
        result = folder.call(*words, timeout=30)
        assert result.returncode in ((0, 1) if words[0] == "diff" else (0, 1, 3)), result
        assert all(line.startswith("memwatch: ") for line in result.stderr.decode().splitlines())


def assert_refused(folder, name):
    """Every command that reads the file says one line and fails; rm and run leave it alone."""
    before = folder.files()
    for command in READERS:
        result = folder.call(*command, name)
        assert result.returncode == 1, (command, result)
        assert name in assert_one_line(result.stderr), command
        if command[-1] != "--json":
            assert result.stdout == b"", command
    result = folder.call("run", "-o", name, "touch", "started")
    assert result.returncode == 125
    assert name in assert_one_line(result.stderr)
    assert folder.call("list").returncode == 0
    assert folder.files() == before


def test_file_that_is_text(folder):
    (folder / "bad").write_text("Dear diary, " * 1000)
    assert_refused(folder, "bad")
    assert folder.call("rm", "bad").returncode == 1 and (folder / "bad").exists()


@pytest.mark.parametrize("length", [1, 15, 16, 50, 99, 100, 101])
def test_file_that_is_shorter_than_a_header(folder, recording, length):
    (folder / "bad").write_bytes(recording.read_bytes()[:length])
    assert_refused(folder, "bad")


def test_file_that_is_empty(folder):
    (folder / "bad").write_bytes(b"")
    for command in READERS:
        result = folder.call(*command, "bad")
        assert result.returncode == 1 and "bad" in assert_one_line(result.stderr)
    assert folder.call("rm", "bad").returncode == 1 and (folder / "bad").exists()


def test_database_of_somebody_else(folder):
    execute(folder / "bad", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
    contents = (folder / "bad").read_bytes()
    assert_refused(folder, "bad")
    assert (folder / "bad").read_bytes() == contents
    assert folder.call("rm", "bad").returncode == 1 and (folder / "bad").exists()


def test_database_of_somebody_else_with_the_same_tables(folder, recording):
    execute(recording, "PRAGMA application_id = 0")
    assert_refused(folder, "rise.db")


def test_file_of_a_future_version(folder, recording):
    execute(recording, "PRAGMA user_version = 99")
    contents = recording.read_bytes()
    assert_refused(folder, "rise.db")
    result = folder.call("show", "rise.db")
    assert "newer memwatch" in assert_one_line(result.stderr) and b"99" in result.stderr
    assert recording.read_bytes() == contents


def test_file_of_version_0_or_less(folder, recording):
    for version in (0, -1):
        execute(recording, f"PRAGMA user_version = {version}")
        assert_refused(folder, "rise.db")


def test_file_that_lacks_a_table(folder, recording):
    execute(recording, "DROP TABLE command")
    result = folder.call("show", "rise.db")
    assert result.returncode == 1 and assert_one_line(result.stderr)


def test_file_without_a_run(folder, recording):
    for table in ("sample", "series", "image", "process", "command", "run"):
        execute(recording, f"DELETE FROM {table}")
    for command in READERS:
        result = folder.call(*command, "rise.db")
        assert result.returncode == 1 and "no run" in assert_one_line(result.stderr)
    assert folder.call("list").returncode == 0


def test_folder_and_device_and_pipe(folder):
    (folder / "bad").mkdir()
    assert_refused(folder, "bad")
    os.mkfifo(folder / "pipe")
    assert_refused(folder, "pipe")  # opening it for reading would wait for a writer
    for command in READERS:
        assert folder.call(*command, "/dev/null").returncode == 1
        assert folder.call(*command, "/dev/zero").returncode == 1


def test_file_that_is_not_there(folder):
    for command in [*READERS, ["rm"]]:
        result = folder.call(*command, "gone.db")
        assert result.returncode == 1
        assert "No such file" in assert_one_line(result.stderr)
    os.symlink("nowhere", folder / "link.db")
    assert folder.call("show", "link.db").returncode == 1
    os.symlink("loop", folder / "loop")
    assert folder.call("show", "loop").returncode == 1


def test_path_that_no_file_can_have(folder):
    for name in ("x" * 5000, "", "rise.db/x", "a\nb", "rise.db:1", ":1", "-"):
        result = folder.call("show", name)
        assert result.returncode == 1, name
        assert_one_line(result.stderr)


def test_file_that_must_not_be_read(open_folder):
    make_recording(open_folder / "a.db", [(0, 10)])
    os.chmod(open_folder / "a.db", 0)
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    if user and not reachable_by_all(MEMWATCH):
        pytest.skip("the memwatch under test lies where an ordinary user cannot reach it")
    for command in (["show"], ["peak"], ["plot", "--script"]):
        result = open_folder.call(*command, "a.db", **user)
        assert result.returncode == 1
        assert "Permission denied" in assert_one_line(result.stderr)


def test_finished_recording_in_a_folder_that_cannot_be_written_can_be_read(open_folder):
    """As on a medium that is read-only, or in the folder of a colleague."""
    open_folder.record("sleep", "0.1", file="a.db")
    os.chmod(open_folder / "a.db", 0o444)
    os.chmod(open_folder.path, 0o555)
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    if user and not reachable_by_all(MEMWATCH):
        pytest.skip("the memwatch under test lies where an ordinary user cannot reach it")
    result = open_folder.call("show", "a.db", **user)
    assert result.returncode == 0, result
    assert open_folder.call("peak", "a.db", **user).returncode == 0


# --- damage ----------------------------------------------------------------------------------


def real_recording(folder):
    hold = " ".join(f"'{word}'" for word in program("touch.py", 4, 0.2))
    return folder.record("sh", "-c", f"{hold} & {hold}; wait", options=["-i", "1ms"])


def assert_answers(folder, name):
    """Each command ends by itself, with an answer or one line."""
    for command in READERS:
        result = folder.call(*command, name, timeout=30)
        assert result.returncode in (0, 1), (command, result)
        if result.returncode == 1:
            assert_one_line(result.stderr)


def test_half_a_database(folder):
    whole = real_recording(folder).read_bytes()
    for part in (512, 4095, 4096, 4097, 8192, len(whole) // 3, len(whole) // 2, len(whole) - 4096,
                 len(whole) - 1):
        (folder / "half.db").write_bytes(whole[:part])
        assert_answers(folder, "half.db")
    (folder / "half.db").write_bytes(whole[:len(whole) // 2])
    for command in READERS:
        assert folder.call(*command, "half.db").returncode == 1, command


def test_random_bytes_in_the_middle(folder):
    make_recording(folder / "good.db", [(0, 100)])
    whole = bytearray(real_recording(folder).read_bytes())
    chance = random.Random(4711)
    for _ in range(12):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 10, 200])):
            damaged[chance.randrange(100, len(damaged))] = chance.randrange(256)
        (folder / "bad.db").write_bytes(damaged)
        assert_answers(folder, "bad.db")
        assert_judged(folder, "bad.db")


def test_page_full_of_noise(folder):
    whole = real_recording(folder).read_bytes()
    chance = random.Random(1)
    for page in range(1, len(whole) // 4096, 2):
        noise = chance.randbytes(4096)
        (folder / "bad.db").write_bytes(whole[:4096 * page] + noise + whole[4096 * (page + 1):])
        result = folder.call("show", "--json", "bad.db")
        assert result.returncode in (0, 1)
        if result.returncode == 1:
            assert_one_line(result.stderr)


@pytest.mark.parametrize("statement", [
    "UPDATE sample SET kib = 9223372036854775807",
    "UPDATE sample SET kib = -9223372036854775808",
    "UPDATE sample SET dt_us = dt_us - 9223372036854000000",
    "UPDATE sample SET dt_us = dt_us + 9223372036850000000",
    "UPDATE series SET since_us = 9223372036854775807",
    "UPDATE series SET metric = 'unheard of'",
    "UPDATE run SET duration_us = -9223372036854775808",
    "UPDATE run SET duration_us = 9223372036854775807",
    "UPDATE run SET duration_us = 0",
    "UPDATE run SET interval_us = 0",
    "UPDATE run SET interval_us = -1",
    "UPDATE run SET started_ns = 9223372036854775807",
    "UPDATE run SET started_ns = -9223372036854775808",
    "UPDATE run SET ticks_due = -1, ticks_missed = -1, recorder_cpu_us = -1",
    "UPDATE run SET exit_status = 9223372036854775807",
    "UPDATE run SET outcome = 'signaled', exit_signal = 123456",
    "UPDATE run SET outcome = 'signaled', exit_signal = NULL, exit_status = NULL",
    "UPDATE run SET peak_kib = 9223372036854775807",
    "UPDATE run SET peak_kib = 0, peak_from_us = -5",
    "UPDATE run SET peak_source = NULL, peak_from_us = NULL, peak_to_us = NULL",
    "UPDATE process SET pid = 9223372036854775807, start_us = 99999999999, end_us = -5",
    "UPDATE process SET peak_kib = NULL",
    "INSERT INTO gap VALUES (1, -9223372036854775808, 9223372036854775807, 5)",
    "INSERT INTO gap VALUES (1, 900000, 100000, -5)",
    "DELETE FROM command",
    "DELETE FROM image",
    "DELETE FROM argument",
    "DELETE FROM process",
    "DELETE FROM sample",
    "UPDATE command SET value = CAST(x'ff00ff' AS TEXT)",
    "UPDATE image SET name = ''",
])
def test_numbers_and_rows_that_no_recorder_writes(folder, recording, statement):
    execute(recording, "PRAGMA foreign_keys = OFF", statement)
    for command in READERS:
        result = folder.call(*command, "rise.db", timeout=30)
        assert result.returncode in (0, 1), (command, result)
        if result.returncode == 1:
            assert_one_line(result.stderr)
    make_recording(folder / "good.db", [(0, 100)])
    assert_judged(folder, "rise.db")
    assert folder.call("list", timeout=30).returncode == 0


def test_log_beside_the_file_that_is_noise(folder, recording):
    (folder / "rise.db-wal").write_bytes(random.Random(2).randbytes(50_000))
    assert_answers(folder, "rise.db")


# --- in use ----------------------------------------------------------------------------------


@pytest.fixture
def in_progress(folder):
    process = folder.start("run", "-q", "-o", "a.db", *python("import time; time.sleep(60)"))
    wait_for_samples(folder / "a.db")
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate()


def test_recording_in_progress_can_be_looked_at(folder, in_progress):
    assert folder.last_run("a.db")["end"] == "recording"
    for command in READERS:
        result = folder.call(*command, "a.db")
        assert result.returncode == 0, result
    assert b"being recorded" in folder.call("show", "a.db").stdout
    assert b"recording" in folder.call("list").stdout
    assert in_progress.poll() is None


def test_second_recorder_into_the_same_file_is_refused_and_the_first_undisturbed(folder, in_progress):
    result = folder.call("run", "-o", "a.db", "touch", "started")
    assert result.returncode == 125
    assert "being recorded by another memwatch" in assert_one_line(result.stderr)
    assert not (folder / "started").exists()
    in_progress.terminate()
    assert in_progress.wait(60) == 128 + 15
    runs = folder.show("a.db")["runs"]
    assert len(runs) == 1 and runs[0]["end"] == "signaled"
    assert query(folder / "a.db", "PRAGMA integrity_check") == [("ok",)]


def test_many_readers_disturb_nothing(folder, in_progress):
    for _ in range(5):
        for command in (["show"], ["list"], ["peak", "a.db"]):
            assert folder.call(*command).returncode == 0
    in_progress.terminate()
    assert in_progress.wait(60) == 128 + 15
    assert in_progress.stderr.read() == b""


def test_reader_of_somebody_else_that_holds_a_snapshot_stops_no_recording(folder, in_progress):
    other = sqlite3.connect(folder / "a.db", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM sample").fetchall()
    in_progress.terminate()
    assert in_progress.wait(60) == 128 + 15
    other.close()
    assert folder.last_run("a.db")["end"] == "signaled"


def test_file_that_vanishes_while_it_is_recorded_changes_no_status(folder, in_progress):
    for name in folder.files():
        os.unlink(folder / name)
    in_progress.terminate()
    assert in_progress.wait(60) == 128 + 15
