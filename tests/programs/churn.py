"""Never stays as it is: children come and go, threads too, memory grows and shrinks.

churn.py SECONDS
"""

import mmap
import os
import random
import sys
import threading
import time

PAGE = mmap.PAGESIZE
end = time.monotonic() + float(sys.argv[1])
chance = random.Random(1)


def touch(pages):
    memory = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(pages):
        memory[page * PAGE] = 1
    return memory


def hold(pages, seconds):
    memory = touch(pages)
    time.sleep(seconds)
    memory.close()


def start_child():
    """One that runs a program, or one that holds memory and may have a child itself."""
    kind = chance.randrange(3)
    pages, seconds = chance.randrange(2, 500), chance.uniform(0, 0.3)
    if kind == 0:
        os.posix_spawn("/bin/true", ["true"], os.environ)
    elif os.fork() == 0:
        if kind == 1 and os.fork() == 0:
            hold(pages // 2, seconds / 2)
            os._exit(0)
        hold(pages, seconds)
        os._exit(0)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass


blocks = []
started = 0
while time.monotonic() < end:
    start_child()
    started += 1
    if started % 5 == 0:
        threading.Thread(target=hold, args=(50, chance.uniform(0, 0.2))).start()
    if len(blocks) > chance.randrange(20):
        blocks.pop(chance.randrange(len(blocks))).close()
    else:
        blocks.append(touch(chance.randrange(1, 300)))
    time.sleep(chance.uniform(0, 0.05))
    reap()
