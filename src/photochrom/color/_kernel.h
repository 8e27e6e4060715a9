/* What takes a pass over every pixel, several times as fast as the same in NumPy.

Every function here has its twin in a module beside it, such as lab.py or upsample.py, which says
what it computes and why, takes over where this code is missing or switched off, and is what the
tests compare it with. The steps are the same in the same order, in float32 and without fused
products, so that the results are too, but for the powers: those are polynomials or quotients of
them here.

_kernel.c makes a module for Python of it, _kernel_wasm.c one for the browser. Nothing here knows
either, allocates memory, or calls a library.

Nothing is looked up at a place that the data decide, except in tables whose length is checked
against all that the type of the index can hold: no pixel, NaN or not, can lead outside an array.
Shapes are checked at the border; within, they are trusted. */

#ifndef PHOTOCHROM_KERNEL_H
#define PHOTOCHROM_KERNEL_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __wasm__ /* without a C library; the compiler has all of these as instructions */
#define memset __builtin_memset
#define memcpy __builtin_memcpy
#define sqrtf __builtin_sqrtf
#define fabsf __builtin_fabsf
#else
#include <math.h>
#include <string.h>
#endif

#ifdef _MSC_VER
#define INLINE static __forceinline
#else
#define INLINE static inline __attribute__((always_inline))
#endif
#define RESTRICT __restrict

/* Compiled once for each generation of processors; the loader chooses. That takes ifunc, which
glibc has. Elsewhere, as under a sanitizer, there is one build for all. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) \
    && __GNUC__ >= 12 && !defined(__SANITIZE_ADDRESS__) && !defined(PHOTOCHROM_ONE_BUILD)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

enum { BLOCK = 256 }; /* pixels at a time: what is in between stays in the first cache */

typedef ptrdiff_t Size;

/* --- one pixel ------------------------------------------------------------------------------ */

/* And not fminf, which would be a call. */
INLINE float least(float a, float b) { return a < b ? a : b; }
INLINE float most(float a, float b) { return a > b ? a : b; }

/* (1.055 v^(1/2.4) - 0.055) above 0.0031308, a straight line below (IEC 61966-2-1, equation 6).

v^(1/2.4) is q^(5/3) of q = v^(1/4), which two square roots give; the polynomial, in q brought to
-1..1, is the best of its degree over the range that it is for, and off by at most 8e-8. */
INLINE float encoded(float v)
{
    float u = (sqrtf(sqrtf(most(v, 0.0031308f))) - 0.6182725160f) * 2.6196699004f;
    float u2 = u * u;
    float even = 0.473389981f - 0.055f
        + u2 * (0.100250631f + u2 * (0.00142500801f + u2 * (0.00011794682f + u2 * 4.13863282e-05f)));
    float odd = 0.487126563f
        + u2 * (-0.00688526725f + u2 * (-0.000381163549f + u2 * -8.50079503e-05f));
    return v <= 0.0031308f ? v * 12.92f : even + u * odd;
}

/* The same for 8 bits: one division instead of two square roots, off by at most 3.7e-5, which is a
hundredth of a step. */
INLINE float encoded8(float v)
{
    float over = 0.0393835438f
        + v * (37.3784439f + v * (2367.48365f + v * (17926.1163f + v * 14136.0906f)));
    float under = 1.0f + v * (262.027032f + v * (6714.94718f + v * (20946.5093f + v * 4746.89087f)));
    return v <= 0.0031308f ? v * 12.92f : over / under - 0.055f;
}

INLINE float code(float v, int coarse)
{
    return least(most(coarse ? encoded8(v) : encoded(v), 0.0f), 1.0f);
}

/* 116 f(y) - 16 (CIE 15:2004): of y^(1/3), that is q^(4/3), likewise; off by at most 4e-8. */
INLINE float lightness_of(float y)
{
    float u = (sqrtf(sqrtf(most(y, 0.008856452f))) - 0.6533857251f) * 2.8850514027f;
    float u2 = u * u;
    float even = 0.566969285f
        + u2 * (0.0354563758f + u2 * (0.000927288882f + u2 * (7.69069842e-05f + u2 * 1.84187677e-05f)));
    float odd = 0.401028585f
        + u2 * (-0.004183092f + u2 * (-0.000250403698f + u2 * -4.33343064e-05f));
    float f = y > 0.008856452f ? even + u * odd : y * 7.787037037f + 0.1379310345f;
    return 116.0f * f - 16.0f;
}

