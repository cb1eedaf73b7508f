#!/bin/sh
# The dependency rule: which folder may include which, and what lib never calls.
#
#     includes.sh SOURCE_ROOT
#
# Prints a line for each violation, and fails if there is one.
set -eu
cd "$1"

violations=$(
    # may FOLDER ALLOWED…: what the files of a folder include with quotes, named from the root or lib.
    may() {
        folder=$1
        shift
        allowed=$(echo "$*" | tr ' ' '|')
        grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$folder" --include='*.[ch]' |
            grep -vE "include[[:space:]]*\"($allowed)" || :
    }
    may lib/util util/
    may lib/capture capture/ util/ 'memwatch\.h"'
    may lib/store store/ util/ 'schema\.sql\.h"'
    may lib/analysis analysis/ util/
    may lib/record record/ capture/ store/ analysis/ util/
    may plot plot/ util/
    # Starting or finding the target, and what is possible on a machine, is all that cmd asks capture
    # for itself.
    # How to record goes through record/session.h: from the sampler and the tracker cmd takes
    # constants alone.
    may cmd cmd/ record/ store/ analysis/ plot/ util/ 'capture/find\.h"' 'capture/launch\.h"' 'capture/probe\.h"' 'config\.h"'
    grep -nE '(^|[^_[:alnum:]])(struct[[:space:]]+mw_(sampler|tracker|queue|schedule)|mw_(sampler|tracker|queue|schedule)_)' \
        cmd/*.[ch] || :
    # Only lib/store knows SQLite.
    grep -rnE 'include[[:space:]]*<sqlite3' cmd plot lib --include='*.[ch]' | grep -v '^lib/store/' || :
    # plot and analysis do not look at /proc or at the file; analysis does no input or output.
    grep -nE 'include[[:space:]]*<(stdio|fcntl|unistd|sys/[a-z]+)\.h>' lib/analysis/*.[ch] || :
    # lib neither prints nor ends the process. _exit in a forked child is another thing.
    grep -rnE '(^|[^_[:alnum:]])(v?printf|puts|putchar|perror|exit|abort|err|errx|warn|warnx)[[:space:]]*\(' \
        lib --include='*.[ch]' | grep -vE ':[[:space:]]*(/?\*|//)' || :
    grep -rnE '(^|[^_[:alnum:]])(stdout|stderr)([^_[:alnum:]]|$)' lib --include='*.[ch]' |
        grep -vE ':[[:space:]]*(/?\*|//)' || :
)
if [ -n "$violations" ]; then
    echo "$violations"
    exit 1
fi
