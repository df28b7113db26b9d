/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SHA extensions beside AVX-512's rotate and three-input logic, which begin the schedule in
 * place of an instruction that on some CPUs is slow and in the way of the rounds.
 */
#include "kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "cpu.h"

/*
 * No AVX: SHA extensions run many times slower while an upper half of a register is in use, and
 * a compiler that may use wide registers copies with them wherever it likes.
 */
#define KERNEL_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { LANES = 4, STEP = 2 };

typedef uint32_t quad __attribute__((vector_size(16)));

/* 0x96 is the truth table of x ^ y ^ z. */
KERNEL_FN quad small_sigma0_of(quad x)
{
    quad sum, ror18, shr3;
    __asm__("vprord $7, %3, %0\n\t"
            "vprord $18, %3, %1\n\t"
            "vpsrld $3, %3, %2\n\t"
            "vpternlogd $0x96, %2, %1, %0"
            : "=&x"(sum), "=&x"(ror18), "=x"(shr3)
            : "x"(x));
    return sum;
}

KERNEL_FN quad older(quad w16, quad w12)
{
    return w16 + small_sigma0_of((quad)_mm_alignr_epi8((__m128i)w12, (__m128i)w16, 4));
}

#include "shani.tpl.h"

static bool usable(void) { return pypow_cpu_has_sha() && pypow_cpu_has_avx512(); }

const struct pypow_kernel pypow_kernel_shani_vl = {
    .name = "shani-vl",
    .lanes = LANES,
    .usable = usable,
    .scan = scan_range,
    .compress = compress,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
