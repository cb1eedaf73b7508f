"""Functions of every kind that nothing marks, for `memwatch run --trace`."""

import asyncio
import functools
import threading
import time

MIB = 1 << 20


class Loader:
    def load(self, mib):
        kept = bytearray(b"x") * (mib * MIB)
        time.sleep(0.02)
        return kept

    @classmethod
    def of_class(cls):
        return [number for number in range(3)]

    class Inner:
        def deep(self):
            def local():
                return (lambda: 3)()
            return local()


def generator(count):
    for number in range(count):
        time.sleep(0.01)
        helper()
        yield number


def helper():
    pass


def delegating():
    yield from generator(2)


def closed_early():
    left = generator(9)
    next(left)
    left.close()


def recursive(depth):
    return depth and recursive(depth - 1)


def fails():
    raise KeyError("expected")


def fails_inside():
    try:
        fails()
    finally:
        helper()


@functools.lru_cache(maxsize=None)
def cached(number):
    return number


async def waits():
    await asyncio.sleep(0.03)
    time.sleep(0.01)
    helper()


async def awaits():
    await waits()
    await waits()


async def produces():
    for number in range(3):
        await asyncio.sleep(0.01)
        yield number


class Worker(threading.Thread):
    def run(self):
        recursive(2)


async def asynchronous():
    await asyncio.gather(awaits(), awaits())
    return [number async for number in produces()]


def main():
    kept = Loader().load(20)
    assert Loader.of_class() == [0, 1, 2] and Loader.Inner().deep() == 3
    assert list(generator(3)) == list(range(3)) and list(delegating()) == [0, 1]
    closed_early()
    for _ in range(3):
        try:
            fails_inside()
        except KeyError:
            pass
    cached(1), cached(1)
    worker = Worker()
    worker.start()
    worker.join()
    assert asyncio.run(asynchronous()) == [0, 1, 2]
    return kept


if __name__ == "__main__":
    main()
