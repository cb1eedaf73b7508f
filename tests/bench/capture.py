"""What memwatch captures, and what that costs: ticks, lateness, spikes, children, the truth."""

import os
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from record import Record, check_peak, check_spikes, check_steps
from recorders import INTERVAL_S, Window, check_ended
from table import MISSING_MPROF, Table, percent, progress, spread

NOBODY = 65534
SPIKE_BYTES = 8_000_000


@dataclass
class Plan:
    """How much is done of everything."""

    rounds: int
    ticks: Window
    lateness_s: float
    fast: Window  # at 10 kHz
    family: Window  # of 100 processes
    triples: int
    compute_rounds: int  # about a millisecond each
    spikes: int
    populated_spikes: int
    children: int
    children_rounds: int
    truth_rounds: int


FULL = Plan(
    rounds=3,
    ticks=Window(warm_up_s=0.6, length_s=9, cool_down_s=0.4),
    lateness_s=5,
    fast=Window(warm_up_s=0.6, length_s=4),
    family=Window(warm_up_s=1.5, length_s=6),
    triples=30,
    compute_rounds=800,
    spikes=1000,
    populated_spikes=200,
    children=600,
    children_rounds=3,
    truth_rounds=5,
)
QUICK = Plan(
    rounds=1,
    ticks=Window(warm_up_s=0.5, length_s=1.3, cool_down_s=0.2),
    lateness_s=1,
    fast=Window(warm_up_s=0.4, length_s=0.8, cool_down_s=0.2),
    family=Window(warm_up_s=1, length_s=1, cool_down_s=0.2),
    triples=5,
    compute_rounds=100,
    spikes=60,
    populated_spikes=40,
    children=100,
    children_rounds=1,
    truth_rounds=1,
)


class Refused(Exception):
    """What memwatch said instead of recording."""


def record(recorders, target, *options, interval_s=INTERVAL_S, **popen):
    """Records a target to its end. Returns the run that memwatch shows, the file and the output."""
    path = os.path.join(popen.get("cwd") or recorders.folder,
                        os.path.basename(recorders.new_path(".db")))
    command = recorders.memwatch_command(path, target, *options, interval_s=interval_s)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, **popen)
    if done.returncode != 0:
        raise Refused(done.stderr.strip().splitlines()[-1] if done.stderr else "it said nothing")
    return recorders.show(path), path, done.stdout


def count_of(counts, total):
    """How many of so many, in each of some rounds, in few words."""
    texts = [f"{count:,}" for count in counts]
    if len(set(texts)) == 1:
        return f"{texts[0]} of {total:,}" + (f", {len(counts)} times" if len(counts) > 1 else "")
    return f"{', '.join(texts)} of {total:,}"


