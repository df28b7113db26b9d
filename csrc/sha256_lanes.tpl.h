/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 over LANES messages at a time, one message in each element of a vector.
 *
 * The including kernel_<isa>.c defines first:
 *   WIDTH      elements of a vector
 *   WAYS       vectors ground side by side, which hides latency where registers allow
 *   LANES      WIDTH * WAYS, at most MAX_LANES
 *   KERNEL_TARGET, KERNEL_FN   attributes of a function, and of an inlined one, for this
 *              instruction set
 *   vec        WIDTH uint32_t, with the operators + & ^ << >> element by element
 *   v_xor3, v_ch, v_maj   (vec, vec, vec) -> vec, as in FIPS 180-4, 4.1.2
 *   v_ror      optional: (vec, count) -> vec, where the compiler knows no good one
 *   v_zeros    vec -> uint32_t, bit i set where element i is zero
 *   v_leave    () -> void, called last: leaves the registers as other code wants them
 * and gets scan_lanes, compress_lanes, load_many, decode_many, compress_many, rehash_many and
 * stretch_many.
 */
#include <string.h>

#include "sha256_rounds.tpl.h"

enum {
    /* Word 7 of a digest is what e becomes three rounds before the end, and the last a that goes
       into it is that of four rounds before: from here on, it is e alone. */
    LAST_WORD_ROUND = ROUNDS - 3 - 4,
};

KERNEL_FN uint32_t passes(vec digest_word, const struct pypow_filter *filter)
{
    return v_zeros((digest_word ^ filter->value) & filter->mask);
}

/* Rounds [begin, end) of a scan, whose block has one word that varies. */
KERNEL_FN void scan_rounds(struct lanes *v, vec w[WAYS][SLOTS], const struct pypow_scan *scan,
                           int word, int begin, int end)
{
    const uint32_t *constant = scan->schedule.constant, *uniform = scan->schedule.uniform;
    const uint64_t varying = pypow_schedule_varying(UINT64_C(1) << word);
    const int dense = pypow_schedule_dense(varying);
    /* The code of a single lane is short enough without a loop, and quicker. */
    const int turns = LANES > 1 && begin < dense ? (end - dense) / DENSE_STEP : 0;
    const int loop = turns > 0 ? dense : end, rest = loop + turns * DENSE_STEP;
    rounds(v, w, constant, uniform, varying, word + 4, begin, loop);
    dense_rounds(v, w, constant, loop, rest);
    rounds(v, w, constant, uniform, varying, word + 4, rest, end);
}

/* The rounds up to and with `word`, from the scalar set-up and the table. */
KERNEL_FN void begin_group(struct lanes *v, vec w[WAYS][SLOTS],
                           const struct pypow_scan *scan, uint32_t index, int word)
{
    for (uint32_t j = 0; j < WAYS; j++) {
        vec inner;
        memcpy(&inner, scan->table + index + j * WIDTH, sizeof inner);
        w[j][word] = inner + scan->fixed_bits;
        v->way[j] = splat(scan->after);
        v->way[j].a += inner;
        v->way[j].e += inner;
    }
}

/* Word 0 or 7 of the digests against the filter, from the variables before LAST_WORD_ROUND. */
KERNEL_FN uint32_t finish_word(struct lanes *v, vec w[WAYS][SLOTS],
                               const struct pypow_scan *scan, int word)
{
    uint32_t bits = 0;
    const bool last_word = scan->filter.word == 7;
    if (last_word)
        scan_rounds(v, w, scan, word, LAST_WORD_ROUND, ROUNDS - 3);
    else
        scan_rounds(v, w, scan, word, LAST_WORD_ROUND, ROUNDS);
    for (uint32_t j = 0; j < WAYS; j++) {
        const vec digest_word =
            last_word ? v->way[j].e + scan->chain[7] : v->way[j].a + scan->chain[0];
        bits |= passes(digest_word, &scan->filter) << (j * WIDTH);
    }
    return bits;
}

/* `grind` for a word whose place is known when this is compiled. */
KERNEL_FN uint32_t grind_word(struct lanes *states, const struct pypow_scan *scan, uint32_t begin,
                              uint32_t end, int word)
{
    for (uint32_t i = begin; i < end; i += LANES) {
        /* Hides that the constants are the same each time: as memory operands they cost
           nothing, while hoisted out of the loop they would fill registers and stack. */
        __asm__("" : "+r"(scan));
        vec w[WAYS][SLOTS];
        struct lanes v;
        begin_group(&v, w, scan, i, word);
        scan_rounds(&v, w, scan, word, word + 1, LAST_WORD_ROUND);
        if (states == NULL) {
            const uint32_t bits = finish_word(&v, w, scan, word);
            if (bits != 0)
                return i + (uint32_t)__builtin_ctz(bits);
        } else {
            scan_rounds(&v, w, scan, word, LAST_WORD_ROUND, ROUNDS);
            for (int j = 0; j < WAYS; j++)
                states->way[j] = add(v.way[j], splat(scan->chain));
            states++;
        }
    }
    return end;
}

