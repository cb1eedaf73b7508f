"""Stands in for the package memory_profiler below `memwatch run`, whether or not that is installed.

`profile` is memwatch's. All else is the installed package's, which is loaded once it is asked for.
As `python -m memory_profiler SCRIPT` it is the installed package altogether, which prints its table.
"""

import importlib.machinery
import importlib.util
import os
import sys


def _find_installed():
    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path) != here]
    return importlib.machinery.PathFinder.find_spec("memory_profiler", others)


def _load_installed():
    spec = _find_installed()
    if spec is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


try:
    from _memwatch import profile
except ImportError:  # a Python that memwatch has nothing for
    if _find_installed() is None:
        raise
    sys.modules[__name__] = _load_installed()


def __getattr__(name):
    if name in ("__path__", "__wrapped__"):  # of packages and of decorated functions: asked by import
        raise AttributeError(name)
    module = globals().get("_installed") or _load_installed()
    globals()["_installed"] = module
    if name == "__all__":
        others = vars(module) if module else ()
        return ["profile", *(other for other in others if not other.startswith("_"))]
    if module is None:
        raise AttributeError("memory_profiler is not installed, and memwatch has its `profile` alone: "
                             f"there is no {name}")
    return getattr(module, name)


if __name__ == "__main__":
    _spec = _find_installed()
    if _spec is None:
        sys.exit("memory_profiler is not installed")
    sys.modules["memory_profiler"] = _load_installed()  # of scripts that import it: a table is wanted
    exec(_spec.loader.get_code("memory_profiler"), globals())
