"""Counts the signals that it gets, ends some time after the first, and tells the counts as JSON.

count_signals.py [SECONDS]: how long it goes on, and so is recorded, after the first signal.
"""

import json
import os
import signal
import sys
import time

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.4
counts = {"SIGINT": 0, "SIGTERM": 0, "SIGHUP": 0}


def count(number, _frame):
    counts[signal.Signals(number).name] += 1


for name in counts:
    signal.signal(signal.Signals[name], count)
print("ready", os.getpid(), flush=True)
deadline = time.monotonic() + 120
while not any(counts.values()) and time.monotonic() < deadline:
    time.sleep(0.01)
end = time.monotonic() + seconds
while time.monotonic() < end:
    time.sleep(0.01)
print(json.dumps(counts), flush=True)
