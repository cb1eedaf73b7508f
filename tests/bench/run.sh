#!/bin/sh
# Prints memwatch's figures as Markdown tables, each beside its baseline of the same run.
#
#   sh tests/bench/run.sh [--quick] [cost|capture|functions|attach|keep]…     nothing named: all
#
# cost: processor time, memory, file size, seconds for a picture. capture: ticks, lateness, what being
# recorded costs the target, and how much of the truth is in the record. Each takes about 8 minutes.
# functions: what marked functions of Python and C cost; about 4 minutes. attach: what being attached
# to costs a server (redis-server and redis-benchmark from PATH); about 5. keep: a simulated month, and
# what giving up old samples costs; about 20. With --quick all five take five, on a smaller amount of
# work that the tables name.
#
# Measures the memwatch of PATH, or $MEMWATCH. Needs a C compiler ($CC or cc), SQLite's header and python3;
# mprof (Debian: python3-memory-profiler and python3-matplotlib) and uftrace for what is compared with
# them. Exits with 0 whatever the figures are; with 1 when one could not be measured.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/memwatch-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build() {
    "${CC:-cc}" -O2 -Wall -Wextra "$@"
}
build -o "$folder/bare_loop" "$here/bare_loop.c"
build -o "$folder/target" "$here/../programs/bench_target.c"
build -o "$folder/known_memory" "$here/../programs/known_memory.c"
build -D_GNU_SOURCE -I"$here/../../lib" -o "$folder/bench_calls" "$here/../programs/bench_calls.c"
build -D_GNU_SOURCE -I"$here/../../lib" -DMEMWATCH_DISABLE -pg -o "$folder/bench_calls_traced" \
    "$here/../programs/bench_calls.c"
sh "$here/../../lib/store/embed.sh" "$here/../../lib/store/schema.sql" >"$folder/schema.sql.h"
build -std=gnu17 -D_GNU_SOURCE -I"$here/../../lib" -I"$folder" -o "$folder/month" "$here/month.c" \
    "$here"/../../lib/store/*.c "$here"/../../lib/util/*.c -lsqlite3 -lm
build -shared -fPIC -o "$folder/count_allocations.so" "$here/count_allocations.c"

python3 "$here/bench.py" --folder "$folder" "$@"
