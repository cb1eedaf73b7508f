#include "python/_memwatch/code.h"

#include "python/_memwatch/map.h"

/* Of co_flags, as inspect has them. */
enum {
    FLAG_GENERATOR = 0x20,
    FLAG_COROUTINE = 0x80,
    FLAG_ITERABLE_COROUTINE = 0x100,
    FLAG_ASYNC_GENERATOR = 0x200,
};

static struct map codes;   /* what is known, by code objects */
static struct map objects; /* code objects, by the references to them */

static void free_code(struct code *code)
{
    Py_XDECREF(code->site);
    Py_XDECREF(code->reference);
    free(code);
}

static PyObject *forget(PyObject *module, PyObject *reference)
{
    struct code *code = map_remove(&codes, map_remove(&objects, reference));

    (void)module;
    if (code)
        free_code(code);
    Py_RETURN_NONE;
}

/* 0, or -1 with an exception set. */
static int refer(struct code *code, PyObject *object)
{
    static PyMethodDef method = {"forget", forget, METH_O, NULL};
    static PyObject *callback;

    if (!callback && !(callback = PyCFunction_New(&method, NULL)))
        return -1;
    code->reference = PyWeakref_NewRef(object, callback);
    return code->reference ? 0 : -1;
}

struct code *code_find(const PyObject *object)
{
    return map_get(&codes, object);
}

/* 0, or -1 with an exception set. */
static int ask(struct code *code, PyObject *object, PyObject *globals, PyObject *resolve)
{
    PyObject *module = globals ? PyDict_GetItemString(globals, "__name__") : NULL;
    PyObject *site = PyObject_CallFunctionObjArgs(resolve, object, module ? module : Py_None, NULL);
    PyObject *flags = site ? PyObject_GetAttrString(object, "co_flags") : NULL;
    long bits = flags ? PyLong_AsLong(flags) : -1;

    Py_XDECREF(flags);
    if (!site || PyErr_Occurred()) {
        Py_XDECREF(site);
        return -1;
    }
    code->is_coroutine = bits & (FLAG_COROUTINE | FLAG_ITERABLE_COROUTINE);
    code->pauses = code->is_coroutine || bits & (FLAG_GENERATOR | FLAG_ASYNC_GENERATOR);
    if (Py_TYPE(site) == site_type())
        code->site = (struct site *)site;
    else
        Py_DECREF(site);
    return 0;
}

/* 0, or -1 with an exception set. */
static int remember(struct code *code, const PyObject *object)
{
    if (map_set(&objects, code->reference, (void *)(uintptr_t)object) == 0) {
        if (map_set(&codes, object, code) == 0)
            return 0;
        map_remove(&objects, code->reference);
    }
    PyErr_NoMemory();
    return -1;
}

struct code *code_learn(PyObject *object, PyObject *globals, PyObject *resolve)
{
    struct code *code = calloc(1, sizeof *code);

    if (!code) {
        PyErr_NoMemory();
        return NULL;
    }
    if (ask(code, object, globals, resolve) < 0 || refer(code, object) < 0 ||
        remember(code, object) < 0) {
        free_code(code);
        return NULL;
    }
    return code;
}
