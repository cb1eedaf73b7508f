#include "trace.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { PAGE = 4096 };

static const double MIB = 1 << 20;

static const struct {
    const char *name;
    bool leaks;
} classes[] = {
#define CORPUS_CLASS_ROW(identifier, name, leaks) {name, leaks},
    CORPUS_CLASSES(CORPUS_CLASS_ROW)
#undef CORPUS_CLASS_ROW
};

const char *corpus_class_name(enum corpus_class class)
{
    return classes[class].name;
}

bool corpus_class_leaks(enum corpus_class class)
{
    return classes[class].leaks;
}

const char *corpus_noise_name(enum corpus_noise noise)
{
    static const char *const names[] = {"white", "AR(.5)", "AR(.9)", "walk"};

    return names[noise];
}

/* --- chance ----------------------------------------------------------------------------------- */

struct chance {
    uint64_t state;
    double spare; /* a normal number of the last pair */
    bool has_spare;
};

/* splitmix64 */
static uint64_t next(struct chance *chance)
{
    uint64_t z = chance->state += 0x9E3779B97F4A7C15;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static double uniform(struct chance *chance, double low, double high)
{
    return low + (high - low) * ((double)(next(chance) >> 11) * 0x1p-53);
}

/* As many between 1 and 2 as between 2 and 4. */
static double log_uniform(struct chance *chance, double low, double high)
{
    return low * pow(high / low, uniform(chance, 0, 1));
}

static size_t whole(struct chance *chance, size_t low, size_t high)
{
    return low + (size_t)(next(chance) % (high - low + 1));
}

/* Marsaglia's polar method. */
static double normal(struct chance *chance)
{
    double x, y, square;

    if (chance->has_spare) {
        chance->has_spare = false;
        return chance->spare;
    }
    do {
        x = uniform(chance, -1, 1);
        y = uniform(chance, -1, 1);
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    square = sqrt(-2 * log(square) / square);
    chance->spare = y * square;
    chance->has_spare = true;
    return x * square;
}

/* --- shapes ----------------------------------------------------------------------------------- */

/* The bends, steps and teeth of a shape; u is the time, from 0 at the (last) start to 1. */
enum { MOST_CORNERS = 512 };

struct shape {
    enum corpus_class class;
    size_t corner_count;
    double corners[MOST_CORNERS];     /* where steps, teeth or phases of load begin */
    double heights[MOST_CORNERS + 1]; /* reached at each */
    double a, b, c, d;                /* of the class: see below */
};

/* How many corners lie at or before u. */
static size_t passed(const struct shape *shape, double u)
{
    size_t low = 0, high = shape->corner_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (shape->corners[middle] <= u)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

/* The first steps go up; of the others a share goes down. */
static void plan_steps(struct shape *shape, struct chance *chance, size_t least, size_t most,
                       double down)
{
    double sum = 0;

    shape->corner_count = whole(chance, least, most);
    for (size_t i = 0; i < shape->corner_count; i++)
        shape->corners[i] = uniform(chance, .1, .9);
    qsort(shape->corners, shape->corner_count, sizeof *shape->corners, compare);
    for (size_t i = 1; i <= shape->corner_count; i++) {
        double height = uniform(chance, .3, 1);

        sum += i > 1 && uniform(chance, 0, 1) < down ? -height : height;
        shape->heights[i] = fmax(sum, 0);
    }
}

/* As many steps upwards as make 1, at moments that are regular but for a third of their distance.
 */
static void plan_staircase(struct shape *shape, struct chance *chance, size_t least, size_t most)
{
    double sum = 0;

    shape->corner_count = whole(chance, least, most);
    for (size_t i = 0; i < shape->corner_count; i++) {
        shape->corners[i] =
            ((double)i + .5 + uniform(chance, -.33, .33)) / (double)shape->corner_count;
        shape->heights[i + 1] = sum += uniform(chance, .5, 1.5);
    }
    for (size_t i = 1; i <= shape->corner_count; i++)
        shape->heights[i] /= sum;
}

/* Teeth whose lengths vary by a tenth. a is the height of a tooth, b what the floor rises. */
static void plan_teeth(struct shape *shape, struct chance *chance, double least, double most)
{
    double period = log_uniform(chance, least, most), at = -uniform(chance, 0, 1) * period;

    while (at < 1 && shape->corner_count < MOST_CORNERS) {
        shape->corners[shape->corner_count++] = at;
        at += period * uniform(chance, .9, 1.1);
    }
    shape->c = period;
}

/* Load comes and goes; the rise happens while there is load. corners are alternately on and off. */
static void plan_load(struct shape *shape, struct chance *chance)
{
    size_t cycles = whole(chance, 6, 20);
    double share = uniform(chance, .3, .7), sum = 0, from = 0;

    for (size_t i = 0; i < 2 * cycles; i++) {
        double length = (i % 2 == 0 ? share : 1 - share) * uniform(chance, .8, 1.2);

        sum += length;
        shape->corners[shape->corner_count++] = sum;
    }
    for (size_t i = 0; i < shape->corner_count; i++) {
        shape->corners[i] /= sum;
        shape->heights[i + 1] = shape->heights[i] + (i % 2 == 0 ? shape->corners[i] - from : 0);
        from = shape->corners[i];
    }
    for (size_t i = 0; i < shape->corner_count; i++)
        shape->heights[i + 1] /= shape->heights[shape->corner_count];
}

/* One day as it is: a sine, business hours with flat nights, or a sine with a dent at noon. */
static double daily(const struct shape *shape, double u)
{
    double angle = 2 * M_PI * (u * shape->b + shape->c), wave = sin(angle);

    if (shape->d < 1)
        return .5 + .5 * wave;
    if (shape->d < 2)
        return wave > 0 ? fmin(1, 1.6 * wave) : 0;
    return .5 + .4 * wave + .2 * sin(2 * angle);
}

static void plan_shape(struct shape *shape, struct chance *chance)
{
    switch (shape->class) {
    case CORPUS_WARM_UP:
        shape->a = uniform(chance, 1 / 20.0, 1 / 3.0);
        break;
    case CORPUS_FILLING:
        shape->a = uniform(chance, .5, 1.2);
        break;
    case CORPUS_SLOW_CACHE:
        shape->a = uniform(chance, 1.5, 3);
        break;
    case CORPUS_STEPS:
        plan_steps(shape, chance, 1, 3, .2);
        break;
    case CORPUS_MANY_STEPS:
        plan_steps(shape, chance, 5, 12, .4);
        break;
    case CORPUS_SAWTOOTH:
        plan_teeth(shape, chance, 1 / 200.0, 1 / 8.0);
        break;
    case CORPUS_SAWTOOTH_LEAK:
        plan_teeth(shape, chance, 1 / 200.0, 1 / 10.0);
        shape->a = log_uniform(chance, .3, 3);
        break;
    case CORPUS_DIURNAL:
    case CORPUS_DIURNAL_LEAK:
        shape->a = uniform(chance, .3, 1);
        shape->b = uniform(chance, shape->class == CORPUS_DIURNAL ? 1 : 4, 7);
        shape->c = uniform(chance, 0, 1);
        shape->d = uniform(chance, 0, 3);
        break;
    case CORPUS_RAMP_HOLD:
        shape->a = uniform(chance, 0, .1);
        shape->b = uniform(chance, .25, .6);
        break;
    case CORPUS_KEPT_SPIKE:
        shape->a = uniform(chance, .1, .8);
        shape->b = uniform(chance, .005, .05); /* how long the rise and the fall take */
        shape->c = uniform(chance, .4, .9);    /* what is kept of the peak */
        break;
    case CORPUS_LATE_LEAK:
        shape->a = uniform(chance, .2, .6);
        break;
    case CORPUS_HALTED_LEAK:
        shape->a = uniform(chance, .75, .97);
        break;
    case CORPUS_STAIRCASE:
        plan_staircase(shape, chance, 15, 60);
        break;
    case CORPUS_COARSE_STAIRCASE:
        plan_staircase(shape, chance, 4, 8);
        break;
    case CORPUS_ACCELERATING:
        shape->a = uniform(chance, 1.5, 3);
        break;
    case CORPUS_LOAD_LEAK:
        plan_load(shape, chance);
        break;
    case CORPUS_WARM_UP_LEAK:
        shape->a = uniform(chance, 1 / 40.0, 1 / 10.0);
        shape->b = uniform(chance, .5, 2);
        break;
    case CORPUS_SPIKE_LEAK:
        shape->a = uniform(chance, .01, .05);
        shape->b = uniform(chance, 1, 3);
        break;
    default:
        break;
    }
}

static double tooth(const struct shape *shape, double u)
{
    size_t index = passed(shape, u);

    return index > 0 ? (u - shape->corners[index - 1]) / shape->c : 0;
}

static double spike(const struct shape *shape, double u)
{
    if (u < shape->a)
        return 0;
    if (u < shape->a + shape->b)
        return (u - shape->a) / shape->b;
    if (u < shape->a + 2 * shape->b)
        return 1 - (1 - shape->c) * (u - shape->a - shape->b) / shape->b;
    return shape->c;
}

static double under_load(const struct shape *shape, double u)
{
    size_t index = passed(shape, u);
    double from = index > 0 ? shape->corners[index - 1] : 0;

    if (index >= shape->corner_count)
        return 1;
    return shape->heights[index] + (u - from) / (shape->corners[index] - from) *
                                       (shape->heights[index + 1] - shape->heights[index]);
}

/* The shape at u, in units of its rise. */
static double height(const struct shape *shape, double u)
{
    switch (shape->class) {
    case CORPUS_FLAT:
    case CORPUS_RANDOM_WALK:
    case CORPUS_RESTART:
    case CORPUS_SLOW_NOISE:
        return 0;
    case CORPUS_WARM_UP:
    case CORPUS_FILLING:
    case CORPUS_SLOW_CACHE:
        return -expm1(-u / shape->a) / -expm1(-1 / shape->a);
    case CORPUS_STEPS:
    case CORPUS_MANY_STEPS:
    case CORPUS_STAIRCASE:
    case CORPUS_COARSE_STAIRCASE:
        return shape->heights[passed(shape, u)];
    case CORPUS_SAWTOOTH:
        return tooth(shape, u);
    case CORPUS_SAWTOOTH_LEAK:
        return u + shape->a * tooth(shape, u);
    case CORPUS_DIURNAL:
        return daily(shape, u);
    case CORPUS_DIURNAL_LEAK:
        return u + shape->a * daily(shape, u);
    case CORPUS_RAMP_HOLD:
        return fmin(1, fmax(0, (u - shape->a) / (shape->b - shape->a)));
    case CORPUS_KEPT_SPIKE:
        return spike(shape, u);
    case CORPUS_HALTED_LEAK:
        return fmin(1, u / shape->a);
    case CORPUS_LATE_LEAK:
        return fmax(0, (u - shape->a) / (1 - shape->a));
    case CORPUS_ACCELERATING:
        return pow(u, shape->a);
    case CORPUS_LOAD_LEAK:
        return under_load(shape, u);
    case CORPUS_WARM_UP_LEAK:
        return u + shape->b * -expm1(-u / shape->a);
    case CORPUS_SPIKE_LEAK:
        return u + (u < shape->a ? shape->b : 0);
    default:
        return u;
    }
}

/* The shape at its end, with the mean of a cycle instead of where it happens to be. */
static double height_reached(const struct shape *shape)
{
    enum { PARTS = 256 };
    double mean = 0;

    if (shape->class == CORPUS_SAWTOOTH_LEAK)
        return 1;
    if (shape->class != CORPUS_DIURNAL_LEAK)
        return height(shape, 1);
    for (int i = 0; i < PARTS; i++)
        mean += daily(shape, (double)i / PARTS / shape->b) / PARTS;
    return 1 + shape->a * mean;
}

/* --- noise ------------------------------------------------------------------------------------ */

/*
 * Noise with a mean of 0 and a standard deviation of exactly 1. It moves from sample to sample, or
 * where it is slow at every 256th of the trace.
 */
static void make_noise(const struct corpus_trace *trace, bool slow, double *noise,
                       struct chance *chance)
{
    static const double memory[] = {0, .5, .9, 1};
    double value = 0, sum = 0, squares = 0, mean, deviation, moved_s = -INFINITY;

    for (size_t i = 0; i < trace->count; i++) {
        if (!slow || trace->times[i] - moved_s >= trace->duration_s / 256) {
            value = memory[trace->noise] * value + normal(chance);
            moved_s = trace->times[i];
        }
        noise[i] = value;
        sum += value;
    }
    mean = sum / (double)trace->count;
    for (size_t i = 0; i < trace->count; i++)
        squares += (noise[i] - mean) * (noise[i] - mean);
    deviation = sqrt(squares / (double)trace->count);
    for (size_t i = 0; i < trace->count; i++)
        noise[i] = (noise[i] - mean) / deviation;
}

/* --- samples ---------------------------------------------------------------------------------- */

static void plan_gaps(struct corpus_trace *trace, struct chance *chance)
{
    double share = uniform(chance, 0, .1) * trace->duration_s;
    size_t count = whole(chance, 0, 4);

    if (trace->class == CORPUS_GAP_LEAK) {
        double from_s = uniform(chance, .3, .6) * trace->duration_s;

        trace->gaps[trace->gap_count++] =
            (struct corpus_gap){from_s, from_s + uniform(chance, .1, .25) * trace->duration_s};
        return;
    }
    for (size_t i = 0; i < count; i++) {
        double length_s = share / (double)count;
        double from_s = uniform(chance, 0, trace->duration_s - length_s);

        trace->gaps[trace->gap_count++] = (struct corpus_gap){from_s, from_s + length_s};
    }
}

static bool is_in_gap(const struct corpus_trace *trace, double t_s)
{
    for (size_t i = 0; i < trace->gap_count; i++) {
        if (t_s >= trace->gaps[i].from_s && t_s < trace->gaps[i].to_s)
            return true;
    }
    return false;
}

static void plan_times(struct corpus_trace *trace, struct chance *chance)
{
    double interval_s = 1 / log_uniform(chance, .1, 10);

    trace->duration_s = log_uniform(chance, 1800, 7 * 86400);
    interval_s = fmax(interval_s, trace->duration_s / (CORPUS_MOST_SAMPLES - 1));
    plan_gaps(trace, chance);
    trace->count = 0;
    for (size_t i = 0; (double)i * interval_s <= trace->duration_s; i++) {
        double t_s = (double)i * interval_s;

        if (!is_in_gap(trace, t_s) && trace->count < CORPUS_MOST_SAMPLES)
            trace->times[trace->count++] = t_s;
    }
}

/* What the program uses at u of the time since its last start. */
struct level {
    double base, rise, sigma, start;
};

static void plan_level(struct corpus_trace *trace, struct level *level, struct chance *chance)
{
    static const double fixed[CORPUS_CLASS_COUNT] = {
        [CORPUS_LINEAR_5] = 5,   [CORPUS_LINEAR_8] = 8,   [CORPUS_LINEAR_10] = 10,
        [CORPUS_LINEAR_20] = 20, [CORPUS_LINEAR_50] = 50, [CORPUS_SLOW_NOISE_LEAK] = 12};

    level->base = log_uniform(chance, 30 * MIB, 4096 * MIB);
    level->rise = fmax(level->base * log_uniform(chance, .05, 1.5), 4 * MIB);
    trace->rise_sigma = uniform(chance, 10, 60);
    if (fixed[trace->class] > 0)
        trace->rise_sigma = fixed[trace->class];
    level->sigma = level->rise / trace->rise_sigma;
    if (trace->class == CORPUS_FLAT || trace->class == CORPUS_RANDOM_WALK ||
        trace->class == CORPUS_RESTART || trace->class == CORPUS_SLOW_NOISE)
        level->sigma = level->base * log_uniform(chance, .001, .1);
    level->start = uniform(chance, .1, .3); /* of the base, right after a restart */
}

static void tell_truth(struct corpus_trace *trace, const struct shape *shape,
                       const struct level *level, double restart_s, struct chance *chance)
{
    double length_s = trace->duration_s - restart_s;
    double from = trace->class == CORPUS_LATE_LEAK ? shape->a : 0;

    trace->rise = level->rise;
    trace->onset_s = restart_s + from * length_s;
    trace->slope = corpus_class_leaks(trace->class) ? level->rise / (length_s * (1 - from)) : 0;
    trace->straight = corpus_class_leaks(trace->class) && trace->class != CORPUS_ACCELERATING &&
                      trace->class != CORPUS_HALTED_LEAK;
    trace->reached = level->base + level->rise * height_reached(shape);
    trace->limit = level->base + level->rise * uniform(chance, 2, 8);
}

static void fill_values(struct corpus_trace *trace, const struct shape *shape,
                        const struct level *level, double restart_s, struct chance *chance)
{
    double before = uniform(chance, 0, 1) * level->rise; /* what was lost at the restart */
    double settle_s = trace->duration_s / 200;

    for (size_t i = 0; i < trace->count; i++) {
        double t_s = trace->times[i];
        double u = (t_s - restart_s) / (trace->duration_s - restart_s);
        double value = level->base + level->sigma * trace->values[i];

        if (u >= 0)
            value += level->rise * height(shape, u);
        else if (corpus_class_leaks(trace->class))
            value += before * t_s / restart_s;
        else
            value += before;
        if (u >= 0 && restart_s > 0 && t_s - restart_s < settle_s)
            value *= level->start + (1 - level->start) * (t_s - restart_s) / settle_s;
        if (uniform(chance, 0, 1) < .01)
            value += level->sigma * uniform(chance, 5, 20);
        trace->values[i] = fmax(PAGE, round(value / PAGE) * PAGE);
    }
}

void corpus_trace(struct corpus_trace *trace, enum corpus_class class, enum corpus_half half,
                  unsigned number)
{
    struct chance chance = {.state = ((uint64_t)half + 1) << 48 | (uint64_t) class << 32 | number};
    struct shape shape = {.class = class};
    struct level level;
    bool slow = class == CORPUS_SLOW_NOISE || class == CORPUS_SLOW_NOISE_LEAK;
    double restart_s = 0;

    next(&chance);
    *trace = (struct corpus_trace){.class = class,
                                   .noise = (enum corpus_noise)(number % CORPUS_NOISE_COUNT),
                                   .times = trace->times,
                                   .values = trace->values};
    if (class == CORPUS_RANDOM_WALK)
        trace->noise = CORPUS_NOISE_WALK;
    if (slow)
        trace->noise = CORPUS_NOISE_AR9;
    if (class == CORPUS_FLAT)
        trace->noise = (enum corpus_noise)(number % CORPUS_NOISE_WALK);
    plan_times(trace, &chance);
    plan_shape(&shape, &chance);
    plan_level(trace, &level, &chance);
    trace->restarts = class == CORPUS_RESTART || uniform(&chance, 0, 1) < .05;
    if (trace->restarts)
        restart_s = trace->duration_s *
                    (class == CORPUS_RESTART ? uniform(&chance, .1, .9) : uniform(&chance, .1, .4));
    tell_truth(trace, &shape, &level, restart_s, &chance);
    make_noise(trace, slow, trace->values, &chance);
    fill_values(trace, &shape, &level, restart_s, &chance);
}
