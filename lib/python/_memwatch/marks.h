/*
 * What the parts of the extension module share.
 *
 * It is built for the stable interface of CPython 3.8, and so loads into every later one.
 */
#ifndef MEMWATCH_PYTHON_MARKS_H
#define MEMWATCH_PYTHON_MARKS_H

#define PY_SSIZE_T_CLEAN
#include "python/_memwatch/span.h"

#include <Python.h>

/* A function, or a block, that is marked. */
struct site {
    PyObject base;
    struct memwatch_site_ at; /* its strings are its own */
};

/* What pauses, and how it is driven. */
enum steps_kind {
    STEPS_COROUTINE,       /* in the track of its task */
    STEPS_GENERATOR,       /* in a track of its own */
    STEPS_ASYNC_GENERATOR, /* in a track of its own, and in pieces: asend(), athrow(), aclose() */
};

/*
 * Stands between a generator or a coroutine and whoever drives it, and marks where it is entered,
 * pauses, goes on and ends. driven: NULL for one in pieces, which are given one by one.
 */
PyObject *steps_new(struct site *site, enum steps_kind kind, PyObject *driven);

/* Both are made once; NULL on failure. */
PyTypeObject *steps_type(void);
PyTypeObject *site_type(void);

#endif
