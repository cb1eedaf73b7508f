#include "series.h"

#include "unit.h"

#include <math.h>

void series_assert_near(double value, double expected, double within, const char *what,
                        const char *file, int line)
{
    if (fabs(value - expected) <= within)
        return;
    print_error("%s is %.12g, and not within %g of %.12g\n", what, value, within, expected);
    _fail(file, line);
}

double series_noise(uint64_t *seed)
{
    double sum = -6;

    for (int i = 0; i < 12; i++)
        sum += (double)(unit_random(seed) >> 11) * 0x1p-53;
    return sum;
}

void series_fill(double *ret_values, size_t count, series_course *course, double noise)
{
    uint64_t seed = 4711;

    for (size_t i = 0; i < count; i++)
        ret_values[i] = course((double)i / (double)count) + noise * series_noise(&seed);
}

double series_flat(double u)
{
    return 0 * u;
}

double series_line(double u)
{
    return u;
}

double series_cache(double u)
{
    return -expm1(-u * 5);
}

double series_step(double u)
{
    return u < .4 ? 0 : 1;
}

double series_halt(double u)
{
    return fmin(u / .9, 1);
}

double series_ramp(double u)
{
    return fmin(u / .5, 1);
}

double series_full(double u)
{
    return expm1(-fmin(u / .9, 1) * .8) / expm1(-.8);
}

double series_late(double u)
{
    return u < .5 ? 0 : 2 * u - 1;
}

double series_warm_up(double u)
{
    return u - expm1(-u * 25);
}

double series_days(double u)
{
    return .5 - .5 * cos(2 * M_PI * 5 * u);
}

double series_days_leak(double u)
{
    return u + .5 * series_days(u);
}

double series_teeth(double u)
{
    return 12 * u - floor(12 * u);
}

double series_teeth_leak(double u)
{
    return u + series_teeth(u);
}
