/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs of many native challenges, a kernel's lanes at a time. A word of a text is four
 * characters, which decode to three octets: so the words that are hashed are also decoded, and
 * what is signed is put together from them, without ever lying in memory as octets.
 */
#include <string.h>

#include "challenge.h"
#include "difficulty.h"
#include "kernel.h"

enum {
    TEXT_WORDS = PYPOW_CHALLENGE_TEXT / 4,
    REST_WORDS = TEXT_WORDS - BLOCK_WORDS,
    HEAD_WORDS = 8, /* those that hold all fields which the work depends on */
    MAC_WORDS = MAC_BYTES / 4
};

/* As many challenges as the kernel has lanes, or the last few; element i is of the i-th. */
struct group {
    const struct pypow_kernel *kernel;
    uint32_t used;
    uint8_t reason[MAX_LANES]; /* PYPOW_STANDS, or the first that was found */
    struct pypow_terms terms[MAX_LANES];
    const struct pypow_mac_key *keys[MAX_LANES];
    const uint8_t *text[MAX_LANES], *nonces[MAX_LANES];
    uint8_t octets[MAX_LANES][3 * TEXT_WORDS + 2];
    uint8_t rows[MAX_LANES][BLOCK_BYTES]; /* the last block, with the nonce */
    _Alignas(BLOCK_BYTES) uint32_t initial[STATE_WORDS * MAX_LANES];
    uint32_t states[STATE_WORDS * MAX_LANES], midstates[STATE_WORDS * MAX_LANES];
    uint32_t first[BLOCK_WORDS * MAX_LANES], last[BLOCK_WORDS * MAX_LANES];
    uint32_t quads[TEXT_WORDS * MAX_LANES], strange[2][MAX_LANES];
    uint32_t block[BLOCK_WORDS * MAX_LANES];
};

/* What a batch is held against; `keys` is NULL where the work alone is looked at. */
struct demand {
    const struct pypow_mac_key *keys;
    uint32_t key_count;
    const struct pypow_expected *expected;
    uint32_t nonces_each;
};

static bool any_stands(const struct group *group)
{
    for (uint32_t i = 0; i < group->used; i++)
        if (group->reason[i] == PYPOW_STANDS)
            return true;
    return false;
}

static size_t nonce_length(const uint8_t *nonce)
{
    size_t len = PYPOW_CHALLENGE_NONCE;
    while (len > 0 && nonce[len - 1] == 0)
        len--;
    return len;
}

static void lay_out(struct group *group, uint32_t lane, uint32_t number)
{
    const uint8_t *nonce = group->nonces[lane] + number * PYPOW_CHALLENGE_NONCE;
    pypow_challenge_block(group->rows[lane], group->text[lane], nonce, nonce_length(nonce));
}

static void load_rows(struct group *group)
{
    const uint8_t *rows[MAX_LANES];
    for (uint32_t i = 0; i < group->kernel->lanes; i++)
        rows[i] = group->rows[i];
    group->kernel->load_many(group->last, rows);
}

/* Read so many of a challenge's words, decoded, into its octets: two words at a time. */
static void gather(struct group *group, uint32_t lane, uint32_t words)
{
    const uint32_t lanes = group->kernel->lanes, *quad = group->quads + lane;
    uint8_t *octets = group->octets[lane];
    for (uint32_t i = 0; i < words; i += 2, quad += 2 * lanes, octets += 6)
        store_be64(octets, (uint64_t)quad[0] << 40 | (uint64_t)quad[lanes] << 16);
}

static void read_texts(struct group *group, bool whole)
{
    const struct pypow_kernel *kernel = group->kernel;
    const uint8_t *texts[MAX_LANES];
    for (uint32_t i = 0; i < kernel->lanes; i++)
        texts[i] = i < group->used ? group->text[i] : group->rows[i];
    for (uint32_t i = 0; i < group->used; i++)
        lay_out(group, i, 0);
    kernel->load_many(group->first, texts);
    kernel->decode_many(group->quads, group->strange[0], group->first, BLOCK_WORDS);
    load_rows(group);
    kernel->decode_many(group->quads + BLOCK_WORDS * kernel->lanes, group->strange[1], group->last,
                        REST_WORDS);
    /* What is stored in small pieces is slow to load otherwise for a while: hence two loops. */
    for (uint32_t i = 0; i < group->used; i++)
        gather(group, i, whole ? TEXT_WORDS : HEAD_WORDS);
    for (uint32_t i = 0; i < group->used; i++) {
        const bool read = (group->strange[0][i] | group->strange[1][i]) == 0 &&
                          pypow_challenge_read(&group->terms[i], group->octets[i]);
        group->reason[i] = read ? PYPOW_STANDS : PYPOW_MALFORMED;
    }
}

