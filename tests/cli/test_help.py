"""Help, and what memwatch says to words that it does not know."""

import re

import pytest

from conftest import assert_one_line

RECORDING = ["--interval", "--output", "--children", "--metric", "--peak-window", "--tracking",
             "--duration", "--note", "--no-arguments", "--quiet", "--max-rss", "--max-growth",
             "--max-processes", "--on-limit", "--on-limit-command", "--keep", "--max-file"]
OPTIONS = {
    "run": [*RECORDING, "--module", "--python"],
    "attach": [*RECORDING, "--all", "--follow", "--pidfile", "--cgroup"],
    "plot": ["--output", "--window", "--title", "--metric", "--total", "--processes", "--slope",
             "--leak", "--limit", "--min-duration", "--no-functions", "--flame",
             "--script"],
    "leak": ["--window", "--process", "--total", "--metric", "--limit", "--min-duration", "--fail",
             "--json", "--verbose"],
    "import": ["--output", "--quiet"],
    "list": ["--json"],
    "show": ["--json"],
    "peak": ["--func", "--json"],
    "functions": ["--sort", "--json"],
    "diff": ["--output", "--json"],
    "check": ["--max-peak", "--max-growth", "--baseline", "--tolerance", "--json"],
    "rm": ["--dry-run"],
    "clean": ["--dry-run"],
    "doctor": ["--json"],
}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_a_command_names_every_option(folder, command):
    texts = [folder.call(*words) for words in ([command, "-h"], [command, "--help"], ["help", command])]
    for result in texts:
        assert result.returncode == 0 and result.stderr == b""
        assert result.stdout == texts[0].stdout
    text = texts[0].stdout.decode()
    assert text.startswith(f"usage: memwatch {command}")
    for option in [*OPTIONS[command], "--help"]:
        assert re.search(rf"{option}\b.*\w", text), option
    assert max(map(len, text.splitlines())) <= 100


def test_help_names_units_bounds_and_defaults(folder):
    run = folder.call("run", "-h").stdout.decode()
    for word in ("20us", "1h", "10ms", "seconds", "each", "sum", "none", "125", "126", "127", "128"):
        assert word in run, word
    attach = folder.call("attach", "-h").stdout.decode()
    for word in ("PID", "NAME", "100ms", "report", "term", "kill", "exec", "MEMWATCH_LIMIT"):
        assert word in attach, word
    plot = folder.call("plot", "-h").stdout.decode()
    for word in (".png", ".svg", ".pdf", ".txt", ".gp", "rss", "shared", "pss"):
        assert word in plot, word


def test_overview_names_every_command(folder):
    for words in (["-h"], ["--help"], ["help"]):
        result = folder.call(*words)
        assert result.returncode == 0 and result.stderr == b""
        for command in OPTIONS:
            assert re.search(rf"^  {command} ", result.stdout.decode(), re.M)


def test_no_command_at_all_is_a_usage_error_with_the_overview(folder):
    result = folder.call()
    assert result.returncode == 2 and result.stdout == b"" and b"memwatch run" in result.stderr


def test_version(folder):
    for word in ("-V", "--version"):
        result = folder.call(word)
        assert result.returncode == 0
        assert re.fullmatch(r"memwatch \d+\.\d+\.\d+\n", result.stdout.decode())


@pytest.mark.parametrize("typed, meant", [("rnu", "run"), ("plt", "plot"), ("lst", "list"),
                                          ("shwo", "show"), ("peek", "peak"), ("claen", "clean"), ("function", "functions"), ("docter", "doctor")])
def test_unknown_command_suggests_the_nearest(folder, typed, meant):
    result = folder.call(typed)
    assert result.returncode == 2
    assert f"'{meant}'" in assert_one_line(result.stderr)


@pytest.mark.parametrize("typed", ["frobnicate", "", "x" * 10_000, "\x1b[31m", "--json", "a\nb"])
def test_word_that_is_like_no_command_is_one_line(folder, typed):
    result = folder.call(typed)
    assert result.returncode == 2
    assert_one_line(result.stderr)
    assert b"\x1b" not in result.stderr


@pytest.mark.parametrize("command", OPTIONS)
def test_unknown_option_and_missing_argument_are_told(folder, command):
    status = 125 if command == "run" else 2
    for option in ("--bogus", "-Z", "--help=yes"):
        result = folder.call(command, option)
        assert result.returncode == status, option
        assert f"memwatch {command} -h" in assert_one_line(result.stderr)
    result = folder.call(command, "--bogus")
    assert "--bogus" in result.stderr.decode()


@pytest.mark.parametrize("words", [["run", "-i"], ["run", "--note"], ["plot", "-o"], ["plot", "-w"],
                                   ["plot", "--metric"], ["peak", "--func"], ["functions", "--sort"],
                                   ["check", "--baseline"], ["diff", "-o"]])
def test_argument_that_is_missing_is_told_with_its_option(folder, words):
    result = folder.call(*words)
    assert result.returncode in (125, 2)
    assert words[1] in assert_one_line(result.stderr)


@pytest.mark.parametrize("words, instead", [
    (["run", "-C", "x.py"], "--children"), (["run", "--include-children", "x.py"], "--children"),
    (["run", "--multiprocess", "x.py"], "--children"), (["run", "-T", "0.1", "x.py"], "-i 0.01"),
    (["run", "-T0.1", "x.py"], "-i 0.01"), (["run", "--timeout=5", "x.py"], "--duration"),
    (["run", "-E", "x.py"], "always comes through"), (["attach", "-T", "1", "1"], "-i 0.01"),
    (["plot", "-s"], "--slope"), (["plot", "-f"], "--flame"),
    (["run", "--python", "nested.py"], "write 'memwatch run nested.py'"),
    (["run", "--python", "nested.py", "argument"], "write 'memwatch run nested.py'")])
def test_options_of_mprof_name_what_replaces_them(folder, words, instead):
    result = folder.call(*words)
    assert result.returncode in (125, 2) and instead in assert_one_line(result.stderr)


def test_argument_where_none_belongs_is_told(folder):
    result = folder.call("run", "--quiet=yes", "true")
    assert result.returncode == 125
    assert "--quiet" in assert_one_line(result.stderr)


def test_short_options_can_be_joined(folder):
    result = folder.call("run", "-qi1ms", "-oa.db", "true")
    assert result.returncode == 0 and result.stderr == b""
    assert folder.last_run("a.db")["interval_s"] == 0.001
    folder.call("run", "--interval=2ms", "-qo", "a.db", "true")
    assert folder.last_run("a.db")["interval_s"] == 0.002
