"""Programs that run before anybody looks at them, and memwatch attach at work on them."""

import subprocess

from conftest import PATIENCE_S, query, wait_for_rows

# A program that says when it runs, and then waits to be told.
WAITS = "print('ready', flush=True); wait_for('end')"


class Target:
    """A program that runs before anybody looks at it."""

    def __init__(self, folder, command, **options):
        self.process = subprocess.Popen(list(map(str, command)), cwd=folder.path, env=folder.env,
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def line(self):
        return self.process.stdout.readline().decode().rstrip("\n")


class Attached:
    """memwatch attach at work, into a.db."""

    def __init__(self, folder, *words, options=("-q", "-i", "5ms"), **start):
        self.folder = folder
        self.path = folder / "a.db"
        self.process = folder.start("attach", "-o", "a.db", *options, *map(str, words), **start)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def see(self, sql, *parameters):
        return wait_for_rows(self.path, sql, *parameters)

    def see_memory(self, pid, mib=0):
        self.see("SELECT 1 FROM samples WHERE metric = 'rss' AND pid = ? AND bytes > ?", int(pid),
                 mib << 20)

    def finish(self, number=None, status=0):
        """Ends it, by a signal or by its target's end; the run, and what it said."""
        if number:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == status, errors
        assert query(self.path, "PRAGMA integrity_check") == [("ok",)]
        return self.folder.last_run("a.db"), errors.decode()


def events(run, kind):
    return [event for event in run["events"] if event["kind"] == kind]
