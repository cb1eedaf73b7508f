#include "cmd/doctor_checks.h"

#include "capture/launch.h"
#include "capture/probe.h"
#include "cmd/command.h"
#include "cmd/json.h"
#include "cmd/python.h"
#include "plot/gnuplot.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/format.h"
#include "util/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The timer is measured at 1 kHz: the shortest interval that is asked for often. */
static const int64_t timer_interval_ns = 1000000, timer_duration_ns = 1000000000;

/* The ways to find children that can be asked for by themselves, the best first. */
static const struct method {
    const char *name; /* of run's --tracking */
    enum mw_tracking tracking;
    enum check_status status;
    const char *headline, *in_short, *meaning;
} methods[] = {
    {"perf", MW_TRACKING_PERF, CHECK_OK, "every one is seen", "every child seen",
     "However short a child lives, its start, its programs and its end are in the record."},
    {"connector", MW_TRACKING_CONNECTOR, CHECK_OK, "every one is seen", "every child seen",
     "However short a child lives, its start, its programs and its end are in the record. The "
     "events of the whole machine pass by for it: perf costs less where there are many."},
    {"poll", MW_TRACKING_POLL, CHECK_LIMITED, "short-lived ones are missed",
     "short-lived children missed",
     "A child that lives for less than about 5 ms may be missed, and a time is that "
     "of the look which found it."},
};

enum { METHODS = MW_COUNT(methods) };

/* All that is found out, before it is put into words. */
struct findings {
    int64_t rss_bound_bytes;
    struct mw_probe_marks marks;
    struct mw_probe_tracking best, tracking[METHODS];
    struct mw_probe_timer timer;
    struct mw_gnuplot gnuplot;
    struct mw_error gnuplot_failure; /* its code is 0 where gnuplot answers */
    char *gnuplot_path;
    struct pythons pythons;
};

/* --- words ------------------------------------------------------------------------------------ */

/* Appends to a text that may be NULL. */
static void append(char **text, const char *before, const char *more)
{
    char *longer = cmd_words("%s%s%s", *text ? *text : "", *text ? before : "", more);

    if (longer) {
        free(*text);
        *text = longer;
    }
}

/* In front of what only root may do. */
static const char *as_root(void)
{
    return geteuid() == 0 ? "" : "sudo ";
}

/* The folder of Debian's programs: one that is there is only not in PATH. */
static bool is_there(const char *program)
{
    char path[64];

    snprintf(path, sizeof path, "/usr/bin/%s", program);
    return access(path, X_OK) == 0;
}

static char *extend_path(void)
{
    return cmd_words("export PATH=\"${PATH:+$PATH:}/usr/bin\"");
}

static char *install(const char *package)
{
    return cmd_words("%sapt install %s", as_root(), package);
}

