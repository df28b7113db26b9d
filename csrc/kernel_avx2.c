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

#include "sha256_lanes.tpl.h"

const struct pypow_kernel pypow_kernel_avx2 = {
    .name = "avx2",
    .lanes = LANES,
    .usable = pypow_cpu_has_avx2,
    .scan = scan_lanes,
    .compress = compress_lanes,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
