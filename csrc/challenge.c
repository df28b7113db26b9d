/* SPDX-License-Identifier: Apache-2.0 */
/* One proof of a native challenge, from its characters to a verdict. */
#include "challenge.h"

#include <string.h>

#include "base64.h"
#include "difficulty.h"
#include "kernel.h"

enum {
    VERSION = 1,
    SHA256 = 1,
    MIN_Q = 1 * STEPS_PER_BIT,
    MAX_SUB_Q = 44 * STEPS_PER_BIT,
    MAX_LOG2_PUZZLES = 6,
    MAX_LIFETIME_S = 600,
    RESOURCE_AT = 38,
    PRINCIPAL_AT = 50
};

void pypow_mac_key_init(struct pypow_mac_key *key, uint32_t identity, const uint8_t *secret,
                        size_t secret_len)
{
    key->id = identity;
    pypow_hmac_key_init(&key->hmac, secret, secret_len, pypow_kernel_compress());
}

const struct pypow_mac_key *pypow_mac_key_find(const struct pypow_mac_key *keys,
                                               uint32_t key_count, uint32_t id)
{
    for (uint32_t i = 0; i < key_count; i++)
        if (keys[i].id == id)
            return &keys[i];
    return NULL;
}

bool pypow_mac_equal(const uint8_t *one, const uint8_t *other)
{
    uint8_t difference = 0;
    for (int i = 0; i < MAC_BYTES; i++)
        difference |= one[i] ^ other[i];
    return difference == 0;
}

static uint32_t load_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

bool pypow_challenge_read(struct pypow_terms *terms, const uint8_t *octets)
{
    const uint32_t log2_puzzles = octets[2], q = load_be16(octets + 4);
    const uint32_t split = log2_puzzles * STEPS_PER_BIT, lifetime_s = load_be16(octets + 20);
    if (octets[0] != VERSION || octets[1] != SHA256 || log2_puzzles > MAX_LOG2_PUZZLES)
        return false;
    if (q < MIN_Q || q > PYPOW_MAX_Q || q < split || q - split > MAX_SUB_Q)
        return false;
    terms->puzzles = UINT32_C(1) << log2_puzzles;
    terms->sub_q = q - split;
    terms->weight = load_be16(octets + 6);
    terms->key = load_be16(octets + 8);
    terms->epoch = load_be32(octets + 10);
    terms->issued_at_ms = (uint64_t)load_be16(octets + 14) << 32 | load_be32(octets + 16);
    terms->expires_at_ms = terms->issued_at_ms + UINT64_C(1000) * lifetime_s;
    return terms->weight >= 1 && lifetime_s >= 1 && lifetime_s <= MAX_LIFETIME_S;
}

/* Whether a scope is the one expected, or zero, which is any. */
static bool in_scope(const uint8_t *scope, const uint8_t *expected)
{
    static const uint8_t any[PYPOW_SCOPE_BYTES];
    return memcmp(scope, expected, sizeof any) == 0 || memcmp(scope, any, sizeof any) == 0;
}

enum pypow_reason pypow_challenge_judge(const struct pypow_terms *terms, const uint8_t *octets,
                                        const struct pypow_expected *expected)
{
    /* Both have 48 bits and a little more, so that these differences cannot overflow. */
    const int64_t issued_ms = (int64_t)terms->issued_at_ms;
    const int64_t expires_ms = (int64_t)terms->expires_at_ms;
    if (issued_ms - PYPOW_MAX_CLOCK_SKEW_MS > expected->now_ms)
        return PYPOW_NOT_YET_VALID;
    if (expected->now_ms >= expires_ms)
        return PYPOW_EXPIRED;
    if (terms->epoch != expected->epoch)
        return PYPOW_STALE_EPOCH;
    if (!in_scope(octets + RESOURCE_AT, expected->resource))
        return PYPOW_WRONG_RESOURCE;
    if (terms->weight < expected->weight)
        return PYPOW_UNDERWEIGHT;
    if (!in_scope(octets + PRINCIPAL_AT, expected->principal))
        return PYPOW_WRONG_PRINCIPAL;
    return PYPOW_STANDS;
}

