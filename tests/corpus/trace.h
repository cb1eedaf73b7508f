/*
 * Labelled memory traces: each is a shape that leaks or one that does not, plus noise, outliers,
 * gaps and restarts, in whole pages. A trace depends on its class, its half and its number alone,
 * so that everybody who generates the corpus judges the same series.
 *
 * Detectors were developed on one half and are judged on the other, which has other seeds.
 */
#ifndef MW_TESTS_CORPUS_TRACE_H
#define MW_TESTS_CORPUS_TRACE_H

#include <stdbool.h>
#include <stddef.h>

enum corpus_half { CORPUS_DEVELOPMENT, CORPUS_TEST };

/*
 * X(identifier, name, whether it leaks). Those behind CORPUS_COUNTED are harder than any claim that
 * is made: they are reported on their own.
 */
#define CORPUS_CLASSES(X)                                                                          \
    X(FLAT, "flat", false)                                                                         \
    X(RANDOM_WALK, "random walk", false)                                                           \
    X(WARM_UP, "warm-up, then flat", false)                                                        \
    X(FILLING, "still filling", false)                                                             \
    X(STEPS, "1-3 steps", false)                                                                   \
    X(SAWTOOTH, "sawtooth, flat floor", false)                                                     \
    X(DIURNAL, "daily load", false)                                                                \
    X(RAMP_HOLD, "ramp, then hold", false)                                                         \
    X(KEPT_SPIKE, "spike, peak retained", false)                                                   \
    X(RESTART, "a restart", false)                                                                 \
    X(LINEAR_5, "linear, 5 sigma", true)                                                           \
    X(LINEAR_8, "linear, 8 sigma", true)                                                           \
    X(LINEAR_10, "linear, 10 sigma", true)                                                         \
    X(LINEAR_20, "linear, 20 sigma", true)                                                         \
    X(LINEAR_50, "linear, 50 sigma", true)                                                         \
    X(SAWTOOTH_LEAK, "sawtooth, rising floor", true)                                               \
    X(LATE_LEAK, "starts late", true)                                                              \
    X(DIURNAL_LEAK, "under a daily cycle", true)                                                   \
    X(STAIRCASE, "staircase", true)                                                                \
    X(ACCELERATING, "accelerating", true)                                                          \
    X(LOAD_LEAK, "only under load", true)                                                          \
    X(WARM_UP_LEAK, "warm-up, then leak", true)                                                    \
    X(SPIKE_LEAK, "start-up spike, then leak", true)                                               \
    X(GAP_LEAK, "across a gap", true)                                                              \
    X(MANY_STEPS, "5-12 random steps", false)                                                      \
    X(SLOW_CACHE, "cache far larger than seen", false)                                             \
    X(SLOW_NOISE, "slow noise", false)                                                             \
    X(COARSE_STAIRCASE, "staircase of 4-8 steps", true)                                            \
    X(SLOW_NOISE_LEAK, "12 sigma in slow noise", true)                                             \
    X(HALTED_LEAK, "leak, then idle", true)

enum corpus_class {
#define CORPUS_CLASS_ENUM(identifier, name, leaks) CORPUS_##identifier,
    CORPUS_CLASSES(CORPUS_CLASS_ENUM)
#undef CORPUS_CLASS_ENUM
        CORPUS_CLASS_COUNT,
    CORPUS_COUNTED = CORPUS_MANY_STEPS
};

const char *corpus_class_name(enum corpus_class class);
bool corpus_class_leaks(enum corpus_class class);

enum corpus_noise {
    CORPUS_NOISE_WHITE,
    CORPUS_NOISE_AR5, /* autoregressive, .5 */
    CORPUS_NOISE_AR9, /* autoregressive, .9 */
    CORPUS_NOISE_WALK,
    CORPUS_NOISE_COUNT
};

const char *corpus_noise_name(enum corpus_noise noise);

/* Where no sample was taken. */
struct corpus_gap {
    double from_s, to_s;
};

enum { CORPUS_MOST_SAMPLES = 100000, CORPUS_MOST_GAPS = 8 };

/* A trace, and what is known about it. Memory is in bytes, time in seconds from 0. */
struct corpus_trace {
    enum corpus_class class;
    enum corpus_noise noise;
    bool restarts;     /* it has one: what is told below begins behind it */
    double duration_s; /* of the whole */
    double onset_s;    /* where the leak begins */
    double rise;       /* of the shape, up to the end */
    double rise_sigma; /* the same, in standard deviations of the noise */
    double slope;      /* bytes a second from onset_s on, on the average; 0: it does not leak */
    bool straight;     /* slope is that of every part */
    double reached; /* where the trend is at the end: the floor of a sawtooth, the mean of a day */
    double limit;   /* that memory must not reach */
    double *times, *values;
    size_t count;
    struct corpus_gap gaps[CORPUS_MOST_GAPS];
    size_t gap_count;
};

/* Fills a trace, whose times and values have room for CORPUS_MOST_SAMPLES each. */
void corpus_trace(struct corpus_trace *trace, enum corpus_class class, enum corpus_half half,
                  unsigned number);

#endif
