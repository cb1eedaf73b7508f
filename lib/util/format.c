#include "util/format.h"

#include "util/array.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

/* A number with three significant digits and no exponent; a whole one without decimals. */
static void put_scaled(char buffer[static MW_FORMAT_SIZE], double number, const char *unit)
{
    double size = fabs(number);
    int decimals = size == round(size) ? 0
                   : size < 0.9995     ? 3
                   : size < 9.995      ? 2
                   : size < 99.95      ? 1
                                       : 0;

    snprintf(buffer, MW_FORMAT_SIZE, "%.*f %s", decimals, number, unit);
}

char *mw_format_bytes(char buffer[static MW_FORMAT_SIZE], int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double number = (double)bytes;
    size_t unit = 0;

    /* 999.5 and above would need a fourth digit. */
    while (fabs(number) >= 999.5 && unit + 1 < MW_COUNT(units)) {
        number /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(buffer, MW_FORMAT_SIZE, "%" PRId64 " B", bytes);
    else
        put_scaled(buffer, number, units[unit]);
    return buffer;
}

char *mw_format_change(char buffer[static MW_FORMAT_SIZE], int64_t bytes)
{
    char plain[MW_FORMAT_SIZE];

    snprintf(buffer, MW_FORMAT_SIZE, "%s%.30s", bytes > 0 ? "+" : "",
             mw_format_bytes(plain, bytes));
    return buffer;
}

char *mw_format_rate(char buffer[static MW_FORMAT_SIZE], double bytes_per_s, double length_s)
{
    static const struct {
        double longest_s, seconds;
        const char *name;
    } units[] = {{120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}, {INFINITY, 86400, "d"}};
    static const double most = 0x1p62;
    char bytes[MW_FORMAT_SIZE];
    double number;
    size_t unit = 0;

    while (length_s > units[unit].longest_s)
        unit++;
    number = fmin(fmax(bytes_per_s * units[unit].seconds, -most), most);
    snprintf(buffer, MW_FORMAT_SIZE, "%.20s/%s", mw_format_bytes(bytes, llround(number)),
             units[unit].name);
    return buffer;
}

char *mw_format_duration(char buffer[static MW_FORMAT_SIZE], int64_t ns)
{
    double seconds = (double)ns / 1e9;
    int64_t whole = (int64_t)llround(seconds);

    if (ns == 0)
        snprintf(buffer, MW_FORMAT_SIZE, "0 s");
    else if (fabs(seconds) < 999.5e-9)
        snprintf(buffer, MW_FORMAT_SIZE, "%" PRId64 " ns", ns);
    else if (fabs(seconds) < 999.5e-6)
        put_scaled(buffer, seconds * 1e6, "us");
    else if (fabs(seconds) < 999.5e-3)
        put_scaled(buffer, seconds * 1e3, "ms");
    else if (whole < 60)
        put_scaled(buffer, seconds, "s");
    else if (whole < 3600)
        snprintf(buffer, MW_FORMAT_SIZE, "%" PRId64 " min %" PRId64 " s", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(buffer, MW_FORMAT_SIZE, "%" PRId64 " h %" PRId64 " min", whole / 3600,
                 whole % 3600 / 60);
    else
        snprintf(buffer, MW_FORMAT_SIZE, "%" PRId64 " d %" PRId64 " h", whole / 86400,
                 whole % 86400 / 3600);
    return buffer;
}

char *mw_format_count(char buffer[static MW_FORMAT_SIZE], int64_t count)
{
    char digits[MW_FORMAT_SIZE];
    int length = snprintf(digits, sizeof digits, "%" PRId64, count);
    int sign = count < 0;
    char *out = buffer;

    for (int i = 0; i < length; i++) {
        if (i > sign && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return buffer;
}

char *mw_format_date(char buffer[static MW_FORMAT_SIZE], int64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000);
    struct tm date;

    if (!localtime_r(&seconds, &date) ||
        strftime(buffer, MW_FORMAT_SIZE, "%Y-%m-%d %H:%M:%S", &date) == 0)
        snprintf(buffer, MW_FORMAT_SIZE, "?");
    return buffer;
}

char *mw_format_rfc3339(char buffer[static MW_FORMAT_SIZE], int64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000);
    int microseconds = (int)(realtime_ns % 1000000000 / 1000);
    struct tm date;
    size_t length;

    if (!gmtime_r(&seconds, &date) ||
        (length = strftime(buffer, MW_FORMAT_SIZE, "%Y-%m-%dT%H:%M:%S", &date)) == 0 ||
        microseconds < 0)
        snprintf(buffer, MW_FORMAT_SIZE, "?");
    else
        snprintf(buffer + length, MW_FORMAT_SIZE - length, ".%06dZ", microseconds);
    return buffer;
}
