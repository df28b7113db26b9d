/* SPDX-License-Identifier: Apache-2.0 */
/* Hashing what a caller already has: one message, or the nonces of a proof. */
#include <string.h>

#include "hash.h"
#include "kernel.h"

const char *pypow_version(void) { return PYPOW_VERSION; }

int pypow_sha256(uint8_t *digest, const uint8_t *message, size_t message_len, const char *name)
{
    pypow_compress *compress = pypow_kernel_compress();
    struct pypow_message whole;
    if (name != NULL) {
        const struct pypow_kernel *kernel;
        const int status = pypow_kernel_choose(&kernel, name);
        if (status != PYPOW_OK)
            return status;
        compress = kernel->compress;
    }
    if (!pypow_message_start(&whole, message, message_len, NULL, 0, compress))
        return PYPOW_BAD_ARGUMENT;
    pypow_message_digest(digest, &whole, compress);
    return PYPOW_OK;
}

int pypow_verify(uint8_t *digests, uint32_t *failed, const struct pypow_hash *hash,
                 const struct pypow_rule *rule, const uint8_t *prefix, size_t prefix_len,
                 const uint8_t *suffix, size_t suffix_len, const uint8_t *nonces,
                 const uint8_t *nonce_lens, uint32_t count)
{
    pypow_compress *compress = pypow_kernel_compress();
    struct pypow_message message;
    if (count < 1 || count > PYPOW_MAX_PROOFS || !pypow_hash_valid(hash) ||
        !pypow_rule_valid(rule))
        return PYPOW_BAD_ARGUMENT;
    for (uint32_t i = 0; i < count; i++)
        if (nonce_lens[i] > PYPOW_MAX_NONCE_BYTES)
            return PYPOW_BAD_ARGUMENT;
    if (!pypow_hash_start(&message, hash, prefix, prefix_len, suffix, suffix_len, compress))
        return PYPOW_BAD_ARGUMENT;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t digest[PYPOW_DIGEST_BYTES];
        message.nonce_len = nonce_lens[i];
        memcpy(message.nonce, nonces, message.nonce_len);
        nonces += message.nonce_len;
        pypow_hash_digest(digest, hash, &message, compress);
        if (digests != NULL)
            memcpy(digests + i * PYPOW_DIGEST_BYTES, digest, sizeof digest);
        if (!pypow_rule_wins(rule, digest)) {
            *failed = i;
            return PYPOW_NOT_FOUND;
        }
    }
    return PYPOW_OK;
}
