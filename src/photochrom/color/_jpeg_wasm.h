/* A baseline JPEG (ISO/IEC 10918-1) of an image with full chroma, for the browser: what a canvas writes
has a fourth of the chroma. The tables are those of annex K, scaled by a quality as libjpeg does. */

#ifndef PHOTOCHROM_JPEG_H
#define PHOTOCHROM_JPEG_H

#include "_kernel.h"

static const uint8_t ZIGZAG[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

/* Tables K.1 and K.2. */
static const uint8_t STEPS[2][64] = {
    {16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,
     14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,
     18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,
     49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99},
    {17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
     24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
     99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
     99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99}};

/* Tables K.3 to K.6: how many codes there are of each length from 1 to 16, then their values. */
static const uint8_t DC_COUNTS[2][16] = {{0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0},
                                         {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0}};
static const uint8_t DC_VALUES[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t AC_COUNTS[2][16] = {{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d},
                                         {0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77}};
static const uint8_t AC_VALUES[2][162] = {
    {0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
     0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
     0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
     0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
     0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
     0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
     0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
     0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
     0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
     0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
     0xf9, 0xfa},
    {0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
     0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
     0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
     0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
     0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
     0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
     0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
     0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
     0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
     0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
     0xf9, 0xfa}};

typedef struct {
    uint16_t code[256];
    uint8_t length[256];
} Codes;

typedef struct {
    uint8_t *out;
    uint32_t held, bits; /* not written yet, the oldest first */
} Writer;

INLINE void put_byte(Writer *w, int value) { *w->out++ = (uint8_t)value; }
INLINE void put_short(Writer *w, Size value) { put_byte(w, (int)(value >> 8)), put_byte(w, (int)value); }

/* At most 16 bits. */
static void put_bits(Writer *w, uint32_t value, uint32_t count)
{
    w->held = w->held << count | (value & ((1u << count) - 1));
    w->bits += count;
    while (w->bits >= 8) {
        const int byte = (int)(w->held >> (w->bits - 8) & 0xff);
        put_byte(w, byte);
        if (byte == 0xff) put_byte(w, 0); /* or it would begin a marker */
        w->bits -= 8;
    }
}

/* The codes of a table (annex C.2). */
static void make_codes(const uint8_t *counts, const uint8_t *values, Codes *codes)
{
    uint32_t code = 0;
    for (uint32_t length = 1; length <= 16; length++, code <<= 1)
        for (int i = 0; i < counts[length - 1]; i++, values++) {
            codes->code[*values] = (uint16_t)code++;
            codes->length[*values] = (uint8_t)length;
        }
}

/* cos(k pi / 16) / 2 for k > 0, 1 / sqrt(8) for 0: row k of the transform. */
static void make_waves(float *waves)
{
    static const float COSINES[9] = {1.0f,         0.980785280f, 0.923879533f, 0.831469612f, 0.707106781f,
                                     0.555570233f, 0.382683432f, 0.195090322f, 0.0f};
    for (int k = 0; k < 8; k++)
        for (int x = 0; x < 8; x++) {
            const int turn = (2 * x + 1) * k % 32, half = turn > 16 ? 32 - turn : turn;
            const float cosine = half > 8 ? -COSINES[16 - half] : COSINES[half];
            waves[8 * k + x] = k == 0 ? 0.353553391f : 0.5f * cosine;
        }
}

INLINE void transformed(const float *waves, const float *block, float *out)
{
    float across[64];
    for (int y = 0; y < 8; y++)
        for (int k = 0; k < 8; k++) {
            float sum = 0;
            for (int x = 0; x < 8; x++) sum += waves[8 * k + x] * block[8 * y + x];
            across[8 * y + k] = sum;
        }
    for (int k = 0; k < 8; k++)
        for (int x = 0; x < 8; x++) {
            float sum = 0;
            for (int y = 0; y < 8; y++) sum += waves[8 * k + y] * across[8 * y + x];
            out[8 * k + x] = sum;
        }
}

INLINE uint32_t bits_of(int value)
{
    const uint32_t size = (uint32_t)(value < 0 ? -value : value);
    return size == 0 ? 0 : 32 - (uint32_t)__builtin_clz(size);
}

/* A number after the code of its length: one below 0 as its ones' complement (annex F.1.2). */
INLINE void put_number(Writer *w, int value, uint32_t size)
{
    put_bits(w, (uint32_t)(value < 0 ? value - 1 : value), size);
}

static int put_block(Writer *w, const float *waves, const float *block, const float *steps, int before,
                     const Codes *dc, const Codes *ac)
{
    float found[64];
    int numbers[64];
    transformed(waves, block, found);
    for (int i = 0; i < 64; i++) {
        const float value = found[ZIGZAG[i]] * steps[i];
        numbers[i] = (int)(value < 0 ? value - 0.5f : value + 0.5f);
    }
    uint32_t size = bits_of(numbers[0] - before);
    put_bits(w, dc->code[size], dc->length[size]);
    put_number(w, numbers[0] - before, size);
    uint32_t zeros = 0;
    for (int i = 1; i < 64; i++) {
        if (numbers[i] == 0) {
            zeros++;
            continue;
        }
        for (; zeros > 15; zeros -= 16) put_bits(w, ac->code[0xf0], ac->length[0xf0]);
        size = bits_of(numbers[i]);
        put_bits(w, ac->code[zeros << 4 | size], ac->length[zeros << 4 | size]);
        put_number(w, numbers[i], size);
        zeros = 0;
    }
    if (zeros > 0) put_bits(w, ac->code[0], ac->length[0]);
    return numbers[0];
}

static void put_tables(Writer *w, const uint8_t (*steps)[64], Size height, Size width)
{
    put_short(w, 0xffd8);
    for (int k = 0; k < 2; k++) {
        put_short(w, 0xffdb), put_short(w, 67), put_byte(w, k);
        for (int i = 0; i < 64; i++) put_byte(w, steps[k][ZIGZAG[i]]);
    }
    put_short(w, 0xffc0), put_short(w, 17), put_byte(w, 8), put_short(w, height), put_short(w, width);
    put_byte(w, 3);
    for (int c = 0; c < 3; c++) put_byte(w, c + 1), put_byte(w, 0x11), put_byte(w, c > 0);
    for (int k = 0; k < 2; k++) {
        put_short(w, 0xffc4), put_short(w, 31), put_byte(w, k);
        for (int i = 0; i < 16; i++) put_byte(w, DC_COUNTS[k][i]);
        for (int i = 0; i < 12; i++) put_byte(w, DC_VALUES[i]);
        put_short(w, 0xffc4), put_short(w, 181), put_byte(w, 0x10 + k);
        for (int i = 0; i < 16; i++) put_byte(w, AC_COUNTS[k][i]);
        for (int i = 0; i < 162; i++) put_byte(w, AC_VALUES[k][i]);
    }
    put_short(w, 0xffda), put_short(w, 12), put_byte(w, 3);
    for (int c = 0; c < 3; c++) put_byte(w, c + 1), put_byte(w, c > 0 ? 0x11 : 0);
    put_byte(w, 0), put_byte(w, 63), put_byte(w, 0);
}

/* A JPEG being written: the image comes in strips of whole rows of blocks, from top to bottom. */
typedef struct {
    Codes dc[2], ac[2];
    float waves[64], steps[2][64];
    uint32_t held, bits;
    int before[3];
} Jpeg;

/* Begins a file of that size; the bytes that were written. The head has 623 bytes. */
static Size jpeg_begun(Jpeg *jpeg, Size height, Size width, int quality, uint8_t *out)
{
    uint8_t steps[2][64];
    const int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    for (int k = 0; k < 2; k++) {
        make_codes(DC_COUNTS[k], DC_VALUES, &jpeg->dc[k]);
        make_codes(AC_COUNTS[k], AC_VALUES[k], &jpeg->ac[k]);
        for (int i = 0; i < 64; i++) {
            const int step = (STEPS[k][i] * scale + 50) / 100;
            steps[k][i] = (uint8_t)(step < 1 ? 1 : step > 255 ? 255 : step);
        }
        for (int i = 0; i < 64; i++) jpeg->steps[k][i] = 1.0f / (float)steps[k][ZIGZAG[i]];
    }
    make_waves(jpeg->waves);
    jpeg->held = jpeg->bits = 0;
    for (int c = 0; c < 3; c++) jpeg->before[c] = 0;
    Writer w = {out, 0, 0};
    put_tables(&w, (const uint8_t(*)[64])steps, height, width);
    return w.out - out;
}

/* The next rows of pixels (rows, width, 3); the bytes that were written, at most 3 for each sample and
some. Rows and columns that are missing at the end repeat the last. */
static Size jpeg_rows(Jpeg *jpeg, const uint8_t *pixels, Size rows, Size width, uint8_t *out)
{
    Writer w = {out, jpeg->held, jpeg->bits};
    float blocks[3][64];
    for (Size top = 0; top < rows; top += 8)
        for (Size left = 0; left < width; left += 8) {
            for (Size i = 0; i < 64; i++) {
                const Size y = top + i / 8 < rows ? top + i / 8 : rows - 1;
                const Size x = left + i % 8 < width ? left + i % 8 : width - 1;
                const uint8_t *pixel = pixels + 3 * (y * width + x);
                const float r = pixel[0], g = pixel[1], b = pixel[2];
                /* JFIF 1.02. */
                blocks[0][i] = 0.299f * r + 0.587f * g + 0.114f * b - 128.0f;
                blocks[1][i] = -0.168735892f * r - 0.331264108f * g + 0.5f * b;
                blocks[2][i] = 0.5f * r - 0.418687589f * g - 0.081312411f * b;
            }
            for (int c = 0; c < 3; c++)
                jpeg->before[c] = put_block(&w, jpeg->waves, blocks[c], jpeg->steps[c > 0], jpeg->before[c],
                                            &jpeg->dc[c > 0], &jpeg->ac[c > 0]);
        }
    jpeg->held = w.held;
    jpeg->bits = w.bits;
    return w.out - out;
}

/* The end of the file; the bytes that were written. */
static Size jpeg_ended(Jpeg *jpeg, uint8_t *out)
{
    Writer w = {out, jpeg->held, jpeg->bits};
    if (w.bits > 0) put_bits(&w, 0x7f, 7); /* ones up to the byte */
    put_short(&w, 0xffd9);
    return w.out - out;
}

#endif
