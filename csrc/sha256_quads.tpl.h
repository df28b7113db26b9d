/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 with instructions made for it, which work on quads: vectors of four words.
 *
 * The including file defines first:
 *   LANES      messages ground side by side, which fill the time that each other's results take;
 *              a power of two, at most MAX_LANES
 *   STEP       rounds that one `advance` does: 2 or 4
 *   KERNEL_TARGET, KERNEL_FN   attributes of a function, and of an inlined one, for this
 *              instruction set
 *   quad       4 uint32_t, with the operators + and & element by element
 *   struct state   working variables, or a chaining value, as the instructions want them
 *   from_words (const uint32_t *) -> struct state
 *   word_of    (struct state, number) -> uint32_t, variable a for 0 to h for 7
 *   add        (struct state, struct state) -> struct state
 *   add_to_ae  (struct state, quad) -> struct state, a and e each plus their element of the quad
 *   advance    (struct state, quad kw, round) -> struct state after STEP more rounds; `kw` is
 *              K + W of the quad that `round` is in
 *   big_endian (quad) -> quad, from the bytes of four words as they lie in a message
 *   older      (W_4i-16.., W_4i-12..) -> W_j-16 + sigma0(W_j-15) for j = 4i..4i+3
 *   newer      (what `older` gave, W_4i-8.., W_4i-4..) -> W_4i..W_4i+3
 *   xor        (struct state, struct state) -> struct state
 *   to_quads   (quad *, struct state): a to d and e to h, as words of a message
 * and gets scan_range, compress, load_many, decode_many, compress_many, rehash_many and
 * stretch_many.
 *
 * Loops over rounds have constant bounds once inlined, and the compiler unrolls them.
 */
#include <string.h>

#include "kernel.h"

enum {
    QUADS = ROUNDS / 4,
    /* The last word of a digest is variable e of round 60, wherever that is by then. */
    LAST_WORD_ROUND = (ROUNDS - 3 + STEP - 1) / STEP * STEP,
    LAST_WORD = 7 - (ROUNDS - LAST_WORD_ROUND),
};

struct lanes {
    struct state lane[LANES];
};

/* What all messages of a scan share. What it holds for words that vary is not used. */
struct shared {
    struct state start; /* before first_round(word); its a and e may lack the table's word */
    quad w[QUADS];      /* W_4i..W_4i+3; the varying word of the block without the table's bits */
    quad kw[QUADS];     /* K + W */
    quad older[QUADS];  /* what `older` gives for quad i */
};

KERNEL_FN quad load(const void *words)
{
    quad loaded;
    memcpy(&loaded, words, sizeof loaded);
    return loaded;
}

KERNEL_FN quad k_of(int i) { return load(&pypow_sha256_k[4 * i]); }

/* The round to begin at when this word varies: its step's, or the next if it ends a step, for
   then it has only been added to a and e. */
KERNEL_FN int first_round(int word) { return (word + 1) / STEP * STEP; }

/* Whether any of the `count` words from W_first on varies. */
KERNEL_FN bool varies(uint64_t varying, int first, int count)
{
    return (varying >> first & ((UINT64_C(1) << count) - 1)) != 0;
}

/* Carry w, a ring of the schedule's last four quads, on to quad `i`. */
KERNEL_FN void schedule(quad *w, const struct shared *shared, uint64_t varying, int i)
{
    if (!varies(varying, 4 * i, 4)) {
        w[i & 3] = shared->w[i];
        return;
    }
    const bool varied = varies(varying, 4 * (i - 4), 5);
    const quad sum = varied ? older(w[i & 3], w[(i + 1) & 3]) : shared->older[i];
    w[i & 3] = newer(sum, w[(i + 2) & 3], w[(i + 3) & 3]);
}

/* Rounds [begin, end) of `lanes` blocks side by side, in which the words in `varying` vary. */
KERNEL_FN void rounds(struct state *v, quad w[][4], const struct shared *shared, uint64_t varying,
                      int begin, int end, int lanes)
{
    UNROLL(32)
    for (int round = begin; round < end; round += STEP) {
        const int i = round / 4;
        UNROLL(8)
        for (int lane = 0; lane < lanes; lane++) {
            if (i >= 4 && round % 4 == 0)
                schedule(w[lane], shared, varying, i);
            const quad kw =
                varies(varying, round, STEP) ? w[lane][i & 3] + k_of(i) : shared->kw[i];
            v[lane] = advance(v[lane], kw, round);
        }
    }
}

/* The work of a scan that is done once. */
KERNEL_TARGET static void share(struct shared *shared, const struct pypow_scan *scan)
{
    const int word = (int)scan->word;
    for (int i = 0; i < QUADS; i++) {
        shared->w[i] = load(&scan->schedule.uniform[4 * i]);
        shared->kw[i] = shared->w[i] + k_of(i);
        if (i >= 4)
            shared->older[i] = older(shared->w[i - 4], shared->w[i - 3]);
    }
    if (first_round(word) > word) {
        shared->start = from_words(scan->after);
    } else {
        shared->start = from_words(scan->quad);
        for (int round = word / 4 * 4; round < first_round(word); round += STEP)
            shared->start = advance(shared->start, shared->kw[word / 4], round);
    }
}

