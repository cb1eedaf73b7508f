#include "cmd/picture.h"

#include "cmd/command.h"
#include "plot/gnuplot.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <string.h>

/* A kind of file, by its extension. A new format is a row here and one in plot/script. */
static const struct {
    const char *extension;
    enum mw_plot_format format;
    bool script; /* the file is the script itself */
} formats[] = {
    {".png", MW_PLOT_PNG, false},  {".svg", MW_PLOT_SVG, false}, {".pdf", MW_PLOT_PDF, false},
    {".txt", MW_PLOT_TEXT, false}, {".gp", MW_PLOT_PNG, true},
};

int picture_choose(const char *path, struct picture *ret_picture)
{
    const char *extension = strrchr(path, '.');

    for (size_t i = 0; extension && i < MW_COUNT(formats); i++) {
        if (strcmp(extension, formats[i].extension) == 0) {
            *ret_picture = (struct picture){.canvas = {.format = formats[i].format},
                                            .script = formats[i].script};
            return CMD_OK;
        }
    }
    cmd_message("cannot tell from the name %s what to draw: it must end in .png, .svg, .pdf, "
                ".txt or .gp",
                path);
    return CMD_USAGE;
}

void picture_set_options(const struct mw_plot_canvas *canvas, struct chart_options *options)
{
    options->columns = mw_plot_columns(canvas);
    options->letters = !mw_plot_has_lanes(canvas);
}

char *picture_beside(const char *path, const char *extension)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    size_t stem = dot && dot > (slash ? slash + 1 : path) ? (size_t)(dot - path) : strlen(path);
    char *result;

    return asprintf(&result, "%.*s%s", (int)stem, path, extension) < 0 ? NULL : result;
}

int picture_write_script(FILE *out, const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                         const char *output)
{
    struct mw_error error;

    if (mw_plot_script(out, plot, canvas, output, &error) < 0)
        return cmd_fail(&error);
    if (fflush(out) != 0) {
        cmd_message("cannot write the script: %s", strerrordesc_np(errno));
        return CMD_FAILED;
    }
    return CMD_OK;
}

/* A script draws a PNG beside itself. */
static int write_script_file(const struct picture *picture, const struct mw_plot *plot,
                             const char *path)
{
    mw_auto_free char *drawing = picture_beside(path, ".png");
    mw_auto_file FILE *out = fopen(path, "we");

    if (!out) {
        cmd_message("cannot write %s: %s", path, strerrordesc_np(errno));
        return CMD_FAILED;
    }
    return picture_write_script(out, plot, &picture->canvas, drawing);
}

int picture_draw(const struct picture *picture, const struct mw_plot *plot, const char *path)
{
    struct mw_error error;

    if (picture->script)
        return write_script_file(picture, plot, path);
    if (mw_gnuplot_draw(plot, &picture->canvas, path, &error) < 0)
        return cmd_fail(&error);
    return CMD_OK;
}
