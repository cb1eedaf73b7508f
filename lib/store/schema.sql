-- The memwatch file, version 3: a time series of memory for one or more recorded runs.
--
-- Any SQLite client can read it (SQLite 3.37 or later, for STRICT). People want the views at the
-- end: runs, processes, samples, memory, tree, functions, calls, events, limits, rollups, mappings,
-- growth. The tables store what was measured, in the smallest form that loses nothing:
--
--   * Time is microseconds since the start of the run, on CLOCK_MONOTONIC; the table clock says
--     which date that was. A run starts when exec of its program has succeeded.
--   * Memory is KiB, the unit that the kernel itself reports in; the views show bytes.
--   * A value holds until the next row of its series, or until the process ends. A tick that
--     changed nothing wrote nothing. What was not recorded is a row of the table gap.
--   * Old rows may have been given up for coarser ones: see level and given_up.
--   * Strings from a program (names, arguments, folders) are the bytes it used, which need not be
--     UTF-8.

PRAGMA application_id = 0x6D776368; -- "mwch"
PRAGMA user_version = 3;

CREATE TABLE run (
    id                 INTEGER PRIMARY KEY,
    version            TEXT    NOT NULL, -- of the memwatch that recorded it
    started_ns         INTEGER NOT NULL, -- CLOCK_REALTIME at the start, ns since 1970
    duration_us        INTEGER NOT NULL, -- recorded time: up to the last commit while it records
    interval_us        INTEGER NOT NULL, -- between two ticks
    children           TEXT    NOT NULL CHECK (children IN ('each', 'sum', 'none')),
    cwd                TEXT    NOT NULL,
    note               TEXT,             -- what the user gave with --note
    -- How the recording ended. 'recording' with no recorder at work means: aborted.
    outcome            TEXT    NOT NULL DEFAULT 'recording'
                       CHECK (outcome IN ('recording', 'exited', 'signaled', 'detached', 'imported')),
    exit_status        INTEGER,          -- of the target, when it exited
    exit_signal        INTEGER,          -- that ended the target, when one did
    -- The recorder's own honesty. due = taken + missed.
    ticks_due          INTEGER NOT NULL DEFAULT 0,
    ticks_taken        INTEGER NOT NULL DEFAULT 0,
    ticks_missed       INTEGER NOT NULL DEFAULT 0,
    longest_gap_us     INTEGER NOT NULL DEFAULT 0, -- between two ticks that were taken
    lateness_p50_us    INTEGER,          -- of ticks behind their schedule
    lateness_p99_us    INTEGER,
    lateness_max_us    INTEGER,
    recorder_cpu_us    INTEGER NOT NULL DEFAULT 0, -- user and system time of memwatch itself
    recorder_rss_kib   INTEGER NOT NULL DEFAULT 0, -- its high-water mark
    scheduling         TEXT    NOT NULL, -- of the sampler thread: 'fifo:1', 'nice:-20', 'default'
    tracking           TEXT    NOT NULL, -- how child processes were found: 'perf', 'connector'
                                         -- (every one), 'children' or 'scan' (those that live a
                                         -- while), 'none'
    rss_bound_kib      INTEGER NOT NULL DEFAULT 0, -- a sampled rss may be off by so much
    peak_bound_kib     INTEGER NOT NULL DEFAULT 0, -- a high-water mark may be off by so much
    blind_us           INTEGER NOT NULL DEFAULT 0, -- between reading and resetting marks, all together
    lost_events        INTEGER NOT NULL DEFAULT 0, -- process events the kernel could not deliver
    dropped_records    INTEGER NOT NULL DEFAULT 0, -- values dropped because the disk was too slow
    lost_marks         INTEGER NOT NULL DEFAULT 0, -- function marks that found no room
    -- The highest memory of the whole tree; null if never sampled. See "peaks" below.
    peak_kib           INTEGER,
    peak_upper_kib     INTEGER,
    peak_from_us       INTEGER,
    peak_to_us         INTEGER,
    peak_source        TEXT CHECK (peak_source IN ('kernel', 'sampled'))
) STRICT;

