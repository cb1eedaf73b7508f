"""Names, arguments and titles that attack: nothing of them runs, and none reaches a terminal raw."""

import json
import os
import re
import sqlite3
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import control_characters, make_recording, python, query

CANARY = "canary"
HOSTILE = {
    "backquotes": f"`touch {CANARY}`",
    "dollar": f"$(touch {CANARY})",
    "semicolon": f"; touch {CANARY} ;",
    "newline": f"x\nsystem('touch {CANARY}')\ny",
    "gnuplot": f"\"; system(\"touch {CANARY}\"); print \"",
    "apostrophe": f"'; system('touch {CANARY}'); print '",
    "pipe": f"|touch {CANARY}",
    "less": f"< touch {CANARY}",
    "heredoc": f"EOD\nsystem('touch {CANARY}')\nEND\nset output '|touch {CANARY}'\n",
    "macro": f"@x ; !touch {CANARY}",
    "enhanced": "{/=99 big} a_b^c \\n \\042 & ~a{.6-}",
    "escape": "\x1b[31mred\x1b]0;title\x07\x1b[2J\x9b31m\x08\x7f",
    "controls": "".join(map(chr, range(1, 32))) + "\x85\u2028\u202e\u200f\ufeff",
    "script": "</script><script>alert(1)</script>",
    "svg": "]]></text><script>alert(1)</script><!-- ' onload=\"alert(1)",
    "entity": "&lt;b&gt; &amp; &#27; <b>",
    "format": "%s%n%d%99999999s %h",
    "utf8": "grüße €😀 \u0000x".split("\u0000")[0],
    "comma": "a,b;c \"d\" # e \\",
    "long": "long " * 2000,
    "empty": "",
    "dash": "-o/dev/null",
}


@pytest.fixture(params=HOSTILE)
def hostile(request):
    return HOSTILE[request.param]


def assert_harmless(folder, output):
    """Output for people: no control character, and nothing has run."""
    assert control_characters(output) == [], output
    assert CANARY not in folder.files()


def assert_svg_is_clean(folder, name, text):
    data = (folder / name).read_bytes()
    assert control_characters(data.replace(b"\r", b"")) == []
    root = xml.etree.ElementTree.fromstring(data)
    scripts = [element for element in root.iter() if element.tag.endswith("script")]
    for script in scripts:
        assert "alert(1)" not in (script.text or "")
    assert not [key for element in root.iter() for key in element.keys() if key == "onload"
                and "alert(1)" in element.get(key)]
    assert b"<script>alert" not in data and b"<b>" not in data
    return root


def draw_everything(folder, file, *words):
    for name in ("a.svg", "a.png", "a.txt", "a.pdf"):
        result = folder.call("plot", *words, "-o", name, file)
        assert result.returncode == 0, result
        assert_harmless(folder, result.stdout + result.stderr)
    assert_harmless(folder, (folder / "a.txt").read_bytes())
    return assert_svg_is_clean(folder, "a.svg", words)


def test_arguments_and_name_of_a_program(folder, hostile, gnuplot):
    """Recorded as a process would have them, and shown in every way there is."""
    make_recording(folder / "a.db", [(0, 100), (50_000, 5000)], command=("program", hostile, hostile),
                   name=hostile[:15].replace("\0", ""), note=hostile)
    for words in (["show"], ["list"], ["peak"], ["leak", "-v"]):
        result = folder.call(*words)
        assert result.returncode == 0
        assert_harmless(folder, result.stdout + result.stderr)
        assert max(map(len, result.stdout.decode().splitlines())) < 400
    run = folder.last_run("a.db")
    assert run["command"] == ["program", hostile, hostile] and run["note"] == hostile
    draw_everything(folder, "a.db")


def test_cgroup_of_a_limit(folder, hostile, gnuplot):
    make_recording(folder / "a.db", [(60_000_000 * minute, 100_000 + 5000 * minute)
                                     for minute in range(60)])
    database = sqlite3.connect(folder / "a.db")
    database.execute("INSERT INTO run_limit (run, since_us, name, place, value)"
                     " VALUES (1, 0, 'memory.max', ?, ?)", (f"/{hostile}", 1 << 29))
    database.commit()
    database.close()
    for words in (["leak"], ["leak", "-v"], ["show"]):
        result = folder.call(*words)
        assert result.returncode == 0
        assert_harmless(folder, result.stdout + result.stderr)
    text = folder.call("leak").stdout
    assert b"the cgroup limit of 512 MiB (/" in text and text.count(b"\n") == 4
    draw_everything(folder, "a.db", "--leak")


def test_title(folder, hostile, gnuplot, recording):
    root = draw_everything(folder, "rise.db", f"--title={hostile}")
    if len(hostile) < 50 and not control_characters(hostile.encode()) and "\n" not in hostile:
        shown = "".join("".join(element.itertext()) for element in root.iter())
        assert re.sub(r"\s+", "", hostile) in re.sub(r"\s+", "", shown)


def test_script_of_a_hostile_recording_runs_nothing_either(folder, hostile, gnuplot):
    make_recording(folder / "a.db", [(0, 100), (50_000, 5000)], command=("program", hostile),
                   name=hostile[:15])
    for words in ([], ["-t", hostile]):
        script = folder.call("plot", "--script", *words, "-o", "b.svg", "a.db").stdout
        assert control_characters(script) == []
        subprocess.run([gnuplot], input=script, cwd=folder.path, check=True, capture_output=True)
        assert CANARY not in folder.files()
        assert_svg_is_clean(folder, "b.svg", hostile)


