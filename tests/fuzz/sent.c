/* SPDX-License-Identifier: Apache-2.0 */
#include "sent.h"

#include <string.h>

void prepare_keys(struct signer *signers, struct pypow_mac_key *keys)
{
    static const size_t secret_lens[KEYS] = {16, 64, 100};
    uint8_t secret[100];
    for (uint32_t i = 0; i < KEYS; i++) {
        memset(secret, (int)i + 1, sizeof secret);
        signers[i] = (struct signer){i, reference_hmac_key(secret, secret_lens[i])};
        pypow_mac_key_init(&keys[i], i, secret, secret_lens[i]);
    }
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

struct demand take_demand(struct input *in, const struct signer *signers)
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

void take_octets(uint8_t *octets, struct input *in, const struct demand *demand)
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
    protocol_sign(octets, &demand->signers[protocol_field(octets, 8, 2) % KEYS]);
}

struct proof take_proof(uint8_t *text, struct input *in, uint32_t puzzles)
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

uint32_t puzzles_of(const uint8_t *octets) { return 1U << octets[2] % 7; }

void take_flip(uint8_t *octets, struct input *in)
{
    const uint32_t bit = take_below(in, 65536) % (8 * OCTETS);
    octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
}
