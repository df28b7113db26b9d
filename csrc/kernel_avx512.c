/* SPDX-License-Identifier: Apache-2.0 */
/* 16 lanes, for CPUs with AVX-512: three-input logic and a rotate make it the fastest there. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "cpu.h"
#include "kernel.h"

#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { LANES = 16 };

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

#include "sha256_lanes.tpl.h"

const struct pypow_kernel pypow_kernel_avx512 = {
    .name = "avx512",
    .lanes = LANES,
    .usable = pypow_cpu_has_avx512,
    .scan = scan_range,
    .compress = compress_lanes,
};

#endif
