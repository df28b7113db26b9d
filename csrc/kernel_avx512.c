/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two vectors of 16 messages, for CPUs with AVX-512: there three-input logic, a rotate and 32
 * registers make it the fastest. With one vector a wide core waits for results half the time.
 */
#include "kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "cpu.h"

#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { WIDTH = 16, WAYS = 2, LANES = WIDTH * WAYS };

typedef uint32_t vec __attribute__((vector_size(64)));

/* The immediate is the truth table: bit 4a + 2b + c is the result. */
KERNEL_FN vec v_xor3(vec a, vec b, vec c)
{
    return (vec)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
}

KERNEL_FN vec v_ch(vec a, vec b, vec c)
{
    return (vec)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)c, 0xca);
}

KERNEL_FN vec v_maj(vec a, vec b, vec c)
{
    return (vec)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)c, 0xe8);
}

KERNEL_FN uint32_t v_zeros(vec a) { return _mm512_testn_epi32_mask((__m512i)a, (__m512i)a); }

/* SHA extensions and other SSE code run many times slower while an upper half is in use. */
KERNEL_FN void v_leave(void) { _mm256_zeroupper(); }

#define V_TRANSPOSE

/* Within quarters first: element j of quarter q is then of column 4q + j mod 4, for four rows. */
KERNEL_FN void v_transpose(vec *rows)
{
    __m512i pairs[WIDTH], fours[WIDTH];
    UNROLL(16)
    for (int i = 0; i < WIDTH; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32((__m512i)rows[i], (__m512i)rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32((__m512i)rows[i], (__m512i)rows[i + 1]);
    }
    UNROLL(16)
    for (int i = 0; i < WIDTH; i += 4)
        UNROLL(2)
        for (int j = 0; j < 2; j++) {
            fours[i + 2 * j] = _mm512_unpacklo_epi64(pairs[i + j], pairs[i + 2 + j]);
            fours[i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[i + j], pairs[i + 2 + j]);
        }
    UNROLL(4)
    for (int j = 0; j < 4; j++) {
        const __m512i even = _mm512_shuffle_i32x4(fours[j], fours[4 + j], 0x88);
        const __m512i odd = _mm512_shuffle_i32x4(fours[j], fours[4 + j], 0xdd);
        const __m512i even8 = _mm512_shuffle_i32x4(fours[8 + j], fours[12 + j], 0x88);
        const __m512i odd8 = _mm512_shuffle_i32x4(fours[8 + j], fours[12 + j], 0xdd);
        rows[j] = (vec)_mm512_shuffle_i32x4(even, even8, 0x88);
        rows[4 + j] = (vec)_mm512_shuffle_i32x4(odd, odd8, 0x88);
        rows[8 + j] = (vec)_mm512_shuffle_i32x4(even, even8, 0xdd);
        rows[12 + j] = (vec)_mm512_shuffle_i32x4(odd, odd8, 0xdd);
    }
}

#include "sha256_lanes.tpl.h"

const struct pypow_kernel pypow_kernel_avx512 = {
    .name = "avx512",
    .lanes = LANES,
    .usable = pypow_cpu_has_avx512,
    .scan = scan_lanes,
    .compress = compress_lanes,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
