"""Records one program under its load, and notes beside the recording what is known of it."""

import json
import os
import time
from dataclasses import asdict, dataclass, field

TICK_S = 0.1
READINGS = 120  # of the counter, under load


@dataclass
class Notes:
    """What is known of a recording. Times are in seconds since its start."""

    name: str
    pid: int = 0  # of the process that the mechanism is about
    load_from_s: float = 0
    load_to_s: float = 0
    requests: int = 0  # that were answered
    counter: list = field(default_factory=list)  # (time, bytes) by what the program says itself
    evidence: str = ""

    @staticmethod
    def path(folder, name):
        return os.path.join(folder, f"{name}.json")

    def write(self, folder):
        with open(self.path(folder, self.name), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)

    @classmethod
    def read(cls, folder, name):
        with open(cls.path(folder, name), encoding="utf-8") as file:
            return cls(**json.load(file))


def recording_path(folder, name):
    return os.path.join(folder, f"{name}.db")


class Ended(Exception):
    """The run is over before its time."""


class Recording:
    """Takes a program through its life: start, load, some quiet, end."""

    def __init__(self, program, memwatch, folder, ending):
        self.program = program
        self.memwatch = memwatch
        self.folder = folder
        self.ending = ending  # an event: all are to end
        self.notes = Notes(program.name)

    def run(self, load_s, quiet_s):
        for path in (recording_path(self.folder, self.program.name),
                     Notes.path(self.folder, self.program.name)):
            if os.path.exists(path):
                os.remove(path)
        try:
            self.program.prepare()
            self.start_s = time.monotonic()
            self.program.start(self.memwatch, recording_path(self.folder, self.program.name))
            self.program.connect()
            self.notes.pid = self.program.pid()
            self.drive(load_s)
            self.rest(quiet_s)
            self.notes.evidence = self.program.evidence()
        finally:
            self.program.stop()
        self.notes.write(self.folder)

    def now_s(self):
        return time.monotonic() - self.start_s

    def wait(self, until_s):
        if self.ending.wait(max(0, until_s - self.now_s())):
            raise Ended

    def read_counter(self):
        self.notes.counter.append((round(self.now_s(), 3), self.program.counter_bytes()))

    def drive(self, load_s):
        """The requests, evenly over the time: at each tick those that are due, if it keeps up."""
        rate = self.program.requests / load_s
        begin_s = self.notes.load_from_s = self.now_s()
        next_tick_s = next_counter_s = begin_s
        while next_tick_s < begin_s + load_s:
            next_tick_s = max(next_tick_s + TICK_S, self.now_s())
            self.wait(next_tick_s)
            due = int((self.now_s() - begin_s) * rate)
            due = min(due, self.program.requests, self.notes.requests + int(rate) + 1)
            if due > self.notes.requests:
                self.program.load(range(self.notes.requests, due))
                self.notes.requests = due
            if self.now_s() >= next_counter_s:
                self.read_counter()
                next_counter_s += load_s / READINGS
        self.notes.load_to_s = self.now_s()
        self.read_counter()

    def rest(self, quiet_s):
        """Without load: what is garbage or borrowed may go now, a leak stays."""
        self.wait(self.now_s() + quiet_s)
        self.read_counter()
