#include "record/summits.h"

#include "util/array.h"

#include <stdlib.h>
#include <string.h>

bool mw_summits_add(struct mw_summits *summits, const struct mw_summit *summit)
{
    size_t place = summits->count, first;

    while (place > 0 && summits->summits[place - 1].key_ns > summit->key_ns)
        place--;
    if (place < summits->count && summits->summits[place].kib >= summit->kib)
        return true;
    first = place;
    while (first > 0 && summits->summits[first - 1].kib <= summit->kib)
        first--;
    if (!mw_array_reserve(&summits->summits, summits->count, &summits->room,
                          sizeof *summits->summits))
        return false;
    memmove(summits->summits + first + 1, summits->summits + place,
            (summits->count - place) * sizeof *summits->summits);
    summits->summits[first] = *summit;
    summits->count -= place - first;
    summits->count++;
    return true;
}

const struct mw_summit *mw_summits_since(const struct mw_summits *summits, int64_t since_ns)
{
    size_t low = 0, high = summits->count;

    /* Most questions are about a moment ago. */
    if (high > 1 && summits->summits[high - 2].key_ns < since_ns)
        low = high - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (summits->summits[middle].key_ns < since_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low < summits->count ? &summits->summits[low] : NULL;
}

void mw_summits_clear(struct mw_summits *summits)
{
    free(summits->summits);
    *summits = (struct mw_summits){0};
}
