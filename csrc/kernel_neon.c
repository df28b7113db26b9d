/* SPDX-License-Identifier: Apache-2.0 */
/* 4 messages at a time, for ARM CPUs without instructions for SHA-256. */
#include "kernel.h"

#if defined(__AARCH64EL__)

#include <arm_neon.h>

#include "cpu.h"

#define KERNEL_TARGET
#define KERNEL_FN static inline __attribute__((always_inline))

enum { WIDTH = 4, WAYS = 1, LANES = WIDTH * WAYS };

typedef uint32_t vec __attribute__((vector_size(16)));

/* With shift-and-insert a rotate takes two instructions, and not three. */
#define v_ror(x, n) ((vec)vsriq_n_u32(vshlq_n_u32((uint32x4_t)(x), 32 - (n)), (uint32x4_t)(x), n))

KERNEL_FN vec v_xor3(vec a, vec b, vec c) { return a ^ b ^ c; }
KERNEL_FN vec v_ch(vec a, vec b, vec c) { return (vec)vbslq_u32(a, b, c); }
KERNEL_FN vec v_maj(vec a, vec b, vec c) { return (vec)vbslq_u32(a ^ b, c, b); }

KERNEL_FN uint32_t v_zeros(vec a)
{
    const vec place = {1, 2, 4, 8};
    return vaddvq_u32((vec)(a == 0) & place);
}

KERNEL_FN void v_leave(void) {}

#define V_TRANSPOSE

KERNEL_FN void v_transpose(vec *rows)
{
    const uint32x4x2_t one = vzipq_u32((uint32x4_t)rows[0], (uint32x4_t)rows[2]);
    const uint32x4x2_t other = vzipq_u32((uint32x4_t)rows[1], (uint32x4_t)rows[3]);
    const uint32x4x2_t low = vzipq_u32(one.val[0], other.val[0]);
    const uint32x4x2_t high = vzipq_u32(one.val[1], other.val[1]);
    rows[0] = (vec)low.val[0];
    rows[1] = (vec)low.val[1];
    rows[2] = (vec)high.val[0];
    rows[3] = (vec)high.val[1];
}

#include "sha256_lanes.tpl.h"

const struct pypow_kernel pypow_kernel_neon = {
    .name = "neon",
    .lanes = LANES,
    .usable = pypow_cpu_has_neon,
    .scan = scan_lanes,
    .compress = compress_lanes,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
