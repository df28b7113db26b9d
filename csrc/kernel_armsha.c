/* SPDX-License-Identifier: Apache-2.0 */
/* ARMv8's instructions for SHA-256, each of which does four rounds of half of the state. */
#include "kernel.h"

#if defined(PYPOW_ARMSHA)

#include <arm_neon.h>

#include "cpu.h"

#if defined(__clang__)
#define KERNEL_TARGET __attribute__((target("sha2")))
#else
#define KERNEL_TARGET __attribute__((target("+crypto")))
#endif
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { LANES = 4, STEP = 4 };

typedef uint32_t quad __attribute__((vector_size(16)));

struct state {
    quad abcd, efgh;
};

KERNEL_FN struct state from_words(const uint32_t *words)
{
    return (struct state){(quad)vld1q_u32(words), (quad)vld1q_u32(words + 4)};
}

KERNEL_FN uint32_t word_of(struct state v, uint32_t number)
{
    const quad half = number & 4 ? v.efgh : v.abcd;
    return half[number & 3];
}

KERNEL_FN void to_quads(quad *w, struct state v)
{
    w[0] = v.abcd;
    w[1] = v.efgh;
}

KERNEL_FN struct state add(struct state x, struct state y)
{
    return (struct state){x.abcd + y.abcd, x.efgh + y.efgh};
}

KERNEL_FN struct state xor(struct state x, struct state y)
{
    return (struct state){x.abcd ^ y.abcd, x.efgh ^ y.efgh};
}

KERNEL_FN struct state add_to_ae(struct state v, quad x)
{
    const quad first = x & (quad){UINT32_MAX, 0, 0, 0};
    return (struct state){v.abcd + first, v.efgh + first};
}

KERNEL_FN struct state advance(struct state v, quad kw, int round)
{
    (void)round;
    return (struct state){(quad)vsha256hq_u32(v.abcd, v.efgh, kw),
                          (quad)vsha256h2q_u32(v.efgh, v.abcd, kw)};
}

KERNEL_FN quad big_endian(quad bytes) { return (quad)vrev32q_u8((uint8x16_t)bytes); }
KERNEL_FN quad older(quad w16, quad w12) { return (quad)vsha256su0q_u32(w16, w12); }

KERNEL_FN quad newer(quad sum, quad w8, quad w4)
{
    return (quad)vsha256su1q_u32(sum, w8, w4);
}

#include "sha256_quads.tpl.h"

const struct pypow_kernel pypow_kernel_armsha = {
    .name = "armsha",
    .lanes = LANES,
    .usable = pypow_cpu_has_armsha,
    .scan = scan_range,
    .compress = compress,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
