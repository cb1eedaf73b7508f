"""memwatch plot: the functions of a recording, as brackets, as boxes, and as a flame chart."""

import re
import sqlite3
import subprocess
import time
import xml.etree.ElementTree

import pytest

from conftest import assert_one_line, control_characters, execute, make_recording
from functions import Call, add_functions

pytestmark = pytest.mark.usefixtures("gnuplot")

MIB = 1024


def record(folder, calls, *, name="a.db", peaks=None, seconds=10):
    """Ten seconds in which memory rises by 10 MiB a second, from 100 MiB on."""
    samples = [(10_000 * tick, 100 * MIB + 10 * MIB * tick // 100) for tick in range(100 * seconds)]
    make_recording(folder / name, samples)
    return add_functions(folder / name, calls, peaks)


def script_of(folder, *words, name="a.db"):
    """The script of a picture, as text."""
    result = folder.call("plot", "--script", "-o", "a.png", *words, name)
    assert result.returncode == 0 and result.stderr == b"", result
    return result.stdout.decode()


def block(script, name):
    """The rows of a data block."""
    return re.search(rf"^\${name} << END\n(.*?)^END$", script, re.M | re.S)[1].splitlines()


def words_of(script):
    return [line[1:] for line in block(script, "words")]


def brackets(script, function):
    """The brackets of a function as (time, memory, side): 1 for an entry, -1 for an exit."""
    found = []
    for bracket in "\n".join(block(script, f"function{function}")).split("\n\n"):
        if bracket.strip():
            rows = [tuple(map(float, row.split())) for row in bracket.strip().splitlines()]
            found.append((rows[2][0], rows[2][1], 1 if rows[0][0] > rows[2][0] else -1))
    return found


def boxes(script, name="boxes"):
    """The boxes as (from, to, bottom), from the top to the bottom and from the left to the right."""
    rows = [list(map(float, row.split())) for row in block(script, name)]
    return sorted(((row[2], row[3], row[1]) for row in rows), key=lambda box: (-box[2], box[0]))


# --- brackets --------------------------------------------------------------------------------


def test_call_is_two_brackets_where_its_marks_read(folder):
    record(folder, [Call("load", 2_000_000, 5_000_000, enter_kib=111 * MIB, exit_kib=155 * MIB)])
    assert brackets(script_of(folder), 1) == [(2, 111, 1), (5, 155, -1)]


def test_call_whose_marks_read_nothing_stands_on_the_curve(folder):
    record(folder, [Call("load", 2_000_000, 5_000_000)])
    assert brackets(script_of(folder), 1) == [(2, 120, 1), (5, 150, -1)]


def test_call_of_an_unknown_process_stands_on_the_curve_of_all(folder):
    """What its marks read is the memory of one process, and not what that curve shows."""
    record(folder, [Call("load", 2_000_000, 5_000_000, process=None, enter_kib=11 * MIB,
                         exit_kib=55 * MIB)])
    execute(folder / "a.db", "UPDATE run SET children = 'sum'", "UPDATE series SET process = NULL")
    assert brackets(script_of(folder), 1) == [(2, 120, 1), (5, 150, -1)]


def curve(script, start_s, end_s):
    """The steps of the first curve in a stretch of time, as the (time, memory) that each leads to."""
    rows = [tuple(map(float, row.split()[:2])) for row in filter(None, block(script, "curve1"))]
    return [row for before, row in zip(rows, rows[1:])
            if row[1] != before[1] and start_s <= row[0] <= end_s]


def test_curve_meets_what_marks_read_until_the_next_sample(folder):
    make_recording(folder / "a.db", [(0, 100 * MIB), (6_000_000, 110 * MIB), (9_000_000, 50 * MIB)])
    add_functions(folder / "a.db", [
        Call("spike", 2_000_000, 2_004_000, enter_kib=100 * MIB, exit_kib=400 * MIB),
        Call("late", 5_997_000, 7_500_000, enter_kib=90 * MIB, exit_kib=120 * MIB),
        Call("last", 8_500_000, 9_005_000, exit_kib=70 * MIB)])
    script = script_of(folder)
    assert curve(script, 0, 10) == [(2.004, 400), (2.014, 100), (5.997, 90), (6, 110),
                                    (7.5, 120), (7.51, 110), (9, 50), (9.005, 70)]
    assert curve(script_of(folder, "-n"), 0, 10) == [(6, 110), (9, 50)]


def test_curve_in_a_gap_meets_nothing(folder):
    make_recording(folder / "a.db", [(0, 100 * MIB), (6_000_000, 110 * MIB)],
                   gap=(1_000_000, 5_000_000, 400))
    add_functions(folder / "a.db", [
        Call("f", 2_000_000, 3_000_000, enter_kib=100 * MIB, exit_kib=400 * MIB)])
    assert curve(script_of(folder), 0.1, 4.9) == curve(script_of(folder, "-n"), 0.1, 4.9)


def test_call_stands_on_the_curve_of_another_metric(folder):
    record(folder, [Call("load", 2_000_000, 5_000_000, enter_kib=111 * MIB, exit_kib=155 * MIB)])
    assert [memory for _, memory, _ in brackets(script_of(folder, "--metric", "shared"), 1)] == [0, 0]


def test_call_that_had_not_ended_has_no_exit(folder):
    record(folder, [Call("serve", 2_000_000, None)])
    script = script_of(folder)
    assert brackets(script, 1) == [(2, 120, 1)]
    assert "serve, 1 call, not ended" in words_of(script)


def test_legend_has_an_entry_a_function_with_the_largest_first(folder):
    calls = [Call("small", 1_000_000, 1_400_000), Call("pkg.load", 2_000_000, 2_400_000),
             Call("pkg.load", 4_000_000, 4_400_000), Call("pkg.load", 6_000_000, 6_400_000)]
    record(folder, calls, peaks={"small": 10, "pkg.load": 20})
    words = words_of(script_of(folder))
    assert words.index("pkg.load, 3 calls, 1.20 s") + 1 == words.index("small, 1 call, 400 ms")


def test_functions_beyond_eight_are_counted(folder):
    calls = [Call(f"f{n}", 300_000 * n, 300_000 * n + 250_000) for n in range(30)]
    record(folder, calls, peaks={f"f{n}": n for n in range(30)})
    script = script_of(folder)
    words = words_of(script)
    assert "+22 more functions" in words
    assert [word for word in words if word.startswith("f")] == [f"f{n}, 1 call, 250 ms"
                                                                for n in range(29, 21, -1)]
    assert len(re.findall(r"\$function\d+ using", script)) == 8


def test_window_shows_what_was_called_in_it_and_cuts_no_bracket(folder):
    calls = [Call("main", 100_000, 9_000_000), Call("before", 200_000, 900_000, 1),
             Call("inside", 3_200_000, 3_600_000, 1), Call("inside", 8_000_000, 8_100_000, 1)]
    record(folder, calls)
    script = script_of(folder, "-w", "3,4")
    words = words_of(script)
    assert not any(word.startswith("before") for word in words)
    assert "inside, 1 call, 400 ms" in words and "main, 1 call, 8.90 s" in words
    drawn = {function: brackets(script, function) for function in (1, 2)}
    assert sorted(drawn.values(), key=len) == [[], [(3.2, 132, 1), (3.6, 136, -1)]]


@pytest.mark.parametrize("words", [["-n"], ["--no-functions"]])
def test_functions_can_be_left_out(folder, words):
    record(folder, [Call("load", 2_000_000, 5_000_000)])
    make_recording(folder / "plain.db", [(10_000 * tick, 100 * MIB + 10 * MIB * tick // 100)
                                         for tick in range(1000)])
    assert script_of(folder, *words) == script_of(folder, name="plain.db")


def test_several_recordings_have_no_functions(folder):
    record(folder, [Call("load", 2_000_000, 5_000_000)])
    assert "function" not in script_of(folder, "a.db").replace("more functions", "")


def test_brackets_stand_on_the_curve_of_their_process_or_else_on_the_total(folder):
    path = record(folder, [Call("work", 2_000_000, 5_000_000, process=2)])
    execute(path,
            "INSERT INTO process (id, run, pid, ppid, start_us, peak_kib, peak_from_us, peak_to_us, "
            "peak_source) VALUES (2, 1, 5, 4711, 0, 7168, 0, 0, 'sampled')",
            "INSERT INTO series VALUES (10, 1, 2, 'rss', 0), (11, 1, NULL, 'rss', 0)",
            f"INSERT INTO sample VALUES (10, 0, {7 * MIB}), (11, 0, {300 * MIB})")
    assert [memory for _, memory, _ in brackets(script_of(folder), 1)] == [7, 7]
    assert [memory for _, memory, _ in brackets(script_of(folder, "--processes"), 1)] == [7, 7]
    assert [memory for _, memory, _ in brackets(script_of(folder, "--total"), 1)] == [300, 300]


# --- crowds ----------------------------------------------------------------------------------


def test_hundred_thousand_calls_are_one_box_and_drawn_at_once(folder):
    record(folder, [Call("tight", 1_000_000 + 70 * n, 1_000_010 + 70 * n) for n in range(100_000)])
    script = script_of(folder)
    (left, right, _), = boxes(script, "crowds")
    assert (left, right) == pytest.approx((1, 8), abs=0.02)
    assert "tight ×100,000" in words_of(script)
    assert len(script) < 100_000
    for words in ((), ("--flame",)):
        begin = time.monotonic()
        assert folder.call("plot", *words, "-o", "a.png", "a.db").returncode == 0
        # Measured: 0.16 s. The rest is for slow machines and sanitizers.
        assert time.monotonic() - begin < 5


def test_function_is_either_brackets_or_boxes(folder):
    calls = [Call("mixed", 1_000_000, 2_000_000)]
    calls += [Call("mixed", 4_000_000 + 20_000 * n, 4_001_000 + 20_000 * n) for n in range(100)]
    record(folder, [*calls, Call("calm", 6_000_000, 7_000_000)])
    script = script_of(folder)
    assert len(boxes(script)) == 1 and len(boxes(script, "crowds")) == 1
    assert "mixed ×100" in words_of(script)
    assert brackets(script, 1) == [] and len(brackets(script, 2)) == 2


def test_calls_that_follow_each_other_keep_their_brackets(folder):
    record(folder, [Call("step", 1_000_000 * n, 1_000_000 * n + 990_000) for n in range(1, 9)])
    assert len(brackets(script_of(folder), 1)) == 16


# --- the flame chart -------------------------------------------------------------------------


def test_flame_has_a_lane_for_each_depth(folder):
    record(folder, [Call("main", 1_000_000, 9_000_000), Call("load", 2_000_000, 4_000_000, 1),
                    Call("parse", 2_500_000, 3_500_000, 2), Call("save", 5_000_000, 8_000_000, 1)])
    script = script_of(folder, "--flame")
    lanes = [(left, round(right, 1)) for left, right, _ in boxes(script)]
    assert lanes == [(1, 9), (2, 4), (5, 8), (2.5, 3.5)]
    assert len({bottom for _, _, bottom in boxes(script)}) == 3
    assert all(bottom < 0 for _, _, bottom in boxes(script))
    assert words_of(script)[-4:] == ["main", "load", "save", "parse"]
    assert brackets(script, 1) == []


def test_flame_has_lanes_for_each_task(folder):
    calls = [Call("job", 1_000_000, 2_000_000, thread=task) for task in (17, 4, 99)]
    record(folder, calls)
    script = script_of(folder, "--flame")
    assert len({bottom for _, _, bottom in boxes(script)}) == 3
    for label in ("thread 1", "thread 2", "thread 3"):
        assert label in words_of(script)


def test_lanes_are_called_what_they_are(folder):
    generator = 2**31
    record(folder, [Call("main", 1_000_000, 9_000_000, thread=4711),
                    Call("work", 1_000_000, 8_000_000, thread=4712),
                    Call("step", 2_000_000, 8_000_000, thread=4711, track=1),
                    Call("rows", 3_000_000, 8_000_000, thread=4711, track=generator),
                    Call("rows", 3_000_000, 8_000_000, thread=4711, track=generator + 5)])
    words = words_of(script_of(folder, "--flame"))
    labels = ["main thread", "thread 2", "task 1", "generator 1", "generator 2"]
    assert [word for word in words if word in labels] == labels


def test_every_function_of_the_legend_is_in_a_lane(folder):
    calls = [Call("main", 100_000, 9_900_000, track=1)]
    for task in range(60):
        calls.append(Call("handle", 200_000 + task, 3_000_000, 0, track=2 + task))
        calls.append(Call("query", 300_000 + task, 2_000_000, 1, track=2 + task))
    calls.append(Call("last", 9_000_000, 9_900_000, 3, track=61))
    record(folder, calls)
    script = script_of(folder, "--flame")
    rows = [list(map(float, row.split())) for row in block(script, "boxes")]
    assert len({row[6] for row in rows}) == 4  # colours
    assert len({row[1] for row in rows}) <= 24  # lanes


def test_legend_of_a_flame_is_in_the_order_of_the_lanes(folder):
    record(folder, [Call("outer", 1_000_000, 9_000_000), Call("middle", 2_000_000, 8_000_000, 1),
                    Call("inner", 3_000_000, 7_000_000, 2)],
           peaks={"inner": 300, "middle": 200, "outer": 100})
    names = ("outer", "middle", "inner")
    for words, order in ((["--flame"], names), ([], names[::-1])):
        entries = [word.split(",")[0] for word in words_of(script_of(folder, *words))
                   if " call," in word]
        assert entries == list(order)


def test_time_of_waiting_is_told_apart(folder):
    record(folder, [Call("wait", 1_000_000, 9_000_000, waited_us=7_500_000, track=1),
                    Call("work", 1_000_000, 9_000_000, waited_us=10, thread=2)])
    words = words_of(script_of(folder, "--flame"))
    assert "wait, 1 call, 500 ms + 7.50 s waiting" in words
    assert "work, 1 call, 8.00 s" in words
    words = words_of(script_of(folder, "--flame", "-w", "2,3"))
    assert "wait, 1 call, 500 ms + 7.50 s waiting" in words


def test_brackets_of_several_curves_have_a_dot_in_the_colour_of_theirs(folder):
    record(folder, [Call("load", 2_000_000, 5_000_000)])
    assert "$dots" not in script_of(folder)
    database = sqlite3.connect(folder / "a.db")
    database.execute("INSERT INTO process (id, run, pid, ppid, start_us, end_us, peak_kib,"
                     " peak_from_us, peak_to_us, peak_source)"
                     " VALUES (2, 1, 4712, 4711, 0, 9000000, 1024, 0, 0, 'sampled')")
    database.execute("INSERT INTO series VALUES (9, 1, 2, 'rss', 0), (10, 1, NULL, 'rss', 0)")
    database.execute("INSERT INTO sample VALUES (9, 0, 1024), (10, 0, 500000)")
    database.commit()
    database.close()
    script = script_of(folder)
    assert [list(map(float, row.split())) for row in block(script, "dots")] == \
        [[2, 120, 0x0072b2], [5, 150, 0x0072b2]]


def test_recursion_and_tasks_without_end_have_a_limit_that_is_told(folder):
    record(folder, [Call("down", 1_000_000 + depth, 9_000_000 - depth, depth)
                    for depth in range(100)])
    script = script_of(folder, "--flame")
    assert len({bottom for _, _, bottom in boxes(script)}) == 24
    assert "+76 more lanes" in words_of(script)
    record(folder, [Call("job", 1_000_000, 2_000_000, thread=task) for task in range(60)],
           name="b.db")
    script = script_of(folder, "--flame", name="b.db")
    assert len({bottom for _, _, bottom in boxes(script)}) == 24
    assert "+36 more lanes" in words_of(script)


def test_call_that_had_not_ended_reaches_to_the_end(folder):
    record(folder, [Call("serve", 2_000_000, None)])
    (left, right, _), = boxes(script_of(folder, "--flame"))
    assert left == 2 and right == pytest.approx(10, abs=0.05)


def test_short_calls_of_several_functions_are_one_box_of_several(folder):
    calls = [Call(("one", "two")[n % 2], 1_000_000 + 1000 * n, 1_000_900 + 1000 * n, 1)
             for n in range(2000)]
    record(folder, calls)
    assert "several ×2,000" in words_of(script_of(folder, "--flame"))


def test_flame_in_letters_says_that_it_shows_brackets(folder):
    record(folder, [Call("load", 2_000_000, 5_000_000)])
    result = folder.call("plot", "--flame", "-o", "a.txt")
    assert result.returncode == 0
    assert "brackets" in assert_one_line(result.stderr)
    text = (folder / "a.txt").read_bytes()
    assert control_characters(text) == [] and b"load, 1 call, 3 s" in text


def test_flame_without_functions_is_told_or_refused(folder, recording):
    assert folder.call("plot", "--flame", "-o", "a.png").returncode == 0
    result = folder.call("plot", "--flame", "-n", "-o", "b.png")
    assert result.returncode == 2 and "exclude" in assert_one_line(result.stderr)


# --- formats, and strings that mean harm -----------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf", "a.txt"])
@pytest.mark.parametrize("words", [(), ("--flame",)])
def test_every_format_is_drawn(folder, name, words):
    calls = [Call("main", 1_000_000, 9_000_000), Call("open", 9_500_000, None)]
    calls += [Call("tight", 2_000_000 + 100 * n, 2_000_050 + 100 * n, 1) for n in range(1000)]
    record(folder, calls)
    assert folder.call("plot", *words, "-o", name).returncode == 0
    assert len((folder / name).read_bytes()) > 1000


def test_tooltips_tell_time_growth_and_peak(folder):
    record(folder, [Call("load", 2_000_000, 5_000_000, enter_kib=110 * MIB, exit_kib=150 * MIB,
                         peak_kib=170 * MIB)])
    for words in ((), ("--flame",)):
        assert folder.call("plot", *words, "-o", "a.svg").returncode == 0
        text = (folder / "a.svg").read_text()
        xml.etree.ElementTree.fromstring(text)
        tips = re.findall(r"showHypertext\(evt,'([^']*)'", text)
        assert any(tip.endswith("load, 3 s, +40 MiB, peak 170 MiB") for tip in tips), tips


@pytest.mark.parametrize("name", ["`touch canary`", "'; system('touch canary'); '", "|touch canary",
                                  "x\nEND\n!touch canary\n", "</text><script>alert(1)</script>",
                                  "image:http://127.0.0.1/x", "\x1b[31m.\x07", "", "." * 300,
                                  "\u202ex", "]]>'\"\\",
                                  r"\033[31m\007\n\042"])
def test_names_of_functions_are_shown_and_nothing_else(folder, gnuplot, name):
    calls = [Call(name, 1_000_000, 9_000_000), Call(name + "2", 9_200_000, None)]
    calls += [Call(name + "3", 2_000_000 + 100 * n, 2_000_050 + 100 * n, 1) for n in range(100)]
    record(folder, calls)
    for words in ((), ("--flame",)):
        script = script_of(folder, *words)
        subprocess.run([gnuplot], input=script.encode(), cwd=folder.path, check=True,
                       capture_output=True)
        assert folder.call("plot", *words, "-o", "a.svg").returncode == 0
        text = (folder / "a.svg").read_text()
        xml.etree.ElementTree.fromstring(text)
        assert text.count("<script") == 2 and "(evt,'image" not in text
        assert folder.call("plot", *words, "-o", "a.txt").returncode == 0
        assert control_characters((folder / "a.txt").read_bytes()) == []
    assert not (folder / "canary").exists()


def call(values):
    """A row that no recorder writes."""
    return ("INSERT INTO call (function, process, thread, depth, enter_us, duration_ns, enter_kib,"
            " exit_kib, peak_kib, number, track, suspended_ns)"
            f" VALUES ({values}, (SELECT count(*) FROM call) + 1, 0, 0)")


def test_numbers_that_no_recorder_writes_do_no_harm(folder):
    huge = 2**62
    path = record(folder, [Call("load", 2_000_000, 5_000_000), Call("odd", 1, 2)])
    execute(path,
            call(f"1, 77, {huge}, -1, {huge}, {huge}, {huge}, -5, {huge}"),
            call(f"1, NULL, -{huge}, 4000000000, -{huge}, {huge}, 1, 1, 1"),
            call("99, 1, 1, 0, 0, 1, 1, 1, 1"),
            call("1, 1, 1, 0, 5, -7, 1, 1, 1"),
            "INSERT INTO function (id, run, name, calls, ended, total_ns, growth_kib, peak_kib)"
            f" VALUES (50, 1, '', -1, -1, -{huge}, {huge}, {huge})")
    for words in ((), ("--flame",), ("-w", "1,2")):
        assert folder.call("plot", *words, "-o", "a.svg").returncode == 0
