/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs of any number of nonces, lengths and rules, right or wrong, verified in one call; and
 * the same message hashed by every kernel.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <string.h>

#include "fence.h"
#include "given.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_NONCES = PYPOW_MAX_PROOFS + 1, LONGEST = PYPOW_MAX_NONCE_BYTES + 1 };

struct nonces {
    uint32_t count;
    uint8_t lens[MOST_NONCES];
    size_t bytes_len;
    uint8_t bytes[MOST_NONCES * LONGEST];
};

/* Mostly a few short ones. */
static void take_nonces(struct nonces *nonces, struct input *in)
{
    const uint32_t some = take_below(in, 256);
    nonces->count = some < 224 ? some % 5 : some % (MOST_NONCES + 1);
    nonces->bytes_len = 0;
    for (uint32_t i = 0; i < nonces->count; i++) {
        const uint32_t len = take_below(in, 256);
        nonces->lens[i] = (uint8_t)(len == 255 ? LONGEST : len < 192 ? len % 16 : len);
        if (nonces->lens[i] > LONGEST)
            nonces->lens[i] %= LONGEST;
        memset(nonces->bytes + nonces->bytes_len, (int)(len ^ i), nonces->lens[i]);
        nonces->bytes_len += nonces->lens[i];
    }
}

static bool nonces_are_right(const struct nonces *nonces)
{
    for (uint32_t i = 0; i < nonces->count; i++)
        if (nonces->lens[i] > PYPOW_MAX_NONCE_BYTES)
            return false;
    return nonces->count >= 1 && nonces->count <= PYPOW_MAX_PROOFS;
}

static void nonce_digest(uint8_t *digest, const struct beginning *beginning,
                         const struct nonces *nonces, uint32_t index)
{
    const uint8_t *nonce = nonces->bytes;
    for (uint32_t i = 0; i < index; i++)
        nonce += nonces->lens[i];
    message_digest(digest, beginning, nonce, nonces->lens[index]);
}

static void check_sha256(const struct part *message, struct fence *fence, bool front)
{
    uint8_t digest[REFERENCE_DIGEST], wanted[REFERENCE_DIGEST];
    struct pypow_kernel_info info;
    const uint8_t *placed = fence_copy(fence, message->bytes, message->len, front);
    reference_sha256(wanted, message->bytes, message->len);
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        if (!info.usable)
            continue;
        require(pypow_sha256(digest, placed, message->len, info.name) == PYPOW_OK, "refused",
                info.name);
        require(memcmp(digest, wanted, sizeof digest) == 0, "digest", info.name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { PREFIX, SUFFIX, SALT, NONCES, LENS, DIGESTS, FENCES };
    static struct fence fences[FENCES];
    static struct nonces nonces;
    static uint8_t wanted[MOST_NONCES][REFERENCE_DIGEST];
    for (int i = 0; i < FENCES && fences[i].begin == NULL; i++)
        fences[i] = fence_around(sizeof nonces.bytes);

    struct input in = {data, size};
    const uint32_t flags = take_below(&in, 256);
    const bool front = flags & 1, want_digests = flags & 2, no_suffix = flags >> 2 == 63;
    const struct part prefix = take_part(&in), suffix = take_part(&in), salt = take_part(&in);
    struct pypow_hash hash = take_hash(&in, &salt);
    take_nonces(&nonces, &in);
    const bool sensible = hash_is_right(&hash) && nonces_are_right(&nonces);
    const uint32_t aim = take_below(&in, MOST_NONCES);
    const struct beginning beginning = begin_message(&prefix, &suffix, &hash);
    if (sensible)
        nonce_digest(wanted[0], &beginning, &nonces, aim % nonces.count);
    const struct pypow_rule rule = take_rule(&in, wanted[0]);

    if (hash.salt != NULL)
        hash.salt = fence_copy(&fences[SALT], salt.bytes, salt.len, front);
    uint8_t *digests = fence_place(&fences[DIGESTS], REFERENCE_DIGEST * nonces.count, front);
    uint32_t failed = UINT32_MAX;
    const int status = pypow_verify(
        want_digests ? digests : NULL, &failed, &hash, &rule,
        fence_copy(&fences[PREFIX], prefix.bytes, prefix.len, front), prefix.len,
        no_suffix ? NULL : fence_copy(&fences[SUFFIX], suffix.bytes, suffix.len, front), suffix.len,
        fence_copy(&fences[NONCES], nonces.bytes, nonces.bytes_len, front),
        fence_copy(&fences[LENS], nonces.lens, nonces.count, front), nonces.count);

    if (!sensible || !rule_is_right(&rule) || (no_suffix && suffix.len > 0)) {
        require(status == PYPOW_BAD_ARGUMENT && failed == UINT32_MAX, "an impossible proof", NULL);
        return 0;
    }
    uint32_t first = 0;
    bool all = true;
    for (; first < nonces.count && all; first++) {
        nonce_digest(wanted[first], &beginning, &nonces, first);
        all = rule_is_met(&rule, wanted[first]);
    }
    require(status == (all ? PYPOW_OK : PYPOW_NOT_FOUND), "status", NULL);
    require(failed == (all ? UINT32_MAX : first - 1), "which one failed", NULL);
    if (want_digests)
        require(memcmp(digests, wanted, REFERENCE_DIGEST * first) == 0, "digests", NULL);
    check_sha256(&prefix, &fences[PREFIX], front);
    return 0;
}
