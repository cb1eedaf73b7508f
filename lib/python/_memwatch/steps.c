#include "python/_memwatch/marks.h"
#include "python/_memwatch/task.h"

struct steps {
    PyObject base;
    enum steps_kind kind;
    struct site *site;
    PyObject *driven; /* NULL: nothing at present */
    PyObject *send;   /* its method of that name */
    bool is_asked_to_exit;
    PyObject *exit; /* the GeneratorExit that it gets with the next step, or NULL */
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
    Py_VISIT(steps->exit);
    return 0;
}

static int clear(PyObject *self)
{
    struct steps *steps = (struct steps *)self;

    Py_CLEAR(steps->driven);
    Py_CLEAR(steps->send);
    Py_CLEAR(steps->exit);
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
    bool is_piece = steps->kind == STEPS_ASYNC_GENERATOR;

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

static PyObject *throw_into(struct steps *steps, PyObject *arguments)
{
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

static PyObject *throw_exit(struct steps *steps)
{
    PyObject *arguments = PyTuple_Pack(1, steps->exit), *result;

    Py_CLEAR(steps->exit);
    result = arguments ? throw_into(steps, arguments) : NULL;
    Py_XDECREF(arguments);
    return result;
}

static PyObject *steps_send(PyObject *self, PyObject *value)
{
    struct steps *steps = (struct steps *)self;

    if (steps->exit)
        return throw_exit(steps);
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
    return throw_into((struct steps *)self, arguments);
}

/*
 * Called by "yield from" before it raises GeneratorExit where it stands. Whether what is driven may
 * answer that with another value depends on who has thrown it, and that nobody tells: so it gets it
 * by hand_on().
 */
static PyObject *steps_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    ((struct steps *)self)->is_asked_to_exit = true;
    Py_RETURN_NONE;
}

static PyObject *steps_hand_on(PyObject *self, PyObject *error)
{
    struct steps *steps = (struct steps *)self;

    if (!steps->is_asked_to_exit)
        Py_RETURN_FALSE;
    steps->is_asked_to_exit = false;
    Py_INCREF(error);
    Py_XDECREF(steps->exit);
    steps->exit = error;
    Py_RETURN_TRUE;
}

static PyObject *steps_piece(PyObject *self, PyObject *driven)
{
    if (drive((struct steps *)self, driven) < 0)
        return NULL;
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
    {"close", steps_close, METH_NOARGS, "Closes nothing, but see hand_on()."},
    {"hand_on", steps_hand_on, METH_O,
     "hand_on(error): after a GeneratorExit. True where it came from outside: what is driven gets "
     "it "
     "with the next step. False where that has raised it itself."},
    {"piece", steps_piece, METH_O, "Drives this awaitable next; returns itself."},
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