static void find_keys(struct group *group, const struct demand *demand)
{
    static const struct pypow_mac_key none;
    for (uint32_t i = 0; i < group->used; i++) {
        group->keys[i] = &none;
        if (group->reason[i] != PYPOW_STANDS)
            continue;
        const struct pypow_mac_key *found =
            pypow_mac_key_find(demand->keys, demand->key_count, group->terms[i].key);
        if (found == NULL)
            group->reason[i] = PYPOW_UNKNOWN_KEY;
        else
            group->keys[i] = found;
    }
}

static void set_states(struct group *group, bool outer)
{
    const uint32_t lanes = group->kernel->lanes;
    for (uint32_t lane = 0; lane < group->used; lane++) {
        const struct pypow_hmac_key *key = &group->keys[lane]->hmac;
        const uint32_t *state = outer ? key->outer : key->inner;
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            group->states[i * lanes + lane] = state[i];
    }
}

/* Clear the block from this word on, but for the length of an HMAC's message in the last. */
static void set_end(struct group *group, uint32_t word, uint32_t bytes)
{
    const uint32_t lanes = group->kernel->lanes;
    memset(group->block + word * lanes, 0, sizeof *group->block * (BLOCK_WORDS - word) * lanes);
    for (uint32_t i = 0; i < lanes; i++)
        group->block[(BLOCK_WORDS - 1) * lanes + i] = (BLOCK_BYTES + bytes) * 8;
}

/* The 62 octets that are signed, and the end mark: 20 quads are 15 words, then come two octets. */
static void set_signed(struct group *group)
{
    const uint32_t lanes = group->kernel->lanes;
    const uint32_t *restrict quad = group->quads;
    uint32_t *restrict word = group->block;
    for (int n = 0; n < 5; n++, quad += 4 * lanes, word += 3 * lanes)
        for (uint32_t i = 0; i < lanes; i++) {
            const uint32_t b = quad[lanes + i], c = quad[2 * lanes + i];
            word[i] = quad[i] << 8 | b >> 16;
            word[lanes + i] = b << 16 | c >> 8;
            word[2 * lanes + i] = c << 24 | quad[3 * lanes + i];
        }
    for (uint32_t i = 0; i < lanes; i++)
        word[i] = (quad[i] & 0xffff00) << 8 | 0x8000;
}

/* Whether the digest begins with the MAC, in a time that does not tell where they differ. */
static bool mac_equal(const struct group *group, uint32_t lane)
{
    const uint32_t lanes = group->kernel->lanes, *state = group->states + lane;
    const uint32_t *quad = group->quads + 20 * lanes + lane;
    const uint32_t mac[MAC_WORDS] = {
        quad[0] << 24 | quad[lanes],
        quad[2 * lanes] << 8 | quad[3 * lanes] >> 16,
        quad[3 * lanes] << 16 | quad[4 * lanes] >> 8,
        quad[4 * lanes] << 24 | quad[5 * lanes],
    };
    uint32_t difference = 0;
    for (uint32_t i = 0; i < MAC_WORDS; i++)
        difference |= mac[i] ^ state[i * lanes];
    return difference == 0;
}

static void check_macs(struct group *group, const struct demand *demand)
{
    const struct pypow_kernel *kernel = group->kernel;
    find_keys(group, demand);
    set_states(group, false);
    set_signed(group);
    kernel->compress_many(group->states, group->block);
    set_end(group, 0, SIGNED_BYTES);
    kernel->compress_many(group->states, group->block);
    memcpy(group->block, group->states, sizeof *group->states * STATE_WORDS * kernel->lanes);
    set_end(group, STATE_WORDS, PYPOW_DIGEST_BYTES);
    for (uint32_t i = 0; i < kernel->lanes; i++)
        group->block[STATE_WORDS * kernel->lanes + i] = UINT32_C(1) << 31;
    set_states(group, true);
    kernel->compress_many(group->states, group->block);
    for (uint32_t i = 0; i < group->used; i++)
        if (group->reason[i] == PYPOW_STANDS && !mac_equal(group, i))
            group->reason[i] = PYPOW_BAD_MAC;
}

static void judge(struct group *group, const struct demand *demand)
{
    for (uint32_t i = 0; i < group->used; i++)
        if (group->reason[i] == PYPOW_STANDS)
            group->reason[i] = (uint8_t)pypow_challenge_judge(&group->terms[i], group->octets[i],
                                                              demand->expected);
}

/* Whether there is one nonce for each sub-puzzle and no more, each of which may be. */
static bool nonces_fit(const struct pypow_terms *terms, const uint8_t *nonces, uint32_t count)
{
    if (count < terms->puzzles)
        return false;
    for (uint32_t i = 0; i < count; i++, nonces += PYPOW_CHALLENGE_NONCE) {
        const size_t len = nonce_length(nonces);
        if (i < terms->puzzles ? !pypow_challenge_nonce(terms, i, nonces, len) : len > 0)
            return false;
    }
    return true;
}

