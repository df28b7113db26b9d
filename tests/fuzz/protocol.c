/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include <string.h>

/* Where the fields of a challenge lie. */
enum {
    VERSION = 0,
    ALGORITHM = 1,
    PUZZLES = 2,
    Q = 4,
    WEIGHT = 6,
    KEY = 8,
    EPOCH = 10,
    ISSUED = 14,
    LIFETIME = 20,
    RESOURCE = 38,
    PRINCIPAL = 50
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

uint64_t protocol_field(const uint8_t *octets, int at, int len)
{
    uint64_t value = 0;
    for (int i = 0; i < len; i++)
        value = value << 8 | octets[at + i];
    return value;
}

void protocol_put(uint8_t *octets, int at, int len, uint64_t value)
{
    for (int i = len; i-- > 0; value >>= 8)
        octets[at + i] = (uint8_t)value;
}

void protocol_sign(uint8_t *octets, const struct signer *signer)
{
    uint8_t mac[REFERENCE_DIGEST];
    reference_hmac(mac, &signer->hmac, octets, SIGNED);
    memcpy(octets + SIGNED, mac, OCTETS - SIGNED);
}

void protocol_encode(uint8_t *text, const uint8_t *octets)
{
    for (int i = 0; i < TEXT; i++) { /* six bits at a time */
        const int bit = 6 * i, byte = bit / 8;
        const uint32_t next = byte + 1 < OCTETS ? octets[byte + 1] : 0;
        const uint32_t pair = (uint32_t)octets[byte] << 8 | next;
        text[i] = (uint8_t)alphabet[pair >> (10 - bit % 8) & 63];
    }
}

static int digit(uint8_t c)
{
    const char *found = c == 0 ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

static bool terms_can_be(const uint8_t *octets)
{
    const uint64_t puzzles = octets[PUZZLES], q = protocol_field(octets, Q, 2);
    const uint64_t lifetime_s = protocol_field(octets, LIFETIME, 2);
    return octets[VERSION] == 1 && octets[ALGORITHM] == 1 && puzzles <= 6 && q >= 1024 &&
           q <= 60 * 1024 && q >= 1024 * puzzles && q <= 1024 * (44 + puzzles) &&
           protocol_field(octets, WEIGHT, 2) >= 1 && lifetime_s >= 1 && lifetime_s <= 600;
}

int protocol_decode(uint8_t *octets, const uint8_t *text, size_t text_len)
{
    if (text_len != TEXT)
        return PYPOW_MALFORMED;
    memset(octets, 0, OCTETS);
    for (int i = 0; i < TEXT; i++) {
        const int value = digit(text[i]), bit = 6 * i;
        if (value < 0)
            return PYPOW_MALFORMED;
        for (int j = 0; j < 6; j++)
            octets[(bit + j) / 8] |= (uint8_t)((value >> (5 - j) & 1) << (7 - (bit + j) % 8));
    }
    return terms_can_be(octets) ? PYPOW_STANDS : PYPOW_MALFORMED;
}

static bool nonce_can_be(const uint8_t *nonce, size_t len, uint32_t index, uint32_t puzzles)
{
    static const char hex[] = "0123456789abcdef";
    if (puzzles == 1) {
        for (size_t i = 0; i < len; i++)
            if (digit(nonce[i]) < 0)
                return false;
        return len >= 1 && len <= NONCE;
    }
    for (size_t i = 0; i < len; i++)
        if (nonce[i] == 0 || strchr(hex, nonce[i]) == NULL)
            return false;
    return len == NONCE && nonce[0] == hex[index / 16] && nonce[1] == hex[index % 16];
}

/* The root of x / 2^64, times 2^64 and rounded down. */
static uint64_t root(uint64_t x)
{
    uint64_t y = 0;
    for (int bit = 63; bit >= 0; bit--) {
        const uint64_t more = y | UINT64_C(1) << bit;
        if ((unsigned __int128)more * more <= (unsigned __int128)x << 64)
            y = more;
    }
    return y;
}

uint64_t protocol_target(uint32_t q)
{
    static uint64_t powers[10]; /* 2^(-1/2), 2^(-1/4) ... 2^(-1/1024) */
    if (powers[0] == 0)
        for (int i = 0; i < 10; i++)
            powers[i] = root(i == 0 ? UINT64_C(1) << 63 : powers[i - 1]);
    uint64_t target = UINT64_MAX;
    for (int i = 0; i < 10; i++)
        if (q >> (9 - i) & 1)
            target = (uint64_t)((unsigned __int128)target * powers[i] >> 64);
    return target >> q / 1024;
}

/* A digest so near that this could err is one in 2^58 where q is no whole number of bits. */
static bool nonce_wins(const uint8_t *text, const uint8_t *nonce, size_t len, uint32_t sub_q)
{
    uint8_t digest[REFERENCE_DIGEST];
    struct reference_sha256 sha = reference_begin();
    reference_feed(&sha, text, TEXT);
    reference_feed(&sha, nonce, len);
    reference_end(digest, sha);
    return protocol_field(digest, 0, 8) <= protocol_target(sub_q);
}

int protocol_work(uint32_t *failed, const uint8_t *octets, const uint8_t *text,
                  const struct proof *proof)
{
    const uint32_t log2_puzzles = octets[PUZZLES], puzzles = 1U << log2_puzzles;
    const uint32_t sub_q = (uint32_t)protocol_field(octets, Q, 2) - 1024 * log2_puzzles;
    const uint8_t *nonce[MOST_PUZZLES], *begin = proof->nonces;
    size_t len[MOST_PUZZLES];
    uint32_t pieces = 0;
    for (size_t i = 0; i <= proof->nonces_len; i++) {
        if (i < proof->nonces_len && proof->nonces[i] != '.')
            continue;
        if (pieces == MOST_PUZZLES)
            return PYPOW_WRONG_NONCES;
        nonce[pieces] = begin;
        len[pieces++] = (size_t)(proof->nonces + i - begin);
        begin = proof->nonces + i + 1;
    }
    if (proof->count != puzzles || pieces != puzzles)
        return PYPOW_WRONG_NONCES;
    for (uint32_t i = 0; i < puzzles; i++)
        if (!nonce_can_be(nonce[i], len[i], i, puzzles))
            return PYPOW_WRONG_NONCES;
    for (uint32_t i = 0; i < puzzles; i++) {
        if (!nonce_wins(text, nonce[i], len[i], sub_q)) {
            *failed = i;
            return PYPOW_NOT_ENOUGH_WORK;
        }
    }
    return PYPOW_STANDS;
}

/* A challenge for anything, or for just this. */
static bool covers(const uint8_t *scope, const uint8_t *wanted)
{
    static const uint8_t any[SCOPE] = {0};
    return memcmp(scope, any, SCOPE) == 0 || memcmp(scope, wanted, SCOPE) == 0;
}

static int check_terms(const struct demand *demand, const uint8_t *octets)
{
    const int64_t issued = (int64_t)protocol_field(octets, ISSUED, 6);
    const int64_t lifetime_s = (int64_t)protocol_field(octets, LIFETIME, 2);
    if (issued - 5000 > demand->now_ms)
        return PYPOW_NOT_YET_VALID;
    if (demand->now_ms >= issued + 1000 * lifetime_s)
        return PYPOW_EXPIRED;
    if (protocol_field(octets, EPOCH, 4) != demand->epoch)
        return PYPOW_STALE_EPOCH;
    if (!covers(octets + RESOURCE, demand->resource))
        return PYPOW_WRONG_RESOURCE;
    if (protocol_field(octets, WEIGHT, 2) < demand->weight)
        return PYPOW_UNDERWEIGHT;
    return covers(octets + PRINCIPAL, demand->principal) ? PYPOW_STANDS : PYPOW_WRONG_PRINCIPAL;
}

int protocol_check(const struct demand *demand, const uint8_t *text, size_t text_len,
                   const struct proof *proof)
{
    const struct signer *signer = NULL;
    uint8_t octets[OCTETS], again[OCTETS];
    uint32_t failed;
    if (protocol_decode(octets, text, text_len) != PYPOW_STANDS)
        return PYPOW_MALFORMED;
    for (uint32_t i = demand->signer_count; i-- > 0;)
        if (demand->signers[i].id == protocol_field(octets, KEY, 2))
            signer = &demand->signers[i];
    if (signer == NULL)
        return PYPOW_UNKNOWN_KEY;
    memcpy(again, octets, OCTETS);
    protocol_sign(again, signer);
    if (memcmp(again, octets, OCTETS) != 0)
        return PYPOW_BAD_MAC;
    const int reason = check_terms(demand, octets);
    return reason == PYPOW_STANDS ? protocol_work(&failed, octets, text, proof) : reason;
}
