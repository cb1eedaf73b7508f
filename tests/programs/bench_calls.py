"""Calls functions for the benchmarks, and prints what that took, as JSON.

    bench_calls.py marked CALLS [BATCH]   an empty function that has @profile
    bench_calls.py floored CALLS    same, after an earlier program of this process had 300 MB
    bench_calls.py plain CALLS      an empty function without a decorator
    bench_calls.py marked-apart|plain-apart CALLS   a function that works for about a
                                    microsecond, as does its caller between two calls
    bench_calls.py quiet ROUNDS     work of many small functions; raising: that raise exceptions
    bench_calls.py start [marked]   nothing, or one call of a function that has @profile
"""

import time

AT_FIRST_NS = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

import os  # noqa: E402 (what is above comes first)
import sys  # noqa: E402

ROUND = 300


def report(**figures):
    """As the module json would, which would be part of what is measured."""
    print("{" + ", ".join(f'"{name}": {value}' for name, value in figures.items()) + "}", flush=True)


# --- calls of an empty function ---------------------------------------------------------------


def empty():
    pass


def works():
    sum(range(200))


def apart(function):
    def calls_and_works():
        function()
        works()
    return calls_and_works


def call(function, calls, batch=100):
    """The whole time has waits for the recorder and for a CPU in it; the batch in the middle is what
    calls take without that."""
    batches = [0] * (calls // batch)
    now = time.perf_counter_ns
    begin = last = now()
    for number in range(len(batches)):
        for _ in range(batch):
            function()
        at = now()
        batches[number] = at - last
        last = at
    batches.sort()
    report(call_ns=batches[len(batches) // 2] / batch, all_ns=last - begin)


def exec_after_much_memory():
    memory = bytearray(300_000_000)
    for at in range(0, len(memory), 4096):
        memory[at] = 1
    os.execv(sys.executable, [sys.executable, __file__, "marked", *sys.argv[2:]])


# --- a program of many functions --------------------------------------------------------------


def traced():
    """The one that --trace names."""


def weigh(word):
    return len(word) + word.count("e")


def look_up(counts, word):
    return counts.get(word, 0)


def look_up_or_fail(counts, word):
    try:
        return fetch(counts, word)
    except KeyError:
        return 0


def fetch(counts, word):
    return counts[word]


def count_words(words, look):
    counts = {}
    for word in words:
        counts[word] = look(counts, word) + weigh(word)
    return sum(counts.values())


def work(look, rounds):
    traced()
    # Half of the words are new.
    words = [f"word{number % (ROUND // 2)}" for number in range(ROUND)]
    best_ns = None
    for _ in range(rounds):
        begin = time.thread_time_ns()
        count_words(words, look)
        took_ns = time.thread_time_ns() - begin
        best_ns = min(best_ns or took_ns, took_ns)
    report(round_ns=best_ns)


# --- the start --------------------------------------------------------------------------------


def start(is_marked):
    at_ns = AT_FIRST_NS
    if is_marked:
        profile(empty)()  # noqa: F821 (a builtin below memwatch run)
        at_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        rss_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    report(start_ns=at_ns - int(os.environ["BENCH_EXEC_NS"]), rss_bytes=rss_kib * 1024)


def main():
    kind, *rest = sys.argv[1:]
    if kind == "marked":
        call(profile(empty), *map(int, rest))  # noqa: F821
    elif kind == "marked-apart":
        call(apart(profile(works)), int(rest[0]))  # noqa: F821
    elif kind == "plain-apart":
        call(apart(works), int(rest[0]))
    elif kind == "floored":
        exec_after_much_memory()
    elif kind == "plain":
        call(empty, int(rest[0]))
    elif kind == "start":
        start(bool(rest))
    else:
        work(look_up if kind == "quiet" else look_up_or_fail, int(rest[0]))


if __name__ == "__main__":
    main()
