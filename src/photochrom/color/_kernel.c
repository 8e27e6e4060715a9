/* The kernel as a module for Python: what is in _kernel.h, with the shapes of all arrays checked.

The interpreter lock is free while anything is computed. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>

#include "_kernel.h"

/* --- the border to Python -------------------------------------------------------------------- */

enum { MOST = 8 };

typedef struct {
    Py_buffer views[MOST];
    int count;
} Arrays;

/* One more array: C-contiguous, aligned, of a type in `formats` and with that many axes (-1: any).
NULL with an error set if it is not. */
static Py_buffer *take(Arrays *arrays, PyObject *object, const char *formats, int axes, int writable)
{
    Py_buffer *view = arrays->views + arrays->count;
    int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0) return NULL;
    arrays->count++;
    const char *format = view->format == NULL ? "B" : view->format;
    Size itemsize = format[0] == 'B' ? 1 : format[0] == 'H' ? 2 : 4;
    if (format[0] == 0 || format[1] != 0 || strchr(formats, format[0]) == NULL
        || view->itemsize != itemsize || (uintptr_t)view->buf % (uintptr_t)itemsize) {
        PyErr_Format(PyExc_TypeError, "array %d: type '%s' is not one of '%s'", arrays->count,
                     format, formats);
        return NULL;
    }
    if (axes >= 0 && view->ndim != axes) {
        PyErr_Format(PyExc_ValueError, "array %d: has %d axes, not %d", arrays->count, view->ndim,
                     axes);
        return NULL;
    }
    return view;
}

static Size items(const Py_buffer *view) { return view->len / view->itemsize; }

static void let_go(Arrays *arrays)
{
    for (int i = 0; i < arrays->count; i++) PyBuffer_Release(arrays->views + i);
}

static int shape_is(const Py_buffer *view, Size a, Size b, Size c, Size d, Size e)
{
    const Size wanted[5] = {a, b, c, d, e};
    for (int i = 0; i < view->ndim && i < 5; i++)
        if (view->shape[i] != wanted[i]) return 0;
    return 1;
}

static PyObject *finish(Arrays *arrays, int good)
{
    let_go(arrays);
    if (!good) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "shapes do not fit together");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* So many bytes, NULL with an error set if there are none. */
static void *room_for(Size count, size_t size)
{
    void *room = (size_t)count > SIZE_MAX / 2 / size ? NULL : malloc((size_t)count * size + 1);
    if (room == NULL) PyErr_NoMemory();
    return room;
}

