/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native challenges and proofs: signed ones that are right or wrong in any field, and texts that
 * were changed on their way. The core must decode what can be written again in the same way and
 * nothing else, and judge as docs/protocol.md does.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <string.h>

#include "fence.h"
#include "given.h"
#include "protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEYS = 3, MOST_ROWS = 70, LONGEST = MOST_PUZZLES * (NONCE + 1) + 2 };

/* The secrets of a deployment: shorter than a block of SHA-256, as long, and longer. */
static struct signer signers[KEYS];
static struct pypow_mac_key keys[KEYS];

static struct fence texts, nonces, octets_out, scopes, text_rows, nonce_rows, reasons_out;

static void prepare(void)
{
    static const size_t secret_lens[KEYS] = {16, 64, 100};
    uint8_t secret[100];
    for (uint32_t i = 0; i < KEYS; i++) {
        memset(secret, (int)i + 1, sizeof secret);
        signers[i] = (struct signer){i, reference_hmac_key(secret, secret_lens[i])};
        pypow_mac_key_init(&keys[i], i, secret, secret_lens[i]);
    }
    texts = fence_around(TEXT + 1);
    nonces = fence_around(LONGEST);
    octets_out = fence_around(OCTETS);
    scopes = fence_around(SCOPE);
    text_rows = fence_around(MOST_ROWS * TEXT);
    nonce_rows = fence_around(MOST_PUZZLES * NONCE);
    reasons_out = fence_around(MOST_ROWS);
}

/* What the gate expects, or nobody in particular, or somebody else. */
static void take_scope(uint8_t *octets, int at, struct input *in, const uint8_t *expected)
{
    const uint32_t whose = take_below(in, 8);
    if (whose > 0)
        memcpy(octets + at, expected, SCOPE);
    if (whose == 1)
        octets[at + take_below(in, SCOPE)] ^= (uint8_t)take(in, 1);
}

static struct demand take_demand(struct input *in)
{
    struct demand demand = {.signers = signers, .signer_count = take_below(in, 32)};
    if (demand.signer_count > KEYS)
        demand.signer_count = KEYS;
    demand.now_ms = (int64_t)take(in, 6);
    if (take_below(in, 64) == 63)
        demand.now_ms *= -(INT64_C(1) << take_below(in, 16));
    demand.epoch = take_below(in, 4);
    demand.weight = take_below(in, 4);
    memset(demand.resource, (int)take(in, 1), SCOPE);
    memset(demand.principal, (int)take(in, 1), SCOPE);
    return demand;
}

/* Mostly a good while ago; or just when it begins, or ends, to be good. */
static uint64_t take_issued(struct input *in, uint64_t now_ms, uint32_t lifetime_s)
{
    const uint32_t when = take_below(in, 8), near = take_below(in, 3);
    if (when == 7)
        return now_ms + PYPOW_MAX_CLOCK_SKEW_MS + 1 - near;
    if (when == 6)
        return now_ms - UINT64_C(1000) * lifetime_s + 1 - near;
    return now_ms - take_below(in, 1000);
}

/* A challenge that mostly meets the demand, and that almost any nonce solves. */
static void take_octets(uint8_t *octets, struct input *in, const struct demand *demand)
{
    const uint32_t log2_puzzles = take_below(in, 256);
    const uint32_t q = take_below(in, 65536), lifetime_s = 1 + take_below(in, 600);
    memset(octets, 0, OCTETS);
    octets[0] = octets[1] = 1;
    octets[2] = (uint8_t)(log2_puzzles < 192 ? log2_puzzles % 4 / 3 : log2_puzzles % 8);
    octets[3] = (uint8_t)take(in, 1);
    const uint32_t easy = 1024U * octets[2] + (octets[2] == 0 ? 1024 : 0);
    protocol_put(octets, 4, 2, q % 16 == 15 ? q : easy + q % 64);
    protocol_put(octets, 6, 2, demand->weight + take_below(in, 8) % 4 - 1);
    protocol_put(octets, 8, 2, take_below(in, KEYS));
    protocol_put(octets, 10, 4, demand->epoch + take_below(in, 8) / 7);
    protocol_put(octets, 14, 6, take_issued(in, (uint64_t)demand->now_ms, lifetime_s));
    protocol_put(octets, 20, 2, lifetime_s);
    protocol_put(octets, 22, 8, take(in, 8));
    take_scope(octets, 38, in, demand->resource);
    take_scope(octets, 50, in, demand->principal);
    if (take_below(in, 8) == 7)
        octets[take_below(in, SIGNED)] ^= (uint8_t)take(in, 1);
}

