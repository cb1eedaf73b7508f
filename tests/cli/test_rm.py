"""memwatch rm and clean: what is removed, and above all what is not."""

import os

import pytest

from conftest import execute, kill_quietly, make_recording, program, python, wait_for_samples


@pytest.fixture
def three(folder):
    for day, name in enumerate(("one.db", "two.db", "three.db")):
        make_recording(folder / name, [(0, 10)], started_ns=(1_700_000_000 + day) * 10**9)
    return folder


def test_rm_removes_files_and_numbers(three):
    result = three.call("rm", "two.db", "-1")
    assert result.returncode == 0 and result.stderr == b""
    assert result.stdout.decode().splitlines() == ["removed two.db", "removed three.db"]
    assert three.files() == ["one.db"]


def test_rm_looks_all_numbers_up_before_it_removes(three):
    assert three.call("rm", "0", "1").returncode == 0
    assert three.files() == ["three.db"]


def test_rm_of_the_same_file_twice_is_no_harm(three):
    three.call("rm", "0", "one.db", "./one.db")
    assert three.files() == ["three.db", "two.db"]


@pytest.mark.parametrize("option", ["--dry-run", "-n"])
def test_dry_run_names_all_and_removes_nothing(three, option):
    (three / "one.db-wal").write_bytes(b"")
    before = three.files()
    result = three.call("rm", option, "0")
    assert result.returncode == 0
    assert result.stdout.decode().splitlines() == ["would remove one.db-wal", "would remove one.db"]
    result = three.call("clean", option)
    assert result.returncode == 0 and result.stdout.count(b"would remove") == 4
    assert three.files() == before


def test_rm_without_a_name_removes_nothing(three):
    before = three.files()
    assert three.call("rm").returncode == 2
    assert three.call("rm", "--bogus", "0").returncode == 2
    assert three.files() == before


def test_rm_tells_what_is_not_there_and_removes_the_rest(three):
    result = three.call("rm", "gone.db", "one.db", "17")
    assert result.returncode == 1 and result.stderr.count(b"\n") == 2
    assert three.files() == ["three.db", "two.db"]


def test_clean_removes_all_recordings_with_what_sqlite_left(three):
    process = three.start("run", "-q", "-o", "killed.db", *program("breathe.py", 60))
    target = int(process.stdout.readline().split()[1])
    wait_for_samples(three / "killed.db")
    process.kill()
    kill_quietly(target)
    process.communicate()
    assert "killed.db-wal" in three.files()
    assert three.call("clean").returncode == 0
    assert three.files() == []


def foreign_files(folder):
    execute(folder / "mine.db", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
    (folder / "memwatch_20260101T000000_1.db").write_text("only named like one")
    (folder / "empty.db").write_bytes(b"")
    (folder / "folder.db").mkdir()
    (folder / "mine.db-wal").write_bytes(b"")
    os.mkfifo(folder / "pipe.db")
    return folder.files()


def test_foreign_files_are_never_touched(folder):
    foreign = foreign_files(folder)
    contents = (folder / "mine.db").read_bytes()
    make_recording(folder / "one.db", [(0, 10)])
    assert folder.call("clean").returncode == 0
    assert folder.files() == foreign
    for name in foreign:
        result = folder.call("rm", name)
        assert result.returncode == 1 and result.stderr.count(b"\n") == 1, name
    assert folder.files() == foreign and (folder / "mine.db").read_bytes() == contents


def test_clean_follows_no_link_into_another_folder(folder):
    (folder / "elsewhere").mkdir()
    make_recording(folder / "elsewhere" / "kept.db", [(0, 10)])
    os.symlink("elsewhere/kept.db", folder / "link.db")
    folder.call("clean")
    assert (folder / "elsewhere" / "kept.db").exists()


def test_clean_removes_the_pictures_that_plot_has_named_itself(folder):
    make_recording(folder / "memwatch_20260101T000000_1.db", [(0, 10)])
    make_recording(folder / "mine.db", [(0, 10)])
    pictures = ["memwatch_20260101T000000_1.png", "memwatch_20260101T000000_2.png", "mine.png"]
    for name in pictures:
        (folder / name).write_bytes(b"a picture")
    (folder / "memwatch_20260101T000000_1.svg").write_text("a picture")
    dry = folder.call("clean", "-n").stdout.decode()
    assert f"would remove {pictures[0]}\n" in dry and "_2.png" not in dry and "mine.png" not in dry
    assert folder.call("clean").returncode == 0
    assert folder.files() == ["memwatch_20260101T000000_1.svg", *pictures[1:]]


def test_single_run_cannot_be_removed(three):
    result = three.call("rm", "one.db:1")
    assert result.returncode == 1 and "one.db" in three.files()
    assert result.stderr == b"memwatch: one.db:1 is a single run: rm removes whole files\n"
    assert b"No such file" in three.call("rm", "gone.db:1").stderr


def test_clean_takes_no_names(three):
    result = three.call("clean", "one.db")
    assert result.returncode == 2 and len(three.files()) == 3


def test_damaged_recording_can_be_removed(three):
    whole = (three / "one.db").read_bytes()
    (three / "one.db").write_bytes(whole[:5000])
    assert three.call("rm", "one.db").returncode == 0
    assert "one.db" not in three.files()


def test_recording_in_progress_is_never_removed(folder):
    make_recording(folder / "old.db", [(0, 10)])
    process = folder.start("run", "-q", "-o", "new.db", *python("import time; time.sleep(60)"))
    wait_for_samples(folder / "new.db")
    for words, status in ((["rm", "new.db"], 1), (["rm", "-1"], 1), (["clean", "--dry-run"], 0),
                          (["clean"], 0)):
        result = folder.call(*words)
        assert result.returncode == status and b"new.db is being recorded" in result.stderr
        assert (folder / "new.db").exists() and (folder / "new.db-wal").exists()
    assert not (folder / "old.db").exists()
    process.terminate()
    process.communicate()
    assert folder.last_run("new.db")["end"] == "signaled"
    assert folder.call("clean").returncode == 0 and folder.files() == []


def test_name_that_begins_with_a_dash_can_be_removed(folder):
    make_recording(folder / "-n", [(0, 10)])
    assert folder.call("rm", "--", "-n").returncode == 0
    assert folder.files() == []