/* The inverse of CIE's f: t^3 above 6/29, a straight line below. */
INLINE float cubed(float f)
{
    return f > 0.2068965517f ? f * f * f : 0.1284185494f * (f - 0.1379310345f);
}

/* --- L and ab to encoded sRGB: color.fit_gamut ----------------------------------------------- */

/* A color brought into the cube at its luminance y, and encoded: color.compress_chroma. */
INLINE void inside(float r, float g, float b, float y, int coarse, float *RESTRICT red,
                   float *RESTRICT green, float *RESTRICT blue)
{
    float gray = least(most(y, 0.0f), 1.0f);
    r -= gray;
    g -= gray;
    b -= gray;
    float up = most(most(most(r, g), b), 1e-12f);
    float down = most(-least(least(r, g), b), 1e-12f);
    /* The lesser of the ways to white, (1 - gray) / up, and to black; a division is dear. */
    int white = (1.0f - gray) * down < gray * up;
    float scale = least((white ? 1.0f - gray : gray) / (white ? up : down), 1.0f);
    *red = code(gray + scale * r, coarse);
    *green = code(gray + scale * g, coarse);
    *blue = code(gray + scale * b, coarse);
}

/* Of n <= BLOCK pixels. m is the matrix from X/Xn, Y/Yn, Z/Zn to linear rgb, whose rows sum to 1. */
INLINE void colors(const float *RESTRICT L, const float *RESTRICT a, const float *RESTRICT b,
                   const float *RESTRICT m, Size n, int coarse,
                   float *RESTRICT red, float *RESTRICT green, float *RESTRICT blue)
{
    const float m0 = m[0], m2 = m[2], m3 = m[3], m5 = m[5], m6 = m[6], m8 = m[8];
    for (Size i = 0; i < n; i++) {
        float fy = (L[i] + 16.0f) * (1.0f / 116.0f);
        float y = cubed(fy);
        float dx = cubed(fy + a[i] * (1.0f / 500.0f)) - y;
        float dz = cubed(fy - b[i] * (1.0f / 200.0f)) - y;
        inside(y + m0 * dx + m2 * dz, y + m3 * dx + m5 * dz, y + m6 * dx + m8 * dz, y, coarse,
               red + i, green + i, blue + i);
    }
}

INLINE void woven8(const float *RESTRICT red, const float *RESTRICT green,
                   const float *RESTRICT blue, Size n, uint8_t *RESTRICT out)
{
    uint8_t plane[3][BLOCK];
    for (Size i = 0; i < n; i++) plane[0][i] = (uint8_t)(int32_t)(red[i] * 255.0f + 0.5f);
    for (Size i = 0; i < n; i++) plane[1][i] = (uint8_t)(int32_t)(green[i] * 255.0f + 0.5f);
    for (Size i = 0; i < n; i++) plane[2][i] = (uint8_t)(int32_t)(blue[i] * 255.0f + 0.5f);
    for (Size i = 0; i < n; i++) {
        out[3 * i] = plane[0][i];
        out[3 * i + 1] = plane[1][i];
        out[3 * i + 2] = plane[2][i];
    }
}

INLINE void woven16(const float *RESTRICT red, const float *RESTRICT green,
                    const float *RESTRICT blue, Size n, uint16_t *RESTRICT out)
{
    for (Size i = 0; i < n; i++) {
        out[3 * i] = (uint16_t)(int32_t)(red[i] * 65535.0f + 0.5f);
        out[3 * i + 1] = (uint16_t)(int32_t)(green[i] * 65535.0f + 0.5f);
        out[3 * i + 2] = (uint16_t)(int32_t)(blue[i] * 65535.0f + 0.5f);
    }
}

INLINE void woven32(const float *RESTRICT red, const float *RESTRICT green,
                    const float *RESTRICT blue, Size n, float *RESTRICT out)
{
    for (Size i = 0; i < n; i++) {
        out[3 * i] = red[i];
        out[3 * i + 1] = green[i];
        out[3 * i + 2] = blue[i];
    }
}

/* itemsize tells the type: uint8, uint16 or float32. */
INLINE void painted(const float *RESTRICT L, const float *RESTRICT a, const float *RESTRICT b,
                    const float *RESTRICT m, Size n, void *out, Size itemsize)
{
    float red[BLOCK], green[BLOCK], blue[BLOCK];
    if (itemsize == 1) {
        colors(L, a, b, m, n, 1, red, green, blue);
        woven8(red, green, blue, n, out);
        return;
    }
    colors(L, a, b, m, n, 0, red, green, blue);
    if (itemsize == 2) woven16(red, green, blue, n, out);
    else woven32(red, green, blue, n, out);
}

