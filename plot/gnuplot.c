#include "plot/gnuplot.h"

#include "util/array.h"
#include "util/ask.h"
#include "util/cleanup.h"
#include "util/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The descriptor on which gnuplot finds the script. */
enum { SCRIPT_FD = 3 };

/*
 * How long gnuplot may take to hand a window over before another terminal is tried (qt waits for
 * ever where its helper cannot start), and the helper of x11 to say that there is no display.
 */
enum { WINDOW_TIMEOUT_MS = 8000, HELPER_MS = 150 };

/* The terminals that open windows, the best first. */
static const char *const window_terminals[] = {"qt", "wxt", "x11"};

#define MISSING "gnuplot is not installed: apt install gnuplot-nox"

/* One run of gnuplot. Everything it says goes into memory, so that nobody has to read along. */
struct run {
    int script, output, messages;
    pid_t pid;
};

static void run_close(struct run *run)
{
    mw_cleanup_fd(&run->script);
    mw_cleanup_fd(&run->messages);
}

#define mw_auto_run mw_auto(run_close)

/*
 * A file in memory, or a negative errno. Its descriptor lies above those that gnuplot gets, so that
 * setting these cannot overwrite it, whatever was closed when memwatch was started.
 */
static int open_memory(const char *name, struct mw_error *error)
{
    mw_auto_fd int first = memfd_create(name, MFD_CLOEXEC);
    int fd = first < 0 ? -1 : fcntl(first, F_DUPFD_CLOEXEC, SCRIPT_FD + 1);

    return fd >= 0 ? fd : mw_error_errno(error, errno, "no memory for gnuplot's %s", name);
}

/* Writes the script into memory and makes the place for gnuplot's messages. */
static int run_prepare(struct run *run, const struct mw_plot *plot,
                       const struct mw_plot_canvas *canvas, struct mw_error *error)
{
    mw_auto_file FILE *script = NULL;
    int copy;

    if ((run->script = open_memory("script", error)) < 0)
        return run->script;
    if ((run->messages = open_memory("messages", error)) < 0)
        return run->messages;
    copy = fcntl(run->script, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || !(script = fdopen(copy, "w"))) {
        mw_cleanup_fd(&copy);
        return mw_error_errno(error, errno, "the gnuplot script could not be written");
    }
    return mw_plot_script(script, plot, canvas, NULL, error);
}

/*
 * The environment without what would change the drawing: GNUTERM chooses a terminal, GNUPLOT_LIB
 * adds places to load from, and a locale may put commas into numbers. The caller frees the array,
 * not the strings in it.
 */
static char **plain_environment(void)
{
    static char locale[] = "LC_ALL=C.UTF-8";
    static const char *const unwanted[] = {"GNUTERM=", "GNUPLOT_LIB=", "LC_ALL="};
    size_t count = 0, kept = 0;
    char **result;

    while (environ[count])
        count++;
    result = calloc(count + 2, sizeof *result);
    if (!result)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        bool wanted = true;

        for (size_t j = 0; j < MW_COUNT(unwanted); j++)
            wanted = wanted && strncmp(environ[i], unwanted[j], strlen(unwanted[j])) != 0;
        if (wanted)
            result[kept++] = environ[i];
    }
    result[kept] = locale;
    return result;
}

/* What the child finds on its descriptors; all others close on exec. */
static int set_descriptors(posix_spawn_file_actions_t *actions, const struct run *run)
{
    int code = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, run->output, STDOUT_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, run->messages, STDERR_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, run->script, SCRIPT_FD);
    return code;
}

