"""Functions of every kind under `profile`, that take known times and known memory."""

import asyncio
import functools
import threading
import time
import types

import memwatch
from memory_profiler import profile as imported

MIB = 1 << 20


def spike(mib):
    """Needs so much for a moment."""
    bytearray(b"x") * (mib * MIB)


@profile
def sleeps():
    time.sleep(0.05)


@profile
def grows():
    return bytearray(b"x") * (20 * MIB)


@profile
def spikes():
    spike(60)


@profile
def nested():
    inner()
    spikes()
    inner()


@profile
def inner():
    time.sleep(0.02)


@profile
def recursive(depth):
    if depth:
        recursive(depth - 1)


@profile
def fails():
    raise KeyError("expected")


@profile()
def with_parentheses():
    pass


@profile(precision=4, stream=None)
def with_options():
    pass


@profile(name="chosen")
def renamed():
    pass


@imported
def by_memory_profiler():
    pass


@memwatch.profile
def by_memwatch():
    pass


@profile
@functools.lru_cache(maxsize=None)
def cached(number):
    return number


def make_local():
    @profile
    def local():
        return 7
    return local


class Plain:
    @profile
    def method(self):
        return self

    @profile
    @classmethod
    def class_outside(cls):
        return cls

    @classmethod
    @profile
    def class_inside(cls):
        return cls

    @profile
    @staticmethod
    def static_outside():
        return 1

    @staticmethod
    @profile
    def static_inside():
        return 2

    @property
    @profile
    def value(self):
        return 3


class Other:
    @profile
    def method(self):
        return self


@profile
class Whole:
    def __init__(self):
        self.number = 5

    def method(self):
        return self.number

    @classmethod
    def of_class(cls):
        return cls()

    @staticmethod
    def static():
        return 6

    @property
    def value(self):
        return self.number


# --- what pauses ------------------------------------------------------------------------------


@profile
def generator(count):
    for number in range(count):
        time.sleep(0.01)
        inner_of_generator()
        yield number
    return "done"


@profile
def inner_of_generator():
    pass


@profile
def echo():
    got = None
    while True:
        try:
            got = yield got
        except ValueError as error:
            got = str(error)


@profile
def delegating():
    return (yield from generator(2))


@profile
@types.coroutine
def old_style():
    yield from asyncio.sleep(0.01).__await__()


@profile
async def waits():
    await asyncio.sleep(0.05)
    time.sleep(0.01)
    in_task()
    return 8


@profile
def in_task():
    pass


@profile
async def awaits():
    first = await waits()
    second = await waits()
    return first + second


@profile
async def is_cancelled():
    await asyncio.sleep(60)


@profile
async def produces(count):
    for number in range(count):
        await asyncio.sleep(0.01)
        yield number


@profile
async def fails_later():
    await asyncio.sleep(0.01)
    raise KeyError("expected")


async def asynchronous():
    assert await asyncio.gather(awaits(), awaits()) == [16, 16]
    await old_style()
    task = asyncio.ensure_future(is_cancelled())
    await asyncio.sleep(0.02)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    assert [number async for number in produces(3)] == [0, 1, 2]
    left = produces(9)
    assert await left.asend(None) == 0
    await left.aclose()
    try:
        await fails_later()
    except KeyError:
        pass
    with profile.timestamp("waiting block"):
        await asyncio.sleep(0.02)
    assert asyncio.iscoroutinefunction(awaits)


def pausing():
    assert list(generator(3)) == [0, 1, 2]
    left = generator(9)
    next(left)
    left.close()
    generator(4)  # never started
    speaks = echo()
    assert next(speaks) is None and speaks.send("word") == "word"
    assert speaks.throw(ValueError("thrown")) == "thrown"
    del speaks
    interleaved = zip(generator(2), generator(2))
    assert list(interleaved) == [(0, 0), (1, 1)]

    def consume():
        assert (yield from delegating()) == "done"
    assert list(consume()) == [0, 1]
    asyncio.run(asynchronous())


# --- all together -----------------------------------------------------------------------------


@profile
def in_thread(mark):
    mark.wait()
    time.sleep(0.02)


def threads():
    both = threading.Barrier(2)
    workers = [threading.Thread(target=in_thread, args=(both,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def plain():
    sleeps()
    kept = grows()
    nested()
    recursive(4)
    for _ in range(3):
        try:
            fails()
        except KeyError:
            pass
    inner()  # at depth 0 again
    with_parentheses(), with_options(), renamed(), by_memory_profiler(), by_memwatch()
    cached(1), cached(1)
    assert cached.cache_info().hits == 1
    assert make_local()() == 7
    with profile.timestamp("block"):
        inner()
    one = Plain()
    assert one.method() is one and one.value == 3
    assert Plain.class_outside() is Plain and Plain.class_inside() is Plain
    assert Plain.static_outside() == 1 and one.static_inside() == 2
    Other().method()
    whole = Whole.of_class()
    assert whole.method() == whole.value == 5 and Whole.static() == 6
    return kept


if __name__ == "__main__":
    plain()
    pausing()
    threads()