CLONES static void fit_gamut(const float *L, const float *ab, const float *m, Size n, char *out,
                             Size itemsize)
{
    float a[BLOCK], b[BLOCK];
    for (Size at = 0; at < n; at += BLOCK) {
        Size count = n - at < BLOCK ? n - at : BLOCK;
        const float *pair = ab + 2 * at;
        for (Size i = 0; i < count; i++) {
            a[i] = pair[2 * i];
            b[i] = pair[2 * i + 1];
        }
        painted(L + at, a, b, m, count, out + 3 * at * itemsize, itemsize);
    }
}

/* Linear light of other primaries to encoded sRGB: color.fit_linear. A row of m has its sum, and
what red and blue have to do with it; the weights are those of red and blue in Y. */
CLONES static void fit_linear(const float *linear, const float *m, float red_weight,
                              float blue_weight, Size n, char *out, Size itemsize)
{
    const float m0 = m[0], m1 = m[1], m2 = m[2], m3 = m[3], m4 = m[4], m5 = m[5], m6 = m[6],
                m7 = m[7], m8 = m[8];
    float red[BLOCK], green[BLOCK], blue[BLOCK];
    for (Size at = 0; at < n; at += BLOCK) {
        Size count = n - at < BLOCK ? n - at : BLOCK;
        const float *pixel = linear + 3 * at;
        for (Size i = 0; i < count; i++) {
            float middle = pixel[3 * i + 1];
            float dr = pixel[3 * i] - middle, db = pixel[3 * i + 2] - middle;
            float r = m0 * middle + m1 * dr + m2 * db;
            float g = m3 * middle + m4 * dr + m5 * db;
            float s = m6 * middle + m7 * dr + m8 * db;
            float y = g + red_weight * (r - g) + blue_weight * (s - g);
            inside(r, g, s, y, itemsize == 1, red + i, green + i, blue + i);
        }
        void *place = out + 3 * at * itemsize;
        if (itemsize == 1) woven8(red, green, blue, count, place);
        else if (itemsize == 2) woven16(red, green, blue, count, place);
        else woven32(red, green, blue, count, place);
    }
}

/* --- L of pixels: color.gray_to_L, color.rgb_to_L ---------------------------------------------- */

CLONES static void looked_up(const void *codes, Size itemsize, const float *RESTRICT table, Size n,
                             float *RESTRICT out)
{
    if (itemsize == 1) {
        const uint8_t *code = codes;
        for (Size i = 0; i < n; i++) out[i] = table[code[i]];
    } else {
        const uint16_t *code = codes;
        for (Size i = 0; i < n; i++) out[i] = table[code[i]];
    }
}

/* table: to linear light. The weights are those of red and blue in Y, that of green the rest. */
CLONES static void lightness(const void *codes, Size itemsize, const float *RESTRICT table,
                             float red_weight, float blue_weight, Size n, float *RESTRICT out)
{
    float linear[3 * BLOCK];
    for (Size at = 0; at < n; at += BLOCK) {
        Size count = n - at < BLOCK ? n - at : BLOCK;
        looked_up((const char *)codes + 3 * at * itemsize, itemsize, table, 3 * count, linear);
        for (Size i = 0; i < count; i++) {
            float r = linear[3 * i], g = linear[3 * i + 1], b = linear[3 * i + 2];
            out[at + i] = lightness_of(g + red_weight * (r - g) + blue_weight * (b - g));
        }
    }
}

/* --- resizing: upsample.area_shrink, upsample._grow --------------------------------------------- */

/* The pixel in which border i of the areas falls, and the share of it that lies before. */
INLINE Size cut(Size i, Size size, Size target, float *share)
{
    double place = (double)i * ((double)size / (double)target);
    if (i == target || place > (double)size) place = (double)size;
    Size pixel = (Size)place;
    *share = (float)(place - (double)pixel);
    return pixel;
}

INLINE void add_row(float *RESTRICT sum, const float *RESTRICT row, float factor, Size n)
{
    for (Size x = 0; x < n; x++) sum[x] += factor * row[x];
}

INLINE void add_whole_row(float *RESTRICT sum, const float *RESTRICT row, Size n)
{
    for (Size x = 0; x < n; x++) sum[x] += row[x];
}

