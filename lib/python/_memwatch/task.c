#include "python/_memwatch/task.h"

#include "python/_memwatch/marks.h"

/* Of a task, holds its track in a capsule, which gives it back when the task is gone. */
static const char attribute[] = "_memwatch_track";

static PyObject *get_running_loop, *current_task; /* of asyncio, once it is loaded */

static PyObject *from_module(const char *module_name, const char *name)
{
    PyObject *key = PyUnicode_FromString(module_name);
    PyObject *module = key ? PyImport_GetModule(key) : NULL;
    PyObject *found = module ? PyObject_GetAttrString(module, name) : NULL;

    Py_XDECREF(key);
    Py_XDECREF(module);
    return found;
}

/* Nobody pays for asyncio who does not use it. */
static bool has_asyncio(void)
{
    if (current_task)
        return true;
    get_running_loop = from_module("asyncio.events", "_get_running_loop");
    if (get_running_loop)
        current_task = from_module("asyncio.tasks", "current_task");
    if (!current_task)
        Py_CLEAR(get_running_loop);
    return current_task;
}

static void give_back(PyObject *capsule)
{
    void *track = PyCapsule_GetPointer(capsule, attribute);

    if (track)
        span_give_track((uint32_t)(uintptr_t)track);
}

static uint32_t track_of(PyObject *task)
{
    PyObject *capsule = PyObject_GetAttrString(task, attribute);
    uint32_t track;

    if (!capsule) {
        PyErr_Clear();
        capsule =
            PyCapsule_New((void *)(uintptr_t)span_take_track(SPAN_TASK), attribute, give_back);
        if (!capsule)
            return 0;
        if (PyObject_SetAttrString(task, attribute, capsule) < 0) {
            Py_DECREF(capsule);
            return 0;
        }
    }
    track = (uint32_t)(uintptr_t)PyCapsule_GetPointer(capsule, attribute);
    Py_DECREF(capsule);
    return track;
}

/* Of the asyncio task that runs in this thread, which gets one if it has none; 0: none runs. */
static uint32_t task_track(void)
{
    PyObject *type, *value, *traceback, *loop = NULL, *task = NULL;
    uint32_t track = 0;

    PyErr_Fetch(&type, &value, &traceback);
    if (has_asyncio() && (loop = PyObject_CallObject(get_running_loop, NULL)) && loop != Py_None)
        task = PyObject_CallFunctionObjArgs(current_task, loop, NULL);
    if (task && task != Py_None)
        track = track_of(task);
    Py_XDECREF(loop);
    Py_XDECREF(task);
    PyErr_Restore(type, value, traceback);
    return track;
}

uint32_t track_of_pausing(void)
{
    uint32_t current = span_current_track();
    uint32_t track = current < SPAN_FIRST_GENERATOR ? task_track() : 0;

    return track ? track : current;
}

uint32_t track_choose(struct span *span, bool is_coroutine)
{
    uint32_t track = is_coroutine ? track_of_pausing() : 0;

    if (track == 0) {
        track = span_take_track(is_coroutine ? SPAN_TASK : SPAN_GENERATOR);
        span->owns_track = true;
    }
    return track;
}
