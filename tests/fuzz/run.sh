#!/bin/sh
# Builds the fuzz targets with clang and the sanitizers, and lets each look for mistakes.
#
#     run.sh SECONDS      for each target
#
# Quiet when well; else what libFuzzer said, and where the input is that shows the mistake.
set -eu

seconds=${1:?"usage: run.sh SECONDS"}
cd "$(dirname "$0")/../.."
build=$PWD/build-tests/fuzz
targets='csv parse procfs reader text'

if ! command -v clang >/dev/null; then
    echo 'skipped: fuzz targets need clang'
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

quietly() {
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log"
        return 1
    }
}

# What libFuzzer does with its corpus needs the library instrumented as the target is.
[ -f "$build/build.ninja" ] ||
    CC=clang quietly meson setup -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args=-fsanitize=fuzzer-no-link -Dbuildtype=debugoptimized "$build"
quietly ninja -C "$build" $(printf 'tests/fuzz/fuzz_%s ' $targets)

for target in $targets; do
    mkdir "$work/$target"
done
for seed in 0.001 10ms 5m 1.5GiB 200M 2,5.5 1e400 nan 0x10 rss 10M/h 1.5K/30s 5% "a 'b c'"; do
    printf '%s' "$seed" >"$work/parse/${seed%/*}-${seed#*/}"
done
for file in statm stat smaps_rollup smaps; do
    for choice in 0 1 2 3 4; do # the first byte chooses the parser
        { printf '%s' "$choice"; cat "/proc/self/$file"; } >"$work/procfs/$file$choice"
    done
done
{ printf 4; cat /proc/self/limits; } >"$work/procfs/limits"
{ printf 5; cat /proc/self/mountinfo /proc/self/cgroup; } >"$work/procfs/cgroup"
printf '212 345 2147483647 ' >"$work/procfs/children"
printf 'a b\033[31m\342\200\256\360\237\230\200\377' >"$work/text/mixed"
printf 'time_s,rss_bytes,shared_bytes,swap_bytes\n0,4096,1024,0\n1.5e0,8192,0,12\n' >"$work/csv/four"
printf 'time_s,rss_bytes\n0,NaN\n-1,2\n1,9223372036854775808\n' >"$work/csv/two"
"$build/tests/fuzz/fuzz_reader" --seed "$work/reader/small.db"

# The working folder of the targets, which write a file of their own.
cd "$work"
status=0
for target in $targets; do
    artifacts=$build/found-$target-
    if ! quietly "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 \
        -max_len=65536 -artifact_prefix="$artifacts" "$work/$target"; then
        status=1
    fi
done
exit $status
