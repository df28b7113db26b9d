/* SPDX-License-Identifier: Apache-2.0 */
/* One L402 credential, from its characters to a verdict. */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include "macaroon.h"

#include <string.h>

#include "base64.h"
#include "challenge.h"
#include "kernel.h"

/* V2 binary: after its version come fields, each a type, a length and so many bytes. */
enum { V2 = 2, END = 0, LOCATION = 1, IDENTIFIER = 2, VERIFICATION = 4, SIGNATURE = 6 };

enum {
    QUAD = 4,
    QUAD_OCTETS = 3,
    MAX_QUADS = (PYPOW_MAX_MACAROON_BYTES + QUAD_OCTETS - 1) / QUAD_OCTETS,
    PAYMENT_HASH_AT = 2, /* in an identifier, after its version, which is 0 */
    TOKEN_ID_AT = 34
};

/* Without branches: no digit tells what the next will be. */
static int hex_digit(uint8_t c)
{
    const uint32_t digit = (uint32_t)c - '0', letter = ((uint32_t)c | ('a' - 'A')) - 'a';
    const int value = digit < 10 ? (int)digit : (int)letter + 10;
    return digit < 10 || letter < 6 ? value : -1;
}

bool pypow_hex_decode(uint8_t *octets, const uint8_t *text, size_t octets_len)
{
    int strange = 0;
    for (size_t i = 0; i < octets_len; i++) {
        const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        strange |= high | low;
        octets[i] = (uint8_t)(high * 16 + low);
    }
    return strange >= 0;
}

