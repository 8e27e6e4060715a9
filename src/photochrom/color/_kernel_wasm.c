/* The kernel as a WebAssembly module for the browser: what is in _kernel.h, exported.

Its caller is web/static/site/engine/kernel.js, which passes only arrays that fit together. Memory
is a stack: `room` gives the next bytes, and `release` takes back all from a place on. */

#include "_jpeg_wasm.h"
#include "_kernel.h"

#define EXPORT(name) __attribute__((export_name(#name)))

extern unsigned char __heap_base;

enum { PAGE = 65536, ALIGNED = 16 };

static uintptr_t top = 0;

/* So many bytes; 0 if there are none. */
EXPORT(room) void *room(uint32_t bytes)
{
    if (top == 0) top = (uintptr_t)&__heap_base;
    const uintptr_t start = (top + ALIGNED - 1) & ~(uintptr_t)(ALIGNED - 1);
    const uint64_t stop = (uint64_t)start + bytes;
    const uint64_t held = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;
    if (stop > held) {
        const uint64_t pages = (stop - held + PAGE - 1) / PAGE;
        if (stop > UINT32_MAX || __builtin_wasm_memory_grow(0, (uintptr_t)pages) == (uintptr_t)-1)
            return NULL;
    }
    top = (uintptr_t)stop;
    return (void *)start;
}

EXPORT(release) void release(void *from) { top = (uintptr_t)from; }

EXPORT(fit_gamut) void wasm_fit_gamut(const float *L, const float *ab, const float *m, Size n,
                                      char *out, Size itemsize)
{
    fit_gamut(L, ab, m, n, out, itemsize);
}

EXPORT(looked_up) void wasm_looked_up(const void *codes, Size itemsize, const float *table, Size n,
                                      float *out)
{
    looked_up(codes, itemsize, table, n, out);
}

EXPORT(lightness) void wasm_lightness(const void *codes, Size itemsize, const float *table,
                                      float red, float blue, Size n, float *out)
{
    lightness(codes, itemsize, table, red, blue, n, out);
}

EXPORT(annealed) void wasm_annealed(const float *logits, const float *bins, float sharpness, Size Q,
                                    Size n, float *out)
{
    annealed(logits, bins, sharpness, Q, n, out);
}

EXPORT(shrunk) void wasm_shrunk(const float *image, Size first, Size H, Size W, Size h, Size w,
                                Size top_row, Size n, float *sum, Size *cuts, float *shares,
                                float *out)
{
    shrunk(image, first, H, W, h, w, top_row, n, sum, cuts, shares, out);
}

EXPORT(grown) void wasm_grown(const float *image, Size n, Size w, Size W, Size *firsts,
                              float *shares, float *out)
{
    grown(image, n, w, W, firsts, shares, out);
}

EXPORT(geodesic) void wasm_geodesic(const float *costs, Size h, Size w, Size rounds, float *length)
{
    geodesic(costs, h, w, rounds, length);
}

EXPORT(moments) void wasm_moments(const float *guide, const float *place, const float *of_rows,
                                  const float *of_columns, Size h, Size w, Size rows, Size columns,
                                  float *sums, float *out)
{
    moments(guide, place, of_rows, of_columns, h, w, rows, columns, sums, out);
}

EXPORT(fitted) void wasm_fitted(const float *wanted, const float *factors, const float *gray,
                                const float *dials, Size h, Size w, Size steps, Size corrections,
                                float *place, float *curves)
{
    const Fit f = {h, w, factors, gray, dials[0], dials[1], dials[2], dials[3], dials[4]};
    fitted(&f, wanted, steps, corrections, place, curves);
}

/* One strip: a and b if `out` is NULL, else pixels. */
EXPORT(strip) void wasm_strip(const float *place, const float *curves, const float *L, Size h,
                              Size W, Size rows, Size first, Size height, const float *m, float *ab,
                              char *out, Size itemsize)
{
    const Strip s = {h, W, rows, first, height, place, curves, L};
    strip(&s, m, ab, out, itemsize);
}

EXPORT(jpeg_size) Size wasm_jpeg_size(void) { return sizeof(Jpeg); }

EXPORT(jpeg_begun) Size wasm_jpeg_begun(Jpeg *jpeg, Size height, Size width, int quality, uint8_t *out)
{
    return jpeg_begun(jpeg, height, width, quality, out);
}

EXPORT(jpeg_rows) Size wasm_jpeg_rows(Jpeg *jpeg, const uint8_t *pixels, Size rows, Size width, uint8_t *out)
{
    return jpeg_rows(jpeg, pixels, rows, width, out);
}

EXPORT(jpeg_ended) Size wasm_jpeg_ended(Jpeg *jpeg, uint8_t *out) { return jpeg_ended(jpeg, out); }
