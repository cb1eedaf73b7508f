#include "analysis/gauge.h"

#include "analysis/robust.h"
#include "util/array.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { PARTS = MW_SEN_MOST, LEAST_PARTS = PARTS / 4, SECOND_US = 1000000 };

/* A value, and how long it held. */
struct hold {
    int64_t bytes, length_us;
};

struct mw_gauge {
    int64_t end_us;
    int64_t last_us; /* where the last moments begin */
    const struct mw_hole *holes;
    size_t hole_count, next_hole; /* the first that has not ended before what is held */

    bool holds;
    int64_t since_us, bytes; /* the value that holds now */

    /* Of each part, what is known: for how long, and the integral over that. */
    struct {
        double known_us, byte_us;
    } parts[PARTS];
    size_t part; /* the one that time has come to */

    struct hold *last; /* what held in the last moments */
    size_t last_count, last_room;
    bool out_of_memory;
};

struct mw_gauge *mw_gauge_new(int64_t end_us, const struct mw_hole *holes, size_t hole_count)
{
    struct mw_gauge *gauge = calloc(1, sizeof *gauge);
    int64_t window_us = end_us / 20 < SECOND_US ? end_us / 20 + 1 : SECOND_US;

    if (!gauge)
        return NULL;
    gauge->end_us = end_us;
    gauge->last_us = end_us - window_us;
    gauge->holes = holes;
    gauge->hole_count = hole_count;
    return gauge;
}

void mw_gauge_free(struct mw_gauge *gauge)
{
    if (!gauge)
        return;
    free(gauge->last);
    free(gauge);
}

static int64_t part_end(const struct mw_gauge *gauge, size_t part)
{
    return part + 1 == PARTS ? gauge->end_us
                             : (int64_t)((double)gauge->end_us * ((double)part + 1) / PARTS);
}

/* The value held from from_us to to_us, which come in the order of time. */
static void hold(struct mw_gauge *gauge, int64_t from_us, int64_t to_us)
{
    int64_t last_us = from_us > gauge->last_us ? from_us : gauge->last_us;

    while (from_us < to_us) {
        int64_t end_us = part_end(gauge, gauge->part);
        int64_t until_us = end_us < to_us ? end_us : to_us;

        if (until_us > from_us) {
            gauge->parts[gauge->part].known_us += (double)(until_us - from_us);
            gauge->parts[gauge->part].byte_us +=
                (double)gauge->bytes * (double)(until_us - from_us);
            from_us = until_us;
        }
        if (from_us >= end_us && gauge->part + 1 < PARTS)
            gauge->part++;
    }
    if (to_us <= last_us)
        return;
    if (!mw_array_reserve(&gauge->last, gauge->last_count, &gauge->last_room, sizeof *gauge->last))
        gauge->out_of_memory = true;
    else
        gauge->last[gauge->last_count++] = (struct hold){gauge->bytes, to_us - last_us};
}

/* The value that holds does so up to to_us, but for the holes on the way. */
static void advance(struct mw_gauge *gauge, int64_t to_us)
{
    int64_t from_us = gauge->since_us;

    if (to_us > gauge->end_us)
        to_us = gauge->end_us;
    while (gauge->next_hole < gauge->hole_count && gauge->holes[gauge->next_hole].to_us <= from_us)
        gauge->next_hole++;
    for (size_t i = gauge->next_hole; i < gauge->hole_count && from_us < to_us; i++) {
        const struct mw_hole *hole = &gauge->holes[i];

        if (hole->from_us >= to_us)
            break;
        hold(gauge, from_us, hole->from_us);
        if (hole->to_us > from_us)
            from_us = hole->to_us;
    }
    hold(gauge, from_us, to_us);
}

int mw_gauge_add(struct mw_gauge *gauge, int64_t t_us, int64_t bytes)
{
    if (t_us < 0)
        t_us = 0;
    if (gauge->holds && t_us > gauge->since_us)
        advance(gauge, t_us);
    if (!gauge->holds || t_us > gauge->since_us)
        gauge->since_us = t_us;
    gauge->holds = true;
    gauge->bytes = bytes;
    return gauge->out_of_memory ? -ENOMEM : 0;
}

static int compare_holds(const void *a, const void *b)
{
    const struct hold *first = a, *second = b;

    return (first->bytes > second->bytes) - (first->bytes < second->bytes);
}

/* The median of what held in the last moments, by time; where nothing is known of them, the last
 * value. */
static int64_t median_at_end(struct mw_gauge *gauge)
{
    int64_t whole_us = 0, passed_us = 0;

    if (gauge->last_count == 0)
        return gauge->bytes;
    qsort(gauge->last, gauge->last_count, sizeof *gauge->last, compare_holds);
    for (size_t i = 0; i < gauge->last_count; i++)
        whole_us += gauge->last[i].length_us;
    for (size_t i = 0; i < gauge->last_count; i++) {
        passed_us += gauge->last[i].length_us;
        if (passed_us * 2 >= whole_us)
            return gauge->last[i].bytes;
    }
    return gauge->bytes;
}

static double mean(const struct mw_gauge *gauge)
{
    double known_us = 0, byte_us = 0;

    for (size_t i = 0; i < PARTS; i++) {
        known_us += gauge->parts[i].known_us;
        byte_us += gauge->parts[i].byte_us;
    }
    return known_us > 0 ? byte_us / known_us : -1;
}

/* Through the parts of which at least half is known. */
static bool find_growth(const struct mw_gauge *gauge, double *ret_slope)
{
    double length_us = (double)gauge->end_us / PARTS;
    double means[PARTS];
    size_t count = 0;

    for (size_t i = 0; i < PARTS; i++) {
        double known_us = gauge->parts[i].known_us;

        bool known = known_us > 0 && known_us * 2 >= length_us;

        means[i] = known ? gauge->parts[i].byte_us / known_us : NAN;
        count += known;
    }
    if (gauge->end_us < SECOND_US || count < LEAST_PARTS)
        return false;
    *ret_slope = mw_sen_slope(means, PARTS) / (length_us / 1e6);
    return true;
}

int mw_gauge_finish(struct mw_gauge *gauge, struct mw_figures *ret_figures)
{
    struct mw_figures figures = {0};

    if (gauge->holds)
        advance(gauge, gauge->end_us);
    if (gauge->out_of_memory)
        return -ENOMEM;
    figures.mean_bytes = mean(gauge);
    if (!gauge->holds || figures.mean_bytes < 0)
        return 0;
    figures.final_bytes = median_at_end(gauge);
    figures.has_growth = find_growth(gauge, &figures.growth_bytes_per_s);
    *ret_figures = figures;
    return 1;
}
