/*
 * Runs that the store's tests write, and what they read back.
 */
#ifndef MW_TESTS_RECORD_H
#define MW_TESTS_RECORD_H

#include "store/reader.h"
#include "store/writer.h"
#include "unit.h"

#include <sqlite3.h>

/* A run with every field set that begin_run takes. Nothing in it is to be freed. */
struct mw_run record_run(void);

/* Opens a file and begins a run whose first process has slot 0, an image and one sample. */
struct mw_writer *record_begin(const char *path);

/* A whole small recording: two processes, a tree, a gap, a call of a function. */
void record_small(const char *path);

void record_sample(struct mw_writer *writer, uint32_t slot, int64_t t_us, int64_t kib);

struct mw_reader *record_open(const char *path);

/* The runs of a file; the caller clears them with record_clear. */
struct mw_run *record_runs(const char *path, size_t *ret_count);
void record_clear(struct mw_run *runs, size_t count);

/* Samples as they come: how many, the first ones, and whether all was in order. */
struct record_samples {
    size_t count;
    struct mw_sample first[16], last;
    bool in_order;
};

struct record_samples record_read(const char *path, int64_t run, int64_t process, int64_t from_us,
                                  int64_t to_us);

/* Runs SQL on a file, whatever it takes; and a number that SQL gives. */
void record_sql(const char *path, const char *sql);
int64_t record_number(const char *path, const char *sql);

/* The whole file as bytes, and back. */
char *record_bytes(const char *path, size_t *ret_length);
void record_write(const char *path, const char *bytes, size_t length);

/* What opening and reading everything comes to: 0 or the code of the first failure. */
int record_read_all(const char *path, struct mw_error *ret_error);

#endif
