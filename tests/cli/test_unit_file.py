"""The systemd unit that keeps a record of a server: what it starts works, as a user of its own."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from attached import WAITS, Attached, Target
from conftest import GUIDED, HERE, MEMWATCH

UNIT = HERE.parent.parent / "cmd" / "memwatch@.service.in"


def exec_start(folder, name, options=""):
    """The words that systemd would start, without the program."""
    line = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.M).group(1)
    program, *words = shlex.split(line.replace("$MEMWATCH_OPTIONS", options)
                                  .replace("${STATE_DIRECTORY}", str(folder.path))
                                  .replace("%i", "a").replace("%I", name))
    assert program == "@bindir@/memwatch" and words[0] == "attach"
    return words[1:]


def test_what_the_unit_starts_waits_for_the_server_and_records_it(open_folder, ordinary_user):
    os.chmod(open_folder.path, 0o777)
    script = open_folder / "a-server.py"
    script.write_text(GUIDED + WAITS)
    words = exec_start(open_folder, "a-server.py", "--interval 10ms --max-rss 1G")
    with Attached(open_folder, *words, options=(), **ordinary_user) as attached:
        assert b"waiting" in attached.process.stderr.readline()
        with Target(open_folder, [sys.executable, script]) as target:
            target.line()
            attached.see_memory(target.pid)
            run, _ = attached.finish(signal.SIGTERM)
    assert run["end"] == "detached" and run["processes"][0]["pid"] == target.pid


def test_systemd_understands_the_unit(folder):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed")
    text = UNIT.read_text().replace("@bindir@/memwatch", MEMWATCH)
    path = pathlib.Path(folder / "memwatch@redis-server.service")
    path.write_text(text)
    result = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    assert "memwatch@" not in result.stdout + result.stderr, result