static bool has_puzzle(const struct group *group, uint32_t lane, uint32_t number)
{
    return group->reason[lane] == PYPOW_STANDS && number < group->terms[lane].puzzles;
}

/* Load the last blocks with the nonces of this number; false where no challenge has one. */
static bool load_nonces(struct group *group, uint32_t number)
{
    bool any = false;
    for (uint32_t i = 0; i < group->used; i++)
        if (has_puzzle(group, i, number)) {
            lay_out(group, i, number);
            any = true;
        }
    if (any)
        load_rows(group);
    return any;
}

static void check_work(struct group *group, const struct demand *demand)
{
    const struct pypow_kernel *kernel = group->kernel;
    const size_t states_bytes = sizeof *group->states * STATE_WORDS * kernel->lanes;
    for (uint32_t i = 0; i < group->used; i++)
        if (group->reason[i] == PYPOW_STANDS &&
            !nonces_fit(&group->terms[i], group->nonces[i], demand->nonces_each))
            group->reason[i] = PYPOW_WRONG_NONCES;
    memcpy(group->midstates, group->initial, states_bytes);
    kernel->compress_many(group->midstates, group->first);
    uint32_t number = 0; /* whose blocks read_texts has loaded */
    do {
        memcpy(group->states, group->midstates, states_bytes);
        kernel->compress_many(group->states, group->last);
        for (uint32_t i = 0; i < group->used; i++) {
            if (!has_puzzle(group, i, number))
                continue;
            const struct pypow_target target = pypow_target_of(group->terms[i].sub_q);
            if (!pypow_target_met(&target, group->states + i, kernel->lanes))
                group->reason[i] = PYPOW_NOT_ENOUGH_WORK;
        }
    } while (load_nonces(group, ++number));
}

static int run(uint8_t *reasons, const struct demand *demand,
               const struct pypow_column *challenges, const struct pypow_column *nonces,
               size_t count, const char *name)
{
    struct group group = {0};
    const int status = pypow_kernel_choose(&group.kernel, name);
    if (status != PYPOW_OK)
        return status;
    for (uint32_t i = 0; i < STATE_WORDS * group.kernel->lanes; i++)
        group.initial[i] = pypow_sha256_initial[i / group.kernel->lanes];
    for (size_t first = 0; first < count; first += group.used) {
        const size_t left = count - first;
        group.used = left < group.kernel->lanes ? (uint32_t)left : group.kernel->lanes;
        for (uint32_t i = 0; i < group.used; i++) {
            group.text[i] = challenges->data + (ptrdiff_t)(first + i) * challenges->stride;
            group.nonces[i] = nonces->data + (ptrdiff_t)(first + i) * nonces->stride;
        }
        read_texts(&group, demand->keys != NULL);
        if (demand->keys != NULL && any_stands(&group)) {
            check_macs(&group, demand);
            judge(&group, demand);
        }
        if (any_stands(&group))
            check_work(&group, demand);
        memcpy(reasons + first, group.reason, group.used);
    }
    return PYPOW_OK;
}

static bool is_right(const struct pypow_column *challenges, const struct pypow_column *nonces,
                     uint32_t nonces_each)
{
    return challenges->offsets == NULL && challenges->width == PYPOW_CHALLENGE_TEXT &&
           nonces->offsets == NULL && nonces_each >= 1 && nonces_each <= PYPOW_MAX_PROOFS &&
           nonces->width == (size_t)nonces_each * PYPOW_CHALLENGE_NONCE;
}

int pypow_challenge_work_batch(uint8_t *reasons, const struct pypow_column *challenges,
                               const struct pypow_column *nonces, uint32_t nonces_each,
                               size_t count, const char *kernel)
{
    const struct demand demand = {.nonces_each = nonces_each};
    if (!is_right(challenges, nonces, nonces_each))
        return PYPOW_BAD_ARGUMENT;
    return run(reasons, &demand, challenges, nonces, count, kernel);
}

int pypow_challenge_check_batch(uint8_t *reasons, const struct pypow_mac_key *keys,
                                uint32_t key_count, int64_t now_ms, uint32_t epoch,
                                uint32_t weight, const uint8_t *resource,
                                const uint8_t *principal, const struct pypow_column *challenges,
                                const struct pypow_column *nonces, uint32_t nonces_each,
                                size_t count, const char *kernel)
{
    const struct pypow_expected expected = {now_ms, epoch, weight, resource, principal};
    const struct demand demand = {keys, key_count, &expected, nonces_each};
    if (keys == NULL || !is_right(challenges, nonces, nonces_each))
        return PYPOW_BAD_ARGUMENT;
    return run(reasons, &demand, challenges, nonces, count, kernel);
}
