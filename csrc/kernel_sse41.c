/* SPDX-License-Identifier: Apache-2.0 */
/* 4 messages at a time, for x86 CPUs with SSE4.1 and nothing newer. */
#include "kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "cpu.h"

#define KERNEL_TARGET __attribute__((target("sse4.1")))
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { WIDTH = 4, WAYS = 1, LANES = WIDTH * WAYS };

typedef uint32_t vec __attribute__((vector_size(16)));

KERNEL_FN vec v_xor3(vec a, vec b, vec c) { return a ^ b ^ c; }
KERNEL_FN vec v_ch(vec a, vec b, vec c) { return c ^ (a & (b ^ c)); }
KERNEL_FN vec v_maj(vec a, vec b, vec c) { return b ^ ((a ^ b) & (b ^ c)); }
KERNEL_FN uint32_t v_zeros(vec a) { return (uint32_t)_mm_movemask_ps((__m128)(a == 0)); }
KERNEL_FN void v_leave(void) {}

#define V_TRANSPOSE

KERNEL_FN void v_transpose(vec *rows)
{
    const __m128i low01 = _mm_unpacklo_epi32((__m128i)rows[0], (__m128i)rows[1]);
    const __m128i high01 = _mm_unpackhi_epi32((__m128i)rows[0], (__m128i)rows[1]);
    const __m128i low23 = _mm_unpacklo_epi32((__m128i)rows[2], (__m128i)rows[3]);
    const __m128i high23 = _mm_unpackhi_epi32((__m128i)rows[2], (__m128i)rows[3]);
    rows[0] = (vec)_mm_unpacklo_epi64(low01, low23);
    rows[1] = (vec)_mm_unpackhi_epi64(low01, low23);
    rows[2] = (vec)_mm_unpacklo_epi64(high01, high23);
    rows[3] = (vec)_mm_unpackhi_epi64(high01, high23);
}

#include "sha256_lanes.tpl.h"

const struct pypow_kernel pypow_kernel_sse41 = {
    .name = "sse41",
    .lanes = LANES,
    .usable = pypow_cpu_has_sse41,
    .scan = scan_lanes,
    .compress = compress_lanes,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