KERNEL_FN struct lanes splat(const uint32_t *words)
{
    struct lanes v;
    for (int lane = 0; lane < LANES; lane++)
        v.lane[lane] = from_words(words);
    return v;
}

KERNEL_FN struct lanes add_lanes(const struct lanes *x, const struct lanes *y)
{
    struct lanes sum;
    for (int lane = 0; lane < LANES; lane++)
        sum.lane[lane] = add(x->lane[lane], y->lane[lane]);
    return sum;
}

/* Bit i set where variable `number` of message i, plus `chain`, passes the filter. */
KERNEL_FN uint32_t passing_word(const struct lanes *v, uint32_t number, uint32_t chain,
                                const struct pypow_filter *filter)
{
    uint32_t bits = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const uint32_t word = word_of(v->lane[lane], number) + chain;
        bits |= (uint32_t)(((word ^ filter->value) & filter->mask) == 0) << lane;
    }
    return bits;
}

/* The blocks of a group, and their working variables before the first round. */
KERNEL_FN void begin_group(struct lanes *v, quad w[][4], const struct pypow_scan *scan,
                           const struct shared *shared, uint32_t index, int word)
{
    const quad place = {word % 4 == 0 ? UINT32_MAX : 0, word % 4 == 1 ? UINT32_MAX : 0,
                        word % 4 == 2 ? UINT32_MAX : 0, word % 4 == 3 ? UINT32_MAX : 0};
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const quad inner = (quad){0} + scan->table[index + lane];
        for (int i = 0; i < 4; i++)
            w[lane][i] = shared->w[i];
        w[lane][word / 4] += inner & place;
        v->lane[lane] = shared->start;
        if (first_round(word) > word)
            v->lane[lane] = add_to_ae(shared->start, inner);
    }
}

/* Word 0 or 7 of the digests against the filter, from the variables at LAST_WORD_ROUND. */
KERNEL_FN uint32_t finish_word(struct lanes *v, quad w[][4], const struct pypow_scan *scan,
                               const struct shared *shared, uint64_t varying)
{
    if (scan->filter.word == 7)
        return passing_word(v, LAST_WORD, scan->chain[7], &scan->filter);
    rounds(v->lane, w, shared, varying, LAST_WORD_ROUND, ROUNDS, LANES);
    return passing_word(v, 0, scan->chain[0], &scan->filter);
}

