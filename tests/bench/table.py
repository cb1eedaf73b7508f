"""The Markdown table that the benchmarks print, and how values look in it."""

import os
import platform
import statistics
import sys

MISSING_MPROF = "mprof is not installed"


def spread(values, form):
    """The median, with the lowest and the highest."""
    if len(values) == 1:
        return form(values[0])
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form(middle)} ({form(low)}–{form(high)})"


def percent(share):
    return f"{share * 100:.2f} %"


def seconds(value):
    return f"{value:.2f} s"


def megabytes(value):
    return f"{value / 1e6:.1f} MB"


def count_text(count):
    return f"{count // 1_000_000} M" if count >= 1_000_000 else f"{count // 1000} k"


class Table:
    def __init__(self):
        self.rows = []
        self.missing = False

    def row(self, what, aim, ours, baseline, ratio="", reached=None, uncertain=False):
        verdict = {None: "", True: "yes", False: "**missed**"}[reached]
        if uncertain:
            verdict += ", uncertain"
        self.rows.append((what, aim, ours, baseline, ratio, verdict))

    def compare(self, what, aim, limit, ours, theirs, form, name):
        """A row for two lists of values; limit is on the ratio of their medians."""
        ratio = statistics.median(ours) / statistics.median(theirs)
        text = f"1/{1 / ratio:.1f}" if ratio < 0.8 else f"{ratio:.2f}"
        baseline = f"{name}: {spread(theirs, form)}"
        self.row(what, aim, spread(ours, form), baseline, text, ratio <= limit)

    def absent(self, what, aim, reason):
        """A row for what could not be measured."""
        self.missing = True
        self.row(what, aim, "not measured", reason)

    def print(self):
        print("| what | aim | memwatch | baseline | ratio | reached |")
        print("|---|---|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {platform.release()}"


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)
