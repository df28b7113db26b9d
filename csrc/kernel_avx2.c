/* SPDX-License-Identifier: Apache-2.0 */
/* 8 messages at a time, for CPUs with AVX2 and neither AVX-512 nor SHA extensions. */
#include "kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "cpu.h"

#define KERNEL_TARGET __attribute__((target("avx2")))
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { WIDTH = 8, WAYS = 1, LANES = WIDTH * WAYS };

typedef uint32_t vec __attribute__((vector_size(32)));

KERNEL_FN vec v_xor3(vec a, vec b, vec c) { return a ^ b ^ c; }
KERNEL_FN vec v_ch(vec a, vec b, vec c) { return c ^ (a & (b ^ c)); }
KERNEL_FN vec v_maj(vec a, vec b, vec c) { return b ^ ((a ^ b) & (b ^ c)); }

KERNEL_FN uint32_t v_zeros(vec a)
{
    return (uint32_t)_mm256_movemask_ps((__m256)(a == 0));
}

/* SHA extensions and other SSE code run many times slower while an upper half is in use. */
KERNEL_FN void v_leave(void) { _mm256_zeroupper(); }

#define V_TRANSPOSE

/* Within halves first: element j of half h is then of column 4h + j mod 4, for four rows. */
KERNEL_FN void v_transpose(vec *rows)
{
    __m256i pairs[WIDTH], fours[WIDTH];
    UNROLL(8)
    for (int i = 0; i < WIDTH; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32((__m256i)rows[i], (__m256i)rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32((__m256i)rows[i], (__m256i)rows[i + 1]);
    }
    UNROLL(8)
    for (int i = 0; i < WIDTH; i += 4)
        UNROLL(2)
        for (int j = 0; j < 2; j++) {
            fours[i + 2 * j] = _mm256_unpacklo_epi64(pairs[i + j], pairs[i + 2 + j]);
            fours[i + 2 * j + 1] = _mm256_unpackhi_epi64(pairs[i + j], pairs[i + 2 + j]);
        }
    UNROLL(4)
    for (int j = 0; j < 4; j++) {
        rows[j] = (vec)_mm256_permute2x128_si256(fours[j], fours[4 + j], 0x20);
        rows[4 + j] = (vec)_mm256_permute2x128_si256(fours[j], fours[4 + j], 0x31);
    }
}

#include "sha256_lanes.tpl.h"

const struct pypow_kernel pypow_kernel_avx2 = {
    .name = "avx2",
    .lanes = LANES,
    .usable = pypow_cpu_has_avx2,
    .scan = scan_lanes,
    .compress = compress_lanes,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
