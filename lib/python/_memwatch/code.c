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

void code_forget(const PyObject *object)
{
    struct code *code = map_remove(&codes, object);

    if (!code)
        return;
    map_remove(&objects, code->reference);
    free_code(code);
}

static PyObject *is_gone(PyObject *module, PyObject *reference)
{
    const PyObject *object = map_get(&objects, reference);

    (void)module;
    if (object)
        code_forget(object);
    Py_RETURN_NONE;
}

/* 0, or -1 with an exception set. */
static int refer(struct code *code, PyObject *object)
{
    static PyMethodDef method = {"is_gone", is_gone, METH_O, NULL};
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
    struct code *code = calloc(1, sizeof *code), *other;

    if (!code) {
        PyErr_NoMemory();
        return NULL;
    }
    if (ask(code, object, globals, resolve) < 0 || refer(code, object) < 0) {
        free_code(code);
        return NULL;
    }
    if ((other = code_find(object))) { /* another thread has asked meanwhile */
        free_code(code);
        return other;
    }
    if (remember(code, object) < 0) {
        free_code(code);
        return NULL;
    }
    return code;
}

int code_set_marked(PyObject *object)
{
    struct code *code = code_find(object);

    if (code) {
        code->is_marked = true;
        return 0;
    }
    if (!(code = calloc(1, sizeof *code))) {
        PyErr_NoMemory();
        return -1;
    }
    code->is_marked = true;
    if (refer(code, object) < 0 || remember(code, object) < 0) {
        free_code(code);
        return -1;
    }
    return 0;
}