def mprof_values(path):
    """The values of a file of mprof's, as (date, bytes)."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        words = [line.split() for line in lines if line.startswith("MEM ")]
    return [(float(date), float(mib) * 2**20) for _, mib, date in words]


# --- ticks ----------------------------------------------------------------------------------------


def measure_ticks(table, recorders, plan):
    ours, theirs = [], []
    for number in range(plan.rounds):
        progress(f"ticks at 1 ms, round {number + 1} of {plan.rounds}")
        ours.append(recorders.memwatch("steady", plan.ticks))
        if recorders.mprof_path:
            theirs.append(recorders.mprof("steady", plan.ticks))
    shares = [one.taken_share for one in ours]
    sums = sum(one.due == one.taken + one.missed for one in ours)
    text = f"{spread(shares, percent)}; due = taken + missed in {sums} of {len(ours)} recordings"
    baseline = MISSING_MPROF
    if theirs:
        baseline = f"mprof: {spread([one.taken_share for one in theirs], percent)}"
    table.row(f"ticks taken at 1 ms in {plan.ticks.total_s:g} s of a sleeping target", "≥ 99.5 %",
              text, baseline, "", min(shares) >= 0.995 and sums == len(ours))


def limit_scheduling():
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    resource.setrlimit(resource.RLIMIT_NICE, (0, 0))


class PlainUser:
    """Somebody who may not raise priorities: another user for root, else this one with less."""

    def __init__(self, recorders):
        self.recorders = recorders
        self.popen = {"preexec_fn": limit_scheduling}
        if os.geteuid() != 0:
            return
        folder = os.path.join(recorders.folder, "plain")
        os.makedirs(folder, exist_ok=True)
        os.chmod(recorders.folder, 0o755)
        os.chown(folder, NOBODY, NOBODY)
        for path in (recorders.memwatch_path, recorders.target()[0]):
            os.chmod(shutil.copy(path, folder), 0o755)
        self.memwatch_path = os.path.join(folder, os.path.basename(recorders.memwatch_path))
        self.popen.update(user=NOBODY, group=NOBODY, extra_groups=[], cwd=folder)

    def record(self, target, **options):
        path = self.recorders.memwatch_path
        if "cwd" in self.popen:
            self.recorders.memwatch_path = self.memwatch_path
            target = [os.path.join(self.popen["cwd"], os.path.basename(target[0])), *target[1:]]
        try:
            return record(self.recorders, target, **options, **self.popen)
        finally:
            self.recorders.memwatch_path = path


def lateness_beside_spinning(recorders, loops, plan, run):
    seconds = plan.lateness_s
    spinning = [subprocess.Popen(recorders.target("spin", seconds + 5)) for _ in range(loops)]
    try:
        time.sleep(0.1)
        run, _, _ = run(recorders.target("steady", seconds))
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    return run


def microseconds(value):
    return f"{value:,.0f} us"


def measure_lateness(table, recorders, plan):
    """memwatch's own account of how late its ticks were, where it has to fight for a CPU."""
    loops = max(2, os.cpu_count())
    best, plain = [], []
    user = PlainUser(recorders)
    refusal = ""
    for number in range(plan.rounds):
        progress(f"lateness beside busy loops, round {number + 1} of {plan.rounds}")
        best.append(lateness_beside_spinning(
            recorders, loops, plan, lambda target: record(recorders, target)))
        try:
            plain.append(lateness_beside_spinning(recorders, loops, plan, user.record))
        except (Refused, OSError) as error:
            refusal = f"not available here: {error}"

    late = [run["lateness_us"]["p99"] for run in best]
    scheduling = best[0]["recorder"]["scheduling"]
    text = f"{scheduling}: {spread(late, microseconds)}"
    if scheduling == "default":
        text += ", which is the best that this user may have"
    elif plain:
        others = [run["lateness_us"]["p99"] for run in plain]
        share = statistics.median(run["ticks_taken"] / run["ticks_due"] for run in plain)
        text += (f"; {plain[0]['recorder']['scheduling']}, as an ordinary user:"
                 f" {spread(others, microseconds)}, {percent(share)} of the ticks")
    else:
        text += f"; default: {refusal}"
    table.row(f"99 % of the ticks at 1 ms are at most so late, beside {loops} busy loops on"
              f" {os.cpu_count()} CPUs", "≤ 100 us", text, "", "",
              statistics.median(late) <= 100)


# --- processor time -------------------------------------------------------------------------------


def measure_fast(table, recorders, plan):
    """Processor time at 10 kHz, in turns."""
    interval_s = 0.0001
    ours, same, default = [], [], []
    for number in range(plan.rounds):
        progress(f"10 kHz, round {number + 1} of {plan.rounds}")
        ours.append(recorders.memwatch("steady", plan.fast, interval_s=interval_s))
        default.append(
            recorders.bare_loop("steady", plan.fast, "default", interval_s=interval_s))
        if recorders.scheduling != "default":
            same.append(recorders.bare_loop("steady", plan.fast, recorders.scheduling,
                                            interval_s=interval_s))
    shares = [[one.cpu_share for one in runs] for runs in (ours, same or default, default)]
    table.compare("recorder CPU at 10 kHz, one process, steady memory", "≤ 1.3", 1.3,
                  shares[0], shares[1], percent,
                  f"mprof cannot; bare loop, default scheduling: {spread(shares[2], percent)};"
                  f" bare loop, {recorders.scheduling} as memwatch")
    taken = [one.taken_share for one in ours]
    theirs = [one.taken_share for one in same or default]
    table.row("samples taken at 10 kHz", "≥ 98 %", spread(taken, percent),
              f"the same bare loop: {spread(theirs, percent)}", "",
              statistics.median(taken) >= 0.98)


