"""What recording and drawing cost: processor time, memory, file size, seconds for a picture."""

import os
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import data
from recorders import Window
from table import MISSING_MPROF, Table, count_text, megabytes, percent, progress, seconds, spread


@dataclass
class Plan:
    """How much is done of everything."""

    kinds: tuple  # of targets of which the recorders' processor time is measured
    rounds: int
    window: Window
    samples: int  # of the plot that is compared with mprof's
    many_samples: int  # of the plot that has an aim in seconds
    size_samples: int
    plot_rounds: int
    long_s: float  # recording for memory and file size
    short_s: float
    allocations_s: tuple  # from, to
    work_rounds: int


FULL = Plan(
    kinds=("steady", "changing"),
    rounds=4,
    window=Window(warm_up_s=1.5, length_s=6),
    samples=1_000_000,
    many_samples=10_000_000,
    size_samples=1_000_000,
    plot_rounds=3,
    long_s=60,
    short_s=5,
    allocations_s=(5, 10),
    work_rounds=60,
)
QUICK = Plan(
    kinds=("changing",),
    rounds=3,
    window=Window(warm_up_s=0.5, length_s=0.8, cool_down_s=0.2),
    samples=500_000,
    many_samples=1_000_000,
    size_samples=500_000,
    plot_rounds=1,
    long_s=4,
    short_s=2,
    allocations_s=(1, 2),
    work_rounds=20,
)


def measure_cpu(table, recorders, plan, kind):
    """Processor time at 1 kHz of every recorder, in turns."""
    results = {"memwatch": [], "mprof": [], "mprof -M": [], "default": [], "same": []}
    for number in range(plan.rounds):
        progress(f"processor time, {kind} target, round {number + 1} of {plan.rounds}")
        results["memwatch"].append(recorders.memwatch(kind, plan.window))
        if recorders.mprof_path:
            results["mprof"].append(recorders.mprof(kind, plan.window))
            results["mprof -M"].append(recorders.mprof(kind, plan.window, "--multiprocess"))
        results["default"].append(recorders.bare_loop(kind, plan.window, "default"))
        if recorders.scheduling != "default":
            results["same"].append(recorders.bare_loop(kind, plan.window, recorders.scheduling))

    report_cpu(table, recorders, kind, results)
    return results["memwatch"]


def report_cpu(table, recorders, kind, results):
    baselines = {
        "mprof": "mprof, which looks for no children",
        "mprof -M": "mprof --multiprocess, which does as memwatch",
        "default": "bare loop, default scheduling",
        "same": f"bare loop, {recorders.scheduling} as memwatch",
    }
    shares = {name: [run.cpu_share for run in runs] for name, runs in results.items()}
    taken = {name: [run.taken_share for run in runs] for name, runs in results.items()}
    what = f"recorder CPU at 1 kHz, one process, {kind} memory"
    if not results["mprof"]:
        table.absent(what, "≤ 1/6", MISSING_MPROF)
    for name, label in baselines.items():
        if results[name]:
            aim, limit = ("≤ 1/6", 1 / 6) if name.startswith("mprof") else ("≤ 1.25", 1.25)
            table.compare(what, aim, limit, shares["memwatch"], shares[name], percent, label)
    others = [
        f"{label}: {spread(taken[name], percent)}"
        for name, label in baselines.items()
        if results[name]
    ]
    table.row(f"samples taken at 1 kHz, {kind} memory", "", spread(taken["memwatch"], percent),
              "; ".join(others))


def cross_check(results):
    """How far memwatch's own account of its processor time is from the kernel's."""
    differences = [one.recorder["cpu_s"] / one.total_cpu_s - 1 for one in results]
    return ("memwatch's own `recorder.cpu_s` differs from the kernel's account of the whole process"
            f" by {min(differences) * 100:+.1f} to {max(differences) * 100:+.1f} %"
            " (what it does after closing the record is not in it).")


