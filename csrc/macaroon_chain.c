/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HMACs of a macaroon, block by block. The first makes its root key out of its identifier, the
 * second is libmacaroons' own derivation, the third signs the identifier, and each caveat is one
 * more. All but the first two are keyed with the digest before, so that both pads are hashed anew.
 */
#include <string.h>

#include "macaroon.h"

enum { INNER_PAD, OUTER_PAD, MESSAGE, FINISH };
enum { ROOT_KEY, DERIVED_KEY, IDENTIFIER, FIRST_CAVEAT };
enum { LENGTH_BYTES = 8 };

/* HMAC's chaining values after "macaroons-key-generator", xor ipad and xor opad. */
static const struct pypow_hmac_key generator = {
    .inner = {
        0x9077a15b, 0xd63d8c38, 0x24d70d8b, 0xa0d63f24,
        0x48036cbf, 0x16ffae7d, 0x4857e31d, 0xbb1f1d67,
    },
    .outer = {
        0xbdcc52d8, 0x514c306d, 0xa4614039, 0xaa6e3e88,
        0xc98a3415, 0xb547216b, 0x5b2934f4, 0x80536d5f,
    },
};

static void set_state(uint32_t *state, const uint32_t *from)
{
    memcpy(state, from, sizeof pypow_sha256_initial);
}

static void begin_message(struct pypow_chain *chain, const struct pypow_hmac_key *key)
{
    set_state(chain->state, key->inner);
    set_state(chain->outer, key->outer);
    chain->step = MESSAGE;
    chain->hashed = 0;
}

void pypow_chain_begin(struct pypow_chain *chain, const struct pypow_hmac_key *key,
                       const struct pypow_macaroon *macaroon)
{
    chain->macaroon = macaroon;
    chain->link = ROOT_KEY;
    begin_message(chain, key);
}

static void store_digest(uint8_t *block, const struct pypow_chain *chain)
{
    for (int i = 0; i < STATE_WORDS; i++)
        store_be32(block + 4 * i, chain->digest[i]);
}

static void lay_out_pad(uint8_t *block, const struct pypow_chain *chain, uint32_t pad)
{
    for (int i = 0; i < STATE_WORDS; i++)
        store_be32(block + 4 * i, chain->digest[i] ^ pad * UINT32_C(0x01010101));
    memset(block + PYPOW_DIGEST_BYTES, (int)pad, BLOCK_BYTES - PYPOW_DIGEST_BYTES);
}

/* End a block whose message has so many bytes in it, and so many before. */
static void end_message(uint8_t *block, size_t at, size_t before)
{
    block[at] = 0x80;
    memset(block + at + 1, 0, BLOCK_BYTES - at - 1);
    if (at + 1 + LENGTH_BYTES <= BLOCK_BYTES)
        store_be64(block + BLOCK_BYTES - LENGTH_BYTES, (uint64_t)(before + at) * 8);
}

static void lay_out_digest(uint8_t *block, const struct pypow_chain *chain)
{
    store_digest(block, chain);
    end_message(block, PYPOW_DIGEST_BYTES, BLOCK_BYTES);
}

static struct pypow_text message_of(const struct pypow_chain *chain)
{
    if (chain->link >= FIRST_CAVEAT)
        return chain->macaroon->caveats[chain->link - FIRST_CAVEAT];
    return (struct pypow_text){chain->macaroon->identifier, IDENTIFIER_BYTES};
}

static void lay_out_message(uint8_t *block, const struct pypow_chain *chain)
{
    const struct pypow_text message = message_of(chain);
    if (chain->hashed > message.len) { /* the end mark was in the block before */
        memset(block, 0, BLOCK_BYTES);
        store_be64(block + BLOCK_BYTES - LENGTH_BYTES, (uint64_t)(BLOCK_BYTES + message.len) * 8);
        return;
    }
    const size_t left = message.len - chain->hashed;
    const size_t here = left < BLOCK_BYTES ? left : BLOCK_BYTES;
    memcpy(block, message.at + chain->hashed, here);
    if (here < BLOCK_BYTES)
        end_message(block, here, BLOCK_BYTES + chain->hashed);
}

void pypow_chain_block(uint8_t *block, const struct pypow_chain *chain)
{
    switch (chain->step) {
    case INNER_PAD:
        lay_out_pad(block, chain, 0x36);
        break;
    case OUTER_PAD:
        lay_out_pad(block, chain, 0x5c);
        break;
    case MESSAGE:
        if (chain->link == DERIVED_KEY) /* whose message is the digest before it */
            lay_out_digest(block, chain);
        else
            lay_out_message(block, chain);
        break;
    default:
        lay_out_digest(block, chain);
    }
}

static bool advance_message(struct pypow_chain *chain)
{
    const size_t len = chain->link == DERIVED_KEY ? PYPOW_DIGEST_BYTES : message_of(chain).len;
    chain->hashed += BLOCK_BYTES;
    if (chain->hashed >= len + 1 + LENGTH_BYTES) {
        set_state(chain->digest, chain->state);
        set_state(chain->state, chain->outer);
        chain->step = FINISH;
    }
    return true;
}

static bool advance_link(struct pypow_chain *chain)
{
    set_state(chain->digest, chain->state);
    chain->link++;
    if (chain->link == DERIVED_KEY) {
        begin_message(chain, &generator);
    } else {
        set_state(chain->state, pypow_sha256_initial);
        chain->step = INNER_PAD;
    }
    return chain->link < FIRST_CAVEAT + chain->macaroon->caveat_count;
}

bool pypow_chain_advance(struct pypow_chain *chain)
{
    switch (chain->step) {
    case INNER_PAD:
        set_state(chain->inner, chain->state);
        set_state(chain->state, pypow_sha256_initial);
        chain->step = OUTER_PAD;
        return true;
    case OUTER_PAD:
        set_state(chain->outer, chain->state);
        set_state(chain->state, chain->inner);
        chain->step = MESSAGE;
        chain->hashed = 0;
        return true;
    case MESSAGE:
        return advance_message(chain);
    default:
        return advance_link(chain);
    }
}
