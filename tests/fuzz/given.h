/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bytes of an input stand for: an encoding, a hash, a rule and the parts of a message,
 * mostly right ones, sometimes wrong; and what the core must say about them.
 */
#ifndef PYPOW_FUZZ_GIVEN_H
#define PYPOW_FUZZ_GIVEN_H

#include <stdbool.h>

#include "pypow.h"
#include "reference.h"

/* What is left of an input; past its end come zeros. */
struct input {
    const uint8_t *at;
    size_t left;
};

uint64_t take(struct input *in, int bytes);
uint32_t take_below(struct input *in, uint32_t limit); /* limit <= 2^16 */

enum { MAX_PART = 255 };

struct part {
    size_t len;
    uint8_t bytes[MAX_PART];
};

struct part take_part(struct input *in);

struct pypow_nonce take_nonce(struct input *in);
bool nonce_is_right(const struct pypow_nonce *nonce);
/* The highest index that the encoding can hold. */
uint64_t nonce_last(const struct pypow_nonce *nonce);
size_t nonce_text(uint8_t *text, const struct pypow_nonce *nonce, uint64_t index);

/* The salt is the caller's to keep. */
struct pypow_hash take_hash(struct input *in, const struct part *salt);
bool hash_is_right(const struct pypow_hash *hash);

/* A message of which only the nonce is missing. */
struct beginning {
    struct reference_sha256 sha; /* of the prefix */
    const struct part *prefix, *suffix;
    const struct pypow_hash *hash;
};

struct beginning begin_message(const struct part *prefix, const struct part *suffix,
                               const struct pypow_hash *hash);
void message_digest(uint8_t *digest, const struct beginning *beginning, const uint8_t *nonce,
                    size_t nonce_len);

/* A rule that this digest meets, just misses, or has nothing to do with. */
struct pypow_rule take_rule(struct input *in, const uint8_t *digest);
bool rule_is_right(const struct pypow_rule *rule);
bool rule_is_met(const struct pypow_rule *rule, const uint8_t *digest);

/* Ends the process where the core is wrong. */
void require(bool truth, const char *what, const char *kernel);

#endif
