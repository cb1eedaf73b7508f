/*
 * What is known of code objects: which of them are traced, as what.
 */
#ifndef MEMWATCH_PYTHON_CODE_H
#define MEMWATCH_PYTHON_CODE_H

#include "python/_memwatch/marks.h"

struct code {
    struct site *site; /* NULL: it is not traced */
    bool is_coroutine;
    bool pauses;         /* a coroutine too, and generators */
    PyObject *reference; /* which tells when the code object is gone */
};

/* NULL: nothing is known. */
struct code *code_find(const PyObject *object);

/*
 * Asks resolve(object, name of the module that globals are of) for a Site, or None, and remembers
 * the answer as long as the code object lives. NULL with an exception set on failure.
 */
struct code *code_learn(PyObject *object, PyObject *globals, PyObject *resolve);

/* Nothing is known of it from now on. */
void code_forget(const PyObject *object);

#endif
