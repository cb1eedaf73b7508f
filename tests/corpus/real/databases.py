"""PostgreSQL and redis, each with a client that leaves something behind, and one that does not."""

import glob
import os

from program import Failed, Program, as_nobody, ask, free_port, output, patiently

QUERY = (
    "SELECT c.relname, a.attname, t.typname FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid"
    " WHERE c.oid = $1 LIMIT 1"
)


class PostgreSQL(Program):
    """A session that prepares statements of ever new names."""

    packages = ("postgresql",)
    requests = 1500

    def prepare(self):
        self.folder_of_programs = max(glob.glob("/usr/lib/postgresql/*/bin"))
        output(*as_nobody([f"{self.folder_of_programs}/initdb", "-D", "data", "-U", "memwatch",
                           "-A", "trust", "--no-sync"]), cwd=self.folder)

    def command(self):
        return [f"{self.folder_of_programs}/postgres", "-D", "data",
                "-c", "listen_addresses=", "-k", self.folder, "-c", "shared_buffers=16MB"]

    def connect(self):
        words = ["psql", "-XAtq", "-h", self.folder, "-U", "memwatch", "postgres"]
        patiently(lambda: output(*words, "-c", "SELECT 1"), Failed)
        self.session = self.client(*words)
        self.backend = int(ask(self.session, "SELECT pg_backend_pid();")[0])

    def pid(self):
        return self.backend

    def load(self, numbers):
        for number in numbers:
            ask(self.session, f"PREPARE p{number} AS {QUERY};"
                f" EXECUTE p{number}(1259);{self.after(number)}")

    def after(self, number):
        raise NotImplementedError

    def counter_bytes(self):
        return int(ask(self.session, "SELECT sum(total_bytes) FROM pg_backend_memory_contexts;")[0])

    def evidence(self):
        kept = ask(self.session, "SELECT count(*) FROM pg_prepared_statements;")[0]
        return f"{int(kept):,} prepared statements"


class PostgreSQLPrepare(PostgreSQL):
    name = "postgres-prepare"
    mechanism = "ever new PREPARE in one session"
    leaks = True

    def after(self, number):
        return ""


class PostgreSQLDeallocate(PostgreSQL):
    name = "postgres-deallocate"
    mechanism = "the same, each with DEALLOCATE"

    def after(self, number):
        return f" DEALLOCATE p{number};"


class Redis(Program):
    packages = ("redis-server", "redis-tools")
    options = ()

    def command(self):
        self.port = free_port()
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
                "--dir", self.folder, *self.options]

    def connect(self):
        words = ["redis-cli", "-p", str(self.port)]
        patiently(lambda: output(*words, "-e", "PING"), Failed)
        self.session = self.client(*words)

    def info(self, *names):
        lines = output("redis-cli", "-p", str(self.port), "INFO", "everything").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        return sum(int(facts[name]) for name in names)


class RedisEval(Redis):
    """Scripts are kept until SCRIPT FLUSH."""

    requests = 60_000

    def load(self, numbers):
        ask(self.session, *(f"EVAL \"{self.script(number)}\" 1 key" for number in numbers))

    def script(self, number):
        raise NotImplementedError

    def counter_bytes(self):
        return self.info("used_memory_vm_eval", "used_memory_scripts_eval")

    def evidence(self):
        return f"{self.info('number_of_cached_scripts'):,} scripts kept"


class RedisEvalUnique(RedisEval):
    name = "redis-eval-unique"
    mechanism = "ever new EVAL scripts"
    leaks = True

    def script(self, number):
        return f"return (tonumber(redis.call('GET', KEYS[1])) or 0) + {number}"


class RedisEvalConstant(RedisEval):
    name = "redis-eval-constant"
    mechanism = "one EVAL script, again and again"

    def script(self, number):
        return "return (tonumber(redis.call('GET', KEYS[1])) or 0) + 1"


class RedisLRU(Redis):
    name = "redis-lru"
    mechanism = "new keys up to maxmemory 64mb, allkeys-lru"
    requests = 100_000
    options = ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")

    def load(self, numbers):
        ask(self.session, *(f"SET key:{number} {os.urandom(self.random.randint(100, 1000)).hex()}"
                            for number in numbers))

    def counter_bytes(self):
        return self.info("used_memory")

    def evidence(self):
        return f"{self.info('evicted_keys'):,} keys evicted"
