"""memwatch plot: what is drawn, into which file, and what happens when drawing fails."""

import os
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import (assert_one_line, control_characters, execute, fake_gnuplot, make_recording,
                      program, wait_for_samples, wait_until)

pytestmark = pytest.mark.usefixtures("gnuplot")


def draw(folder, name, *words, **options):
    """Draws into a file and returns its bytes."""
    result = folder.call("plot", "-o", name, *words, **options)
    assert result.returncode == 0, result
    assert result.stdout == b"" and result.stderr == b"", result
    return (folder / name).read_bytes()


# --- formats ---------------------------------------------------------------------------------


def test_png_is_a_picture_of_a_sensible_size(folder, recording):
    data = draw(folder, "a.png", "rise.db")
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", data[16:24])
    assert 600 <= width <= 4000 and 300 <= height <= 3000


def test_svg_is_well_formed_self_contained_and_interactive(folder, recording):
    data = draw(folder, "a.svg", "rise.db")
    root = xml.etree.ElementTree.fromstring(data)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = data.decode()
    assert "<script" in text and "<title>" in text
    # Nothing is loaded from elsewhere: the only addresses are names of name spaces.
    addresses = re.findall(r'(?:href|src)\s*=\s*["\'](?!#|data:)([^"\']*)', text)
    assert addresses == []


def test_pdf_is_whole(folder, recording):
    data = draw(folder, "a.pdf", "rise.db")
    assert data.startswith(b"%PDF-") and b"%%EOF" in data[-32:]


def test_txt_is_a_drawing_without_control_characters(folder, recording):
    data = draw(folder, "a.txt", "rise.db")
    assert control_characters(data) == []
    text = data.decode()
    assert 10 <= len(text.splitlines()) <= 60 and "MiB" in text and "20 MiB" in text


def test_gp_is_the_script_and_draws_a_png_beside_it(folder, recording, gnuplot):
    draw(folder, "a.gp", "rise.db")
    subprocess.run([gnuplot, "-d", "a.gp"], cwd=folder.path, check=True)
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name, start", [("b.svg", b"<?xml"), ("b.pdf", b"%PDF"), ("b.png", b"\x89PNG")])
def test_script_into_gnuplot_really_draws(folder, recording, gnuplot, name, start):
    script = folder.call("plot", "--script", "-o", name, "rise.db").stdout
    assert not (folder / name).exists()
    subprocess.run([gnuplot], cwd=folder.path, input=script, check=True)
    assert (folder / name).read_bytes().startswith(start)


