/*
 * What a memwatch file holds, as plain data: the vocabulary that writer.h and reader.h share.
 *
 * Times are microseconds since the start of the run (CLOCK_MONOTONIC) unless a name says otherwise.
 * schema.sql says what each number means and where it comes from.
 */
#ifndef MW_STORE_RECORDING_H
#define MW_STORE_RECORDING_H

#include "store/keep.h"
#include "util/mapping.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which series a run records. */
enum mw_children {
    MW_CHILDREN_EACH, /* every process and their sum */
    MW_CHILDREN_SUM,  /* their sum alone */
    MW_CHILDREN_NONE, /* the first process alone; no other is looked for */
};

enum mw_outcome {
    MW_OUTCOME_RECORDING, /* a recorder is at work */
    MW_OUTCOME_EXITED,
    MW_OUTCOME_SIGNALED,
    MW_OUTCOME_DETACHED, /* the recording ended before the target */
    MW_OUTCOME_IMPORTED,
    MW_OUTCOME_ABORTED, /* never stored: 'recording', but no recorder is there any more */
};

/* "each", "exited" …: as in the file, in JSON and on the command line. */
const char *mw_children_name(enum mw_children children);
const char *mw_outcome_name(enum mw_outcome outcome);

/* The value of that name, or -1. */
int mw_children_parse(const char *name);
int mw_outcome_parse(const char *name);

enum mw_peak_source {
    MW_PEAK_SAMPLED, /* the highest sample */
    MW_PEAK_KERNEL,  /* the kernel's high-water mark */
};

/*
 * A highest memory: at least bytes was reached at some moment from from_us to to_us, and never more
 * than upper_bytes.
 */
struct mw_peak {
    bool known; /* false: never sampled, and the rest means nothing */
    int64_t bytes;
    int64_t upper_bytes; /* -1: no bound is known */
    int64_t from_us, to_us;
    enum mw_peak_source source;
};

/* How faithfully the ticks of a run were kept: due = taken + missed. */
struct mw_ticks {
    uint64_t due, taken, missed;
    int64_t longest_gap_us; /* between two ticks that were taken */
    int64_t lateness_p50_us, lateness_p99_us, lateness_max_us; /* -1: not known */
};

/* What recording itself cost and lost. */
struct mw_recorder_cost {
    int64_t cpu_us; /* user and system time */
    int64_t max_rss_bytes;
    int64_t blind_us;     /* between reading and resetting high-water marks */
    uint64_t lost_events; /* process events that the kernel could not deliver */
    uint64_t dropped_records;
    uint64_t lost_marks;
};

/* One run. The strings belong to whoever holds the struct. */
struct mw_run {
    int64_t id;
    char *version;  /* of the memwatch that recorded it */
    char **command; /* as its user gave it */
    size_t command_length;
    int64_t started_ns;  /* CLOCK_REALTIME, since 1970 */
    int64_t duration_us; /* recorded; so far, while it records */
    int64_t interval_us;
    enum mw_children children;
    char *cwd;
    char *note; /* NULL: none */
    char *scheduling, *tracking;
    int64_t rss_bound_bytes;  /* a sampled RSS may be off by so much */
    int64_t peak_bound_bytes; /* a high-water mark may be off by so much */
    enum mw_outcome outcome;
    int exit_status, exit_signal; /* -1: none */
    struct mw_ticks ticks;
    struct mw_recorder_cost recorder;
    struct mw_peak peak; /* of the whole tree */
};

/* One process of a run, with the last program that it was seen to run. */
struct mw_process {
    int64_t id;
    int pid, ppid;
    int64_t start_us, end_us;     /* end_us -1: outlived the recording */
    int exit_status, exit_signal; /* -1: none, or not known */
    char *name;                   /* comm; NULL where it was never read */
    char **arguments;
    size_t argument_count;
    struct mw_peak peak;
};

/*
 * A function that the program marked. The aggregates are over all of its calls, also over those
 * that were not stored one by one; times, growth and peak over those that have ended.
 */
struct mw_function {
    int64_t id;
    char *name;            /* any bytes */
    char *file;            /* NULL: not known */
    int line;              /* 0: not known */
    uint64_t calls, ended; /* entries, and how many of them have ended */
    uint64_t stored;       /* calls that are stored one by one */
    int64_t total_ns;      /* from entry to end, without the time in which they were suspended */
    int64_t max_ns;        /* of the longest */
    int64_t suspended_ns;  /* generators and tasks that waited, all together */
    int64_t growth_bytes;  /* memory at the end less that at the entry, all together */
    struct mw_peak peak;   /* the highest of a call; bounded where those of all calls are */
};

/* What recordings of earlier versions count among the tasks. */
#define MW_TRACK_GENERATORS (INT64_C(1) << 31)

