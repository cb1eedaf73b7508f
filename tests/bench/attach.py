"""What memwatch attach costs: itself at 10 Hz, and the server that it records at 100 Hz."""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from capture import bootstrap
from recorders import cpu_s, high_water_bytes
from table import Table, megabytes, percent, progress, spread


@dataclass
class Plan:
    """How much is done of everything."""

    rounds: int
    length_s: float
    pairs: int
    requests: int


FULL = Plan(rounds=3, length_s=30, pairs=50, requests=60_000)
QUICK = Plan(rounds=1, length_s=10, pairs=10, requests=100_000)
PROCESSES = 10
AIM_SHARE = 0.002
AIM_BYTES = 8 << 20

# A tree of so many processes that all change their memory ten times a second.
TREE = f"""
import os, time
for _ in range({PROCESSES - 1}):
    if os.fork() == 0: break
begin = time.monotonic()
number = 0
while time.monotonic() - begin < 600:
    number += 1
    block = bytearray(65536 * (1 + number % 20))
    block[::4096] = b'x' * len(block[::4096])
    time.sleep(0.1)
"""


def start_attach(recorders, pid, *options):
    path = recorders.new_path(".db")
    process = subprocess.Popen([recorders.memwatch_path, "attach", "-q", "-o", path, *options,
                                str(pid)], stderr=subprocess.DEVNULL)
    while not os.path.exists(path):
        time.sleep(0.01)
    return process, path


def end(process):
    process.send_signal(signal.SIGINT)
    if process.wait(60) != 0:
        raise RuntimeError("memwatch attach failed")


def measure_itself(table, recorders, plan):
    shares, before, after = [], [], []
    for number in range(plan.rounds):
        progress(f"{PROCESSES} processes at 10 Hz, round {number + 1} of {plan.rounds}")
        tree = subprocess.Popen([sys.executable, "-I", "-S", "-c", TREE], start_new_session=True)
        time.sleep(0.5)
        attached, _ = start_attach(recorders, tree.pid)
        time.sleep(2)
        begin_s, begin_cpu_s = time.monotonic(), cpu_s(attached.pid)
        before.append(high_water_bytes(attached.pid))
        time.sleep(plan.length_s)
        shares.append((cpu_s(attached.pid) - begin_cpu_s) / (time.monotonic() - begin_s))
        after.append(high_water_bytes(attached.pid))
        end(attached)
        os.killpg(tree.pid, signal.SIGKILL)
        tree.wait()
    table.row(f"attach to {PROCESSES} processes at 10 Hz: processor time", "≤ 0.2 % of a core",
              spread(shares, percent), "", "", statistics.median(shares) <= AIM_SHARE)
    table.row(f"its memory, after 2 s and {plan.length_s:g} s later", "≤ 8 MiB, flat",
              f"{spread(before, megabytes)}, {spread(after, megabytes)}", "", "",
              max(after) <= AIM_BYTES and statistics.median(after) - statistics.median(before) < 1e5)


class Redis:
    """A server of its own, on a free port of the loopback."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        self.process = subprocess.Popen(["redis-server", "--port", self.port, "--bind", "127.0.0.1",
                                         "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
        while subprocess.run(["redis-cli", "-p", self.port, "ping"], capture_output=True,
                             check=False).stdout != b"PONG\n":
            time.sleep(0.05)

    def requests_per_second(self, requests):
        output = subprocess.run(["redis-benchmark", "-p", self.port, "-t", "set", "-n",
                                 str(requests), "-r", "100000", "-d", "100", "--csv"], check=True,
                                capture_output=True, text=True).stdout
        return float(output.splitlines()[-1].split(",")[1].strip('"'))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def measure_pair(recorders, redis, requests, attached_first):
    """Requests per second with memwatch attached, divided by those without."""
    rates = {}
    for attached in (attached_first, not attached_first):
        if attached:
            recorder, _ = start_attach(recorders, redis.process.pid, "-i", "10ms")
        rates[attached] = redis.requests_per_second(requests)
        if attached:
            end(recorder)
    return rates[True] / rates[False]


def measure_server(table, recorders, plan):
    what = ("redis-benchmark with memwatch attached at 100 Hz: throughput against that without,"
            f" median of {plan.pairs} pairs in turns (95 % confidence)")
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        table.absent(what, "≥ 0.99", "redis is not installed")
        return
    redis = Redis(recorders.folder)
    redis.requests_per_second(plan.requests)  # the tables have their size from here on
    ratios = []
    for number in range(plan.pairs):
        progress(f"redis-benchmark, pair {number + 1} of {plan.pairs}")
        ratios.append(measure_pair(recorders, redis, plan.requests, number % 2 == 0))
    redis.stop()
    middle = statistics.median(ratios)
    low, high = bootstrap(ratios, statistics.median)
    table.row(what, "≥ 0.99", "", "the same server alone", f"{middle:.3f} ({low:.3f}–{high:.3f})",
              middle >= 0.99, uncertain=low < 0.99 <= high)


def measure(recorders, quick):
    """Returns the table, and what is to be said before and after it."""
    plan = QUICK if quick else FULL
    table = Table()
    measure_itself(table, recorders, plan)
    measure_server(table, recorders, plan)
    rounds = f"{plan.rounds} rounds" if plan.rounds > 1 else "one round"
    return table, (f"Processor time and memory of the recorder in {rounds} of {plan.length_s:g} s,"
                   " with the lowest and the highest."), (
        "In each pair the two sides follow each other at once; which comes first changes.")
