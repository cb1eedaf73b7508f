# Python runs this at its start, below `memwatch run`: puts `profile` into builtins. Any Python may
# come by, also one that is too old for the rest.
import sys


class _Profile(object):
    """Loads the real one when it is first needed: most programs do not."""

    def _load(self):
        import builtins
        from _memwatch import profile
        if builtins.profile is self:
            builtins.profile = profile
        return profile

    def __call__(self, *args, **kwargs):
        return self._load()(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._load(), name)


def _chain():
    """Runs the sitecustomize that this one hides."""
    import importlib.machinery
    import importlib.util
    import os
    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _start():
    import builtins
    import os
    builtins.profile = _Profile()
    patterns = os.environ.get("MEMWATCH_TRACE")
    if patterns:
        try:
            from _memwatch import trace
            trace.start(patterns.split("\n"))
        except Exception as error:
            sys.stderr.write("memwatch: functions are not traced: %r\n" % error)


# From CPython 3.8 on functions are marked; before, `profile` says that they are not, and programs run.
if sys.version_info >= (3, 6):
    _start()
if sys.version_info >= (3, 4):
    _chain()