/* (H, W) to (h, w), h <= H and w <= W: rows top..top + n of the result, from the rows of the image
that begin with the row `first`. sum holds W, cuts w + 1 and shares w + 1. */
CLONES static void shrunk(const float *RESTRICT image, Size first, Size H, Size W, Size h, Size w,
                          Size top, Size n, float *RESTRICT sum, Size *RESTRICT cuts, float *RESTRICT shares,
                          float *RESTRICT out)
{
    const float of_rows = (float)((double)h / (double)H), of_columns = (float)((double)w / (double)W);
    for (Size x = 0; x <= w; x++) cuts[x] = cut(x, W, w, shares + x);
    for (Size y = top; y < top + n; y++) {
        float before, after;
        Size start = cut(y, H, h, &before) - first, stop = cut(y + 1, H, h, &after) - first;
        memset(sum, 0, (size_t)W * sizeof(float));
        for (Size row = start; row < stop; row++) add_whole_row(sum, image + row * W, W);
        if (before > 0) add_row(sum, image + start * W, -before, W);
        if (after > 0) add_row(sum, image + stop * W, after, W);
        for (Size x = 0; x < W; x++) sum[x] *= of_rows;
        for (Size x = 0; x < w; x++) {
            float area = 0;
            for (Size column = cuts[x]; column < cuts[x + 1]; column++) area += sum[column];
            area -= shares[x] * sum[cuts[x]];
            area += shares[x + 1] * sum[cuts[x + 1] < W ? cuts[x + 1] : W - 1];
            out[(y - top) * w + x] = area * of_columns;
        }
    }
}

/* The first of the two of `size` pixels around pixel i of target, and the share of the second. */
INLINE Size between(Size i, Size size, Size target, float *share)
{
    double place = ((double)i + 0.5) * ((double)size / (double)target) - 0.5;
    if (place < 0) place = 0;
    if (place > (double)(size - 1)) place = (double)(size - 1);
    Size first = (Size)place;
    *share = (float)(place - (double)first);
    return first;
}

/* (n, w) to (n, W). firsts and shares hold W. */
CLONES static void grown(const float *RESTRICT image, Size n, Size w, Size W, Size *RESTRICT firsts,
                         float *RESTRICT shares, float *RESTRICT out)
{
    for (Size x = 0; x < W; x++) firsts[x] = between(x, w, W, shares + x);
    for (Size y = 0; y < n; y++) {
        const float *row = image + y * w;
        float *line = out + y * W;
        for (Size x = 0; x < W;) {
            Size first = firsts[x], stop = x + 1;
            while (stop < W && firsts[stop] == first) stop++;
            float left = row[first], step = row[first + 1 < w ? first + 1 : first] - left;
            for (; x < stop; x++) line[x] = step * shares[x] + left;
        }
    }
}

/* --- the curves: upsample.Upsampler ----------------------------------------------------------- */

INLINE float mixed(const float *plane, Size below, float share)
{
    return share * (plane[below] - plane[0]) + plane[0];
}

INLINE float position(float L, float middle, float scale)
{
    return least(most((L - middle) * scale, -1.0f), 1.0f);
}

/* Upsampler.rows of n <= BLOCK pixels of a row. place (2, h, W) and fitted (2, 3, h, W) at the row
of small pixels above, and `plane` from one of their planes to the next; the row below is `below`
further on, 0 where there is none. */
INLINE void followed(const float *RESTRICT place, const float *RESTRICT fitted, Size plane,
                     Size below, float share, const float *RESTRICT L, Size n,
                     float *RESTRICT a, float *RESTRICT b)
{
    for (Size i = 0; i < n; i++) {
        const float *here = fitted + i;
        float t = position(L[i], mixed(place + i, below, share),
                           mixed(place + plane + i, below, share));
        float bend = fabsf(t);
        a[i] = mixed(here, below, share) + mixed(here + plane, below, share) * t
            + mixed(here + 2 * plane, below, share) * bend;
        b[i] = mixed(here + 3 * plane, below, share) + mixed(here + 4 * plane, below, share) * t
            + mixed(here + 5 * plane, below, share) * bend;
    }
}

typedef struct {
    Size h, W, rows, first, height; /* of small pixels; of the photo's strip and the photo */
    const float *place, *fitted, *L;
} Strip;

