"""Loads two tables, cleans and joins them, as many scripts do."""

import time

MIB = 1 << 20


@profile
def load(mib):
    table = bytearray()
    for _ in range(mib):
        table += b"x" * MIB
        time.sleep(0.004)
    return table


@profile
def clean(table):
    copy = bytearray(table)
    time.sleep(0.15)
    return copy[:len(table) // 2]


@profile
def join(left, right):
    joined = left + right
    time.sleep(0.2)
    return len(joined)


@profile
def report():
    customers = clean(load(70))
    orders = clean(load(100))
    return join(customers, orders)


report()