def measure_family(table, recorders, plan):
    """Processor time for a tree of 100 processes, which have a series each."""
    ours, bare, theirs = [], [], []
    for number in range(plan.rounds):
        progress(f"100 processes, round {number + 1} of {plan.rounds}")
        ours.append(recorders.memwatch("family", plan.family, interval_s=0.01))
        bare.append(recorders.bare_loop("family", plan.family, recorders.scheduling,
                                        interval_s=0.01, children=99))
        if recorders.mprof_path:
            theirs.append(
                recorders.mprof("family", plan.family, "--multiprocess", interval_s=0.1))
    ours_share, bare_share, other = [[one.cpu_share for one in runs]
                                     for runs in (ours, bare, theirs)]
    baseline = (f"bare loop over the same 100, {recorders.scheduling}:"
                f" {spread(bare_share, percent)}; ")
    ratio = f"{statistics.median(ours_share) / statistics.median(bare_share):.2f}"
    if theirs:
        baseline += f"mprof --multiprocess at 10 Hz: {spread(other, percent)}"
        ratio += f"; 1/{statistics.median(other) / statistics.median(ours_share):.1f}"
    else:
        baseline += MISSING_MPROF
    table.row("recorder CPU at 100 Hz, 100 processes, steady memory", "≤ 3 %",
              f"{spread(ours_share, percent)}, {spread([one.taken_share for one in ours], percent)}"
              " of the ticks", baseline, ratio, statistics.median(ours_share) <= 0.03)


# --- what it costs the target ---------------------------------------------------------------------


def compute_s(recorders, plan, cpu, wrap, beside=None):
    """How long a target computes that has one CPU together with its recorder.

    wrap gives the command line; beside that of a recorder which is told the target's pid.
    """
    def pin():
        os.sched_setaffinity(0, {cpu})

    command = wrap(recorders.target("compute", plan.compute_rounds))
    recorder = None
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pin,
                          cwd=recorders.folder, text=True) as process:
        numbers = (int(line) for line in process.stdout if line.strip().isdigit())
        pid = next(numbers)
        if beside:
            recorder = subprocess.Popen(beside(pid), preexec_fn=pin, stdout=subprocess.DEVNULL)
        time.sleep(0.15)
        process.stdin.write("\n")
        process.stdin.flush()
        duration_s = next(numbers) / 1e9
    check_ended(process, "the target")
    if recorder:
        check_ended(recorder, "the bare loop")
    return duration_s


def bootstrap(samples, figure):
    """Where a figure of the samples is with 95 % confidence."""
    chance = random.Random(1)
    figures = sorted(figure(chance.choices(samples, k=len(samples))) for _ in range(2000))
    return figures[50], figures[-51]


def median_of(name):
    return lambda samples: statistics.median(sample[name] for sample in samples if name in sample)


def measure_slowdown(table, recorders, plan):
    cpu = max(os.sched_getaffinity(0))
    sides = {
        "alone": lambda: compute_s(recorders, plan, cpu, lambda target: target),
        "memwatch": lambda: compute_s(
            recorders, plan, cpu,
            lambda target: recorders.memwatch_command(recorders.new_path(".db"), target)),
        "bare": lambda: compute_s(
            recorders, plan, cpu, lambda target: target,
            lambda pid: recorders.bare_loop_command(recorders.scheduling, pid)),
        "mprof": lambda: compute_s(
            recorders, plan, cpu,
            lambda target: recorders.mprof_command(recorders.new_path(".dat"), target)),
    }
    samples = []
    names = ["alone", "memwatch", "bare"]
    for number in range(plan.triples):
        if number % 5 == 0:
            progress(f"one CPU for both, {number} of {plan.triples}")
        times = {name: sides[name]() for name in names}
        if recorders.mprof_path and number % 3 == 0:
            times["mprof"] = sides["mprof"]()
        samples.append({name: time_s / times["alone"] - 1 for name, time_s in times.items()})
        names.append(names.pop(0))  # nobody is always the first
    report_slowdown(table, recorders, samples)