/* Where `out` is NULL, a and b (2, rows, W) are wanted, else pixels. */
CLONES static void strip(const Strip *s, const float *m, float *ab, char *out, Size itemsize)
{
    float a[BLOCK], b[BLOCK];
    const Size plane = s->h * s->W;
    for (Size y = 0; y < s->rows; y++) {
        float share;
        Size above = between(s->first + y, s->h, s->height, &share);
        Size below = above + 1 < s->h ? s->W : 0;
        for (Size x = 0; x < s->W; x += BLOCK) {
            Size count = s->W - x < BLOCK ? s->W - x : BLOCK;
            Size at = y * s->W + x, small = above * s->W + x;
            if (out == NULL) {
                followed(s->place + small, s->fitted + small, plane, below, share, s->L + at, count,
                         ab + at, ab + s->rows * s->W + at);
            } else {
                followed(s->place + small, s->fitted + small, plane, below, share, s->L + at, count,
                         a, b);
                painted(s->L + at, a, b, m, count, out + 3 * at * itemsize, itemsize);
            }
        }
    }
}

/* --- Cb and Cr beside a luma that stays: video.chroma.Painter.planes ---------------------------- */

typedef struct {
    const float *unit, *L, *a, *b; /* of each pixel; Y' in 0..1 */
    const float *table;            /* L of Y' = 0, 1 / fine, ... 1 */
    Size fine, count;
    float red, blue, span, middle, top; /* K_R, K_B; of the numbers for Cb and Cr */
} Chroma;

INLINE float number(float chroma, const Chroma *c)
{
    return least(most(chroma * c->span + c->middle, 0.0f), c->top);
}

CLONES static void chroma(const Chroma *c, const float *m, void *cb, void *cr, Size itemsize)
{
    float red[BLOCK], green[BLOCK], blue[BLOCK], L[BLOCK];
    const float kr = c->red, kb = c->blue, kg = 1.0f - c->red - c->blue;
    for (Size at = 0; at < c->count; at += BLOCK) {
        Size n = c->count - at < BLOCK ? c->count - at : BLOCK;
        const float *unit = c->unit + at, *a = c->a + at, *b = c->b + at;
        colors(c->L + at, a, b, m, n, itemsize == 1, red, green, blue);
        for (Size i = 0; i < n; i++) { /* as far as the luma is off, aim beside it */
            float aim = 2.0f * unit[i] - (kr * red[i] + kg * green[i] + kb * blue[i]);
            L[i] = c->table[(int32_t)(least(most(aim, 0.0f), 1.0f) * (float)c->fine + 0.5f)];
        }
        colors(L, a, b, m, n, itemsize == 1, red, green, blue);
        for (Size i = 0; i < n; i++) {
            float y = kr * red[i] + kg * green[i] + kb * blue[i];
            float r = red[i] - y, b_ = blue[i] - y, g = -(kr * r + kb * b_) / kg;
            float up = most(most(r, g), most(b_, 1e-6f));
            float down = most(-least(least(r, g), b_), 1e-6f);
            float within = least(least((1.0f - unit[i]) / up, unit[i] / down), 1.0f);
            blue[i] = number(b_ * within / (2.0f * (1.0f - kb)), c);
            red[i] = number(r * within / (2.0f * (1.0f - kr)), c);
        }
        if (itemsize == 1) {
            for (Size i = 0; i < n; i++) ((uint8_t *)cb)[at + i] = (uint8_t)(int32_t)blue[i];
            for (Size i = 0; i < n; i++) ((uint8_t *)cr)[at + i] = (uint8_t)(int32_t)red[i];
        } else {
            for (Size i = 0; i < n; i++) ((uint16_t *)cb)[at + i] = (uint16_t)(int32_t)blue[i];
            for (Size i = 0; i < n; i++) ((uint16_t *)cr)[at + i] = (uint16_t)(int32_t)red[i];
        }
    }
}

/* --- the fit of the curves: upsample.Upsampler.fit ---------------------------------------------- */

/* The shares of dark, middle and bright in n pixels of the guide: parts (3, n). */
INLINE void parted(const float *RESTRICT guide, const float *RESTRICT place, Size plane, Size below,
                   float share, Size n, float *RESTRICT parts)
{
    for (Size x = 0; x < n; x++) {
        float t = position(guide[x], mixed(place + x, below, share),
                           mixed(place + plane + x, below, share));
        float dark = most(-t, 0.0f), bright = most(t, 0.0f);
        parts[x] = dark;
        parts[x + n] = 1.0f - dark - bright;
        parts[x + 2 * n] = bright;
    }
}

