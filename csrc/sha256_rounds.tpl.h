/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rounds of SHA-256 (FIPS 180-4, 6.2.2) over the vectors of sha256_lanes.tpl.h, of a block
 * of which some words vary from message to message and the others do not.
 *
 * Loops over rounds have constant bounds once inlined, and the compiler unrolls them. `varying`
 * is then a constant in every round, and with it which terms of the schedule exist at all.
 */
#include "kernel.h"

#ifndef __clang__
/* The order of additions below is chosen for its latency; GCC would sort them anew. */
#pragma GCC optimize("no-tree-reassoc")
#endif

/* Chaining values, or working variables, of the messages in a vector. */
struct state {
    vec a, b, c, d, e, f, g, h;
};

struct lanes {
    struct state way[WAYS];
};

enum {
    /* Room for the schedule of one message, and one more: whole pages apart, the ways would
       hold up each other's loads and stores, which are first compared by their low 12 bits. */
    SLOTS = ROUNDS + 1,
    DENSE_STEP = 4, /* rounds in one turn of the loop in dense_rounds */
};

KERNEL_FN vec v_splat(uint32_t x) { return (vec){0} + x; }
#ifndef v_ror
KERNEL_FN vec v_ror(vec x, int n) { return x >> n | x << (32 - n); }
#endif
KERNEL_FN vec v_big_sigma0(vec x) { return v_xor3(v_ror(x, 2), v_ror(x, 13), v_ror(x, 22)); }
KERNEL_FN vec v_big_sigma1(vec x) { return v_xor3(v_ror(x, 6), v_ror(x, 11), v_ror(x, 25)); }
KERNEL_FN vec v_small_sigma0(vec x) { return v_xor3(v_ror(x, 7), v_ror(x, 18), x >> 3); }
KERNEL_FN vec v_small_sigma1(vec x) { return v_xor3(v_ror(x, 17), v_ror(x, 19), x >> 10); }

KERNEL_FN struct state splat(const uint32_t *state)
{
    return (struct state){v_splat(state[0]), v_splat(state[1]), v_splat(state[2]),
                          v_splat(state[3]), v_splat(state[4]), v_splat(state[5]),
                          v_splat(state[6]), v_splat(state[7])};
}

KERNEL_FN struct state add(struct state x, struct state y)
{
    return (struct state){x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d,
                          x.e + y.e, x.f + y.f, x.g + y.g, x.h + y.h};
}

KERNEL_FN struct state xor(struct state x, struct state y)
{
    return (struct state){x.a ^ y.a, x.b ^ y.b, x.c ^ y.c, x.d ^ y.d,
                          x.e ^ y.e, x.f ^ y.f, x.g ^ y.g, x.h ^ y.h};
}

/*
 * One round (FIPS 180-4, 6.2.2); `hkw` is h + K + W. What follows e in the longest chain, from
 * one round to the next, is its sigma and two additions: all else is added up beside it.
 */
KERNEL_FN struct state advance(struct state v, vec hkw)
{
    const vec t1 = v_big_sigma1(v.e) + (v_ch(v.e, v.f, v.g) + hkw);
    const vec t2 = v_big_sigma0(v.a) + v_maj(v.a, v.b, v.c);
    return (struct state){t1 + t2, v.a, v.b, v.c, v.d + t1, v.e, v.f, v.g};
}

/* W_i from the varying ones among its four terms, bit k for W_(i-16+k), and the others' sum. */
KERNEL_FN vec schedule_word(const uint32_t *uniform, const vec *w, uint64_t varying, int i)
{
    const bool w16 = varying & 1, w15 = varying >> 1 & 1, w7 = varying >> 9 & 1,
               w2 = varying >> 14 & 1;
    vec sum = v_splat(0);
    if (!(w16 && w15 && w7 && w2))
        sum += uniform[i];
    if (w16)
        sum += w[i - 16];
    if (w15)
        sum += v_small_sigma0(w[i - 15]);
    if (w7)
        sum += w[i - 7];
    if (w2)
        sum += v_small_sigma1(w[i - 2]);
    return sum;
}

/*
 * Rounds [begin, end) of a block of which the words in `varying` do vary; `w` holds those before
 * `begin`. Before round `first_h`, h is part of the constants (struct pypow_schedule).
 */
KERNEL_FN void rounds(struct lanes *v, vec w[WAYS][SLOTS], const uint32_t *constant,
                      const uint32_t *uniform, uint64_t varying, int first_h, int begin, int end)
{
    UNROLL(64)
    for (int i = begin; i < end; i++) {
        UNROLL(4)
        for (int j = 0; j < WAYS; j++) {
            vec hkw = v_splat(constant[i]);
            if (i >= first_h)
                hkw += v->way[j].h;
            if (varying >> i & 1) {
                if (i >= BLOCK_WORDS)
                    w[j][i] = schedule_word(uniform, w[j], varying >> (i - 16), i);
                hkw += w[j][i];
            }
            v->way[j] = advance(v->way[j], hkw);
        }
    }
}

/*
 * Straight code for all rounds would be most of an instruction cache, which a core may have to
 * share with another thread. Hence two loops over rounds of which every term of the schedule
 * varies. This one keeps the words in a row, and so can take turns short enough for a scan.
 */
KERNEL_FN void dense_rounds(struct lanes *v, vec w[WAYS][SLOTS], const uint32_t *constant,
                            int begin, int end)
{
    for (int first = begin; first < end; first += DENSE_STEP) {
        __asm__("" : "+r"(first)); /* keeps the compiler from unrolling this one too */
        UNROLL(4)
        for (int k = 0; k < DENSE_STEP; k++) {
            const int i = first + k;
            UNROLL(4)
            for (int j = 0; j < WAYS; j++) {
                w[j][i] = schedule_word(NULL, w[j], UINT64_MAX, i);
                v->way[j] = advance(v->way[j], v->way[j].h + constant[i] + w[j][i]);
            }
        }
    }
}

/*
 * The rounds from `begin`, a multiple of 16, to the last. Nobody needs the words in a row, and so
 * a turn replaces the 16 before `begin`, in which registers serve better.
 */
KERNEL_FN void last_rounds(struct lanes *v, vec w[WAYS][SLOTS], const uint32_t *constant, int begin)
{
    for (int first = begin; first < ROUNDS; first += BLOCK_WORDS) {
        __asm__("" : "+r"(first)); /* as above */
        UNROLL(16)
        for (int i = 0; i < BLOCK_WORDS; i++) {
            UNROLL(4)
            for (int j = 0; j < WAYS; j++) {
                vec *ring = w[j] + begin - BLOCK_WORDS;
                ring[i] += v_small_sigma0(ring[(i + 1) % BLOCK_WORDS]) +
                           ring[(i + 9) % BLOCK_WORDS] +
                           v_small_sigma1(ring[(i + 14) % BLOCK_WORDS]);
                v->way[j] = advance(v->way[j], v->way[j].h + constant[first + i] + ring[i]);
            }
        }
    }
}
