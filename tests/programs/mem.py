"""The classic example: make 100 lists, delete 50, make 100 more."""

import time


def make(count):
    lists = []
    for _ in range(count):
        lists.append([0] * 50_000)
        time.sleep(0.005)
    return lists


first = make(100)
del first[:50]
time.sleep(0.2)
second = make(100)
time.sleep(0.2)
