"""Helpers for the tests of the command line: each test works in an empty folder of its own.

The binary under test is $MEMWATCH, else memwatch from PATH.
"""

import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time

import pytest

# A shell starts background jobs with SIGINT ignored, and what is ignored stays so in every program below.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = HERE.parent / "programs"
SCHEMA = HERE.parent.parent / "lib" / "store" / "schema.sql"
PYTHON = sys.executable
# A stuck command is a failure; no working one takes this long on any machine.
PATIENCE_S = 60


def find_memwatch():
    """The absolute path of the binary under test."""
    found = shutil.which(os.environ.get("MEMWATCH") or "memwatch")
    if not found:
        pytest.exit("there is no memwatch to test: set MEMWATCH or install it", returncode=2)
    return os.path.abspath(found)


MEMWATCH = find_memwatch()


def plain_environment():
    """No display, no wishes about colours, and the Python of these tests first on PATH."""
    unwanted = {"DISPLAY", "WAYLAND_DISPLAY", "NO_COLOR", "GNUTERM", "COLUMNS", "LINES"}
    env = {name: value for name, value in os.environ.items() if name not in unwanted}
    folders = [os.path.dirname(PYTHON), *env.get("PATH", os.defpath).split(os.pathsep)]
    env["PATH"] = os.pathsep.join(path for path in folders if os.access(path, os.X_OK))
    env["TERM"] = "xterm-256color"
    env["LC_ALL"] = "C.UTF-8"
    return env


class Folder:
    """An empty folder in which memwatch is called."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.env = plain_environment()

    def __truediv__(self, name):
        return self.path / name

    def call(self, *words, env=None, **options):
        """Runs memwatch to its end; returns returncode, stdout and stderr as bytes."""
        options.setdefault("timeout", PATIENCE_S)
        options.setdefault("cwd", self.path)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        result = subprocess.run([MEMWATCH, *words], env={**self.env, **(env or {})}, check=False,
                                stdout=options.pop("stdout", subprocess.PIPE),
                                stderr=options.pop("stderr", subprocess.PIPE), **options)
        assert result.returncode >= 0, f"memwatch crashed: {result}"
        return result

    def start(self, *words, env=None, **options):
        """Starts memwatch and returns the Popen."""
        options.setdefault("cwd", self.path)
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([MEMWATCH, *words], env={**self.env, **(env or {})}, **options)

    def record(self, *words, file="run.db", options=()):
        """Records a program into a file and returns the file's path."""
        result = self.call("run", "-q", "-o", str(file), *options, "--", *map(str, words))
        assert result.stderr == b"", result
        return self.path / file

    def show(self, *operand):
        """What show --json says of a file."""
        result = self.call("show", "--json", *map(str, operand))
        assert result.returncode == 0, result
        return json.loads(result.stdout)

    def last_run(self, *operand):
        """What show --json says of a file's last run."""
        return self.show(*operand)["runs"][-1]

    def files(self):
        return sorted(entry.name for entry in self.path.iterdir())


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def open_folder():
    """A folder that every user can enter: those of pytest are for one user alone."""
    path = tempfile.mkdtemp(prefix="memwatch-test-")
    os.chmod(path, 0o755)
    yield Folder(path)
    os.chmod(path, 0o755)
    shutil.rmtree(path)


# --- programs to record ----------------------------------------------------------------------


def python(code):
    """A command that runs Python code, quickly."""
    return [PYTHON, "-I", "-S", "-c", code]


def program(name, *words):
    """A command that runs one of tests/programs."""
    return [PYTHON, "-I", "-S", str(PROGRAMS / name), *map(str, words)]


