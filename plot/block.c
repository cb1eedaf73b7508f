#include "plot/block.h"

#include <math.h>
#include <stdint.h>

/* Six digits for the whole axis: ten times finer than any canvas. */
enum { AXIS_DIGITS = 6 };

/* A row in thousandths (or whatever the axes' digits say) of a unit. */
struct row {
    int64_t t, value, low, high;
};

/* What turns seconds and bytes into the whole numbers of a row. */
struct scale {
    double t, bytes;
    int t_decimals, bytes_decimals;
};

static int decimals_for(double span)
{
    int decimals = AXIS_DIGITS - 1 - (int)floor(log10(span));

    return decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
}

static struct scale scale_of(const struct mw_block *block)
{
    struct scale scale = {
        .t_decimals = decimals_for(block->x->high - block->x->low),
        .bytes_decimals = decimals_for(block->y->high),
    };

    scale.t = pow(10, scale.t_decimals) / block->x->per_unit;
    scale.bytes = pow(10, scale.bytes_decimals) / block->y->per_unit;
    return scale;
}

/* Whether the number can be a coordinate: finite, and well inside an int64_t. */
static bool is_drawable(double number)
{
    return fabs(number) < 1e18;
}

/* Writes number / 10^decimals at the end of a buffer; returns where it begins. */
static char *put_fixed(char *end, int64_t number, int decimals)
{
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char *at = end;

    for (int digit = 0; digit <= decimals || rest > 0; digit++) {
        if (digit == decimals && decimals > 0)
            *--at = '.';
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (number < 0)
        *--at = '-';
    return at;
}

static void put_row(FILE *out, const struct scale *scale, const struct row *row, bool band)
{
    char buffer[128];
    char *end = buffer + sizeof buffer;
    char *at = end;

    *--at = '\n';
    if (band) {
        at = put_fixed(at, row->high, scale->bytes_decimals);
        *--at = ' ';
        at = put_fixed(at, row->low, scale->bytes_decimals);
        *--at = ' ';
    }
    at = put_fixed(at, row->value, scale->bytes_decimals);
    *--at = ' ';
    at = put_fixed(at, row->t, scale->t_decimals);
    fwrite_unlocked(at, 1, (size_t)(end - at), out);
}

void mw_block_begin(const struct mw_block *block, const char *name, size_t number)
{
    fprintf(block->out, "$%s%zu << END\n", name, number);
}

void mw_block_end(const struct mw_block *block)
{
    fputs("END\n", block->out);
}

void mw_block_break(const struct mw_block *block)
{
    fputc('\n', block->out);
}

void mw_block_row(const struct mw_block *block, double t_s, double bytes)
{
    struct scale scale = scale_of(block);
    double t = t_s * scale.t, value = bytes * scale.bytes;

    if (is_drawable(t) && is_drawable(value))
        put_row(block->out, &scale, &(struct row){.t = llround(t), .value = llround(value)}, false);
    else
        mw_block_break(block);
}

/* A curve on its way into its block. */
struct pen {
    const struct mw_block *block;
    const struct mw_block_line *line;
    struct scale scale;
    struct row last;          /* what holds now; last.t is how far it is known to hold */
    int64_t written_t;        /* of the last row */
    bool down;                /* inside a stretch without interruption */
    size_t rows, rows_before; /* all of them; those before this stretch */
};

static void pen_put(struct pen *pen, struct row row)
{
    put_row(pen->block->out, &pen->scale, &row, pen->line->band);
    pen->written_t = row.t;
    pen->rows++;
}

static void pen_put_held(struct pen *pen, int64_t until)
{
    struct row held = pen->last;

    held.t = until;
    if (until > pen->written_t)
        pen_put(pen, held);
}

/* The line arrives at a point: first the stroke over its range where the line shows it itself. */
static void pen_arrive(struct pen *pen, struct row row)
{
    struct row end = row;

    if (pen->line->strokes && row.low < row.high) {
        end.value = row.low;
        pen_put(pen, end);
        end.value = row.high;
        pen_put(pen, end);
    }
    pen_put(pen, row);
    pen->last = row;
    pen->down = true;
}

/* Ends a stretch that held until the given time. One that has no length yet becomes a dot. */
static void pen_lift(struct pen *pen, int64_t until)
{
    if (!pen->down)
        return;
    if (!pen->line->straight)
        pen_put_held(pen, until);
    if (pen->line->dot_s > 0 && pen->rows == pen->rows_before + 1)
        pen_put_held(pen, pen->written_t + llround(pen->line->dot_s * pen->scale.t) + 1);
    pen->down = false;
    pen->rows_before = pen->rows;
}

static bool same_value(const struct row *one, const struct row *other)
{
    return one->value == other->value && one->low == other->low && one->high == other->high;
}

static void pen_move(struct pen *pen, struct row row)
{
    if (pen->down && !pen->line->straight) {
        /* A value that goes on needs no row; when it changes, it held until then. */
        if (same_value(&pen->last, &row)) {
            pen->last.t = row.t;
            return;
        }
        pen_put_held(pen, row.t);
    }
    pen_arrive(pen, row);
}

static struct row row_of(const struct scale *scale, const struct mw_plot_point *point)
{
    double low = fmin(point->low, point->value), high = fmax(point->high, point->value);

    /* fmin and fmax take the value where low or high is NAN. */
    return (struct row){
        .t = llround(point->t_s * scale->t),
        .value = llround(point->value * scale->bytes),
        .low = llround((is_drawable(low * scale->bytes) ? low : point->value) * scale->bytes),
        .high = llround((is_drawable(high * scale->bytes) ? high : point->value) * scale->bytes),
    };
}

void mw_block_curve(const struct mw_block *block, const struct mw_plot_curve *curve,
                    const struct mw_block_line *line)
{
    struct pen pen = {.block = block, .line = line, .scale = scale_of(block)};

    for (size_t i = 0; i < curve->point_count; i++) {
        const struct mw_plot_point *point = &curve->points[i];

        if (!is_drawable(point->t_s * pen.scale.t))
            continue;
        if (is_drawable(point->value * pen.scale.bytes)) {
            pen_move(&pen, row_of(&pen.scale, point));
        } else if (pen.down) {
            pen_lift(&pen, llround(point->t_s * pen.scale.t));
            mw_block_break(block);
        }
    }
    pen_lift(&pen, pen.last.t);
}
