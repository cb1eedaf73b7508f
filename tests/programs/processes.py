"""Marked functions in many processes: processes.py fork|spawn|forkserver|raw|exit|subprocess"""

import multiprocessing
import os
import subprocess
import sys


@profile
def work(number):
    return bytearray(b"x") * (number << 20)


@profile
def size(number):
    return len(work(number))


@profile
def around():
    """Forks inside a call: the child is not in it."""
    child = os.fork()
    if child == 0:
        work(1)
        os._exit(0)
    os.waitpid(child, 0)


@profile
def returns_twice():
    return os.fork()


def pool(method):
    with multiprocessing.get_context(method).Pool(2) as workers:
        assert workers.map(size, [1, 2, 3, 4], chunksize=1) == [n << 20 for n in (1, 2, 3, 4)]
        workers.close()
        workers.join()


def raw():
    around()
    child = returns_twice()
    if child == 0:
        work(1)
        sys.exit(0)
    os.waitpid(child, 0)


@profile
def never_returns():
    work(1)
    os._exit(3)


def below():
    subprocess.run([sys.executable, "-c", "profile(len)([1])"], check=True)


if __name__ == "__main__":
    if sys.argv[1] in ("fork", "spawn", "forkserver"):
        pool(sys.argv[1])
    else:
        {"raw": raw, "exit": never_returns, "subprocess": below}[sys.argv[1]]()