static bool is_lower_hex(uint8_t c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool pypow_challenge_nonce(const struct pypow_terms *terms, uint32_t index, const uint8_t *nonce,
                           size_t nonce_len)
{
    static const char hex[] = "0123456789abcdef";
    if (terms->puzzles == 1)
        return nonce_len >= 1 && nonce_len <= PYPOW_CHALLENGE_NONCE &&
               pypow_base64_valid(nonce, nonce_len);
    if (nonce_len != PYPOW_CHALLENGE_NONCE)
        return false;
    bool right = nonce[0] == hex[index >> 4] && nonce[1] == hex[index & 15];
    for (size_t i = 2; i < PYPOW_CHALLENGE_NONCE; i++)
        right &= is_lower_hex(nonce[i]);
    return right;
}

void pypow_challenge_block(uint8_t *block, const uint8_t *text, const uint8_t *nonce,
                           size_t nonce_len)
{
    memcpy(block, text + BLOCK_BYTES, TEXT_REST);
    memset(block + TEXT_REST, 0, BLOCK_BYTES - TEXT_REST);
    if (nonce_len == PYPOW_CHALLENGE_NONCE) /* as most are: so many bytes need no call */
        memcpy(block + TEXT_REST, nonce, PYPOW_CHALLENGE_NONCE);
    else
        memcpy(block + TEXT_REST, nonce, nonce_len);
    block[TEXT_REST + nonce_len] = 0x80;
    store_be32(block + BLOCK_BYTES - 4, (uint32_t)(PYPOW_CHALLENGE_TEXT + nonce_len) * 8);
}

static bool read_text(uint8_t *octets, struct pypow_terms *terms, const char *text,
                      size_t text_len)
{
    return text_len == PYPOW_CHALLENGE_TEXT &&
           pypow_base64_decode(octets, (const uint8_t *)text, PYPOW_CHALLENGE_TEXT / 4) &&
           pypow_challenge_read(terms, octets);
}

int pypow_challenge_decode(uint8_t *octets, const char *text, size_t text_len)
{
    struct pypow_terms terms;
    return read_text(octets, &terms, text, text_len) ? PYPOW_STANDS : PYPOW_MALFORMED;
}

/* The nonces of a proof as they travel: one for each sub-puzzle, joined by dots. */
struct nonces {
    const uint8_t *nonce[PYPOW_MAX_PROOFS];
    size_t len[PYPOW_MAX_PROOFS];
};

static bool split(struct nonces *nonces, const struct pypow_terms *terms, const uint8_t *joined,
                  size_t joined_len)
{
    const uint8_t *const end = joined + joined_len;
    for (uint32_t i = 0; i < terms->puzzles; i++) {
        const size_t left = (size_t)(end - joined);
        const uint8_t *dot = memchr(joined, '.', left);
        const bool last = i + 1 == terms->puzzles;
        if ((dot == NULL) != last)
            return false;
        nonces->nonce[i] = joined;
        nonces->len[i] = last ? left : (size_t)(dot - joined);
        if (!pypow_challenge_nonce(terms, i, nonces->nonce[i], nonces->len[i]))
            return false;
        joined = last ? end : dot + 1;
    }
    return true;
}

static enum pypow_reason judge_work(uint32_t *failed, const struct pypow_terms *terms,
                                    const uint8_t *text, const uint8_t *joined, size_t joined_len)
{
    pypow_compress *compress = pypow_kernel_compress();
    struct nonces nonces;
    uint32_t midstate[STATE_WORDS];
    if (!split(&nonces, terms, joined, joined_len))
        return PYPOW_WRONG_NONCES;
    const struct pypow_target target = pypow_target_of(terms->sub_q);
    memcpy(midstate, pypow_sha256_initial, sizeof midstate);
    compress(midstate, text, 1);
    for (uint32_t i = 0; i < terms->puzzles; i++) {
        uint32_t state[STATE_WORDS];
        uint8_t block[BLOCK_BYTES];
        memcpy(state, midstate, sizeof state);
        pypow_challenge_block(block, text, nonces.nonce[i], nonces.len[i]);
        compress(state, block, 1);
        if (!pypow_target_met(&target, state, 1)) {
            *failed = i;
            return PYPOW_NOT_ENOUGH_WORK;
        }
    }
    return PYPOW_STANDS;
}

int pypow_challenge_work(uint32_t *failed, const char *text, size_t text_len, const uint8_t *nonces,
                         size_t nonces_len, uint32_t count)
{
    uint8_t octets[PYPOW_CHALLENGE_BYTES];
    struct pypow_terms terms;
    if (!read_text(octets, &terms, text, text_len))
        return PYPOW_MALFORMED;
    if (count != terms.puzzles)
        return PYPOW_WRONG_NONCES;
    return judge_work(failed, &terms, (const uint8_t *)text, nonces, nonces_len);
}

int pypow_challenge_check(uint8_t *octets, const struct pypow_mac_key *keys, uint32_t key_count,
                          int64_t now_ms, uint32_t epoch, uint32_t weight,
                          const uint8_t *resource, const uint8_t *principal, const char *text,
                          size_t text_len, const uint8_t *nonces, size_t nonces_len,
                          uint32_t count)
{
    const struct pypow_expected expected = {now_ms, epoch, weight, resource, principal};
    uint8_t mac[PYPOW_DIGEST_BYTES];
    struct pypow_terms terms;
    uint32_t failed;
    if (!read_text(octets, &terms, text, text_len))
        return PYPOW_MALFORMED;
    const struct pypow_mac_key *key = pypow_mac_key_find(keys, key_count, terms.key);
    if (key == NULL)
        return PYPOW_UNKNOWN_KEY;
    pypow_hmac(mac, &key->hmac, octets, SIGNED_BYTES, pypow_kernel_compress());
    if (!pypow_mac_equal(mac, octets + SIGNED_BYTES))
        return PYPOW_BAD_MAC;
    const enum pypow_reason reason = pypow_challenge_judge(&terms, octets, &expected);
    if (reason != PYPOW_STANDS)
        return reason;
    if (count != terms.puzzles)
        return PYPOW_WRONG_NONCES;
    return judge_work(&failed, &terms, (const uint8_t *)text, nonces, nonces_len);
}
