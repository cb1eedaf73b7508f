#include "store/high.h"

void high_allow(struct high *high, int64_t most_kib)
{
    if (most_kib <= high->upper_kib)
        return;
    high->upper_kib = most_kib;
    high->dirty = high->known;
}

void high_raise(struct high *high, const struct reached *reached)
{
    int64_t least_kib = reached->kib > reached->bound_kib ? reached->kib - reached->bound_kib : 0;

    high_allow(high, reached->kib + reached->bound_kib);
    if (!high->known || least_kib > high->kib) {
        high->kib = least_kib;
        high->from_us = reached->from_us;
        high->to_us = reached->to_us;
        high->kernel = reached->kernel;
        high->dirty = true;
    }
    high->known = true;
}

void high_unbound(struct high *high)
{
    high->dirty = high->dirty || (high->known && !high->unbounded);
    high->unbounded = true;
}

int64_t high_bound(const struct high *high)
{
    return high->closed && !high->unbounded ? high->upper_kib : -1;
}

void high_close(struct high *high, int64_t max_rss_kib, int64_t bound_kib)
{
    if (!high->known)
        return;
    high_allow(high, max_rss_kib + bound_kib);
    high->closed = high->dirty = true;
}
