/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SHA extensions of x86, for kernels that differ in how they begin a quad of the schedule.
 * The including file defines what sha256_quads.tpl.h wants, but for what is here.
 *
 * The instructions want the working variables as two vectors, which list from the lowest
 * element f e b a and h g d c (Intel SDM volume 2, SHA256RNDS2).
 */

struct state {
    quad feba, hgdc;
};

KERNEL_FN struct state from_words(const uint32_t *words)
{
    const __m128i abcd = _mm_loadu_si128((const __m128i *)words);
    const __m128i efgh = _mm_loadu_si128((const __m128i *)(words + 4));
    const __m128i badc = _mm_shuffle_epi32(abcd, 0xb1), hgfe = _mm_shuffle_epi32(efgh, 0x1b);
    return (struct state){(quad)_mm_alignr_epi8(badc, hgfe, 8),
                          (quad)_mm_blend_epi16(hgfe, badc, 0xf0)};
}

KERNEL_FN uint32_t word_of(struct state v, uint32_t number)
{
    const quad half = number & 2 ? v.hgdc : v.feba;
    return half[(number & 4 ? 1 : 3) - (number & 1)];
}

KERNEL_FN void to_quads(quad *w, struct state v)
{
    const __m128i feba = (__m128i)v.feba, hgdc = (__m128i)v.hgdc;
    w[0] = (quad)_mm_shuffle_epi32(_mm_unpackhi_epi64(feba, hgdc), 0xb1);
    w[1] = (quad)_mm_shuffle_epi32(_mm_unpacklo_epi64(feba, hgdc), 0xb1);
}

KERNEL_FN struct state add(struct state x, struct state y)
{
    return (struct state){x.feba + y.feba, x.hgdc + y.hgdc};
}

KERNEL_FN struct state xor(struct state x, struct state y)
{
    return (struct state){x.feba ^ y.feba, x.hgdc ^ y.hgdc};
}

KERNEL_FN struct state add_to_ae(struct state v, quad x)
{
    return (struct state){v.feba + (x & (quad){0, UINT32_MAX, 0, UINT32_MAX}), v.hgdc};
}

KERNEL_FN struct state advance(struct state v, quad kw, int round)
{
    const __m128i two = round % 4 == 0 ? (__m128i)kw : _mm_shuffle_epi32((__m128i)kw, 0x0e);
    return (struct state){
        (quad)_mm_sha256rnds2_epu32((__m128i)v.hgdc, (__m128i)v.feba, two), v.feba};
}

KERNEL_FN quad big_endian(quad bytes)
{
    const __m128i order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    return (quad)_mm_shuffle_epi8((__m128i)bytes, order);
}

KERNEL_FN quad newer(quad sum, quad w8, quad w4)
{
    sum += (quad)_mm_alignr_epi8((__m128i)w4, (__m128i)w8, 4);
    return (quad)_mm_sha256msg2_epu32((__m128i)sum, (__m128i)w4);
}

#include "sha256_quads.tpl.h"
