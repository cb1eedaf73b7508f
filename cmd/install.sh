#!/bin/sh
# Installs what memwatch needs from Debian, builds it, and installs it. Quiet when all is well; may be
# run again at any time.
#
#   sh cmd/install.sh [--prefix DIR] [--tests] [--servers]
#
#   --prefix DIR  where to install (default: /usr/local for root, else ~/.local)
#   --tests       also install the packages that tests/run.sh needs
#   --servers     also install the servers that tests/run.sh --real tries memwatch on
#   -h, --help    show this help
set -eu

cd "$(dirname "$0")/.."

build_packages="gcc libc6-dev meson ninja-build pkg-config libsqlite3-dev libproc2-dev libjansson-dev
    libpython3-dev"
run_packages="gnuplot-nox python3"
test_packages="git clang clang-format clang-tidy libclang-rt-14-dev libcmocka-dev python3-pytest python3-pytest-xdist
    python3-memory-profiler python3-venv sqlite3 tmux util-linux bsdutils procps"

server_packages="redis-server redis-tools postgresql nginx nodejs"

if [ "$(id -u)" = 0 ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
packages="$build_packages $run_packages"
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) prefix=${2:?--prefix needs a folder}; shift 2 ;;
    --tests) packages="$packages $test_packages"; shift ;;
    --servers) packages="$packages $server_packages"; shift ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' cmd/install.sh; exit 0 ;;
    *) echo "install.sh: unknown option $1 (there are --prefix DIR, --tests, --servers)" >&2; exit 2 ;;
    esac
done

say() { echo "install.sh: $*" >&2; }

# Runs a command; shows what it printed only if it fails.
quietly() {
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        say "failed: $*"
        exit 1
    fi
    rm -f "$log"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_packages() {
    missing=
    for package in $packages; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "this is no Debian; install the counterparts of:$missing"
        exit 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "ask an administrator for: apt-get install$missing"
        exit 1
    fi
    quietly as_root apt-get -q update
    # shellcheck disable=SC2086 # a list of words
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qy install --no-install-recommends $missing
}

build() {
    # A folder of another prefix, or one that was configured half, is set up anew.
    if ! meson introspect --buildoptions build 2>/dev/null | grep -q "\"$prefix\""; then
        rm -rf build
        quietly meson setup --buildtype=release --prefix "$prefix" build
    fi
    quietly ninja -C build cmd/memwatch lib/python/_memwatch/marks.abi3.so
    quietly meson install -C build --no-rebuild
}

# The folder of an installed file that has this name, below a folder of this one.
folder_of() {
    find "$prefix/lib" -name "$1" -path "$2" -exec dirname {} \; | head -n 1
}

# What others find by themselves only in some places.
tell_where() {
    [ "$prefix" != /usr/local ] || return 0
    [ "$prefix" = "$HOME/.local" ] ||
        say "for 'import memwatch' outside of memwatch run: PYTHONPATH=$(folder_of memwatch.py '*-packages/*')"
    say "for pkg-config: PKG_CONFIG_PATH=$(folder_of memwatch.pc '*/pkgconfig/*')"
}

install_packages
build
tell_where
case ":$PATH:" in
*":$prefix/bin:"*) ;;
*) say "installed into $prefix/bin, which is not in your PATH" ;;
esac
