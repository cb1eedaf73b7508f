#include "util/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names in a message may hold anything; a message is one line all the same. */
static void make_one_line(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
    }
}

int mw_error_set(struct mw_error *error, int code, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return code;
    error->code = code;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    make_one_line(error->text);
    return code;
}

int mw_error_errno(struct mw_error *error, int errno_value, const char *format, ...)
{
    va_list arguments;
    char what[sizeof error->text];

    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return mw_error_set(error, -errno_value, "%s: %s", what, strerrordesc_np(errno_value));
}
