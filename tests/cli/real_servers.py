"""Servers from Debian's packages, on loopback: attached to, followed, limited, and left alone.

Not among the ordinary tests, for the packages are large: `sh tests/run.sh --real` installs and runs.
"""

import glob
import http.client
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from attached import Attached, events
from conftest import is_alive, process_of, processes_of, wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(name, *elsewhere):
    """A program, or a failure: these tests are asked for where the packages are."""
    found = shutil.which(name) or next((path for pattern in elsewhere
                                        for path in sorted(glob.glob(pattern))), None)
    assert found, f"{name} is not installed"
    return found


class Server:
    """A server that a test starts, uses and ends."""

    user = None

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.port = free_port()
        self.process = None
        self.prepare()

    def prepare(self):
        """What has to be done once."""

    def command(self):
        raise NotImplementedError

    def use(self):
        """Has it answer once; fails when it does not."""
        raise NotImplementedError

    def grow(self):
        """Makes it need some 60 MiB more."""
        raise NotImplementedError

    def start(self):
        with open(self.path / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.path, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, user=self.user)

        def answers():
            assert self.process.poll() is None, (self.path / "log").read_text()
            try:
                self.use()
                return True
            except (OSError, http.client.HTTPException, subprocess.CalledProcessError):
                return False
        wait_until(answers, f"{self.command()} answers")
        return self.process.pid

    @property
    def pid(self):
        return self.process.pid

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def rss(self):
        """Of all its processes, in bytes."""
        pids = [self.pid]
        for pid in pids:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
            pids += map(int, children.read_text().split())
        return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) \
            * os.sysconf("SC_PAGESIZE")


class Http(Server):
    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (path, answer.status, body)
            return body
        finally:
            connection.close()

    def use(self):
        self.get("/")


