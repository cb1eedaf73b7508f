#!/bin/sh
# Records a program that never stays as it is at 1 kHz, and watches memwatch itself meanwhile.
#
#   sh tests/soak.sh [MINUTES [OPTIONS…]]     10 where nothing is said; options are those of run
#
# Prints what became of the ticks, and of memwatch's memory, descriptors and threads. Exits with 1 when
# these have grown (the median of the last tenth of the time is compared with that of the second
# tenth: 1 MB, 8 descriptors, no thread), or when the file is not whole.
#
# Runs the memwatch of PATH, or $MEMWATCH. Needs python3.
set -eu

minutes=${1:-10}
[ $# = 0 ] || shift
memwatch=${MEMWATCH:-memwatch}
programs=$(cd "$(dirname "$0")/programs" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/memwatch-soak.XXXXXX")
recorder=
trap '[ -z "$recorder" ] || kill "$recorder" 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
seconds=$(awk "BEGIN { print $minutes * 60 }")
file=$folder/soak.db
samples=$folder/samples

# sql QUERY: the first row of its answer.
sql() {
    python3 -c 'import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())' "$file" "$1"
}

# Resident KiB, descriptors and threads of memwatch; nothing once it has ended.
sample() {
    read -r _ pages _ <"/proc/$recorder/statm" || return
    set -- "/proc/$recorder/fd/"*
    descriptors=$#
    set -- "/proc/$recorder/task/"*
    [ "$pages" -gt 0 ] && echo "$((pages * page_kib)) $descriptors $#"
}

page_kib=$(($(getconf PAGESIZE) / 1024))
"$memwatch" run -q -i 0.001 "$@" -o "$file" python3 "$programs/churn.py" "$seconds" &
recorder=$!
while kill -0 "$recorder" 2>/dev/null; do
    sample >>"$samples" 2>/dev/null || :
    sleep 1
done
status=0
wait "$recorder" || status=$?
recorder=
[ "$status" = 0 ] || { echo "memwatch run ended with status $status"; exit 1; }

sql "SELECT 'ticks      ' || ticks_due || ' due, ' || ticks_taken || ' taken, ' || ticks_missed ||
        ' missed; 99 % at most ' || lateness_p99_us || ' us late (' || scheduling || ')' FROM run"
sql "SELECT 'processes  ' || (SELECT count(*) FROM process) || ' (' || tracking || '), '
        || (SELECT count(*) FROM process WHERE end_us IS NULL) || ' without an end' FROM run"
sql "SELECT 'given up   ' || coalesce(group_concat(count || ' ' || kind, ', '), 'nothing') FROM given_up"
sql "SELECT 'lost       ' || lost_events || ' events, ' || dropped_records || ' records, '
        || (SELECT count(*) FROM gap) || ' gaps' FROM run"
sql "SELECT 'recorder   ' || round(recorder_cpu_us * 100.0 / duration_us, 2) || ' % of a core' FROM run"
grown=0
# report COLUMN NAME UNIT LIMIT: says how one column of the samples went, and whether it is flat.
report() {
    awk -v column="$1" -v name="$2" -v unit="$3" -v limit="$4" '
        function median(from, to, i, j, n, sorted, value) {
            for (i = from; i <= to; i++) {
                value = values[i]
                for (j = n++; j > 0 && sorted[j - 1] > value; j--)
                    sorted[j] = sorted[j - 1]
                sorted[j] = value
            }
            return sorted[int(n / 2)]
        }
        { values[NR] = $column; if ($column > most) most = $column }
        END {
            if (NR < 20) { print name "too few samples: " NR; exit 1 }
            minute = NR < 60 ? NR : 60
            tenth = int(NR / 10)
            early = median(tenth + 1, 2 * tenth)
            late = median(NR - tenth + 1, NR)
            printf "%s%d%s after %d s, %d%s at the end, %d%s at most;", name, values[minute], unit,
                   minute, values[NR], unit, most, unit
            printf " from the second tenth to the last %+d%s: %s\n", late - early, unit,
                   (late - early > limit ? "GROWN" : "flat")
            exit (late - early > limit)
        }' "$samples" || grown=1
}
report 1 'memory     ' ' KiB' 976
report 2 'descriptors ' '' 8
report 3 'threads    ' '' 0
integrity=$(sql 'PRAGMA integrity_check')
echo "file       $(($(wc -c <"$file") / 1024)) KiB, integrity $integrity"
[ "$grown" = 0 ] && [ "$integrity" = ok ]
