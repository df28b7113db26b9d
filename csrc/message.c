/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as padded SHA-256 blocks (FIPS 180-4, 5.1.1 and 6.2). */
#include "message.h"

#include <string.h>

enum { LENGTH_BYTES = 8 };

/* Half of what FIPS 180-4 allows, so that sums of lengths cannot overflow. */
#define LONGEST_PART (UINT64_C(1) << 59)

bool pypow_message_start(struct pypow_message *message, const uint8_t *prefix, size_t prefix_len,
                         const uint8_t *suffix, size_t suffix_len, pypow_compress *compress)
{
    if ((prefix == NULL && prefix_len > 0) || (suffix == NULL && suffix_len > 0))
        return false;
    if (prefix_len > LONGEST_PART || suffix_len > LONGEST_PART)
        return false;
    const size_t whole = prefix_len / BLOCK_BYTES;
    memcpy(message->midstate, pypow_sha256_initial, sizeof message->midstate);
    if (whole > 0)
        compress(message->midstate, prefix, whole);
    message->absorbed = whole * BLOCK_BYTES;
    message->head_len = prefix_len % BLOCK_BYTES;
    message->head = message->head_len > 0 ? prefix + message->absorbed : NULL;
    message->suffix = suffix;
    message->suffix_len = suffix_len;
    message->nonce_len = 0;
    return true;
}

uint64_t pypow_message_rest(const struct pypow_message *message)
{
    return message->head_len + message->nonce_len + message->suffix_len;
}

uint64_t pypow_message_blocks(const struct pypow_message *message)
{
    return (pypow_message_rest(message) + 1 + LENGTH_BYTES + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

/* Copy the part of `source`, which lies at `at` in the message, that falls into the block. */
static void overlay(uint8_t *block, uint64_t block_at, const uint8_t *source, uint64_t at,
                    uint64_t len)
{
    const uint64_t begin = at > block_at ? at : block_at;
    const uint64_t block_end = block_at + BLOCK_BYTES;
    const uint64_t end = at + len < block_end ? at + len : block_end;
    if (begin < end)
        memcpy(block + (begin - block_at), source + (begin - at), (size_t)(end - begin));
}

void pypow_message_bytes(uint8_t *block, const struct pypow_message *message, uint64_t number)
{
    const uint64_t at = number * BLOCK_BYTES;
    const uint64_t nonce_at = message->head_len;
    const uint64_t suffix_at = nonce_at + message->nonce_len;
    memset(block, 0, BLOCK_BYTES);
    overlay(block, at, message->head, 0, message->head_len);
    overlay(block, at, message->nonce, nonce_at, message->nonce_len);
    overlay(block, at, message->suffix, suffix_at, message->suffix_len);
}

void pypow_message_block(uint8_t *block, const struct pypow_message *message, uint64_t number)
{
    static const uint8_t end_mark = 0x80;
    const uint64_t end = pypow_message_rest(message);
    pypow_message_bytes(block, message, number);
    overlay(block, number * BLOCK_BYTES, &end_mark, end, 1);
    if (number + 1 == pypow_message_blocks(message)) {
        const uint64_t bits = (message->absorbed + end) * 8;
        store_be32(block + 56, (uint32_t)(bits >> 32));
        store_be32(block + 60, (uint32_t)bits);
    }
}

void pypow_message_absorb(uint32_t *state, const struct pypow_message *message,
                          pypow_compress *compress)
{
    uint8_t block[BLOCK_BYTES];
    const uint64_t blocks = pypow_message_blocks(message);
    for (uint64_t i = 0; i < blocks; i++) {
        pypow_message_block(block, message, i);
        compress(state, block, 1);
    }
}

void pypow_message_digest(uint8_t *digest, const struct pypow_message *message,
                          pypow_compress *compress)
{
    uint32_t state[STATE_WORDS];
    memcpy(state, message->midstate, sizeof state);
    pypow_message_absorb(state, message, compress);
    for (int i = 0; i < STATE_WORDS; i++)
        store_be32(digest + 4 * i, state[i]);
}