class Redis(Server):
    def command(self):
        return [find("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                "--dir", str(self.path)]

    def ask(self, *words):
        return subprocess.run([find("redis-cli"), "-p", str(self.port), *words], check=True,
                              capture_output=True, text=True, timeout=60).stdout

    def use(self):
        if self.ask("ping") != "PONG\n":
            raise OSError("no answer")

    def grow(self):
        self.ask("eval", "for i = 1, 600 do redis.call('set', 'k' .. i, string.rep('x', 100000)) end",
                 "0")


class Postgres(Server):
    user = "postgres" if os.geteuid() == 0 else None
    where = "/usr/lib/postgresql/*/bin/"

    def prepare(self):
        if self.user:
            os.chown(self.path, pwd.getpwnam(self.user).pw_uid, -1)
        subprocess.run([find("initdb", self.where + "initdb"), "-D", "data", "-A", "trust", "-N"],
                       cwd=self.path, check=True, capture_output=True, user=self.user)

    def command(self):
        return [find("postgres", self.where + "postgres"), "-D", str(self.path / "data"), "-p",
                str(self.port), "-c", "listen_addresses=127.0.0.1",
                "-c", "unix_socket_directories="]

    def psql(self, sql):
        return [find("psql", self.where + "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-X",
                "-U", "postgres" if self.user else pwd.getpwuid(os.geteuid()).pw_name,
                "-d", "postgres", "-tAc", sql]

    def ask(self, sql):
        return subprocess.run(self.psql(sql), check=True, capture_output=True, text=True,
                              timeout=60).stdout

    def use(self):
        assert self.ask("SELECT 41 + 1") == "42\n"

    def grow(self):
        self.ask("SET work_mem = '200MB';"
                 " SELECT count(*), pg_sleep(1) FROM (SELECT g, repeat('x', 500) AS t FROM"
                 " generate_series(1, 200000) g ORDER BY t, g DESC) sorted")

    def stop(self, number=signal.SIGINT):
        super().stop(number)


class Nginx(Http):
    def prepare(self):
        (self.path / "html").mkdir()
        (self.path / "html" / "index.html").write_text("hello")
        os.chmod(self.path, 0o755)
        self.configure(workers=3)

    def configure(self, workers, buffers=""):
        user = "user root;" if os.geteuid() == 0 else ""
        (self.path / "nginx.conf").write_text(
            f"{user} daemon off; worker_processes {workers}; pid {self.path}/nginx.pid;\n"
            f"error_log {self.path}/error.log;\nevents {{ worker_connections 64; }}\n"
            f"http {{ access_log off; {buffers}\n"
            f" server {{ listen 127.0.0.1:{self.port}; root {self.path}/html; }} }}\n")

    def command(self):
        return [find("nginx", "/usr/sbin/nginx"), "-p", str(self.path), "-c",
                str(self.path / "nginx.conf")]

    def workers(self):
        path = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return sorted(map(int, path.read_text().split()))

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def grow(self):
        """A reload with another configuration: workers with large tables, beside the old ones."""
        self.configure(workers=8, buffers="server_names_hash_max_size 4194304;"
                                          " map_hash_max_size 4194304;"
                                          " variables_hash_max_size 4194304;")
        self.reload()


class PythonServer(Http):
    def prepare(self):
        (self.path / "server.py").write_text(
            "import http.server, sys\nkept = []\n"
            "class Handler(http.server.BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        if self.path == '/grow': kept.append(b'x' * (60 << 20))\n"
            "        self.send_response(200); self.end_headers(); self.wfile.write(b'hello')\n"
            "    def log_message(self, *_): pass\n"
            "http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)"
            ".serve_forever()\n")

    def command(self):
        return [sys.executable, str(self.path / "server.py"), str(self.port)]

    def grow(self):
        self.get("/grow")


class Node(Http):
    def prepare(self):
        (self.path / "server.js").write_text(
            "const kept = [];\n"
            "require('http').createServer((question, answer) => {\n"
            "  if (question.url === '/grow') kept.push(Buffer.alloc(60 << 20, 'x'));\n"
            "  answer.end('hello');\n"
            "}).listen(Number(process.argv[2]), '127.0.0.1');\n")

    def command(self):
        return [find("node", "/usr/bin/nodejs"), str(self.path / "server.js"), str(self.port)]

    def grow(self):
        self.get("/grow")


SERVERS = [Redis, Postgres, Nginx, PythonServer, Node]


@pytest.fixture
def start(open_folder):
    """Starts a server in a folder of its own."""
    started = []

    def start_one(kind):
        path = open_folder / f"server{len(started)}"
        path.mkdir()
        started.append(kind(path))
        started[-1].start()
        return started[-1]
    yield start_one
    for server in started:
        server.stop()


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.__name__.lower())
def server(request, start):
    return start(request.param)


def test_a_server_that_is_used_is_recorded_and_left_as_it_was(folder, server):
    with Attached(folder, server.pid, options=("-q", "-i", "10ms")) as attached:
        attached.see_memory(server.pid)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            server.use()
        run, errors = attached.finish(signal.SIGINT)
    assert errors == ""
    assert run["processes"][0]["pid"] == server.pid and run["processes"][0]["end_s"] is None
    assert run["recorder"]["dropped_records"] == run["recorder"]["lost_events"] == 0
    assert process_of(run, server.pid)["peak"]["bytes"] > 1 << 20
    assert is_alive(server.pid)
    server.use()


def test_a_server_that_is_restarted_is_followed(folder, server):
    first = server.pid
    with Attached(folder, "--follow", first, options=("-q", "-i", "10ms")) as attached:
        attached.see_memory(first)
        server.stop()
        second = server.start()
        attached.see_memory(second)
        server.use()
        run, errors = attached.finish(signal.SIGTERM)
    assert errors == ""
    assert process_of(run, first)["end_s"] <= process_of(run, second)["start_s"]
    assert [event["pid"] for event in events(run, "restarted")] == [second]
    server.use()


def test_a_limit_that_a_server_crosses_is_told(folder, server):
    limit = server.rss() + (20 << 20) // (4 if isinstance(server, Nginx) else 1)
    with Attached(folder, "--max-rss", str(limit), server.pid, options=("-q", "-i", "10ms")) \
            as attached:
        attached.see_memory(server.pid)
        server.grow()
        attached.see("SELECT 1 FROM event WHERE kind = 'limit'")
        run, errors = attached.finish(signal.SIGINT, status=3)
    assert "max-rss" in errors
    assert events(run, "limit")[0]["value"] > limit
    server.use()


def test_an_end_of_a_server_is_that_of_the_recording(folder, server):
    with Attached(folder, server.pid, options=("-q", "-i", "10ms")) as attached:
        attached.see_memory(server.pid)
        server.stop()
        run, errors = attached.finish()
    assert errors == ""
    assert run["end"] in ("exited", "signaled")
    if run["recorder"]["tracking"] == "connector":
        code = server.process.returncode
        assert (run["exit_status"], run["exit_signal"]) == \
            ((code, None) if code >= 0 else (None, -code))


def test_each_backend_of_postgres_is_recorded(folder, start):
    server = start(Postgres)
    with Attached(folder, server.pid, options=("-q", "-i", "10ms")) as attached:
        attached.see_memory(server.pid)
        clients = [subprocess.Popen(server.psql(f"SELECT pg_sleep({2 + i / 100})"),
                                    stdout=subprocess.DEVNULL) for i in range(30)]
        backends = server.ask("SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%'"
                              " AND pid <> pg_backend_pid()").split()
        for client in clients:
            assert client.wait(60) == 0
        for pid in backends:
            attached.see("SELECT 1 FROM process WHERE pid = ? AND end_us IS NOT NULL", int(pid))
        run, _ = attached.finish(signal.SIGINT)
    assert len(backends) > 0
    for pid in backends:
        backend = process_of(run, pid)
        assert backend["ppid"] == server.pid and backend["peak"]["bytes"] > 1 << 20
        assert "postgres" in backend["command"][0]
    assert sum(process["ppid"] == server.pid for process in run["processes"]) >= 35


def test_nginx_is_found_by_its_pidfile_and_its_workers_come_and_go(folder, start):
    server = start(Nginx)
    before = server.workers()
    with Attached(folder, "--pidfile", server.path / "nginx.pid", options=("-q", "-i", "10ms")) \
            as attached:
        for pid in before:
            attached.see_memory(pid)
        server.reload()
        wait_until(lambda: len(server.workers()) == 3 and not set(before) & set(server.workers()),
                   "it has other workers")
        after = server.workers()
        for pid in after:
            attached.see_memory(pid)
        for pid in before:
            attached.see("SELECT 1 FROM process WHERE pid = ? AND end_us IS NOT NULL", pid)
        server.use()
        run, _ = attached.finish(signal.SIGINT)
    assert run["processes"][0]["pid"] == server.pid
    for pid in before + after:
        assert process_of(run, pid)["ppid"] == server.pid
    if run["recorder"]["tracking"] == "connector":
        assert [process_of(run, pid)["exit_status"] for pid in before] == [0, 0, 0]


def test_two_servers_of_a_name_are_told_apart_and_taken_together(folder, start):
    one, two = start(Redis), start(Redis)
    result = folder.call("attach", "redis-server")
    assert result.returncode == 1
    assert str(one.pid).encode() in result.stderr and str(two.pid).encode() in result.stderr
    with Attached(folder, "--all", "redis-server", options=("-q", "-i", "10ms")) as attached:
        attached.see_memory(one.pid)
        attached.see_memory(two.pid)
        run, _ = attached.finish(signal.SIGINT)
    assert processes_of(run, one.pid) and processes_of(run, two.pid)


def test_redis_that_forks_to_save_is_recorded_with_its_child(folder, start):
    server = start(Redis)
    server.grow()
    with Attached(folder, server.pid, options=("-q", "-i", "10ms")) as attached:
        attached.see_memory(server.pid)
        server.ask("bgsave")
        attached.see("SELECT 1 FROM process WHERE end_us IS NOT NULL")
        run, _ = attached.finish(signal.SIGINT)
    child = run["processes"][1]
    assert child["ppid"] == server.pid
    assert child["peak"] is None or child["peak"]["bytes"] > 1 << 20
    server.use()