/* Base64 of either alphabet as base64url, without padding. */
static size_t plain_base64(uint8_t *plain, const struct pypow_text *text)
{
    size_t len = text->len;
    if (len % QUAD == 0)
        for (int i = 0; i < 2 && len > 0 && text->at[len - 1] == '='; i++)
            len--;
    for (size_t i = 0; i < len; i++) {
        const uint8_t c = text->at[i];
        plain[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    return len;
}

/* The number of octets; 0 where it is no base64, or has bits to spare that are not 0. */
static size_t decode_base64(uint8_t *octets, const struct pypow_text *text)
{
    uint8_t plain[MAX_QUADS * QUAD];
    if (text->len < 1 || text->len > sizeof plain)
        return 0;
    const size_t len = plain_base64(plain, text), quads = (len + QUAD - 1) / QUAD;
    const size_t octets_len = len * QUAD_OCTETS / QUAD;
    memset(plain + len, 'A', quads * QUAD - len);
    if (len % QUAD == 1 || octets_len > PYPOW_MAX_MACAROON_BYTES ||
        !pypow_base64_decode(octets, plain, quads))
        return 0;
    for (size_t i = octets_len; i < quads * QUAD_OCTETS; i++)
        if (octets[i] != 0)
            return 0;
    return octets_len;
}

static size_t decode_hex(uint8_t *octets, const struct pypow_text *text)
{
    const size_t octets_len = text->len / 2;
    return text->len % 2 == 0 && octets_len <= PYPOW_MAX_MACAROON_BYTES &&
                   pypow_hex_decode(octets, text->at, octets_len)
               ? octets_len
               : 0;
}

static size_t copy_octets(uint8_t *octets, const struct pypow_text *text)
{
    if (text->len > PYPOW_MAX_MACAROON_BYTES)
        return 0;
    memcpy(octets, text->at, text->len);
    return text->len;
}

/* The version, which comes first, tells the forms apart: in hex it is "02", in base64 an "A". */
static size_t decode(uint8_t *octets, const struct pypow_text *text)
{
    switch (text->len > 0 ? text->at[0] : 'A') {
    case V2:
        return copy_octets(octets, text);
    case '0':
        return decode_hex(octets, text);
    default:
        return decode_base64(octets, text);
    }
}

/* What is left to read. */
struct unread {
    const uint8_t *at;
    size_t len;
};

/* Lengths above 127 take two octets; more than that no macaroon here can have. */
static bool read_length(size_t *len, struct unread *unread)
{
    if (unread->len < 1)
        return false;
    *len = unread->at[0];
    if (*len < 0x80) {
        unread->at++, unread->len--;
        return true;
    }
    if (unread->len < 2 || unread->at[1] == 0 || unread->at[1] >= 0x80)
        return false;
    *len = (*len & 0x7f) | (size_t)unread->at[1] << 7;
    unread->at += 2, unread->len -= 2;
    return true;
}

static bool at_type(const struct unread *unread, uint8_t type)
{
    return unread->len > 0 && unread->at[0] == type;
}

static bool read_end(struct unread *unread)
{
    if (!at_type(unread, END))
        return false;
    unread->at++, unread->len--;
    return true;
}

static bool read_field(struct pypow_text *field, struct unread *unread, uint8_t type)
{
    if (!at_type(unread, type))
        return false;
    unread->at++, unread->len--;
    if (!read_length(&field->len, unread) || field->len > unread->len)
        return false;
    field->at = unread->at;
    unread->at += field->len, unread->len -= field->len;
    return true;
}

/* A field that need not be there is as good as an empty one. */
static bool read_optional(struct pypow_text *field, struct unread *unread, uint8_t type)
{
    field->len = 0;
    return !at_type(unread, type) || read_field(field, unread, type);
}

/* Caveats up to the end of their list; a location is for those of third parties. */
static bool read_caveats(struct pypow_macaroon *macaroon, bool *third_party, struct unread *unread)
{
    uint32_t count = 0;
    for (*third_party = false; !read_end(unread); count++) {
        struct pypow_text location, verification;
        if (count == PYPOW_MAX_CAVEATS || !read_optional(&location, unread, LOCATION) ||
            !read_field(&macaroon->caveats[count], unread, IDENTIFIER) ||
            !read_optional(&verification, unread, VERIFICATION) || !read_end(unread))
            return false;
        *third_party |= location.len + verification.len > 0;
    }
    macaroon->caveat_count = count;
    return true;
}

static bool is_ours(const struct pypow_text *location, const struct pypow_text *identifier)
{
    return location->len == 4 && memcmp(location->at, "lsat", 4) == 0 &&
           identifier->len == IDENTIFIER_BYTES && identifier->at[0] == 0 && identifier->at[1] == 0;
}

enum pypow_macaroon_reason pypow_macaroon_read(struct pypow_macaroon *macaroon,
                                               const struct pypow_text *text)
{
    struct unread unread = {macaroon->octets, decode(macaroon->octets, text)};
    struct pypow_text location, identifier, signature;
    bool third_party;
    if (unread.len < 1 || *unread.at++ != V2)
        return PYPOW_MACAROON_MALFORMED;
    unread.len--;
    if (!read_optional(&location, &unread, LOCATION) ||
        !read_field(&identifier, &unread, IDENTIFIER) || !read_end(&unread) ||
        !read_caveats(macaroon, &third_party, &unread) ||
        !read_field(&signature, &unread, SIGNATURE) || signature.len != SIGNATURE_BYTES ||
        unread.len > 0)
        return PYPOW_MACAROON_MALFORMED;
    if (!is_ours(&location, &identifier))
        return PYPOW_MACAROON_FOREIGN;
    macaroon->identifier = identifier.at;
    macaroon->signature = signature.at;
    return third_party ? PYPOW_MACAROON_THIRD_PARTY : PYPOW_MACAROON_STANDS;
}

const struct pypow_hmac_key *pypow_macaroon_key(const struct pypow_macaroon *macaroon,
                                                const struct pypow_macaroon_demand *demand)
{
    const uint8_t *const token_id = macaroon->identifier + TOKEN_ID_AT;
    const uint32_t id = (uint32_t)token_id[0] << 8 | token_id[1];
    const struct pypow_mac_key *key = pypow_mac_key_find(demand->keys, demand->key_count, id);
    return key == NULL ? NULL : &key->hmac;
}

bool pypow_macaroon_signed(const struct pypow_macaroon *macaroon, const uint32_t *words)
{
    uint32_t difference = 0;
    for (int i = 0; i < STATE_WORDS; i++)
        difference |= words[i] ^ load_be32(macaroon->signature + 4 * i);
    return difference == 0;
}

/* Whether SHA-256 of the preimage is the payment hash. */
static bool is_paid(const struct pypow_macaroon *macaroon, struct pypow_text preimage)
{
    uint8_t block[BLOCK_BYTES] = {[PYPOW_DIGEST_BYTES] = 0x80};
    uint32_t state[STATE_WORDS], difference = 0;
    if (preimage.len == PYPOW_DIGEST_BYTES)
        memcpy(block, preimage.at, PYPOW_DIGEST_BYTES);
    else if (preimage.len != 2 * PYPOW_DIGEST_BYTES ||
             !pypow_hex_decode(block, preimage.at, PYPOW_DIGEST_BYTES))
        return false;
    store_be32(block + BLOCK_BYTES - 4, PYPOW_DIGEST_BYTES * 8);
    memcpy(state, pypow_sha256_initial, sizeof state);
    pypow_kernel_compress()(state, block, 1);
    for (int i = 0; i < STATE_WORDS; i++)
        difference |= state[i] ^ load_be32(macaroon->identifier + PAYMENT_HASH_AT + 4 * i);
    return difference == 0;
}

enum pypow_macaroon_reason pypow_macaroon_judge(struct pypow_macaroon_terms *terms,
                                                const struct pypow_macaroon *macaroon,
                                                const struct pypow_text *preimage,
                                                const struct pypow_macaroon_demand *demand)
{
    struct pypow_conditions conditions;
    const enum pypow_macaroon_reason reason =
        pypow_caveats_judge(&conditions, macaroon, demand->expected, demand->now_s);
    if (reason != PYPOW_MACAROON_STANDS)
        return reason;
    const struct pypow_text within = pypow_caveats_preimage(&conditions);
    if ((preimage->len == 0 || within.len > 0) && !is_paid(macaroon, within))
        return PYPOW_MACAROON_WRONG_PREIMAGE;
    if (preimage->len > 0 && !is_paid(macaroon, *preimage))
        return PYPOW_MACAROON_WRONG_PREIMAGE;
    memcpy(terms->payment_hash, macaroon->identifier + PAYMENT_HASH_AT, PYPOW_DIGEST_BYTES);
    memcpy(terms->token_id, macaroon->identifier + TOKEN_ID_AT, PYPOW_DIGEST_BYTES);
    terms->valid_until = conditions.valid_until;
    terms->uses = conditions.uses;
    terms->tier = conditions.tier;
    return PYPOW_MACAROON_STANDS;
}

static bool is_signed(const struct pypow_hmac_key *key, const struct pypow_macaroon *macaroon)
{
    pypow_compress *const compress = pypow_kernel_compress();
    uint8_t block[BLOCK_BYTES];
    struct pypow_chain chain;
    pypow_chain_begin(&chain, key, macaroon);
    do {
        pypow_chain_block(block, &chain);
        compress(chain.state, block, 1);
    } while (pypow_chain_advance(&chain));
    const bool holds = pypow_macaroon_signed(macaroon, chain.digest);
    explicit_bzero(&chain, sizeof chain);
    explicit_bzero(block, sizeof block);
    return holds;
}

int pypow_macaroon_check(struct pypow_macaroon_terms *terms, const struct pypow_mac_key *keys,
                         uint32_t key_count, int64_t now_s,
                         const struct pypow_macaroon_expected *expected, const char *text,
                         size_t text_len, const char *preimage, size_t preimage_len)
{
    const struct pypow_macaroon_demand demand = {keys, key_count, now_s, expected};
    const struct pypow_text sent = {(const uint8_t *)text, text_len};
    const struct pypow_text proof = {(const uint8_t *)preimage, preimage_len};
    struct pypow_macaroon macaroon;
    const enum pypow_macaroon_reason reason = pypow_macaroon_read(&macaroon, &sent);
    if (reason != PYPOW_MACAROON_STANDS)
        return reason;
    const struct pypow_hmac_key *key = pypow_macaroon_key(&macaroon, &demand);
    if (key == NULL)
        return PYPOW_MACAROON_UNKNOWN_KEY;
    if (!is_signed(key, &macaroon))
        return PYPOW_MACAROON_BAD_MAC;
    return pypow_macaroon_judge(terms, &macaroon, &proof, &demand);
}