/* One nonce for each puzzle, as it should be, and then perhaps some characters that should not. */
static struct proof take_proof(uint8_t *text, struct input *in, uint32_t puzzles)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t x = take(in, 2);
    size_t len = 0;
    for (uint32_t i = 0; i < puzzles; i++) {
        if (i > 0)
            text[len++] = '.';
        text[len++] = (uint8_t)hex[i / 16];
        text[len++] = (uint8_t)hex[i % 16];
        for (int j = 2; j < NONCE; j++, x = x * 6364136223846793005 + 1442695040888963407)
            text[len++] = (uint8_t)hex[x >> 60];
    }
    struct proof proof = {text, len, puzzles};
    for (uint32_t changes = take_below(in, 32) / 8; changes > 0; changes--) {
        const uint32_t at = take_below(in, 65536), c = take_below(in, 256);
        if (c < 32)
            proof.nonces_len -= at % (len + 1) < proof.nonces_len ? at % 3 : 0;
        else
            text[at % len] = (uint8_t)c;
    }
    if (take_below(in, 32) == 31)
        proof.count ^= take_below(in, 128);
    return proof;
}

/* What comes over the wire: as it was sent, or changed, or cut off, or longer. */
static size_t take_changes(uint8_t *text, struct input *in)
{
    const uint32_t changes = take_below(in, 32) / 24;
    text[TEXT] = 'A';
    for (uint32_t i = 0; i < changes; i++) {
        const uint32_t at = take_below(in, TEXT);
        text[at] = (uint8_t)take(in, 1);
    }
    return take_below(in, 64) == 63 ? take_below(in, TEXT + 2) : TEXT;
}

static void check_decode(const uint8_t *text, size_t text_len, bool front)
{
    uint8_t wanted[OCTETS], again[TEXT];
    uint8_t *octets = fence_place(&octets_out, OCTETS, front);
    const int status = pypow_challenge_decode(octets, (const char *)text, text_len);
    require(status == protocol_decode(wanted, text, text_len), "decode", NULL);
    if (status == PYPOW_STANDS) {
        protocol_encode(again, octets);
        require(memcmp(octets, wanted, OCTETS) == 0, "octets", NULL);
        require(memcmp(again, text, TEXT) == 0, "two texts for one challenge", NULL);
    }
}

static int check(const struct demand *demand, const uint8_t *text, size_t text_len,
                 const struct proof *proof, bool front)
{
    uint8_t *octets = fence_place(&octets_out, OCTETS, front);
    return pypow_challenge_check(
        octets, keys, demand->signer_count, demand->now_ms, demand->epoch, demand->weight,
        fence_copy(&scopes, demand->resource, SCOPE, front), demand->principal, (const char *)text,
        text_len, proof->nonces, proof->nonces_len, proof->count);
}

static void check_work(const uint8_t *text, const struct proof *proof)
{
    uint8_t octets[OCTETS];
    uint32_t failed = UINT32_MAX, wanted_failed = UINT32_MAX;
    int wanted = protocol_decode(octets, text, TEXT);
    if (wanted == PYPOW_STANDS)
        wanted = protocol_work(&wanted_failed, octets, text, proof);
    const int status = pypow_challenge_work(&failed, (const char *)text, TEXT, proof->nonces,
                                            proof->nonces_len, proof->count);
    require(status == wanted && failed == wanted_failed, "work", NULL);
}

/* One bit of what was signed, or of the MAC, is another. */
static void check_flipped(uint8_t *text, uint8_t *octets, struct input *in,
                          const struct demand *demand, const struct proof *proof, bool front)
{
    const uint32_t bit = take_below(in, 65536) % (8 * OCTETS);
    octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
    protocol_encode(text, octets);
    const int status = check(demand, fence_copy(&texts, text, TEXT, front), TEXT, proof, front);
    require(status == PYPOW_MALFORMED || status == PYPOW_UNKNOWN_KEY || status == PYPOW_BAD_MAC,
            "a flipped bit is not seen", NULL);
}

/* The nonces of a proof as a row of a batch, as far as there is room. */
static void put_nonces(uint8_t *row, uint32_t nonces_each, const struct proof *proof)
{
    uint32_t nonce = 0, len = 0;
    memset(row, 0, (size_t)nonces_each * NONCE);
    for (size_t i = 0; i < proof->nonces_len && nonce < nonces_each; i++) {
        if (proof->nonces[i] == '.')
            nonce++, len = 0;
        else if (len < NONCE)
            row[nonce * NONCE + len++] = proof->nonces[i];
    }
}

