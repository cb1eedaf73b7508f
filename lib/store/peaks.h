/*
 * The highest memory of each process and of the run, as it is written. Private to lib/store.
 */
#ifndef MW_STORE_PEAKS_H
#define MW_STORE_PEAKS_H

#include "store/statements.h"

/* Keeps the peaks of a process and of the run, from samples and from high-water marks. */
void peaks_follow(struct mw_writer *writer, struct entity *entity, enum mw_metric metric,
                  int64_t t_us, int64_t kib);

/* The first process has ended with this mark (ru_maxrss): it covers what was used since its last
 * window. Where it was alone it was the tree. */
void peaks_end_root(struct mw_writer *writer, int64_t max_rss_kib);

/*
 * A recording that ends before its processes has just closed their last windows, at duration_us or
 * later, where it could. Only a process that ran one program throughout had no window cut off by an
 * exec.
 */
void peaks_detach(struct mw_writer *writer);

/* Stores a peak that has grown since it was last stored; and those of all processes and the run. */
int peaks_flush(struct mw_writer *writer, enum statement which, int64_t row, struct high *high,
                struct mw_error *error);
int peaks_flush_all(struct mw_writer *writer, struct mw_error *error);

/* As the column peak_source calls it. */
const char *peaks_source(bool kernel);

#endif
