"""Spikes of 200 MB that come and go between two samples a tenth of a second apart."""
import mmap
import time

for _ in range(12):
    block = mmap.mmap(-1, 100 << 20)
    block.write(b"x" * (100 << 20))
    block.close()
    time.sleep(0.27)
