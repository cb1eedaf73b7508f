"""memwatch in a real terminal: the drawing, its colours, and displays that do not work."""

import re

from conftest import assert_one_line, control_characters, fake_gnuplot, make_recording

ESCAPE = re.compile(rb"\x1b\[[0-9;]*m")


def test_drawing_appears_in_the_terminal_and_it_is_said(folder, recording, gnuplot, terminal):
    screen = terminal("plot", columns=100, rows=30)
    assert screen.finish() == 0
    assert b"drawn in the terminal" in screen.screen
    lines = ESCAPE.sub(b"", screen.screen).decode().splitlines()
    assert 15 <= len(lines) <= 30
    assert max(map(len, lines)) <= 100
    assert any("20 MiB" in line for line in lines)
    assert folder.files() == ["rise.db"]


def test_colours_are_ended_and_nothing_else_is_sent(folder, recording, gnuplot, terminal):
    screen = terminal("plot")
    screen.finish()
    escapes = ESCAPE.findall(screen.screen)
    assert escapes and escapes[-1] in (b"\x1b[0m", b"\x1b[m", b"\x1b[39m")
    plain = ESCAPE.sub(b"", screen.screen).replace(b"\r\n", b"\n")
    assert control_characters(plain) == []


def test_no_color_is_honoured(folder, recording, gnuplot, terminal):
    screen = terminal("plot", env={"NO_COLOR": "1"})
    assert screen.finish() == 0
    assert b"\x1b" not in screen.screen and b"drawn in the terminal" in screen.screen


def test_size_of_the_terminal_is_used(folder, recording, gnuplot, terminal):
    widths = {}
    for columns, rows in ((60, 20), (160, 50)):
        screen = terminal("plot", env={"NO_COLOR": "1"}, columns=columns, rows=rows)
        assert screen.finish() == 0
        lines = [line for line in screen.screen.decode().splitlines() if "memwatch:" not in line]
        widths[columns] = max(map(len, lines))
        assert columns * 0.7 <= widths[columns] <= columns and len(lines) < rows


def test_tiny_terminal_and_one_without_a_size_are_borne(folder, recording, gnuplot, terminal):
    for columns, rows in ((0, 0), (1, 1), (10, 3), (20, 8), (500, 200)):
        screen = terminal("plot", columns=columns, rows=rows)
        status = screen.finish()
        assert status in (0, 1), (columns, rows, screen.screen)
        if status == 1:
            assert screen.screen.count(b"\n") == 1


def test_hostile_names_do_not_reach_the_terminal(folder, gnuplot, terminal):
    attack = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\b"
    make_recording(folder / "a.db", [(0, 10), (10_000, 20)], command=("x", attack), name="\x1b[5m\x07")
    for words in (["plot"], ["plot", "-t", attack], ["show"], ["list"], ["peak"]):
        screen = terminal(*words)
        assert screen.finish() == 0
        plain = ESCAPE.sub(b"", screen.screen).replace(b"\r\n", b"\n")
        assert control_characters(plain) == [], words
        assert b"\x1b[5m" not in screen.screen and b"\x1b[2J" not in screen.screen


NO_WINDOW = """case "$*" in *window*) echo 'unknown or ambiguous terminal type' >&2; exit 1;; esac
exec {gnuplot} "$@"
"""


def test_display_without_a_gnuplot_that_has_windows_falls_back_and_says_so(folder, recording, gnuplot):
    env = fake_gnuplot(folder, NO_WINDOW.format(gnuplot=gnuplot))
    result = folder.call("plot", env={**env, "DISPLAY": ":99"})
    assert result.returncode == 0
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 2 and "window" in lines[0] and "rise.png" in lines[1]
    assert (folder / "rise.png").read_bytes().startswith(b"\x89PNG")


def test_display_that_does_not_answer_falls_back_to_the_terminal(folder, recording, gnuplot, terminal):
    env = fake_gnuplot(folder, NO_WINDOW.format(gnuplot=gnuplot))
    screen = terminal("plot", env={**env, "DISPLAY": ":99"})
    assert screen.finish() == 0
    assert b"no window" in screen.screen and b"drawn in the terminal" in screen.screen


def test_real_gnuplot_with_a_display_that_is_not_there_falls_back(folder, recording, gnuplot):
    result = folder.call("plot", env={"DISPLAY": ":99"})
    assert result.returncode == 0
    assert b"rise.png" in result.stderr and (folder / "rise.png").exists()


def test_window_is_said_and_memwatch_does_not_wait_for_it(folder, recording):
    env = fake_gnuplot(folder, "exit 0\n")
    result = folder.call("plot", env={**env, "DISPLAY": ":99"})
    assert result.returncode == 0
    assert "window" in assert_one_line(result.stderr)
    assert sorted(folder.files()) == ["fake-bin", "rise.db"]


def test_output_option_draws_into_the_file_even_with_a_display(folder, recording, gnuplot):
    result = folder.call("plot", "-o", "a.png", env={"DISPLAY": ":99", "WAYLAND_DISPLAY": "wayland-9"})
    assert result.returncode == 0 and result.stderr == b""
    assert (folder / "a.png").exists()


def test_terminal_without_gnuplot_is_told_in_one_line(folder, recording, terminal):
    (folder / "nothing").mkdir()
    screen = terminal("plot", env={"PATH": str(folder / "nothing")})
    assert screen.finish() == 1
    assert b"gnuplot is not installed" in screen.screen and screen.screen.count(b"\n") == 1


def test_display_without_gnuplot_is_told_in_one_line(folder, recording):
    (folder / "nothing").mkdir()
    result = folder.call("plot", env={"PATH": str(folder / "nothing"), "DISPLAY": ":99"})
    assert result.returncode == 1
    assert "gnuplot is not installed" in assert_one_line(result.stderr)


def test_summary_of_run_has_no_control_characters_in_a_terminal(folder, terminal):
    screen = terminal("run", "sleep", "0.2")
    assert screen.finish() == 0
    plain = ESCAPE.sub(b"", screen.screen).replace(b"\r\n", b"\n")
    assert control_characters(plain) == [] and b"peak" in plain
