#include "record/footprint.h"

static const struct mw_reached nothing = {.kib = -1};

void mw_footprint_begin(struct mw_footprint *footprint, const struct mw_calls_options *options)
{
    footprint->options = options;
    footprint->known_kib = -1;
    footprint->known_ns = footprint->reset_ns = footprint->window_ns = 0;
    footprint->resident = footprint->window = nothing;
    mw_footprint_forget(footprint);
}

void mw_footprint_clear(struct mw_footprint *footprint)
{
    mw_summits_clear(&footprint->samples);
    mw_summits_clear(&footprint->windows);
    mw_summits_clear(&footprint->uppers);
}

void mw_footprint_ask(struct mw_footprint *footprint)
{
    footprint->is_asked = true;
}

void mw_footprint_forget(struct mw_footprint *footprint)
{
    footprint->is_asked = false;
    footprint->samples.count = footprint->windows.count = footprint->uppers.count = 0;
}

static int64_t at_least_0(int64_t number)
{
    return number > 0 ? number : 0;
}

static int64_t to_us(const struct mw_footprint *footprint, int64_t t_ns)
{
    return at_least_0(t_ns - footprint->options->start_ns) / 1000;
}

/* Where memory ran out a sample says nothing, which is not wrong. */
void mw_footprint_sample(struct mw_footprint *footprint, int64_t t_ns, int64_t kib)
{
    if (t_ns >= footprint->known_ns) {
        footprint->known_ns = t_ns;
        footprint->known_kib = kib;
    }
    if (footprint->is_asked)
        mw_summits_add(&footprint->samples, &(struct mw_summit){t_ns, t_ns, t_ns, kib});
}

/* When a window began that ends now. That of one that another has overtaken is not known. */
static int64_t window_start(const struct mw_footprint *footprint, int64_t t_ns)
{
    return t_ns >= footprint->window_ns ? footprint->window_ns : 0;
}

bool mw_footprint_window(struct mw_footprint *footprint, int64_t t_ns, int64_t kib,
                         int64_t unseen_kib, int64_t reset_ns)
{
    int64_t from_ns = window_start(footprint, t_ns);

    if (t_ns > footprint->window_ns)
        footprint->window_ns = t_ns;
    /* What was not seen may have been at any moment up to then: later marks come after it. */
    if (reset_ns < footprint->reset_ns)
        reset_ns = footprint->reset_ns;
    footprint->reset_ns = reset_ns;
    if (!footprint->is_asked)
        return true;
    mw_summits_add(&footprint->windows, &(struct mw_summit){from_ns, from_ns, t_ns, kib});
    /* A bound that is not known bounds nothing. */
    return mw_summits_add(&footprint->uppers,
                          &(struct mw_summit){reset_ns, from_ns, reset_ns, kib + unseen_kib});
}

/* --- what marks read -------------------------------------------------------------------------- */

static void keep_highest(struct mw_reached *highest, const struct mw_reached *reached)
{
    int64_t most_kib = highest->kib + highest->unseen_kib;

    if (reached->kib + reached->unseen_kib > most_kib)
        most_kib = reached->kib + reached->unseen_kib;
    if (reached->kib > highest->kib)
        *highest = *reached;
    highest->unseen_kib = most_kib - highest->kib;
}

bool mw_footprint_mark(struct mw_footprint *footprint, const struct mw_mark *mark)
{
    int64_t t_us = to_us(footprint, mark->t_ns);
    bool is_bounded = true;

    if (mark->window_kib >= 0) {
        const struct mw_reached reached = {
            .from_us = to_us(footprint, window_start(footprint, mark->t_ns)),
            .to_us = t_us,
            .kib = mark->window_kib,
            .unseen_kib = mark->unseen_kib,
            .source = MW_PEAK_KERNEL};

        is_bounded = mw_footprint_window(footprint, mark->t_ns, mark->window_kib, mark->unseen_kib,
                                         mark->reset_ns > mark->t_ns ? mark->reset_ns : mark->t_ns);
        keep_highest(&footprint->window, &reached);
    }
    if (mark->resident_kib >= 0) {
        mw_footprint_sample(footprint, mark->t_ns, mark->resident_kib);
        keep_highest(&footprint->resident,
                     &(struct mw_reached){t_us, t_us, mark->resident_kib, 0, MW_PEAK_SAMPLED});
    }
    return is_bounded;
}

static int tell(struct mw_reached *highest, uint32_t slot, const struct mw_calls_sink *sink)
{
    const struct mw_reached reached = *highest;

    *highest = nothing;
    return reached.kib < 0 ? 0 : sink->reached(sink->context, slot, &reached);
}

int mw_footprint_tell(struct mw_footprint *footprint, uint32_t slot,
                      const struct mw_calls_sink *sink)
{
    int code = tell(&footprint->window, slot, sink);

    return code == 0 ? tell(&footprint->resident, slot, sink) : code;
}

/* --- peaks ------------------------------------------------------------------------------------ */

/* Takes in what was at least in use. What came late may be about the time behind the call. */
static void raise_peak(const struct mw_footprint *footprint, struct mw_peak *peak,
                       const struct mw_summit *summit, const struct mw_stretch *stretch,
                       int64_t bound_kib, enum mw_peak_source source)
{
    int64_t bytes;

    if (!summit || (!stretch->never && summit->to_ns > stretch->end_ns))
        return;
    bytes = at_least_0(summit->kib - bound_kib) * 1024;
    if (peak->known && bytes <= peak->bytes)
        return;
    *peak = (struct mw_peak){.known = true,
                             .bytes = bytes,
                             .upper_bytes = -1,
                             .from_us = to_us(footprint, summit->from_ns),
                             .to_us = to_us(footprint, summit->to_ns),
                             .source = source};
}

struct mw_peak mw_footprint_peak(const struct mw_footprint *footprint,
                                 const struct mw_stretch *stretch)
{
    const struct mw_calls_options *options = footprint->options;
    int64_t enter_ns = stretch->enter_ns;
    const struct mw_summit entry = {
        .from_ns = enter_ns, .to_ns = enter_ns, .kib = stretch->enter_kib};
    /* The window that its entry has ended is not its own; in a call without length nobody knows. */
    int64_t upper_ns = stretch->end_ns > enter_ns ? enter_ns + 1 : enter_ns;
    const struct mw_summit *upper = mw_summits_since(&footprint->uppers, upper_ns);
    struct mw_peak peak = {.known = false};

    raise_peak(footprint, &peak, stretch->enter_kib >= 0 ? &entry : NULL, stretch,
               options->rss_bound_kib, MW_PEAK_SAMPLED);
    raise_peak(footprint, &peak, mw_summits_since(&footprint->samples, enter_ns), stretch,
               options->rss_bound_kib, MW_PEAK_SAMPLED);
    raise_peak(footprint, &peak, mw_summits_since(&footprint->windows, enter_ns), stretch,
               options->peak_bound_kib, MW_PEAK_KERNEL);
    if (peak.known && stretch->bounded && upper) {
        int64_t bytes = (upper->kib + options->peak_bound_kib) * 1024;

        peak.upper_bytes = bytes > peak.bytes ? bytes : peak.bytes;
    }
    return peak;
}