/* A call of a function. */
struct mw_call {
    int64_t function; /* id */
    int64_t process;  /* id; -1: not known */
    uint64_t number;  /* 1 for the first call of the function, and so on in the order of entry */
    /*
     * What it was stacked in, together with depth: a thread by its id, or a task or generator by
     * its number with a minus sign: those of generators are MW_TRACK_GENERATORS and more. Calls
     * with the same process and track lie within each other.
     */
    int64_t track;
    int64_t thread;         /* in which it was entered */
    unsigned depth;         /* 0: the outermost */
    int64_t from_us, to_us; /* to_us -1: had not ended */
    int64_t duration_ns;    /* without the time in which it was suspended; -1: had not ended */
    int64_t suspended_ns;
    int64_t from_bytes, to_bytes; /* memory of the process at entry and end; -1: not known */
    struct mw_peak peak;          /* of the process, meanwhile */
};

/* Nothing is known between two moments. */
struct mw_gap {
    int64_t from_us, to_us;
    uint64_t ticks;
};

/* What may happen to a run beside its numbers: see the table event. */
enum mw_event_kind {
    MW_EVENT_ATTACHED,
    MW_EVENT_RESTARTED,
    MW_EVENT_DETACHED,
    MW_EVENT_LIMIT, /* that the user set: crossed */
    MW_EVENT_OOM_KILL,
    MW_EVENT_VERDICT,
};

/* "attached", "oom-kill" …: as in the file and in JSON. */
const char *mw_event_kind_name(enum mw_event_kind kind);
int mw_event_kind_parse(const char *name); /* or -1 */

/* An event. The table event says what name, value and note are for each kind. */
struct mw_event {
    enum mw_event_kind kind;
    int64_t process; /* id; -1: the whole tree */
    int64_t t_us;
    char *name; /* NULL: none; any bytes */
    bool has_value, has_limit;
    int64_t value, limit_value;
    char *note; /* NULL: none */
};

/* A limit that held from since_us on, until one follows with the same process, name and place. */
struct mw_limit {
    int64_t process; /* id; -1: set by the user, for the whole tree */
    int64_t since_us;
    char *name;        /* "max-rss", "memory.max", "RLIMIT_AS" …: see the table run_limit */
    char *place;       /* path of the cgroup, any bytes; "" for the others */
    int64_t value;     /* bytes, or processes; -1: no limit from now on */
    int64_t window_us; /* of "max-growth"; -1 for the others */
};

/* How much memory mappings of one kind and name had. */
struct mw_mapping_use {
    int64_t count; /* of mappings */
    int64_t resident_bytes, anonymous_bytes, swapped_bytes;
};

/* How that changed between two moments at which a process was looked at. */
struct mw_mapping_growth {
    int64_t process; /* id */
    int64_t from_us,
        to_us; /* to_us -1: it ended before it was looked at again, and `to` is unknown */
    enum mw_mapping_kind kind;
    char *name; /* any bytes; "": it has none; NULL: all further names of the kind together */
    struct mw_mapping_use from, to;
};

/* Resident and swapped; 0 where the process was looked at but once. */
int64_t mw_mapping_growth_bytes(const struct mw_mapping_growth *growth);

/*
 * A value that holds from t_us until the next sample of its series. From a coarser level than that
 * of all samples it stands for several, the last of which it is: from from_us on the value was
 * between low_bytes and high_bytes.
 */
struct mw_sample {
    int64_t t_us;
    int64_t bytes;
    uint64_t count; /* samples that it stands for; 1: from_us is t_us, all bytes are the same */
    int64_t from_us;
    int64_t low_bytes, high_bytes;
};

/* A single one. */
static inline struct mw_sample mw_sample_at(int64_t t_us, int64_t bytes)
{
    return (struct mw_sample){t_us, bytes, 1, t_us, bytes, bytes};
}

/* What of a run is still there: see the tables level and given_up. */
struct mw_kept {
    struct mw_kept_level {
        int64_t bucket_us; /* 0: every sample */
        int64_t keep_us;   /* -1: forever */
        int64_t from_us;   /* nothing is known before; 0: all is */
    } levels[MW_KEEP_MOST_LEVELS];
    size_t level_count;                      /* 0: every sample is there, and no coarser level */
    uint64_t processes, calls, gaps, events; /* that were given up */
};

/* Release what the structs own, and leave them empty. */
void mw_run_clear(struct mw_run *run);
void mw_process_clear(struct mw_process *process);
void mw_function_clear(struct mw_function *function);
void mw_event_clear(struct mw_event *event);
void mw_limit_clear(struct mw_limit *limit);
void mw_mapping_growth_clear(struct mw_mapping_growth *growth);

#endif