/* And what such a row stands for, as a proof that travels alone. */
static struct proof proof_of_row(uint8_t *joined, const uint8_t *row, uint32_t nonces_each)
{
    struct proof proof = {.nonces = joined};
    size_t used = 0;
    for (uint32_t i = 0; i < nonces_each; i++, row += NONCE) {
        size_t len = NONCE;
        while (len > 0 && row[len - 1] == 0)
            len--;
        if (i > 0)
            joined[used++] = '.';
        memcpy(joined + used, row, len);
        used += len;
        if (len > 0) {
            proof.nonces_len = used;
            proof.count = i + 1;
        }
    }
    return proof;
}

/* Two challenges with one proof's nonces, by turns, in every lane of a batch. */
static void check_batch(const uint8_t *one, const uint8_t *other, struct input *in,
                        const struct demand *demand, const struct proof *sent, bool front)
{
    static const uint8_t each[] = {1, 1, 2, 2, 8, 64};
    const uint32_t nonces_each = each[take_below(in, sizeof each)];
    const size_t count = take_below(in, MOST_ROWS + 1), width = nonces_each * (size_t)NONCE;
    uint8_t *text = fence_place(&text_rows, count * TEXT, front), row[MOST_PUZZLES * NONCE];
    uint8_t *nonce = fence_place(&nonce_rows, width, front), joined[LONGEST];
    uint8_t *reasons = fence_place(&reasons_out, count, front);
    put_nonces(row, nonces_each, sent);
    memcpy(nonce, row, width);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * TEXT, i % 2 == 0 ? one : other, TEXT);
    const struct pypow_column texts_in = {.data = text, .stride = TEXT, .width = TEXT};
    const struct pypow_column nonces_in = {.data = nonce, .width = width};
    const struct proof proof = proof_of_row(joined, row, nonces_each);
    const int wanted[] = {protocol_check(demand, one, TEXT, &proof),
                          protocol_check(demand, other, TEXT, &proof)};
    struct pypow_kernel_info info;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        if (!info.usable)
            continue;
        const int status = pypow_challenge_check_batch(
            reasons, keys, demand->signer_count, demand->now_ms, demand->epoch, demand->weight,
            demand->resource, demand->principal, &texts_in, &nonces_in, nonces_each, count,
            info.name);
        require(status == PYPOW_OK, "batch", info.name);
        for (size_t j = 0; j < count; j++)
            require(reasons[j] == wanted[j % 2], "a verdict of a batch", info.name);
    }
}

static void check_target(uint32_t q)
{
    uint8_t highest[REFERENCE_DIGEST];
    const int status = pypow_target(highest, q);
    require(status == (q <= 60 * 1024 ? PYPOW_OK : PYPOW_BAD_ARGUMENT), "target's range", NULL);
    if (status != PYPOW_OK || q == 0)
        return;
    const long double top = (long double)protocol_field(highest, 0, 8), wanted = protocol_target(q);
    require(top <= wanted && wanted - top <= 1 + wanted * 0x1p-62L, "target", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t octets[OCTETS], sent[TEXT + 1], flipped[TEXT], joined[LONGEST];
    if (texts.begin == NULL)
        prepare();
    struct input in = {data, size};
    const bool front = take_below(&in, 2);
    const struct demand demand = take_demand(&in);
    take_octets(octets, &in, &demand);
    protocol_sign(octets, &signers[protocol_field(octets, 8, 2) % KEYS]);
    protocol_encode(sent, octets);
    const size_t text_len = take_changes(sent, &in);
    struct proof proof = take_proof(joined, &in, 1U << octets[2] % 7);
    proof.nonces = fence_copy(&nonces, joined, proof.nonces_len, front);

    const uint8_t *text = fence_copy(&texts, sent, text_len, front);
    check_decode(text, text_len, front);
    const int status = check(&demand, text, text_len, &proof, front);
    require(status == protocol_check(&demand, text, text_len, &proof), "verdict", NULL);
    if (text_len == TEXT && take_below(&in, 2))
        check_work(text, &proof);
    check_flipped(flipped, octets, &in, &demand, &proof, front);
    check_target(take_below(&in, 65536));
    if (take_below(&in, 16) == 15)
        check_batch(sent, flipped, &in, &demand, &proof, front);
    return 0;
}