def kill_quietly(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


# --- waiting ---------------------------------------------------------------------------------


def wait_until(condition, what, patience_s=PATIENCE_S):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def wait_for_samples(path, count=1):
    """Waits until that many samples are committed to a file that is being recorded."""
    def committed():
        try:
            return query(path, "SELECT count(*) FROM sample")[0][0] >= count
        except sqlite3.OperationalError:
            return False
    wait_until(committed, f"{count} samples in {path}")


def is_alive(pid):
    """Whether a process runs: a zombie does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


# --- files -----------------------------------------------------------------------------------


def query(path, sql, *parameters):
    """All rows of a query, as any SQLite client sees them; the file is not written."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    database.text_factory = lambda value: value.decode("utf-8", "surrogateescape")
    try:
        return database.execute(sql, parameters).fetchall()
    finally:
        database.close()


def execute(path, *statements):
    """Changes a file behind memwatch's back."""
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def make_recording(path, samples, *, command=("program",), name="program", note=None,
                   duration_us=None, started_ns=1_700_000_000_000_000_000, outcome="exited",
                   gap=None):
    """Writes a memwatch file with one process whose samples are (microseconds, KiB)."""
    peak_us, peak_kib = max(samples, key=lambda sample: sample[1])
    duration_us = duration_us or samples[-1][0] + 10_000
    database = sqlite3.connect(path)
    database.executescript(SCHEMA.read_text())
    database.execute(
        "INSERT INTO run (id, version, started_ns, duration_us, interval_us, children, cwd, note,"
        " outcome, exit_status, ticks_due, ticks_taken, scheduling, tracking, peak_kib,"
        " peak_from_us, peak_to_us, peak_source) VALUES (1, '0', ?, ?, 10000, 'each', '/', ?, ?,"
        " 0, ?, ?, 'default', 'children', ?, ?, ?, 'sampled')",
        (started_ns, duration_us, note, outcome, len(samples), len(samples), peak_kib, peak_us,
         peak_us))
    for position, word in enumerate(command):
        database.execute("INSERT INTO command VALUES (1, ?, ?)", (position, word))
    database.execute("INSERT INTO process (id, run, pid, ppid, start_us, end_us, peak_kib,"
                     " peak_from_us, peak_to_us, peak_source)"
                     " VALUES (1, 1, 4711, 1, 0, ?, ?, ?, ?, 'sampled')",
                     (duration_us, peak_kib, peak_us, peak_us))
    database.execute("INSERT INTO image VALUES (1, 1, 0, ?)", (name,))
    for position, word in enumerate(command):
        database.execute("INSERT INTO argument VALUES (1, ?, ?)", (position, word))
    database.execute("INSERT INTO series VALUES (1, 1, 1, 'rss', 0), (2, 1, 1, 'shared', 0)")
    database.executemany("INSERT INTO sample VALUES (1, ?, ?)", samples)
    database.execute("INSERT INTO sample VALUES (2, 0, 0)")
    database.execute("INSERT INTO clock VALUES (1, 0, ?)", (started_ns,))
    if gap:
        database.execute("INSERT INTO gap VALUES (1, ?, ?, ?)", gap)
    database.commit()
    database.close()
    return path


@pytest.fixture
def recording(folder):
    """A small recording: a second that rises from 10 to 20 MiB."""
    samples = [(10_000 * tick, 10_240 + 1024 * (tick // 10)) for tick in range(101)]
    return make_recording(folder / "rise.db", samples)


# --- terminals -------------------------------------------------------------------------------


class Terminal:
    """A real terminal with a process in its foreground."""

    def __init__(self, words, cwd, env, columns=100, rows=30):
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            words, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.screen = b""

    def type(self, keys):
        os.write(self.master, keys)

    def read(self, timeout_s=0.05):
        """Takes in what is there; False at the end."""
        if not select.select([self.master], [], [], timeout_s)[0]:
            return True
        try:
            more = os.read(self.master, 65536)
        except OSError:  # the last process has closed the other side
            return False
        self.screen += more
        return more != b""

    def wait_for(self, text):
        wait_until(lambda: self.read() and text in self.screen, f"{text} in {self.screen}")

    def finish(self):
        """Reads to the end and returns the exit status."""
        deadline = time.monotonic() + PATIENCE_S
        while self.read() and self.process.poll() is None:
            assert time.monotonic() < deadline, f"does not end: {self.screen}"
        while self.read(0) and select.select([self.master], [], [], 0)[0]:
            pass
        return self.process.wait(PATIENCE_S)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(folder):
    """Calls memwatch in a terminal of its own."""
    opened = []

    def open_terminal(*words, env=None, **size):
        opened.append(Terminal([MEMWATCH, *map(str, words)], folder.path,
                               {**folder.env, **(env or {})}, **size))
        return opened[-1]
    yield open_terminal
    for each in opened:
        each.close()


# --- gnuplot ---------------------------------------------------------------------------------


@pytest.fixture
def gnuplot():
    """The real gnuplot, for what draws."""
    found = shutil.which("gnuplot")
    if not found:
        pytest.skip("gnuplot is not installed")
    return found


def fake_gnuplot(folder, script):
    """An environment in which gnuplot is a shell script that does something else."""
    bin_folder = folder / "fake-bin"
    bin_folder.mkdir(exist_ok=True)
    fake = bin_folder / "gnuplot"
    fake.write_text("#!/bin/sh\n" + script)
    fake.chmod(0o755)
    return {"PATH": f"{bin_folder}{os.pathsep}{folder.env['PATH']}"}


# --- what output must be like ----------------------------------------------------------------


def assert_one_line(output):
    """A message is one clear line."""
    text = output.decode()
    assert text.startswith("memwatch: ") and text.count("\n") == 1 and text.endswith("\n"), text
    assert "Traceback" not in text
    return text


def control_characters(output):
    """The characters that a terminal would obey, line ends aside."""
    return [character for character in output.decode("utf-8", "surrogateescape")
            if (character < " " and character not in "\n\t") or "\x7f" <= character <= "\x9f"
            or "\u202a" <= character <= "\u202e" or "\udc80" <= character <= "\udcff"]
