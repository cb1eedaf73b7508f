"""Finds the Pythons of this machine."""

import glob
import os
import shutil
import subprocess

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def _candidates(version):
    """Debian's own first, then what is in PATH, then what pyenv has."""
    yield "/usr/bin/python3"
    yield shutil.which(f"python{version}")
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    yield from sorted(glob.glob(f"{root}/versions/{version}.*/bin/python{version}"))


def _version_of(path):
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([path, "-S", "-c", question], check=False, timeout=60,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return answer.stdout.strip()


def find_python(version):
    """The path of a Python of that version, or None."""
    for path in _candidates(version):
        if path and os.access(path, os.X_OK) and _version_of(path) == version:
            return path
    return None
