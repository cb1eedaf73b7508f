"""The decorator `profile`, for functions of every kind, and blocks."""

import functools
import os
import sys
import types

from _memwatch import marks

# The module inspect knows all this as well, but loading it takes longer than many a program.
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200  # in co_flags
_MOST_WRAPPERS = 100


def module_name(module):
    """That of the program's first module is the same in all processes of multiprocessing."""
    return "__main__" if module == "__mp_main__" else module or "?"


def make_site(name, file, line):
    """What is marked; any strings will do."""
    def printable(text):
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "?")
    if file and not file.startswith("<"):  # <stdin>
        file = os.path.abspath(file)
    return marks.Site(printable(name), printable(file), line)


def _unwrap(function):
    """What the decorators of functools.wraps are around. An object may have any attribute, for ever."""
    for _ in range(_MOST_WRAPPERS):
        if not hasattr(function, "__wrapped__"):
            break
        function = function.__wrapped__
    return function


def _flags_of(function):
    """The co_flags of a function, also of a method and of functools.partial."""
    while isinstance(function, (functools.partial, types.MethodType)):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    if hasattr(function, "_is_coroutine_marker"):  # by inspect.markcoroutinefunction
        return _COROUTINE
    return getattr(getattr(function, "__code__", None), "co_flags", 0)


def _site_of(function, name):
    code = getattr(_unwrap(function), "__code__", None)
    if not name:
        own = getattr(function, "__qualname__", None) or type(function).__qualname__
        name = f"{module_name(getattr(function, '__module__', None))}.{own}"
    return make_site(name, code.co_filename if code else "", code.co_firstlineno if code else 0)


# --- functions of every kind ------------------------------------------------------------------


def _around_function(site, function):
    enter, leave = site.enter, site.leave

    def marked(*args, **kwargs):
        token = enter()
        try:
            return function(*args, **kwargs)
        finally:
            leave(token)
    return marked


def _around_coroutine(site, function):
    async def marked(*args, **kwargs):
        return await site.coroutine(function(*args, **kwargs))
    return marked


def _around_generator(site, function):
    def marked(*args, **kwargs):
        return (yield from site.generator(function(*args, **kwargs)))
    return marked


def _around_awaitable_generator(site, function):
    return types.coroutine(_around_generator(site, function))


def _around_async_generator(site, function):
    async def marked(*args, **kwargs):
        generator = function(*args, **kwargs)
        steps = site.async_generator()
        step = generator.asend(None)
        values = []  # a name would keep what was yielded alive
        try:
            while True:
                values.append(await steps.piece(step))
                try:
                    step = generator.asend((yield values.pop()))
                except GeneratorExit:
                    await steps.piece(generator.aclose(), True)
                    raise
                except BaseException as error:
                    step = generator.athrow(error)
        except StopAsyncIteration:
            return
    return marked


def _how_to_mark(function):
    flags = _flags_of(function)
    if flags & _ASYNC_GENERATOR:
        return _around_async_generator
    if flags & _COROUTINE:
        return _around_coroutine
    if flags & _GENERATOR:
        is_awaitable = _flags_of(_unwrap(function)) & _ITERABLE_COROUTINE
        return _around_awaitable_generator if is_awaitable else _around_generator
    return _around_function


def _mark_function(function, name=None):
    if hasattr(function, "_memwatch_site"):
        return function
    site = _site_of(function, name)
    marked = functools.wraps(function)(_how_to_mark(function)(site, function))
    marked._memwatch_site = site
    for extra in ("cache_info", "cache_clear", "cache_parameters"):  # of functools.lru_cache
        if hasattr(function, extra):
            setattr(marked, extra, getattr(function, extra))
    return marked


def _mark_property(target, name=None):
    parts = [part and _mark_function(part, name) for part in (target.fget, target.fset, target.fdel)]
    return type(target)(*parts, target.__doc__)


def _mark_class(target):
    for key, value in list(vars(target).items()):
        if isinstance(value, (types.FunctionType, classmethod, staticmethod, property)):
            setattr(target, key, _mark(value))
    return target


def _mark(target, name=None):
    if isinstance(target, (classmethod, staticmethod)):
        return type(target)(_mark(target.__func__, name))
    if isinstance(target, property):
        return _mark_property(target, name)
    if isinstance(target, functools.cached_property):
        target.func = _mark(target.func, name)
        return target
    if isinstance(target, type):
        return _mark_class(target)
    if not callable(target):
        raise TypeError(f"profile marks functions and classes, not {type(target).__name__}")
    return _mark_function(target, name)


# --- blocks -----------------------------------------------------------------------------------


_site_of_block = functools.lru_cache(maxsize=None)(make_site)


class _Block:
    """with profile.timestamp("name"): marks what is inside."""

    def __init__(self, site):
        self._site = site
        self._tokens = []

    def __enter__(self):
        self._tokens.append(self._site.enter_block())
        return self

    def __exit__(self, *_error):
        self._site.leave(self._tokens.pop())


class _Nothing:
    """A block of a program that is not recorded."""

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass


# --- what programs use ------------------------------------------------------------------------


class Profile:
    """The decorator `profile`.

    @profile                     a function, a method, a class (all its methods)
    @profile(name="other")       under another name
    with profile.timestamp("block"):

    Below `memwatch run`, calls are recorded with their time and memory; elsewhere it returns what it
    gets. The options of memory_profiler's decorator are about its tables, and say nothing here.
    """

    def __call__(self, target=None, stream=None, precision=1, backend="psutil", *, name=None):
        if target is None:
            return functools.partial(self, name=name)
        return _mark(target, name) if marks.is_recorded() else target

    @staticmethod
    def timestamp(name="<block>"):
        if not marks.is_recorded():
            return _Nothing()
        caller = sys._getframe(1)
        return _Block(_site_of_block(str(name), caller.f_code.co_filename, caller.f_lineno))


profile = Profile()
