/* SPDX-License-Identifier: Apache-2.0 */
/* The native challenge, version 1 (docs/protocol.md): its octets, and what a proof must meet. */
#ifndef PYPOW_CHALLENGE_H
#define PYPOW_CHALLENGE_H

#include <stdbool.h>

#include "hmac.h"
#include "pypow.h"

enum {
    SIGNED_BYTES = PYPOW_CHALLENGE_BYTES - 16,
    MAC_BYTES = 16,
    /* Of the text, what lies in the last of the two blocks that are hashed with a nonce. */
    TEXT_REST = PYPOW_CHALLENGE_TEXT - BLOCK_BYTES
};

/* What a challenge says, but for its key and id, which are nobody's to judge here. */
struct pypow_terms {
    uint32_t puzzles;
    uint32_t sub_q;
    uint32_t weight;
    uint32_t key;
    uint32_t epoch;
    uint64_t issued_at_ms;
    uint64_t expires_at_ms;
};

struct pypow_expected {
    int64_t now_ms;
    uint32_t epoch;
    uint32_t weight;
    const uint8_t *resource;
    const uint8_t *principal;
};

/* False where the first octets, up to the lifetime's, are of no challenge that can be. */
bool pypow_challenge_read(struct pypow_terms *terms, const uint8_t *octets);

/* Time, epoch, resource, weight and principal, in this order: PYPOW_STANDS or the first reason. */
enum pypow_reason pypow_challenge_judge(const struct pypow_terms *terms, const uint8_t *octets,
                                        const struct pypow_expected *expected);

const struct pypow_mac_key *pypow_mac_key_find(const struct pypow_mac_key *keys,
                                               uint32_t key_count, uint32_t id);

/* In a time that does not tell where they differ. */
bool pypow_mac_equal(const uint8_t *one, const uint8_t *other);

/* Whether this may be the nonce of sub-puzzle `index`. */
bool pypow_challenge_nonce(const struct pypow_terms *terms, uint32_t index, const uint8_t *nonce,
                           size_t nonce_len);

/* The last block of a challenge's text with a nonce that may be. */
void pypow_challenge_block(uint8_t *block, const uint8_t *text, const uint8_t *nonce,
                           size_t nonce_len);

#endif
