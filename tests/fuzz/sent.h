/* SPDX-License-Identifier: Apache-2.0 */
/* What the bytes of an input stand for: a challenge, mostly a right one, and a proof of it. */
#ifndef PYPOW_FUZZ_SENT_H
#define PYPOW_FUZZ_SENT_H

#include "given.h"
#include "protocol.h"

enum { KEYS = 3, LONGEST_NONCES = MOST_PUZZLES * (NONCE + 1) + 2 };

/* The secrets of a deployment: shorter than a block of SHA-256, as long, and longer. */
void prepare_keys(struct signer *signers, struct pypow_mac_key *keys);

struct demand take_demand(struct input *in, const struct signer *signers);

/* A signed challenge that mostly meets the demand, and that almost any nonce solves. */
void take_octets(uint8_t *octets, struct input *in, const struct demand *demand);

/* One nonce for each puzzle, as it should be, and then perhaps some characters that should not. */
struct proof take_proof(uint8_t *text, struct input *in, uint32_t puzzles);

/* How many, going by the first octets, whatever those are. */
uint32_t puzzles_of(const uint8_t *octets);

/* One bit of what was signed, or of the MAC, is now another. */
void take_flip(uint8_t *octets, struct input *in);

#endif
