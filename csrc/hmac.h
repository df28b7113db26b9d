/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC-SHA256 (RFC 2104) under a secret of which both pads are hashed once. */
#ifndef PYPOW_HMAC_H
#define PYPOW_HMAC_H

#include "pypow.h"
#include "sha256.h"

/* Secrets above 64 bytes are hashed first, as RFC 2104, 2 asks. */
void pypow_hmac_key_init(struct pypow_hmac_key *key, const uint8_t *secret, size_t secret_len,
                         pypow_compress *compress);

/* 32 bytes of MAC. */
void pypow_hmac(uint8_t *mac, const struct pypow_hmac_key *key, const uint8_t *message,
                size_t message_len, pypow_compress *compress);

#endif
