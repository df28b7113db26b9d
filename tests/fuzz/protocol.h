/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native challenges and proofs as docs/protocol.md has them, written down plainly, and without
 * any care for speed or for what a clock could tell.
 */
#ifndef PYPOW_FUZZ_PROTOCOL_H
#define PYPOW_FUZZ_PROTOCOL_H

#include <stdbool.h>

#include "pypow.h"
#include "reference.h"

enum { OCTETS = 78, SIGNED = 62, TEXT = 104, NONCE = 15, SCOPE = 12, MOST_PUZZLES = 64 };

struct signer {
    uint32_t id;
    struct reference_hmac hmac;
};

/* What a challenge is held against. */
struct demand {
    const struct signer *signers;
    uint32_t signer_count;
    int64_t now_ms;
    uint32_t epoch, weight;
    uint8_t resource[SCOPE], principal[SCOPE];
};

/* The nonces of a proof, joined by dots; `count` is how many there are said to be. */
struct proof {
    const uint8_t *nonces;
    size_t nonces_len;
    uint32_t count;
};

uint64_t protocol_field(const uint8_t *octets, int at, int len);
void protocol_put(uint8_t *octets, int at, int len, uint64_t value);

void protocol_sign(uint8_t *octets, const struct signer *signer);
void protocol_encode(uint8_t *text, const uint8_t *octets);
/* PYPOW_STANDS or PYPOW_MALFORMED. */
int protocol_decode(uint8_t *octets, const uint8_t *text, size_t text_len);

/* The first reason against the nonces of a challenge that can be read. */
int protocol_work(uint32_t *failed, const uint8_t *octets, const uint8_t *text,
                  const struct proof *proof);
/* The first reason against all of it. */
int protocol_check(const struct demand *demand, const uint8_t *text, size_t text_len,
                   const struct proof *proof);

/* The first 64 bits of the highest digest that wins, 2^256 * 2^(-q/1024) less one; or nearly. */
uint64_t protocol_target(uint32_t q);

#endif
