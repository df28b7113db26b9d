/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

enum { NONE = 64 }; /* what stands for no digit: its bit is seen in the union of all */

static const uint8_t digits[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
    64,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63,
    64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
};

bool pypow_base64_valid(const uint8_t *text, size_t text_len)
{
    uint8_t seen = 0;
    size_t i = 0;
    for (; i + 4 <= text_len; i += 4)
        seen |= digits[text[i]] | digits[text[i + 1]] | digits[text[i + 2]] | digits[text[i + 3]];
    for (; i < text_len; i++)
        seen |= digits[text[i]];
    return seen < NONE;
}

bool pypow_base64_decode(uint8_t *octets, const uint8_t *text, size_t quads)
{
    uint32_t seen = 0;
    for (size_t i = 0; i < quads; i++, text += 4, octets += 3) {
        const uint32_t a = digits[text[0]], b = digits[text[1]];
        const uint32_t c = digits[text[2]], d = digits[text[3]];
        const uint32_t quad = a << 18 | b << 12 | c << 6 | d;
        seen |= a | b | c | d;
        octets[0] = (uint8_t)(quad >> 16);
        octets[1] = (uint8_t)(quad >> 8);
        octets[2] = (uint8_t)quad;
    }
    return seen < NONE;
}
