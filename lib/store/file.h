/*
 * A memwatch file as seen from outside: which it is, and whether it is being recorded. None of this
 * opens a database, and none of it disturbs a recorder.
 */
#ifndef MW_STORE_FILE_H
#define MW_STORE_FILE_H

#include <stdbool.h>

/* "mwch": the application id in the header of a memwatch file. */
#define MW_FILE_APPLICATION_ID 0x6D776368

/* Whether the regular file at path says of itself that it is a memwatch file. */
bool mw_file_is_memwatch(const char *path);

/* Whether a recorder that lives has the file at path locked. False where it cannot be known. */
bool mw_file_is_recording(const char *path);

/*
 * Takes the recorder's lock on the open file: returns 0, -EBUSY when another has it, or the errno.
 * The lock goes with the descriptor, so with the process at the latest. It is a byte far behind
 * those that SQLite locks. Caution: closing any descriptor of a file drops the locks that SQLite
 * holds on it in this process, so this one must stay open until SQLite has closed the file.
 */
int mw_file_lock(int fd);

/*
 * Whether an open file is on a network file system. Write-ahead logging needs memory that all
 * readers and the writer share, so one machine.
 */
bool mw_file_is_remote(int fd);

#endif
