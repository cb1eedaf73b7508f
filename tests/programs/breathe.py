"""Takes and returns memory all the time, every few milliseconds, so that each tick has a change.

breathe.py [SECONDS]
"""

import mmap
import os
import sys
import time

end = time.monotonic() + (float(sys.argv[1]) if len(sys.argv) > 1 else 120)
print("ready", os.getpid(), flush=True)
while time.monotonic() < end:
    for pages in range(1, 200):
        memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, len(memory), mmap.PAGESIZE):
            memory[offset] = 1
        time.sleep(0.004)
        memory.close()
        if time.monotonic() >= end:
            break
