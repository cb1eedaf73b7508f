"""Functions that pause, driven in odd ways with and without `profile`: tells where that makes a difference."""

import asyncio
import contextlib
import contextvars
import gc
import sys
import types
import warnings
import weakref

warnings.simplefilter("ignore")


class Thing:
    pass


def outcome_of(case, mark):
    try:
        return case(mark)
    except BaseException as error:
        return type(error).__name__, str(error)


def alike(case):
    plain, marked = outcome_of(case, lambda function: function), outcome_of(case, profile)
    if plain != marked:
        print(f"{case.__name__}: {plain!r} becomes {marked!r}")
    return case


def asynchronous(case):
    def run(mark):
        return asyncio.run(case(mark))
    run.__name__ = case.__name__
    alike(run)
    return case


# --- generators -------------------------------------------------------------------------------


def catching(mark):
    @mark
    def generator():
        for _ in range(2):
            try:
                yield 1
            except BaseException as error:
                yield repr(error), repr(error.__context__)
    started = generator()
    next(started)
    return started


@alike
def throw_error(mark):
    return catching(mark).throw(ValueError("word"))


@alike
def throw_class(mark):
    return catching(mark).throw(ValueError)


@alike
def throw_in_three(mark):
    return catching(mark).throw(ValueError, "word", None)


@alike
def throw_exit(mark):
    generator = catching(mark)
    return generator.throw(GeneratorExit), next(generator)


@alike
def throw_before_the_start(mark):
    @mark
    def generator():
        yield 1
    unstarted = generator()
    return outcome_of(lambda _: unstarted.throw(ValueError("word")), None), list(unstarted)


@alike
def close_that_is_ignored(mark):
    return catching(mark).close()


@alike
def close_that_returns(mark):
    @mark
    def generator():
        try:
            yield 1
        except GeneratorExit:
            return 7
    started = generator()
    next(started)
    return started.close()


@alike
def exit_of_its_own(mark):
    @mark
    def generator():
        yield 1
        raise GeneratorExit("its own")
    return list(generator())


@alike
def stop_of_its_own(mark):
    @mark
    def generator():
        yield 1
        raise StopIteration(3)
    return list(generator())


@alike
def entered_twice(mark):
    @mark
    def generator():
        yield next(it)
    it = generator()
    return next(it)


@alike
def sent_and_returned(mark):
    @mark
    def generator():
        return (yield 1)

    def outer():
        yield (yield from generator())
    started = outer()
    return next(started), started.send(4), outcome_of(lambda _: generator().send(4), None)


@alike
def error_that_is_handled_outside(mark):
    @mark
    def generator():
        yield sys.exc_info()[0]
        yield sys.exc_info()[0]
    try:
        raise ValueError
    except ValueError:
        started = generator()
        inside = next(started)
    return inside, next(started)


@alike
def contexts(mark):
    @contextlib.contextmanager
    @mark
    def context():
        yield

    def raises(error):
        with context():
            raise error
    return [outcome_of(lambda _, error=error: raises(error), None)
            for error in (StopIteration("a"), RuntimeError("b"), GeneratorExit("c"), KeyboardInterrupt("d"))]


@alike
def what_is_given_up(mark):
    def seen(generator):
        return [reference() is None for reference in generator]

    @mark
    def takes(thing):
        reference = weakref.ref(thing)
        del thing
        yield reference

    @mark
    def yields():
        yield Thing()

    @mark
    def is_sent():
        thing = yield
        reference = weakref.ref(thing)
        del thing
        yield reference
    sent = is_sent()
    next(sent)
    return (seen(takes(Thing())), seen(map(weakref.ref, yields())), sent.send(Thing())() is None)


@alike
def cycle(mark):
    @mark
    def generator():
        yield (yield)
    started = generator()
    next(started)
    thing = Thing()
    thing.generator, reference = started, weakref.ref(thing)
    started.send(thing)
    del started, thing
    gc.collect()
    return reference() is None


# --- coroutines -------------------------------------------------------------------------------


class Pause:
    def __init__(self, log):
        self.log = log

    def __await__(self):
        try:
            yield 1
        except ValueError as error:
            yield repr(error)
        finally:
            self.log.append("left")


@alike
def closed_coroutine(mark):
    @mark
    async def coroutine():
        await Pause(log)
    log = []
    started = coroutine()
    started.send(None)
    started.close()
    return log


@alike
def coroutine_with_error(mark):
    @mark
    async def coroutine():
        await Pause(log)
    log = []
    started = coroutine()
    return started.send(None), started.throw(ValueError("word")), outcome_of(started.send, None), log


@alike
def by_types_coroutine(mark):
    @mark
    @types.coroutine
    def coroutine():
        return (yield 1)

    async def outer():
        return await coroutine()
    started = outer()
    return started.send(None), outcome_of(lambda _: started.send(8), None)


@alike
def never_awaited(mark):
    @mark
    async def coroutine():
        pass
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        coroutine()
        gc.collect()
    return [str(warning.message) for warning in told]


