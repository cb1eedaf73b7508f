"""What marks of functions cost: a call in Python and in C, a million of them, and the start."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from recorders import cpu_s, high_water_bytes
from table import MISSING_MPROF, Table, count_text, megabytes, progress, spread

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "cli"))
from find_python import VERSIONS, find_python  # noqa: E402

SCRIPT = os.path.join(HERE, "..", "programs", "bench_calls.py")
DEBIAN_PYTHON = "/usr/bin/python3"
TRACE = ("--trace", "__main__.empty", "--trace", "__main__.traced")


@dataclass
class Plan:
    """How much is done of everything."""

    rounds: int
    calls: int  # of an empty function, a round
    mprof_calls: int
    scopes: int
    pairs: int  # of a program with and without --trace
    work_rounds: int  # about 0.1 ms each
    many: int
    mprof_many: int
    starts: int


FULL = Plan(rounds=5, calls=30_000, mprof_calls=2_000, scopes=15_000, pairs=9, work_rounds=2_000,
            many=1_000_000, mprof_many=100_000, starts=15)
QUICK = Plan(rounds=1, calls=10_000, mprof_calls=1_000, scopes=5_000, pairs=3, work_rounds=300,
             many=100_000, mprof_many=10_000, starts=3)


def microseconds(value):
    return f"{value:.2f} us"


def milliseconds(value):
    return f"{value * 1e3:.1f} ms"


def ratio_text(value):
    return f"{value:.3f}"


class Targets:
    """Runs bench_calls.py and bench_calls.c, alone and below recorders."""

    def __init__(self, recorders):
        self.recorders = recorders
        self.folder = recorders.folder
        self.scopes = os.path.join(self.folder, "bench_calls")
        # What a hash decides is the same in all runs.
        self.environment = {**os.environ, "PYTHONHASHSEED": "0"}

    def output(self, command):
        return subprocess.run(command, check=True, cwd=self.folder, env=self.environment,
                              stdout=subprocess.PIPE, text=True).stdout

    def figures(self, command):
        """What bench_calls.py printed; mprof adds lines of its own."""
        return json.loads(next(line for line in self.output(command).splitlines()
                               if line.startswith("{")))

    def script(self, python, *arguments):
        return [python, SCRIPT, *map(str, arguments)]

    def memwatch(self, command, *options):
        """Records at the default interval, as users do who want to know of functions."""
        path = self.recorders.new_path(".db")
        return self.recorders.memwatch_command(path, command, *options, interval_s=0.01), path

    def memwatch_figures(self, command, *options):
        return self.figures(self.memwatch(command, *options)[0])

    def mprof(self, *arguments):
        path = self.recorders.new_path(".dat")
        return [self.recorders.mprof_path, "run", "-o", path, SCRIPT, *map(str, arguments)]

    def scope(self, kind, calls, *options):
        command, _ = self.memwatch([self.scopes, kind, str(calls)], *options)
        return float(self.output(command)) / 1e3


# --- a call in Python ---------------------------------------------------------------------------


@dataclass
class Calls:
    call_us: float  # one that waits for nothing
    all_us: float  # the same, on average with all waits

    def __init__(self, figures, calls):
        self.call_us = figures["call_ns"] / 1e3
        self.all_us = figures["all_ns"] / 1e3 / calls


def calls_text(times):
    return (f"{spread([one.call_us for one in times], microseconds)};"
            f" {statistics.median(one.all_us for one in times):.1f} with waits for the recorder")


def middle_us(times):
    return statistics.median(one.call_us for one in times)


def measure_decorated(table, targets, plan):
    def below_memwatch(kind, *options):
        command = targets.script(DEBIAN_PYTHON, kind, plan.calls)
        return Calls(targets.memwatch_figures(command, *options), plan.calls)

    def below_mprof():
        calls = plan.mprof_calls  # in smaller batches, which take as long
        return Calls(targets.figures(targets.mprof("marked", calls, 10)), calls)

    kinds = {
        "peaks": lambda: below_memwatch("marked"),
        "floored": lambda: below_memwatch("floored"),
        "off": lambda: below_memwatch("marked", "--peak-window", "off"),
    }
    if targets.recorders.mprof_path:
        kinds["mprof"] = below_mprof
    times = {kind: [] for kind in kinds}
    for number in range(plan.rounds):
        progress(f"@profile, round {number + 1} of {plan.rounds}")
        for kind, run in kinds.items():
            times[kind].append(run())

    report_decorated(table, times)


def report_decorated(table, times):
    for kind, what, limit_us in (
            ("peaks", "a call of an empty Python function that has @profile, with peaks", 6),
            ("floored", "same, where an earlier program of the process had 300 MB", 20),
            ("off", "same, `--peak-window off`", 3)):
        middle, baseline, ratio = middle_us(times[kind]), MISSING_MPROF, ""
        if "mprof" in times:
            baseline = f"mprof: {spread([one.call_us for one in times['mprof']], microseconds)}"
            ratio = f"1/{middle_us(times['mprof']) / middle:.0f}"
        table.row(what, f"≤ {limit_us} us", calls_text(times[kind]), baseline, ratio,
                  middle <= limit_us)


def measure_apart(table, targets, plan):
    """Marks that are close to each other share a reading of the memory; these do not."""
    added = {"with peaks": [], "`--peak-window off`": []}
    for number in range(plan.rounds):
        progress(f"@profile where calls are apart, round {number + 1} of {plan.rounds}")
        plain = targets.figures(targets.script(DEBIAN_PYTHON, "plain-apart", plan.calls))
        for what, options in zip(added, ((), ("--peak-window", "off"))):
            command = targets.script(DEBIAN_PYTHON, "marked-apart", plan.calls)
            marked = targets.memwatch_figures(command, *options)
            added[what].append((marked["call_ns"] - plain["call_ns"]) / 1e3)
    for (what, times), limit_us in zip(added.items(), (6, 3)):
        table.row(f"a call of a Python function that works, added by @profile, {what}",
                  f"≤ {limit_us} us", spread(times, microseconds), "the same without @profile", "",
                  statistics.median(times) <= limit_us)


def find_pythons():
    found = {version: find_python(version) for version in VERSIONS}
    return {version: path for version, path in found.items() if path}


def how_it_is_told(version):
    return "sys.monitoring" if has_monitoring(version) else "profile hook"


def has_monitoring(version):
    return tuple(map(int, version.split("."))) >= (3, 12)


def measure_traced(table, targets, plan):
    for version, python in find_pythons().items():
        progress(f"--trace, Python {version}")
        times, alone = [], []
        for _ in range(plan.rounds):
            command = targets.script(python, "plain", plan.calls)
            times.append(Calls(targets.memwatch_figures(command, *TRACE), plan.calls))
            alone.append(Calls(targets.figures(command), plan.calls).call_us)
        table.row(f"a call of an empty function that --trace names, Python {version}"
                  f" ({how_it_is_told(version)})", "≤ 2 us", calls_text(times),
                  f"untraced: {spread(alone, microseconds)}", "", middle_us(times) <= 2)


def measure_rest(table, targets, plan):
    """What --trace costs a program of functions that it does not name, one call excepted."""
    for version, python in find_pythons().items():
        for kind, name in (("quiet", "raises nothing"),
                           ("raising", "raises in a quarter of its calls")):
            progress(f"a program beside --trace that {name}, Python {version}")
            with_trace, without, ratios = [], [], []
            command = targets.script(python, kind, plan.work_rounds)
            for number in range(plan.pairs):
                order = [(TRACE, with_trace), ((), without)]
                for options, times in order if number % 2 else reversed(order):
                    times.append(targets.memwatch_figures(command, *options)["round_ns"])
                ratios.append(with_trace[-1] / without[-1])
            middle = statistics.median(ratios)
            aimed = kind == "quiet" and has_monitoring(version)
            table.row(f"a program beside --trace that {name}, Python {version}"
                      f" ({how_it_is_told(version)})", "≤ 1.02" if aimed else "",
                      spread(ratios, ratio_text), f"without --trace, {plan.pairs} pairs in turns", "",
                      middle <= 1.02 if aimed else None,
                      aimed and min(ratios) <= 1.02 < max(ratios))


# --- a scope in C -------------------------------------------------------------------------------


def uftrace_us(targets, kind, plan):
    """What a call took below uftrace, which reads the memory in those of one kind."""
    folder = targets.recorders.new_path(".uftrace")
    output = targets.output(
        ["uftrace", "record", "--no-event", "--no-libcall", "-d", folder,
         "-T", "reads_memory@read=proc/statm", "-T", "works@read=proc/statm",
         targets.scopes + "_traced", kind, str(plan.scopes)])
    shutil.rmtree(folder)
    return float(output) / 1e3


def scope_rounds(targets, plan, kind, options):
    """What a scope took, and what below uftrace; of one that works, what was added to that."""
    ours, theirs = [], []
    for _ in range(plan.rounds):
        alone = 0
        if kind == "apart":
            alone = float(targets.output([targets.scopes, kind, str(plan.scopes)])) / 1e3
        ours.append(targets.scope(kind, plan.scopes, *options) - alone)
        if shutil.which("uftrace"):
            theirs.append(uftrace_us(targets, kind, plan) - alone)
    return ours, theirs


def measure_scopes(table, targets, plan):
    off = ("--peak-window", "off")
    for kind, what, limit_us, options, name in (
            ("timed", "a MEMWATCH_TIMED_SCOPE in C, empty", 0.3, (), "uftrace, no memory"),
            ("memory", "a MEMWATCH_SCOPE in C, empty", 3, (), "uftrace, reading statm"),
            ("apart", "a MEMWATCH_SCOPE in C around work, added", 3, (), "uftrace, reading statm"),
            ("apart", "same, `--peak-window off`", 3, off, "uftrace, reading statm")):
        progress(what)
        ours, theirs = scope_rounds(targets, plan, kind, options)
        baseline = f"{name}: {spread(theirs, microseconds)}" if theirs else "uftrace is not installed"
        ratio = f"1/{statistics.median(theirs) / statistics.median(ours):.1f}" if theirs else ""
        table.row(what, f"≤ {limit_us} us", spread(ours, microseconds), baseline, ratio,
                  statistics.median(ours) <= limit_us)
    progress(f"{plan.many} scopes in a row")
    table.row(f"a MEMWATCH_TIMED_SCOPE, {count_text(plan.many)} in a row, which wait for the recorder",
              "", microseconds(targets.scope("all", plan.many)), "")


# --- a million calls ----------------------------------------------------------------------------


def watch(command, targets):
    """Runs a recorder. Returns what its target printed, its highest memory and its CPU time."""
    with subprocess.Popen(command, cwd=targets.folder, env=targets.environment,
                          stdout=subprocess.PIPE, text=True) as process:
        highest = 0
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            try:
                highest = high_water_bytes(process.pid)
            except RuntimeError:  # it is about to be gone
                pass
            time.sleep(0.02)
        cpu = cpu_s(process.pid)
        text = process.stdout.read()
    return json.loads(text), highest, cpu


def added_s(figures, calls, alone_ns):
    """The seconds that so many calls took more than they would alone."""
    return figures["all_ns"] / 1e9 - alone_ns * calls / 1e9


def measure_many(table, targets, plan):
    progress(f"{plan.many} calls")
    alone = targets.figures(targets.script(DEBIAN_PYTHON, "plain", plan.many))
    alone_ns = alone["all_ns"] / plan.many
    command, path = targets.memwatch(targets.script(DEBIAN_PYTHON, "marked", plan.many))
    figures, highest, cpu = watch(command, targets)
    ours_s = added_s(figures, plan.many, alone_ns)

    what = f"{count_text(plan.many)} calls of an empty function that has @profile: time added"
    if targets.recorders.mprof_path:
        progress(f"{plan.mprof_many} calls below mprof")
        theirs = targets.figures(targets.mprof("marked", plan.mprof_many))
        theirs_s = (added_s(theirs, plan.mprof_many, alone_ns) * plan.many / plan.mprof_many)
        table.row(what, "≤ 1/20", f"{ours_s:.1f} s",
                  f"mprof: {theirs_s:.0f} s ({count_text(plan.mprof_many)} calls, times"
                  f" {plan.many // plan.mprof_many})", f"1/{theirs_s / ours_s:.0f}",
                  ours_s * 20 <= theirs_s)
    else:
        table.absent(what, "≤ 1/20", MISSING_MPROF)
    report_many(table, targets.recorders.show(path), plan, highest, cpu)


def report_many(table, run, plan, highest, cpu):
    table.row("same: recorder's memory (high-water mark)", "≤ 16 MB", megabytes(highest),
              f"{cpu:.1f} s of CPU time", "", highest <= 16e6)
    calls = run["functions"][0]["calls"]
    lost = run["recorder"]["lost_marks"]
    table.row("same: calls in the record", f"{plan.many:,}, or counted as lost",
              f"{calls:,}; {lost:,} marks lost", "", "", calls <= plan.many <= calls + lost)


# --- the start ------------------------------------------------------------------------------------


def start_kinds(targets):
    """Command lines that start Python. The time begins when it is executed."""
    def script(*arguments):
        return [targets.scopes, "exec", DEBIAN_PYTHON, SCRIPT, "start", *arguments]

    def below_mprof(*arguments):
        path = targets.recorders.new_path(".dat")
        return [targets.scopes, "exec", DEBIAN_PYTHON, "-m", "memory_profiler", "--timestamp",
                "-o", path, SCRIPT, "start", *arguments]

    kinds = {
        "alone": script,
        "memwatch": lambda: targets.memwatch(script())[0],
        "no functions": lambda: targets.memwatch(script(), "--no-functions")[0],
        "marked": lambda: targets.memwatch(script("marked"))[0],
    }
    if targets.recorders.mprof_path:
        kinds["mprof"] = below_mprof
        kinds["mprof marked"] = lambda: below_mprof("marked")
    return kinds


def whole_kinds(targets):
    target = [DEBIAN_PYTHON, "-c", "pass"]
    kinds = {
        "alone": lambda: target,
        "memwatch": lambda: targets.memwatch(target)[0],
        "no functions": lambda: targets.memwatch(target, "--no-functions")[0],
    }
    if targets.recorders.mprof_path:
        path = targets.recorders.new_path(".py")
        with open(path, "w", encoding="ascii") as file:
            file.write("pass\n")
        kinds["mprof"] = lambda: [targets.recorders.mprof_path, "run", "-o",
                                  targets.recorders.new_path(".dat"), path]
    return kinds


def duration_s(targets, command):
    begin = time.monotonic()
    targets.output(command)
    return time.monotonic() - begin


def measure_starts(table, targets, plan):
    kinds, whole = start_kinds(targets), whole_kinds(targets)
    starts = {kind: [] for kind in kinds}
    durations = {kind: [] for kind in whole}
    for number in range(plan.starts):
        if number % 5 == 0:
            progress(f"starts, {number} of {plan.starts}")
        for kind, command in kinds.items():
            starts[kind].append(targets.figures(command()))
        for kind, command in whole.items():
            durations[kind].append(duration_s(targets, command()))
    report_starts(table, starts)
    report_whole(table, durations)


def report_starts(table, starts):
    def fastest_s(kind):
        return min(one["start_ns"] for one in starts[kind]) / 1e9

    def added_text(kind):
        return milliseconds(fastest_s(kind) - fastest_s("alone"))

    has_mprof = "mprof" in starts
    for kind, mprof, what in (
            ("memwatch", "mprof", "to the first line of a Python script"),
            ("marked", "mprof marked", "to the end of its first call of a function with @profile")):
        table.row(f"time {what}: added", "≤ 15 ms", added_text(kind),
                  (f"mprof's: {added_text(mprof)}; " if has_mprof else MISSING_MPROF + "; ")
                  + f"memwatch --no-functions: {added_text('no functions')}; alone"
                  f" {milliseconds(fastest_s('alone'))}", "",
                  fastest_s(kind) - fastest_s("alone") <= 0.015)
    report_memory(table, starts)


def report_memory(table, starts):
    def added(kind):
        return [one["rss_bytes"] - alone["rss_bytes"]
                for one, alone in zip(starts[kind], starts["alone"])]

    for kind, mprof, what in (("memwatch", "mprof", "no function marked"),
                              ("marked", "mprof marked", "one call of one that has @profile")):
        table.row(f"memory of a Python script at its end: added, {what}", "≤ 1.5 MB",
                  spread(added(kind), megabytes),
                  f"mprof's: {spread(added(mprof), megabytes)}" if mprof in starts else MISSING_MPROF,
                  "", statistics.median(added(kind)) <= 1.5e6)


def report_whole(table, durations):
    def text(kind):
        return spread(durations[kind], milliseconds)

    baseline = f"alone: {text('alone')}"
    if "mprof" in durations:
        baseline += f"; below mprof run: {text('mprof')}"
    table.row("`python3 -c pass` from start to end, with the recorder's own", "",
              f"{text('memwatch')}; with --no-functions {text('no functions')}", baseline)


# --- the whole ------------------------------------------------------------------------------------


def explain(plan):
    rounds = f"{plan.rounds} rounds" if plan.rounds > 1 else "one round"
    return (f"Both sides in turns, {rounds} (pairs: {plan.pairs}, starts: {plan.starts}): the median,"
            " with the lowest and the highest. A call is the median of batches of 100, a scope that of"
            " bursts of 50. Programs beside --trace are compared by the fastest of their rounds, starts"
            " by the fastest of them.")


def measure(recorders, quick):
    """Returns the table, and what is to be said before and after it."""
    plan = QUICK if quick else FULL
    table = Table()
    targets = Targets(recorders)
    for measurement in (measure_decorated, measure_apart, measure_traced, measure_rest, measure_scopes,
                        measure_many, measure_starts):
        measurement(table, targets, plan)
    return table, explain(plan), (
        "Python is Debian's where no version is named. Starts and memory are the script's own"
        " account, from the moment in which its interpreter was executed.")
