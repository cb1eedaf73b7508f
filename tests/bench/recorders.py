"""Runs the recorders that are compared, and measures each from outside, all in the same way.

The processor time of a recorder is what the kernel's clock of that process says
(clock_getcpuclockid(3)): in nanoseconds, with all its threads, also those that have ended, and
without its children. It is read at the start and at the end of a window in the middle of a
recording, so that starting and ending (an interpreter, a summary) do not count.
"""

import itertools
import json
import os
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass, field

INTERVAL_S = 0.001


def find_memwatch():
    return shutil.which(os.environ.get("MEMWATCH", "memwatch"))


def find_mprof():
    """mprof's own name, or the one that Debian gives it."""
    return shutil.which("mprof") or shutil.which("python3-mprof")


def cpu_s(pid):
    """User and system time of a process that has not been reaped yet."""
    return time.clock_gettime(~pid << 3 | 2)


def high_water_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no VmHWM")


def await_end(pid):
    """Waits until a process has ended, and leaves it to be reaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def await_children(pid, count):
    """Waits until a process has so many children, and returns their pids."""
    children = []
    while len(children) < count:
        time.sleep(0.01)
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
    return children


@dataclass
class Measurement:
    cpu_share: float  # of one core, in the window
    total_cpu_s: float  # from its start to its end
    high_water_bytes: int  # at the end of the window
    due: int = 0
    taken: int = 0
    missed: int = 0  # of memwatch's ticks
    path: str = ""  # of the file it wrote
    recorder: dict = field(default_factory=dict)  # what memwatch says about itself

    @property
    def taken_share(self):
        return self.taken / self.due if self.due else 0.0


@dataclass
class Window:
    warm_up_s: float
    length_s: float
    cool_down_s: float = 0.4

    @property
    def total_s(self):
        return self.warm_up_s + self.length_s + self.cool_down_s


def check_ended(process, what):
    if process.wait() != 0:
        raise RuntimeError(f"{what} ended with status {process.returncode}")


def watch_window(process, window, what):
    """Measures a recorder that has just been started. Returns that, and the window's real ends."""
    time.sleep(window.warm_up_s)
    begin, begin_s, begin_date = cpu_s(process.pid), time.monotonic(), time.time()
    time.sleep(window.length_s)
    end, end_s, end_date = cpu_s(process.pid), time.monotonic(), time.time()
    high_water = high_water_bytes(process.pid)
    await_end(process.pid)
    total = cpu_s(process.pid)
    check_ended(process, what)
    share = (end - begin) / (end_s - begin_s)
    return Measurement(share, total, high_water), (begin_date, end_date)


