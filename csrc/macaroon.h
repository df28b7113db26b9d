/* SPDX-License-Identifier: Apache-2.0 */
/* L402 macaroons (docs/macaroons.md): their octets, their HMAC chain, and their caveats. */
#ifndef PYPOW_MACAROON_H
#define PYPOW_MACAROON_H

#include <stdbool.h>

#include "pypow.h"
#include "sha256.h"

enum { IDENTIFIER_BYTES = 66, SIGNATURE_BYTES = 32 };

/* A macaroon as it was read; the rest points into its octets. */
struct pypow_macaroon {
    uint8_t octets[PYPOW_MAX_MACAROON_BYTES + 2]; /* whole quads of base64 */
    const uint8_t *identifier, *signature;
    struct pypow_text caveats[PYPOW_MAX_CAVEATS];
    uint32_t caveat_count;
};

/* What comes over the wire: a macaroon in base64 or hex, and a preimage in hex. */
struct pypow_credential {
    struct pypow_text macaroon, preimage;
};

/* Everything that a credential is held against. */
struct pypow_macaroon_demand {
    const struct pypow_mac_key *keys;
    uint32_t key_count;
    int64_t now_s;
    const struct pypow_macaroon_expected *expected;
};

/* Read the octets of a macaroon; nothing is said about its MAC. */
enum pypow_macaroon_reason pypow_macaroon_read(struct pypow_macaroon *macaroon,
                                               const struct pypow_text *text);

/* The key under which the root key was made, or NULL. */
const struct pypow_hmac_key *pypow_macaroon_key(const struct pypow_macaroon *macaroon,
                                                const struct pypow_macaroon_demand *demand);

/* Whether these are the words of its signature, in a time that does not tell where they differ. */
bool pypow_macaroon_signed(const struct pypow_macaroon *macaroon, const uint32_t *words);

/* All that is left to judge of a macaroon whose signature is right. */
enum pypow_macaroon_reason pypow_macaroon_judge(struct pypow_macaroon_terms *terms,
                                                const struct pypow_macaroon *macaroon,
                                                const struct pypow_text *preimage,
                                                const struct pypow_macaroon_demand *demand);

/*
 * The chain of HMACs from a key to a signature, one block of SHA-256 at a time, so that one
 * macaroon and many side by side go the same way: lay out a block, compress it into `state`,
 * advance; again, until there is no more to do and `digest` is the signature.
 */
struct pypow_chain {
    const struct pypow_macaroon *macaroon;
    uint32_t state[STATE_WORDS];
    uint32_t inner[STATE_WORDS], outer[STATE_WORDS]; /* of the key of the link under way */
    uint32_t digest[STATE_WORDS];                    /* what was last found */
    uint32_t link; /* how many HMACs are done */
    uint32_t step;
    size_t hashed; /* bytes of the link's message */
};

void pypow_chain_begin(struct pypow_chain *chain, const struct pypow_hmac_key *key,
                       const struct pypow_macaroon *macaroon);
void pypow_chain_block(uint8_t *block, const struct pypow_chain *chain);
/* Whether there is more to do. */
bool pypow_chain_advance(struct pypow_chain *chain);

/* What the caveats say together. */
struct pypow_conditions {
    struct pypow_text last[9]; /* the value of each condition that was met last */
    uint64_t valid_until;
    uint32_t uses, tier;
};

/* Hold each caveat against those before it and against what is expected. */
enum pypow_macaroon_reason pypow_caveats_judge(struct pypow_conditions *conditions,
                                               const struct pypow_macaroon *macaroon,
                                               const struct pypow_macaroon_expected *expected,
                                               int64_t now_s);

/* The preimage among the caveats, or no length. */
struct pypow_text pypow_caveats_preimage(const struct pypow_conditions *conditions);

/* Twice as many hex digits, of either case, into so many octets. */
bool pypow_hex_decode(uint8_t *octets, const uint8_t *text, size_t octets_len);

#endif
