"""Measures memwatch and its baselines in turns, and prints Markdown tables. Called by run.sh."""

import argparse
import os
import sys
import time

import attach
import capture
import cost
import functions
import keep
from recorders import Recorders
from table import machine

GROUPS = {"cost": cost, "capture": capture, "functions": functions, "attach": attach,
          "keep": keep}


def parse():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute, on less work")
    parser.add_argument("--folder", required=True, help=argparse.SUPPRESS)
    parser.add_argument("groups", nargs="*", metavar="|".join(GROUPS),
                        help="what to measure; nothing named: all")
    options = parser.parse_args()
    for name in options.groups:
        if name not in GROUPS:
            parser.error(f"there is no group {name}")
    return options


def main():
    options = parse()
    recorders = Recorders(options.folder)
    if not recorders.memwatch_path:
        sys.exit("bench: there is no memwatch in PATH: install it, or set MEMWATCH")

    load = os.getloadavg()[0]
    results = [GROUPS[name].measure(recorders, options.quick)
               for name in options.groups or GROUPS]
    print(f"{time.strftime('%Y-%m-%d')}; {machine()}; load {load:.1f} at the start"
          f" and {os.getloadavg()[0]:.1f} at the end")
    for table, before, after in results:
        print(f"\n{before}\n")
        table.print()
        print(f"\n{after}")
    return 1 if any(table.missing for table, _, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
