#!/bin/sh
# Installs what is needed, builds memwatch in every way that finds mistakes, and runs all tests.
# At most 10 minutes on two cores. Prints a line a step, and all that a failed step said.
#
#   sh tests/run.sh             units cli clang sanitizers style
#   sh tests/run.sh STEP…       the steps named alone, without installing anything; there are also
#                               threads, fuzz and tidy
#   sh tests/run.sh --real      memwatch on real servers, from packages that it installs
set -u

cd "$(dirname "$0")/.." || exit

passed=0
failed=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# step NAME COMMAND…: runs it, and counts it.
step() {
    name=$1
    shift
    begin=$(date +%s)
    if "$@" >"$logs/$name" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $name ($(($(date +%s) - begin)) s)$(skips "$logs/$name")"
    else
        failed=$((failed + 1))
        cat "$logs/$name"
        echo "FAILED  $name"
    fi
}

# What a step left out is shown with its reason, never passed over.
skips() {
    grep -E '^SKIPPED|# SKIP' "$1" | sed 's/.*# SKIP:/SKIPPED/' | sort | uniq -c | sed 's/^/\n        /'
}

# configure NAME OPTIONS…: a build folder of its own for each way to build.
configure() {
    folder=build-tests/$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup -Dwerror=true "$@" "$folder" || return
    ninja -C "$folder"
}

# pytest_cli BUILD [FILE]: the tests of the command line, or those of one file.
pytest_cli() {
    MEMWATCH=$PWD/$1/cmd/memwatch \
        /usr/bin/python3 -m pytest -q -rs -n 6 -p no:cacheprovider "${2:-tests/cli}"
}

# unit_tests NAME OPTIONS…: runs them, and repeats what they skipped.
unit_tests() {
    folder=build-tests/$1
    shift
    meson test -C "$folder" --no-rebuild --print-errorlogs "$@" || return
    grep '# SKIP' "$folder/meson-logs/testlog.txt" || :
}

units() {
    configure gcc && unit_tests gcc
}

cli() {
    configure gcc && pytest_cli build-tests/gcc
}

real() {
    configure gcc && pytest_cli build-tests/gcc tests/cli/real_servers.py
}

clang_build() {
    CC=clang configure clang && unit_tests clang
}

sanitizers() {
    configure sanitized -Db_sanitize=address,undefined -Db_lundef=false &&
        unit_tests sanitized -t 4 &&
        pytest_cli build-tests/sanitized
}

threads() {
    configure threads -Db_sanitize=thread -Db_lundef=false -Db_pie=false &&
        unit_tests threads -t 4 &&
        sh tests/threads.sh build-tests/threads/cmd/memwatch
}

fuzz() {
    sh tests/fuzz/run.sh 5
}

tidy() {
    configure gcc &&
        git ls-files 'cmd/*.c' 'lib/*.c' 'plot/*.c' |
        xargs -P 2 -n 4 clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p build-tests/gcc
}

style() {
    git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export ASAN_OPTIONS=detect_stack_use_after_return=1
export TSAN_OPTIONS=halt_on_error=1
# libproc2 keeps a buffer for each thread that has used it, and never frees it.
echo leak:libproc2 >"$logs/suppressions"
export LSAN_OPTIONS=suppressions=$logs/suppressions:print_suppressions=0

if [ $# -eq 0 ]; then
    step install sh cmd/install.sh --tests
    set -- units cli clang sanitizers style
elif [ "$*" = --real ]; then
    step install sh cmd/install.sh --tests --servers
    set -- real
fi
for wanted; do
    case $wanted in
    units | cli | sanitizers | threads | fuzz | tidy | style | real) step "$wanted" "$wanted" ;;
    clang) step clang clang_build ;;
    *) echo "run.sh: there is no step $wanted" >&2; exit 2 ;;
    esac
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
