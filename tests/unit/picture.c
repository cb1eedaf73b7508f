#include "picture.h"

#include <stdio.h>
#include <string.h>

struct mw_plot picture_empty(void)
{
    return (struct mw_plot){.title = "title", .from_s = 0, .to_s = 4, .y_label = "memory"};
}

char *picture_script(const struct mw_plot *plot, const struct mw_plot_canvas *canvas)
{
    struct mw_error error = {0};
    char *script = NULL;
    size_t size;
    FILE *out = open_memstream(&script, &size);

    assert_non_null(out);
    assert_int_equal(mw_plot_script(out, plot, canvas, NULL, &error), 0);
    assert_int_equal(fclose(out), 0);
    return script;
}

size_t picture_count(const char *text, const char *word)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
}
