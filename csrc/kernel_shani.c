/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two messages at a time with the SHA extensions, for CPUs that have them and no AVX-512. One
 * instruction does two rounds; a second message fills the time that it takes to complete.
 *
 * The instructions want the working variables as two vectors, which list from the lowest
 * element f e b a and h g d c (Intel SDM volume 2, SHA256RNDS2).
 */
#include "kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "cpu.h"

#define KERNEL_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define KERNEL_FN static inline __attribute__((always_inline)) KERNEL_TARGET

enum { LANES = 2, QUADS = ROUNDS / 4 };

struct pair {
    __m128i feba, hgdc;
};

struct lanes {
    struct pair lane[LANES];
};

KERNEL_FN __m128i load(const uint32_t *words) { return _mm_loadu_si128((const __m128i *)words); }

KERNEL_FN struct pair from_words(const uint32_t *state)
{
    const __m128i badc = _mm_shuffle_epi32(load(state), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(load(state + 4), 0x1b);
    return (struct pair){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

KERNEL_FN uint32_t word_of(const struct pair *state, uint32_t word)
{
    static const uint8_t place[STATE_WORDS] = {3, 2, 7, 6, 1, 0, 5, 4};
    uint32_t words[STATE_WORDS];
    memcpy(words, state, sizeof words);
    return words[place[word]];
}

KERNEL_FN struct pair add(struct pair x, struct pair y)
{
    return (struct pair){_mm_add_epi32(x.feba, y.feba), _mm_add_epi32(x.hgdc, y.hgdc)};
}

/* Rounds 4i..4i+3; `kw` is K + W of each. */
KERNEL_FN void advance(struct pair *v, __m128i kw)
{
    v->hgdc = _mm_sha256rnds2_epu32(v->hgdc, v->feba, kw);
    v->feba = _mm_sha256rnds2_epu32(v->feba, v->hgdc, _mm_shuffle_epi32(kw, 0x0e));
}

/* W_4i..W_4i+3 from the 16 before them, of which `w` is a ring. */
KERNEL_FN __m128i schedule(const __m128i *w, int i)
{
    const __m128i w7 = _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4);
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]), w7);
    return _mm_sha256msg2_epu32(sum, w[(i + 3) & 3]);
}

/* Rounds 4 * `begin` to the end, for `lanes` messages side by side. */
KERNEL_FN void rounds(struct pair *v, __m128i w[][4], int begin, int lanes)
{
#pragma GCC unroll 16
    for (int i = begin; i < QUADS; i++) {
        const __m128i k = load(&pypow_sha256_k[4 * i]);
#pragma GCC unroll 2
        for (int lane = 0; lane < lanes; lane++) {
            if (i >= 4)
                w[lane][i & 3] = schedule(w[lane], i);
            advance(&v[lane], _mm_add_epi32(w[lane][i & 3], k));
        }
    }
}

KERNEL_FN uint32_t passing(const struct lanes *state, const struct pypow_filter *filter)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        const uint32_t word = word_of(&state->lane[i], filter->word);
        bits |= (uint32_t)(((word ^ filter->value) & filter->mask) == 0) << i;
    }
    return bits;
}

/* `grind` for a word in a known quad of the block, so that the rounds before it are skipped. */
KERNEL_FN uint32_t grind_quad(struct lanes *states, const struct pypow_scan *scan, uint32_t begin,
                              uint32_t end, int quad)
{
    uint32_t places[4] = {0};
    places[scan->word % 4] = UINT32_MAX;
    const __m128i place = load(places);
    const struct pair chain = from_words(scan->chain), start = from_words(scan->quad);
    for (uint32_t i = begin; i < end; i += LANES) {
        struct lanes v;
        __m128i w[LANES][4];
        for (uint32_t lane = 0; lane < LANES; lane++) {
            const __m128i inner = _mm_set1_epi32((int)scan->table[i + lane]);
            for (int j = 0; j < 4; j++)
                w[lane][j] = load(&scan->block[4 * j]);
            w[lane][quad] = _mm_add_epi32(w[lane][quad], _mm_and_si128(inner, place));
            v.lane[lane] = start;
        }
        rounds(v.lane, w, quad, LANES);
        for (uint32_t lane = 0; lane < LANES; lane++)
            v.lane[lane] = add(v.lane[lane], chain);
        if (states != NULL) {
            *states++ = v;
            continue;
        }
        const uint32_t bits = passing(&v, &scan->filter);
        if (bits != 0)
            return i + (uint32_t)__builtin_ctz(bits);
    }
    return end;
}

KERNEL_TARGET static uint32_t grind(struct lanes *states, const struct pypow_scan *scan,
                                    uint32_t begin, uint32_t end)
{
    switch (scan->word / 4) {
    case 0: return grind_quad(states, scan, begin, end, 0);
    case 1: return grind_quad(states, scan, begin, end, 1);
    case 2: return grind_quad(states, scan, begin, end, 2);
    default: return grind_quad(states, scan, begin, end, 3);
    }
}

