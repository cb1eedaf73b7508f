"""The decorator `profile`, for functions of every kind, and blocks."""

import functools
import os
import sys
import types

try:
    if sys.version_info < (3, 8) or sys.implementation.name != "cpython":
        raise ImportError("memwatch marks functions from CPython 3.8 on")
    if "t" in getattr(sys, "abiflags", ""):
        raise ImportError("Python without the GIL is not supported")
    from _memwatch import marks
    obstacle = None
except ImportError as _error:  # a Python for which it was not built, a subinterpreter
    obstacle = str(_error)
    marks = types.SimpleNamespace(is_recorded=lambda: False)
    if sys.stderr is not None:
        sys.stderr.write(f"memwatch: functions are not marked here: {_error}\n")


# The module inspect knows all this as well, but loading it takes longer than many a program.
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200  # in co_flags
_MOST_WRAPPERS = 100


def module_name(module):
    """That of the program's first module is the same in all processes of multiprocessing."""
    return "__main__" if module == "__mp_main__" else module or "?"


def make_site(name, file, line):
    """What is marked; any strings will do."""
    def printable(text):
        return str(text).encode("utf-8", "replace").decode().replace("\0", "?")
    if file and not file.startswith("<"):  # <stdin>
        try:
            file = os.path.abspath(file)
        except OSError:  # the current folder is gone
            pass
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
    if "_is_coroutine_marker" in getattr(function, "__dict__", ()):  # by inspect.markcoroutinefunction
        return _COROUTINE
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return flags if isinstance(flags, int) else 0


def _code_of(function):
    """That which runs in the end; None where there is none in Python."""
    code = getattr(_unwrap(function), "__code__", None)
    return code if isinstance(code, types.CodeType) else None


def _site_of(function, code, name):
    if not name:
        own = getattr(function, "__qualname__", None) or type(function).__qualname__
        name = f"{module_name(getattr(function, '__module__', None))}.{own}"
    return make_site(name, code.co_filename if code else "", code.co_firstlineno if code else 0)


# --- functions of every kind ------------------------------------------------------------------


# No wrapper keeps alive what its function was called with, and may give up before its end.


def _around_function(site, function):
    enter, leave = site.enter, site.leave

    def marked(*args, **kwargs):
        given = [kwargs, args]
        del args, kwargs
        token = enter()
        try:
            return function(*given.pop(), **given.pop())  # the call that memwatch marks
        finally:
            leave(token)
    return marked


def _around_coroutine(site, function):
    async def marked(*args, **kwargs):
        steps = site.coroutine(function(*args, **kwargs))
        del args, kwargs
        while True:
            try:
                return await steps
            except GeneratorExit as error:
                if not steps.hand_on(error):
                    raise
    return marked


def _around_generator(site, function):
    def marked(*args, **kwargs):
        steps = site.generator(function(*args, **kwargs))
        del args, kwargs
        while True:
            try:
                return (yield from steps)
            except GeneratorExit as error:
                if not steps.hand_on(error):
                    raise
    return marked


def _around_awaitable_generator(site, function):
    return types.coroutine(_around_generator(site, function))


def _begin(generator):
    """The first step of an asynchronous generator of which the event loop is told nothing: it knows
    the one around it, and would finish both."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _around_async_generator(site, function):
    async def marked(*args, **kwargs):
        generator = function(*args, **kwargs)
        del args, kwargs
        steps = site.async_generator()
        step = _begin(generator)
        values = []  # a name would keep what was yielded alive
        try:
            while True:
                try:
                    values.append(await steps.piece(step))
                except GeneratorExit as error:
                    if not steps.hand_on(error):
                        raise
                    continue
                try:
                    step = generator.asend((yield values.pop()))
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


def _is_marked(function):
    return isinstance(function, types.FunctionType) and hasattr(function, "_memwatch_site")


def _dress(marked, function):
    """Makes it look like the function. What is none may have methods, like that of lru_cache."""
    try:
        functools.update_wrapper(marked, function)
    except Exception:  # an object may say anything of itself
        marked.__wrapped__ = function
    if isinstance(function, types.FunctionType):
        return
    for name in dir(type(function)):
        if not name.startswith("_") and callable(getattr(type(function), name, None)):
            setattr(marked, name, getattr(function, name))


def _mark_function(function, name=None):
    if _is_marked(function):
        return function
    code = _code_of(function)
    if code:
        marks.leave_out(code)  # of --trace: one call is one
    site = _site_of(function, code, name)
    marked = _how_to_mark(function)(site, function)
    _dress(marked, function)
    marked._memwatch_site = site
    return marked


def _mark_property(target, name=None):
    parts = [part and _mark_function(part, name) for part in (target.fget, target.fset, target.fdel)]
    return type(target)(*parts, target.__doc__)


def _is_method(value):
    """Whether it is one that can be marked, which is not part of how classes of its kind work."""
    if type(value) in (classmethod, staticmethod):
        value = value.__func__
    return (type(value) in (property, functools.cached_property) or
            isinstance(value, types.FunctionType) and
            value.__module__ not in ("enum", "typing", "typing_extensions"))


def _mark_class(target):
    for key, value in list(vars(target).items()):
        if _is_method(value):
            # Its metaclass may refuse.
            type.__setattr__(target, key, _mark(value))
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


_site_of_block = functools.lru_cache(maxsize=1024)(make_site)


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