def test_script_without_a_name_draws_beside_the_recording(folder, recording, gnuplot):
    script = folder.call("plot", "--script").stdout
    subprocess.run([gnuplot], cwd=folder.path, input=script, check=True)
    assert (folder / "rise.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["a.xyz", "a", "png", "a.png.gz", ".", "a.PNGX"])
def test_extension_that_is_unknown_is_a_usage_error(folder, recording, name):
    result = folder.call("plot", "-o", name, "rise.db")
    assert result.returncode == 2
    assert ".svg" in assert_one_line(result.stderr)
    assert folder.files() == ["rise.db"]


@pytest.mark.parametrize("words", [["--total", "--processes"], ["--metric", "anon"], ["-w", "5"],
                                   ["-w", "5,2"], ["-w", "a,b"], ["-w", "1,1"], ["-w", "-1,2"],
                                   ["--bogus"], ["-t"], ["-w", "0,1e-12"]])
def test_call_that_makes_no_sense_is_2_with_one_line(folder, recording, words):
    result = folder.call("plot", "rise.db", *words)
    assert result.returncode == 2
    assert "memwatch plot -h" in assert_one_line(result.stderr)
    assert folder.files() == ["rise.db"]


# --- where it goes ---------------------------------------------------------------------------


def test_without_display_and_terminal_a_png_lies_beside_the_file_and_is_named(folder, recording):
    result = folder.call("plot")
    assert result.returncode == 0 and result.stdout == b""
    assert "rise.png" in assert_one_line(result.stderr)
    assert (folder / "rise.png").read_bytes().startswith(b"\x89PNG")


def test_png_lies_beside_a_file_in_another_folder(folder):
    (folder / "other.place").mkdir()
    make_recording(folder / "other.place" / "no_extension", [(0, 10), (10_000, 20)])
    assert folder.call("plot", "other.place/no_extension").returncode == 0
    assert (folder / "other.place" / "no_extension.png").exists()


def test_output_folder_that_is_not_there_is_told(folder, recording):
    result = folder.call("plot", "-o", "nowhere/a.png")
    assert result.returncode == 1
    assert "nowhere/a.png" in assert_one_line(result.stderr)


def test_picture_takes_the_place_of_an_older_one_and_keeps_a_link(folder, recording):
    (folder / "old.png").write_bytes(b"old")
    os.symlink("old.png", folder / "link.png")
    draw(folder, "link.png", "rise.db")
    assert (folder / "link.png").is_symlink()
    assert (folder / "old.png").read_bytes().startswith(b"\x89PNG")


def test_output_into_a_full_device_is_told(folder, recording):
    os.symlink("/dev/full", folder / "full.png")
    result = folder.call("plot", "-o", "full.png")
    assert result.returncode == 1 and assert_one_line(result.stderr)


def test_picture_gets_the_rights_of_any_new_file(folder, recording):
    draw(folder, "a.png", "rise.db")
    (folder / "plain").write_text("")
    assert (folder / "a.png").stat().st_mode == (folder / "plain").stat().st_mode


# --- what is drawn ---------------------------------------------------------------------------


def picture_text(folder, *words):
    """The words in a picture, from its SVG."""
    root = xml.etree.ElementTree.fromstring(draw(folder, "words.svg", *words))
    return " ".join(" ".join(element.itertext()) for element in root.iter()
                    if element.tag.endswith("}text"))


def test_title_is_the_command_or_what_the_user_says(folder):
    make_recording(folder / "a.db", [(0, 100), (10_000, 200)], command=("job", "--fast"))
    assert "job --fast" in picture_text(folder, "a.db")
    assert "my title" in picture_text(folder, "-t", "my title", "a.db")
    assert "job --fast" not in picture_text(folder, "-t", "my title", "a.db")


def test_peak_is_labelled_with_value_and_time(folder):
    make_recording(folder / "a.db", [(0, 1024), (300_000, 35 << 10), (310_000, 1024), (900_000, 2048)])
    text = picture_text(folder, "a.db")
    assert "35 MiB at 300 ms" in text
    assert "program (4711)" in text


@pytest.mark.parametrize("owner", ["process", "tree"])
def test_peak_that_no_sample_has_is_that_of_show(folder, owner):
    """As marks of functions see it."""
    make_recording(folder / "a.db", [(10_000 * n, 20_480) for n in range(100)])
    peak = "SET peak_kib = 81920, peak_from_us = 400000, peak_to_us = 500000"
    execute(folder / "a.db", f"UPDATE run {peak}")
    if owner == "process":
        execute(folder / "a.db", f"UPDATE process {peak}")
    else:
        execute(folder / "a.db", "UPDATE run SET children = 'sum'", "UPDATE series SET process = NULL")
    words = "80 MiB between 400 ms and 500 ms"
    assert words in folder.call("peak", "a.db").stdout.decode()
    assert words in picture_text(folder, "a.db")
    assert words in picture_text(folder, "-w", "0.4,0.5", "a.db")
    assert words in picture_text(folder, "a.db", "a.db")
    for part in (["-w", "0.45,"], ["-w", ",0.45"], ["--metric", "shared"]):
        assert words not in picture_text(folder, *part, "a.db")
    execute(folder / "a.db", "UPDATE run SET peak_kib = 10", "UPDATE process SET peak_kib = 10")
    assert "20 MiB at 0 s" in picture_text(folder, "a.db")


def test_window_draws_that_part_and_its_own_peak(folder):
    samples = [(0, 1024), (300_000, 35 << 10), (400_000, 1024), (1_500_000, 9 << 10), (1_600_000, 512),
               (3_000_000, 600)]
    make_recording(folder / "a.db", samples)
    for window in ("1,2", "1s,2000ms", "1e0,2.0"):
        text = picture_text(folder, "-w", window, "a.db")
        assert re.search("9 MiB at 1.50? s", text) and "35 MiB" not in text
    assert "35 MiB at 300 ms" in picture_text(folder, "-w", ",1", "a.db")
    assert re.search("9 MiB at 1.50? s", picture_text(folder, "-w", "1.2,", "a.db"))
    # What held when the window began is in it.
    assert "35 MiB at 350 ms" in picture_text(folder, "-w", "0.35,0.5", "a.db")


def test_window_behind_the_end_is_told(folder, recording):
    result = folder.call("plot", "-w", "100,200", "-o", "a.png")
    assert result.returncode == 1 and "after the end" in assert_one_line(result.stderr)
    assert folder.files() == ["rise.db"]


def test_recording_of_one_moment_is_told_as_that(folder):
    make_recording(folder / "a.db", [(0, 100)])
    execute(folder / "a.db", "UPDATE run SET duration_us = 0", "UPDATE process SET end_us = 0")
    for words in ([], ["-w", "0,1"], ["-w", "1,2"]):
        result = folder.call("plot", *words, "-o", "a.png")
        text = assert_one_line(result.stderr)
        assert result.returncode == 1 and "one moment alone" in text and "window" not in text
    assert folder.files() == ["a.db"]


@pytest.mark.parametrize("step_kib, unit_text", [(64, "6.25 MiB/s"), (-64, "-6.25 MiB/s"),
                                                 (0, "0 B/s"), (1, "100 KiB/s")])
def test_slope_of_a_known_rise_is_right(folder, step_kib, unit_text):
    samples = [(10_000 * tick, 100_000 + step_kib * tick) for tick in range(1001)]
    make_recording(folder / "a.db", samples, duration_us=10_010_000)
    text = picture_text(folder, "--slope", "a.db")
    number, unit = unit_text.split()
    found = re.search(r"slope (-?[\d.]+) (\w+/\w+)", text)
    assert found and found[2] == unit, text
    assert float(found[1]) == pytest.approx(float(number), rel=0.01, abs=0.001)
    assert "slope" not in picture_text(folder, "a.db")


def test_slope_of_a_slow_leak_has_a_unit_that_suits_it(folder):
    samples = [(60_000_000 * minute, 100_000 + 10 * minute) for minute in range(601)]
    make_recording(folder / "a.db", samples, duration_us=60_000_000 * 601)
    assert "slope 600 KiB/h" in picture_text(folder, "--slope", "a.db")


def test_slope_counts_time_and_not_samples(folder):
    """A thousand samples in the first second, and one at its end: the line follows the hours."""
    samples = [(1000 * tick, 1000 + tick % 2) for tick in range(1000)] + [(100_000_000, 101_000)]
    make_recording(folder / "a.db", samples, duration_us=200_000_000)
    found = re.search(r"slope (-?[\d.]+) MiB/min", picture_text(folder, "--slope", "a.db"))
    # A step of 100,000 KiB in the middle of 200 s: 1.5 * step / length, in closed form.
    assert float(found[1]) == pytest.approx(1.5 * 100_000 / 1024 / 200 * 60, rel=0.02)


def test_several_recordings_overlay_from_their_starts(folder):
    make_recording(folder / "a.db", [(0, 1024), (10_000, 3 << 10)], command=("old",))
    make_recording(folder / "b.db", [(0, 1024), (20_000, 5 << 10)], command=("new",),
                   started_ns=1_800_000_000 * 10**9)
    text = picture_text(folder, "a.db", "b.db")
    for word in ("1: old (a)", "2: new (b)", "3 MiB at 10 ms", "5 MiB at 20 ms"):
        assert word in text, word
    assert picture_text(folder, "0", "-1") == text
    assert "5 MiB" not in picture_text(folder, "-2")
    assert "5 MiB" in picture_text(folder, "-1") and "5 MiB" in picture_text(folder)


@pytest.mark.parametrize("option", ["--leak", "--flame", "--processes"])
def test_what_one_recording_alone_can_show_is_refused_for_several(folder, option, recording):
    result = folder.call("plot", option, "-o", "a.png", recording, recording)
    assert result.returncode == 2 and option in assert_one_line(result.stderr)


def test_overlay_fails_when_one_is_not_there(folder, recording):
    result = folder.call("plot", "-o", "a.png", "rise.db", "gone.db")
    assert result.returncode == 1 and "gone.db" in assert_one_line(result.stderr)
    assert folder.files() == ["rise.db"]


def test_total_and_processes_choose_the_curves(folder):
    hold = " ".join(f"'{word}'" for word in program("touch.py", 8, 0.4))
    folder.record("sh", "-c", f"{hold} & {hold}; wait")
    every = picture_text(folder, "run.db")
    assert "all processes" in every and "sh (" in every and "python" in every
    total = picture_text(folder, "--total", "run.db")
    assert "all processes" in total and "sh (" not in total
    single = picture_text(folder, "--processes", "run.db")
    assert "all processes" not in single and "sh (" in single


def test_metric_shared_draws_another_curve(folder):
    folder.record(*program("touch.py", 30, 0.2))
    assert picture_text(folder, "--metric", "rss", "run.db") == picture_text(folder, "run.db")
    assert picture_text(folder, "--metric", "shared", "run.db") != picture_text(folder, "run.db")


def test_gap_is_shaded(folder):
    samples = [(0, 1024), (100_000, 2048), (900_000, 3072), (1_000_000, 2000)]
    make_recording(folder / "a.db", samples)
    make_recording(folder / "b.db", samples, gap=(100_000, 900_000, 80))
    scripts = [folder.call("plot", "--script", name).stdout for name in ("a.db", "b.db")]
    assert b"gap" not in scripts[0] and b"gap" in scripts[1]
    draw(folder, "b.png", "b.db")


def test_recording_of_a_million_values_is_drawn_with_its_one_spike(folder):
    samples = [(tick, 1000 + tick % 7) for tick in range(300_000)]
    samples[123_456] = (123_456, 777 << 10)
    make_recording(folder / "a.db", samples)
    script = folder.call("plot", "--script", "a.db").stdout
    assert len(script) < 1_000_000
    assert "777 MiB at 123 ms" in picture_text(folder, "a.db")


def test_recording_in_progress_can_be_drawn(folder):
    process = folder.start("run", "-q", "-o", "a.db", *program("breathe.py", 60))
    wait_for_samples(folder / "a.db", 10)
    assert draw(folder, "a.png", "a.db").startswith(b"\x89PNG")
    assert process.poll() is None
    process.terminate()
    process.communicate()


# --- events ----------------------------------------------------------------------------------


def add_events(path, events):
    """Adds events that are (microseconds, kind, name, note)."""
    database = sqlite3.connect(path)
    database.executemany("INSERT INTO event (run, process, t_us, kind, name, value, limit_value,"
                         " note) VALUES (1, 1, ?, ?, ?, 1, 1, ?)", events)
    database.commit()
    database.close()


def flags(folder, *words):
    """The labels above the plot."""
    script = folder.call("plot", "--script", "-o", "a.png", *words).stdout.decode()
    lines = re.search(r"^\$words << END\n(.*?)^END$", script, re.M | re.S)[1].splitlines()
    return [lines[int(number) - 1][1:]
            for number in re.findall(r"^set label 6\d name\((\d+)\)", script, re.M)]


def test_events_are_flags_above_the_curves(folder, recording):
    assert flags(folder, "rise.db") == []
    add_events(recording, [(100_000, "limit", "max-rss", "reported"),
                           (400_000, "restarted", None, None),
                           (600_000, "verdict", "suspect", "suspect: 3 MiB/h"),
                           (900_000, "oom-kill", "/x", None)])
    assert flags(folder, "rise.db") == ["max-rss crossed", "restarted", "leak suspected", "oom-kill"]
    assert flags(folder, "rise.db", "-w", "0.3,0.5") == ["restarted"]
    text = draw(folder, "a.txt", "rise.db").decode()
    assert "v restarted" in text
    picture = draw(folder, "a.svg", "rise.db").decode()
    assert "took the place of the one before" in picture and "suspect: 3 MiB/h" in picture


def test_events_that_say_nothing_of_memory_have_no_flag(folder, recording):
    add_events(recording, [(0, "attached", None, "x"), (300_000, "verdict", "none", "no growth"),
                           (600_000, "detached", None, "ended")])
    assert flags(folder, "rise.db") == []


def test_events_that_are_close_or_many_share_a_flag(folder, recording):
    add_events(recording, [(500_000 + n, "restarted", None, None) for n in range(7)])
    assert flags(folder, "rise.db") == ["restarted \u00d77"]
    add_events(recording, [(500_003, "limit", "max-rss", "")])
    assert flags(folder, "rise.db") == ["restarted +7"]
    add_events(recording, [(1000 * n, "restarted", None, None) for n in range(1000)])
    found = flags(folder, "rise.db")
    assert 1 <= len(found) <= 8
    assert sum(int(re.search(r"\d+$", flag)[0]) + (" +" in flag) for flag in found) == 1008


# --- bands -----------------------------------------------------------------------------------


def add_marks(path, marks):
    """Adds the kernel's marks as (microseconds, KiB)."""
    database = sqlite3.connect(path)
    database.execute("INSERT INTO series VALUES (9, 1, 1, 'peak', 0)")
    database.executemany("INSERT INTO sample VALUES (9, ?, ?)", marks)
    database.commit()
    database.close()


def band(folder, name):
    """The rows of the curve with their (time, value, lowest, highest), where it has a band."""
    script = folder.call("plot", "--script", "-o", "a.png", name).stdout.decode()
    rows = re.search(r"^\$curve1 << END\n(.*?)^END$", script, re.M | re.S)[1].splitlines()
    rows = [tuple(map(float, row.split())) for row in rows if row]
    return [row for row in rows if len(row) == 4 and row[2] < row[3]], script


def test_memory_that_grows_steadily_has_no_band(folder):
    """A mark is of a whole window, at the end of which memory that grows is highest."""
    make_recording(folder / "a.db", [(10_000 * n, 35_000 + 900 * n) for n in range(51)])
    add_marks(folder / "a.db", [(100_000 * n + 5_000, 35_000 + 9_000 * n + 400)
                                for n in range(1, 5)] + [(510_000, 80_000)])
    rows, script = band(folder, "a.db")
    assert rows == [] and "reached in between" not in script


def test_memory_that_was_higher_in_between_has_a_band(folder):
    make_recording(folder / "a.db", [(10_000 * n, 35_000) for n in range(101)])
    add_marks(folder / "a.db", [(200_000, 35_000), (300_000, 90_112), (1_000_000, 35_000)])
    rows, script = band(folder, "a.db")
    assert {row[3] for row in rows} == {88}
    assert 0.199 < min(row[0] for row in rows) and max(row[0] for row in rows) < 0.301
    assert "reached in between" in script and "lowest to highest" not in script


def test_a_little_more_than_the_samples_say_is_no_box_over_the_whole_window(folder):
    """It belongs where the samples are highest."""
    make_recording(folder / "a.db", [(10_000 * n, 10_240 if n < 50 else 102_400 if n < 60 else 10_240)
                                     for n in range(101)])
    add_marks(folder / "a.db", [(400_000, 10_240), (700_000, 112_640), (1_000_000, 10_240)])
    rows, _ = band(folder, "a.db")
    assert {row[3] for row in rows} == {110}
    assert 0.499 < min(row[0] for row in rows) and max(row[0] for row in rows) < 0.601


def test_band_of_many_samples_is_from_the_lowest_to_the_highest(folder):
    make_recording(folder / "a.db", [(100 * n, 10_240 + 20_480 * (n % 3)) for n in range(100_000)])
    rows, script = band(folder, "a.db")
    assert rows
    assert "lowest to highest" in script and "reached in between" not in script


# --- metrics that are read now and then ------------------------------------------------------


@pytest.mark.parametrize("count", [5, 500])
def test_readings_are_dots_without_a_line(folder, recording, count):
    database = sqlite3.connect(recording)
    database.execute("INSERT INTO series VALUES (9, 1, 1, 'pss', 0)")
    database.executemany("INSERT INTO sample VALUES (9, ?, ?)",
                         [(n * 1_000_000 // count, 5_000 + n) for n in range(count)])
    database.commit()
    database.close()
    script = folder.call("plot", "--script", "-o", "a.png", "--metric", "pss", "rise.db").stdout
    assert b"$curve1 using 1:2 with points" in script
    assert b"with linespoints" not in script and b"$curve1 using 1:2 with lines" not in script


# --- gnuplot is not there, or fails ----------------------------------------------------------


def assert_nothing_drawn(folder, result):
    assert result.returncode == 1
    assert sorted(set(folder.files()) - {"fake-bin"}) == ["a.png", "rise.db"]
    assert (folder / "a.png").read_bytes() == b"older and good"
    return assert_one_line(result.stderr)


@pytest.fixture
def older(folder, recording):
    (folder / "a.png").write_bytes(b"older and good")
    return folder


def test_gnuplot_that_is_missing_is_told_in_one_line(older):
    (older / "fake-bin").mkdir()
    result = older.call("plot", "-o", "a.png", env={"PATH": str(older / "fake-bin")})
    assert "gnuplot is not installed" in assert_nothing_drawn(older, result)


def test_gnuplot_that_fails_is_told_with_its_message(older):
    env = fake_gnuplot(older, "echo '\"script\" line 7: it is Monday' >&2; printf junk; exit 1\n")
    result = older.call("plot", "-o", "a.png", env=env)
    assert "it is Monday" in assert_nothing_drawn(older, result)


def test_gnuplot_that_is_killed_is_told(older):
    env = fake_gnuplot(older, "printf junk; kill -9 $$\n")
    result = older.call("plot", "-o", "a.png", env=env)
    assert "signal 9" in assert_nothing_drawn(older, result)


def test_gnuplot_that_draws_nothing_is_told(older):
    result = older.call("plot", "-o", "a.png", env=fake_gnuplot(older, "exit 0\n"))
    assert_nothing_drawn(older, result)


def test_gnuplot_that_says_control_characters_does_not_reach_the_terminal(older):
    env = fake_gnuplot(older, "printf 'bad \\033[31m\\007 thing\\n' >&2; exit 1\n")
    result = older.call("plot", "-o", "a.png", env=env)
    assert_nothing_drawn(older, result)
    assert control_characters(result.stderr) == []


def test_gnuplot_that_says_a_lot_does_not_block(older):
    env = fake_gnuplot(older, "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1\n")
    assert len(assert_nothing_drawn(older, older.call("plot", "-o", "a.png", env=env))) < 1000


def test_configuration_of_gnuplot_changes_nothing(folder, recording):
    """A .gnuplot in the home or here would run at every start of gnuplot."""
    (folder / ".gnuplot").write_text('system("touch canary")\n')
    draw(folder, "a.png", "rise.db", env={"HOME": str(folder.path), "GNUTERM": "dumb",
                                          "GNUPLOT_LIB": str(folder.path)})
    assert not (folder / "canary").exists()


def test_drawing_is_the_same_in_a_locale_with_commas(folder, recording):
    plain = draw(folder, "a.txt", "rise.db")
    assert draw(folder, "b.txt", "rise.db", env={"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}) == plain


def test_interrupted_plot_leaves_no_partial_file(older):
    env = fake_gnuplot(older, "echo started > started; sleep 60\n")
    process = older.start("plot", "-o", "a.png", env=env, start_new_session=True)
    wait_until((older / "started").exists, "gnuplot")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    (older / "started").unlink()
    shutil.rmtree(older / "fake-bin")
    assert (older / "a.png").read_bytes() == b"older and good"
    assert older.files() == ["a.png", "rise.db"]