INLINE void add_cells(const float *RESTRICT sum, Size columns, float factor, Size w,
                      float *RESTRICT out)
{
    for (Size x = 0; x < w; x++) out[x] += factor * sum[x * columns];
}

/* upsample._moments, before what it does at the borders. guide (h rows, w columns), place (2, h,
w columns) grown along its rows only; of_rows (3, rows), of_columns (3, columns); sums holds
12 w columns; out (3, 3, 3, h, w). */
CLONES static void moments(const float *guide, const float *place, const float *of_rows,
                           const float *of_columns, Size h, Size w, Size rows, Size columns,
                           float *RESTRICT sums, float *RESTRICT out)
{
    const Size n = w * columns, plane = h * n;
    float *parts = sums + 9 * n;
    for (Size y = 0; y < h; y++) {
        memset(sums, 0, (size_t)(9 * n) * sizeof(float));
        for (Size row = 0; row < rows; row++) {
            float share;
            Size line = y * rows + row, above = between(line, h, h * rows, &share);
            parted(guide + line * n, place + above * n, plane, above + 1 < h ? n : 0, share, n,
                   parts);
            for (Size i = 0; i < 3; i++)
                if (of_rows[i * rows + row] != 0.0f)
                    add_row(sums + 3 * i * n, parts, of_rows[i * rows + row], 3 * n);
        }
        for (Size i = 0; i < 3; i++)
            for (Size j = 0; j < 3; j++)
                for (Size k = 0; k < 3; k++) {
                    const float *sum = sums + (3 * i + k) * n, *factor = of_columns + j * columns;
                    float *line = out + ((((3 * i + j) * 3) + k) * h + y) * w;
                    memset(line, 0, (size_t)w * sizeof(float));
                    for (Size c = 0; c < columns; c++)
                        if (factor[c] != 0.0f) add_cells(sum + c, columns, factor[c], w, line);
                }
    }
}

typedef struct {
    Size h, w;
    const float *moments; /* (9, 3, h, w): 0 where they would point beyond the border */
    const float *gray; /* (2) */
    float smooth, level, margin, to_gray;
    double settled;
} Fit;

/* Of all pixels of a plane those that have a neighbor so far on in memory. Where that is none of the
3 x 3 around, for a row ends between, the moment is 0. */
INLINE Size low(Size beside) { return beside < 0 ? -beside : 0; }
INLINE Size high(Size beside, Size plane) { return beside > 0 ? plane - beside : plane; }

INLINE void add_three(const float *RESTRICT factor, const float *RESTRICT near, Size plane, Size n,
                      float *RESTRICT out)
{
    for (Size x = 0; x < n; x++)
        out[x] += factor[x] * near[x] + factor[x + plane] * near[x + plane]
            + factor[x + 2 * plane] * near[x + 2 * plane];
}

/* Upsampler._reduced: curves (2, 3, h, w) to out (2, h, w). */
INLINE void reduced(const Fit *f, const float *curves, float *out)
{
    const Size plane = f->h * f->w;
    memset(out, 0, (size_t)(2 * plane) * sizeof(float));
    for (Size n = 0; n < 9; n++) {
        const Size beside = (n / 3 - 1) * f->w + n % 3 - 1;
        const Size first = low(beside), count = high(beside, plane) - first;
        for (Size c = 0; c < 2 && count > 0; c++)
            add_three(f->moments + 3 * n * plane + first, curves + 3 * c * plane + first + beside,
                      plane, count, out + c * plane + first);
    }
}

INLINE void add_products(const float *RESTRICT factor, const float *RESTRICT near, Size n,
                         float *RESTRICT out)
{
    for (Size x = 0; x < n; x++) out[x] += factor[x] * near[x];
}

/* The differences of a row from the row (or plane, or column) beside it. */
INLINE void add_steps(const float *RESTRICT v, Size beside, float weight, Size n,
                      float *RESTRICT out)
{
    for (Size x = 0; x < n; x++) out[x] += weight * (v[x] - v[x + beside]);
}