FILE_NAMES = [f"`touch {CANARY}`", f"$(touch {CANARY})", "a'b", 'a"b', "a b", "a\nb", "\x1b[31mred",
              f"|touch {CANARY}", f"'; system('touch {CANARY}'); '", "%s%n", "a\\b", "~root", "{x}_^",
              "<script>alert(1)<b>", "-x", "#1", "grüße", "a:1", "EOD"]


@pytest.mark.parametrize("name", FILE_NAMES)
def test_names_of_files(folder, name, gnuplot):
    file = f"./{name}.db"
    make_recording(folder.path / f"{name}.db", [(0, 100), (50_000, 5000)])
    for words in (["show", file], ["list"], ["peak", file], ["leak", file], ["leak", file, file],
                  ["plot", file], ["plot", file, file]):
        result = folder.call(*words)
        assert result.returncode == 0, result
        assert_harmless(folder, result.stdout + result.stderr)
    assert (folder.path / f"{name}.png").exists()
    assert json.loads(folder.call("show", "--json", file).stdout)["file"] == file
    picture = folder.path / f"other {name}.svg"
    result = folder.call("plot", "-o", f"./other {name}.svg", file)
    assert result.returncode == 0 and picture.exists()
    result = folder.call("plot", file, file, "-o", "two.svg")
    assert_svg_is_clean(folder, "two.svg", name)
    result = folder.call("rm", file)
    assert result.returncode == 0
    assert_harmless(folder, result.stdout + result.stderr)
    assert not (folder.path / f"{name}.db").exists()


@pytest.mark.parametrize("name", [name for name in FILE_NAMES if "\n" not in name])
def test_names_of_files_in_scripts_that_others_run(folder, name, gnuplot, recording):
    script = folder.call("plot", "--script", "-o", f"{name}.png", "rise.db")
    assert script.returncode == 0
    subprocess.run([gnuplot], input=script.stdout, cwd=folder.path, check=True, capture_output=True)
    assert CANARY not in folder.files()
    assert (folder.path / f"{name}.png").exists()


def test_name_of_a_file_with_a_newline_in_a_script_is_refused(folder, gnuplot, recording):
    result = folder.call("plot", "--script", "-o", "a\nb.png", "rise.db")
    assert result.returncode == 1 and control_characters(result.stderr) == []


@pytest.mark.parametrize("name", [name for name in FILE_NAMES if name != "-x"])
def test_names_of_files_that_are_recorded_into(folder, name):
    result = folder.call("run", "-o", f"{name}.db", "--note", name, "true", name)
    assert result.returncode == 0
    assert_harmless(folder, result.stderr)
    assert (folder.path / f"{name}.db").exists()
    assert query(f"{folder.path}/{name}.db".replace("%", "%25").replace("#", "%23"),
                 "SELECT note FROM run") == [(name,)]


def test_messages_about_names_that_are_not_there(folder, hostile):
    for words in (["show", hostile], ["run", hostile], ["plot", "-o", hostile], [hostile],
                  ["run", "-i", hostile, "true"], ["plot", "-w", hostile], ["rm", "--", hostile],
                  ["plot", "--metric", hostile], ["run", "--children", hostile, "true"],
                  ["run", f"--{hostile}"], ["show", f"a{hostile}.db:1"]):
        result = folder.call(*words)
        assert result.returncode != 0
        assert_harmless(folder, result.stderr)
        assert result.stderr.count(b"\n") <= 1 or words[0] == "run" and len(hostile) == 0, words
        assert len(result.stderr) < 12_000


def test_program_with_a_hostile_name_is_recorded_and_shown_harmlessly(folder, gnuplot):
    """A process may call itself anything."""
    name = "\x1b[31m`x`\n$("
    code = (f"open('/proc/self/comm', 'w').write({name!r}); import time; time.sleep(0.5)")
    result = folder.call("run", "-o", "a.db", *python(code), "\x1b[2J", "\x9b")
    assert result.returncode == 0
    assert_harmless(folder, result.stderr)
    assert_harmless(folder, folder.call("show").stdout)
    draw_everything(folder, "a.db")


def test_bytes_that_are_no_utf8_in_every_place(folder, gnuplot):
    raw = b"\xff\xfe\xc3(\xed\xa0\x80\xf5"
    os.symlink("/bin/sh", os.path.join(os.fsencode(folder.path), raw))
    file = b"./" + raw + b".db"
    result = folder.call("run", "-o", file, "--note", raw, b"./" + raw, b"-c", b"sleep 0.3; true", raw)
    assert result.returncode == 0
    assert_harmless(folder, result.stderr)
    for words in ([b"show", file], [b"list"], [b"peak", file], [b"leak", file, file],
                  [b"plot", file]):
        result = folder.call(*words)
        assert result.returncode == 0, result
        assert_harmless(folder, result.stdout + result.stderr)
    for command in (b"show", b"peak"):
        json.loads(folder.call(command, b"--json", file).stdout.decode("utf-8"))
    json.loads(folder.call("list", "--json").stdout.decode("utf-8"))
    folder.call("plot", "-o", "a.svg", b"-t", raw, file)
    assert_svg_is_clean(folder, "a.svg", raw)


def test_name_that_a_script_writes_to_sql_stays_text(folder):
    name = "x'); DROP TABLE sample; --"
    folder.record("true", name, options=["--note", name])
    assert query(folder / "run.db", "SELECT note FROM run") == [(name,)]
    assert query(folder / "run.db", "SELECT count(*) >= 0 FROM sample") == [(1,)]
