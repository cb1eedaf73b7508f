#include "python/_memwatch/marks.h"
#include "python/_memwatch/task.h"

struct steps {
    PyObject base;
    enum steps_kind kind;
    struct site *site;
    PyObject *driven; /* NULL: nothing at present */
    PyObject *send;   /* its method of that name */
    bool is_last;     /* piece: the whole ends with it */
    struct span span;
};

/* --- life cycle ------------------------------------------------------------------------------- */

static int drive(struct steps *steps, PyObject *driven)
{
    PyObject *send = PyObject_GetAttrString(driven, "send");
    PyObject *old_driven = steps->driven, *old_send = steps->send;

    if (!send)
        return -1;
    Py_INCREF(driven);
    steps->driven = driven;
    steps->send = send;
    Py_XDECREF(old_driven);
    Py_XDECREF(old_send);
    return 0;
}

PyObject *steps_new(struct site *site, enum steps_kind kind, PyObject *driven)
{
    struct steps *steps = (struct steps *)PyType_GenericAlloc(steps_type(), 0);

    if (!steps)
        return NULL;
    Py_INCREF(site);
    steps->site = site;
    steps->kind = kind;
    steps->span = (struct span){.site = &site->at, .reading = SPAN_READS};
    if (driven && drive(steps, driven) < 0) {
        Py_DECREF(steps);
        return NULL;
    }
    return (PyObject *)steps;
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    struct steps *steps = (struct steps *)self;

    Py_VISIT(steps->driven);
    Py_VISIT(steps->send);
    return 0;
}

static int clear(PyObject *self)
{
    struct steps *steps = (struct steps *)self;

    Py_CLEAR(steps->driven);
    Py_CLEAR(steps->send);
    return 0;
}

static void dealloc(PyObject *self)
{
    struct steps *steps = (struct steps *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    clear(self);
    span_abandon(&steps->span);
    Py_XDECREF(steps->site);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void begin(struct steps *steps)
{
    uint32_t track =
        steps->span.is_open ? 0 : track_choose(&steps->span, steps->kind == STEPS_COROUTINE);

    span_begin_step(&steps->span, track);
}

/* The end of a step that gave this result; NULL: it raised an exception, which is set. */
static PyObject *end(struct steps *steps, PyObject *result)
{
    bool is_piece = steps->kind == STEPS_ASYNC_GENERATOR && !steps->is_last;

    span_end_step(&steps->span,
                  !result && !(is_piece && PyErr_ExceptionMatches(PyExc_StopIteration)));
    return result;
}

static bool has_driven(const struct steps *steps)
{
    if (!steps->driven)
        PyErr_SetString(PyExc_RuntimeError, "there is nothing to drive");
    return steps->driven;
}

static PyObject *steps_send(PyObject *self, PyObject *value)
{
    struct steps *steps = (struct steps *)self;

    if (!has_driven(steps))
        return NULL;
    begin(steps);
    return end(steps, PyObject_CallFunctionObjArgs(steps->send, value, NULL));
}

static PyObject *steps_next(PyObject *self)
{
    return steps_send(self, Py_None);
}

static PyObject *steps_throw(PyObject *self, PyObject *arguments)
{
    struct steps *steps = (struct steps *)self;
    PyObject *method, *result;

    if (!has_driven(steps) || !(method = PyObject_GetAttrString(steps->driven, "throw")))
        return NULL;
    if (!steps->span.is_open && steps->kind != STEPS_ASYNC_GENERATOR) {
        result = PyObject_CallObject(method, arguments); /* it never starts */
    } else {
        begin(steps);
        result = end(steps, PyObject_CallObject(method, arguments));
    }
    Py_DECREF(method);
    return result;
}

static PyObject *steps_close(PyObject *self, PyObject *unused)
{
    struct steps *steps = (struct steps *)self;
    bool is_open = steps->span.is_open;
    PyObject *result;

    (void)unused;
    if (!steps->driven)
        Py_RETURN_NONE;
    if (is_open)
        begin(steps);
    result = PyObject_CallMethod(steps->driven, "close", NULL);
    if (is_open)
        span_end_step(&steps->span, true);
    return result;
}

static PyObject *steps_piece(PyObject *self, PyObject *arguments)
{
    struct steps *steps = (struct steps *)self;
    PyObject *driven;
    int is_last = 0;

    if (!PyArg_ParseTuple(arguments, "O|p", &driven, &is_last) || drive(steps, driven) < 0)
        return NULL;
    steps->is_last = is_last;
    Py_INCREF(self);
    return self;
}

static PyObject *itself(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

/* --- the type --------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"send", steps_send, METH_O, "As that of a generator."},
    {"throw", steps_throw, METH_VARARGS, "As that of a generator."},
    {"close", steps_close, METH_NOARGS, "As that of a generator."},
    {"piece", steps_piece, METH_VARARGS,
     "piece(awaitable, is_last=False): drives this next; returns itself."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject *steps_type(void)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, "Drives what pauses, and marks where it does."},
        {Py_tp_dealloc, (void *)dealloc},
        {Py_tp_traverse, (void *)traverse},
        {Py_tp_clear, (void *)clear},
        {Py_tp_iter, (void *)itself},
        {Py_tp_iternext, (void *)steps_next},
        {Py_am_await, (void *)itself},
        {Py_tp_methods, methods},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "_memwatch.marks.Steps",
        .basicsize = sizeof(struct steps),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .slots = slots,
    };
    static PyTypeObject *type;

    if (!type)
        type = (PyTypeObject *)PyType_FromSpec(&spec);
    return type;
}