@alike
def names(mark):
    @mark
    async def coroutine():
        pass

    @mark
    async def asynchronous_generator():
        yield
    awaitable = coroutine()
    awaitable.close()
    return awaitable.__qualname__, asynchronous_generator().__qualname__


@asynchronous
async def awaited_twice(mark):
    @mark
    async def coroutine():
        return 1
    awaitable = coroutine()
    return await awaitable, await awaitable


@asynchronous
async def cancelled(mark):
    @mark
    async def coroutine():
        try:
            await asyncio.sleep(60)
        finally:
            log.append("left")
    log = []
    task = asyncio.ensure_future(coroutine())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    try:
        await asyncio.wait_for(coroutine(), 0.01)
    except asyncio.TimeoutError:
        log.append("late")
    return task.cancelled(), log


# --- asynchronous generators ------------------------------------------------------------------


async def catching_asynchronously(mark):
    @mark
    async def generator():
        for _ in range(2):
            try:
                yield 1
            except BaseException as error:
                yield repr(error)
    started = generator()
    await started.__anext__()
    return started


async def outcome_of_awaiting(awaitable):
    try:
        return await awaitable
    except BaseException as error:
        return type(error).__name__, str(error)


async def rest_of(generator):
    return [value async for value in generator]


@asynchronous
async def asynchronous_throw(mark):
    generator = await catching_asynchronously(mark)
    return await generator.athrow(ValueError("word")), await rest_of(generator)


@asynchronous
async def asynchronous_throw_in_three(mark):
    generator = await catching_asynchronously(mark)
    return await generator.athrow(ValueError, "word", None)


@asynchronous
async def asynchronous_throw_of_exit(mark):
    generator = await catching_asynchronously(mark)
    return await generator.athrow(GeneratorExit), await rest_of(generator)


@asynchronous
async def asynchronous_throw_of_stop(mark):
    generator = await catching_asynchronously(mark)
    return await generator.athrow(StopAsyncIteration())


@asynchronous
async def asynchronous_close_that_is_ignored(mark):
    generator = await catching_asynchronously(mark)
    return await outcome_of_awaiting(generator.aclose()), await rest_of(generator)


@asynchronous
async def asynchronous_close_before_the_start(mark):
    @mark
    async def generator():
        yield 1
    closed, thrown = generator(), generator()
    return (await closed.aclose(), await rest_of(closed),
            await outcome_of_awaiting(thrown.athrow(ValueError("word"))), await rest_of(thrown))


@asynchronous
async def asynchronous_close_that_raises(mark):
    @mark
    async def generator():
        try:
            yield 1
        finally:
            raise ValueError("word")
    started = generator()
    await started.__anext__()
    return await started.aclose()


@asynchronous
async def asynchronous_stops_of_its_own(mark):
    @mark
    async def generator(error):
        yield 1
        raise error
    return [await outcome_of_awaiting(rest_of(generator(error)))
            for error in (StopAsyncIteration("a"), StopIteration("b"), GeneratorExit("c"))]


@asynchronous
async def asynchronous_step_that_is_given_up(mark):
    @mark
    async def generator():
        await Pause(log)
        yield 1
    log = []
    closed, thrown = generator().__anext__(), generator().__anext__()
    closed.send(None)
    closed.close()
    thrown.send(None)
    return log, thrown.throw(ValueError("word")), outcome_of(thrown.send, None)


@asynchronous
async def asynchronous_steps_at_the_same_time(mark):
    @mark
    async def generator():
        yield 1
        await asyncio.sleep(0.01)
        yield 2
    started = generator()
    await started.__anext__()
    results = await asyncio.gather(started.__anext__(), started.__anext__(), return_exceptions=True)
    return list(map(str, results))


@asynchronous
async def asynchronous_and_dropped(mark):
    @mark
    async def generator():
        try:
            yield 1
        finally:
            log.append("leaves")
            await asyncio.sleep(0)
            log.append("left")
    log = []
    async for _ in generator():
        break
    gc.collect()
    await asyncio.sleep(0.01)
    return log


@alike
def asynchronous_and_left_to_the_loop(mark):
    @mark
    async def generator():
        try:
            yield 1
        finally:
            log.append("leaves")
            await asyncio.sleep(0)
            log.append("left")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: log.append(str(context["exception"])))
        kept.append(generator())
        await kept[0].__anext__()
    log, kept = [], []
    asyncio.run(main())
    return log


@asynchronous
async def asynchronous_contexts(mark):
    @contextlib.asynccontextmanager
    @mark
    async def context():
        yield

    async def raises(error):
        async with context():
            raise error
    return [await outcome_of_awaiting(raises(error))
            for error in (StopIteration("a"), StopAsyncIteration("b"), RuntimeError("c"), KeyError("d"))]


@asynchronous
async def context_variables(mark):
    @mark
    async def generator():
        for _ in range(2):
            variable.set(variable.get() + 1)
            yield variable.get()
    variable = contextvars.ContextVar("variable", default=0)
    return await rest_of(generator()), variable.get()
