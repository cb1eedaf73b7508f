"""Marks every function whose name matches a pattern, without its being decorated."""

import atexit
import fnmatch
import re
import sys
import weakref

from _memwatch.functions import make_site, marks, module_name

_OPTIMIZED = 0x1  # in co_flags: a function, not the body of a module or a class


class _Patterns:
    """Shell patterns against MODULE.QUALNAME, or MODULE:QUALNAME where they have a colon."""

    def __init__(self, patterns):
        def compiled(chosen):
            return re.compile("|".join(map(fnmatch.translate, chosen)) or r"(?!)").match
        self._dotted = compiled([pattern for pattern in patterns if ":" not in pattern])
        self._parted = compiled([pattern for pattern in patterns if ":" in pattern])

    def match(self, module, name):
        return self._dotted(f"{module}.{name}") or self._parted(f"{module}:{name}")


class _Qualnames:
    """Before CPython 3.11 a code object does not know its qualified name: its module tells."""

    def __init__(self, patterns):
        self._patterns = patterns
        self._names = {}  # by id: code objects that are equal are not the same

    def learn(self, code, module, prefix=""):
        """Takes in what matters of all that is defined in a module, a class or a function."""
        for constant in code.co_consts:
            if not isinstance(constant, type(code)):
                continue
            name = prefix + constant.co_name
            if prefix and (self._patterns.match(module, name) or
                           self._patterns.match(module, constant.co_name)):
                self._keep(constant, name)
            inner = ".<locals>." if constant.co_flags & _OPTIMIZED else "."
            self.learn(constant, module, name + inner)

    def _keep(self, code, name):
        key = id(code)
        gone = weakref.ref(code, lambda _: self._names.pop(key, None))
        self._names[key] = name, gone

    def get(self, code):
        return self._names.get(id(code), (code.co_name,))[0]


def _is_function(code, name):
    """Not a module, a class, or a comprehension."""
    last = name.rpartition(".")[2]
    return code.co_flags & _OPTIMIZED and (last == "<lambda>" or not last.startswith("<"))


def _is_own(module):
    """What stands around decorated functions is no part of the program."""
    return module.partition(".")[0] == "_memwatch"


def _resolver(patterns):
    patterns = _Patterns(patterns)
    names = _Qualnames(patterns)

    def resolve(code, module):
        module = module_name(module)
        if hasattr(code, "co_qualname"):
            name = code.co_qualname
        else:
            if code.co_name == "<module>":
                names.learn(code, module)
            name = names.get(code)
        if _is_own(module) or not _is_function(code, name) or not patterns.match(module, name):
            return None
        return make_site(f"{module}.{name}", code.co_filename, code.co_firstlineno)
    return resolve


# --- telling of calls -------------------------------------------------------------------------


def _monitor(resolve):
    """From CPython 3.12 on. Only what is traced costs anything, and exceptions do."""
    monitoring = sys.monitoring
    events = monitoring.events
    tool = next((tool for tool in (4, 3) if monitoring.get_tool(tool) is None), None)
    if tool is None:
        raise RuntimeError("other tools use all of sys.monitoring")
    monitoring.use_tool_id(tool, "memwatch")

    def watch(code):
        monitoring.set_local_events(
            tool, code, events.PY_RETURN | events.PY_YIELD | events.PY_RESUME)
        monitoring.set_events(tool, events.PY_START | events.PY_UNWIND | events.PY_THROW)

    marks.trace_by_monitoring(resolve, watch, monitoring.DISABLE)
    for event, callback in ((events.PY_START, marks.on_start), (events.PY_RESUME, marks.on_resume),
                            (events.PY_THROW, marks.on_resume), (events.PY_YIELD, marks.on_yield),
                            (events.PY_RETURN, marks.on_end), (events.PY_UNWIND, marks.on_end)):
        monitoring.register_callback(tool, event, callback)
    monitoring.set_events(tool, events.PY_START)


def _hook(resolve):
    """Before CPython 3.12. Every call of the program costs a little."""
    import opcode
    import threading
    here = opcode.opmap["YIELD_VALUE"]
    next_one = bytes([opcode.opmap.get("YIELD_FROM", here)])  # before 3.11: a frame stands at what comes before it

    def pauses_at(frame):
        instructions, at = frame.f_code.co_code, frame.f_lasti
        return instructions[at] == here or instructions[at + 2:at + 3] == next_one

    threading.setprofile(marks.hook_thread)
    marks.trace_by_hook(resolve, pauses_at)


def start(patterns):
    """Marks all functions that match, from now on, in all threads."""
    if marks.is_recorded():
        atexit.register(marks.trace_no_more)  # what resolves needs modules that are about to go
        (_monitor if hasattr(sys, "monitoring") else _hook)(_resolver(patterns))