/*
 * Hash the block for every index in [begin, end). With `states`, write a chaining value per
 * group of LANES; without, look for an index that passes the filter on word 0 or 7.
 */
KERNEL_TARGET static uint32_t grind(struct lanes *states, const struct pypow_scan *scan,
                                    uint32_t begin, uint32_t end)
{
    /* One loop per place of the varying word, because that decides what can be left out. */
    switch (scan->word) {
    case 0: return grind_word(states, scan, begin, end, 0);
    case 1: return grind_word(states, scan, begin, end, 1);
    case 2: return grind_word(states, scan, begin, end, 2);
    case 3: return grind_word(states, scan, begin, end, 3);
    case 4: return grind_word(states, scan, begin, end, 4);
    case 5: return grind_word(states, scan, begin, end, 5);
    case 6: return grind_word(states, scan, begin, end, 6);
    case 7: return grind_word(states, scan, begin, end, 7);
    case 8: return grind_word(states, scan, begin, end, 8);
    case 9: return grind_word(states, scan, begin, end, 9);
    case 10: return grind_word(states, scan, begin, end, 10);
    case 11: return grind_word(states, scan, begin, end, 11);
    case 12: return grind_word(states, scan, begin, end, 12);
    case 13: return grind_word(states, scan, begin, end, 13);
    case 14: return grind_word(states, scan, begin, end, 14);
    default: return grind_word(states, scan, begin, end, 15);
    }
}

KERNEL_TARGET static void absorb(struct lanes *states, const uint32_t *kw)
{
    struct lanes v = *states;
    UNROLL(8)
    for (int i = 0; i < ROUNDS; i++)
        for (int j = 0; j < WAYS; j++)
            v.way[j] = advance(v.way[j], v.way[j].h + kw[i]);
    for (int j = 0; j < WAYS; j++)
        states->way[j] = add(states->way[j], v.way[j]);
}

KERNEL_FN void *word_of(const struct state *state, uint32_t word)
{
    return (char *)state + word * sizeof(vec);
}

KERNEL_TARGET static uint32_t passing(const struct lanes *states,
                                      const struct pypow_filter *filter)
{
    uint32_t bits = 0;
    for (uint32_t j = 0; j < WAYS; j++) {
        vec word;
        memcpy(&word, word_of(&states->way[j], filter->word), sizeof word);
        bits |= passes(word, filter) << (j * WIDTH);
    }
    return bits;
}

KERNEL_TARGET static void compress_many(uint32_t *states, const uint32_t *blocks)
{
    vec w[WAYS][SLOTS];
    struct lanes before, v;
    for (uint32_t j = 0; j < WAYS; j++) {
        for (uint32_t i = 0; i < BLOCK_WORDS; i++)
            memcpy(&w[j][i], blocks + i * LANES + j * WIDTH, sizeof(vec));
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            memcpy(word_of(&before.way[j], i), states + i * LANES + j * WIDTH, sizeof(vec));
    }
    v = before;
    rounds(&v, w, pypow_sha256_k, NULL, UINT64_MAX, 0, 0, BLOCK_WORDS);
    last_rounds(&v, w, pypow_sha256_k, BLOCK_WORDS);
    for (uint32_t j = 0; j < WAYS; j++) {
        v.way[j] = add(v.way[j], before.way[j]);
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            memcpy(states + i * LANES + j * WIDTH, word_of(&v.way[j], i), sizeof(vec));
    }
    v_leave();
}

KERNEL_FN struct lanes load_lanes(const uint32_t *words)
{
    struct lanes states;
    for (uint32_t j = 0; j < WAYS; j++)
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            memcpy(word_of(&states.way[j], i), words + i * LANES + j * WIDTH, sizeof(vec));
    return states;
}

KERNEL_FN void store_lanes(uint32_t *words, const struct lanes *states)
{
    for (uint32_t j = 0; j < WAYS; j++)
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            memcpy(words + i * LANES + j * WIDTH, word_of(&states->way[j], i), sizeof(vec));
}

