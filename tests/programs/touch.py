"""Touches some MiB of memory, tells its own measurement of itself as JSON, and holds it.

touch.py MIB [SECONDS]
"""

import json
import mmap
import sys
import time

mib = int(sys.argv[1])
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.3


def rss_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * mmap.PAGESIZE


before = rss_bytes()
memory = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for offset in range(0, mib << 20, mmap.PAGESIZE):
    memory[offset] = 1
held = rss_bytes()
time.sleep(seconds)
print(json.dumps({"before": before, "held": held}), flush=True)
