"""Servers that cache up to a size that they are told."""

import http.server
import json
import os
import socket
import threading
import zlib

from program import Program, Web, free_port, only_child, output, patiently


def popular(random, number_of_keys):
    """A key as users ask for them: the k-th most popular one k times less often than the first."""
    return int(number_of_keys ** random.random())


class Memcached(Program):
    name = "memcached"
    mechanism = "popular keys, set when missed, up to -m 64"
    packages = ("memcached",)
    requests = 240_000
    keys = 1_000_000

    def command(self):
        self.port = free_port()
        return ["memcached", "-l", "127.0.0.1", "-p", str(self.port), "-m", "64"]

    def connect(self):
        address = ("127.0.0.1", self.port)
        self.connection = patiently(lambda: socket.create_connection(address, 60), OSError)
        self.stream = self.connection.makefile("rwb")

    def load(self, numbers):
        keys = {popular(self.random, self.keys) for _ in numbers}
        for key in keys - self.get(keys):
            value = os.urandom(self.random.randint(200, 2000))
            self.stream.write(b"set %d 0 0 %d noreply\r\n%s\r\n" % (key, len(value), value))
        self.stream.flush()

    def get(self, keys):
        self.send("get " + " ".join(map(str, keys)))
        hits = set()
        while (line := self.stream.readline()) != b"END\r\n":
            _, key, _, length = line.split()
            self.stream.read(int(length) + 2)
            hits.add(int(key))
        return hits

    def send(self, line):
        self.stream.write(line.encode() + b"\r\n")
        self.stream.flush()

    def stats(self, name, what=""):
        self.send("stats " + what if what else "stats")
        value = None
        while (line := self.stream.readline().split()) != [b"END"]:
            if line[1] == name:
                value = int(line[2])
        return value

    def counter_bytes(self):
        return self.stats(b"total_malloced", "slabs")

    def evidence(self):
        return f"{self.stats(b'evictions'):,} items evicted"


class Backend(http.server.BaseHTTPRequestHandler):
    """Whatever is asked for is there, and is 4 to 28 KiB long."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = os.urandom(4096 + zlib.crc32(self.path.encode()) % 24576)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Varnish(Program):
    name = "varnish"
    mechanism = "ever new pages, up to malloc,64M"
    packages = ("varnish",)
    requests = 14_000

    def prepare(self):
        self.backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        self.backend.daemon_threads = True
        threading.Thread(target=self.backend.serve_forever, daemon=True).start()

    def command(self):
        self.port = free_port()
        return ["varnishd", "-F", "-n", f"{self.folder}/varnish", "-a", f"127.0.0.1:{self.port}",
                "-b", f"127.0.0.1:{self.backend.server_port}", "-s", "malloc,64M", "-t", "86400"]

    def connect(self):
        self.web = Web(self.port)

    def pid(self):
        """The manager's child, which holds the cache."""
        return only_child(super().pid())

    def load(self, numbers):
        for number in numbers:
            self.web.get(f"/{number}")

    def stats(self, name):
        answer = json.loads(output("varnishstat", "-n", f"{self.folder}/varnish", "-j"))
        return answer.get("counters", answer)[name]["value"]

    def counter_bytes(self):
        return self.stats("SMA.s0.g_bytes")

    def evidence(self):
        return f"{self.stats('MAIN.n_lru_nuked'):,} pages evicted"

    def stop(self):
        super().stop()
        self.backend.shutdown()
        self.backend.server_close()
