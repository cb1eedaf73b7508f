#include "plot/axis.h"

#include "util/array.h"

#include <math.h>
#include <stddef.h>

struct time_unit {
    double span_s; /* for spans below this */
    double per_unit;
    const char *unit, *name;
    bool clock;
};

static const struct time_unit time_units[] = {
    {1e-3, 1e-6, "us", "us", false},
    {1, 1e-3, "ms", "ms", false},
    {120, 1, "s", "s", false},
    {3600, 60, "min:s", "min", true},
    {48 * 3600, 3600, "h:min", "h", true},
    {INFINITY, 86400, "days", "days", false},
};

/* Tics on a clock, in 60ths of a unit, up to many units. */
static const double clock_steps[] = {1,   2,   5,   10,  15,   20,   30,  60,
                                     120, 180, 300, 600, 1200, 1800, 3600};

/* The smallest of 1, 2 and 5 times a power of ten that needs at most max_tics steps for the span.
 */
static double decimal_step(double span, unsigned max_tics)
{
    static const double steps[] = {1, 2, 5};
    double power = pow(10, floor(log10(span / max_tics)));

    for (size_t i = 0; i < MW_COUNT(steps); i++) {
        /* A hair of tolerance: 10 / 5 may come out as 2.0000000000000004. */
        if (steps[i] * power * max_tics >= span * (1 - 1e-9))
            return steps[i] * power;
    }
    return 10 * power;
}

static double clock_step(double span, unsigned max_tics)
{
    for (size_t i = 0; i < MW_COUNT(clock_steps); i++) {
        if (clock_steps[i] * max_tics >= span * 60)
            return clock_steps[i] / 60;
    }
    return decimal_step(span, max_tics);
}

/*
 * The unit follows from the span; a short window far from the start takes a larger one, because
 * "100.002 s" reads better than "100002000 us".
 */
static const struct time_unit *time_unit(double from_s, double to_s)
{
    const struct time_unit *unit = time_units;

    while (to_s - from_s >= unit->span_s || (unit->per_unit < 1 && to_s / unit->per_unit >= 1e5))
        unit++;
    return unit;
}

struct mw_axis mw_axis_time(double from_s, double to_s, unsigned max_tics)
{
    const struct time_unit *unit = time_unit(from_s, to_s);
    struct mw_axis axis = {
        .per_unit = unit->per_unit,
        .unit = unit->unit,
        .name = unit->name,
        .low = from_s / unit->per_unit,
        .high = to_s / unit->per_unit,
        .clock = unit->clock,
    };
    double span = axis.high - axis.low;

    axis.step = unit->clock ? clock_step(span, max_tics) : decimal_step(span, max_tics);
    return axis;
}

struct mw_axis mw_axis_bytes(double max_bytes, double head_room, unsigned max_tics)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double max = max_bytes > 0 ? max_bytes : 1024;
    struct mw_axis axis = {.per_unit = 1};
    size_t unit = 0;

    while (max / axis.per_unit >= 1000 && unit + 1 < MW_COUNT(units)) {
        axis.per_unit *= 1024;
        unit++;
    }
    axis.unit = axis.name = units[unit];
    axis.high = max / axis.per_unit * (max_bytes > 0 ? head_room : 1);
    axis.step = decimal_step(axis.high, max_tics);
    return axis;
}

static int decimals_of(double step)
{
    int decimals = 0;

    while (decimals < 12 && fabs(step - round(step)) > 1e-6 * fabs(step)) {
        step *= 10;
        decimals++;
    }
    return decimals;
}

void mw_axis_write_tics(FILE *out, const struct mw_axis *axis)
{
    int decimals = decimals_of(axis->step);
    long first = lround(ceil(axis->low / axis->step - 1e-9));
    const char *separator = "";

    fputc('(', out);
    /* Counting steps instead of adding them up keeps the tics round. */
    for (long n = first; (double)n * axis->step <= axis->high * (1 + 1e-12); n++) {
        double at = (double)n * axis->step;
        long long sixtieths = llround(at * 60);

        if (axis->clock)
            fprintf(out, "%s\"%lld:%02lld\" %.10g", separator, sixtieths / 60, sixtieths % 60, at);
        else
            fprintf(out, "%s\"%.*f\" %.12g", separator, decimals, at, at);
        separator = ", ";
    }
    fputc(')', out);
}