def slowdown(samples, name):
    low, high = bootstrap([sample for sample in samples if name in sample], median_of(name))
    return f"{median_of(name)(samples) * 100:.2f} % ({low * 100:.2f}–{high * 100:.2f})"


def report_slowdown(table, recorders, samples):
    def ratio(some):
        bare = median_of("bare")(some)
        return median_of("memwatch")(some) / bare if bare > 0 else float("inf")

    low, high = bootstrap(samples, ratio)
    mprof = (f"mprof: {slowdown(samples, 'mprof')}" if recorders.mprof_path else MISSING_MPROF)
    table.row("slowdown of a computing target that shares one CPU with the recorder, 1 kHz, median"
              f" of {len(samples)} (95 % confidence)", "≤ 1.25", slowdown(samples, "memwatch"),
              f"bare loop, {recorders.scheduling} as memwatch: {slowdown(samples, 'bare')}; {mprof}",
              f"{ratio(samples):.2f} ({low:.2f}–{high:.2f})", ratio(samples) <= 1.25,
              uncertain=low <= 1.25 < high)


# --- the truth ------------------------------------------------------------------------------------


def mprof_spikes(recorders, plan):
    """How many spikes mprof has a value of, at 100 ms: no other spike is within 20 ms of one."""
    path = recorders.new_path(".dat")
    target = recorders.known_memory("spikes", plan.spikes, 1)
    output_path = recorders.new_path(".txt")
    shell = ["sh", "-c", 'exec "$@" >"$0"', output_path, *target]
    subprocess.run(recorders.mprof_command(path, shell, interval_s=0.1), check=True,
                   cwd=recorders.folder, stdout=subprocess.DEVNULL)
    with open(output_path, encoding="ascii") as output:
        (monotonic_ns, realtime_ns), *spikes = [list(map(int, line.split())) for line in output]
    offset_s = (realtime_ns - monotonic_ns) / 1e9
    high = [date for date, value in mprof_values(path) if value >= spikes[0][2] - SPIKE_BYTES / 10]
    return sum(
        any(from_ns / 1e9 - 0.01 <= date - offset_s <= to_ns / 1e9 + 0.01 for date in high)
        for from_ns, to_ns, _ in spikes
    )


def record_spikes(recorders, mode, count):
    """Returns what was recorded and what became of it in few words, and whether all is well."""
    target = recorders.known_memory(mode, count, 1)
    _, path, output = record(recorders, target, "--peak-window", "20ms", interval_s=0.1)
    checked = Record(path)
    spikes = checked.moments(output)
    seen, within = check_spikes(checked, spikes)
    text = (f"{seen:,} in the record, {within:,} within their bound of"
            f" {checked.peak_bound_kib} KiB")
    life_ms = statistics.median(spike.to_us - spike.from_us for spike in spikes) / 1e3
    what = (f"{count:,} spikes of 8 MB that live {life_ms:.1f} ms, 50 ms apart, at 100 ms, windows"
            " of 20 ms")
    return what, text, seen == within == count


def measure_spikes(table, recorders, plan):
    progress(f"{plan.spikes} spikes, {plan.spikes * 0.05:.0f} s")
    with ThreadPoolExecutor() as pool:
        mprof = pool.submit(mprof_spikes, recorders, plan) if recorders.mprof_path else None
        what, text, reached = record_spikes(recorders, "spikes", plan.spikes)
        baseline = f"mprof at 100 ms: {mprof.result():,}" if mprof else MISSING_MPROF
    table.row(what, f"{plan.spikes:,}, each within its bound", text, baseline, "", reached)
    # The kernel holds the lock of the program's memory while it grows, and resetting a mark waits
    # for that lock: what is gone by then was not seen.
    progress(f"{plan.populated_spikes} spikes by MADV_POPULATE_WRITE")
    try:
        what, text, _ = record_spikes(recorders, "populated", plan.populated_spikes)
    except Refused:
        what, text = "spikes", "not available here: the kernel has no MADV_POPULATE_WRITE"
    table.row(f"{what}, each grown by one MADV_POPULATE_WRITE", "", text, "")


