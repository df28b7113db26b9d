/* SPDX-License-Identifier: Apache-2.0 */
/* One message at a time in plain C, for every CPU. */
#include "kernel.h"

#define KERNEL_TARGET
#define KERNEL_FN static inline __attribute__((always_inline))

enum { WIDTH = 1, WAYS = 1, LANES = WIDTH * WAYS };

typedef uint32_t vec;

KERNEL_FN vec v_xor3(vec a, vec b, vec c) { return a ^ b ^ c; }
KERNEL_FN vec v_ch(vec a, vec b, vec c) { return c ^ (a & (b ^ c)); }
KERNEL_FN vec v_maj(vec a, vec b, vec c) { return b ^ ((a ^ b) & (b ^ c)); }
KERNEL_FN uint32_t v_zeros(vec a) { return a == 0; }
KERNEL_FN void v_leave(void) {}

#include "sha256_lanes.tpl.h"

static bool usable(void) { return true; }

const struct pypow_kernel pypow_kernel_scalar = {
    .name = "scalar",
    .lanes = LANES,
    .usable = usable,
    .scan = scan_lanes,
    .compress = compress_lanes,
    .load_many = load_many,
    .decode_many = decode_many,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};
