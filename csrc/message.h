/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message prefix || nonce || suffix, with the prefix's whole blocks hashed once and the rest
 * laid out as padded blocks on demand. The nonce may be rewritten between hashes.
 */
#ifndef PYPOW_MESSAGE_H
#define PYPOW_MESSAGE_H

#include <stdbool.h>

#include "pypow.h"
#include "sha256.h"

struct pypow_message {
    uint32_t midstate[STATE_WORDS]; /* chaining value after the prefix's whole blocks */
    uint64_t absorbed;              /* bytes in those blocks */
    const uint8_t *head;            /* what is left of the prefix */
    size_t head_len;
    const uint8_t *suffix;
    size_t suffix_len;
    uint8_t nonce[PYPOW_MAX_NONCE_BYTES];
    size_t nonce_len;
};

/* False where a pointer is missing or the lengths are too large for SHA-256 (2^64 bits). */
bool pypow_message_start(struct pypow_message *message, const uint8_t *prefix, size_t prefix_len,
                         const uint8_t *suffix, size_t suffix_len, pypow_compress *compress);

/* Bytes that are not in the midstate. */
uint64_t pypow_message_rest(const struct pypow_message *message);

/* Blocks from the first one that is not in the midstate to the end of the padding. */
uint64_t pypow_message_blocks(const struct pypow_message *message);

/* Lay out one of these blocks, its padding left zero, or as SHA-256 pads it. */
void pypow_message_bytes(uint8_t *block, const struct pypow_message *message, uint64_t number);
void pypow_message_block(uint8_t *block, const struct pypow_message *message, uint64_t number);

/* Advance a chaining value over all of them. */
void pypow_message_absorb(uint32_t *state, const struct pypow_message *message,
                          pypow_compress *compress);

void pypow_message_digest(uint8_t *digest, const struct pypow_message *message,
                          pypow_compress *compress);

#endif