/* Upsampler._returned less or plus _roughness: out = returned(small) + sign roughness(curves). */
INLINE void returned(const Fit *f, const float *small, const float *curves, float sign, float *out)
{
    const Size h = f->h, w = f->w, plane = h * w;
    const float smooth = sign * f->smooth, level = sign * f->level;
    memset(out, 0, (size_t)(6 * plane) * sizeof(float));
    for (Size i = 0; i < 6; i++) {
        const float *v = curves + i * plane;
        float *sum = out + i * plane;
        add_steps(v + w, -w, smooth, plane - w, sum + w);
        add_steps(v, w, smooth, plane - w, sum);
        if (i % 3 > 0) add_steps(v, -plane, level, plane, sum);
        if (i % 3 < 2) add_steps(v, plane, level, plane, sum);
        for (Size at = 0; at < plane; at += w) {
            add_steps(v + at + 1, -1, smooth, w - 1, sum + at + 1);
            add_steps(v + at, 1, smooth, w - 1, sum + at);
        }
    }
    for (Size n = 0; n < 9; n++) {
        const Size beside = (n / 3 - 1) * w + n % 3 - 1;
        const Size first = low(beside), count = high(beside, plane) - first;
        for (Size i = 0; i < 6 && count > 0; i++)
            add_products(f->moments + (3 * (8 - n) + i % 3) * plane + first + beside,
                         small + i / 3 * plane + first + beside, count, out + i * plane + first);
    }
}

INLINE double product(const float *a, const float *b, Size n)
{
    double lanes[8] = {0};
    Size i = 0;
    for (; i + 8 <= n; i += 8)
        for (Size k = 0; k < 8; k++) lanes[k] += (double)a[i + k] * (double)b[i + k];
    double total = 0;
    for (; i < n; i++) total += (double)a[i] * (double)b[i];
    for (Size k = 0; k < 8; k++) total += lanes[k];
    return total;
}

/* Upsampler._curves. room holds 24 h w. */
CLONES static void fitted(const Fit *f, const float *RESTRICT wanted, Size steps, Size corrections,
                          float *RESTRICT room, float *RESTRICT curves)
{
    const Size h = f->h, w = f->w, plane = h * w, n = 6 * plane;
    float *RESTRICT residual = room, *RESTRICT direction = room + n, *RESTRICT image = room + 2 * n;
    float *RESTRICT small = room + 3 * n, *RESTRICT lowest = small + 2 * plane;
    float *RESTRICT highest = lowest + 2 * plane;
    for (Size c = 0; c < 2; c++)
        for (Size k = 0; k < 3; k++)
            memcpy(curves + (3 * c + k) * plane, wanted + c * plane, (size_t)plane * sizeof(float));
    reduced(f, curves, small);
    for (Size i = 0; i < 2 * plane; i++) small[i] = wanted[i] - small[i];
    returned(f, small, curves, -1.0f, residual);
    memcpy(direction, residual, (size_t)n * sizeof(float));
    double size = product(residual, residual, n);
    const double part = f->settled * size, enough = part > 1e-12 ? part : 1e-12;
    for (Size step = 0; step < steps && size >= enough; step++) {
        reduced(f, direction, small);
        returned(f, small, direction, 1.0f, image);
        const float far = (float)(size / product(direction, image, n));
        for (Size i = 0; i < n; i++) curves[i] += far * direction[i];
        for (Size i = 0; i < n; i++) residual[i] -= far * image[i];
        const double before = size;
        size = product(residual, residual, n);
        const float turn = (float)(size / before);
        for (Size i = 0; i < n; i++) direction[i] = residual[i] + turn * direction[i];
    }
    for (Size c = 0; c < 2; c++)
        for (Size y = 0; y < h; y++)
            for (Size x = 0; x < w; x++) {
                float bottom = FLT_MAX, top = -FLT_MAX;
                for (Size i = y ? y - 1 : 0; i <= (y + 1 < h ? y + 1 : y); i++)
                    for (Size j = x ? x - 1 : 0; j <= (x + 1 < w ? x + 1 : x); j++) {
                        bottom = least(wanted[c * plane + i * w + j], bottom);
                        top = most(wanted[c * plane + i * w + j], top);
                    }
                const float margin = f->margin * (top - bottom), more = f->to_gray * (top - bottom);
                lowest[c * plane + y * w + x] = least(most(bottom - more, f->gray[c]),
                                                      bottom - margin);
                highest[c * plane + y * w + x] = most(least(top + more, f->gray[c]), top + margin);
            }
    for (Size step = 0; step < corrections; step++) {
        reduced(f, curves, small);
        for (Size c = 0; c < 2; c++)
            for (Size k = 0; k < 3; k++) {
                float *RESTRICT curve = curves + (3 * c + k) * plane;
                const Size at = c * plane;
                for (Size i = 0; i < plane; i++)
                    curve[i] = least(most(curve[i] + (wanted[at + i] - small[at + i]),
                                          lowest[at + i]), highest[at + i]);
            }
    }
}