KERNEL_TARGET static void absorb(struct lanes *state, const uint32_t *kw)
{
    struct lanes v = *state;
    for (int i = 0; i < QUADS; i++)
        for (int lane = 0; lane < LANES; lane++)
            advance(&v.lane[lane], load(&kw[4 * i]));
    for (int lane = 0; lane < LANES; lane++)
        state->lane[lane] = add(state->lane[lane], v.lane[lane]);
}

KERNEL_TARGET static void compress(uint32_t *state, const uint8_t *blocks, size_t count)
{
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    struct pair chain = from_words(state);
    for (size_t i = 0; i < count; i++) {
        __m128i w[1][4];
        memcpy(w, blocks + i * BLOCK_BYTES, sizeof w);
        for (int j = 0; j < 4; j++)
            w[0][j] = _mm_shuffle_epi8(w[0][j], big_endian);
        struct pair v = chain;
        rounds(&v, w, 0, 1);
        chain = add(chain, v);
    }
    for (uint32_t i = 0; i < STATE_WORDS; i++)
        state[i] = word_of(&chain, i);
}

KERNEL_TARGET static void compress_many(uint32_t *states, const uint32_t *blocks)
{
    struct pair before[LANES], v[LANES];
    __m128i w[LANES][4];
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t state[STATE_WORDS], block[BLOCK_WORDS];
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            state[i] = states[i * LANES + lane];
        for (uint32_t i = 0; i < BLOCK_WORDS; i++)
            block[i] = blocks[i * LANES + lane];
        v[lane] = before[lane] = from_words(state);
        memcpy(w[lane], block, sizeof block);
    }
    rounds(v, w, 0, LANES);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        v[lane] = add(v[lane], before[lane]);
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            states[i * LANES + lane] = word_of(&v[lane], i);
    }
}

/* The digests of digests; `chain` are the chaining values before the block that holds them. */
KERNEL_FN struct lanes hash_digests(const struct lanes *digests, const struct lanes *chain,
                                    const struct pypow_tail *tail)
{
    struct lanes v = *chain;
    __m128i w[LANES][4];
    for (int lane = 0; lane < LANES; lane++) {
        const struct pair digest = digests->lane[lane];
        w[lane][0] = _mm_shuffle_epi32(_mm_unpackhi_epi64(digest.feba, digest.hgdc), 0xb1);
        w[lane][1] = _mm_shuffle_epi32(_mm_unpacklo_epi64(digest.feba, digest.hgdc), 0xb1);
        w[lane][2] = load(&tail->words[8]);
        w[lane][3] = load(&tail->words[12]);
    }
    rounds(v.lane, w, 0, LANES);
    for (int lane = 0; lane < LANES; lane++)
        v.lane[lane] = add(v.lane[lane], chain->lane[lane]);
    return v;
}

KERNEL_TARGET static void rehash(struct lanes *digests, const struct pypow_tail *tail,
                                 uint32_t times)
{
    struct lanes chain, v = *digests;
    for (int lane = 0; lane < LANES; lane++)
        chain.lane[lane] = from_words(pypow_sha256_initial);
    for (uint32_t i = 0; i < times; i++)
        v = hash_digests(&v, &chain, tail);
    *digests = v;
}

KERNEL_FN uint32_t passing_rehashed(struct lanes *digests, const struct pypow_tail *tail,
                                    const struct pypow_filter *filter)
{
    rehash(digests, tail, 1);
    return passing(digests, filter);
}

KERNEL_FN struct lanes load_lanes(const uint32_t *words)
{
    struct lanes states;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t state[STATE_WORDS];
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            state[i] = words[i * LANES + lane];
        states.lane[lane] = from_words(state);
    }
    return states;
}

KERNEL_FN void store_lanes(uint32_t *words, const struct lanes *states)
{
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            words[i * LANES + lane] = word_of(&states->lane[lane], i);
}

KERNEL_TARGET static void rehash_many(uint32_t *digests, const struct pypow_tail *tail,
                                      uint32_t times)
{
    struct lanes states = load_lanes(digests);
    rehash(&states, tail, times);
    store_lanes(digests, &states);
}

KERNEL_TARGET static void stretch_many(struct pypow_stretch *group, const struct pypow_tail *tail,
                                       uint32_t times)
{
    const struct lanes chains[] = {load_lanes(group->inner), load_lanes(group->outer)};
    struct lanes last = load_lanes(group->last), sum = load_lanes(group->sum);
    for (uint32_t i = 0; i < 2 * times; i++) {
        last = hash_digests(&last, &chains[i % 2], tail);
        for (int lane = 0; lane < LANES && i % 2 == 1; lane++) {
            struct pair *v = &sum.lane[lane];
            v->feba = _mm_xor_si128(v->feba, last.lane[lane].feba);
            v->hgdc = _mm_xor_si128(v->hgdc, last.lane[lane].hgdc);
        }
    }
    store_lanes(group->last, &last);
    store_lanes(group->sum, &sum);
}

#include "scan.tpl.h"

const struct pypow_kernel pypow_kernel_shani = {
    .name = "shani",
    .lanes = LANES,
    .usable = pypow_cpu_has_sha,
    .scan = scan_range,
    .compress = compress,
    .compress_many = compress_many,
    .rehash = rehash_many,
    .stretch = stretch_many,
};

#endif
