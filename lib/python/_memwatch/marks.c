#include "python/_memwatch/marks.h"

#include "python/_memwatch/task.h"
#include "python/_memwatch/trace.h"

#include <dlfcn.h>

/* --- sites ------------------------------------------------------------------------------------ */

static PyObject *site_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"name", "file", "line", NULL};
    const char *name, *file;
    struct site *site;
    int line;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "ssi", names, &name, &file, &line))
        return NULL;
    site = (struct site *)PyType_GenericAlloc(type, 0);
    if (!site)
        return NULL;
    site->at.name = strdup(name);
    site->at.file = strdup(file);
    site->at.line = line > 0 ? (uint32_t)line : 0;
    if (!site->at.name || !site->at.file) {
        Py_DECREF(site);
        return PyErr_NoMemory();
    }
    return (PyObject *)site;
}

static void site_dealloc(PyObject *self)
{
    struct site *site = (struct site *)self;
    PyTypeObject *type = Py_TYPE(self);

    free((char *)(uintptr_t)site->at.name);
    free((char *)(uintptr_t)site->at.file);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* An exit belongs to its entry by process and track: a token has both. */
static PyObject *enter(struct site *site, uint32_t track)
{
    span_mark(&site->at, MEMWATCH_KIND_ENTER_, track, SPAN_READS);
    return PyLong_FromUnsignedLongLong((unsigned long long)span_process() << 32 | track);
}

static PyObject *site_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return enter((struct site *)self, span_current_track());
}

/* Other tasks may run before a block ends: it belongs to its task. */
static PyObject *site_enter_block(PyObject *self, PyObject *unused)
{
    (void)unused;
    return enter((struct site *)self, track_of_pausing());
}

static PyObject *site_leave(PyObject *self, PyObject *token)
{
    unsigned long long number = PyLong_AsUnsignedLongLong(token);

    if (number == (unsigned long long)-1 && PyErr_Occurred())
        return NULL;
    if (number >> 32 == span_process())
        span_mark(&((struct site *)self)->at, MEMWATCH_KIND_EXIT_, (uint32_t)number, SPAN_READS);
    Py_RETURN_NONE;
}

static PyObject *site_coroutine(PyObject *self, PyObject *driven)
{
    return steps_new((struct site *)self, STEPS_COROUTINE, driven);
}

static PyObject *site_generator(PyObject *self, PyObject *driven)
{
    return steps_new((struct site *)self, STEPS_GENERATOR, driven);
}

static PyObject *site_async_generator(PyObject *self, PyObject *unused)
{
    (void)unused;
    return steps_new((struct site *)self, STEPS_ASYNC_GENERATOR, NULL);
}

static PyMethodDef site_methods[] = {
    {"enter", site_enter, METH_NOARGS, "Marks the entry of a call; returns what leave() needs."},
    {"enter_block", site_enter_block, METH_NOARGS,
     "Marks the entry of a block, in which its task may pause; returns what leave() needs."},
    {"leave", site_leave, METH_O, "Marks the exit of the call that was entered with this token."},
    {"coroutine", site_coroutine, METH_O, "To be awaited in the place of this coroutine."},
    {"generator", site_generator, METH_O, "To be iterated in the place of this generator."},
    {"async_generator", site_async_generator, METH_NOARGS,
     "The steps of an asynchronous generator: their piece() is to be awaited in the place of what "
     "its asend() and its like return."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject *site_type(void)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, "Site(name, file, line): a function, or a block, that is marked."},
        {Py_tp_new, (void *)site_new},
        {Py_tp_dealloc, (void *)site_dealloc},
        {Py_tp_methods, site_methods},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "_memwatch.marks.Site",
        .basicsize = sizeof(struct site),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots,
    };
    static PyTypeObject *type;

    if (!type)
        type = (PyTypeObject *)PyType_FromSpec(&spec);
    return type;
}

/* --- the module ------------------------------------------------------------------------------- */

static PyObject *is_recorded(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(span_is_recorded());
}

static PyMethodDef functions[] = {
    {"is_recorded", is_recorded, METH_NOARGS, "Whether memwatch records this program."},
    {NULL, NULL, 0, NULL},
};

/* What this module keeps, it keeps for one interpreter. */
static bool is_main_interpreter(void)
{
    /* Not part of the stable interface of 3.8. */
    PyInterpreterState *(*get)(void), *(*get_main)(void);

    *(void **)&get_main = dlsym(RTLD_DEFAULT, "PyInterpreterState_Main");
    *(void **)&get = dlsym(RTLD_DEFAULT, "PyInterpreterState_Get");
    if (!get)
        *(void **)&get = dlsym(RTLD_DEFAULT, "_PyInterpreterState_Get");
    return !get || !get_main || get() == get_main();
}

static int fill(PyObject *module)
{
    PyObject *type;

    if (!is_main_interpreter()) {
        PyErr_SetString(PyExc_ImportError, "this is a subinterpreter");
        return -1;
    }
    type = (PyObject *)site_type();
    if (span_prepare() < 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (!type || !steps_type())
        return -1;
    Py_INCREF(type);
    if (PyModule_AddObject(module, "Site", type) < 0) {
        Py_DECREF(type);
        return -1;
    }
    return PyModule_AddFunctions(module, trace_functions);
}

PyMODINIT_FUNC PyInit_marks(void)
{
    static PyModuleDef_Slot slots[] = {
        {Py_mod_exec, (void *)fill},
        {0, NULL},
    };
    static struct PyModuleDef definition = {
        PyModuleDef_HEAD_INIT,
        .m_name = "_memwatch.marks",
        .m_doc = "Marks of functions, for memwatch run.",
        .m_methods = functions,
        .m_slots = slots,
    };

    return PyModuleDef_Init(&definition);
}