def time_command(command, folder):
    start = time.monotonic()
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def measure_plots(table, recorders, plan):
    folder = recorders.folder
    ours, theirs, many, scans = [], [], [], []
    progress(f"writing {count_text(plan.samples)} and {count_text(plan.many_samples)} samples")
    database, many_database = (os.path.join(folder, name) for name in ("plot.db", "many.db"))
    text = os.path.join(folder, "plot.dat")
    template = recorders.template()
    data.write_memwatch(database, template, plan.samples, 1000)
    data.write_memwatch(many_database, template, plan.many_samples, 1000)
    data.write_mprof(text, plan.samples, 1000)

    plot = [recorders.memwatch_path, "plot", "-o", os.path.join(folder, "plot.png")]
    mprof_error = None if recorders.mprof_path else MISSING_MPROF
    for number in range(plan.plot_rounds):
        progress(f"plots, round {number + 1} of {plan.plot_rounds}")
        ours.append(time_command([*plot, database], folder))
        many.append(time_command([*plot, many_database], folder))
        start = time.monotonic()
        data.scan(many_database)
        scans.append(time.monotonic() - start)
        if mprof_error:
            continue
        try:
            output = os.path.join(folder, "mprof.png")
            theirs.append(time_command([recorders.mprof_path, "plot", "-o", output, text], folder))
        except subprocess.CalledProcessError:
            mprof_error = "mprof plot failed: is python3-matplotlib installed?"

    what = f"plot of {count_text(plan.samples)} samples to PNG"
    if theirs:
        table.compare(what, "≤ 1/20", 1 / 20, ours, theirs, seconds, "mprof plot")
    else:
        table.absent(what, "≤ 1/20", mprof_error)
    limit_s = 5 * plan.many_samples / 10_000_000
    ratio = statistics.median(many) / statistics.median(scans)
    table.row(f"plot of {count_text(plan.many_samples)} samples to PNG", f"≤ {limit_s:g} s",
              spread(many, seconds), f"SELECT max() over the same rows: {spread(scans, seconds)}",
              f"{ratio:.2f}", statistics.median(many) <= limit_s)


def measure_size(table, recorders, plan, recorded):
    """Bytes a changed value, in made recordings of two lengths and in a real one."""
    progress("file sizes")
    count = plan.size_samples
    text = os.path.join(recorders.folder, "plot.dat")
    theirs = os.path.getsize(text) / plan.samples
    made = (
        (f"{count / 60000:.0f} minutes at 1 kHz, 100 MB", 1000, 100_000),
        ("30 days, 16 GiB", 30 * 86400 * 1_000_000 // count, 16 << 20),
    )
    for name, interval_us, base_kib in made:
        path = recorders.new_path(".db")
        data.write_memwatch(path, recorders.template(), count, interval_us, base_kib)
        size = os.path.getsize(path) / count
        table.row(f"file, a changed value: {count_text(count)} values over {name}", "≤ 20 bytes",
                  f"{size:.1f} bytes", f"mprof: {theirs:.1f} bytes a sample",
                  f"{size / theirs:.2f}", size <= 20)
        os.unlink(path)
    values = data.sample_count(recorded.path)
    size = (os.path.getsize(recorded.path) - os.path.getsize(recorders.template())) / values
    table.row(f"file, a changed value: recorded for {plan.long_s:g} s", "≤ 20 bytes",
              f"{size:.1f} bytes ({values} values)", "beyond the file of a run of 0.1 s",
              "", size <= 20)


def record_long(recorders, plan):
    """Records for memory and size, which others that record at the same time do not disturb.

    Returns what has recorded: mprof (None where it is missing) and memwatch memory that changes, and
    memwatch memory that does not, for a short and for a long time.
    """
    progress(f"recordings of {plan.long_s:g} s")
    short, long = (Window(0.5, length_s - 0.9) for length_s in (plan.short_s, plan.long_s))
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(recorders.mprof, "changing", long) if recorders.mprof_path else None,
            pool.submit(recorders.memwatch, "changing", long),
            pool.submit(recorders.memwatch, "steady", short),
            pool.submit(recorders.memwatch, "steady", long),
        ]
        return [job and job.result() for job in jobs]


