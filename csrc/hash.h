/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes: SHA-256 applied again and again, and PBKDF2, one message at a time. */
#ifndef PYPOW_HASH_H
#define PYPOW_HASH_H

#include "message.h"

/* Where a block that holds nothing but a digest ends, in bits of the whole message. */
enum { REHASH_BITS = 256, HMAC_BITS = 512 + 256 };

/* False for an unknown type, a count or a salt outside the limits. */
bool pypow_hash_valid(const struct pypow_hash *hash);

/* As pypow_message_start, for messages that this hash will take. */
bool pypow_hash_start(struct pypow_message *message, const struct pypow_hash *hash,
                      const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                      size_t suffix_len, pypow_compress *compress);

/* Block computations of SHA-256 for a digest, from the message's midstate on. */
uint64_t pypow_hash_cost(const struct pypow_hash *hash, const struct pypow_message *message);

void pypow_hash_digest(uint8_t *digest, const struct pypow_hash *hash,
                       const struct pypow_message *message, pypow_compress *compress);

/* Whether HMAC takes the digest of this message for its key, because the message is too long. */
bool pypow_hash_shortens(const struct pypow_message *message);

/* The 64 bytes that HMAC takes from a message which is its key (RFC 2104, 2). */
void pypow_hash_key_block(uint8_t *block, const struct pypow_message *message,
                          pypow_compress *compress);

/* What PBKDF2's first HMAC is of: the salt and the number of the one block of output. */
struct pypow_message pypow_hash_salted(const struct pypow_hash *hash);

#endif
