/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native challenges and proofs: signed ones that are right or wrong in any field, and texts that
 * were changed on their way. The core must decode what can be written again in the same way and
 * nothing else, and judge as docs/protocol.md does.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <string.h>

#include "fence.h"
#include "sent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct signer signers[KEYS];
static struct pypow_mac_key keys[KEYS];
static struct fence texts, nonces, octets_out, scopes;

static void prepare(void)
{
    prepare_keys(signers, keys);
    texts = fence_around(TEXT + 1);
    nonces = fence_around(LONGEST_NONCES);
    octets_out = fence_around(OCTETS);
    scopes = fence_around(SCOPE);
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

static void check_flipped(const uint8_t *octets, const struct demand *demand,
                          const struct proof *proof, bool front)
{
    uint8_t text[TEXT];
    protocol_encode(text, octets);
    const int status = check(demand, fence_copy(&texts, text, TEXT, front), TEXT, proof, front);
    require(status == PYPOW_MALFORMED || status == PYPOW_UNKNOWN_KEY || status == PYPOW_BAD_MAC,
            "a flipped bit is not seen", NULL);
}

static void check_target(uint32_t q)
{
    uint8_t highest[REFERENCE_DIGEST];
    const int status = pypow_target(highest, q);
    require(status == (q <= 60 * 1024 ? PYPOW_OK : PYPOW_BAD_ARGUMENT), "target's range", NULL);
    if (status != PYPOW_OK)
        return;
    const uint64_t top = protocol_field(highest, 0, 8), wanted = protocol_target(q);
    const uint64_t off = top > wanted ? top - wanted : wanted - top;
    require(off <= (q % 1024 == 0 ? 0U : 16U), "target", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t octets[OCTETS], sent[TEXT + 1], joined[LONGEST_NONCES];
    if (texts.begin == NULL)
        prepare();
    struct input in = {data, size};
    const bool front = take_below(&in, 2);
    const struct demand demand = take_demand(&in, signers);
    take_octets(octets, &in, &demand);
    protocol_encode(sent, octets);
    const size_t text_len = take_changes(sent, &in);
    struct proof proof = take_proof(joined, &in, puzzles_of(octets));
    proof.nonces = fence_copy(&nonces, joined, proof.nonces_len, front);

    const uint8_t *text = fence_copy(&texts, sent, text_len, front);
    check_decode(text, text_len, front);
    const int status = check(&demand, text, text_len, &proof, front);
    require(status == protocol_check(&demand, text, text_len, &proof), "verdict", NULL);
    if (text_len == TEXT && take_below(&in, 2))
        check_work(text, &proof);
    take_flip(octets, &in);
    check_flipped(octets, &demand, &proof, front);
    check_target(take_below(&in, 65536));
    return 0;
}
