"""What long recordings cost: a simulated month, and giving up old samples at 1 kHz."""

import json
import os
import sqlite3
import statistics
import subprocess
from dataclasses import dataclass

from cost import time_command
from table import Table, count_text, megabytes, progress, seconds, spread

SERVER_LEVELS = "raw=1h,1s=24h,1m=30d,10m=forever"
# Old samples go from the second second on, so that they do in a short recording too.
SHORT_LEVELS = "raw=1s,100ms=2s,1s=10s,10s=forever"


@dataclass
class Plan:
    """How much is done of everything."""

    month_hours: int
    changes: int  # of a hundred ticks
    many_hours: int  # at 1 kHz, one process
    pairs: int
    pair_s: float


FULL = Plan(month_hours=31 * 24, changes=20, many_hours=3, pairs=12, pair_s=20)
QUICK = Plan(month_hours=30, changes=20, many_hours=1, pairs=3, pair_s=4)


def simulate(recorders, path, *words):
    """Lets the writer record in fast time; returns what it says of itself."""
    result = subprocess.run([os.path.join(recorders.folder, "month"), path, *map(str, words)],
                            check=True, stdout=subprocess.PIPE)
    return json.loads(result.stdout)


def plot_times(recorders, path):
    output = os.path.join(recorders.folder, "keep.png")
    return [time_command([recorders.memwatch_path, "plot", "-o", output, path], recorders.folder)
            for _ in range(3)]


def peaks_of_days(path):
    """The highest sums of each day that are left, at the coarsest level."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    whole = database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    peaks = [kib for _, kib in database.execute(
        "SELECT CAST(from_s / 86400 AS INT), max(max_bytes) / 1024 FROM rollups"
        " WHERE process IS NULL AND metric = 'rss' AND bucket_s = 600 GROUP BY 1")]
    database.close()
    return peaks, whole


def measure_month(table, recorders, plan):
    path = os.path.join(recorders.folder, "month.db")
    progress(f"simulating {plan.month_hours // 24} days")
    said = simulate(recorders, path, plan.month_hours, 10, 10, plan.changes, SERVER_LEVELS)
    peaks, whole = peaks_of_days(path)
    right = sum(a == b for a, b in zip(peaks, said["highest_kib_of_days"]))
    what = f"{plan.month_hours / 24:g} days at 10 Hz, 10 processes"
    size = os.stat(path).st_size
    table.row(f"file of {what}, --keep {SERVER_LEVELS}", "≤ 64 MB", megabytes(size),
              f"{count_text(said['samples'])} values were written", "", size <= 64e6)
    days = len(said["highest_kib_of_days"])
    table.row("days whose highest sum is still in it, exactly", "all", f"{right} of {days}",
              "what was written", "", right == days and whole)
    table.row("the writer's memory, after a tenth of the time and at the end", "flat",
              f"{said['early_kib']} and {said['late_kib']} KiB",
              f"{said['early_descriptors']} and {said['late_descriptors']} descriptors", "",
              said["late_kib"] - said["early_kib"] <= 512
              and said["late_descriptors"] == said["early_descriptors"])
    times = plot_times(recorders, path)
    table.row(f"plot of the {plan.month_hours / 24:g} days", "≤ 1 s", spread(times, seconds), "", "",
              statistics.median(times) <= 1)
    os.unlink(path)


def measure_many(table, recorders, plan):
    path = os.path.join(recorders.folder, "many.db")
    progress(f"writing {plan.many_hours} hours at 1 kHz")
    said = simulate(recorders, path, plan.many_hours, 1000, 1, 100, "-")
    times = plot_times(recorders, path)
    raw = said["samples"] // 2
    table.row(f"plot of {count_text(raw)} raw samples and as many sums, none given up", "≤ 1 s",
              spread(times, seconds), megabytes(os.stat(path).st_size), "",
              statistics.median(times) <= 1)
    os.unlink(path)


def record(recorders, plan, *options):
    """Records a target that changes at every tick; the share of ticks that were missed."""
    path = recorders.new_path(".db")
    subprocess.run([recorders.memwatch_path, "run", "-q", "-i", "0.001", "-o", path, *options, "--",
                    *recorders.target("changing", plan.pair_s)],
                   check=True, stdout=subprocess.DEVNULL)
    shown = subprocess.run([recorders.memwatch_path, "show", "--json", path], check=True,
                           stdout=subprocess.PIPE)
    run = json.loads(shown.stdout)["runs"][-1]
    os.unlink(path)
    return run["ticks_missed"] / run["ticks_due"], run["recorder"]["cpu_s"] / run["duration_s"]


def measure_ticks(table, recorders, plan):
    pairs = []
    for number in range(plan.pairs):
        progress(f"with and without, pair {number + 1} of {plan.pairs}")
        kinds = [("--keep", SHORT_LEVELS), ()]
        if number % 2:
            kinds.reverse()
        taken = {bool(options): record(recorders, plan, *options) for options in kinds}
        pairs.append((taken[True], taken[False]))
    more = [(with_[0] - without[0]) * 100 for with_, without in pairs]
    middle = statistics.mean(more)
    half = (2.2 * statistics.stdev(more) / len(more) ** 0.5) if len(more) > 1 else 0
    mean = [statistics.mean(each[i][0] for each in pairs) * 100 for i in (0, 1)]
    cpu = [statistics.mean(each[i][1] for each in pairs) * 100 for i in (0, 1)]
    table.row(f"ticks missed at 1 kHz while old samples go, {plan.pair_s:g} s", "no more than without",
              f"{mean[0]:.3f} %", f"the same without --keep: {mean[1]:.3f} %",
              f"{middle:+.3f} % ({middle - half:+.3f} to {middle + half:+.3f})", middle - half <= 0)
    table.row("recorder's CPU meanwhile", "", f"{cpu[0]:.2f} %", f"{cpu[1]:.2f} %",
              f"{cpu[0] / cpu[1]:.2f}")


def measure(recorders, quick):
    plan = QUICK if quick else FULL
    table = Table()
    measure_month(table, recorders, plan)
    measure_many(table, recorders, plan)
    measure_ticks(table, recorders, plan)
    before = (f"The month: month.c writes through memwatch's own writer on a fast clock, and commits"
              f" every 5 s of it; in {plan.changes} of 100 ticks a process has other memory, and so"
              f" has the sum in most. Ticks: {plan.pairs} pairs in turns; the difference with its"
              f" 95 % interval.")
    return table, before, f"--keep of the pairs: {SHORT_LEVELS}."
