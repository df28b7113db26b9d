/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core must answer, written down plainly from the standards. Shares nothing with csrc:
 * even the constants of SHA-256 are made from their definition.
 */
#ifndef PYPOW_FUZZ_REFERENCE_H
#define PYPOW_FUZZ_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REFERENCE_DIGEST = 32, REFERENCE_BLOCK = 64 };

/* SHA-256 (FIPS 180-4) of a message that comes in pieces. May be copied at any time. */
struct reference_sha256 {
    uint32_t state[8];
    uint64_t len;
    uint8_t block[REFERENCE_BLOCK];
};

struct reference_sha256 reference_begin(void);
void reference_feed(struct reference_sha256 *sha, const uint8_t *bytes, size_t len);
void reference_end(uint8_t *digest, struct reference_sha256 sha);

void reference_sha256(uint8_t *digest, const uint8_t *message, size_t len);

/* A key of HMAC-SHA256 (RFC 2104), ready for messages. */
struct reference_hmac {
    struct reference_sha256 inner, outer;
};

struct reference_hmac reference_hmac_key(const uint8_t *key, size_t key_len);
void reference_hmac(uint8_t *mac, const struct reference_hmac *key, const uint8_t *message,
                    size_t len);

void reference_pbkdf2(uint8_t *key, const uint8_t *password, size_t password_len,
                      const uint8_t *salt, size_t salt_len,
                      uint32_t iterations); /* RFC 8018, 5.2; 32 bytes */

#endif
