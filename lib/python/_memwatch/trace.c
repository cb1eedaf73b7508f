#include "python/_memwatch/trace.h"

#include "python/_memwatch/code.h"
#include "python/_memwatch/map.h"
#include "python/_memwatch/task.h"

#include <dlfcn.h>

/* Incomplete in the stable interface of 3.8. */
typedef struct _frame frame_object;

static PyObject *resolve;     /* of a code object and the name of its module, makes a Site or None;
                                 NULL:     no more are to be traced */
static struct map calls;      /* calls that pause (struct call), by their frames */
static __thread bool is_busy; /* resolving: those calls are ours */
static __thread unsigned long open_calls; /* of this thread, that do not pause */
static __thread unsigned process;         /* in which they were entered */

/* A call that may pause. Its frame may go without a word, and its code object with it. */
struct call {
    struct span span;
    struct site *site;
};

/* What was found out or asked for the code object of a call; NULL: it is none of ours. */
static struct code *find_code(PyObject *object)
{
    struct code *code = code_find(object);

    if (code || is_busy || !resolve)
        return code;
    is_busy = true;
    code = code_learn(object, PyEval_GetGlobals(), resolve);
    is_busy = false;
    if (!code)
        PyErr_WriteUnraisable(resolve);
    return code;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void free_call(struct call *call)
{
    if (!call)
        return;
    span_abandon(&call->span);
    Py_DECREF(call->site);
    free(call);
}

static struct call *new_call(const struct code *code, const void *frame)
{
    struct call *call = calloc(1, sizeof *call);

    free_call(map_remove(&calls, frame)); /* of another frame, which was at this place */
    if (!call || map_set(&calls, frame, call) < 0) {
        free(call);
        return NULL;
    }
    call->span = (struct span){.site = &code->site->at, .reading = SPAN_READS_SELDOM};
    call->site = code->site;
    Py_INCREF(call->site);
    return call;
}

/* A call that does not pause. */
static void enter(struct code *code)
{
    if (process != span_process())
        open_calls = 0; /* they are those of the parent, above a fork */
    process = span_process();
    open_calls++;
    span_mark(&code->site->at, MEMWATCH_KIND_ENTER_, span_current_track(), SPAN_READS_SELDOM);
}

/* Its end, unless it began before there was tracing, or in the parent of this process. */
static void leave(struct code *code)
{
    if (open_calls == 0 || process != span_process())
        return;
    open_calls--;
    span_mark(&code->site->at, MEMWATCH_KIND_EXIT_, span_current_track(), SPAN_READS_SELDOM);
}

/* A call starts. */
static void begin(struct code *code, const void *frame)
{
    struct call *call = code->pauses ? new_call(code, frame) : NULL;

    if (!code->pauses)
        enter(code);
    else if (call)
        span_begin_step(&call->span, track_choose(&call->span, code->is_coroutine));
}

/* One that has paused; NULL where there is none. */
static struct call *find_call(const struct code *code, const void *frame)
{
    struct call *call = code->pauses ? map_get(&calls, frame) : NULL;

    return call && call->site == code->site ? call : NULL;
}

/* A call goes on. */
static void go_on(const struct code *code, const void *frame)
{
    struct call *call = find_call(code, frame);

    if (call)
        span_begin_step(&call->span, 0);
}

/* A call pauses, or ends. */
static void stop(struct code *code, const void *frame, bool has_ended)
{
    struct call *call = find_call(code, frame);

    if (!code->pauses)
        leave(code);
    else if (call)
        span_end_step(&call->span, has_ended);
    if (call && has_ended)
        free_call(map_remove(&calls, frame));
}

/* --- sys.monitoring: CPython 3.12 and later ------------------------------------------------------
 */

static PyObject *disable; /* what tells not to be called again for this code object */
static PyObject *watch;   /* called once with each code object that is traced */

/* The traced code object that an event is about; NULL: it is not traced, or on failure. */
static struct code *code_of_event(PyObject *arguments)
{
    PyObject *object = PyTuple_GetItem(arguments, 0);
    struct code *code = object ? code_find(object) : NULL;

