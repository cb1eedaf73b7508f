"""Writes equal recordings in the formats of memwatch and of mprof, for reading and for size."""

import shutil
import sqlite3

# As in lib/store/writer_processes.c: a series that gets longer goes on in the next row of the table series.
LONGEST_SERIES_US = 2**31 - 1

BASE_KIB = 100_000

# A value that changes each time, 80 MB up and down, slowly rising; the same in both formats.
KIB_SQL = "{base_kib} + i * 7919 % 5003 * 4 + i * 60000 / {count}"


def kib(i, count):
    return BASE_KIB + i * 7919 % 5003 * 4 + i * 60000 // count


def write_memwatch(path, template, count, interval_us, base_kib=BASE_KIB):
    """Turns a copy of a real recording of one process into one of count values of rss, each of
    which differs from the one before."""
    shutil.copyfile(template, path)
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
    end_us = count * interval_us
    database.execute(
        "UPDATE run SET duration_us = ?1, interval_us = ?2, ticks_due = ?3, ticks_taken = ?3,"
        " ticks_missed = 0, peak_kib = ?4, peak_from_us = ?1, peak_to_us = ?1",
        (end_us, interval_us, count, base_kib + 80_000),
    )
    database.execute("UPDATE process SET end_us = ?", (end_us,))
    for table in ("sample", "series", "gap", "rollup", "rollup_series", "level"):
        database.execute(f"DELETE FROM {table}")
    write_samples(database, count, interval_us, base_kib)
    database.execute("COMMIT")
    database.close()


def write_samples(database, count, interval_us, base_kib):
    value = KIB_SQL.format(base_kib=base_kib, count=count)
    values_a_series = LONGEST_SERIES_US // interval_us + 1
    for first in range(0, count, values_a_series):
        last = min(first + values_a_series, count) - 1
        series = database.execute(
            "INSERT INTO series (run, process, metric, since_us)"
            " SELECT run, id, 'rss', ? FROM process",
            (first * interval_us,),
        ).lastrowid
        database.execute(
            "WITH RECURSIVE tick (i) AS"
            " (VALUES (?1) UNION ALL SELECT i + 1 FROM tick WHERE i < ?2)"
            " INSERT INTO sample (series, dt_us, kib)"
            f" SELECT ?3, (i - ?1) * ?4, {value} FROM tick",
            (first, last, series, interval_us),
        )


def write_mprof(path, count, interval_us):
    with open(path, "w", encoding="ascii") as file:
        file.write("CMDLINE bench\n")
        file.writelines(
            f"MEM {kib(i, count) / 1024:.6f} {1700000000 + i * interval_us / 1e6:.4f}\n"
            for i in range(count)
        )


def sample_count(path):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    count = database.execute("SELECT count(*) FROM sample").fetchone()[0]
    database.close()
    return count


def scan(path):
    """Steps through all samples of a recording and does next to nothing with them."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    database.execute("SELECT max(kib), max(dt_us) FROM sample").fetchone()
    database.close()