static json_t *microseconds(int64_t ns)
{
    return ns < 0 ? json_null() : json_integer(ns / 1000);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void check_rss(struct check *check, const struct findings *findings)
{
    int64_t bound = findings->rss_bound_bytes;
    char bytes[MW_FORMAT_SIZE];

    if (bound == 0) {
        check->headline = cmd_words("exact");
        check->meaning =
            cmd_words("A sample is the memory that the process had in RAM at that moment "
                      "(resident set size).");
    } else {
        check->status = CHECK_LIMITED;
        check->headline = cmd_words("may be off by %s", mw_format_bytes(bytes, bound));
        check->meaning =
            cmd_words("This kernel lets each CPU hold back some pages of a process's "
                      "count; the error does not grow with time. Linux 6.16 and later, "
                      "and 6.12.39, count exactly.");
    }
    check->facts = json_pack("{s:b, s:I}", "exact", bound == 0, "bound_bytes", (json_int_t)bound);
}

static const char *why_not(int code)
{
    const char *text = strerrordesc_np(-code);

    if (code == -ENODATA)
        return "a spike did not show in it";
    return text ? text : "for no known reason";
}

static void check_peak_windows(struct check *check, const struct findings *findings)
{
    const struct mw_probe_marks *marks = &findings->marks;
    const char *why = why_not(marks->code);
    char bytes[MW_FORMAT_SIZE];

    if (marks->code == 0) {
        check->headline = cmd_words("caught between samples too, their height to within ±%s",
                                    mw_format_bytes(bytes, marks->bound_kib * 1024));
        check->meaning =
            cmd_words("From the kernel's peak counter (VmHWM), to which each CPU may not "
                      "have added some pages yet. memwatch resets it in the processes that "
                      "it records, so that time -v and getrusage read too low there. "
                      "memwatch run --peak-window off leaves it alone, and lacks what is "
                      "between samples.");
    } else {
        check->status = CHECK_MISSING;
        check->headline = cmd_words("no use of the kernel's high-water mark");
        check->meaning =
            cmd_words("What comes and goes between two samples is not in the record; a "
                      "shorter interval misses less. The kernel needs "
                      "CONFIG_PROC_PAGE_MONITOR (clear_refs: %s).",
                      why);
        check->improve = cmd_words("memwatch run --interval 0.001 PROGRAM");
    }
    check->facts = json_pack("{s:b, s:I, s:o}", "works", marks->code == 0, "bound_bytes",
                             (json_int_t)marks->bound_kib * 1024, "error",
                             marks->code ? json_string(why) : json_null());
}

/* --- tracking --------------------------------------------------------------------------------- */

static bool works(const struct findings *findings, enum mw_tracking tracking)
{
    for (size_t i = 0; i < METHODS; i++) {
        if (methods[i].tracking == tracking)
            return findings->tracking[i].failure.code == 0;
    }
    return false;
}

/* Which of the methods `best` has taken; NULL: none of them. */
static const struct method *best_method(const struct findings *findings)
{
    const char *best = findings->best.method;

    for (size_t i = 0; best && findings->best.failure.code == 0 && i < METHODS; i++) {
        const char *method = findings->tracking[i].method;

        if (method && strcmp(method, best) == 0)
            return &methods[i];
    }
    return NULL;
}

/* Why the kernel does not tell of children, and what could be done. */
static void explain_refusal(struct check *check, const char *why)
{
    mw_auto_free char *reason = NULL;
    int level = 0;
    bool known = mw_probe_paranoid(&level) == 0;

    if (getauxval(AT_SECURE)) {
        reason =
            cmd_words("memwatch has file capabilities or a set-id bit, which hide its children "
                      "from perf and take TMPDIR and LD_LIBRARY_PATH from the program.");
        check->improve = cmd_words("%ssetcap -r \"$(command -v memwatch)\"", as_root());
    } else if (known && level > 2) {
        reason = cmd_words("kernel.perf_event_paranoid is %d here, and would have to be 2.", level);
        check->improve = cmd_words("%ssysctl kernel.perf_event_paranoid=2", as_root());
    } else if (known) {
        reason = cmd_words("perf is refused although kernel.perf_event_paranoid is %d, as in a "
                           "container (%s).",
                           level, why);
    } else {
        reason = cmd_words("This kernel has no perf events (%s).", why);
    }
    if (reason)
        append(&check->meaning, " ", reason);
}

static json_t *tracking_facts(const struct findings *findings)
{
    json_t *works = json_object();
    int level = 0;
    bool known = mw_probe_paranoid(&level) == 0;

    for (size_t i = 0; i < METHODS; i++) {
        const struct mw_error *failure = &findings->tracking[i].failure;

        json_object_set_new(works, methods[i].name,
                            json_pack("{s:b, s:o}", "works", failure->code == 0, "error",
                                      failure->code ? json_text(failure->text) : json_null()));
    }
    return json_pack("{s:o, s:o, s:o}", "best",
                     findings->best.method ? json_text(findings->best.method) : json_null(),
                     "methods", works, "perf_event_paranoid",
                     known ? json_integer(level) : json_null());
}

static void check_tracking(struct check *check, const struct findings *findings)
{
    const struct method *best = best_method(findings);
    mw_auto_free char *others = NULL;

    check->status = best ? best->status : CHECK_MISSING;
    check->headline = cmd_words("%s%s%s", best ? best->headline : "not seen", best ? ", by " : "",
                                best ? best->name : "");
    for (size_t i = 0; i < METHODS; i++) {
        if (&methods[i] != best && findings->tracking[i].failure.code == 0)
            append(&others, ", ", methods[i].name);
    }
    if (others)
        append(&check->headline, "; in reserve: ", others);
    if (best && strcmp(findings->best.method, "scan") == 0)
        check->meaning =
            cmd_words("This kernel has no lists of children, so that all processes are "
                      "read: a child that lives for less than a second may be missed.");
    else
        check->meaning = cmd_words("%s", best ? best->meaning : "The program alone is recorded.");
    append(&check->meaning, " ",
           works(findings, MW_TRACKING_CONNECTOR)
               ? "So is how it ended."
               : "How it ended is known where nobody had reaped it yet: the kernel tells it "
                 "from Linux 6.6 on or to root, outside of containers.");
    if (!works(findings, MW_TRACKING_PERF))
        explain_refusal(check, findings->tracking[0].failure.text);
    check->facts = tracking_facts(findings);
}

/* --- timing ----------------------------------------------------------------------------------- */

static bool has_default_scheduling(const struct findings *findings)
{
    return strcmp(findings->timer.scheduling, "default") == 0;
}

/*
 * File capabilities would do it too, but at a price: with them the loader takes variables from the
 * program's environment, and perf is refused.
 */
static char *better_scheduling(void)
{
    return geteuid() == 0 ? NULL : cmd_words("sudo prlimit --pid $$ --rtprio=1");
}

static const char *scheduling_headline(const char *scheduling)
{
    static const struct {
        const char *scheduling, *headline;
    } headlines[] = {
        {"fifo:1", "real-time (fifo:1)"},
        {"nice:-20", "high (nice:-20)"},
    };

    for (size_t i = 0; i < MW_COUNT(headlines); i++) {
        if (strcmp(scheduling, headlines[i].scheduling) == 0)
            return headlines[i].headline;
    }
    return "normal";
}

static void check_scheduling(struct check *check, const struct findings *findings)
{
    bool plain = has_default_scheduling(findings);

    check->headline = cmd_words("%s", scheduling_headline(findings->timer.scheduling));
    if (!plain) {
        check->meaning =
            cmd_words("Samples are taken on time on a busy machine too. That is for the "
                      "sampling alone: the program keeps its own priority.");
    } else {
        check->status = CHECK_LIMITED;
        check->meaning =
            cmd_words("On a busy machine samples come late or are missed; the recording "
                      "says how many, and what was sampled stays right. ");
        append(&check->meaning, "",
               geteuid() == 0 ? "This root lacks CAP_SYS_NICE, as in a container."
                              : "The command below is for this shell and what is started from it.");
        check->improve = better_scheduling();
    }
    check->facts = json_pack("{s:s}", "scheduling", findings->timer.scheduling);
}

static bool keeps_time(const struct mw_probe_timer *timer)
{
    return timer->ticks_taken * 100 >= timer->ticks_due * 99 &&
           timer->lateness_p99_ns <= timer_interval_ns / 2;
}

static void check_timer(struct check *check, const struct findings *findings)
{
    const struct mw_probe_timer *timer = &findings->timer;
    char taken[MW_FORMAT_SIZE], due[MW_FORMAT_SIZE], p50[MW_FORMAT_SIZE], p99[MW_FORMAT_SIZE],
        max[MW_FORMAT_SIZE];

    check->status = keeps_time(timer) ? CHECK_OK : CHECK_LIMITED;
    check->headline = cmd_words("%s of %s samples at 1 ms, 99 %% at most %s late",
                                mw_format_count(taken, (int64_t)timer->ticks_taken),
                                mw_format_count(due, (int64_t)timer->ticks_due),
                                mw_format_duration(p99, timer->lateness_p99_ns));
    check->meaning =
        cmd_words("In a test of one second (recordings take 10 ms by default): half of "
                  "them at most %s late, the worst %s.",
                  mw_format_duration(p50, timer->lateness_p50_ns),
                  mw_format_duration(max, timer->lateness_max_ns));
    if (check->status != CHECK_OK) {
        append(&check->meaning, " ",
               "This machine, or its VM host, is busy. Each sample has its true time all the same, "
               "and 10 ms is easier to keep.");
        if (has_default_scheduling(findings))
            append(&check->meaning, " ", "A better priority would help.");
    }
    check->facts = json_pack(
        "{s:f, s:I, s:I, s:I, s:{s:o, s:o, s:o}}", "interval_s", (double)timer_interval_ns / 1e9,
        "ticks_due", (json_int_t)timer->ticks_due, "ticks_taken", (json_int_t)timer->ticks_taken,
        "ticks_missed", (json_int_t)(timer->ticks_due - timer->ticks_taken), "lateness_us", "p50",
        microseconds(timer->lateness_p50_ns), "p99", microseconds(timer->lateness_p99_ns), "max",
        microseconds(timer->lateness_max_ns));
}

/* --- pictures --------------------------------------------------------------------------------- */

/* What each format is called for people. */
static const char *const format_names[] = {
    [MW_PLOT_PNG] = ".png",
    [MW_PLOT_SVG] = ".svg",
    [MW_PLOT_PDF] = ".pdf",
    [MW_PLOT_TEXT] = "text",
};

/* The formats that gnuplot draws, or does not; NULL: there are none. A window is another check. */
static char *formats(const struct mw_gnuplot *gnuplot, bool present)
{
    char *names = NULL;

    for (size_t i = 0; i < MW_GNUPLOT_TERMINALS; i++) {
        const struct mw_gnuplot_terminal *terminal = &gnuplot->terminals[i];

        if (terminal->format != MW_PLOT_WINDOW && terminal->present == present)
            append(&names, ", ", format_names[terminal->format]);
    }
    return names;
}

static char *install_gnuplot(void)
{
    return install(mw_gnuplot_has_display() ? "gnuplot-qt" : "gnuplot-nox");
}

static void check_gnuplot_formats(struct check *check, const struct mw_gnuplot *gnuplot)
{
    mw_auto_free char *draws = formats(gnuplot, true);
    mw_auto_free char *lacks = formats(gnuplot, false);

    check->headline =
        cmd_words("%s draws %s", gnuplot->version, draws ? draws : "nothing that memwatch needs");
    check->meaning = cmd_words("Only memwatch plot needs it, recordings do not.");
    if (lacks || gnuplot->too_old) {
        check->status = CHECK_LIMITED;
        check->improve = install_gnuplot();
    }
    if (lacks) {
        append(&check->meaning, " ", "It cannot draw ");
        append(&check->meaning, "", lacks);
        append(&check->meaning, "", ".");
    }
    if (gnuplot->too_old)
        append(&check->meaning, " ", "memwatch is made for gnuplot 5.4 or later.");
}

static json_t *gnuplot_facts(const struct findings *findings)
{
    bool works = findings->gnuplot_failure.code == 0;
    json_t *terminals = json_array();

    for (size_t i = 0; works && i < MW_GNUPLOT_TERMINALS; i++) {
        if (findings->gnuplot.terminals[i].present)
            json_array_append_new(terminals, json_string(findings->gnuplot.terminals[i].name));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "path",
                     findings->gnuplot_path ? json_text(findings->gnuplot_path) : json_null(),
                     "version", works ? json_text(findings->gnuplot.version) : json_null(),
                     "terminals", terminals, "error",
                     works ? json_null() : json_text(findings->gnuplot_failure.text));
}

static void check_gnuplot(struct check *check, const struct findings *findings)
{
    const struct mw_error *failure = &findings->gnuplot_failure;

    if (failure->code == 0) {
        check_gnuplot_formats(check, &findings->gnuplot);
    } else {
        check->status = CHECK_MISSING;
        check->headline = failure->code == -ENOENT ? cmd_words("not found in PATH")
                                                   : cmd_words("does not work: %s", failure->text);
        check->meaning = cmd_words("memwatch plot does not work; everything else does.");
        check->improve =
            failure->code == -ENOENT && is_there("gnuplot") ? extend_path() : install_gnuplot();
    }
    check->facts = gnuplot_facts(findings);
}

/* The first of gnuplot's terminals that opens windows, or NULL. */
static const char *window_terminal(const struct findings *findings)
{
    for (size_t i = 0; findings->gnuplot_failure.code == 0 && i < MW_GNUPLOT_TERMINALS; i++) {
        const struct mw_gnuplot_terminal *terminal = &findings->gnuplot.terminals[i];

        if (terminal->format == MW_PLOT_WINDOW && terminal->present)
            return terminal->name;
    }
    return NULL;
}

static void check_display(struct check *check, const struct findings *findings)
{
    bool display = mw_gnuplot_has_display();
    const char *terminal = window_terminal(findings);

    if (display && terminal) {
        check->headline = cmd_words("memwatch plot opens a window (%s)", terminal);
        check->meaning = cmd_words("-o FILE draws into a file instead.");
    } else {
        check->headline = cmd_words(display ? "there is one, but gnuplot opens no windows on it"
                                            : "none, and none is needed");
        check->meaning = cmd_words(
            "%s draws in the terminal, or into a PNG file where its output is "
            "redirected; -o FILE names a file.",
            findings->gnuplot_failure.code == 0 ? "memwatch plot" : "With gnuplot, memwatch plot");
    }
    if (display && !terminal) {
        check->status = CHECK_LIMITED;
        check->improve = install_gnuplot();
    }
    check->facts = json_pack("{s:b, s:b, s:o}", "display", display, "window", display && terminal,
                             "terminal", terminal ? json_string(terminal) : json_null());
}

/* --- Pythons ---------------------------------------------------------------------------------- */

/* "/usr/bin/python3: 3.11.2" */
static char *python_line(const struct python *python)
{
    bool common = strcmp(python->implementation, "cpython") == 0;

    if (python->failure.code < 0)
        return cmd_words("%s: does not run: %s", python->path, python->failure.text);
    return cmd_words("%s: %s%s%s%s", python->path, common ? "" : python->implementation,
                     common ? "" : " ", python->version,
                     python->has_profile ? "" : ", without `profile`");
}

/* Those beyond the one that runs scripts: a line each that runs, and the names of the others. */
static void list_pythons(struct check *check, const struct pythons *pythons)
{
    mw_auto_free char *broken = NULL;
    size_t count = 0;

    for (size_t i = 0; i < pythons->count; i++) {
        const struct python *python = &pythons->list[i];
        mw_auto_free char *line = python_line(python);

        if (python->runs_scripts || !line)
            continue;
        if (python->failure.code == 0)
            append(&check->list, "\n", line);
        else
            count++;
    }
    if (count > 0 && (broken = cmd_words("%zu more in PATH do%s not start: --json says why.", count,
                                         count == 1 ? "es" : "")))
        append(&check->meaning, " ", broken);
}

/* The command that names a Python which runs, where the first does not. */
static char *other_python(const struct pythons *pythons)
{
    for (size_t i = 0; i < pythons->count; i++) {
        mw_auto_free char *quoted = mw_text_command((const char *[]){pythons->list[i].path}, 1);

        if (pythons->list[i].has_profile && quoted)
            return cmd_words("memwatch run --python %s SCRIPT", quoted);
    }
    return install("python3");
}

static json_t *python_facts(const struct pythons *pythons)
{
    json_t *found = json_array();

    for (size_t i = 0; i < pythons->count; i++) {
        const struct python *python = &pythons->list[i];
        bool works = python->failure.code == 0;

        json_array_append_new(
            found,
            json_pack("{s:o, s:o, s:o, s:b, s:b, s:o}", "path", json_text(python->path), "version",
                      works ? json_text(python->version) : json_null(), "implementation",
                      works ? json_text(python->implementation) : json_null(), "used_for_scripts",
                      python->runs_scripts, "profile", python->has_profile, "error",
                      works ? python->has_profile ? json_null() : json_text(python->obstacle)
                            : json_text(python->failure.text)));
    }
    return json_pack("{s:o}", "found", found);
}

/* It works, but a script of five lines has forty processes. */
static void improve_shim(struct check *check)
{
    check->status = CHECK_LIMITED;
    append(&check->meaning, " ",
           "The first is a shim of pyenv, a shell script: what it starts to find the Python is "
           "recorded as well.");
    check->improve = cmd_words("memwatch run --python \"$(pyenv which python3)\" SCRIPT");
}

static void check_pythons(struct check *check, const struct findings *findings)
{
    const struct pythons *pythons = &findings->pythons;
    const struct python *first =
        pythons->count > 0 && pythons->list[0].runs_scripts ? &pythons->list[0] : NULL;

    if (first) {
        check->status = first->has_profile ? CHECK_OK : CHECK_LIMITED;
        check->headline = python_line(first);
        check->meaning = cmd_words("memwatch run SCRIPT.py uses the first, unless SCRIPT.py is "
                                   "executable and has a #! line; --python EXE chooses another. "
                                   "Functions are marked under those that have `profile`: CPython "
                                   "from 3.8 on.");
    } else {
        check->status = CHECK_MISSING;
        check->headline = cmd_words("no python3 in PATH");
        check->meaning = cmd_words("memwatch run SCRIPT.py needs one: --python EXE names it.");
    }
    if (check->status != CHECK_OK)
        check->improve = !first && is_there("python3") ? extend_path() : other_python(pythons);
    if (first && first->is_shim && first->has_profile)
        improve_shim(check);
    list_pythons(check, pythons);
    check->facts = python_facts(pythons);
}

/* --- all together ----------------------------------------------------------------------------- */

static const struct {
    const char *key, *title;
    void (*make)(struct check *check, const struct findings *findings);
} all[] = {
    {"rss", "memory (RSS)", check_rss},       {"peak_windows", "peaks", check_peak_windows},
    {"tracking", "children", check_tracking}, {"scheduling", "priority", check_scheduling},
    {"timer", "timer", check_timer},          {"gnuplot", "gnuplot", check_gnuplot},
    {"display", "display", check_display},    {"pythons", "pythons", check_pythons},
};

_Static_assert(MW_COUNT(all) <= MOST_CHECKS, "there is a place for each check");

const char *check_status_name(enum check_status status)
{
    static const char *const names[] = {"ok", "limited", "missing"};

    return names[status];
}

/* What recordings are like, and which checks could have gone better. */
static char *summarize(const struct checks *checks, const struct findings *findings)
{
    const struct method *method = best_method(findings);
    const struct mw_probe_timer *timer = &findings->timer;
    char rss[MW_FORMAT_SIZE], mark[MW_FORMAT_SIZE], taken[MW_FORMAT_SIZE], due[MW_FORMAT_SIZE];
    char *summary;

    mw_format_bytes(rss, findings->rss_bound_bytes);
    mw_format_bytes(mark, findings->marks.bound_kib * 1024);
    summary = cmd_words(
        "Recordings here: memory %s%s, peaks %s%s, %s, %s of %s test samples at 1 ms "
        "(default: 10 ms).",
        findings->rss_bound_bytes ? "within " : "exact", findings->rss_bound_bytes ? rss : "",
        findings->marks.code == 0 ? "within " : "between samples missed",
        findings->marks.code == 0 ? mark : "", method ? method->in_short : "no child seen",
        mw_format_count(taken, (int64_t)timer->ticks_taken),
        mw_format_count(due, (int64_t)timer->ticks_due));
    for (enum check_status status = CHECK_LIMITED; summary && status <= CHECK_MISSING; status++) {
        const char *before = status == CHECK_LIMITED ? " Limited: " : " Missing: ";

        for (size_t i = 0; i < checks->count; i++) {
            if (checks->list[i].status != status)
                continue;
            append(&summary, before, checks->list[i].title);
            before = ", ";
        }
        if (*before == ',')
            append(&summary, "", ".");
    }
    return summary;
}

/* The timer comes last: the others must be the only thread, and must not disturb it. */
static int find(struct findings *findings, struct mw_error *error)
{
    int code;

    findings->rss_bound_bytes = mw_probe_rss_bound_kib() * 1024;
    if ((code = mw_probe_marks(&findings->marks, error)) < 0 ||
        (code = mw_probe_tracking(MW_TRACKING_BEST, &findings->best, error)) < 0)
        return code;
    for (size_t i = 0; i < METHODS; i++) {
        code = mw_probe_tracking(methods[i].tracking, &findings->tracking[i], error);
        if (code < 0)
            return code;
    }
    mw_gnuplot_ask(&findings->gnuplot, &findings->gnuplot_failure);
    mw_launch_find("gnuplot", &findings->gnuplot_path, NULL);
    if ((code = pythons_find(&findings->pythons, error)) < 0)
        return code;
    return mw_probe_timer(timer_interval_ns, timer_duration_ns, &findings->timer, error);
}

static int word(struct checks *checks, const struct findings *findings, struct mw_error *error)
{
    for (; checks->count < MW_COUNT(all); checks->count++) {
        struct check *check = &checks->list[checks->count];

        *check = (struct check){.key = all[checks->count].key, .title = all[checks->count].title};
        all[checks->count].make(check, findings);
        if (!check->headline || !check->meaning || !check->facts)
            return mw_error_errno(error, ENOMEM, "cannot tell what was found");
    }
    checks->summary = summarize(checks, findings);
    return checks->summary ? 0 : mw_error_errno(error, ENOMEM, "cannot tell what was found");
}

int checks_make(struct checks *ret_checks, struct mw_error *error)
{
    struct findings findings = {0};
    int code = find(&findings, error);

    *ret_checks = (struct checks){0};
    if (code == 0)
        code = word(ret_checks, &findings, error);
    free(findings.gnuplot_path);
    pythons_clear(&findings.pythons);
    if (code < 0)
        checks_clear(ret_checks);
    return code;
}

void checks_clear(struct checks *checks)
{
    for (size_t i = 0; i < MOST_CHECKS; i++) {
        struct check *check = &checks->list[i];

        free(check->headline);
        free(check->list);
        free(check->meaning);
        free(check->improve);
        json_decref(check->facts);
    }
    free(checks->summary);
    *checks = (struct checks){0};
}
