"""Runs real programs side by side under memwatch, and judges them: run.sh says how."""

import argparse
import os
import shutil
import signal
import sys
import threading
import time

from caches import Memcached, Varnish
from databases import (
    PostgreSQLDeallocate, PostgreSQLPrepare, RedisEvalConstant, RedisEvalUnique, RedisLRU,
)
from judge import print_table
from record import Ended, Recording
from runtimes import Glibc, Java, NodeArray, NodeGarbage, PythonCache, PythonLRU

PROGRAMS = (
    PostgreSQLPrepare, PostgreSQLDeallocate, RedisEvalUnique, RedisEvalConstant, RedisLRU,
    Memcached, Varnish, Java, NodeArray, NodeGarbage, Glibc, PythonCache, PythonLRU,
)


def progress(text):
    print(f"real: {text}", file=sys.stderr, flush=True)


def record_one(kind, options, ending, failed):
    program = kind()
    try:
        load_s = options.minutes * 60
        recording = Recording(program, options.memwatch, options.output, ending)
        recording.run(load_s, load_s / 10)
        progress(f"{kind.name} is recorded, with {recording.notes.requests:,} of"
                 f" {kind.requests:,} requests")
    except Ended:
        pass
    except Exception as error:  # one program's failure is no other's
        failed.append(kind.name)
        progress(f"{kind.name}: {type(error).__name__}: {error}\n{program.errors()}")
    finally:
        program.clear()


def record_all(kinds, options):
    """Records them side by side; returns the names of those that could not be. Ctrl-C ends all."""
    os.makedirs(options.output, exist_ok=True)
    ending = threading.Event()
    failed = []
    threads = [threading.Thread(target=record_one, args=(kind, options, ending, failed))
               for kind in kinds]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for thread in threads:
            thread.start()
            time.sleep(0.5)  # they start one after another, for starting is what costs
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        ending.set()
        progress("ending all programs")
        for thread in threads:
            if thread.ident:
                thread.join()
        sys.exit(130)
    return failed


def parse_arguments():
    parser = argparse.ArgumentParser(prog="run.sh", description="Real programs under memwatch.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which programs (default: all)")
    parser.add_argument("-o", "--output", metavar="FOLDER", default="build-tests/real",
                        help="where recordings are kept (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=10,
                        help="of load; a tenth more without it follows (default: %(default)s)")
    parser.add_argument("--judge", action="store_true", help="what FOLDER has, without recording")
    parser.add_argument("--packages", action="store_true", help="print what is needed of Debian")
    options = parser.parse_args()
    known = {kind.name: kind for kind in PROGRAMS}
    for name in options.names:
        if name not in known:
            parser.error(f"there is no {name}; there are {' '.join(known)}")
    if not options.minutes > 0:
        parser.error("--minutes must be above 0")
    options.kinds = [known[name] for name in options.names] or list(PROGRAMS)
    options.memwatch = shutil.which(os.environ.get("MEMWATCH", "memwatch"))
    return options


def main():
    options = parse_arguments()
    if options.packages:
        print(*sorted({package for kind in options.kinds for package in kind.packages}))
        return 0
    if not options.memwatch:
        progress("there is no memwatch: install it, or name one in MEMWATCH")
        return 1
    options.memwatch = os.path.abspath(options.memwatch)
    options.output = os.path.abspath(options.output)
    failed = [] if options.judge else record_all(options.kinds, options)
    all_right = print_table(options.kinds, options.memwatch, options.output)
    return 0 if all_right and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
