/*
 * What is known of code objects: which of them are traced, as what.
 */
#ifndef MEMWATCH_PYTHON_CODE_H
#define MEMWATCH_PYTHON_CODE_H

#include "python/_memwatch/marks.h"

struct code {
    struct site *site; /* NULL: it is not traced */
    bool is_marked;    /* otherwise, by its decorator: not traced any more */
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

/* It is marked otherwise: nobody asks what it is. 0, or -1 with an exception set. */
int code_set_marked(PyObject *object);

/* Whether there is a site to mark; NULL is fine. */
static inline bool code_is_traced(const struct code *code)
{
    return code && code->site && !code->is_marked;
}

/* Nothing is known of it from now on. */
void code_forget(const PyObject *object);

#endif