def measure_memory(table, recorders, plan, recorded, mprof_recorded):
    ours = recorded.high_water_bytes
    bare = recorders.bare_loop("changing", Window(0.2, 0.5), "default").high_water_bytes
    what = f"recorder memory (high-water mark) at 1 kHz for {plan.long_s:g} s"
    if mprof_recorded:
        theirs = mprof_recorded.high_water_bytes
        table.row(what, "≤ 8 MB", megabytes(ours),
                  f"mprof: {megabytes(theirs)}; bare loop: {megabytes(bare)}",
                  f"1/{theirs / ours:.1f}", ours <= 8e6)
    else:
        table.row(what, "≤ 8 MB", megabytes(ours),
                  f"{MISSING_MPROF}; bare loop: {megabytes(bare)}", "", ours <= 8e6)


def measure_unchanged(table, plan, short_run, long_run):
    short, long = (os.path.getsize(recorded.path) for recorded in (short_run, long_run))
    ticks = long_run.taken - short_run.taken
    # A missed tick is a row of its own, so a loaded machine may add a page to the file.
    table.row(f"file, an unchanged value: {plan.long_s:g} s against {plan.short_s:g} s", "0 bytes",
              f"{max(0, long - short) / ticks:.3f} bytes ({short} and {long} in all)",
              "its own short recording", "", (long - short) / ticks < 0.5)


def measure_allocations(table, recorders, plan):
    begin_s, end_s = plan.allocations_s
    progress("heap allocations")
    threads = recorders.allocations(begin_s, end_s)
    ticks, sampler = max(threads)
    others = sum(allocations for _, allocations in threads) - sampler
    # Once in a while the sampler looks again at what its processes run, and that allocates.
    table.row(f"heap allocations from second {begin_s:g} to {end_s:g} at 1 kHz, changing memory",
              "none a tick", f"{sampler} of the sampler thread in {ticks} ticks",
              f"memwatch's other threads (SQLite): {others}", "", sampler * 100 <= ticks)


def measure_target(table, recorders, plan):
    """What being recorded costs a target that changes its memory as fast as it can."""
    times = {"alone": [], "memwatch": [], "mprof": []}
    for number in range(plan.plot_rounds):
        progress(f"cost to the target, round {number + 1} of {plan.plot_rounds}")
        work = plan.work_rounds
        times["alone"].append(recorders.work_s(work, lambda command: command))
        path = recorders.new_path(".db")
        times["memwatch"].append(
            recorders.work_s(work, lambda command: recorders.memwatch_command(path, command))
        )
        if recorders.mprof_path:
            path = recorders.new_path(".dat")
            times["mprof"].append(
                recorders.work_s(work, lambda command: recorders.mprof_command(path, command))
            )
    baseline = f"unrecorded: {spread(times['alone'], seconds)}"
    if times["mprof"]:
        baseline += f"; under mprof: {spread(times['mprof'], seconds)}"
    ratio = statistics.median(times["memwatch"]) / statistics.median(times["alone"])
    table.row("time of a target that faults pages all the time, recorded at 1 kHz", "",
              spread(times["memwatch"], seconds), baseline, f"{ratio:.2f}")


def explain(plan):
    return (f"Each side measured in turns, {plan.rounds} rounds (plots and target:"
            f" {plan.plot_rounds}): the median, with the lowest and the highest. CPU is the share of"
            f" one core in a window of {plan.window.length_s:g} s after a start of"
            f" {plan.window.warm_up_s:g} s, children not included.")


def measure(recorders, quick):
    """Returns the table, and what is to be said before and after it."""
    plan = QUICK if quick else FULL
    table = Table()
    checked = []
    for kind in plan.kinds:
        checked += measure_cpu(table, recorders, plan, kind)
    measure_plots(table, recorders, plan)
    mprof_changing, changing, short_steady, long_steady = record_long(recorders, plan)
    measure_memory(table, recorders, plan, changing, mprof_changing)
    measure_size(table, recorders, plan, changing)
    measure_unchanged(table, plan, short_steady, long_steady)
    measure_allocations(table, recorders, plan)
    measure_target(table, recorders, plan)
    return table, explain(plan), cross_check(checked)
