"""Functions and their calls in a recording, written behind memwatch's back."""

import sqlite3

class Call:
    """A call from a microsecond to another (None: it had not ended)."""

    def __init__(self, name, from_us, to_us, depth=0, *, thread=1, track=0, process=1,
                 waited_us=0, enter_kib=None, exit_kib=None, peak_kib=None):
        self.name, self.depth, self.process = name, depth, process
        self.thread, self.track = thread, track
        self.from_us = from_us
        self.waited_ns = waited_us * 1000
        self.duration_ns = None if to_us is None else (to_us - from_us - waited_us) * 1000
        self.enter_kib, self.exit_kib, self.peak_kib = enter_kib, exit_kib, peak_kib


def add_functions(path, calls, peaks=None):
    """Adds calls, and the functions that they are of; peaks are KiB by name."""
    database = sqlite3.connect(path)
    names = list(dict.fromkeys(call.name for call in calls))
    for number, name in enumerate(names, 1):
        own = [call for call in calls if call.name == name]
        times = [call.duration_ns for call in own if call.duration_ns is not None]
        database.execute(
            "INSERT INTO function (id, run, name, file, line, calls, ended, stored, total_ns, max_ns,"
            " suspended_ns, peak_kib, peak_from_us, peak_to_us, peak_source)"
            " VALUES (?, 1, ?, 'a.py', ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 'sampled')",
            (number, name, number, len(own), len(times), len(own), sum(times),
             max(times, default=0), sum(call.waited_ns for call in own),
             (peaks or {}).get(name, max((call.peak_kib or 0 for call in own), default=0))))
    numbers = {name: number for number, name in enumerate(names, 1)}
    database.executemany(
        "INSERT INTO call (function, enter_us, number, process, thread, track, depth, duration_ns,"
        " suspended_ns, enter_kib, exit_kib, peak_kib, peak_from_dt_us, peak_to_dt_us,"
        " peak_is_kernels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)",
        [(numbers[call.name], call.from_us, place, call.process, call.thread, call.track,
          call.depth, call.duration_ns, call.waited_ns, call.enter_kib, call.exit_kib, call.peak_kib)
         for place, call in enumerate(calls, 1)])
    database.commit()
    database.close()
    return path