/* Returns 0 or an errno. setting is a gnuplot command that is run first, or NULL. */
static int spawn(struct run *run, const char *setting, bool window)
{
    static char name[] = "gnuplot", no_init[] = "-d", script[] = "/dev/fd/3", execute[] = "-e";
    char *plain[] = {name, no_init, script, NULL};
    char *with_setting[] = {name, no_init, execute, NULL, script, NULL};
    mw_auto_free char **environment = plain_environment();
    mw_auto_free char *copy = setting ? strdup(setting) : NULL;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int leaves_session = window ? POSIX_SPAWN_SETSID : 0; /* the terminal's: a window outlives it */
    int code;

    if (!environment || (setting && !copy))
        return ENOMEM;
    with_setting[3] = copy;
    signal(SIGCHLD, SIG_DFL); /* whoever ignores it is not told how gnuplot ended */
    if ((code = posix_spawn_file_actions_init(&actions)) != 0)
        return code;
    if ((code = posix_spawnattr_init(&attributes)) == 0) {
        if ((code = set_descriptors(&actions, run)) == 0 &&
            (code = mw_spawn_attributes(&attributes, leaves_session)) == 0)
            code = posix_spawnp(&run->pid, name, &actions, &attributes, copy ? with_setting : plain,
                                environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static int run_start(struct run *run, const char *setting, bool window, struct mw_error *error)
{
    int code;

    /* Their positions are shared with the child: an earlier attempt left both at the end. */
    if (ftruncate(run->messages, 0) < 0 || lseek(run->messages, 0, SEEK_SET) < 0 ||
        lseek(run->script, 0, SEEK_SET) < 0)
        return mw_error_errno(error, errno, "gnuplot could not be started");
    code = spawn(run, setting, window);
    if (code == ENOENT)
        return mw_error_set(error, -ENOENT, MISSING);
    if (code != 0)
        return mw_error_errno(error, code, "gnuplot could not be started");
    return 0;
}

/*
 * The line that says what is wrong. gnuplot prints the offending command, a line with a caret, and
 * then '"/dev/fd/3" line 12: message'; warnings have the word in them. The last line that is no
 * warning is the one.
 */
static void find_message(int messages, char *line, size_t size)
{
    char text[4096];
    ssize_t length = pread(messages, text, sizeof text - 1, 0);
    char *rest = text, *at;

    snprintf(line, size, "it did not say why");
    text[length > 0 ? length : 0] = '\0';
    while ((at = strsep(&rest, "\n"))) {
        at += strspn(at, " \t^\f\r");
        if (*at != '\0' && !strstr(at, "warning:"))
            snprintf(line, size, "%s", at);
    }
}

static int run_failed(const struct run *run, int status, struct mw_error *error)
{
    char line[256];

    if (WIFSIGNALED(status))
        return mw_error_set(error, -EIO, "gnuplot was killed by signal %d (%s)", WTERMSIG(status),
                            strsignal(WTERMSIG(status)));
    find_message(run->messages, line, sizeof line);
    return mw_error_set(error, -EIO, "gnuplot could not draw: %s", line);
}

/* Waits for the end of gnuplot. */
static int run_wait(const struct run *run, struct mw_error *error)
{
    int status;

    while (waitpid(run->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return mw_error_errno(error, errno, "waiting for gnuplot");
    }
    return status == 0 ? 0 : run_failed(run, status, error);
}

static int run_gnuplot(const struct mw_plot *plot, const struct mw_plot_canvas *canvas, int output,
                       struct mw_error *error)
{
    mw_auto_run struct run run = {.script = -1, .output = output, .messages = -1};
    int code = run_prepare(&run, plot, canvas, error);

    if (code == 0)
        code = run_start(&run, NULL, false, error);
    return code < 0 ? code : run_wait(&run, error);
}

/* Writing the drawing */

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

/* The length of the escape sequence that begins at text, or 0. */
static size_t escape_length(const char *text, const char *end)
{
    const char *at = text;

    if (*at != '\033')
        return 0;
    while (at < end && *at != 'm')
        at++;
    return (size_t)(at - text) + (at < end);
}

/*
 * Copies a drawing made of letters. gnuplot begins it with a form feed, fills every line up with
 * blanks, and ends it with an empty line without its end.
 */
static int copy_letters(const char *text, size_t size, int to)
{
    static const char reset[] = "\033[0m";
    mw_auto_free char *clean = malloc(size + sizeof reset + 1);
    const char *end = text + size;
    size_t length = 0, seen = 0; /* seen: behind the last character that can be seen */
    bool coloured = false;

    if (!clean)
        return -ENOMEM;
    while (text < end) {
        size_t escape = escape_length(text, end);
        size_t step = escape > 0 ? escape : 1;

        coloured = coloured || escape > 0;
        if (*text == '\n')
            length = seen;
        if (*text != '\f') {
            memcpy(clean + length, text, step);
            length += step;
        }
        if (escape == 0 && *text != ' ' && *text != '\f')
            seen = length;
        text += step;
    }
    while (seen > 0 && clean[seen - 1] == '\n')
        seen--;
    if (coloured) {
        memcpy(clean + seen, reset, sizeof reset - 1);
        seen += sizeof reset - 1;
    }
    clean[seen++] = '\n';
    return write_all(to, clean, seen);
}

static bool is_letters(const struct mw_plot_canvas *canvas)
{
    return canvas->format == MW_PLOT_TEXT || canvas->format == MW_PLOT_TERMINAL;
}

static int copy_drawing(const struct mw_plot_canvas *canvas, int drawing, int to,
                        struct mw_error *error)
{
    struct stat stat;
    size_t size;
    void *data;
    int code;

    if (fstat(drawing, &stat) < 0 || stat.st_size == 0)
        return mw_error_set(error, -EIO, "gnuplot drew nothing");
    size = (size_t)stat.st_size;
    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, drawing, 0);
    if (data == MAP_FAILED)
        return mw_error_errno(error, errno, "the drawing could not be read");
    code = is_letters(canvas) ? copy_letters(data, size, to) : write_all(to, data, size);
    munmap(data, size);
    return code < 0 ? mw_error_errno(error, -code, "the drawing could not be written") : 0;
}

/*
 * gnuplot draws into memory, because it does not notice when a disk is full. So a failure of its
 * own, or a user who does not want to wait, leaves nothing half drawn either. Returns the
 * descriptor.
 */
static int draw_in_memory(const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                          struct mw_error *error)
{
    mw_auto_fd int drawing = open_memory("drawing", error);
    int code;

    if (drawing < 0)
        return drawing;
    if ((code = run_gnuplot(plot, canvas, drawing, error)) < 0)
        return code;
    return mw_take_fd(&drawing);
}

/* The permissions that open() would give a new file. The mask can only be read by setting it. */
static mode_t new_file_mode(void)
{
    mode_t mask = umask(022);

    umask(mask);
    return 0666 & ~mask;
}

/* Copies into a temporary file beside path, a regular file or none, which then takes its place. */
static int place_beside(const struct mw_plot_canvas *canvas, int drawing, const char *path,
                        mode_t mode, struct mw_error *error)
{
    mw_auto_free char *temporary = NULL;
    mw_auto_fd int fd = -1;
    int code;

    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return mw_error_set(error, -ENOMEM, "out of memory");
    if ((fd = mkostemp(temporary, O_CLOEXEC)) < 0)
        return mw_error_errno(error, errno, "%s", path);
    code = copy_drawing(canvas, drawing, fd, error);
    if (code == 0 && (fchmod(fd, mode) < 0 || rename(temporary, path) < 0))
        code = mw_error_errno(error, errno, "%s", path);
    if (code < 0)
        unlink(temporary);
    return code;
}

/* Brings a drawing to where it was asked for. */
static int place(const struct mw_plot_canvas *canvas, int drawing, const char *path,
                 struct mw_error *error)
{
    mw_auto_free char *real = NULL;
    mw_auto_fd int fd = -1;
    struct stat stat;

    if (!path) {
        fflush(stdout);
        return copy_drawing(canvas, drawing, STDOUT_FILENO, error);
    }
    /* A symbolic link stays: what it points to is replaced. */
    real = realpath(path, NULL);
    if (!real || lstat(real, &stat) < 0)
        return place_beside(canvas, drawing, path, new_file_mode(), error);
    if (S_ISREG(stat.st_mode))
        return place_beside(canvas, drawing, real, stat.st_mode & 0777, error);
    /* A pipe or a device cannot be replaced, and must not be. */
    if ((fd = open(path, O_WRONLY | O_CLOEXEC)) < 0)
        return mw_error_errno(error, errno, "%s", path);
    return copy_drawing(canvas, drawing, fd, error);
}

int mw_gnuplot_draw(const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                    const char *path, struct mw_error *error)
{
    mw_auto_fd int drawing = -1;

    if (canvas->format == MW_PLOT_WINDOW || (!path && !is_letters(canvas)))
        return mw_error_set(error, -EINVAL, "this picture needs a file to draw into");
    drawing = draw_in_memory(plot, canvas, error);
    return drawing < 0 ? drawing : place(canvas, drawing, path, error);
}

/* Windows */

static bool helper_failed(const struct run *run)
{
    char text[4096];
    ssize_t length;

    poll(NULL, 0, HELPER_MS);
    length = pread(run->messages, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return strstr(text, "unable to open display") || strstr(text, "aborted");
}

/*
 * gnuplot ends as soon as it has handed its window to a process of its own. If it does not, it is
 * ended here. Its end status alone says too little: x11's is 0 without a display.
 */
static int wait_for_window(const struct run *run, struct mw_error *error)
{
    mw_auto_fd int pidfd = pidfd_open(run->pid, 0);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int ready = 1, code;

    if (pidfd >= 0)
        while ((ready = poll(&ended, 1, WINDOW_TIMEOUT_MS)) < 0 && errno == EINTR)
            ;
    if (ready == 0)
        kill(run->pid, SIGKILL);
    code = run_wait(run, error);
    return code == 0 && helper_failed(run) ? -EIO : code;
}

/* Tries one terminal after the other: some are there and cannot open a window. */
static int try_terminals(struct run *run, struct mw_error *error)
{
    char setting[32];
    int code = 0;

    for (size_t i = 0; i < MW_COUNT(window_terminals); i++) {
        snprintf(setting, sizeof setting, "window = '%s'", window_terminals[i]);
        code = run_start(run, setting, true, error);
        if (code == 0)
            code = wait_for_window(run, error);
        if (code == 0 || code == -ENOENT)
            return code;
    }
    return mw_error_set(error, -ENOTSUP,
                        "gnuplot cannot open a window here: apt install gnuplot-qt, or draw into a "
                        "file with -o");
}

bool mw_gnuplot_has_display(void)
{
    const char *x11 = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

    return (x11 && *x11) || (wayland && *wayland);
}

int mw_gnuplot_show(const struct mw_plot *plot, const struct mw_plot_canvas *canvas,
                    struct mw_error *error)
{
    struct mw_plot_canvas window = *canvas;
    mw_auto_run struct run run = {.script = -1, .output = -1, .messages = -1};
    int code;

    window.format = MW_PLOT_WINDOW;
    if (!mw_gnuplot_has_display())
        return mw_error_set(error, -ENOTSUP, "there is no display to open a window on");
    if ((code = run_prepare(&run, plot, &window, error)) < 0)
        return code;
    run.output = run.messages;
    return try_terminals(&run, error);
}

/* Questions */

/* Whether a list of words with blanks between them has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; *at; at += strspn(at, " \t")) {
        size_t end = strcspn(at, " \t");

        if (end == length && strncmp(at, word, length) == 0)
            return true;
        at += end;
    }
    return false;
}

static void find_terminals(struct mw_gnuplot *gnuplot, const char *list)
{
    static const enum mw_plot_format formats[] = {MW_PLOT_PNG, MW_PLOT_SVG, MW_PLOT_PDF,
                                                  MW_PLOT_TEXT};
    struct mw_gnuplot_terminal *terminal = gnuplot->terminals;

    _Static_assert(MW_COUNT(formats) + MW_COUNT(window_terminals) == MW_GNUPLOT_TERMINALS,
                   "there is a place for each terminal");
    for (size_t i = 0; i < MW_COUNT(formats); i++)
        *terminal++ = (struct mw_gnuplot_terminal){.name = mw_plot_terminal(formats[i]),
                                                   .format = formats[i]};
    for (size_t i = 0; i < MW_COUNT(window_terminals); i++)
        *terminal++ =
            (struct mw_gnuplot_terminal){.name = window_terminals[i], .format = MW_PLOT_WINDOW};
    for (size_t i = 0; i < MW_GNUPLOT_TERMINALS; i++)
        gnuplot->terminals[i].present = has_word(list, gnuplot->terminals[i].name);
}

/* "5.4 4": the version and its patch level. */
static int read_version(struct mw_gnuplot *gnuplot, const char *text)
{
    char *rest;
    long major = strtol(text, &rest, 10), minor;

    if (rest == text || *rest != '.')
        return -EBADMSG;
    minor = strtol(rest + 1, &rest, 10);
    gnuplot->too_old = major < 5 || (major == 5 && minor < 4);
    snprintf(gnuplot->version, sizeof gnuplot->version, "%ld.%ld.%s", major, minor,
             rest + strspn(rest, " "));
    return 0;
}

int mw_gnuplot_ask(struct mw_gnuplot *ret_gnuplot, struct mw_error *error)
{
    static char name[] = "gnuplot", no_init[] = "-d", execute[] = "-e";
    static char question[] = "print 'memwatch-version ', GPVAL_VERSION, GPVAL_PATCHLEVEL;"
                             "print 'memwatch-terminals ', GPVAL_TERMINALS";
    enum { TIMEOUT_MS = 3000 };
    char *const arguments[] = {name, no_init, execute, question, NULL};
    mw_auto_free char **environment = plain_environment();
    struct mw_gnuplot gnuplot = {0};
    char answer[8192], version[24], list[4096];
    int code;

    if (!environment)
        return mw_error_errno(error, ENOMEM, "gnuplot cannot be asked");
    code = mw_ask(name, arguments, environment, TIMEOUT_MS, answer, sizeof answer, error);
    if (code < 0)
        return code;
    if (!mw_ask_find(answer, "memwatch-version", version, sizeof version) ||
        !mw_ask_find(answer, "memwatch-terminals", list, sizeof list) ||
        read_version(&gnuplot, version) < 0)
        return mw_error_set(error, -EBADMSG, "it does not answer as gnuplot does");
    find_terminals(&gnuplot, list);
    *ret_gnuplot = gnuplot;
    return 0;
}
