/* SPDX-License-Identifier: Apache-2.0 */
/* The SHA extensions of x86, all of them. */
#include "kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "cpu.h"

#define KERNEL_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { LANES = 4, STEP = 2 };

typedef uint32_t quad __attribute__((vector_size(16)));

KERNEL_FN quad older(quad w16, quad w12)
{
    return (quad)_mm_sha256msg1_epu32((__m128i)w16, (__m128i)w12);
}

#include "shani.tpl.h"

const struct pypow_kernel pypow_kernel_shani = {
    .name = "shani",
    .lanes = LANES,
    .usable = pypow_cpu_has_sha,
    .scan = scan_range,
    .compress = compress,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
