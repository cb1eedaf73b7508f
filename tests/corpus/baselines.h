/*
 * What others do with a series of memory: the detectors that memwatch is compared with. Each gives
 * the figures on which it decides; report.py puts thresholds to them, as they are published and as
 * they serve best on the development half.
 */
#ifndef MW_TESTS_CORPUS_BASELINES_H
#define MW_TESTS_CORPUS_BASELINES_H

#include "trace.h"

enum { PRECOG_VARIANTS = 9 };

struct baselines {
    double rise;  /* of the least-squares line over the trace, as a share of the mean */
    double reach; /* when that line reaches the limit: in lengths of the trace, from its end */
    double mann_kendall; /* Z of the Mann-Kendall test */
    double sen;          /* rise of the Theil-Sen line, as a share of the median */
    double hamed_rao;    /* Z of the Mann-Kendall test with the variance of Hamed and Rao */
    double precog; /* the largest R² of a rising line from a change point to the end; 0: none */
    double
        precog_scaled[PRECOG_VARIANTS]; /* with windows of a share of the trace: see the source */
};

void baselines_measure(struct baselines *ret, const struct corpus_trace *trace);

#endif