/* `grind` for a word whose place is known when this is compiled. */
KERNEL_FN uint32_t grind_word(struct lanes *states, const struct pypow_scan *scan,
                              const struct shared *shared, uint32_t begin, uint32_t end, int word)
{
    const uint64_t varying = pypow_schedule_varying(UINT64_C(1) << word);
    const struct lanes chain = splat(scan->chain);
    for (uint32_t i = begin; i < end; i += LANES) {
        /* Hides that what is shared is the same each time: as memory operands it costs nothing,
           while hoisted out of the loop it would fill registers and stack. */
        __asm__("" : "+r"(shared));
        struct lanes v;
        quad w[LANES][4];
        begin_group(&v, w, scan, shared, i, word);
        rounds(v.lane, w, shared, varying, first_round(word), LAST_WORD_ROUND, LANES);
        if (states == NULL) {
            const uint32_t bits = finish_word(&v, w, scan, shared, varying);
            if (bits != 0)
                return i + (uint32_t)__builtin_ctz(bits);
        } else {
            rounds(v.lane, w, shared, varying, LAST_WORD_ROUND, ROUNDS, LANES);
            *states++ = add_lanes(&v, &chain);
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
    struct shared shared;
    share(&shared, scan);
    /* One loop per place of the varying word, because that decides what can be left out. */
    switch (scan->word) {
    case 0: return grind_word(states, scan, &shared, begin, end, 0);
    case 1: return grind_word(states, scan, &shared, begin, end, 1);
    case 2: return grind_word(states, scan, &shared, begin, end, 2);
    case 3: return grind_word(states, scan, &shared, begin, end, 3);
    case 4: return grind_word(states, scan, &shared, begin, end, 4);
    case 5: return grind_word(states, scan, &shared, begin, end, 5);
    case 6: return grind_word(states, scan, &shared, begin, end, 6);
    case 7: return grind_word(states, scan, &shared, begin, end, 7);
    case 8: return grind_word(states, scan, &shared, begin, end, 8);
    case 9: return grind_word(states, scan, &shared, begin, end, 9);
    case 10: return grind_word(states, scan, &shared, begin, end, 10);
    case 11: return grind_word(states, scan, &shared, begin, end, 11);
    case 12: return grind_word(states, scan, &shared, begin, end, 12);
    case 13: return grind_word(states, scan, &shared, begin, end, 13);
    case 14: return grind_word(states, scan, &shared, begin, end, 14);
    default: return grind_word(states, scan, &shared, begin, end, 15);
    }
}

KERNEL_TARGET static void absorb(struct lanes *states, const uint32_t *kw)
{
    struct lanes v = *states;
    UNROLL(32)
    for (int round = 0; round < ROUNDS; round += STEP)
        for (int lane = 0; lane < LANES; lane++)
            v.lane[lane] = advance(v.lane[lane], load(&kw[round / 4 * 4]), round);
    *states = add_lanes(&v, states);
}

KERNEL_TARGET static uint32_t passing(const struct lanes *states,
                                      const struct pypow_filter *filter)
{
    return passing_word(states, filter->word, 0, filter);
}

KERNEL_TARGET static void compress(uint32_t *state, const uint8_t *blocks, size_t count)
{
    struct state chain = from_words(state);
    for (size_t i = 0; i < count; i++) {
        quad w[1][4];
        for (size_t j = 0; j < 4; j++)
            w[0][j] = big_endian(load(blocks + i * BLOCK_BYTES + j * sizeof(quad)));
        struct state v = chain;
        rounds(&v, w, NULL, UINT64_MAX, 0, ROUNDS, 1);
        chain = add(chain, v);
    }
    for (uint32_t i = 0; i < STATE_WORDS; i++)
        state[i] = word_of(chain, i);
}

KERNEL_TARGET static void load_many(uint32_t *words, const uint8_t *const *blocks)
{
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (uint32_t i = 0; i < BLOCK_WORDS; i++)
            words[i * LANES + lane] = load_be32(blocks[lane] + 4 * i);
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
            words[i * LANES + lane] = word_of(states->lane[lane], i);
}

KERNEL_TARGET static void compress_many(uint32_t *states, const uint32_t *blocks)
{
    const struct lanes before = load_lanes(states);
    struct lanes v = before;
    quad w[LANES][4];
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (uint32_t i = 0; i < BLOCK_WORDS; i++)
            w[lane][i / 4][i % 4] = blocks[i * LANES + lane];
    rounds(v.lane, w, NULL, UINT64_MAX, 0, ROUNDS, LANES);
    v = add_lanes(&v, &before);
    store_lanes(states, &v);
}

/* The first `end` rounds of the block that holds these digests. */
KERNEL_FN void tail_rounds(struct lanes *v, const struct lanes *digests,
                           const struct pypow_tail *tail, int end)
{
    quad w[LANES][4];
    for (int lane = 0; lane < LANES; lane++) {
        to_quads(w[lane], digests->lane[lane]);
        w[lane][2] = load(&tail->words[8]);
        w[lane][3] = load(&tail->words[12]);
    }
    rounds(v->lane, w, NULL, UINT64_MAX, 0, end, LANES);
}

/* The digests of digests; `chain` are the chaining values before the block that holds them. */
KERNEL_FN struct lanes hash_digests(const struct lanes *digests, const struct lanes *chain,
                                    const struct pypow_tail *tail)
{
    struct lanes v = *chain;
    tail_rounds(&v, digests, tail, ROUNDS);
    return add_lanes(&v, chain);
}

KERNEL_TARGET static void rehash(struct lanes *digests, const struct pypow_tail *tail,
                                 uint32_t times)
{
    const struct lanes chain = splat(pypow_sha256_initial);
    struct lanes v = *digests;
    for (uint32_t i = 0; i < times; i++)
        v = hash_digests(&v, &chain, tail);
    *digests = v;
}

/* `passing` for the digests of these digests. */
KERNEL_TARGET static uint32_t passing_rehashed(const struct lanes *digests,
                                               const struct pypow_tail *tail,
                                               const struct pypow_filter *filter)
{
    const struct lanes chain = splat(pypow_sha256_initial);
    struct lanes v = chain;
    if (filter->word == 7) {
        tail_rounds(&v, digests, tail, LAST_WORD_ROUND);
        return passing_word(&v, LAST_WORD, pypow_sha256_initial[7], filter);
    }
    v = hash_digests(digests, &chain, tail);
    return passing(&v, filter);
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
    const struct lanes inner = load_lanes(group->inner), outer = load_lanes(group->outer);
    struct lanes last = load_lanes(group->last), sum = load_lanes(group->sum);
    for (uint32_t i = 0; i < times; i++) {
        last = hash_digests(&last, &inner, tail);
        last = hash_digests(&last, &outer, tail);
        for (int lane = 0; lane < LANES; lane++)
            sum.lane[lane] = xor(sum.lane[lane], last.lane[lane]);
    }
    store_lanes(group->last, &last);
    store_lanes(group->sum, &sum);
}

typedef quad vec;

KERNEL_FN void v_leave(void) {}

#include "base64.tpl.h"
#include "scan.tpl.h"
