"""Helpers for the tests of the command line: each test works in an empty folder of its own.

The binary under test is $MEMWATCH, else memwatch from PATH.
"""

import ctypes
import fcntl
import json
import os
import pathlib
import platform
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
HEADER = HERE.parent.parent / "lib"  # the folder of memwatch.h
SCHEMA = HERE.parent.parent / "lib" / "store" / "schema.sql"
PYTHON = sys.executable
# A stuck command is a failure; no working one takes this long on any machine.
PATIENCE_S = 300


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
        """Starts memwatch, below another program if before names one, and returns the Popen."""
        options.setdefault("cwd", self.path)
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([*options.pop("before", ()), MEMWATCH, *words],
                                env={**self.env, **(env or {})}, **options)

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


def reachable_by_all(path):
    """Whether every user can execute the file."""
    parts = os.path.realpath(path)
    while parts != "/":
        if not os.stat(parts).st_mode & 0o001:
            return False
        parts = os.path.dirname(parts)
    return True


@pytest.fixture
def ordinary_user():
    """Options that run memwatch as somebody whom rights bind."""
    if os.geteuid() != 0:
        return {}
    if not reachable_by_all(MEMWATCH):
        pytest.skip("the memwatch under test lies where an ordinary user cannot reach it")
    return {"user": 65534, "group": 65534, "extra_groups": []}


# --- a stricter machine -----------------------------------------------------------------------


def deny(*calls):
    """What a child does before exec so that perf, the connector or a memfd is refused to it, with
    EACCES."""
    numbers = {"x86_64": (298, 41, 319), "aarch64": (241, 198, 279)}.get(platform.machine())
    if not numbers:
        pytest.skip(f"the numbers of system calls on {platform.machine()} are not known here")
    load, equal, give, allow, refuse = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000 | 13
    steps = [(load, 0, 0, 0)]  # the number of the call
    if "perf" in calls:
        steps += [(equal, 0, 1, numbers[0]), (give, 0, 0, refuse)]
    if "connector" in calls:  # socket(AF_NETLINK, …, NETLINK_CONNECTOR)
        steps += [(equal, 0, 5, numbers[1]), (load, 0, 0, 16), (equal, 0, 3, 16),
                  (load, 0, 0, 32), (equal, 0, 1, 11), (give, 0, 0, refuse)]
    if "memfd" in calls:
        steps += [(equal, 0, 1, numbers[2]), (give, 0, 0, refuse)]
    steps += [(give, 0, 0, allow)]

    class Step(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte),
                    ("value", ctypes.c_uint)]

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.POINTER(Step))]

    steps = (Step * len(steps))(*steps)
    program = Filter(len(steps), steps)
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
            raise OSError(ctypes.get_errno(), "no filter of system calls can be set")
    return install


# --- programs to record ----------------------------------------------------------------------


def python(code):
    """A command that runs Python code, quickly."""
    return [PYTHON, "-I", "-S", "-c", code]


def program(name, *words):
    """A command that runs one of tests/programs."""
    return [PYTHON, "-I", "-S", str(PROGRAMS / name), *map(str, words)]


def guided(code, *words):
    """A command that runs Python code which goes on where the test says so: see Guided."""
    return [*python(GUIDED + code), *map(str, words)]


# wait_for(NAME) waits until the test has made that file, and gives up one day.
GUIDED = f"""
import os, sys, time
def wait_for(name):
    until = time.monotonic() + {PATIENCE_S}
    while not os.path.exists(name) and time.monotonic() < until:
        time.sleep(0.005)
def hold(mib):
    return b"x" * (mib << 20)
"""


