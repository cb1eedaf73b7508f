#include "analysis/segments.h"

#include <math.h>
#include <stdbool.h>

/* Sums over the values before each place, of those that are known. */
struct sums {
    double n[MW_SEGMENT_VALUES + 1], x[MW_SEGMENT_VALUES + 1], xx[MW_SEGMENT_VALUES + 1];
    double y[MW_SEGMENT_VALUES + 1], yy[MW_SEGMENT_VALUES + 1], xy[MW_SEGMENT_VALUES + 1];
};

static void sum_up(const double *values, size_t count, double origin, struct sums *sums)
{
    *sums = (struct sums){0};
    for (size_t i = 0; i < count; i++) {
        bool known = !isnan(values[i]);
        double x = known ? (double)i : 0, y = known ? values[i] - origin : 0;

        sums->n[i + 1] = sums->n[i] + known;
        sums->x[i + 1] = sums->x[i] + x;
        sums->xx[i + 1] = sums->xx[i] + x * x;
        sums->y[i + 1] = sums->y[i] + y;
        sums->yy[i + 1] = sums->yy[i] + y * y;
        sums->xy[i + 1] = sums->xy[i] + x * y;
    }
}

/* The least-squares line over a stretch, and what it leaves; INFINITY where it has too few values.
 */
static double fit_line(const struct sums *sums, size_t from, size_t to, double *ret_slope,
                       double *ret_at_from)
{
    double n = sums->n[to] - sums->n[from], x, y, xx, xy, yy;

    if (n < MW_SEGMENT_LEAST)
        return INFINITY;
    x = (sums->x[to] - sums->x[from]) / n;
    y = (sums->y[to] - sums->y[from]) / n;
    xx = sums->xx[to] - sums->xx[from] - n * x * x;
    xy = sums->xy[to] - sums->xy[from] - n * x * y;
    yy = sums->yy[to] - sums->yy[from] - n * y * y;
    *ret_slope = xy / xx;
    *ret_at_from = y + *ret_slope * ((double)from - x);
    return fmax(yy - xy * xy / xx, 0);
}

/* What is left by the best cuts of the values before each place into 1, 2 … lines. */
struct table {
    double rest[MW_SEGMENTS_MOST][MW_SEGMENT_VALUES + 1];
    size_t cut[MW_SEGMENTS_MOST][MW_SEGMENT_VALUES + 1];
};

static void fill_table(const struct sums *sums, size_t count, struct table *table)
{
    double slope, at_from;

    for (size_t to = 0; to <= count; to++)
        table->rest[0][to] = fit_line(sums, 0, to, &slope, &at_from);
    for (size_t lines = 1; lines < MW_SEGMENTS_MOST; lines++) {
        for (size_t to = 0; to <= count; to++) {
            table->rest[lines][to] = INFINITY;
            for (size_t cut = MW_SEGMENT_LEAST; cut < to; cut++) {
                double rest =
                    table->rest[lines - 1][cut] + fit_line(sums, cut, to, &slope, &at_from);

                if (rest < table->rest[lines][to]) {
                    table->rest[lines][to] = rest;
                    table->cut[lines][to] = cut;
                }
            }
        }
    }
}

/* Walks the table back from the end. */
static void follow(const struct sums *sums, const struct table *table, size_t lines, size_t count,
                   struct mw_segment *ret_segments)
{
    size_t to = count;

    for (size_t i = lines; i-- > 0;) {
        struct mw_segment *segment = &ret_segments[i];

        segment->to = to;
        segment->from = i > 0 ? table->cut[i][to] : 0;
        fit_line(sums, segment->from, segment->to, &segment->slope, &segment->at_from);
        to = segment->from;
    }
}

/* How alike neighbouring residuals of a segmentation are: from 0 to .95. */
static double correlation(const double *values, double origin, const struct mw_segment *segments,
                          size_t lines)
{
    double products = 0, squares = 0;

    for (size_t s = 0; s < lines; s++) {
        double before = NAN;

        for (size_t i = segments[s].from; i < segments[s].to; i++) {
            double rest = values[i] - origin - segments[s].at_from -
                          segments[s].slope * (double)(i - segments[s].from);

            if (!isnan(rest))
                squares += rest * rest;
            if (!isnan(rest * before))
                products += rest * before;
            before = rest;
        }
    }
    return squares > 0 ? fmin(fmax(products / squares, 0), .95) : 0;
}

size_t mw_segments(const double *values, size_t count, struct mw_segment *ret_segments)
{
    enum { PARAMETERS = 5 }; /* that a further segment costs */
    double origin = NAN, best = INFINITY, least, likeness, weight;
    size_t most = 0;
    struct sums sums;
    struct table table;
    size_t lines = 0;

    count = count < MW_SEGMENT_VALUES ? count : MW_SEGMENT_VALUES;
    for (size_t i = 0; i < count && isnan(origin); i++)
        origin = values[i];
    sum_up(values, count, origin, &sums);
    fill_table(&sums, count, &table);
    /* What is rounding is not worth a segment. */
    least = 1e-12 * (sums.yy[count] + 1e-300);
    while (most < MW_SEGMENTS_MOST && !isinf(table.rest[most][count]))
        most++;
    if (most == 0)
        return 0;
    follow(&sums, &table, most, count, ret_segments);
    likeness = correlation(values, origin, ret_segments, most);
    weight = sums.n[count] * (1 - likeness) / (1 + likeness);
    for (size_t n = 1; n <= most; n++) {
        double criterion = weight * log((table.rest[n - 1][count] + least) / sums.n[count]) +
                           PARAMETERS * (double)n * log(sums.n[count]);

        if (criterion < best) {
            best = criterion;
            lines = n;
        }
    }
    follow(&sums, &table, lines, count, ret_segments);
    for (size_t i = 0; i < lines; i++)
        ret_segments[i].at_from += origin;
    return lines;
}
