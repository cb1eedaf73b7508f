/*
 * What a picture shows, as plain data.
 *
 * cmd fills a struct mw_plot from a recording; script.h turns it into a gnuplot script without
 * looking anywhere else. Times are seconds since the start of the recording, memory is in bytes
 * (doubles, because a picture needs no more than 15 digits and NAN says "nothing known here").
 *
 * Strings may hold anything: the script writer makes them harmless. Every pointer is borrowed and
 * must outlive the call that is given the plot.
 */
#ifndef MW_PLOT_MODEL_H
#define MW_PLOT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mw_curve_kind {
    MW_CURVE_PROCESS, /* one process */
    MW_CURVE_TREE,    /* the sum over a process tree: drawn strongest */
    MW_CURVE_PSS,     /* proportional memory beside another metric: dashed */
    MW_CURVE_TREND,   /* a straight line laid through another curve */
    MW_CURVE_FLOOR,   /* what of another curve is judged: below a sawtooth, without a cycle */
    MW_CURVE_GROWTH,  /* the trend of that, also beyond what was recorded; its band: how sure it is
                       */
    MW_CURVE_CUT,     /* an upright line: what lies before it is not judged */
    MW_CURVE_LIMIT,   /* a level line: what memory must not reach */
};

/*
 * One point of a curve. low and high are the smallest and largest value that the point stands for;
 * where they differ from value, the curve has a min/max band there. A value holds until the next
 * point: curves are drawn as steps, but for readings and a trend. A point whose value is NAN
 * interrupts the curve; it stands where the value ceases to be known.
 */
struct mw_plot_point {
    double t_s;
    double low, value, high;
};

struct mw_plot_curve {
    const char *label;
    enum mw_curve_kind kind;
    const struct mw_plot_point *points; /* in the order of time */
    size_t point_count;
};

/* The highest point of a curve, marked with a cross-hair and its label ("48.7 MiB at 1.20 s"). */
struct mw_plot_peak {
    double t_s, bytes;
    const char *label;
};

/* A limit that held for a stretch of time: a line at its height. It is in the picture in any case.
 */
struct mw_plot_limit {
    double from_s, to_s, bytes;
    const char *label;
};

/*
 * Something that happened: a flag above the curves. label says what in a word or two ("restarted");
 * text is told where a picture has tooltips. Those that are too close, or too many, are counted.
 */
struct mw_plot_event {
    double t_s;
    const char *label, *text;
};

/* A stretch of time in which nothing was recorded. */
struct mw_plot_gap {
    double from_s, to_s;
};

/*
 * A marked function, and what its legend entry says. Spans and boxes name it by its index. The
 * first few have a colour, brackets and an entry of their own; boxes of the others are grey.
 */
struct mw_plot_function {
    const char *name;
    uint64_t calls;
    double total_s;  /* of those that ended; NAN: none did */
    double waited_s; /* in which generators and tasks were suspended, beside that */
};

enum { MW_PLOT_COLOURED_FUNCTIONS = 8 };

/* What is told of one call, or of several that are too close to be drawn apart. NAN: not known. */
struct mw_plot_calls {
    uint64_t count;
    double total_s, waited_s;
    double growth_bytes, peak_bytes;
};

/*
 * One call of a function (or several): a bracket that opens at (from_s, from_bytes) and closes at
 * (to_s, to_bytes). to_s is NAN for a call that never ended.
 */
struct mw_plot_span {
    size_t function, curve; /* whose it is, and on which curve it stands */
    double from_s, to_s;
    double from_bytes, to_bytes;
    unsigned depth; /* 0 for the outermost call of its thread or task */
    struct mw_plot_calls calls;
};

/* A row of boxes below the memory, on the same time axis. */
struct mw_plot_lane {
    const char *label; /* left of the row; NULL: none */
};

/* In the place of a function: the calls are of several. */
#define MW_PLOT_SEVERAL SIZE_MAX

/* Calls as a box in a lane, with the function's name inside where that fits. */
struct mw_plot_box {
    size_t lane, function;
    double from_s, to_s;
    struct mw_plot_calls calls;
};

struct mw_plot {
    const char *title;
    const char *subtitle; /* smaller, below the title; NULL for none */
    double from_s, to_s;  /* the time axis; from_s < to_s */
    const char *y_label;  /* what is measured, say "resident memory (RSS)" */
    bool readings; /* it is read now and then, as PSS is: dots, between which nothing is known */
    const struct mw_plot_curve *curves;
    size_t curve_count;
    const struct mw_plot_peak *peaks;
    size_t peak_count;
    const struct mw_plot_limit *limits;
    size_t limit_count;
    const struct mw_plot_event *events; /* in the order of time */
    size_t event_count;
    const struct mw_plot_gap *gaps;
    size_t gap_count;
    const struct mw_plot_function *functions;
    size_t function_count;
    const struct mw_plot_span *spans;
    size_t span_count;
    const struct mw_plot_lane *lanes; /* none of them is drawn with letters */
    size_t lane_count, lanes_left_out;
    const struct mw_plot_box *boxes;
    size_t box_count;
};

#endif
