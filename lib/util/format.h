/*
 * Numbers as people read them. Each function writes a terminated string of at most MW_FORMAT_SIZE
 * bytes into the caller's buffer and returns it, so that it can stand in an argument list.
 */
#ifndef MW_UTIL_FORMAT_H
#define MW_UTIL_FORMAT_H

#include <stdint.h>

enum { MW_FORMAT_SIZE = 32 };

/* Bytes with three significant digits in powers of 1024: "0 B", "812 KiB", "48.7 MiB", "-1.50 GiB",
 * "2 GiB".
 */
char *mw_format_bytes(char buffer[static MW_FORMAT_SIZE], int64_t bytes);

/* The same with a plus sign where it is more than nothing: "+5.28 MiB". */
char *mw_format_change(char buffer[static MW_FORMAT_SIZE], int64_t bytes);

/*
 * Bytes in the unit of time that suits a series of this length: "1.27 MiB/min", "-12 KiB/s".
 */
char *mw_format_rate(char buffer[static MW_FORMAT_SIZE], double bytes_per_s, double length_s);

/* A length of time: "35 us", "12.5 ms", "2.31 s", "5 min 3 s", "3 h 20 min", "12 d 4 h". */
char *mw_format_duration(char buffer[static MW_FORMAT_SIZE], int64_t ns);

/* A whole number with a comma between thousands: "12,345". */
char *mw_format_count(char buffer[static MW_FORMAT_SIZE], int64_t count);

/* A date and time in the local zone, from nanoseconds since 1970: "2026-05-03 14:07:31". */
char *mw_format_date(char buffer[static MW_FORMAT_SIZE], int64_t realtime_ns);

/* The same moment as RFC 3339 with microseconds, in UTC: "2026-05-03T12:07:31.250000Z". */
char *mw_format_rfc3339(char buffer[static MW_FORMAT_SIZE], int64_t realtime_ns);

#endif
