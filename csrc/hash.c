/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

#include <string.h>

#include "hmac.h"

bool pypow_hash_valid(const struct pypow_hash *hash)
{
    if (hash->iterations < 1 || hash->iterations > PYPOW_MAX_ITERATIONS)
        return false;
    if (hash->type == PYPOW_SHA256)
        return hash->salt_len == 0;
    return hash->type == PYPOW_PBKDF2_HMAC_SHA256 && hash->salt_len <= PYPOW_MAX_SALT_BYTES &&
           (hash->salt != NULL || hash->salt_len == 0);
}

bool pypow_hash_start(struct pypow_message *message, const struct pypow_hash *hash,
                      const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                      size_t suffix_len, pypow_compress *compress)
{
    /* A key of up to one block is not hashed, so that its bytes must not be absorbed. */
    const bool keep = hash->type == PYPOW_PBKDF2_HMAC_SHA256 && prefix_len == BLOCK_BYTES;
    if (!pypow_message_start(message, prefix, keep ? 0 : prefix_len, suffix, suffix_len, compress))
        return false;
    if (keep) {
        message->head = prefix;
        message->head_len = prefix_len;
    }
    return !keep || prefix != NULL;
}

uint64_t pypow_hash_cost(const struct pypow_hash *hash, const struct pypow_message *message)
{
    if (hash->type == PYPOW_SHA256)
        return pypow_message_blocks(message) + hash->iterations - 1;
    const struct pypow_message salted = pypow_hash_salted(hash);
    const uint64_t key = pypow_hash_shortens(message) ? pypow_message_blocks(message) + 2 : 2;
    return key + pypow_message_blocks(&salted) + 1 + 2 * (hash->iterations - UINT64_C(1));
}

bool pypow_hash_shortens(const struct pypow_message *message)
{
    return message->absorbed + pypow_message_rest(message) > BLOCK_BYTES;
}

void pypow_hash_key_block(uint8_t *block, const struct pypow_message *message,
                          pypow_compress *compress)
{
    if (!pypow_hash_shortens(message)) {
        pypow_message_bytes(block, message, 0);
        return;
    }
    memset(block, 0, BLOCK_BYTES);
    pypow_message_digest(block, message, compress);
}

struct pypow_message pypow_hash_salted(const struct pypow_hash *hash)
{
    return (struct pypow_message){
        .absorbed = BLOCK_BYTES, /* the key's */
        .head = hash->salt,
        .head_len = hash->salt_len,
        .nonce = {0, 0, 0, 1},
        .nonce_len = 4,
    };
}

/* Hash a digest, which ends the message of which `chain` is the chaining value so far. */
static void hash_digest(uint32_t *digest, const uint32_t *chain, uint32_t bits,
                        pypow_compress *compress)
{
    uint8_t block[BLOCK_BYTES] = {0};
    for (int i = 0; i < STATE_WORDS; i++)
        store_be32(block + 4 * i, digest[i]);
    block[4 * STATE_WORDS] = 0x80;
    store_be32(block + BLOCK_BYTES - 4, bits);
    memcpy(digest, chain, STATE_WORDS * sizeof *digest);
    compress(digest, block, 1);
}

static void derive(uint32_t *sum, const struct pypow_hash *hash,
                   const struct pypow_message *password, pypow_compress *compress)
{
    const struct pypow_message salted = pypow_hash_salted(hash);
    struct pypow_hmac_key key;
    uint32_t last[STATE_WORDS];
    uint8_t block[BLOCK_BYTES];
    pypow_hash_key_block(block, password, compress);
    pypow_hmac_key_init(&key, block, sizeof block, compress);
    memcpy(last, key.inner, sizeof last);
    pypow_message_absorb(last, &salted, compress);
    hash_digest(last, key.outer, HMAC_BITS, compress);
    memcpy(sum, last, sizeof last);
    for (uint32_t i = 1; i < hash->iterations; i++) {
        hash_digest(last, key.inner, HMAC_BITS, compress);
        hash_digest(last, key.outer, HMAC_BITS, compress);
        for (int j = 0; j < STATE_WORDS; j++)
            sum[j] ^= last[j];
    }
}

void pypow_hash_digest(uint8_t *digest, const struct pypow_hash *hash,
                       const struct pypow_message *message, pypow_compress *compress)
{
    uint32_t state[STATE_WORDS];
    if (hash->type == PYPOW_PBKDF2_HMAC_SHA256) {
        derive(state, hash, message, compress);
    } else {
        memcpy(state, message->midstate, sizeof state);
        pypow_message_absorb(state, message, compress);
        for (uint32_t i = 1; i < hash->iterations; i++)
            hash_digest(state, pypow_sha256_initial, REHASH_BITS, compress);
    }
    for (int i = 0; i < STATE_WORDS; i++)
        store_be32(digest + 4 * i, state[i]);
}
