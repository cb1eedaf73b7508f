"""Programs of ours on runtimes that manage memory in their own way.

Those in C, Java and JavaScript answer each line, a number, with what their allocator has in use.
"""

import os
import shutil

from caches import popular
from program import HERE, Program, Web, as_nobody, ask, free_port, give_away, output


class Runtime(Program):
    source = ""

    def prepare(self):
        """Takes the source to where a user without rights may read it."""
        give_away(shutil.copy(os.path.join(HERE, self.source), self.folder))

    def load(self, numbers):
        for _ in numbers:
            ask(self.process, str(self.size()))

    def size(self):
        raise NotImplementedError

    def connect(self):
        self.counter_bytes()

    def counter_bytes(self):
        return int(ask(self.process, "0")[0])


class Java(Runtime):
    name = "java-garbage"
    mechanism = "garbage alone, -Xmx256m"
    packages = ("default-jdk-headless",)
    source = "Garbage.java"

    def prepare(self):
        super().prepare()
        output(*as_nobody(["javac", self.source]), cwd=self.folder)

    def command(self):
        return ["java", "-Xmx256m", "-cp", ".", "Garbage"]

    def size(self):
        return self.random.randint(100_000, 900_000)


class Node(Runtime):
    packages = ("nodejs",)
    source = "records.js"


class NodeArray(Node):
    name = "node-array"
    mechanism = "an array that grows"
    leaks = True

    def command(self):
        return ["node", self.source, "keep"]

    def size(self):
        return self.random.randint(10, 90)


class NodeGarbage(Node):
    name = "node-garbage"
    mechanism = "the same objects, dropped"

    def command(self):
        return ["node", self.source]

    def size(self):
        return self.random.randint(200, 1800)


class Glibc(Runtime):
    name = "glibc-burst"
    mechanism = "bursts of threads, each with an arena"
    packages = ("gcc", "libc6-dev")
    source = "burst.c"
    requests = 60

    def prepare(self):
        super().prepare()
        output(*as_nobody(["cc", "-O2", "-pthread", "-o", "burst", self.source]), cwd=self.folder)

    def command(self):
        return ["./burst"]

    def size(self):
        return self.random.randint(2, 32)


class Python(Runtime):
    packages = ("python3",)
    source = "pages.py"
    requests = 24_000
    cache = ()

    def command(self):
        self.port = free_port()
        return ["/usr/bin/python3", self.source, str(self.port), *self.cache]

    def connect(self):
        self.web = Web(self.port)

    def counter_bytes(self):
        return int(self.web.get("/bytes"))

    def evidence(self):
        return f"{int(self.web.get('/count')):,} pages in the cache"


class PythonCache(Python):
    name = "python-cache"
    mechanism = "a cache of the module, without bound"
    leaks = True

    def load(self, numbers):
        for number in numbers:
            self.web.get(f"/page/{number}")


class PythonLRU(Python):
    name = "python-lru"
    mechanism = "popular pages, lru_cache(5000)"
    cache = ("5000",)

    def load(self, numbers):
        for _ in numbers:
            self.web.get(f"/page/{popular(self.random, 100_000)}")