/* --- the annealed mean: bins.annealed_mean ------------------------------------------------------ */

/* 2^x for x in -126..0, and beyond the same as at the ends, so that the whole part always fits. The
series of 2^f up to f^6 is off by 2e-7 of itself. */
INLINE float power_of_two(float x)
{
    const float far = least(most(x, -126.0f), 0.0f);
    const int32_t whole = (int32_t)(far - 0.5f), bits = (whole + 127) * (1 << 23);
    const float f = far - (float)whole;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale * (1.0f + f * (0.693147181f + f * (0.240226507f + f * (0.0555041087f
        + f * (0.00961812911f + f * (0.00133335581f + f * 0.000154035304f))))));
}

INLINE void rise(const float *RESTRICT z, Size n, float *RESTRICT top)
{
    for (Size i = 0; i < n; i++) top[i] = most(z[i], top[i]);
}

INLINE void weigh(const float *RESTRICT z, const float *RESTRICT top, float sharpness, float a,
                  float b, Size n, float *RESTRICT sum, float *RESTRICT sum_a,
                  float *RESTRICT sum_b)
{
    for (Size i = 0; i < n; i++) {
        const float p = power_of_two((z[i] - top[i]) * sharpness);
        sum[i] += p;
        sum_a[i] += p * a;
        sum_b[i] += p * b;
    }
}

/* logits (Q, n), bins (Q, 2), out (n, 2); sharpness is 1 / (T ln 2). */
CLONES static void annealed(const float *logits, const float *bins, float sharpness, Size Q, Size n,
                            float *RESTRICT out)
{
    float top[BLOCK], sums[3][BLOCK];
    for (Size at = 0; at < n; at += BLOCK) {
        const Size count = n - at < BLOCK ? n - at : BLOCK;
        for (Size i = 0; i < count; i++) top[i] = -FLT_MAX;
        for (Size q = 0; q < Q; q++) rise(logits + q * n + at, count, top);
        memset(sums, 0, sizeof sums);
        for (Size q = 0; q < Q; q++)
            weigh(logits + q * n + at, top, sharpness, bins[2 * q], bins[2 * q + 1], count, sums[0],
                  sums[1], sums[2]);
        for (Size i = 0; i < count; i++) {
            out[2 * (at + i)] = sums[1][i] / sums[0][i];
            out[2 * (at + i) + 1] = sums[2][i] / sums[0][i];
        }
    }
}

/* --- how far along paths that avoid edges: geodesic.geodesic ----------------------------------- */

/* Costs (4, h, w) of the steps right, down, down and right, down and left; length (h, w) is 0 at the
seeds. Passes down and up until nothing gets shorter. */
static void geodesic(const float *RESTRICT costs, Size h, Size w, Size rounds, float *RESTRICT length)
{
    const float *right = costs, *down = costs + h * w, *falling = costs + 2 * h * w;
    const float *rising = costs + 3 * h * w;
    for (int shorter = 1; shorter && rounds > 0; rounds--) {
        shorter = 0;
        for (Size y = 0; y < h; y++)
            for (Size x = 0; x < w; x++) {
                const Size i = y * w + x;
                float now = length[i];
                if (x) now = least(now, length[i - 1] + right[i - 1]);
                if (y) {
                    now = least(now, length[i - w] + down[i - w]);
                    if (x) now = least(now, length[i - w - 1] + falling[i - w - 1]);
                    if (x + 1 < w) now = least(now, length[i - w + 1] + rising[i - w + 1]);
                }
                if (now < length[i]) {
                    length[i] = now;
                    shorter = 1;
                }
            }
        for (Size y = h - 1; y >= 0; y--)
            for (Size x = w - 1; x >= 0; x--) {
                const Size i = y * w + x;
                float now = length[i];
                if (x + 1 < w) now = least(now, length[i + 1] + right[i]);
                if (y + 1 < h) {
                    now = least(now, length[i + w] + down[i]);
                    if (x + 1 < w) now = least(now, length[i + w + 1] + falling[i]);
                    if (x) now = least(now, length[i + w - 1] + rising[i]);
                }
                if (now < length[i]) {
                    length[i] = now;
                    shorter = 1;
                }
            }
    }
}

#endif
