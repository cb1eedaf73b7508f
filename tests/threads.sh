#!/bin/sh
# Records programs with a memwatch that was built with the thread sanitizer, which ends it with an error
# where two threads touch the same memory without order.
#
#   sh tests/threads.sh MEMWATCH
set -eu

memwatch=$(realpath "$1")
programs=$(realpath "$(dirname "$0")/programs")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

record() {
    "$memwatch" run -q "$@" || { echo "failed: memwatch run $*" >&2; exit 1; }
}

record -i 0.001 python3 "$programs/mem.py"
record -i 20us sleep 1
record -i 0.001 sh -c 'for i in $(seq 200); do /bin/true; done'
record -i 0.001 -d 0.2 sh -c 'sleep 0.5'
record -i 0.001 --children sum sh -c 'sleep 0.2 & sleep 0.3'
record -i 0.001 -o same.db sleep 0.3
record -i 0.001 -o same.db sleep 0.3
sleep 2 &
record_attached() { "$memwatch" attach -q "$@" || { echo "failed: memwatch attach $*" >&2; exit 1; }; }
record_attached -i 0.001 -d 0.5 --max-rss 1G --peak-window 5ms $!
sh -c 'for i in $(seq 50); do sleep 0.02; done' &
record_attached -i 0.001 $!