    return code_is_traced(code) ? code : NULL;
}

static const void *frame_of(const struct code *code)
{
    return code->pauses ? PyEval_GetFrame() : NULL;
}

static PyObject *on_start(PyObject *module, PyObject *arguments)
{
    PyObject *object = PyTuple_GetItem(arguments, 0), *result;
    bool is_new = object && !code_find(object);
    struct code *code = object ? find_code(object) : NULL;

    (void)module;
    if (!object)
        return NULL;
    if (!code) /* one that resolving itself has called, perhaps: another time it may be the
                  program's */
        Py_RETURN_NONE;
    if (!code_is_traced(code)) {
        if (!code->is_marked)
            code_forget(object); /* it will not be asked for again */
        Py_INCREF(disable);
        return disable;
    }
    if (is_new) {
        if (!(result = PyObject_CallFunctionObjArgs(watch, object, NULL)))
            return NULL;
        Py_DECREF(result);
    }
    begin(code, frame_of(code));
    Py_RETURN_NONE;
}

static PyObject *on_resume(PyObject *module, PyObject *arguments)
{
    struct code *code = code_of_event(arguments);

    (void)module;
    if (code)
        go_on(code, frame_of(code));
    Py_RETURN_NONE;
}

static PyObject *on_yield(PyObject *module, PyObject *arguments)
{
    struct code *code = code_of_event(arguments);

    (void)module;
    if (code)
        stop(code, frame_of(code), false);
    Py_RETURN_NONE;
}

static PyObject *on_end(PyObject *module, PyObject *arguments)
{
    struct code *code = code_of_event(arguments);

    (void)module;
    if (code)
        stop(code, frame_of(code), true);
    Py_RETURN_NONE;
}

/* --- the profile hook: before CPython 3.12 -------------------------------------------------------
 */

enum { EVENT_CALL = 0, EVENT_RETURN = 3 };

typedef int hook_function(PyObject *self, frame_object *frame, int event, PyObject *value);

static PyObject *(*get_code)(frame_object *frame); /* PyFrame_GetCode, of 3.9 and later */
static void (*set_profile)(hook_function *hook, PyObject *self);
static PyObject *pauses_at; /* whether a frame that returns a value only pauses */

static PyObject *code_of_frame(frame_object *frame)
{
    return get_code ? get_code(frame) : PyObject_GetAttrString((PyObject *)frame, "f_code");
}

static bool has_paused(frame_object *frame)
{
    PyObject *answer = PyObject_CallFunctionObjArgs(pauses_at, (PyObject *)frame, NULL);
    bool has = answer == Py_True;

    if (!answer)
        PyErr_WriteUnraisable(pauses_at);
    Py_XDECREF(answer);
    return has;
}

static int hook(PyObject *self, frame_object *frame, int event, PyObject *value)
{
    PyObject *object;
    struct code *code;

    (void)self;
    if (event != EVENT_CALL && event != EVENT_RETURN)
        return 0;
    if (!(object = code_of_frame(frame)))
        return -1;
    code = event == EVENT_CALL ? find_code(object) : code_find(object);
    if (code_is_traced(code)) {
        if (event == EVENT_RETURN)
            stop(code, frame, !value || !code->pauses || !has_paused(frame));
        else if (find_call(code, frame))
            go_on(code, frame);
        else
            begin(code, frame);
    }
    Py_DECREF(object);
    return 0;
}

/* Python calls it at the first event in each new thread, in the place of a profile function. */
static PyObject *hook_thread(PyObject *module, PyObject *arguments)
{
    PyObject *frame, *event, *value;

    (void)module;
    if (!PyArg_ParseTuple(arguments, "OOO", &frame, &event, &value))
        return NULL;
    set_profile(hook, NULL);
    if (PyUnicode_CompareWithASCIIString(event, "call") == 0 &&
        hook(NULL, (frame_object *)frame, EVENT_CALL, NULL) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* --- the module's functions ------------------------------------------------------------------- */

static void keep(PyObject **place, PyObject *object)
{
    PyObject *old = *place;

    Py_INCREF(object);
    *place = object;
    Py_XDECREF(old);
}

static PyObject *trace_by_monitoring(PyObject *module, PyObject *arguments)
{
    PyObject *resolve_given, *watch_given, *disable_given;

    (void)module;
    if (!PyArg_ParseTuple(arguments, "OOO", &resolve_given, &watch_given, &disable_given))
        return NULL;
    keep(&resolve, resolve_given);
    keep(&watch, watch_given);
    keep(&disable, disable_given);
    Py_RETURN_NONE;
}

static PyObject *trace_by_hook(PyObject *module, PyObject *arguments)
{
    PyObject *resolve_given, *pauses_given;

    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO", &resolve_given, &pauses_given))
        return NULL;
    /* Neither is part of the stable interface, but every CPython has them. */
    *(void **)&set_profile = dlsym(RTLD_DEFAULT, "PyEval_SetProfile");
    *(void **)&get_code = dlsym(RTLD_DEFAULT, "PyFrame_GetCode");
    if (!set_profile) {
        PyErr_SetString(PyExc_RuntimeError, "this Python has no profile hook");
        return NULL;
    }
    keep(&resolve, resolve_given);
    keep(&pauses_at, pauses_given);
    set_profile(hook, NULL);
    Py_RETURN_NONE;
}

static PyObject *leave_out(PyObject *module, PyObject *code)
{
    (void)module;
    if (resolve && code_set_marked(code) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *trace_no_more(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    Py_CLEAR(resolve);
    Py_RETURN_NONE;
}

PyMethodDef trace_functions[] = {
    {"trace_by_monitoring", trace_by_monitoring, METH_VARARGS,
     "trace_by_monitoring(resolve, watch, DISABLE): gets ready for on_start() and its like.\n\n"
     "resolve(code, name of its module) makes a Site, or None where the code is not traced;\n"
     "watch(code) is called once with each that is."},
    {"on_start", on_start, METH_VARARGS, "For PY_START, of all code objects."},
    {"on_resume", on_resume, METH_VARARGS, "For PY_RESUME and PY_THROW."},
    {"on_yield", on_yield, METH_VARARGS, "For PY_YIELD."},
    {"on_end", on_end, METH_VARARGS, "For PY_RETURN and PY_UNWIND."},
    {"trace_by_hook", trace_by_hook, METH_VARARGS,
     "trace_by_hook(resolve, pauses_at): traces this thread.\n\n"
     "pauses_at(frame) tells whether a frame that gives a value back only pauses."},
    {"hook_thread", hook_thread, METH_VARARGS, "For threading.setprofile()."},
    {"leave_out", leave_out, METH_O,
     "leave_out(code): does not trace this code object, which is marked otherwise."},
    {"trace_no_more", trace_no_more, METH_NOARGS,
     "No functions are traced from now on but those that were already."},
    {NULL, NULL, 0, NULL},
};
