"""Checks what a recording says against what a program knew of its own memory.

The program is tests/programs/known_memory.c; times are microseconds since the start of the run.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

# A mark's row carries the time when it had been taken, a sample's the time when its sweep began:
# what the program did so shortly before the one, or after the other, may not be in it.
SLACK_US = 1000


@dataclass
class Moment:
    """A spike, or a step that was held."""

    from_us: float
    to_us: float
    kib: int


@dataclass
class Window:
    """The kernel's high-water mark of a time."""

    from_us: int
    to_us: int
    kib: int


class Record:
    """What the file says of its run's first process."""

    def __init__(self, path):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.started_ns, self.root = database.execute(
            "SELECT realtime_ns, (SELECT min(id) FROM process) FROM clock WHERE t_us = 0"
        ).fetchone()
        self.rss_bound_kib, self.peak_bound_kib, self.peak_kib, self.upper_kib = database.execute(
            "SELECT rss_bound_kib, peak_bound_kib, peak_kib, peak_upper_kib FROM run"
        ).fetchone()
        self.samples = self.rows(database, "rss")
        marks = self.rows(database, "peak")
        begins = [0] + [t_us for t_us, _ in marks]
        self.windows = [Window(begin, *mark) for begin, mark in zip(begins, marks)]
        self.ends = [window.to_us for window in self.windows]
        database.close()

    def rows(self, database, metric):
        return database.execute(
            "SELECT since_us + dt_us AS t_us, kib FROM series JOIN sample ON series = series.id"
            " WHERE process = ? AND metric = ? ORDER BY t_us",
            (self.root, metric),
        ).fetchall()

    def moments(self, text):
        """What the program printed, on the clock of this run."""
        lines = [[int(word) for word in line.split()] for line in text.splitlines()]
        (monotonic_ns, realtime_ns), *moments = lines
        offset_ns = realtime_ns - monotonic_ns - self.started_ns
        return [
            Moment((from_ns + offset_ns) / 1e3, (to_ns + offset_ns) / 1e3, size // 1024)
            for from_ns, to_ns, size in moments
        ]

    def windows_of(self, moment):
        """Those which a moment may have a part in."""
        first = bisect_left(self.ends, moment.from_us)
        last = bisect_left(self.ends, moment.to_us + SLACK_US)
        return self.windows[first:last + 1]


def check_spikes(record, spikes):
    """How many are in the record, and how many of these with a height that is within its bound."""
    seen = within = 0
    bound = record.peak_bound_kib
    for spike in spikes:
        mark = max((window.kib for window in record.windows_of(spike)), default=0)
        seen += mark + bound >= spike.kib
        within += abs(mark - spike.kib) <= bound
    return seen, within


def check_steps(record, steps):
    """How many steps the marks of their windows, and the samples in them, agree with."""
    begins = [step.from_us for step in steps]
    lows = {window.from_us: is_not_too_high(record, window, steps, begins)
            for window in record.windows}
    return sum(
        all(lows[window.from_us] for window in record.windows_of(step))
        and is_reached(record, step)
        and is_sampled_right(record, step)
        for step in steps
    )


def is_not_too_high(record, window, steps, begins):
    """A mark says that at least so much was in use, less its bound: there was so much.

    Between two steps there is no more than in the higher of them.
    """
    first = max(0, bisect_right(begins, window.from_us - SLACK_US) - 1)
    last = bisect_right(begins, window.to_us)
    if first == 0 or last >= len(steps):
        return True  # the time before the first step and after the last one
    highest = max(step.kib for step in steps[first:last + 1])
    return window.kib - record.peak_bound_kib <= highest


def is_reached(record, step):
    """A mark says that no more was in use, with its bound: so each window that a step surely has a
    part in has a mark of at least that step, and there is such a window."""
    candidates = record.windows_of(step)
    sure = [window for window in candidates
            if step.to_us > window.from_us and step.from_us < window.to_us - SLACK_US]
    least = step.kib - record.peak_bound_kib
    return (all(window.kib >= least for window in sure)
            and any(window.kib >= least for window in candidates))


def is_sampled_right(record, step):
    first = bisect_left(record.samples, (step.from_us,))
    last = bisect_right(record.samples, (step.to_us - SLACK_US,))
    return all(abs(kib - step.kib) <= record.rss_bound_kib
               for _, kib in record.samples[first:last])


def check_peak(record, steps):
    """Whether the highest step is within the run's peak and its upper bound."""
    highest = max(step.kib for step in steps)
    return record.peak_kib <= highest <= (record.upper_kib or 0)
