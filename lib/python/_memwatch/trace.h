/*
 * Marks functions that are not decorated: the code object of a call decides whether it is marked.
 *
 * From CPython 3.12 on, sys.monitoring tells of calls, and what is not traced runs as ever; before
 * that, the profile hook is called at each call of the program.
 */
#ifndef MEMWATCH_PYTHON_TRACE_H
#define MEMWATCH_PYTHON_TRACE_H

#include "python/_memwatch/marks.h"

/* The functions of the module that are about tracing, up to one without a name. */
extern PyMethodDef trace_functions[];

#endif
