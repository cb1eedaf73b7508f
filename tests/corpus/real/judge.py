"""Asks memwatch for its verdicts on the recordings, and holds them against the mechanisms."""

import json
import subprocess
from dataclasses import dataclass

from record import Notes, recording_path

LEAK = ("leak",)
NO_LEAK = ("stable", "filling", "step")


class Unknown(Exception):
    """Why a program cannot be judged."""


@dataclass
class Counter:
    """What a program said of its own memory while it was under load, and after it."""

    slope: float  # bytes a second, of its floor in the last two fifths of the load
    growth: float  # from the one fifth to the other, as a share of the highest value
    kept: float  # after the load, as a share of what was there at its end

    def bears_out(self, leaks):
        return self.growth > 0.1 and self.kept > 0.9 if leaks else self.growth < 0.05


def judge_counter(notes):
    """The floor is the lowest of the readings: what is garbage is not in it."""
    *under_load, (_, after) = notes.counter

    def lowest(begin, end):  # of these shares of the load
        length_s = notes.load_to_s - notes.load_from_s
        inside = [(value, t) for t, value in under_load
                  if begin <= (t - notes.load_from_s) / length_s <= end]
        if not inside:
            raise Unknown("too few readings of its counter")
        return min(inside)

    (before, before_s), (last, last_s) = lowest(0.6, 0.8), lowest(0.8, 1)
    highest = max(value for _, value in under_load)
    return Counter((last - before) / (last_s - before_s), (last - before) / highest,
                   after / under_load[-1][1])


def verdicts(memwatch, folder, notes, window=()):
    """memwatch's series of the process in question, and that of the tree."""
    command = [memwatch, "leak", "--json", *window, recording_path(folder, notes.name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Unknown(said[0] if said else f"memwatch leak: status {done.returncode}")
    series = json.loads(done.stdout)["series"]
    own = [one for one in series if one["pid"] == notes.pid]
    if not own:
        raise Unknown("not judged")
    return own[0], series[0]


def per_hour(slope):
    return f"{slope * 3600 / 2**20:+.1f}"


def slope_text(series):
    if series["slope_bytes_per_s"] is None:
        return ""
    low, high = series["ci_low"], series["ci_high"]
    interval = "" if low is None else f" ({per_hour(low)} to {per_hour(high)})"
    return per_hour(series["slope_bytes_per_s"]) + interval


HEADINGS = ("program", "mechanism", "label", "verdict under load", "the tree's",
            "with the rest after it", "MiB/h by memwatch", "MiB/h by the program",
            "it says besides", "right")


def row(program, memwatch, folder):
    """The cells of a program, and whether verdict and counter are as its label says."""
    cells = [program.name, program.mechanism, "leak" if program.leaks else "no leak"]
    try:
        notes = Notes.read(folder, program.name)
        counter = judge_counter(notes)
        own, tree = verdicts(memwatch, folder, notes, ("-w", f"0,{notes.load_to_s:.1f}"))
        rested, _ = verdicts(memwatch, folder, notes)
    except FileNotFoundError:
        return cells + ["no recording", "", "", "", "", "", "**no**"], False
    except Unknown as error:
        return cells + [str(error), "", "", "", "", "", "**no**"], False
    faults = []
    if not {own["verdict"], rested["verdict"]} <= set(LEAK if program.leaks else NO_LEAK):
        faults.append("**no**")
    if not counter.bears_out(program.leaks):
        faults.append("**label in doubt**")
    besides = [notes.evidence] if notes.evidence else []
    besides.append(f"{counter.kept:.0%} in use after the load")
    cells += [f"{own['verdict']} ({own['confidence']})", tree["verdict"],
              f"{rested['verdict']} ({rested['confidence']})", slope_text(own),
              per_hour(counter.slope), "; ".join(besides), ", ".join(faults) or "yes"]
    return cells, not faults


def print_table(programs, memwatch, folder):
    """Prints a row for each program. Returns whether all are right."""
    print("| " + " | ".join(HEADINGS) + " |")
    print("|---" * len(HEADINGS) + "|")
    all_right = True
    for program in programs:
        cells, right = row(program, memwatch, folder)
        print("| " + " | ".join(cells) + " |", flush=True)
        all_right = all_right and right
    return all_right
