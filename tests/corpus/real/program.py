"""A program that is recorded: how it is started, its load, and what it says of its own memory."""

import http.client
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time

NOBODY = "nobody"
HERE = os.path.dirname(os.path.abspath(__file__))


class Program:
    """One program under one load. Subclasses say what is particular.

    The load is `requests` requests, evenly over its time, however long that is: so what is asked
    of the program in all, and with it what it keeps, does not depend on the length of the run.
    """

    name = ""
    mechanism = ""  # why it keeps what it keeps
    leaks = False
    packages = ()  # of Debian
    requests = 6000

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix=f"memwatch-{self.name}.")
        self.random = random.Random(self.name)  # the same load each time
        self.process = None
        self.helpers = []  # processes besides, to be ended with the program
        give_away(self.folder)

    def prepare(self):
        """What must be there before it starts."""

    def command(self):
        """Its words, as a user would type them."""
        raise NotImplementedError

    def connect(self):
        """Waits until it answers."""

    def pid(self):
        """The process whose memory the mechanism is about."""
        return only_child(self.process.pid)

    def load(self, numbers):
        """Sends the requests of these numbers; returns once they are answered."""
        raise NotImplementedError

    def counter_bytes(self):
        """What the program, or its allocator, says that it uses."""
        raise NotImplementedError

    def evidence(self):
        """What else it says that bears out the label, in a few words."""
        return ""

    def start(self, memwatch, path):
        record = [memwatch, "run", "-q", "-i", "0.1", "--no-functions",
                  "--note", f"{self.name}: {self.mechanism}", "-o", path, "--"]
        with open(os.path.join(self.folder, "errors"), "wb") as errors:
            self.process = subprocess.Popen(
                record + as_nobody(self.command()), cwd=self.folder,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                start_new_session=True,  # Ctrl-C is for us alone
            )

    def errors(self):
        """What it wrote to standard error, shortened."""
        path = os.path.join(self.folder, "errors")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def stop(self):
        """Ends it as an administrator would; whatever still runs after 20 s is killed."""
        for helper in self.helpers:
            end(helper)
        if self.process:
            family = descendants(self.process.pid)
            end(self.process, 20)
            for pid, started in family:
                if start_time(pid) == started:
                    os.kill(pid, 9)

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, *words):
        """Starts a client that answers each line with a line."""
        helper = subprocess.Popen(words, cwd=self.folder, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  start_new_session=True)
        self.helpers.append(helper)
        return helper


def ask(process, *lines):
    """Writes lines to a process, and returns as many that it answers."""
    process.stdin.write("".join(line + "\n" for line in lines))
    process.stdin.flush()
    answers = [process.stdout.readline() for _ in lines]
    if not answers[-1]:
        raise RuntimeError(f"{process.args[0]} answers no more")
    return [answer.rstrip("\n") for answer in answers]


class Failed(Exception):
    """A command did not succeed; with what it said."""


def output(*words, **options):
    """What a command prints that ends by itself."""
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return done.stdout


def as_nobody(words):
    """The command as a user without rights, where we are root: servers refuse to run as root."""
    if os.geteuid() != 0:
        return list(words)
    return ["setpriv", f"--reuid={NOBODY}", "--regid=nogroup", "--clear-groups", *words]


def give_away(path):
    """Makes a file the one of who runs the program."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam(NOBODY)
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def patiently(attempt, *errors, seconds=60):
    """Tries until it works."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except errors:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


class Web:
    """A kept connection to an HTTP server on loopback."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        patiently(self.connection.connect, OSError)

    def get(self, path):
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status}")
        return body


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += map(int, file.read().split())
    return found


def only_child(pid):
    (child,) = children(pid)
    return child


def start_time(pid):
    """In the kernel's ticks since boot; None once it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, *fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else int(fields[18])


def descendants(pid):
    """The processes below one, each with its start time, by which it is known again."""
    try:
        below = children(pid)
    except OSError:
        return []
    return [(child, start_time(child)) for child in below] + [
        grandchild for child in below for grandchild in descendants(child)
    ]


def end(process, seconds=5):
    """Asks a process of ours to end, and makes it end."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            try:
                pipe.close()
            except OSError:
                pass  # of what it did not read any more
