#!/bin/sh
# Records real programs, some that leak and some that only look like it, and prints memwatch's verdict
# on each beside what the program itself says of its memory.
#
#   sh tests/corpus/real/run.sh [-o FOLDER] [--minutes N] [--judge] [NAME…]
#
#   -o FOLDER    where recordings are kept, NAME.db, each with its NAME.json of what the program
#                said (default: build-tests/real)
#   --minutes N  of load (default: 10; a verdict needs 5 or more). Then it stops, and the programs are
#                watched for a tenth of the time more
#   --judge      judge the recordings that FOLDER has, and run nothing
#   NAME…        these programs alone (default: all, side by side, on some tenths of a core)
#
# Installs the programs from Debian if they are missing. Each is started on loopback, at a free port,
# in a folder of its own that is deleted in the end, without rights where we are root; servers that run
# already are left alone. Runs the memwatch of PATH, or $MEMWATCH. Exits with 1 when a verdict is not
# what the mechanism says, or a program could not be run.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin # where some servers are

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    packages=$(python3 "$here/run.py" --packages "$@")
    missing=
    for package in $packages; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if ! { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qy install --no-install-recommends $missing; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "run.sh: cannot install$missing" >&2
        return 1
    fi
    rm -f "$log"
}

case " $* " in
*" --judge "* | *" -h "* | *" --help "*) ;;
*) install_packages "$@" ;;
esac
exec python3 "$here/run.py" "$@"