static PyObject *py_fit_gamut(PyObject *self, PyObject *args)
{
    PyObject *o[4];
    Arrays arrays = {.count = 0};
    Py_buffer *L, *ab, *m, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOO", o, o + 1, o + 2, o + 3)) return NULL;
    int good = (L = take(&arrays, o[0], "f", -1, 0)) && (ab = take(&arrays, o[1], "f", -1, 0))
        && (m = take(&arrays, o[2], "f", 2, 0)) && (out = take(&arrays, o[3], "BHf", -1, 1))
        && items(m) == 9 && items(ab) / 2 == items(L) && items(ab) % 2 == 0
        && items(out) / 3 == items(L) && items(out) % 3 == 0;
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        fit_gamut(L->buf, ab->buf, m->buf, items(L), out->buf, out->itemsize);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyObject *py_fit_linear(PyObject *self, PyObject *args)
{
    PyObject *o[3];
    float red, blue;
    Arrays arrays = {.count = 0};
    Py_buffer *linear, *m, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOffO", o, o + 1, &red, &blue, o + 2)) return NULL;
    int good = (linear = take(&arrays, o[0], "f", -1, 0)) && (m = take(&arrays, o[1], "f", 2, 0))
        && (out = take(&arrays, o[2], "BHf", -1, 1)) && items(m) == 9
        && items(linear) == items(out) && items(out) % 3 == 0;
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        fit_linear(linear->buf, m->buf, red, blue, items(out) / 3, out->buf, out->itemsize);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

/* Whether a table has a place for all that a code can be. */
static int is_whole(const Py_buffer *table, const Py_buffer *codes)
{
    return items(table) == (codes->itemsize == 1 ? 256 : 65536);
}

static PyObject *py_gray_to_L(PyObject *self, PyObject *args)
{
    PyObject *o[3];
    Arrays arrays = {.count = 0};
    Py_buffer *codes, *table, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOO", o, o + 1, o + 2)) return NULL;
    int good = (codes = take(&arrays, o[0], "BH", -1, 0)) && (table = take(&arrays, o[1], "f", 1, 0))
        && (out = take(&arrays, o[2], "f", -1, 1)) && is_whole(table, codes)
        && items(out) == items(codes);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        looked_up(codes->buf, codes->itemsize, table->buf, items(codes), out->buf);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyObject *py_rgb_to_L(PyObject *self, PyObject *args)
{
    PyObject *o[3];
    float red, blue;
    Arrays arrays = {.count = 0};
    Py_buffer *codes, *table, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOffO", o, o + 1, &red, &blue, o + 2)) return NULL;
    int good = (codes = take(&arrays, o[0], "BH", -1, 0)) && (table = take(&arrays, o[1], "f", 1, 0))
        && (out = take(&arrays, o[2], "f", -1, 1)) && is_whole(table, codes)
        && items(codes) / 3 == items(out) && items(codes) % 3 == 0;
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        lightness(codes->buf, codes->itemsize, table->buf, red, blue, items(out), out->buf);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyObject *py_annealed_mean(PyObject *self, PyObject *args)
{
    PyObject *o[3];
    float sharpness;
    Arrays arrays = {.count = 0};
    Py_buffer *logits, *bins, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOfO", o, o + 1, &sharpness, o + 2)) return NULL;
    uint32_t bits; /* comparisons are compiled as if there were no NaN */
    memcpy(&bits, &sharpness, sizeof bits);
    if (bits >= 0x7f800000u && bits != 0x80000000u) {
        PyErr_SetString(PyExc_ValueError, "sharpness must be finite and not below 0");
        return NULL;
    }
    int good = (logits = take(&arrays, o[0], "f", 2, 0)) && (bins = take(&arrays, o[1], "f", 2, 0))
        && (out = take(&arrays, o[2], "f", 2, 1)) && logits->shape[0] > 0
        && shape_is(bins, logits->shape[0], 2, 0, 0, 0)
        && shape_is(out, logits->shape[1], 2, 0, 0, 0);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        annealed(logits->buf, bins->buf, sharpness, logits->shape[0], logits->shape[1], out->buf);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyObject *py_area_shrink(PyObject *self, PyObject *args)
{
    PyObject *o[2];
    Arrays arrays = {.count = 0};
    Py_buffer *image, *out;
    (void)self;
    Py_ssize_t first = 0, H = -1, h = -1, top = 0;
    if (!PyArg_ParseTuple(args, "OO|nnnn", o, o + 1, &first, &H, &top, &h)) return NULL;
    int good = (image = take(&arrays, o[0], "f", 2, 0)) && (out = take(&arrays, o[1], "f", 2, 1))
        && out->shape[0] > 0 && out->shape[1] > 0 && out->shape[1] <= image->shape[1];
    if (good && H == -1 && h == -1) H = image->shape[0], h = out->shape[0];
    good = good && h > 0 && h <= H && top >= 0 && top <= h - out->shape[0] && first >= 0;
    if (good) { /* the rows that are needed are there */
        float share;
        Size stop = cut(top + out->shape[0], H, h, &share);
        good = cut(top, H, h, &share) >= first && stop >= first;
        stop = cut(top + out->shape[0], H, h, &share) + (share > 0);
        good = good && stop - first <= image->shape[0];
    }
    if (good) {
        Size W = image->shape[1], w = out->shape[1];
        float *sum = room_for(W, sizeof(float)), *shares = room_for(w + 1, sizeof(float));
        Size *cuts = room_for(w + 1, sizeof(Size));
        good = sum != NULL && shares != NULL && cuts != NULL;
        if (good) {
            Py_BEGIN_ALLOW_THREADS
            shrunk(image->buf, first, H, W, h, w, top, out->shape[0], sum, cuts, shares, out->buf);
            Py_END_ALLOW_THREADS
        }
        free(sum);
        free(shares);
        free(cuts);
    }
    return finish(&arrays, good);
}

static PyObject *py_grow(PyObject *self, PyObject *args)
{
    PyObject *o[2];
    Arrays arrays = {.count = 0};
    Py_buffer *image, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OO", o, o + 1)) return NULL;
    int good = (image = take(&arrays, o[0], "f", 2, 0)) && (out = take(&arrays, o[1], "f", 2, 1))
        && out->shape[0] == image->shape[0] && image->shape[1] > 0 && out->shape[1] > 0;
    if (good) {
        Size W = out->shape[1];
        float *shares = room_for(W, sizeof(float));
        Size *firsts = room_for(W, sizeof(Size));
        good = shares != NULL && firsts != NULL;
        if (good) {
            Py_BEGIN_ALLOW_THREADS
            grown(image->buf, image->shape[0], image->shape[1], W, firsts, shares, out->buf);
            Py_END_ALLOW_THREADS
        }
        free(shares);
        free(firsts);
    }
    return finish(&arrays, good);
}

static PyObject *py_geodesic(PyObject *self, PyObject *args)
{
    PyObject *o[2];
    Py_ssize_t rounds;
    Arrays arrays = {.count = 0};
    Py_buffer *costs, *length;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnO", o, &rounds, o + 1)) return NULL;
    int good = (costs = take(&arrays, o[0], "f", 3, 0)) && (length = take(&arrays, o[1], "f", 2, 1))
        && shape_is(costs, 4, length->shape[0], length->shape[1], 0, 0);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        geodesic(costs->buf, length->shape[0], length->shape[1], rounds, length->buf);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyObject *py_moments(PyObject *self, PyObject *args)
{
    PyObject *o[5];
    Arrays arrays = {.count = 0};
    Py_buffer *guide, *place, *of_rows, *of_columns, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOO", o, o + 1, o + 2, o + 3, o + 4)) return NULL;
    int good = (guide = take(&arrays, o[0], "f", 2, 0)) && (place = take(&arrays, o[1], "f", 3, 0))
        && (of_rows = take(&arrays, o[2], "f", 2, 0))
        && (of_columns = take(&arrays, o[3], "f", 2, 0)) && (out = take(&arrays, o[4], "f", 5, 1));
    if (good) {
        Size h = out->shape[3], w = out->shape[4];
        Size rows = of_rows->shape[1], columns = of_columns->shape[1];
        /* Divisions, for a product could overflow. */
        good = h > 0 && w > 0 && rows > 0 && columns > 0 && shape_is(out, 3, 3, 3, h, w)
            && shape_is(of_rows, 3, rows, 0, 0, 0) && shape_is(of_columns, 3, columns, 0, 0, 0)
            && guide->shape[0] / rows == h && guide->shape[0] % rows == 0
            && guide->shape[1] / columns == w && guide->shape[1] % columns == 0
            && shape_is(place, 2, h, guide->shape[1], 0, 0);
        float *sums = good ? room_for(w * columns, 12 * sizeof(float)) : NULL;
        good = good && sums != NULL;
        if (good) {
            Py_BEGIN_ALLOW_THREADS
            moments(guide->buf, place->buf, of_rows->buf, of_columns->buf, h, w, rows, columns,
                    sums, out->buf);
            Py_END_ALLOW_THREADS
        }
        free(sums);
    }
    return finish(&arrays, good);
}

static PyObject *py_fit(PyObject *self, PyObject *args)
{
    PyObject *o[4];
    Fit f;
    Size steps, corrections;
    Arrays arrays = {.count = 0};
    Py_buffer *wanted, *factors, *gray, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOffffdnnO", o, o + 1, o + 2, &f.smooth, &f.level, &f.margin,
                          &f.to_gray, &f.settled, &steps, &corrections, o + 3))
        return NULL;
    int good = (wanted = take(&arrays, o[0], "f", 3, 0)) && (factors = take(&arrays, o[1], "f", 4, 0))
        && (gray = take(&arrays, o[2], "f", 1, 0)) && (out = take(&arrays, o[3], "f", 4, 1));
    if (good) {
        f.h = wanted->shape[1];
        f.w = wanted->shape[2];
        f.moments = factors->buf;
        f.gray = gray->buf;
        good = f.h > 0 && f.w > 0 && shape_is(wanted, 2, f.h, f.w, 0, 0)
            && shape_is(factors, 9, 3, f.h, f.w, 0)
            && shape_is(gray, 2, 0, 0, 0, 0) && shape_is(out, 2, 3, f.h, f.w, 0);
        float *room = good ? room_for(f.h * f.w, 24 * sizeof(float)) : NULL;
        good = good && room != NULL;
        if (good) {
            Py_BEGIN_ALLOW_THREADS
            fitted(&f, wanted->buf, steps, corrections, room, out->buf);
            Py_END_ALLOW_THREADS
        }
        free(room);
    }
    return finish(&arrays, good);
}

/* place, fitted and L of a strip, whose first row is `first` of `height`. */
static int take_strip(Arrays *arrays, PyObject *const *o, Strip *s)
{
    Py_buffer *place, *curves, *L;
    if (!((place = take(arrays, o[0], "f", 3, 0)) && (curves = take(arrays, o[1], "f", 4, 0))
          && (L = take(arrays, o[2], "f", 2, 0))))
        return 0;
    s->h = place->shape[1];
    s->W = place->shape[2];
    s->rows = L->shape[0];
    s->place = place->buf;
    s->fitted = curves->buf;
    s->L = L->buf;
    return s->h > 0 && shape_is(place, 2, s->h, s->W, 0, 0)
        && shape_is(curves, 2, 3, s->h, s->W, 0) && L->shape[1] == s->W && s->first >= 0
        && s->height > 0 && s->first <= s->height && s->rows <= s->height - s->first;
}

static PyObject *py_rows(PyObject *self, PyObject *args)
{
    PyObject *o[4];
    Strip s;
    Arrays arrays = {.count = 0};
    Py_buffer *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOnnO", o, o + 1, o + 2, &s.first, &s.height, o + 3)) return NULL;
    int good = take_strip(&arrays, o, &s) && (out = take(&arrays, o[3], "f", 3, 1))
        && shape_is(out, 2, s.rows, s.W, 0, 0);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        strip(&s, NULL, out->buf, NULL, 0);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyObject *py_paint(PyObject *self, PyObject *args)
{
    PyObject *o[5];
    Strip s;
    Arrays arrays = {.count = 0};
    Py_buffer *m, *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOnnOO", o, o + 1, o + 2, &s.first, &s.height, o + 3, o + 4))
        return NULL;
    int good = take_strip(&arrays, o, &s) && (m = take(&arrays, o[3], "f", 2, 0)) && items(m) == 9
        && (out = take(&arrays, o[4], "BHf", 3, 1)) && shape_is(out, s.rows, s.W, 3, 0, 0);
    if (good && items(out) > 0) {
        Py_BEGIN_ALLOW_THREADS
        strip(&s, m->buf, NULL, out->buf, out->itemsize);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyObject *py_chroma(PyObject *self, PyObject *args)
{
    PyObject *o[8];
    Chroma c;
    Arrays arrays = {.count = 0};
    Py_buffer *unit, *L, *a, *b, *m, *table, *cb, *cr;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOOfffffOO", o, o + 1, o + 2, o + 3, o + 4, o + 5, &c.red,
                          &c.blue, &c.span, &c.middle, &c.top, o + 6, o + 7))
        return NULL;
    int good = (unit = take(&arrays, o[0], "f", 2, 0)) && (L = take(&arrays, o[1], "f", 2, 0))
        && (a = take(&arrays, o[2], "f", 2, 0)) && (b = take(&arrays, o[3], "f", 2, 0))
        && (m = take(&arrays, o[4], "f", 2, 0)) && (table = take(&arrays, o[5], "f", 1, 0))
        && (cb = take(&arrays, o[6], "BH", 2, 1)) && (cr = take(&arrays, o[7], "BH", 2, 1))
        && items(m) == 9 && items(table) > 1 && items(table) < 1 << 24
        && items(L) == items(unit) && items(a) == items(unit) && items(b) == items(unit)
        && items(cb) == items(unit) && items(cr) == items(unit) && cb->itemsize == cr->itemsize;
    if (good) {
        c.unit = unit->buf;
        c.L = L->buf;
        c.a = a->buf;
        c.b = b->buf;
        c.table = table->buf;
        c.fine = items(table) - 1;
        c.count = items(unit);
        Py_BEGIN_ALLOW_THREADS
        chroma(&c, m->buf, cb->buf, cr->buf, cb->itemsize);
        Py_END_ALLOW_THREADS
    }
    return finish(&arrays, good);
}

static PyMethodDef methods[] = {
    {"annealed_mean", py_annealed_mean, METH_VARARGS, "annealed_mean(logits, bins, sharpness, out)"},
    {"area_shrink", py_area_shrink, METH_VARARGS, "area_shrink(image, out, first_row, height, top, result_height)"},
    {"chroma", py_chroma, METH_VARARGS,
     "chroma(unit, L, a, b, matrix, table, red, blue, span, middle, top, cb, cr)"},
    {"fit", py_fit, METH_VARARGS,
     "fit(wanted, moments, gray, smooth, level, margin, to_gray, settled, steps, corrections, out)"},
    {"fit_gamut", py_fit_gamut, METH_VARARGS, "fit_gamut(L, ab, matrix, out)"},
    {"fit_linear", py_fit_linear, METH_VARARGS, "fit_linear(linear, matrix, red, blue, out)"},
    {"geodesic", py_geodesic, METH_VARARGS, "geodesic(costs, rounds, length)"},
    {"gray_to_L", py_gray_to_L, METH_VARARGS, "gray_to_L(codes, table, out)"},
    {"grow", py_grow, METH_VARARGS, "grow(image, out)"},
    {"moments", py_moments, METH_VARARGS, "moments(guide, place, of_rows, of_columns, out)"},
    {"paint", py_paint, METH_VARARGS, "paint(place, fitted, L, first, height, matrix, out)"},
    {"rgb_to_L", py_rgb_to_L, METH_VARARGS, "rgb_to_L(codes, table, red, blue, out)"},
    {"rows", py_rows, METH_VARARGS, "rows(place, fitted, L, first, height, out)"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The compiled twins of passes over all pixels; see photochrom.color.native.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module); }
