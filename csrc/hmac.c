/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include "hmac.h"

#include <string.h>

enum { DIGEST_BYTES = 4 * STATE_WORDS, LENGTH_BYTES = 8 };

/* Hash a message that continues after `before` bytes, whose chaining value `state` holds. */
static void finish(uint32_t *state, size_t before, const uint8_t *message, size_t message_len,
                   pypow_compress *compress)
{
    const size_t whole = message_len / BLOCK_BYTES, rest = message_len % BLOCK_BYTES;
    const size_t last = rest + 1 + LENGTH_BYTES > BLOCK_BYTES ? 2 : 1;
    const uint64_t bits = ((uint64_t)before + message_len) * 8;
    uint8_t blocks[2 * BLOCK_BYTES] = {0};
    if (whole > 0)
        compress(state, message, whole);
    if (rest > 0)
        memcpy(blocks, message + whole * BLOCK_BYTES, rest);
    blocks[rest] = 0x80;
    store_be32(blocks + last * BLOCK_BYTES - 8, (uint32_t)(bits >> 32));
    store_be32(blocks + last * BLOCK_BYTES - 4, (uint32_t)bits);
    compress(state, blocks, last);
}

static void store(uint8_t *digest, const uint32_t *state)
{
    for (int i = 0; i < STATE_WORDS; i++)
        store_be32(digest + 4 * i, state[i]);
}

static void start(uint32_t *state, const uint8_t *secret, uint8_t pad, pypow_compress *compress)
{
    uint8_t block[BLOCK_BYTES];
    for (int i = 0; i < BLOCK_BYTES; i++)
        block[i] = secret[i] ^ pad;
    memcpy(state, pypow_sha256_initial, sizeof pypow_sha256_initial);
    compress(state, block, 1);
    explicit_bzero(block, sizeof block);
}

void pypow_hmac_key_init(struct pypow_hmac_key *key, const uint8_t *secret, size_t secret_len,
                         pypow_compress *compress)
{
    uint8_t padded[BLOCK_BYTES] = {0};
    if (secret_len > BLOCK_BYTES) {
        uint32_t state[STATE_WORDS];
        memcpy(state, pypow_sha256_initial, sizeof state);
        finish(state, 0, secret, secret_len, compress);
        store(padded, state);
    } else if (secret_len > 0) {
        memcpy(padded, secret, secret_len);
    }
    start(key->inner, padded, 0x36, compress);
    start(key->outer, padded, 0x5c, compress);
    explicit_bzero(padded, sizeof padded);
}

void pypow_hmac(uint8_t *mac, const struct pypow_hmac_key *key, const uint8_t *message,
                size_t message_len, pypow_compress *compress)
{
    uint32_t state[STATE_WORDS];
    uint8_t block[BLOCK_BYTES] = {[DIGEST_BYTES] = 0x80};
    memcpy(state, key->inner, sizeof state);
    finish(state, BLOCK_BYTES, message, message_len, compress);
    store(block, state);
    store_be32(block + BLOCK_BYTES - 4, (BLOCK_BYTES + DIGEST_BYTES) * 8);
    memcpy(state, key->outer, sizeof state);
    compress(state, block, 1);
    store(mac, state);
}
