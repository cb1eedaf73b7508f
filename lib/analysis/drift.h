/*
 * A trend in a series whose noise may itself wander.
 *
 * The model: value = constant + regressors + level + white noise, where the level goes on from what
 * it was: it keeps a share `stay` of it and moves by a random step. With stay = 1 it is a random
 * walk, in which every shock stays for ever; below, it returns to its line sooner or later. `walk`
 * is the share of the steps' variance in that of steps and white noise together: 0 is white noise
 * alone. Both are estimated by restricted likelihood, in favour of the walk where the series does
 * not clearly say otherwise, and the regressors fitted by generalised least squares under them. So
 * an error is that of a trend in such noise, where least squares alone, and Mann-Kendall, take a
 * random walk for a trend.
 */
#ifndef MW_ANALYSIS_DRIFT_H
#define MW_ANALYSIS_DRIFT_H

#include <stdbool.h>
#include <stddef.h>

enum { MW_DRIFT_REGRESSORS = 2, MW_DRIFT_VALUES = 64 };

struct mw_drift {
    double factor[MW_DRIFT_REGRESSORS]; /* by which each regressor is in the series */
    double error[MW_DRIFT_REGRESSORS];  /* its standard error */
    double covariance;                  /* of the two factors */
    double stay, walk;
    double likelihood; /* logarithm: for comparing regressors */
    size_t freedom;    /* degrees of freedom of the errors */
};

/*
 * Fits a constant and the regressors (one or two, as long as the series; each value known) to at
 * most MW_DRIFT_VALUES values. A value that is NAN is not known. False where there is too little
 * to fit.
 */
bool mw_drift_fit(const double *values, size_t count, const double *const *regressors,
                  size_t regressor_count, struct mw_drift *ret_fit);

/* What Student's t with this many degrees of freedom exceeds with a probability of 2.5 %. */
double mw_student_975(size_t freedom);

#endif
