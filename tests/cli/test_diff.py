"""memwatch diff: two recordings side by side, in figures and in a picture."""

import json
import re
import sqlite3

import pytest

from conftest import (assert_one_line, control_characters, execute, make_recording, program,
                      wait_for_samples)
from functions import Call, add_functions

SIDE_KEYS = {"file", "run", "command", "started", "duration_s", "end", "peak", "mean_bytes",
             "final_bytes", "growth_bytes_per_s"}
MIB = 1 << 20


def ramp(path, highest_kib, seconds=20, **options):
    """A recording that rises evenly from nothing."""
    steps = 100
    return make_recording(path, [(seconds * 1_000_000 * step // steps, highest_kib * step // steps)
                                 for step in range(steps + 1)],
                          duration_us=seconds * 1_000_000 + 10_000, **options)


def diff(folder, *operands):
    result = folder.call("diff", "--json", *operands)
    assert result.returncode == 0 and result.stderr == b"", result
    return json.loads(result.stdout)


def row(text, label):
    line, = [line for line in text.splitlines() if line.startswith(label)]
    return re.split(r" {2,}", line.strip())


@pytest.fixture
def two(folder):
    """A rise to 100 MiB, and one to 108 MiB."""
    ramp(folder / "a.db", 100 << 10)
    ramp(folder / "b.db", 108 << 10, started_ns=1_700_000_100_000_000_000)
    return folder


def test_text_has_both_and_the_change(two):
    result = two.call("diff", "a.db", "b.db")
    assert result.returncode == 0 and result.stderr == b""
    text = result.stdout.decode()
    assert text.startswith("A  a.db  program: exited with 0 after 20.0 s\nB  b.db  program: ")
    assert row(text, "peak") == ["peak", "100 MiB", "108 MiB", "+8 MiB", "+8.0 %"]
    assert row(text, "final")[3:] == ["+7.76 MiB", "+8.0 %"]
    assert row(text, "growth") == ["growth", "5.00 MiB/s", "5.40 MiB/s", "+410 KiB/s"]
    assert "at most" not in text and "function" not in text


def test_json_has_exactly_the_promised_keys(two):
    answer = diff(two, "a.db", "b.db")
    assert set(answer) == {"a", "b", "change", "functions"}
    assert set(answer["a"]) == set(answer["b"]) == SIDE_KEYS
    assert (answer["a"]["file"], answer["b"]["file"]) == ("a.db", "b.db")
    assert answer["a"]["peak"]["bytes"] == 100 * MIB and answer["a"]["command"] == ["program"]
    change = answer["change"]
    assert set(change) == {"peak", "mean", "final", "growth"}
    assert change["peak"]["bytes"] == 8 * MIB
    for figure in change.values():
        assert figure["relative"] == pytest.approx(0.08, abs=1e-3)
    assert answer["b"]["mean_bytes"] == pytest.approx(54 * MIB, rel=0.02)
    assert answer["b"]["growth_bytes_per_s"] == pytest.approx(5.4 * MIB, rel=0.01)
    assert answer["functions"] == []


def test_order_is_that_of_the_command_line(two):
    assert diff(two, "b.db", "a.db")["change"]["peak"]["bytes"] == -8 * MIB
    assert row(two.call("diff", "b.db", "a.db").stdout.decode(), "peak")[3] == "-8 MiB"


def test_recording_differs_in_nothing_from_itself(two):
    answer = diff(two, "a.db", "a.db")
    assert answer["a"] == answer["b"]
    assert all(figure["relative"] == 0 for figure in answer["change"].values())


def test_what_is_not_named_is_the_newest_and_the_one_before(two):
    ramp(two / "older.db", 50 << 10, started_ns=1_600_000_000_000_000_000)
    assert [diff(two)[side]["file"] for side in "ab"] == ["a.db", "b.db"]
    assert [diff(two, "older.db")[side]["file"] for side in "ab"] == ["older.db", "b.db"]
    assert [diff(two, "0", "-2")[side]["file"] for side in "ab"] == ["older.db", "a.db"]


def test_runs_of_one_file(folder):
    for mib in (10, 30):
        folder.record(*program("touch.py", mib, 0.1))
    answer = diff(folder, "run.db:1", "run.db")
    assert (answer["a"]["run"], answer["b"]["run"]) == (1, 2)
    assert 19 * MIB < answer["change"]["peak"]["bytes"] < 22 * MIB
    text = folder.call("diff", "run.db:1", "run.db").stdout.decode()
    assert text.startswith("A  run.db:1  ") and "\nB  run.db  " in text


def test_upper_bounds_are_shown_where_they_are_known(two):
    execute(two / "b.db", f"UPDATE run SET peak_upper_kib = {112 << 10}")
    text = two.call("diff", "a.db", "b.db").stdout.decode()
    assert row(text, "  at most") == ["at most", "-", "112 MiB"]


def test_memory_that_is_freed_at_the_end_is_not_the_final_one(folder):
    """A program that ends is often sampled in the middle of it."""
    samples = [(0, 1000), (500_000, 80 << 10), (9_990_000, 3000)]
    make_recording(folder / "a.db", samples, duration_us=10_000_000)
    assert diff(folder, "a.db", "a.db")["a"]["final_bytes"] == 80 * MIB


def test_growth_of_a_moment_is_not_known(folder, recording):
    execute(recording, "UPDATE run SET duration_us = 900000")
    answer = diff(folder, "rise.db", "rise.db")
    assert answer["a"]["growth_bytes_per_s"] is None
    assert answer["change"]["growth"] == {"bytes_per_s": None, "relative": None}
    assert row(folder.call("diff", "rise.db", "rise.db").stdout.decode(), "growth") == [
        "growth", "-", "-", "-"]


def test_what_a_short_program_held_before_its_end_is_not_known(folder):
    samples = [(0, 1000), (100_000, 53 << 10), (290_000, 29 << 10)]
    make_recording(folder / "a.db", samples, duration_us=300_000)
    make_recording(folder / "b.db", samples, duration_us=300_000, outcome="detached")
    answer = diff(folder, "a.db", "b.db")
    assert answer["a"]["final_bytes"] is None and answer["b"]["final_bytes"] == 29 * MIB
    assert row(folder.call("diff", "a.db", "a.db").stdout.decode(), "final") == ["final", "-", "-", "-"]


def test_gap_does_not_count(folder):
    samples = [(0, 10 << 10), (10_000_000, 10 << 10)]
    make_recording(folder / "a.db", [*samples, (10_000_001, 1 << 20), (20_000_000, 10 << 10)],
                   duration_us=30_000_000, gap=(10_000_001, 20_000_000, 999))
    assert diff(folder, "a.db", "a.db")["a"]["mean_bytes"] == pytest.approx(10 * MIB, rel=0.001)


def test_program_that_was_never_sampled_is_shown_as_such(folder, recording):
    make_recording(folder / "a.db", [(0, 100)])
    execute(folder / "a.db", "UPDATE run SET peak_kib = NULL", "DELETE FROM sample")
    answer = diff(folder, "a.db", "rise.db")
    assert answer["a"]["peak"] is answer["a"]["mean_bytes"] is answer["a"]["final_bytes"] is None
    assert answer["change"]["peak"] == {"bytes": None, "relative": None}
    text = folder.call("diff", "a.db", "rise.db").stdout.decode()
    assert row(text, "peak") == ["peak", "-", "20 MiB", "-"]


# --- functions -------------------------------------------------------------------------------


def functions_of(answer):
    """Which function was found where: names with the line in A and in B."""
    return [(pair["name"], pair["a"] and pair["a"]["line"], pair["b"] and pair["b"]["line"])
            for pair in answer["functions"]]


def move(path, *changes):
    """Gives functions, by id, a file and a line."""
    database = sqlite3.connect(path)
    database.executemany("UPDATE function SET file = ?, line = ? WHERE id = ?", changes)
    database.commit()
    database.close()


def test_functions_are_paired_by_name_the_largest_change_first(two):
    calls = [Call(name, 0, 1000) for name in ("load", "sort", "gone")]
    add_functions(two / "a.db", calls, {"load": 1000, "sort": 2000, "gone": 10})
    calls = [Call(name, 0, 1000) for name in ("new", "sort", "load")]
    add_functions(two / "b.db", calls, {"load": 9000, "sort": 2100, "new": 3000})
    answer = diff(two, "a.db", "b.db")
    assert functions_of(answer) == [("load", 1, 3), ("new", None, 1), ("sort", 2, 2),
                                    ("gone", 3, None)]
    assert answer["functions"][0]["change"]["peak"] == {"bytes": 8000 << 10, "relative": 8.0}
    assert answer["functions"][1]["change"]["peak"] == {"bytes": None, "relative": None}
    text = two.call("diff", "a.db", "b.db").stdout.decode()
    assert text.index("  load") < text.index("  new") < text.index("  sort") < text.index("  gone")
    assert "0.977 MiB     8.79 MiB    +7.81 MiB  +800.0 %" in text


def test_functions_of_one_name_are_paired_by_file_wherever_it_lies(two):
    """A build in another folder, and lines that moved, do not part them."""
    add_functions(two / "a.db", [Call("x", 0, 10), Call("y", 0, 10), Call("z", 0, 10)])
    add_functions(two / "b.db", [Call("x", 0, 10), Call("y", 0, 10)])
    for name in ("a.db", "b.db"):
        execute(two / name, "UPDATE function SET name = 'step'")
    move(two / "a.db", ("/old/one.c", 10, 1), ("/old/two.c", 20, 2), ("/old/two.c", 30, 3))
    move(two / "b.db", ("/new/two.c", 21, 1), ("/new/three.c", 40, 2))
    assert sorted(functions_of(diff(two, "a.db", "b.db")), key=str) == [
        ("step", 10, None), ("step", 20, 21), ("step", 30, None), ("step", None, 40)]


def test_only_function_of_a_name_may_move_to_another_file(two):
    add_functions(two / "a.db", [Call("step", 0, 10)])
    add_functions(two / "b.db", [Call("step", 0, 10)])
    move(two / "b.db", ("elsewhere.c", 77, 1))
    assert functions_of(diff(two, "a.db", "b.db")) == [("step", 1, 77)]


def test_many_functions_are_cut_in_text_alone(two):
    names = [f"function_{number}" for number in range(100)]
    for file, factor in (("a.db", 1), ("b.db", 2)):
        add_functions(two / file, [Call(name, 0, 10) for name in names],
                      {name: 100 * factor * number for number, name in enumerate(names)})
    assert len(diff(two, "a.db", "b.db")["functions"]) == 100
    text = two.call("diff", "a.db", "b.db").stdout.decode()
    assert text.count("function_") == 30 and "function_99" in text and "70 that changed less" in text


def test_names_cannot_harm_a_terminal(two):
    add_functions(two / "b.db", [Call("evil\x1b[2J\n\u202ename", 0, 10)])
    execute(two / "a.db", "UPDATE command SET value = CAST(x'1b5b324a0aff' AS TEXT)")
    text = two.call("diff", "a.db", "b.db").stdout
    assert control_characters(text) == [] and b"evil" in text
    assert diff(two, "a.db", "b.db")["functions"][0]["name"].startswith("evil\x1b")


# --- the picture -----------------------------------------------------------------------------


def test_picture_lays_both_over_each_other(two):
    result = two.call("diff", "a.db", "b.db", "-o", "both.gp")
    assert result.returncode == 0 and b"+8 MiB" in result.stdout
    script = (two / "both.gp").read_text()
    assert "A: program (a)" in script and "B: program (b)" in script
    assert "peak 100 MiB in A, 108 MiB in B (+8.0 %)" in script


@pytest.mark.parametrize("name, start", [("both.png", b"\x89PNG"), ("both.svg", b"<?xml"),
                                         ("both.txt", b"")])
def test_picture_is_drawn_beside_the_figures(two, gnuplot, name, start):
    result = two.call("diff", "--json", "a.db", "b.db", "-o", name)
    assert result.returncode == 0 and result.stderr == b""
    assert json.loads(result.stdout)["change"]
    assert (two / name).read_bytes().startswith(start) and (two / name).stat().st_size > 500


def test_picture_of_an_unknown_kind_is_told_before_anything(two):
    result = two.call("diff", "a.db", "b.db", "-o", "both.jpeg")
    assert result.returncode == 2 and result.stdout == b""
    assert ".svg" in assert_one_line(result.stderr)


def test_picture_that_cannot_be_drawn_fails(two):
    result = two.call("diff", "a.db", "b.db", "-o", "nowhere/both.gp")
    assert result.returncode == 1 and b"peak" in result.stdout
    assert "nowhere" in assert_one_line(result.stderr)


# --- bad input -------------------------------------------------------------------------------


def test_more_than_two_is_told(two):
    result = two.call("diff", "a.db", "b.db", "c.db")
    assert result.returncode == 2 and "c.db" in assert_one_line(result.stderr)


def test_file_that_is_none_is_told_on_either_side(two):
    (two / "bad").write_text("no database")
    for name in ("bad", "gone.db", "a.db:7", "99"):
        for operands in ((name, "a.db"), ("a.db", name)):
            result = two.call("diff", *operands)
            assert result.returncode == 1 and result.stdout == b""
            assert name.split(":")[0] in assert_one_line(result.stderr)


def test_folder_with_one_recording_has_nothing_to_compare(folder, recording):
    result = folder.call("diff")
    assert result.returncode == 1 and "this folder has 1" in assert_one_line(result.stderr)


def test_run_that_is_being_recorded_or_was_cut_off_is_said_to_be(two):
    execute(two / "b.db", "UPDATE run SET outcome = 'recording', exit_status = NULL")
    assert "aborted" in two.call("diff", "a.db", "b.db").stdout.decode()
    recorder = two.start("run", "-q", "-o", "live.db", "sleep", "60")
    try:
        wait_for_samples(two / "live.db")
        text = two.call("diff", "a.db", "live.db").stdout.decode()
        assert "being recorded" in text and row(text, "peak")[2].endswith("iB")
    finally:
        recorder.terminate()
        recorder.communicate()