def count_children(path):
    """How many children of the first process have a start and an end."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    count = database.execute(
        "SELECT count(*) FROM process WHERE ppid = (SELECT pid FROM process ORDER BY id LIMIT 1)"
        " AND start_us <= end_us"
    ).fetchone()[0]
    database.close()
    return count


def mprof_children(recorders, command):
    path = recorders.new_path(".dat")
    subprocess.run(recorders.mprof_command(path, command, "--multiprocess"), check=True,
                   cwd=recorders.folder, stdout=subprocess.DEVNULL)
    with open(path, encoding="utf-8", errors="replace") as lines:
        return len({line.split()[1] for line in lines if line.startswith("CHLD")})


def measure_children(table, recorders, plan):
    total = plan.children
    command = ["sh", "-c", f"i=0; while [ $i -lt {total} ]; do /bin/true; i=$((i + 1)); done"]
    methods = {"perf": [], "connector": [], "poll": []}
    refusals, theirs = {}, []
    for number in range(plan.children_rounds):
        progress(f"{total} children, round {number + 1} of {plan.children_rounds}")
        for method, counts in methods.items():
            try:
                _, path, _ = record(recorders, command, "--tracking", method)
                counts.append(count_children(path))
            except Refused as refusal:
                refusals[method] = f"not available here: {refusal}"
        if recorders.mprof_path:
            theirs.append(mprof_children(recorders, command))
    baseline = (f"mprof --multiprocess at 1 ms: {count_of(theirs, total)}" if theirs
                else MISSING_MPROF)
    for method, counts in methods.items():
        aim = "" if method == "poll" else f"{total}"
        text = count_of(counts, total) if counts else refusals[method]
        reached = all(count == total for count in counts) if aim and counts else None
        table.row(f"{total} children of a shell loop, each /bin/true, at 1 ms, --tracking {method}:"
                  " in the record with start and end", aim, text, baseline, "", reached)


def measure_truth(table, recorders, plan):
    steps_right = steps_all = peaks_right = 0
    for number in range(plan.truth_rounds):
        progress(f"truth, round {number + 1} of {plan.truth_rounds}")
        target = recorders.known_memory("truth", 500, number + 1)
        _, path, output = record(recorders, target, "--peak-window", "20ms")
        checked = Record(path)
        steps = checked.moments(output)
        steps_all += len(steps)
        steps_right += check_steps(checked, steps)
        peaks_right += check_peak(checked, steps)
    table.row("random steps of a program that knows its memory, at 1 ms, windows of 20 ms: within"
              " the record's bounds", f"{steps_all:,} of {steps_all:,}",
              f"{steps_right:,} of {steps_all:,} steps; {peaks_right} of {plan.truth_rounds} final"
              " peaks", "the program's own account", "",
              steps_right == steps_all and peaks_right == plan.truth_rounds)


# --- the whole ------------------------------------------------------------------------------------


def explain(plan):
    rounds = f"{plan.rounds} rounds" if plan.rounds > 1 else "one round"
    return (f"Each side measured in turns, {rounds}: the median, with the lowest and the"
            " highest. CPU is the share of one core in a window of"
            f" {plan.fast.length_s:g} s (100 processes: {plan.family.length_s:g} s), children not"
            " included.")


def measure(recorders, quick):
    """Returns the table, and what is to be said before and after it."""
    plan = QUICK if quick else FULL
    table = Table()
    for measurement in (measure_ticks, measure_lateness, measure_fast, measure_slowdown,
                        measure_spikes, measure_children, measure_family, measure_truth):
        measurement(table, recorders, plan)
    return table, explain(plan), (
        "Lateness and ticks are memwatch's own account; spikes, children and steps are checked"
        " against what the programs themselves know.")