/* The first `end` rounds of the block that holds these digests; `w` is room for its words. */
KERNEL_FN void tail_rounds(struct lanes *v, vec w[WAYS][SLOTS], const struct lanes *digests,
                           const struct pypow_tail *tail, int end)
{
    for (int j = 0; j < WAYS; j++)
        memcpy(w[j], &digests->way[j], sizeof digests->way[j]);
    const uint32_t *constant = tail->schedule.constant, *uniform = tail->schedule.uniform;
    const uint64_t varying = pypow_schedule_varying(TAIL_VARYING);
    const bool whole = end == ROUNDS;
    const int dense = 2 * BLOCK_WORDS; /* the words before vary as far back as W reaches */
    rounds(v, w, constant, uniform, varying, 0, 0, whole ? dense : end);
    if (whole)
        last_rounds(v, w, constant, dense);
}

/* The digests of digests; `chain` is the chaining value before the block that holds them. */
KERNEL_FN struct lanes hash_digests(const struct lanes *digests, const struct lanes *chain,
                                    const struct pypow_tail *tail)
{
    vec w[WAYS][SLOTS];
    struct lanes v = *chain;
    tail_rounds(&v, w, digests, tail, ROUNDS);
    for (int j = 0; j < WAYS; j++)
        v.way[j] = add(v.way[j], chain->way[j]);
    return v;
}

KERNEL_FN struct lanes initial_lanes(void)
{
    struct lanes v;
    for (int j = 0; j < WAYS; j++)
        v.way[j] = splat(pypow_sha256_initial);
    return v;
}

KERNEL_TARGET static void rehash(struct lanes *digests, const struct pypow_tail *tail,
                                 uint32_t times)
{
    struct lanes v = *digests;
    for (uint32_t i = 0; i < times; i++) {
        __asm__("" : "+r"(tail)); /* as in grind_word */
        const struct lanes chain = initial_lanes();
        v = hash_digests(&v, &chain, tail);
    }
    *digests = v;
}

/* `passing` for the digests of these digests. */
KERNEL_TARGET static uint32_t passing_rehashed(const struct lanes *digests,
                                               const struct pypow_tail *tail,
                                               const struct pypow_filter *filter)
{
    const struct lanes chain = initial_lanes();
    if (filter->word != STATE_WORDS - 1) {
        const struct lanes v = hash_digests(digests, &chain, tail);
        return passing(&v, filter);
    }
    /* The last word of a digest is known three rounds before the others. */
    vec w[WAYS][SLOTS];
    struct lanes v = chain;
    uint32_t bits = 0;
    tail_rounds(&v, w, digests, tail, ROUNDS - 3);
    for (uint32_t j = 0; j < WAYS; j++)
        bits |= passes(v.way[j].e + chain.way[j].h, filter) << (j * WIDTH);
    return bits;
}

KERNEL_TARGET static void rehash_many(uint32_t *digests, const struct pypow_tail *tail,
                                      uint32_t times)
{
    struct lanes states = load_lanes(digests);
    rehash(&states, tail, times);
    store_lanes(digests, &states);
    v_leave();
}

KERNEL_TARGET static void stretch_many(struct pypow_stretch *group, const struct pypow_tail *tail,
                                       uint32_t times)
{
    const struct lanes chains[] = {load_lanes(group->inner), load_lanes(group->outer)};
    struct lanes last = load_lanes(group->last), sum = load_lanes(group->sum);
    /* One copy of the rounds for both hashes: two would not fit a core's cache of micro-ops. */
    for (uint32_t i = 0; i < 2 * times; i++) {
        __asm__("" : "+r"(tail)); /* as in grind_word */
        last = hash_digests(&last, &chains[i % 2], tail);
        for (int j = 0; j < WAYS && i % 2 == 1; j++)
            sum.way[j] = xor(sum.way[j], last.way[j]);
    }
    store_lanes(group->last, &last);
    store_lanes(group->sum, &sum);
    v_leave();
}

/* One message, the same in every lane. */
KERNEL_TARGET static void compress_lanes(uint32_t *state, const uint8_t *blocks, size_t count)
{
    uint32_t kw[ROUNDS];
    struct lanes v;
    for (int j = 0; j < WAYS; j++)
        v.way[j] = splat(state);
    for (size_t i = 0; i < count; i++) {
        pypow_sha256_schedule(kw, blocks + i * BLOCK_BYTES);
        absorb(&v, kw);
    }
    for (uint32_t i = 0; i < STATE_WORDS; i++)
        memcpy(&state[i], word_of(&v.way[0], i), sizeof *state);
    v_leave();
}

#include "base64.tpl.h"
#include "blocks.tpl.h"
#include "scan.tpl.h"

KERNEL_TARGET static uint32_t scan_lanes(const struct pypow_scan *scan, uint32_t begin,
                                         uint32_t end)
{
    const uint32_t hit = scan_range(scan, begin, end);
    v_leave();
    return hit;
}
