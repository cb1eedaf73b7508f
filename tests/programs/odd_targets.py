"""What `profile` may be put around, beside plain functions: all goes on to work."""

import abc
import asyncio
import dataclasses
import enum
import functools
import os
import sys
import tempfile
import typing
import unittest.mock


@profile
class Color(enum.Enum):
    RED = 1

    def describe(self):
        return self.name

    @classmethod
    def _missing_(cls, value):
        return cls.RED


assert Color(1).describe() == "RED" and Color(9) is Color.RED


@profile
class Pair(typing.NamedTuple):
    one: int
    other: int = 2

    def sum(self):
        return self.one + self.other


assert Pair(1).sum() == 3 and Pair(1)._replace(one=5).one == 5


@profile
@dataclasses.dataclass(frozen=True)
class Record:
    number: int


assert Record(1) == Record(1) and dataclasses.replace(Record(1), number=2).number == 2


@profile
class Able(typing.Protocol):
    def method(self): ...


class Base:
    def __init__(self):
        self.made = True


class Both(Able, Base):
    pass


if sys.version_info >= (3, 9):  # before, a protocol hides what it does not define
    assert Both().made


@profile
class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self): ...


assert Abstract.__abstractmethods__ == {"method"}


class Frozen(type):
    def __setattr__(cls, name, value):
        raise AttributeError(name)


class Lazy(property):
    def __init__(self, function):
        super().__init__(function)


class Tagged(classmethod):
    def __init__(self, function, tag):
        super().__init__(function)
        self.tag = tag


@profile
class Strange(metaclass=Frozen):
    __slots__ = ()
    tagged = Tagged(lambda cls: 4, "tag")
    not_called = staticmethod(3)

    def __new__(cls):
        return object.__new__(cls)

    def __init_subclass__(cls, **options):
        type.__setattr__(cls, "options", options)

    def __class_getitem__(cls, item):
        return item

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)

    @Lazy
    def lazy(self):
        return 3

    @functools.singledispatchmethod
    def dispatch(self, value):
        return "any"

    @dispatch.register(int)
    def _(self, value):
        return "int"


class Derived(Strange, word=1):
    pass


assert Strange().lazy == 3 and Strange.tagged() == 4 and vars(Strange)["tagged"].tag == "tag"
assert Derived.options == {"word": 1} and Strange[3] == 3 and Strange().dispatch(1) == "int"


class Task:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.count

    def delay(self):
        return self.count + 10


task = profile(Task())
assert task() == 1 and task.delay() == 11


class Anything:
    def __getattr__(self, name):
        return Anything()

    def __call__(self):
        return 4


assert profile(Anything())() == 4
assert profile(unittest.mock.Mock(return_value=3))(1) == 3
assert profile(functools.partial(int, base=2))("11") == 3
assert profile(len)([1]) == 1


@profile
async def awaited():
    return await unittest.mock.AsyncMock(return_value=5)()


assert asyncio.run(awaited()) == 5

for name in ("", "\ud800", "\udc80", "a\0b", "new\nline", "é" * 70_000, "x" * 100_000):
    def named():
        return 1
    named.__qualname__ = name
    assert profile(named)() == 1
    with profile.timestamp(name):
        pass
assert profile(name=5)(len)([]) == 0

os.chdir(tempfile.mkdtemp())
os.rmdir(os.getcwd())
space = {"__name__": "made"}
exec(compile("def relative(): return 1", "relative.py", "exec"), space)
assert profile(space["relative"])() == 1