class Guided:
    """A recording into a.db that is made step by step: no step depends on how fast a machine is."""

    def __init__(self, folder, command, options=(), **start):
        self.folder = folder
        self.path = folder / "a.db"
        self.process = folder.start("run", "-q", "-o", "a.db", *options, "--",
                                    *map(str, command), **start)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:  # the test has failed
            self.go_on()
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def line(self):
        """The next line that the program prints."""
        return self.process.stdout.readline().decode().rstrip("\n")

    def allow(self, *names):
        """Lets the program go on that waits for these files."""
        for name in names:
            (self.folder / name).touch()

    def see(self, sql, *parameters):
        """Waits until a query of the file has rows."""
        return wait_for_rows(self.path, sql, *parameters)

    def see_memory(self, pid, mib):
        """Waits until a process is in the file with more than so much memory."""
        self.see("SELECT 1 FROM samples WHERE metric = 'rss' AND pid = ? AND bytes > ?",
                 int(pid), mib << 20)

    def see_end(self, pid):
        """Waits until the end of a process is in the file."""
        self.see("SELECT 1 FROM process WHERE pid = ? AND end_us IS NOT NULL", int(pid))

    def stop(self):
        """Stops the recorder alone."""
        def stopped():
            stats = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/stat")
            return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats)
        self.process.send_signal(signal.SIGSTOP)
        wait_until(stopped, "the recorder stops")

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def finish(self, status=0):
        """Waits for the end, and returns what show --json says of the run."""
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        assert (self.process.returncode, errors) == (status, b"")
        assert query(self.path, "PRAGMA integrity_check") == [("ok",)]
        return self.folder.last_run("a.db")


def processes_of(run, pid):
    """The processes of a run that had this pid."""
    return [process for process in run["processes"] if process["pid"] == int(pid)]


def process_of(run, pid):
    process, = processes_of(run, pid)
    return process


def kill_quietly(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


# --- cgroups ---------------------------------------------------------------------------------


def size_of(path):
    """A file with its log and the log's index, as they are at this moment."""
    size = 0
    for suffix in ("", "-wal", "-shm"):
        try:
            size += os.stat(f"{path}{suffix}").st_size
        except FileNotFoundError:
            pass
    return size


def build(folder, source, *options, compiler="cc"):
    """Compiles a C program, which may include memwatch.h, and returns its path."""
    found = shutil.which(compiler)
    if not found:
        pytest.skip(f"there is no {compiler}")
    source = pathlib.Path(source)
    if not source.exists():
        source = folder / "marked.c"
    name = folder / f"program-{source.stem}"
    subprocess.run([found, "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f"-I{HEADER}",
                    *options, "-o", name, source, "-pthread"], check=True)
    return name


@pytest.fixture
def cgroup():
    """An empty memory cgroup of the test's own."""
    path = memory_cgroup(f"memwatch-test-{os.getpid()}")
    yield path
    for line in (path / "cgroup.procs").read_text().split():
        kill_quietly(int(line))

    def removed():
        try:
            path.rmdir()
            return True
        except OSError:
            return False
    wait_until(removed, f"{path} can be removed")


def memory_cgroup(name):
    """A new memory cgroup, of whichever version there is."""
    for parent in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        path = pathlib.Path(parent) / name
        try:
            if (path.parent / "cgroup.procs").exists():
                path.mkdir()
                if (path / "memory.max").exists() or (path / "memory.limit_in_bytes").exists():
                    return path
                path.rmdir()
        except OSError:
            pass
    pytest.skip("no memory cgroup can be made here")


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


def wait_for_rows(path, sql, *parameters):
    """Waits until a query of a file that is being recorded has rows, and returns them."""
    def committed():
        try:
            return query(path, sql, *parameters)
        except sqlite3.OperationalError:
            return []
    return wait_until(committed, f"{sql} {parameters} in {path}")


def wait_for_samples(path, count=1):
    """Waits until that many samples are committed to a file that is being recorded."""
    wait_for_rows(path, "SELECT 1 FROM sample LIMIT 1 OFFSET ?", count - 1)


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
                   gap=None, schema=SCHEMA):
    """Writes a memwatch file with one process whose samples are (microseconds, KiB)."""
    peak_us, peak_kib = max(samples, key=lambda sample: sample[1])
    duration_us = duration_us or samples[-1][0] + 10_000
    database = sqlite3.connect(path)
    database.executescript(schema.read_text())
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
