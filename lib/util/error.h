/*
 * What went wrong, in a sentence that a user can act on.
 *
 * A function that can fail returns 0 (or a count) on success and a negative errno on failure; with
 * a failure it fills a struct mw_error. Nothing in lib prints: cmd turns the sentence into a
 * message and the code into an exit status.
 */
#ifndef MW_UTIL_ERROR_H
#define MW_UTIL_ERROR_H

struct mw_error {
    int code;       /* negative errno; 0 while nothing has failed */
    char text[512]; /* one line without a newline, cut where it is longer */
};

/*
 * Fills error (which may be NULL) and returns code, so that a caller can write
 * `return mw_error_set(error, -ENOENT, "...")`.
 */
int mw_error_set(struct mw_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: appends ": " and what errno_value means; returns -errno_value.
 */
int mw_error_errno(struct mw_error *error, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
