#!/bin/sh
# Judges the whole corpus, by memwatch and by what it is compared with, and writes RESULTS.md and its
# plots anew. Takes about 8 minutes on two cores.
#
#   sh tests/corpus/run.sh [COUNT]     so many traces of each class in each half (default: 300)
#
# Needs what memwatch is built with, python3 and gnuplot.
set -eu

count=${1:-300}
cd "$(dirname "$0")/../.."
build=$PWD/build-tests/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -f "$build/build.ninja" ] || meson setup --buildtype=release "$build" >"$work/log" || {
    cat "$work/log"
    exit 1
}
ninja -C "$build" tests/corpus/evaluate >"$work/log" || {
    cat "$work/log"
    exit 1
}
for half in development test; do
    "$build/tests/corpus/evaluate" "$half" "$count" >"$work/$half.tsv"
done
python3 tests/corpus/report.py "$work/development.tsv" "$work/test.tsv" tests/corpus
