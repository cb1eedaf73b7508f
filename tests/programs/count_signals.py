"""Counts the signals that it gets, ends some time after the first, and tells the counts as JSON.

count_signals.py [SECONDS]: how long it goes on, and so is recorded, after the first signal.

It waits for them in the kernel: two that come one right after the other are two, where a handler in
Python would have run once.
"""

import json
import os
import signal
import sys
import time

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.4
counts = {"SIGINT": 0, "SIGTERM": 0, "SIGHUP": 0}
awaited = {signal.Signals[name] for name in counts}

signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
print("ready", os.getpid(), flush=True)
end = time.monotonic() + 120
while time.monotonic() < end:
    got = signal.sigtimedwait(awaited, end - time.monotonic())
    if got:
        if not any(counts.values()):
            end = time.monotonic() + seconds
        counts[signal.Signals(got.si_signo).name] += 1
print(json.dumps(counts), flush=True)