class Recorders:
    """Everything that can record a target; files go into one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.memwatch_path = find_memwatch()
        self.mprof_path = find_mprof()
        self.scheduling = None  # what memwatch's sampler thread got, once it has run
        self.numbers = itertools.count(1)

    def new_path(self, suffix):
        return os.path.join(self.folder, f"record{next(self.numbers)}{suffix}")

    def target(self, *arguments):
        return [os.path.join(self.folder, "target"), *map(str, arguments)]

    def known_memory(self, *arguments):
        return [os.path.join(self.folder, "known_memory"), *map(str, arguments)]

    def show(self, path):
        text = subprocess.run(
            [self.memwatch_path, "show", "--json", path], check=True, stdout=subprocess.PIPE
        ).stdout
        return json.loads(text)["runs"][-1]

    def memwatch_command(self, path, target, *options, interval_s=INTERVAL_S):
        interval = f"{interval_s:g}"
        start = [self.memwatch_path, "run", "-q", "-i", interval, *options, "-o", path, "--"]
        return start + target

    def mprof_command(self, path, target, *options, interval_s=INTERVAL_S):
        interval = f"{interval_s:g}"
        start = [self.mprof_path, "run", "--nopython", *options, "-T", interval, "-o", path]
        return start + target

    def memwatch(self, kind, window, *, interval_s=INTERVAL_S):
        path = self.new_path(".db")
        target = self.target(kind, window.total_s)
        process = subprocess.Popen(self.memwatch_command(path, target, interval_s=interval_s))
        result, _ = watch_window(process, window, "memwatch")
        run = self.show(path)
        result.path, result.recorder = path, run["recorder"]
        result.due, result.taken, result.missed = (
            run["ticks_due"], run["ticks_taken"], run["ticks_missed"]
        )
        self.scheduling = result.recorder["scheduling"]
        return result

    def mprof(self, kind, window, *options, interval_s=INTERVAL_S):
        path = self.new_path(".dat")
        target = self.target(kind, window.total_s)
        command = self.mprof_command(path, target, *options, interval_s=interval_s)
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        result, (begin, end) = watch_window(process, window, "mprof")
        with open(path, encoding="utf-8", errors="replace") as lines:
            dates = [float(line.split()[2]) for line in lines if line.startswith("MEM ")]
        result.path = path
        result.due = round((end - begin) / interval_s)
        result.taken = sum(begin <= date < end for date in dates)
        return result

    def bare_loop_command(self, scheduling, *pids, interval_s=INTERVAL_S):
        start = [os.path.join(self.folder, "bare_loop"), str(round(interval_s * 1e9)), scheduling]
        return start + [str(pid) for pid in pids]

    def bare_loop(self, kind, window, scheduling, *, interval_s=INTERVAL_S, children=0):
        target = subprocess.Popen(self.target(kind, window.total_s))
        pids = await_children(target.pid, children)
        loop = self.bare_loop_command(scheduling, target.pid, *pids, interval_s=interval_s)
        process = subprocess.Popen(loop, stdout=subprocess.PIPE)
        result, _ = watch_window(process, window, "the bare loop")
        result.due, result.taken = map(int, process.stdout.read().split())
        process.stdout.close()
        check_ended(target, "the target")
        return result

    def template(self):
        """A short recording of one process whose memory hardly changes."""
        path = os.path.join(self.folder, "template.db")
        if not os.path.exists(path):
            command = self.memwatch_command(path, self.target("steady", 0.1))
            subprocess.run(command, check=True)
        return path

    def work_s(self, rounds, wrap):
        """How long the target's own work takes under a recorder; wrap gives the command line."""
        command = self.target("work", rounds)
        output = subprocess.run(
            wrap(command), check=True, cwd=self.folder, stdout=subprocess.PIPE
        ).stdout.decode()
        return int(next(line for line in output.splitlines() if line.isdigit())) / 1e9

    def allocations(self, begin_s, end_s):
        """Heap allocations of memwatch's threads from begin_s to end_s of a recording.

        Returns a list of (thread's waits in that time, its allocations): the sampler is the thread
        that waits once a tick.
        """
        counts_path = self.new_path(".counts")
        environment = dict(
            os.environ,
            LD_PRELOAD=os.path.join(self.folder, "count_allocations.so"),
            ALLOCATION_COUNTS=counts_path,
        )
        target = self.target("changing", end_s + 0.5)
        command = self.memwatch_command(self.new_path(".db"), target)
        process = subprocess.Popen(command, env=environment)
        time.sleep(begin_s)
        before = self.thread_counts(process.pid, counts_path)
        time.sleep(end_s - begin_s)
        after = self.thread_counts(process.pid, counts_path)
        check_ended(process, "memwatch")
        return [
            (waits - before[thread][0], allocations - before[thread][1])
            for thread, (waits, allocations) in after.items()
        ]

    @staticmethod
    def thread_counts(pid, counts_path):
        with open(counts_path, "rb") as counts:
            allocations = dict(struct.iter_unpack("=QQ", counts.read()))
        threads = {}
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as status:
                waits = next(line for line in status if line.startswith("voluntary_ctxt"))
            threads[thread] = int(waits.split()[1]), allocations.get(thread, 0)
        return threads