-- The command as its user gave it: position 0 is the program.
CREATE TABLE command (
    run                INTEGER NOT NULL REFERENCES run,
    position           INTEGER NOT NULL,
    value              TEXT    NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

-- Peaks: at least peak_kib was in use at some moment from peak_from_us to peak_to_us, and never more
-- than peak_upper_kib (null: nothing is known above what was seen). 'sampled': the highest sample, less
-- rss_bound_kib. 'kernel': the kernel's high-water mark, less peak_bound_kib. A tree's peak is the highest sum of one sweep over its
-- processes, in which a shared page counts once for each process that has it, or what one of them had
-- at least where that is more.

CREATE TABLE process (
    id                 INTEGER PRIMARY KEY,
    run                INTEGER NOT NULL REFERENCES run,
    pid                INTEGER NOT NULL,
    ppid               INTEGER NOT NULL, -- parent when it was first seen
    start_us           INTEGER NOT NULL, -- when it was first seen in the tree
    end_us             INTEGER,          -- when its end was seen; null: outlived the recording
    exit_status        INTEGER,          -- null where the kernel does not tell
    exit_signal        INTEGER,
    peak_kib           INTEGER,
    peak_upper_kib     INTEGER,
    peak_from_us       INTEGER,
    peak_to_us         INTEGER,
    peak_source        TEXT CHECK (peak_source IN ('kernel', 'sampled'))
) STRICT;
CREATE INDEX process_by_run ON process (run);

-- A program that a process ran: one row at its start, one more after each exec that was noticed.
CREATE TABLE image (
    id                 INTEGER PRIMARY KEY,
    process            INTEGER NOT NULL REFERENCES process,
    since_us           INTEGER NOT NULL, -- when it was first seen
    name               TEXT    NOT NULL  -- comm: at most 15 bytes
) STRICT;
CREATE INDEX image_by_process ON image (process, since_us);

CREATE TABLE argument (
    image              INTEGER NOT NULL REFERENCES image,
    position           INTEGER NOT NULL, -- 0 is the program's own name
    value              TEXT    NOT NULL,
    PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;

-- One metric of one process or of the tree, over at most 2^31 us (35 minutes): a longer series goes
-- on in the next row with the same process and metric. That keeps a sample below 20 bytes.
CREATE TABLE series (
    id                 INTEGER PRIMARY KEY,
    run                INTEGER NOT NULL REFERENCES run,
    process            INTEGER REFERENCES process, -- null: the sum over the tree
    -- 'rss', 'shared' (file and shmem pages of rss): read at every tick. 'peak': the kernel's
    -- high-water mark of the time since the row before (since the process's start for the first; up
    -- to now, for the last of one that is being recorded). Read now and then, so that a row says
    -- what was at that moment: 'pss', 'uss', 'huge' (smaps_rollup: Pss, Private_*, huge pages),
    -- 'file', 'shmem', 'swap', 'vms', 'page-tables' (status: RssFile, RssShmem, VmSwap, VmSize,
    -- VmPTE); readings between two rows had the value of both.
    metric             TEXT    NOT NULL,
    since_us           INTEGER NOT NULL  -- what dt_us counts from
) STRICT;
CREATE INDEX series_by_run ON series (run, process, metric, since_us);

-- The tree has a series of its own from the moment the run has a second process: before that, the
-- tree is its first process.
CREATE TABLE sample (
    series             INTEGER NOT NULL REFERENCES series,
    dt_us              INTEGER NOT NULL, -- since the series' since_us
    kib                INTEGER NOT NULL,
    PRIMARY KEY (series, dt_us)
) STRICT, WITHOUT ROWID;

-- Nothing is known of the run between two moments: ticks were missed, or values dropped.
CREATE TABLE gap (
    run                INTEGER NOT NULL REFERENCES run,
    from_us            INTEGER NOT NULL, -- the last tick before
    to_us              INTEGER NOT NULL, -- the first tick after
    ticks              INTEGER NOT NULL, -- how many are not in the record
    PRIMARY KEY (run, from_us)
) STRICT, WITHOUT ROWID;

-- What CLOCK_REALTIME said at a moment of the run: a row at the start, and one whenever the two
-- clocks have moved apart by more than 10 ms (a clock set, a machine suspended).
CREATE TABLE clock (
    run                INTEGER NOT NULL REFERENCES run,
    t_us               INTEGER NOT NULL,
    realtime_ns        INTEGER NOT NULL, -- since 1970
    PRIMARY KEY (run, t_us)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------------------------------------
-- Views for people.

CREATE VIEW processes AS
SELECT process.run, process.id AS process, pid, ppid,
       (SELECT name FROM image WHERE image.process = process.id
        ORDER BY since_us DESC, id DESC LIMIT 1) AS name,
       (SELECT group_concat(value, ' ') FROM
            (SELECT value FROM argument WHERE image =
                (SELECT id FROM image WHERE image.process = process.id
                 ORDER BY since_us DESC, id DESC LIMIT 1)
             ORDER BY position)) AS command,
       start_us / 1e6 AS start_s, end_us / 1e6 AS end_s,
       exit_status, exit_signal,
       peak_kib * 1024 AS peak_bytes, peak_upper_kib * 1024 AS peak_upper_bytes,
       peak_from_us / 1e6 AS peak_from_s, peak_to_us / 1e6 AS peak_to_s, peak_source
FROM process;

CREATE VIEW runs AS
SELECT id AS run, datetime(started_ns / 1000000000, 'unixepoch', 'localtime') AS started,
       (SELECT group_concat(value, ' ') FROM
            (SELECT value FROM command WHERE command.run = run.id ORDER BY position)) AS command,
       duration_us / 1e6 AS duration_s, interval_us / 1e6 AS interval_s, outcome, exit_status, exit_signal,
       peak_kib * 1024 AS peak_bytes, peak_from_us / 1e6 AS peak_from_s,
       ticks_due, ticks_taken, ticks_missed, note
FROM run;

-- Every stored value. t_s is seconds since the start of the run; process is null for the tree.
CREATE VIEW samples AS
SELECT series.run, series.process, pid, metric,
       (series.since_us + dt_us) / 1e6 AS t_s, kib * 1024 AS bytes
FROM series JOIN sample ON sample.series = series.id LEFT JOIN process ON process.id = series.process;

-- The memory of each process whenever it changed: anonymous memory is what is not shared.
CREATE VIEW memory AS
WITH known AS (
    SELECT series.run AS run, series.process AS process, series.since_us + dt_us AS t_us,
           max(kib) FILTER (WHERE metric = 'rss') AS rss,
           max(kib) FILTER (WHERE metric = 'shared') AS shared
    FROM series JOIN sample ON sample.series = series.id
    WHERE metric IN ('rss', 'shared')
    GROUP BY 1, 2, 3
), held AS ( -- a value that did not change has no row: number the rows that do, to look it up
    SELECT *, count(rss) OVER so_far AS rss_row, count(shared) OVER so_far AS shared_row
    FROM known WINDOW so_far AS (PARTITION BY run, process ORDER BY t_us)
), filled AS (
    SELECT run, process, t_us,
           max(rss) OVER (PARTITION BY run, process, rss_row) AS rss,
           max(shared) OVER (PARTITION BY run, process, shared_row) AS shared
    FROM held
)
SELECT filled.run, filled.process, pid, t_us / 1e6 AS t_s, rss * 1024 AS rss_bytes,
       shared * 1024 AS shared_bytes, (rss - shared) * 1024 AS anon_bytes
FROM filled LEFT JOIN process ON process.id = filled.process;

-- The whole tree, whenever it changed: its own series, and before that its first process.
CREATE VIEW tree AS
SELECT run, t_s, rss_bytes, shared_bytes, anon_bytes FROM memory WHERE process IS NULL
UNION ALL
SELECT run, t_s, rss_bytes, shared_bytes, anon_bytes FROM memory
WHERE process = (SELECT min(id) FROM process WHERE process.run = memory.run)
  AND t_s < coalesce((SELECT min(since_us) / 1e6 FROM series
                      WHERE series.run = memory.run AND series.process IS NULL
                        AND metric = 'rss'), 9e18);

-- ---------------------------------------------------------------------------------------------
-- Since version 2: functions that the program marked, and their calls. What stands between two
-- such lines is also what brings a file of the version before there.

CREATE TABLE function (
    id                 INTEGER PRIMARY KEY,
    run                INTEGER NOT NULL REFERENCES run,
    name               TEXT    NOT NULL,
    file               TEXT,             -- source file; null: not known
    line               INTEGER,          -- in that file; null: not known
    -- Aggregates over all calls, also over those that are not in the table call. Times, growth and
    -- peak are those of calls that have ended (the peak: also of those still open at the run's end).
    calls              INTEGER NOT NULL DEFAULT 0, -- entries
    ended              INTEGER NOT NULL DEFAULT 0,
    stored             INTEGER NOT NULL DEFAULT 0, -- in the table call
    total_ns           INTEGER NOT NULL DEFAULT 0, -- from entry to end, without suspended_ns
    max_ns             INTEGER NOT NULL DEFAULT 0, -- of the longest call
    suspended_ns       INTEGER NOT NULL DEFAULT 0, -- generators and tasks that waited
    growth_kib         INTEGER NOT NULL DEFAULT 0, -- RSS at the end less that at the entry, summed
    peak_kib           INTEGER,                    -- the highest of a call: see "peaks" above
    peak_upper_kib     INTEGER,
    peak_from_us       INTEGER,
    peak_to_us         INTEGER,
    peak_source        TEXT CHECK (peak_source IN ('kernel', 'sampled'))
) STRICT;
CREATE INDEX function_by_run ON function (run);

-- Single calls: all of them up to a million, then a sample of each function, which always has its
-- longest call and the one with the highest peak.
CREATE TABLE call (
    function           INTEGER NOT NULL REFERENCES function,
    enter_us           INTEGER NOT NULL,
    number             INTEGER NOT NULL, -- 1 for the first call of the function, and so on
    process            INTEGER REFERENCES process, -- null: not known
    thread             INTEGER NOT NULL, -- its id, in which the call was entered
    track              INTEGER NOT NULL, -- the task or generator that made the call, a number within
                                         -- the process, of generators 2^31 or more (up to version 2
                                         -- any); 0: the thread itself
    depth              INTEGER NOT NULL, -- open calls below it in its thread or track
    duration_ns        INTEGER,          -- without suspended_ns; null: had not ended
    suspended_ns       INTEGER NOT NULL, -- its track waited
    enter_kib          INTEGER,          -- RSS of the process; null: not known
    exit_kib           INTEGER,
    -- The highest memory of the process while the call was open: see "peaks" above. Null: not known.
    peak_kib           INTEGER,
    peak_upper_kib     INTEGER,
    peak_from_dt_us    INTEGER,          -- since enter_us
    peak_to_dt_us      INTEGER,
    peak_is_kernels    INTEGER,          -- 1: 'kernel', 0: 'sampled'
    PRIMARY KEY (function, enter_us, number)
) STRICT, WITHOUT ROWID;

CREATE VIEW functions AS
SELECT run, id AS function, name, file, line, calls, ended, stored,
       total_ns / 1e9 AS total_s, max_ns / 1e9 AS max_s, suspended_ns / 1e9 AS suspended_s,
       growth_kib * 1024 AS growth_bytes,
       peak_kib * 1024 AS peak_bytes, peak_upper_kib * 1024 AS peak_upper_bytes,
       peak_from_us / 1e6 AS peak_from_s, peak_to_us / 1e6 AS peak_to_s, peak_source
FROM function;

CREATE VIEW calls AS
SELECT function.run, call.function, name, number, call.process, pid, thread, track, depth,
       enter_us / 1e6 AS enter_s,
       enter_us / 1e6 + (duration_ns + call.suspended_ns) / 1e9 AS exit_s,
       duration_ns / 1e9 AS duration_s, call.suspended_ns / 1e9 AS suspended_s,
       enter_kib * 1024 AS enter_bytes, exit_kib * 1024 AS exit_bytes,
       (exit_kib - enter_kib) * 1024 AS growth_bytes,
       call.peak_kib * 1024 AS peak_bytes, call.peak_upper_kib * 1024 AS peak_upper_bytes,
       (enter_us + peak_from_dt_us) / 1e6 AS peak_from_s,
       (enter_us + peak_to_dt_us) / 1e6 AS peak_to_s,
       CASE peak_is_kernels WHEN 1 THEN 'kernel' WHEN 0 THEN 'sampled' END AS peak_source
FROM call JOIN function ON function.id = call.function LEFT JOIN process ON process.id = call.process;

-- ---------------------------------------------------------------------------------------------
-- Since version 3: what happened beside the numbers, and the limits that held.

CREATE TABLE event (
    id                 INTEGER PRIMARY KEY,
    run                INTEGER NOT NULL REFERENCES run,
    process            INTEGER REFERENCES process, -- null: the whole tree
    t_us               INTEGER NOT NULL,
    kind               TEXT    NOT NULL
                       -- The recording begins with a process that ran already.
                       CHECK (kind IN ('attached',
                       -- The process took the place of one that had ended.
                       'restarted',
                       -- The recording ended before its processes: note says why.
                       'detached',
                       -- A limit that the user set was crossed: name is that of the limit, value
                       -- what was measured, limit_value the limit; note says what was done.
                       'limit',
                       -- The kernel ended the process because its memory cgroup was full: name is
                       -- the path of the cgroup, limit_value its limit.
                       'oom-kill',
                       -- Whether memory leaks is judged anew: name is the verdict; of growth, value
                       -- is that in bytes a second; note is a sentence, where there is one to say.
                       'verdict')),
    name               TEXT,
    value              INTEGER,          -- bytes; of the limit max-processes: processes
    limit_value        INTEGER,          -- in the unit of value
    note               TEXT
) STRICT;
CREATE INDEX event_by_run ON event (run, t_us);

-- A row for each limit that was found, and one more whenever it was seen to have changed. A limit
-- is known by its process, its name and its place, and holds from since_us on.
CREATE TABLE run_limit (
    id                 INTEGER PRIMARY KEY,
    run                INTEGER NOT NULL REFERENCES run,
    process            INTEGER REFERENCES process, -- in which it was found; null: set for the tree
    since_us           INTEGER NOT NULL,
    -- Set by the user: 'max-rss', 'max-growth', 'max-processes'. Of a cgroup, for all of its
    -- processes together: the kernel's name of the file, 'memory.max', 'memory.high',
    -- 'memory.swap.max' (version 2), 'memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'
    -- (version 1). Of the process alone, as in getrlimit(2): 'RLIMIT_AS', 'RLIMIT_DATA'.
    name               TEXT    NOT NULL,
    place              TEXT    NOT NULL, -- path of the cgroup; '' for the others
    value              INTEGER,          -- bytes; of max-processes: processes; null: no limit now
    window_us          INTEGER           -- of max-growth: value is for so much time
) STRICT;
CREATE INDEX run_limit_by_run ON run_limit (run, process);

CREATE VIEW events AS
SELECT event.run, event.process, pid, t_us / 1e6 AS t_s, kind, name, value, limit_value, note
FROM event LEFT JOIN process ON process.id = event.process;

CREATE VIEW limits AS
SELECT run_limit.run, run_limit.process, pid, since_us / 1e6 AS since_s, name, place, value,
       window_us / 1e6 AS window_s
FROM run_limit LEFT JOIN process ON process.id = run_limit.process;

-- Since version 3 too: resolutions, so that a recording of weeks stays small and is drawn quickly.

-- The levels of a run: every sample (bucket_us 0), and coarser ones, in which time is cut into
-- buckets of equal length from the start of the run on. A run of an earlier version has none, and
-- every sample.
CREATE TABLE level (
    run                INTEGER NOT NULL REFERENCES run,
    bucket_us          INTEGER NOT NULL, -- 0: the table sample; else the table rollup
    keep_us            INTEGER,          -- at least so long; null: forever
    -- What the level knows: all from from_us to until_us. Rows before were given up but for those
    -- that hold at from_us; later ones may be missing (of every sample: none is).
    from_us            INTEGER NOT NULL DEFAULT 0,
    until_us           INTEGER,          -- null: of every sample
    PRIMARY KEY (run, bucket_us)
) STRICT, WITHOUT ROWID;

-- One metric of one process or of the tree in one level. A process that ended in the bucket in which
-- it began has none.
CREATE TABLE rollup_series (
    id                 INTEGER PRIMARY KEY,
    run                INTEGER NOT NULL REFERENCES run,
    process            INTEGER REFERENCES process, -- null: the sum over the tree
    metric             TEXT    NOT NULL,
    bucket_us          INTEGER NOT NULL
) STRICT;
CREATE INDEX rollup_series_by_run ON rollup_series (run, process, metric, bucket_us);

-- What happened in the bucket of t_us up to then (rarely a bucket has two rows: then since the one
-- before). No row: nothing changed, and the last value holds. The extremes include the value that
-- held when the bucket began, except of metrics that are read now and then or are high-water marks.
CREATE TABLE rollup (
    series             INTEGER NOT NULL REFERENCES rollup_series,
    t_us               INTEGER NOT NULL, -- of the last sample, since the start of the run
    last_kib           INTEGER NOT NULL, -- which holds from then on
    below_kib          INTEGER NOT NULL, -- the lowest is so much below the last
    above_kib          INTEGER NOT NULL, -- the highest is so much above the last
    count              INTEGER NOT NULL, -- samples
    PRIMARY KEY (series, t_us)
) STRICT, WITHOUT ROWID;

-- What had to go beside samples, the oldest first, for the file to stay as small as was asked.
CREATE TABLE given_up (
    run                INTEGER NOT NULL REFERENCES run,
    -- 'process': that had ended, with all of it. 'call', 'gap', 'event', 'snapshot': rows of these.
    -- 'clock', 'image': rows of these, of which later ones are there.
    kind               TEXT    NOT NULL,
    count              INTEGER NOT NULL,
    until_us           INTEGER NOT NULL, -- of what began later, all is there
    PRIMARY KEY (run, kind)
) STRICT, WITHOUT ROWID;

CREATE VIEW rollups AS
SELECT rollup_series.run, rollup_series.process, pid, metric, bucket_us / 1e6 AS bucket_s,
       (t_us - t_us % bucket_us) / 1e6 AS from_s, t_us / 1e6 AS last_s,
       (last_kib - below_kib) * 1024 AS min_bytes, (last_kib + above_kib) * 1024 AS max_bytes,
       last_kib * 1024 AS last_bytes, count
FROM rollup_series JOIN rollup ON rollup.series = rollup_series.id
     LEFT JOIN process ON process.id = rollup_series.process;

-- And where memory grew: what a process had mapped, at two moments after its memory had
-- become suspect.

CREATE TABLE snapshot (
    id                 INTEGER PRIMARY KEY,
    run                INTEGER NOT NULL REFERENCES run,
    process            INTEGER NOT NULL REFERENCES process,
    from_us            INTEGER NOT NULL, -- it was read from then on,
    to_us              INTEGER NOT NULL, -- until then
    before             INTEGER REFERENCES snapshot -- that it is compared with; null: the first of two
) STRICT;
CREATE INDEX snapshot_by_run ON snapshot (run, process);

-- Mappings of one kind and name, all together. Both snapshots of a process have the same groups; one
-- that has none has no row.
CREATE TABLE mapping (
    snapshot           INTEGER NOT NULL REFERENCES snapshot,
    position           INTEGER NOT NULL, -- 0 has the most memory
    -- 'heap' (brk), 'arena' (malloc, of threads), 'anonymous', 'stack', 'thread-stack', 'file',
    -- 'shared-memory', 'memfd', 'huge-pages' (hugetlb), 'other' (of the kernel).
    kind               TEXT    NOT NULL,
    name               TEXT,             -- path, or the program's name for it; '': it has none;
                                         -- null: all further names of the kind
    mappings           INTEGER NOT NULL, -- how many
    resident_kib       INTEGER NOT NULL, -- smaps: Rss, or *_Hugetlb
    anonymous_kib      INTEGER NOT NULL, -- of these: Anonymous
    swapped_kib        INTEGER NOT NULL, -- not resident: Swap
    PRIMARY KEY (snapshot, position)
) STRICT, WITHOUT ROWID;

CREATE VIEW mappings AS
SELECT snapshot.run, snapshot.process, pid, snapshot.id AS snapshot, from_us / 1e6 AS t_s, kind,
       mapping.name, mappings, resident_kib * 1024 AS resident_bytes,
       anonymous_kib * 1024 AS anonymous_bytes, swapped_kib * 1024 AS swapped_bytes
FROM snapshot JOIN mapping ON mapping.snapshot = snapshot.id
JOIN process ON process.id = snapshot.process;

-- Resident and swapped memory from one snapshot to the next. to_s and what belongs to it are null
-- where the process ended before the second.
CREATE VIEW growth AS
SELECT run, process, pid, from_s, to_s, kind, name, from_kib * 1024 AS from_bytes,
       to_kib * 1024 AS to_bytes, (to_kib - from_kib) * 1024 AS growth_bytes
FROM (SELECT early.run, early.process, pid, early.from_us / 1e6 AS from_s,
             late.from_us / 1e6 AS to_s, kind, mapping.name,
             sum(iif(snapshot IS early.id, resident_kib + swapped_kib, 0)) AS from_kib,
             iif(late.id, sum(iif(snapshot IS late.id, resident_kib + swapped_kib, 0)), NULL) AS to_kib
      FROM snapshot AS early LEFT JOIN snapshot AS late ON late.before = early.id
      JOIN mapping ON mapping.snapshot IN (early.id, late.id)
      JOIN process ON process.id = early.process
      WHERE early.before IS NULL
      GROUP BY early.id, late.id, kind, mapping.name)
ORDER BY run, from_s, process, growth_bytes DESC, from_bytes DESC;
