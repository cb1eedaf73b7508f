/*
 * Series with known courses, for the tests of what is found in them. The noise is the same in every
 * run.
 */
#ifndef MW_TESTS_SERIES_H
#define MW_TESTS_SERIES_H

#include <stddef.h>
#include <stdint.h>

/* Fails where a number is further from what is expected than that. */
#define assert_near(value, expected, within)                                                       \
    series_assert_near(value, expected, within, #value, __FILE__, __LINE__)
void series_assert_near(double value, double expected, double within, const char *what,
                        const char *file, int line);

/* A number with mean 0 and deviation 1, nearly normal. */
double series_noise(uint64_t *seed);

/* Values at `count` equal distances of a course over u from 0 to (below) 1, with white noise. */
typedef double series_course(double u);
void series_fill(double *ret_values, size_t count, series_course *course, double noise);

/* Courses; they begin at 0 and rise by 1, unless they say otherwise. */
double series_flat(double u);
double series_line(double u);
double series_cache(double u);   /* fills with a time constant of a fifth */
double series_step(double u);    /* at .4 */
double series_halt(double u);    /* a line up to .9, and level from there on */
double series_ramp(double u);    /* the same up to .5 */
double series_full(double u);    /* slows down as a cache does, and is full at .9 */
double series_late(double u);    /* a line from .5 on */
double series_warm_up(double u); /* a line, and at first 1 more with a time constant of a 25th */
double series_days(double u);    /* five days, up to 1 and back */
double series_days_leak(double u);
double series_teeth(double u); /* twelve teeth of a sawtooth, of height 1 */
double series_teeth_leak(double u);

#endif
